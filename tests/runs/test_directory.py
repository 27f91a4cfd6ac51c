"""A run's directory: which names it may have, what is never deleted, and that configs come back."""

import dataclasses
import json
import resource
from pathlib import Path

import jax
import pytest

from experiments import autoencoder, vae
from genjax_models.errors import InputError
from genjax_models.runs import directory
from genjax_models.runs.configuration import Training
from genjax_models.runs.environment import environment
from genjax_models.runs.metrics_file import MetricsFile
from genjax_models.systems.groups import Likelihood, Networks, Optimizer
from genjax_models.systems.settings import Data


@pytest.mark.parametrize("name", ["a", "Run_1.2-b", "...", "-x", "x" * 255, "deep/er/run"])
def test_plain_names_are_accepted(name, tmp_path):
    made = directory.create(tmp_path / name, "vae")
    assert made == (tmp_path / name).resolve()
    assert [path.name for path in made.iterdir()] == []


@pytest.mark.parametrize("name", ["a/..", "..", "a b", "a\n", "\na", "x" * 256, "ä", "a\0b", "a:b", "~", "*"])
def test_fault_35_other_names_are_refused_and_nothing_is_made(name, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(InputError, match=r"--run-dir .*letters, digits, '\.', '_' and '-'"):
        directory.create(inside / name, "vae")
    assert list(inside.iterdir()) == []


@pytest.mark.parametrize("name", [".", ""])
def test_the_working_directory_is_no_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--run-dir"):
        directory.create(Path(name), "vae", overwrite=True)
    assert tmp_path.is_dir()


@pytest.mark.parametrize("overwrite", [False, True])
def test_fault_36_nothing_is_written_through_a_symbolic_link(overwrite, tmp_path):
    run = directory.create(tmp_path / "run", "vae")
    directory.write_json(run / "config.json", {})
    (tmp_path / "link").symlink_to(run)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("link", "dangling"):
        with pytest.raises(InputError, match="symbolic link"):
            directory.create(tmp_path / name, "vae", overwrite=overwrite)
    assert (run / "config.json").is_file()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_fault_46_a_file_in_the_way_stays(overwrite, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        directory.create(tmp_path / "run", "vae", overwrite=overwrite)
    with pytest.raises(InputError, match="cannot be made or written to"):
        directory.create(tmp_path / "run" / "below", "vae", overwrite=overwrite)
    assert (tmp_path / "run").read_text() == "mine"


def test_fault_46_a_read_only_directory_is_refused():
    """Permission bits do not bind root; the kernel's own files do."""
    with pytest.raises(InputError, match=r"^--run-dir /proc/deep/run: cannot be made or written to \(.+\)$"):
        directory.create(Path("/proc/deep/run"), "vae")


def test_fault_46_a_disk_that_takes_no_byte_is_refused_at_the_start(tmp_path):
    """A limit on the size of files stands for a full disk or a quota: folders can be made, files cannot be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(InputError, match=rf"^--run-dir {tmp_path}/run: cannot be made or written to \(.+\)$"):
            directory.create(tmp_path / "run", "vae")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "run").iterdir()) == []
    assert directory.create(tmp_path / "run", "vae").is_dir()  # once there is room again


def test_fault_46_a_read_only_run_is_not_opened_again(tmp_path):
    with pytest.raises(InputError, match=r"^--resume /proc/self: cannot be written to \(.+\)$"):
        directory.reopen(Path("/proc/self"))
    before = list(tmp_path.iterdir())
    assert directory.reopen(tmp_path) == tmp_path.resolve()
    assert list(tmp_path.iterdir()) == before


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    assert directory.create(tmp_path / "run", "vae").is_dir()


def test_fault_45_a_run_is_replaced_only_when_asked_to_and_then_whole(tmp_path):
    run = directory.create(tmp_path / "run", "vae")
    directory.write_json(run / "config.json", {})
    MetricsFile(run / "metrics.jsonl").append({"step": 1})
    with pytest.raises(InputError, match=r"exists already.*--overwrite"):
        directory.create(run, "vae")
    assert (run / "metrics.jsonl").is_file()
    directory.create(run, "vae", overwrite=True)
    assert {path.name for path in run.iterdir()} == {".lock"}


def test_a_folder_that_is_no_run_is_never_deleted(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years")
    with pytest.raises(InputError, match=r"no config\.json"):
        directory.create(tmp_path / "thesis", "vae", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years"


def test_fault_47_runs_that_start_in_one_second_have_different_directories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = {directory.create(None, "vae") for _ in range(5)}
    assert len(made) == 5
    assert all(path.parent == tmp_path / "runs" and path.name.startswith("vae-") for path in made)


CONFIGS = {
    "defaults": vae.Config(),
    "all other": vae.Config(
        seed=2**32 - 1,
        conditional=True,
        latent=7,
        posterior="full_covariance",
        form="entropy",
        num_samples=3,
        kl_weight=0.3,
        kl_warmup=11,
        data=Data(
            "some.npz",
            (-1.0, 0.1),
            "images",
            ("x=a",),
            image_size=(4, 5),
            image_fit="resize",
            image_channels=3,
            skip_unreadable=True,
            stream=True,
            shape=(4, 5, 3),
            classes=10,
        ),
        likelihood=Likelihood("gaussian", scale=0.1, logistics=3, binarise="fixed"),
        networks=Networks("convolutional", hidden=(3, 4, 5), channels=(6,), precision="bfloat16"),
        training=Training(steps=1, batch_size=2, evaluate_every=3, log_every=4),
        optimizer=Optimizer(
            learning_rate=1e-5,
            schedule="linear",
            stages=4,
            warmup=6,
            clip=0.7,
            weight_decay=1e-3,
            b1=0.8,
            b2=0.99,
            eps=1e-7,
        ),
    ),
    "free bits, which exclude many others": vae.Config(free_bits=0.1),
    "a named scale and no layers": vae.Config(
        likelihood=Likelihood(scale="diagonal"), networks=Networks(hidden=()), data=Data(shape=(20,))
    ),
    "an autoencoder": autoencoder.Config(networks=Networks(hidden=(9,)), training=Training(steps=2)),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_config_comes_back_from_its_file_as_it_was(config, tmp_path):
    directory.write_json(tmp_path / "config.json", directory.config_as_json("name", config))
    assert directory.read_config(tmp_path, type(config), "name") == config
    assert directory.read_config_json(tmp_path)["experiment"] == "name"


def test_the_table_above_changes_every_field():
    fields = lambda config: dict(directory.flat(dataclasses.asdict(config)))
    default = fields(vae.Config())
    others = [fields(config) for config in CONFIGS.values() if isinstance(config, vae.Config)]
    assert [name for name in default if all(other[name] == default[name] for other in others)] == []


def edited(change):
    stored = json.loads(json.dumps(directory.config_as_json("vae", vae.Config())))
    change(stored)
    return json.dumps(stored)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (edited(lambda stored: stored["config"].update(latnet=3)), "latnet"),
        (edited(lambda stored: stored["config"]["training"].update(epochs=3)), "epochs"),
        (edited(lambda stored: stored["config"].update(latent=0)), "latent must be .* got 0"),
        (edited(lambda stored: stored.update(experiment="gan")), "is a run of gan, not of vae"),
        (edited(lambda stored: None)[:-5], r"config\.json"),
        ("{}", r"config\.json"),
        ("[]", r"config\.json"),
    ],
    ids=["unknown field", "unknown nested field", "bad value", "another experiment", "truncated", "empty", "a list"],
)
def test_a_config_that_is_not_of_this_experiment_is_refused(text, message, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        directory.read_config(tmp_path, vae.Config, "vae")


def test_a_folder_without_a_config_holds_no_run(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}: holds no run"):
        directory.read_config(tmp_path, vae.Config)


def test_json_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "result.json"
    directory.write_json(path, {"a": 1})
    directory.write_json(path, {"b": [1.5, None]})
    endless = {}
    endless["itself"] = endless
    with pytest.raises(ValueError, match="Circular"):
        directory.write_json(path, endless)
    assert json.loads(path.read_text()) == {"b": [1.5, None]}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_rows_are_appended_one_a_line(tmp_path):
    rows, metrics = [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 1e-30}], MetricsFile(tmp_path / "metrics.jsonl")
    for row in rows:
        metrics.append(row)
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == rows


def test_the_environment_says_what_a_figure_was_measured_on():
    about = environment("python -m experiments.vae --seed 3")
    assert about["command"] == "python -m experiments.vae --seed 3"
    assert about["versions"]["jax"] == jax.__version__
    assert all(about["versions"].values()), about["versions"]
    assert len(about["devices"]) == jax.device_count()
    assert all(jax.default_backend() in device.lower() for device in about["devices"])
    assert about["cores"] >= 1
    assert "git" in about
    json.dumps(about)
