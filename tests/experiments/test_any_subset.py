"""The page of `experiments.any_subset`."""

import dataclasses

import numpy as np
import pytest

from experiments import multi_prediction
from experiments.any_subset import __main__ as any_subset
from experiments.any_subset.measurement import Study, over_runs_and_images
from experiments.any_subset.options import AnySubset
from experiments.any_subset.picture import picture
from genjax_models.commands.train import main as train
from genjax_models.errors import InputError

RUNS = {
    "rbm": "--hidden 4 --chains 10 --sample-sweeps 2 --temperatures 5",
    "multi_prediction": "--hidden 4 3 --sweeps 2 --warmup 0",
    "vae": "--hidden 8 --latent 2 --binarise dynamic --warmup 0",
}


@pytest.mark.slow  # trains three models and two classifiers
def test_the_page_of_small_runs(files, tmp_path, capsys):
    flags = ["--data", str(files / "images.npz"), "--batch-size", "10", "--steps", "4", "--evaluate-every", "4"]
    for name, own in RUNS.items():
        experiment = __import__(f"experiments.{name}", fromlist=["EXPERIMENT"]).EXPERIMENT
        assert train(experiment, [*flags, *own.split(), "--run-dir", str(tmp_path / name)]) == 0
    capsys.readouterr()
    paths = [part for name in RUNS for part in (f"--{name.replace('_', '-')}", *[str(tmp_path / name)] * 2)]
    out = tmp_path / "page.png"
    options = "--shares 0.5 --sweeps 2 --hidden 4 --steps 2 --batch-size 10".split()
    assert any_subset.main([*paths, *options, "--to", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 + 1 + 6 + 1
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        any_subset.main(["--rbm", *[str(tmp_path / "vae")] * 2, *paths[3:], "--to", str(out)])
    assert "must be a run of experiments.rbm" in capsys.readouterr().err
    other = tmp_path / "other"
    own = RUNS["multi_prediction"].replace("--sweeps 2", "--sweeps 3")
    assert train(multi_prediction.EXPERIMENT, [*flags, *own.split(), "--run-dir", str(other)]) == 0
    paths[5] = str(other)  # the second deep machine
    capsys.readouterr()
    with pytest.raises(SystemExit):
        any_subset.main([*paths, "--to", str(out)])
    assert f"{other}: must be of " in capsys.readouterr().err


WAYS = ("RBM, Gibbs", "RBM, mean field", "MP-DBM, mean field", "VAE, pseudo-Gibbs", "VAE, importance", "mean pixel")
CLASSIFIERS = ("MP-DBM", "MLP, trained with missing pixels", "MLP, trained without")


def test_table_and_picture():
    """Two runs of four images at one share: errors of images and of runs add up, and differences are paired."""
    nats = np.array([[[0.1, 0.2, 0.3, 0.4], [0.3, 0.4, 0.5, 0.6]]])
    right = np.array([[[1, 1, 1, 0]] * 2, [[1, 0, 1, 0]] * 2], float)
    of_ways = {name: nats + 0.02 * index for index, name in enumerate(WAYS)}
    study = Study(dict.fromkeys(WAYS, 3), of_ways, dict.fromkeys(CLASSIFIERS, right), np.array([7.0]))
    options = AnySubset(shares=(0.5,))
    lines = any_subset.table(options, study).splitlines()
    error = np.hypot(np.std([0.2, 0.3, 0.4, 0.5], ddof=1) / 2, 0.1)
    assert lines[1].split()[-3:] == ["3", "0.350", f"{error:.3f}"]
    assert lines[7].split()[-1] == "-0.0400"
    assert lines[8].split() == ["+-", "0.0000"]
    assert lines[9].split()[-1] == "7.0"
    assert lines[12].split()[1:] == ["75.0", "50.0", f"{100 * np.sqrt(1 / 12):.1f}"]
    assert lines[-2].split()[-2:] == ["0.0"] * 2
    assert lines[-1].split() == ["+-", "0.0", "0.0"]
    assert len({len(line) for line in (*lines[:7], *lines[11:-2])}) == 1
    assert len({len(line) for line in lines[7:10]}) == 1
    assert len(picture(options, study).axes) == 2


def test_the_error_of_one_run_is_that_of_its_images():
    assert over_runs_and_images(np.array([[1.0, 2, 3]]))[:2] == (2, 1 / np.sqrt(3))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rbm": ()},
        {"rbm": AnySubset.rbm * 2},
        {"shares": ()},
        {"shares": (0.0,)},
        {"sweeps": 0},
        {"steps": 0},
        {"seed": -1},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        dataclasses.replace(AnySubset(), **wrong)
