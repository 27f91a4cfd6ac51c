"""The grid's window, log p(x) and posterior against closed forms; the posterior as an exact proposal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.estimators.importance import log_likelihood
from genjax_models.evaluation.posterior_grid import PiecewiseConstant, posterior_grid
from genjax_models.evaluation.quadrature import quadrature_log_likelihood
from genjax_models.models.generator import GeneratorModel
from tests.statistics import assert_mean

# z ~ N(0, I_2), x | z ~ N(W z + b, I_3 / 4), as in test_quadrature.py.
W, B, VARIANCE = np.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]]), np.array([0.1, -0.2, 0.3]), 0.25
X, LOG_P = np.array([0.5, -1.0, 2.0], np.float32), -7.668093387249674
COVARIANCE = np.linalg.inv(np.eye(2) + W.T @ W / VARIANCE)
MEAN = COVARIANCE @ W.T @ (X - B) / VARIANCE
SCALE = np.sqrt(np.diag(COVARIANCE))


def model_of(latent, mean, scale):
    def likelihood(variables, z):
        return diagonal_normal(mean(z), jnp.full(mean(z).shape, scale))

    prior = lambda variables: diagonal_normal(jnp.zeros(latent), jnp.ones(latent))
    return GeneratorModel(lambda key, batch: {}, prior, likelihood)


PLANE = model_of(2, lambda z: z @ W.T + B, VARIANCE**0.5)
LINE = model_of(1, lambda z: 1.5 * z - 0.25, 0.5**0.5)


@pytest.fixture(scope="module")
def grid():
    return posterior_grid(PLANE, {}, X)


def test_log_p_is_exact(grid):
    assert grid.log_likelihood == pytest.approx(LOG_P, abs=1e-6)
    assert grid.quadrature_error < 1e-6


def test_the_window_holds_the_posterior_and_no_more(grid):
    for nodes, mean, scale in zip(grid.axes, MEAN, SCALE, strict=True):
        reach = np.sqrt(2 * 20) * scale  # where a Gaussian is 20 nats below its mode
        np.testing.assert_allclose([nodes[0], nodes[-1]], [mean - reach, mean + reach], atol=0.2 * scale)
    np.testing.assert_allclose(grid.z[3, 5], [grid.axes[0][3], grid.axes[1][5]])
    np.testing.assert_allclose(grid.spacing, [axis[7] - axis[6] for axis in grid.axes], rtol=1e-4)
    exact = stats.multivariate_normal.logpdf(grid.z, MEAN, COVARIANCE)
    np.testing.assert_allclose(grid.log_joint - grid.log_likelihood, exact, atol=1e-4)


def test_a_lower_drop_is_a_smaller_window(grid):
    small = posterior_grid(PLANE, {}, X, drop=8.0)
    for nodes, larger in zip(small.axes, grid.axes, strict=True):
        assert np.ptp(nodes) == pytest.approx(np.sqrt(8 / 20) * np.ptp(larger), rel=0.05)


def test_a_posterior_that_is_too_narrow_for_one_grid_is_exact():
    narrow, x = model_of(2, lambda z: z, 0.002), np.array([0.713, -1.291], np.float32)
    exact = stats.norm.logpdf(x, 0, np.sqrt(1 + 0.002**2)).sum()
    assert posterior_grid(narrow, {}, x).log_likelihood == pytest.approx(exact, abs=1e-3)
    on_plane = quadrature_log_likelihood(narrow, {}, x[None], nodes=161)["log_likelihood"][0]
    assert abs(on_plane - exact) > 1


def test_one_latent_dimension_is_exact():
    """x = 1.7, as in test_quadrature.py; the posterior of z is N(1.5 (1.7 + 0.25) / 2.75, 0.5 / 2.75)."""
    grid = posterior_grid(LINE, {}, jnp.array([1.7]))
    assert grid.log_likelihood == pytest.approx(-2.116102625407549, abs=1e-6)
    z = np.asarray(grid.posterior.sample(seed=jax.random.key(0), sample_shape=20_000), np.float64)
    assert z.shape == (20_000, 1)
    assert_mean(z, [1.5 * 1.95 / 2.75])
    assert_mean((z - 1.5 * 1.95 / 2.75) ** 2, [0.5 / 2.75], float_error=1e-3)


@pytest.mark.slow
def test_the_posterior_is_a_proposal_of_almost_no_variance(grid):
    prior, likelihood = PLANE.prior({}), lambda z: PLANE.likelihood({}, z)
    estimates = jax.vmap(
        lambda key: log_likelihood(key, X[None], grid.posterior, prior, likelihood, num_samples=10)[0]
    )(jax.random.split(jax.random.key(0), 500))  # fmt: skip
    assert_mean(np.exp(np.asarray(estimates, np.float64) - LOG_P), 1)
    # log p(x, z) has the covariance of slopes COVARIANCE^-1; a uniform draw in a cell has the variance spacing^2 / 12.
    variance = np.diag(np.linalg.inv(COVARIANCE)) @ np.square(grid.spacing) / 12
    assert np.std(estimates) == pytest.approx(np.sqrt(variance / 10), rel=0.2)
    assert variance < 0.002
    z = np.asarray(grid.posterior.sample(seed=jax.random.key(1), sample_shape=20_000), np.float64)
    assert_mean(z, MEAN)
    assert_mean((z - MEAN)[:, :, None] * (z - MEAN)[:, None, :], COVARIANCE, float_error=2e-3)


def test_the_posterior_is_a_density(grid):
    """The mass on evenly spaced points is one, and outside it is zero."""
    posterior = grid.posterior
    assert float(jnp.exp(posterior.log_prob(grid.z)).sum() * grid.spacing.prod()) == pytest.approx(1, abs=1e-4)
    for corner, outwards in ((grid.z[-1, 0], (1, 0)), (grid.z[0, 0], (-1, 0)), (grid.z[0, -1], (0, 1))):
        assert posterior.log_prob(corner) > -np.inf
        assert posterior.log_prob(corner + np.array(outwards) * grid.spacing) == -np.inf


def test_cells_have_the_masses_that_they_are_given():
    """Sides, corners and order of the axes; a cell without mass is never drawn."""
    mass = np.array([[0.1, 0.0, 0.2], [0.3, 0.4, 0.0]])
    with np.errstate(divide="ignore"):
        p = PiecewiseConstant([1.0, -2.0], [0.5, 2.0], np.log(mass) + 7)
    z = jax.jit(lambda key: p.sample(seed=key, sample_shape=20_000))(jax.random.key(0))
    cells = np.floor((np.asarray(z) - [0.75, -3.0]) / [0.5, 2.0]).astype(int)
    drawn = np.zeros((20_000, *mass.shape))
    drawn[np.arange(20_000), *cells.T] = 1
    assert_mean(drawn, mass)
    assert_mean((np.asarray(z) - [0.75, -3.0]) / [0.5, 2.0] - cells, [0.5, 0.5])
    np.testing.assert_allclose(jnp.exp(p.log_prob(jnp.array([[1.2, -2.9], [1.3, -0.5], [1.3, 1.5]]))), [0.1, 0.4, 0])
    assert (p.event_shape, p.batch_shape) == ((2,), ())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes": 160}, "odd integer of at least 3, got 160"),
        ({"reach": -1.0}, "`reach` must be positive, got -1.0"),
        ({"drop": 0.0}, "`drop` must be positive, got 0.0"),
        ({"model": model_of(3, lambda z: z, 1.0)}, r"one or two latent dimensions.*\(3,\)"),
        ({"x": np.array([np.nan, 0, 0])}, "must be finite, got nan"),
        ({"x": np.array([np.inf, 0, 0])}, "must be finite, got -inf"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        posterior_grid(**{"model": PLANE, "variables": {}, "x": X, "nodes": 5, **arguments})


def test_cells_of_another_dimension_are_refused():
    with pytest.raises(ValueError, match=r"as `log_mass` has dimensions, 2, got shapes \(2,\) and \(1,\)"):
        PiecewiseConstant([0.0, 0.0], [1.0], np.zeros((3, 3)))
