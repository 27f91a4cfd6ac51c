"""`likelihood` estimates log p(x) in two ways, for models with a posterior."""

import json

import numpy as np
import pytest

from experiments import pixel_vae
from genjax_models.commands import likelihood
from genjax_models.estimators.importance_diagnostics import BLIND_TO_MISSED_MODES
from genjax_models.systems.groups import Networks
from genjax_models.systems.settings import Data
from tests.commands.conftest import NO_POSTERIOR

QUICK = "--num-samples 500 --num-temperatures 50 --num-chains 4 --num-leapfrog 2"


@pytest.mark.slow
def test_fault_86_the_estimates_agree_and_are_printed_and_written(runs, capsys):
    run = runs["conditional"].path
    assert likelihood.main([str(run), "--n", "4", *QUICK.split()]) == 0
    results = json.loads((run / "likelihood.json").read_text())
    assert abs(results["annealed_from_encoder"] - results["negative_log_likelihood"]) < 3
    assert results["of_own_draws_gap"] > -3 * results["of_own_draws_gap_se"]
    assert 0 < results["acceptance"] <= 1
    assert results["options"]["num_chains"] == "4"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "-log p(x) in nats, 4 test examples and as many draws of the model"
    assert lines[1].startswith("NLL(500)")
    assert lines[2].strip() == BLIND_TO_MISSED_MODES
    for line, name in zip(lines[3:6], ("annealed_from_encoder", "annealed_from_prior", "annealed"), strict=True):
        assert f"{results[name]:8.2f} +- {results[f'{name}_se']:.2f}" in line
    assert results["annealed"] <= min(results["annealed_from_encoder"], results["annealed_from_prior"]) + 1e-6


@pytest.fixture(scope="module")
def of_pixels(files, store, tmp_path_factory):
    """A run of a VAE whose decoder is a PixelCNN."""
    sizes = {"latent": 2, "condition_channels": 1, "features": 2, "decoder_layers": 1}
    config = pixel_vae.Config(data=Data(name=str(files / "images.npz")), networks=Networks(hidden=(4,)), **sizes)
    return store(tmp_path_factory.mktemp("of_pixels") / "run", pixel_vae.EXPERIMENT, config.load()[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["draw", "pixel vae"])
def test_models_that_unfold_are_annealed_as_others_are(kind, request, runs):
    """z of DRAW has steps, and p(x | z) of PixelVAE can only be drawn from in turn."""
    run = (runs["draw"] if kind == "draw" else request.getfixturevalue("of_pixels")).path
    assert likelihood.main([str(run), "--n", "3", *QUICK.split()]) == 0
    results = json.loads((run / "likelihood.json").read_text())
    assert all(np.isfinite(value) for name, value in results.items() if name != "options")
    assert abs(results["annealed"] - results["negative_log_likelihood"]) < 3
    assert results["of_own_draws_gap"] > -3 * results["of_own_draws_gap_se"]
    assert 0 < results["acceptance"] <= 1


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("vae", "--n 1000", "n must be at most 6, the size of the test split of {data}, got 1000"),
        ("vae", "--n 1", "n must be an integer of at least 2, got 1 (see --help)"),
        ("autoencoder", "", NO_POSTERIOR),
    ],
)
def test_bad_input_is_one_line(kind, arguments, message, runs, refused):
    run = runs[kind]
    expected = message.format(run=run.path, data=run.config.data.name)
    assert refused(likelihood, run.path, *arguments.split()) == expected
