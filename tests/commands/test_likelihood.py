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
    out, err = capsys.readouterr()
    *lines, advice = out.splitlines()
    assert lines[0] == "-log p(x) in nats, 4 test examples and as many draws of the model"
    assert f"{results['negative_bound']:8.2f} +- {results['negative_bound_se']:.2f}" in lines[1]
    assert results["negative_bound"] > results["negative_log_likelihood"]
    assert lines[2].startswith(f"NLL(500), trusted by k-hat for {results['trusted']} of 4 ")
    assert lines[3].strip() == BLIND_TO_MISSED_MODES
    for line, name in zip(lines[4:7], ("annealed_from_encoder", "annealed_from_prior", "annealed"), strict=True):
        assert f"{results[name]:8.2f} +- {results[f'{name}_se']:.2f}" in line
    assert results["annealed"] <= min(results["annealed_from_encoder"], results["annealed_from_prior"]) + 1e-6
    assert advice == likelihood.advice(likelihood.EstimateLikelihood(run, n=4, num_samples=500), results)
    assert [line for line in err.splitlines() if not line.startswith("  took ")] == [
        "1 of 4: bound of 4 test examples, one draw of q(z | x) each",
        "2 of 4: NLL(500) of 4 test examples, 500 draws of q(z | x) each",
        "3 of 4: annealing of 4 test examples from the encoder and from the prior, 4 chains each, 50 temperatures",
        "4 of 4: annealing of 4 draws of the model forwards and backwards, 4 chains each, 50 temperatures",
    ]


@pytest.mark.parametrize("looser", [0.19, 0.21])
def test_the_advice_quotes_the_tightest_figure(looser, tmp_path):
    """Annealing is quoted unless NLL(k) is lower by more than two standard errors."""
    results = {
        "negative_log_likelihood": 90.0,
        "negative_log_likelihood_se": 1.5,
        "annealed": 90 + looser,
        "annealed_se": 1.25,
        "annealed_from_encoder": 90.5,
        "annealed_from_prior": 91.75,
        "annealed_minus_negative_log_likelihood": looser,
        "annealed_minus_negative_log_likelihood_se": 0.1,
        "trusted": 6,
    }
    both = "the means of both starts differ by 1.25 nats; k-hat trusts NLL(5,000) for 6 of 100 examples."
    expected = {
        0.19: f"Quote annealed, 90.19 +- 1.25, an upper bound on -log p(x) in expectation: {both}",
        0.21: "Quote NLL(5,000), 90.00 +- 1.50, an upper bound on -log p(x) in expectation: annealing is looser by 0.21"
        f" nats (more --num-temperatures tighten it); {both}",
    }[looser]
    assert likelihood.advice(likelihood.EstimateLikelihood(tmp_path), results) == expected


def test_the_advice_of_one_start_with_few_draws_has_no_reasons(tmp_path):
    names = "negative_log_likelihood", "annealed", "annealed_minus_negative_log_likelihood"
    results = {f"{name}{end}": 1.0 for name in names for end in ("", "_se")}
    options = likelihood.EstimateLikelihood(tmp_path, start="prior", num_samples=9)
    said = likelihood.advice(options, results)
    assert said == "Quote annealed, 1.00 +- 1.00, an upper bound on -log p(x) in expectation."


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
