"""Variances match closed forms, and the command draws and prints."""

import jax
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from experiments import vae
from experiments.studies.importance_sampling.__main__ import main
from experiments.studies.importance_sampling.measurement import draw, prior_variance, summarise
from genjax_models.commands import train
from genjax_models.evaluation.posterior_grid import posterior_grid
from tests.evaluation.test_posterior_grid import LOG_P, PLANE, VARIANCE, B, W, X
from tests.statistics import assert_mean


@pytest.mark.slow
def test_the_variance_of_the_prior_matches_the_closed_form():
    """p(x | z)^2 is a Gaussian in x of half the variance, times a constant."""
    second_moment = (4 * np.pi * VARIANCE) ** (-3 / 2) * stats.multivariate_normal.pdf(
        X, B, W @ W.T + np.eye(3) * VARIANCE / 2
    )
    exact = second_moment / np.exp(2 * LOG_P) - 1
    prior = PLANE.prior({})
    assert prior_variance(posterior_grid(PLANE, {}, X), prior) == pytest.approx(exact, rel=1e-4)
    log_weights = draw(jax.random.key(0), X, prior, prior, lambda z: PLANE.likelihood({}, z), 40_000)
    assert_mean(np.exp(2 * (log_weights - LOG_P)) - 1, exact)
    assert_mean(np.exp(log_weights - LOG_P), 1)


@pytest.mark.slow
def test_a_mean_of_k_weights_has_a_kth_of_the_variance():
    log_weights = np.random.RandomState(0).normal(-0.125, 0.5, 100_000)  # log-normal weights of mean 1
    weights = summarise(log_weights)
    np.testing.assert_array_equal(weights.samples, [1, 10, 100, 1_000])
    for k, variance, rtol in zip(weights.samples, weights.relative_variance, (0.06, 0.1, 0.3, 0.9), strict=True):
        assert k * variance == pytest.approx(np.expm1(0.25), rel=rtol)
    np.testing.assert_allclose(weights.log_quantiles[0], -0.125 + 0.5 * stats.norm.ppf([0.1, 0.5, 0.9]), atol=0.02)
    np.testing.assert_allclose(weights.log_spread[0], 0.5, atol=0.01)


TRAINING = "--steps 60 --batch-size 20 --evaluate-every 60 --warmup 0"


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("importance_sampling") / "run"
    data = ["--data", str(files / "images.npz"), "--hidden", "16", *TRAINING.split()]
    assert train.main(vae.EXPERIMENT, [*data, "--run-dir", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_the_command_draws_and_prints(run, capsys):
    assert main([str(run), "--draws", "1000", "--nodes", "101"]) == 0
    *printed, path = capsys.readouterr().out.strip().splitlines()
    with Image.open(path) as picture:
        assert min(picture.size) > 500
    rows = {
        line.split()[0]: [float(cell) for cell in line.split()[1:]]
        for line in printed
        if line[:4] in ("prio", "enco", "post")
    }
    assert rows["posterior"][1] < 0.01 < rows["prior"][1]
    about, plane = (float(line.split()[3]) for line in printed[:2])
    assert about == pytest.approx(plane, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["python -m experiments.vae --run-dir"]),
        (["RUN", "--example", "60"], ["example must be below", "test split", "60"]),
        (["RUN", "--nodes", "100"], ["nodes must be odd", "100"]),
        (["RUN", "--draws", "999"], ["draws", "1000", "999"]),
        (["nowhere"], ["nowhere"]),
    ],
)
def test_refused_options_give_one_line(run, arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(run) if word == "RUN" else word for word in arguments])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert all(word in message for word in words)


@pytest.mark.slow
def test_a_model_of_three_latents_is_refused(files, tmp_path, capsys):
    data = ["--data", str(files / "images.npz"), "--hidden", "4", "--latent", "3", "--steps", "0", "--batch-size", "20"]
    assert train.main(vae.EXPERIMENT, [*data, "--run-dir", str(tmp_path / "run")]) == 0
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "run")])
    assert stop.value.code == 2
    assert "got (3,) without classes" in capsys.readouterr().err
