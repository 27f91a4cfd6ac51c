"""What is typed wrong is one line and exit status 2, before anything is compiled or written."""

import gc
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import genjax_models.reports.final_evaluation  # noqa: F401 - so that no test pays for the import
from experiments import autoencoder, gmmn, vae
from genjax_models import commands
from genjax_models.commands import sample
from genjax_models.commands import train as train_command
from genjax_models.commands.train import main
from genjax_models.runs.command_line import parse_run

BASE = "--data images.npz --hidden 16 --steps 4 --batch-size 10 --channels 4 8 --run-dir run"
HEAVY = ("jax", "flax", "optax", "distrax", "orbax", "matplotlib", "tensorflow", "tensorflow_datasets", "scipy")


@pytest.fixture
def compiled():
    """Names of what XLA has compiled since the test began."""
    seen = []
    listen = lambda event, seconds, **_: seen.append(event) if "backend_compile" in event else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture
def here(files, tmp_path, monkeypatch):
    """A working directory of one's own that holds the files."""
    folder = shutil.copytree(files, tmp_path / "here")
    monkeypatch.chdir(folder)
    return folder


def listing(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def assert_refused(command, words, folder, capsys, compiled):
    before, started = listing(folder), time.process_time()
    with pytest.raises(SystemExit) as stop:
        command()
    seconds, status, (out, err) = time.process_time() - started, stop.value.code, capsys.readouterr()
    del stop
    gc.collect(1)  # a file that was left open is this test's fault, not that of a later one
    assert status == 2
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    assert all(word in err for word in words), err
    assert out == ""
    assert listing(folder) == before
    assert compiled == []
    assert seconds < 3


def test_the_listener_hears_a_compilation(compiled):
    jax.jit(lambda x: 3 * x + time.monotonic())(1.0)
    assert compiled


@pytest.mark.parametrize("module", ["vae", "autoencoder"])
def test_help_exits_0_and_imports_nothing_heavy(module):
    code = f"""
import runpy, sys
sys.argv = ["{module}", "--help"]
try:
    runpy.run_module("experiments.{module}", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    print("status", stop.code)
print("imported", [name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "status 0\nimported []" in done.stdout, done.stdout + done.stderr
    assert done.stderr == ""
    assert "--seed INT" in done.stdout


def test_the_lines_of_a_help_do_not_end_where_those_of_its_docstring_do(capsys):
    with pytest.raises(SystemExit):
        commands.main(["data", "--help"])
    lines = capsys.readouterr().out.splitlines()
    for words in ("column of labels of a table", "Draw some images, and name the command that trains"):
        assert any(words in line for line in lines), words


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_the_line_does_not_depend_on_the_encoding_of_the_terminal(encoding):
    command = [sys.executable, "-m", "experiments.vae", *BASE.split(), "--latent", "0"]
    root, environment = Path(vae.__file__).parent.parent, {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=root, env=environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: latent must be an integer of at least 1, got 0 (see --help)\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--data mnist10", ["'mnist10'", "did you mean 'mnist10k'?", ".npz"]),
        ("--data nowhere.npz", ["'nowhere.npz'", "mnist10k"]),
        ("--data notes.txt", ["notes.txt", ".npz"]),
        ("--data mnist10k --data-range 0 1", ["mnist10k", "(0.0, 1.0)"]),
        ("--data-range 1 0", ["(1.0, 0.0)", "lower first"]),
        ("--latnt 3", ["--latnt", "did you mean --latent?"]),
        ("--learning-rat 3", ["--learning-rat", "did you mean --learning-rate?"]),
        ("extra", ["extra"]),
        ("--latent", ["--latent"]),
        ("--latent 0", ["latent", "at least 1", "got 0"]),
        ("--latent 1.5", ["--latent", "'1.5'"]),
        ("--posterior diag", ["'diag'", "--posterior", "diagonal", "full_covariance"]),
        ("--steps -1", ["steps", "at least 0", "got -1"]),
        ("--batch-size 0", ["batch_size", "at least 1", "got 0"]),
        ("--batch-size 9000", ["batch_size", "at most 48", "images.npz", "got 9000"]),
        ("--learning-rate -1", ["learning_rate", "positive and finite", "-1.0"]),
        ("--learning-rate nan", ["learning_rate", "positive and finite", "nan"]),
        ("--learning-rate inf", ["learning_rate", "positive and finite", "inf"]),
        ("--seed -1", ["seed", "[0, 2^32)", "-1"]),
        ("--seed 4294967296", ["seed", "[0, 2^32)", "4294967296"]),
        ("--num-samples 0", ["num_samples", "at least 1", "got 0"]),
        ("--hidden 16 0", ["hidden", "at least 1", "(16, 0)"]),
        ("--likelihood gaussian --scale 0", ["scale", "positive and finite", "0.0"]),
        ("--likelihood gaussian --scale large", ["--scale", "'large'"]),
        ("--network convolutional --channels", ["channels"]),
        ("--data negative.npz", ["negative.npz", "[-1, 1]", "[0, 1]"]),
        ("--data too_large.npz", ["too_large.npz", "[0, 255]", "[0, 1]"]),
        ("--data nan.npz", ["nan.npz", "must be finite"]),
        ("--data truncated.npz", ["truncated.npz", "truncated"]),
        ("--data pickled.npz", ["pickled.npz", "pickled"]),
        ("--data channels_first.npz", ["channels_first.npz", "(3, 8, 8)", "Channels seem to come first"]),
        ("--data few.npz", ["few.npz", "got 9", "at least 10"]),
        ("--data other_keys.npz", ["other_keys.npz", "'pixels'", "x_train"]),
        ("--likelihood discretised_logistic --binarise dynamic", ["discretised_logistic", "dynamic", "images.npz"]),
        ("--likelihood discretised_logistic --data grey.npz", ["discretised_logistic", "float32", "grey.npz"]),
        ("--network convolutional --data vectors.npz", ["convolutional", "(8,)", "vectors.npz"]),
        ("--run-dir ..", ["--run-dir", "'..'"]),
        ("--run-dir notes.txt", ["--run-dir", "notes.txt", "is a file"]),
        ("--run-dir notes.txt/run", ["--run-dir", "notes.txt/run", "cannot be made or written to"]),
        ("--run-dir /proc/run", ["--run-dir", "/proc/run", "cannot be made or written to"]),
        ("--image-size 0", ["image_size", "at least 1", "got 0"]),
        ("--image-size 16", ["images.npz", "not a folder of images", "size=16"]),
        ("--image-fit stretch", ["--image-fit", "'stretch'", "crop", "resize"]),
    ],
)
def test_fault_27_bad_input_is_one_line_that_names_it(arguments, words, here, capsys, compiled):
    assert_refused(lambda: main(vae.EXPERIMENT, [*BASE.split(), *arguments.split()]), words, here, capsys, compiled)


@pytest.mark.parametrize(
    ("overwrite", "words"), [([], ["exists already", "--overwrite"]), (["--overwrite"], ["no config.json"])]
)
def test_a_run_directory_with_something_in_it_is_refused(overwrite, words, here, tmp_path, capsys, compiled):
    (tmp_path / "kept").write_text("mine")
    arguments = [*BASE.split(), "--run-dir", str(tmp_path), *overwrite]
    assert_refused(lambda: main(vae.EXPERIMENT, arguments), [str(tmp_path), *words], tmp_path, capsys, compiled)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--latent 0", ["latent", "got 0"]),
        ("--likelihood gaussian", ["--likelihood"]),
        ("--batch-size 9000", ["at most 48", "got 9000"]),
        ("--network convolutional --data vectors.npz", ["convolutional", "(8,)"]),
    ],
)
def test_the_autoencoder_refuses_in_the_same_words(arguments, words, here, capsys, compiled):
    assert_refused(
        lambda: main(autoencoder.EXPERIMENT, [*BASE.split(), *arguments.split()]), words, here, capsys, compiled
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", ["missing PATH: Directory of the run (see --help)"]),
        ("nowhere", ["nowhere", "holds no run"]),
        ("nowhere --n 0", ["n must be", "got 0"]),
        ("nowhere --seed -1", ["seed", "-1"]),
        ("nowhere --show pixels", ["'pixels'", "images", "draws"]),
        ("evil", ["'../vae'", "dotted name"]),
        ("unknown", ["experiments.nothing", "cannot be imported"]),
        ("old", ["old layout"]),
        ("untrained", ["holds no checkpoint"]),
    ],
)
def test_sampling_refuses_what_is_no_run(arguments, words, tmp_path, capsys, compiled, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, experiment in (
        ("evil", "../vae"),
        ("unknown", "experiments.nothing"),
        ("untrained", "experiments.vae"),
        ("old", "vae"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(
            json.dumps({"experiment": experiment, "config": {}} | ({} if name == "old" else {"format": 2}))
        )
    assert_refused(lambda: sample.main(arguments.split()), words, tmp_path, capsys, compiled)


@pytest.mark.parametrize("experiment", [vae.EXPERIMENT, autoencoder.EXPERIMENT], ids=["vae", "autoencoder"])
@pytest.mark.parametrize(
    ("flags", "shape"),
    [("--image-size 4", "(4, 4, 3)"), ("--image-size None", "(6, 8, 3)"), ("--image-fit resize", "(32, 32, 3)")],
)
def test_a_folder_of_images_is_read_as_the_flags_say(experiment, flags, shape, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos, random = tmp_path / "photos", np.random.RandomState(0)
    photos.mkdir()
    for i in range(20):
        Image.fromarray(random.randint(0, 256, (6, 8, 3)).astype(np.uint8)).save(photos / f"{i}.png")
    (photos / "damaged.png").write_bytes(b"")
    arguments = ["--data", str(photos), "--batch-size", "10", "--hidden", "8", "--dry-run", *flags.split()]
    with pytest.warns(UserWarning, match="1 of 21 images cannot be read"):
        assert main(experiment, [*arguments, "--skip-unreadable"]) == 0
    assert f"16 training, 2 validation, 2 test examples of shape {shape}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(experiment, arguments)
    assert "damaged.png: cannot be read" in capsys.readouterr().err


def parameters(encoder, generator):
    """Of fully connected networks with these widths."""
    return [sum(a * b + b for a, b in itertools.pairwise(w)) for w in (encoder, generator)]


@pytest.mark.parametrize(
    ("experiment", "arguments", "counts"),
    [
        (vae.EXPERIMENT, "", parameters([64, 16, 4], [2, 16, 64])),
        (vae.EXPERIMENT, "--hidden 16 12 --latent 3", parameters([64, 16, 12, 6], [3, 12, 16, 64])),
        (vae.EXPERIMENT, "--posterior full_covariance --latent 3", parameters([64, 16, 9], [3, 16, 64])),
        (vae.EXPERIMENT, "--likelihood gaussian --scale diagonal", parameters([64, 16, 4], [2, 16, 128])),
        (autoencoder.EXPERIMENT, "--latent 5 --data colours.npz", parameters([192, 16, 5], [5, 16, 192])),
    ],
)
def test_a_dry_run_counts_parameters_and_writes_nothing(experiment, arguments, counts, here, capsys):
    before = listing(here)
    assert main(experiment, [*BASE.split(), "--dry-run", *arguments.split()]) == 0
    out = capsys.readouterr().out
    encoder, generator = counts
    assert f"{experiment.name}: {sum(counts):,} parameters" in out
    assert f"encoder: {encoder:,}\n" in out
    assert f"generator: {generator:,}\n" in out
    assert "48 training, 6 validation, 6 test examples" in out
    assert "4 of 10 examples: 1.0 epochs of 4 steps" in out
    assert listing(here) == before


def test_a_preset_replaces_defaults_and_flags_come_after_it(capsys, compiled):
    from experiments import biggan

    flags, default = train_command._preset(biggan.EXPERIMENT, ["--steps", "7", "--preset", "cifar", "--no-overwrite"])
    assert flags == ["--steps", "7", "--no-overwrite"]
    config, _ = parse_run(biggan.Config, flags, "biggan", default)
    assert (config.networks.channels, config.training.steps, config.data.name) == ((256, 256, 256), 7, "tfds:cifar10")
    assert train_command._preset(biggan.EXPERIMENT, ["--seed", "1"]) == (["--seed", "1"], None)
    for experiment, name, words in (
        (biggan.EXPERIMENT, "cifra", "preset must be one of cifar, got 'cifra'"),
        (vae.EXPERIMENT, "cifar", "python -m experiments.vae has no presets, got 'cifar'"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(experiment, ["--preset", name])
        assert stop.value.code == 2
        assert words in capsys.readouterr().err
    assert not compiled


@pytest.mark.parametrize("small", ["validation", "test"])
def test_fault_18_a_split_that_has_no_figures_is_refused_before_training(small, here, capsys, compiled):
    x = np.random.RandomState(0).randint(0, 255, (40, 6, 6, 1)).astype(np.uint8)
    sizes = {"train": 30, "validation": 4, "test": 4} | {small: 1}
    splits = np.split(x, np.cumsum(list(sizes.values())))
    np.savez("few.npz", x_train=splits[0], x_validation=splits[1], x_test=splits[2])
    arguments = "--data few.npz --batch-size 10 --steps 2 --run-dir run".split()
    words = (f"the {small} split, of size 1, cannot be evaluated (samples must be at least 2, got 1)",)
    assert_refused(lambda: main(gmmn.EXPERIMENT, arguments), words, here, capsys, compiled)
