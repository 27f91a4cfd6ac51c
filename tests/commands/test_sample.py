"""`sample` draws from a run of any experiment, wherever its module lies."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from experiments import vae
from genjax_models.commands import sample
from genjax_models.runs import loading

ELSEWHERE = """
import dataclasses
from experiments import vae

@dataclasses.dataclass(frozen=True)
class Config(vae.Config):
    \"\"\"A config of this module.\"\"\"

EXPERIMENT = vae.EXPERIMENT._replace(config=Config)
"""


def pixels(path):
    return matplotlib.image.imread(io.BytesIO(path.read_bytes()))[..., :3].mean(axis=-1)


def drawn(capsys, *arguments):
    assert sample.main([str(argument) for argument in arguments]) == 0
    return Path(capsys.readouterr().out.strip())


def test_images_and_draws_of_a_run(runs, tmp_path, capsys):
    run = runs["vae"].path
    means = drawn(capsys, run, "--n", 9, "--seed", 3)
    assert means == run / "figures" / "sample_3.png"
    draws = drawn(capsys, run, "--n", 9, "--seed", 3, "--show", "draws", "--to", tmp_path / "new" / "draws.png")
    grey = lambda path: np.mean((pixels(path) > 0.02) & (pixels(path) < 0.98))
    assert grey(means) > 0.5  # E[x | z] is a probability
    assert grey(draws) < 0.05  # x is 0 or 1, and the heading has soft edges
    again = drawn(capsys, run, "--n", 9, "--seed", 3, "--to", tmp_path / "again.png")
    other = drawn(capsys, run, "--n", 9, "--seed", 4, "--to", tmp_path / "other.png")
    last = drawn(capsys, run, "--n", 9, "--seed", 3, "--checkpoint", "last", "--to", tmp_path / "last.png")
    assert again.read_bytes() == means.read_bytes()
    assert len({path.read_bytes() for path in (means, other, last)}) == 3


@pytest.mark.slow
def test_a_conditional_run_draws_the_class_of_the_label(trained, tmp_path, capsys):
    contrast = {}
    for label in (0, 1):
        image = pixels(drawn(capsys, trained, "--label", label, "--n", 1, "--to", tmp_path / f"{label}.png"))
        above, below = np.array_split(image, 2)
        contrast[label] = above.mean() - below.mean()
    assert contrast[0] > 0.1
    assert contrast[1] < -0.1
    assert drawn(capsys, trained, "--show", "draws", "--n", 4, "--to", tmp_path / "draws.png").exists()


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("conditional", "--label 2", "--label 2: the classes of {run} are 0 to 1"),
        ("conditional", "--label -1", "--label -1: the classes of {run} are 0 to 1"),
        ("vae", "--label 0", "--label 0: the model in {run} is not conditional on a class"),
        ("vae", "--truncation 0.5", "--truncation 0.5: the model in {run} has no truncation of z"),
        ("vae", "--truncation 0", "truncation must be positive and finite, got 0.0 (see --help)"),
        ("vectors", "", "{run}: needs images, got examples of shape (8,)"),
        ("vae", "--n 0", "n must be an integer of at least 1, got 0 (see --help)"),
        ("vae", "--seed -1", "seed must be an integer in [0, 2^32), got -1 (see --help)"),
    ],
)
def test_fault_10_bad_input_is_one_line(kind, arguments, message, runs, refused):
    run = runs[kind].path
    assert refused(sample, run, *arguments.split()) == message.format(run=run)


@pytest.mark.slow
def test_a_run_of_a_module_outside_the_project(runs, refused, store, tmp_path, monkeypatch):
    """The module is found from its own folder, and from no other folder."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_vae.py").write_text(ELSEWHERE)
    with monkeypatch.context() as context:
        context.syspath_prepend(folder)
        import my_vae  # ty: ignore

        config = my_vae.Config(**vars(runs["vae"].config))
        run = store(folder / "run", my_vae.EXPERIMENT, config).path
    del sys.modules["my_vae"]
    message = refused(sample, run)
    assert message.startswith(f"{run}: its experiment my_vae cannot be imported (No module named 'my_vae'); start from")
    command = [sys.executable, "-P", "-m", "genjax_models", "sample", "run", "--n", "2"]  # -P as a console script
    root = Path(vae.__file__).parent.parent
    answer = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    )
    assert (answer.returncode, answer.stdout) == (0, "run/figures/sample_0.png\n"), answer.stderr


def test_a_run_of_the_old_layout_is_one_line(runs, refused, tmp_path):
    shutil.copytree(runs["vae"].path, tmp_path / "old")
    (tmp_path / "old" / "config.json").write_text('{"experiment": "vae", "config": {}}')
    message = refused(sample, tmp_path / "old")
    assert message.endswith("config.json: this run was made by the old layout of genjax_models; train it again")


def test_a_run_that_was_stopped_names_an_early_best_checkpoint(tmp_path, recwarn):
    for step in (0, 545):
        (tmp_path / "checkpoints" / f"{step:08d}").mkdir(parents=True)
    loading._warn_of_early(tmp_path, 545, 10_000)  # the last one
    loading._warn_of_early(tmp_path, 0, 545)  # of a run at its end
    assert not recwarn
    with pytest.warns(
        UserWarning, match=r"stopped before its 10,000 steps; this is step 0, .* last checkpoint is step 545$"
    ):
        loading._warn_of_early(tmp_path, 0, 10_000)
