"""The IWAE experiment: the steps of its stages, and its likelihood."""

import json

import pytest

import genjax_models as gx
from experiments import iwae
from genjax_models.commands.train import main
from tests.experiments.support import built

SMALL = "--hidden 8 4 --latent 3 2 --batch-size 10 --num-samples 4 --evaluate-every 30 --log-every 10"


@pytest.mark.slow
def test_a_run_of_stages_is_judged_by_its_likelihood(files, tmp_path, capsys):
    """48 training images in batches of 10 are 4 steps an epoch; three stages are 13 epochs."""
    run, options = tmp_path / "run", "--layers 2 --stages 3 --judge-samples 200"
    data = ["--data", str(files / "images.npz"), "--run-dir", str(run)]
    assert main(iwae.EXPERIMENT, [*SMALL.split(), *data, *options.split()]) == 0
    loaded = gx.load_run(run)
    assert loaded.config.training.steps == 13 * 4
    test = json.loads((run / "result.json").read_text())["test"]
    assert test["negative_log_likelihood"] < -test["bound"]  # NLL(200) is below -L_4
    assert test["active_units"] == test["active_units_of_layer_1"] + test["active_units_of_layer_2"]
    assert 0 < test["mutual_information"] < 2  # log 6 test images
    assert "held-out negative log likelihood: " in capsys.readouterr().out
    assert "Pareto k-hat" in (run / "report.html").read_text()
    assert set(loaded.variables["params"]) == {"encoders_0", "encoders_1", "generators_0", "generators_1"}


@pytest.mark.parametrize(("stages", "epochs"), [(1, 1), (5, 121), (8, 3280)])
def test_stages_are_epochs_of_the_data(stages, epochs, files):
    config, dataset, _ = built(iwae.EXPERIMENT, "--data", str(files / "images.npz"), "--stages", str(stages))
    assert config.training.steps == epochs * (len(dataset.train.x) // 20)


def test_the_vae_of_the_same_networks_has_its_own_player(files):
    _, _, system = built(iwae.EXPERIMENT, "--data", str(files / "images.npz"), "--objective", "vae")
    assert set(system.objective.losses) == {"vae"}
    assert system.test_metrics is not None
