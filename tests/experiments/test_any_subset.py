"""The page of `experiments.any_subset`."""

import dataclasses

import pytest

from experiments import any_subset
from experiments.any_subset import AnySubset, Page, Way
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
    paths = [part for name in RUNS for part in (f"--{name.replace('_', '-')}", str(tmp_path / name))]
    out = tmp_path / "page.png"
    options = "--shares 0.5 --sweeps 2 --hidden 4 --steps 2 --batch-size 10".split()
    assert any_subset.main([*paths, *options, "--to", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 + 1 + 4 + 1
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        any_subset.main(["--rbm", str(tmp_path / "vae"), *paths[2:], "--to", str(out)])
    assert "must be a run of experiments.rbm" in capsys.readouterr().err


def test_table_and_picture():
    page = Page({name: Way(3, [0.25]) for name in "abcdef"}, {name: [0.9, 0.5] for name in ("x", "y", "z")})
    options = AnySubset(shares=(0.5,))
    lines = any_subset.table(options, page).splitlines()
    assert lines[1].split() == ["a", "3", "0.250"]
    assert lines[-1].split() == ["z", "90.0", "50.0"]
    assert len(any_subset.picture(options, page).axes) == 2


@pytest.mark.parametrize("wrong", [{"shares": ()}, {"shares": (0.0,)}, {"sweeps": 0}, {"steps": 0}, {"seed": -1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        dataclasses.replace(AnySubset(), **wrong)
