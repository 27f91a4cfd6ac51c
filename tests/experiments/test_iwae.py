"""Small runs of the IWAE experiment: the schedule's steps, what is judged, and what a report says of it."""

import contextlib
import io
import json

import pytest

from experiments import iwae, likelihood, representations
from genjax_models.errors import InputError
from genjax_models.runs.command_line import main

SMALL = "--hidden 8 4 --latent 3 2 --batch-size 10 --num-samples 4 --evaluate-every 30 --log-every 10"


def run(files, folder, *more):
    options = [*SMALL.split(), "--data", str(files / "images.npz"), "--run-dir", str(folder), *more]
    assert main(iwae.EXPERIMENT, options) == 0
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def two_layers(files, tmp_path_factory):
    """Its directory, its result and what it printed."""
    folder, said = tmp_path_factory.mktemp("iwae") / "run", io.StringIO()
    with contextlib.redirect_stdout(said):
        result = run(files, folder, "--layers", "2", "--stages", "3", "--judge-samples", "200")
    return folder, result, said.getvalue()


def test_a_run_of_stages_is_judged_by_its_likelihood(two_layers):
    """48 training images in batches of 10 are 4 steps an epoch; three stages are 13 epochs."""
    folder, result, said = two_layers
    config = json.loads((folder / "config.json").read_text())["config"]
    assert config["training"]["steps"] == 13 * 4
    test = result["test"]
    assert test["negative_log_likelihood"] < -test["bound"]  # NLL(200) beside L_4
    assert test["active_units"] == test["active_units_of_layer_1"] + test["active_units_of_layer_2"]
    assert 0 < test["mutual_information"] < 2  # log 6 test images
    assert "held-out negative log likelihood: " in said
    assert "Pareto k-hat" in (folder / "report.html").read_text()
    _, players = iwae.load(folder)
    assert set(players["iwae"]["params"]) == {"encoders_0", "encoders_1", "generators_0", "generators_1"}


def test_the_likelihood_of_a_run_is_estimated_in_two_ways(two_layers, capsys):
    folder, _, _ = two_layers
    options = "--n 4 --num-samples 200 --num-temperatures 30 --num-chains 8"
    assert likelihood.main([str(folder), *options.split()]) == 0
    found = json.loads((folder / "likelihood.json").read_text())
    assert abs(found["annealed"] - found["negative_log_likelihood"]) < 2
    assert abs(found["of_own_draws_gap"]) < 2
    assert f"NLL(200), trusted by k-hat for {found['trusted']}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 7}, "n must be at most 6, the test split of"),
        ({"n": 1}, "n must be an integer of at least 2, got 1"),
        ({"num_temperatures": 1}, "num_temperatures must be an integer of at least 2, got 1"),
        ({"num_chains": 0}, "num_chains must be an integer of at least 1, got 0"),
    ],
)
def test_what_cannot_be_estimated_is_one_line(two_layers, options, message):
    with pytest.raises(InputError, match=message):
        likelihood.likelihood(likelihood.Likelihood(two_layers[0], **options))


def test_classes_are_read_from_latents_components_and_pixels(two_layers, capsys):
    folder, _, _ = two_layers
    assert representations.main([str(folder), "--neighbours", "3"]) == 0
    found = json.loads((folder / "representations.json").read_text())
    assert set(found) == {"latents", "PCA", "data"}
    assert found["data"] == {"linear": [1.0, 0.0], "nearest_neighbours": [1.0, 0.0]}  # bright above or below
    assert "linear probe" in capsys.readouterr().out


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
