"""Small runs of the IWAE experiment: the schedule's steps, what is judged, and what a report says of it."""

import json

import pytest

from experiments import iwae
from genjax_models.runs.command_line import main

SMALL = "--hidden 8 4 --latent 3 2 --batch-size 10 --num-samples 4 --evaluate-every 30 --log-every 10"


def run(files, folder, *more):
    options = [*SMALL.split(), "--data", str(files / "images.npz"), "--run-dir", str(folder), *more]
    assert main(iwae.EXPERIMENT, options) == 0
    return json.loads((folder / "result.json").read_text())


def test_a_run_of_stages_is_judged_by_its_likelihood(files, tmp_path, capsys):
    """48 training images in batches of 10 are 4 steps an epoch; three stages are 13 epochs."""
    result = run(files, tmp_path / "run", "--layers", "2", "--stages", "3", "--judge-samples", "200")
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["training"]["steps"] == 13 * 4
    test = result["test"]
    assert test["negative_log_likelihood"] < -test["bound"]  # NLL(200) beside L_4
    assert test["active_units"] == test["active_units_of_layer_1"] + test["active_units_of_layer_2"]
    assert 0 < test["mutual_information"] < 2  # log 6 test images
    assert "held-out negative log likelihood: " in capsys.readouterr().out
    report = (tmp_path / "run" / "report.html").read_text()
    assert "Pareto k-hat" in report
    _, players = iwae.load(tmp_path / "run")
    assert set(players["iwae"]["params"]) == {"encoders_0", "encoders_1", "generators_0", "generators_1"}


def test_the_vae_beside_it_has_its_own_player_and_the_same_judge(files, tmp_path):
    result = run(files, tmp_path / "run", "--objective", "vae", "--steps", "20", "--judge-samples", "30")
    assert result["test"]["step"] == 20
    assert "negative_log_likelihood" in result["test"]
    _, players = iwae.load(tmp_path / "run")
    assert set(players) == {"vae"}


@pytest.mark.parametrize(("stages", "epochs"), [(1, 1), (5, 121), (8, 3280)])
def test_stages_are_epochs_of_the_data(stages, epochs, files):
    config = iwae.Config(data=str(files / "images.npz"), optimizer=iwae.Optimizer(stages=stages))
    config, dataset = iwae.dataset(config)
    assert config.training.steps == epochs * (len(dataset.train.x) // 20)
