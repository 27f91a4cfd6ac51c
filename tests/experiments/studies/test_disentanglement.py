"""Box plots of disentanglement, on directories of runs that were never trained."""

import json
import math

import numpy as np
import pytest

from experiments.disentanglement import Config
from experiments.studies import disentanglement as study
from genjax_models.errors import InputError
from genjax_models.runs import directory


@pytest.fixture
def runs(tmp_path):
    """Two members of beta-VAE, a beta-VAE of another strength, and a FactorVAE whose latents are all unused."""

    def run(name, figures, **fields):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        config = directory.config_as_json("experiments.disentanglement", Config(**fields))
        (folder / "config.json").write_text(json.dumps(config))
        if figures is not None:
            (folder / "result.json").write_text(json.dumps({"test": {"step": 1, **figures}}))
        return folder

    run("members/seed_0", {"mutual_information_gap": 0.1, "bound": -30.0}, seed=0)
    run("members/seed_1", {"mutual_information_gap": 0.3, "bound": -32.0}, seed=1)
    (tmp_path / "members" / "members.json").write_text("{}")
    run("strong", {"mutual_information_gap": 0.5, "bound": -40.0}, strength=16.0)
    run("factor", {"bound": -50.0}, objective="factor_vae")
    run("unfinished", None)
    return tmp_path


def test_runs_of_one_objective_and_strength_are_one_box(runs):
    boxes = study.boxes_of([runs / "factor", runs / "strong", runs / "members"])
    assert {name: [path.name for path in paths] for name, paths in boxes.items()} == {
        "beta-VAE, 4": ["seed_0", "seed_1"],
        "beta-VAE, 16": ["strong"],
        "FactorVAE, 30": ["factor"],
    }
    figures = {name: study.figures_of(paths) for name, paths in boxes.items()}
    assert figures["beta-VAE, 4"]["mutual_information_gap"] == [0.1, 0.3]
    assert math.isnan(figures["FactorVAE, 30"]["mutual_information_gap"][0])


def test_the_picture_and_the_table_show_each_figure_that_a_run_has(runs, tmp_path, capsys):
    out = tmp_path / "boxes.png"
    paths = [str(runs / name) for name in ("members", "strong", "factor")]
    assert study.main(["--runs", *paths, "--no-ranking", "--to", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| | beta-VAE, 4 (2 runs) | beta-VAE, 16 (1 run) | FactorVAE, 30 (1 run) |"
    assert "| MIG | 0.20 (0.10 to 0.30) | 0.50 |  |" in lines
    assert not any("SAP" in line for line in lines)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "runs must be of one data set, got no runs"),
        (("unfinished",), "unfinished: has not finished, it has no result.json"),
        (("nowhere",), "nowhere"),
    ],
)
def test_bad_runs_are_refused_in_one_line(names, message, runs, capsys):
    with pytest.raises(SystemExit) as stop:
        study.main(["--no-ranking", "--runs", *(str(runs / name) for name in names)])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert message in line


def test_runs_of_other_data_are_refused(runs):
    config = json.loads((runs / "strong" / "config.json").read_text())
    config["config"]["data"]["name"] = "sprites:32"
    (runs / "strong" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="runs must be of one data set, got sprites, sprites:32"):
        study.boxes_of([runs / "members", runs / "strong"])


def test_the_ranking_is_1_for_codes_that_are_the_same_up_to_order(runs, monkeypatch):
    codes = np.random.RandomState(0).normal(size=(100, 3))
    of = {"seed_0": codes, "seed_1": -codes[:, ::-1], "strong": codes, "factor": 0 * codes}
    boxes = study.boxes_of([runs / "members", runs / "strong", runs / "factor"])
    monkeypatch.setattr(study, "codes_of", lambda paths: {path: of[path.name] for path in paths})
    ranked = study.rankings(boxes)
    assert ranked["beta-VAE, 4"] == pytest.approx([1, 1], abs=0.15)  # other codes correlate by chance
    assert math.isnan(ranked["beta-VAE, 16"][0])
    assert math.isnan(ranked["FactorVAE, 30"][0])
