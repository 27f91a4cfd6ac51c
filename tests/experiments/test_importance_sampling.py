"""The grid's posterior is an exact proposal, variances are those of closed forms, and the picture comes of any run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from experiments import importance_sampling, vae
from experiments.importance_sampling import Problem, draw, grid_about_posterior, posterior_on, prior_variance, summarise
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.estimators.importance import log_likelihood
from genjax_models.runs.command_line import main
from tests.statistics import assert_mean

# z ~ N(0, I_2), x | z ~ N(W z + b, I_3 / 4), as in tests/evaluation/test_quadrature.py.
W, B, VARIANCE = np.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]]), np.array([0.1, -0.2, 0.3]), 0.25
X, LOG_P = np.array([0.5, -1.0, 2.0], np.float32), -7.668093387249674
COVARIANCE = np.linalg.inv(np.eye(2) + W.T @ W / VARIANCE)
MEAN = COVARIANCE @ W.T @ (X - B) / VARIANCE


def likelihood(z):
    mean = z @ W.T + B
    return diagonal_normal(mean, jnp.full(mean.shape, VARIANCE**0.5))


@pytest.fixture(scope="module")
def problem():
    encoder = diagonal_normal(jnp.asarray(MEAN + 0.1), jnp.asarray(0.9 * np.sqrt(np.diag(COVARIANCE))))
    return Problem(jnp.asarray(X), diagonal_normal(jnp.zeros(2), jnp.ones(2)), likelihood, encoder)


@pytest.fixture(scope="module")
def grid(problem):
    return grid_about_posterior(problem)


def test_the_window_holds_the_posterior_and_no_more(grid):
    value, error = grid.log_likelihood
    assert value == pytest.approx(LOG_P, abs=1e-5)
    assert error < 1e-5
    for nodes, mean, scale in zip((grid.first, grid.second), MEAN, np.sqrt(np.diag(COVARIANCE)), strict=True):
        reach = np.sqrt(2 * 20) * scale  # where a Gaussian is 20 nats below its mode
        np.testing.assert_allclose([nodes[0], nodes[-1]], [mean - reach, mean + reach], atol=0.2 * scale)


def test_the_posterior_on_the_grid_is_a_proposal_of_hardly_any_variance(problem, grid):
    posterior = posterior_on(grid)
    estimates = jax.vmap(
        lambda key: log_likelihood(
            key, problem.x[None], posterior, problem.prior, problem.likelihood, num_samples=10
        )[0]
    )(jax.random.split(jax.random.key(0), 500))  # fmt: skip
    assert_mean(np.exp(np.asarray(estimates, np.float64) - LOG_P), 1)
    # log p(x, z) has the covariance of slopes COVARIANCE^-1; a uniform draw in a cell has the variance cell^2 / 12.
    variance = np.diag(np.linalg.inv(COVARIANCE)) @ np.square(grid.cell) / 12
    assert np.std(estimates) == pytest.approx(np.sqrt(variance / 10), rel=0.2)
    assert variance < 0.002
    z = np.asarray(posterior.sample(seed=jax.random.key(1), sample_shape=20_000), np.float64)
    assert_mean(z, MEAN)
    assert_mean((z - MEAN)[:, :, None] * (z - MEAN)[:, None, :], COVARIANCE, float_error=2e-3)


def test_the_posterior_on_the_grid_is_a_density(grid):
    """Its mass on points that are equal steps apart, and none outside."""
    posterior = posterior_on(grid)
    (first, second), (width, height) = (grid.first, grid.second), grid.cell
    z = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1)
    assert float(jnp.exp(posterior.log_prob(z)).sum() * width * height) == pytest.approx(1, abs=1e-4)
    assert posterior.log_prob(jnp.array([first[-1] + width, second[0]])) == -np.inf
    assert posterior.log_prob(jnp.array([first[0] - width, second[0]])) == -np.inf


def test_the_variance_of_the_prior_is_that_of_the_closed_form(problem, grid):
    """p(x | z)^2 is a Gaussian in x of half the variance, times a constant."""
    second_moment = (4 * np.pi * VARIANCE) ** (-3 / 2) * stats.multivariate_normal.pdf(
        X, B, W @ W.T + np.eye(3) * VARIANCE / 2
    )
    exact = second_moment / np.exp(2 * LOG_P) - 1
    z = np.stack(np.meshgrid(grid.first, grid.second, indexing="ij"), axis=-1)
    assert prior_variance(grid, np.asarray(problem.prior.log_prob(z), np.float64)) == pytest.approx(exact, rel=1e-4)
    log_weights = draw(jax.random.key(0), problem, problem.prior, 40_000)
    assert_mean(np.exp(2 * (log_weights - LOG_P)) - 1, exact)
    assert_mean(np.exp(log_weights - LOG_P), 1)


def test_a_mean_of_k_weights_has_a_kth_of_the_variance():
    log_weights = np.random.RandomState(0).normal(-0.125, 0.5, 100_000)  # log-normal weights of mean 1
    seen = summarise(log_weights)
    np.testing.assert_array_equal(seen.samples, [1, 10, 100, 1_000])
    for k, variance, rtol in zip(seen.samples, seen.relative_variance, (0.06, 0.1, 0.3, 0.9), strict=True):
        assert k * variance == pytest.approx(np.expm1(0.25), rel=rtol)
    np.testing.assert_allclose(seen.log_quantiles[0], -0.125 + 0.5 * stats.norm.ppf([0.1, 0.5, 0.9]), atol=0.02)
    np.testing.assert_allclose(seen.log_spread[0], 0.5, atol=0.01)


TRAINING = "--steps 60 --batch-size 20 --evaluate-every 60 --warmup 0"


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("importance_sampling") / "run"
    data = ["--data", str(files / "images.npz"), "--hidden", "16", *TRAINING.split()]
    assert main(vae.EXPERIMENT, [*data, "--run-dir", str(folder)]) == 0
    return folder


def test_the_command_draws_and_prints(run, capsys):
    assert importance_sampling.main([str(run), "--draws", "1000", "--nodes", "101"]) == 0
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["python -m experiments.vae --run-dir"]),
        (["RUN", "--example", "60"], ["--example 60", "test split has"]),
        (["RUN", "--nodes", "100"], ["nodes must be odd", "100"]),
        (["RUN", "--draws", "999"], ["draws", "1000", "999"]),
        (["nowhere"], ["nowhere"]),
    ],
)
def test_what_cannot_be_shown_is_one_line(run, arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        importance_sampling.main([str(run) if word == "RUN" else word for word in arguments])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words)


def test_a_model_of_three_latents_is_refused(files, tmp_path, capsys):
    data = ["--data", str(files / "images.npz"), "--hidden", "4", "--latent", "3", *TRAINING.split()]
    assert main(vae.EXPERIMENT, [*data, "--run-dir", str(tmp_path / "run")]) == 0
    with pytest.raises(SystemExit) as stop:
        importance_sampling.main([str(tmp_path / "run")])
    assert stop.value.code == 2
    assert "3 latent dimensions" in capsys.readouterr().err
