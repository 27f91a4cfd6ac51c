"""Rounded logistics and their mixtures: scipy in float64, the oracle, finite gradients, and draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax_models.estimators.logistic import DiscretisedLogistic, DiscretisedLogisticMixture
from tests.statistics import assert_mean

LEVELS = np.arange(256) / 255
LOCATIONS, SCALES = (
    grid.ravel() for grid in np.meshgrid([-0.3, 0.0, 0.3137, 0.5, 1.0, 1.2], [1e-3, 1e-2, 0.1, 1.0, 10.0])
)


def log_masses(mean, scale):
    """Of the 256 levels, from scipy's logistic in float64 and from the tail in which differences do not cancel."""
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    below, above = stats.logistic.logcdf(edges, mean, scale), stats.logistic.logsf(edges, mean, scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        from_below = below[1:] + np.log1p(-np.exp(below[:-1] - below[1:]))
        from_above = above[:-1] + np.log1p(-np.exp(above[1:] - above[:-1]))
    return np.where(mean > LEVELS, from_below, from_above)


def discretised(mean, scale):
    return DiscretisedLogistic(jnp.asarray(mean, jnp.float32), jnp.asarray(scale, jnp.float32))


def log_probs_at_all_levels():
    return discretised(LOCATIONS, SCALES).log_prob(jnp.float32(LEVELS)[:, None])


def assert_sums_to_one(log_probs):
    np.testing.assert_allclose(np.exp(np.float64(log_probs)).sum(axis=0), 1, atol=2e-4)


def test_discretised_logistic_sums_to_one_over_the_levels():
    assert_sums_to_one(log_probs_at_all_levels())
    with pytest.raises(AssertionError):  # the density at a level times its width, the usual shortcut
        assert_sums_to_one(stats.logistic.logpdf(LEVELS[:, None], LOCATIONS, SCALES) - np.log(255))


def test_discretised_logistic_is_that_of_scipy():
    expected = np.stack([log_masses(*each) for each in zip(LOCATIONS, SCALES, strict=True)], axis=1)
    np.testing.assert_allclose(log_probs_at_all_levels(), expected, rtol=1e-4, atol=1e-3)


def test_discretised_logistic_has_finite_gradients_everywhere():
    means = jnp.array([-5.0, -0.3, 0.0, 0.5, 1.0, 6.0])[:, None, None]
    scales = jnp.array([1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])[:, None]
    total = lambda mean, scale: jnp.sum(DiscretisedLogistic(mean, scale).log_prob(jnp.float32(LEVELS)))
    mean, scale = jnp.broadcast_arrays(means, scales, jnp.float32(LEVELS))[:2]
    by_mean, by_scale = jax.jit(jax.grad(total, argnums=(0, 1)))(mean, scale)
    assert jnp.all(jnp.isfinite(by_mean))
    assert jnp.all(jnp.isfinite(by_scale))
    lowest, highest = by_mean[2, 3, 0], by_mean[4, 3, 255]  # mean 0 at level 0 and mean 1 at level 1, scale 0.1
    slope = stats.logistic.sf(0.5 / 255 / 0.1) / 0.1  # of log sigmoid(half a level / scale)
    np.testing.assert_allclose([lowest, highest], [-slope, slope], rtol=1e-4)


@pytest.mark.parametrize("mean", [0.5, 127 / 255])
def test_the_gradient_in_the_mean_is_exact_where_the_mean_meets_an_edge(mean):
    scale, half = 0.127, 0.5 / 255
    last, first = np.arange(256) == 255, np.arange(256) == 0
    total = lambda mean: jnp.sum(DiscretisedLogistic(mean, jnp.full(256, scale)).log_prob(jnp.float32(LEVELS)))
    below = np.where(last, 0, stats.logistic.sf((LEVELS + half - mean) / scale))
    above = np.where(first, 0, stats.logistic.cdf((LEVELS - half - mean) / scale))
    np.testing.assert_allclose(jax.grad(total)(jnp.full(256, mean)), (above - below) / scale, atol=1e-5)


@pytest.mark.parametrize("mean", [5.2 / 255, 1 - 5.2 / 255])
def test_discretised_logistic_draws_follow_its_masses(mean):
    scale = 2 / 255
    draws = np.asarray(discretised(mean, scale).sample(seed=jax.random.key(0), sample_shape=40_000))
    level = np.rint(255 * draws).astype(int)
    np.testing.assert_allclose(draws, level / 255, rtol=1e-6)
    ends = [*range(15), *range(241, 256)]  # where all but a hundredth of one of the two lies
    frequent = [k for k in ends if log_masses(mean, scale)[k] > np.log(1e-3)]
    occurs = level[:, None] == frequent
    assert_mean(occurs, np.exp(log_masses(mean, scale)[frequent]))
    with pytest.raises(AssertionError):  # rounded down, not to the nearest
        assert_mean(occurs, np.exp(log_masses(mean - 0.5 / 255, scale)[frequent]))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (4, 2, 3)])
def test_a_scale_has_the_last_axes_of_the_mean(shape):
    mean = jax.random.uniform(jax.random.key(0), (4, 2, 3))
    scale = 0.01 + jax.random.uniform(jax.random.key(1), shape) / 10
    value = jnp.round(255 * jax.random.uniform(jax.random.key(2), (5, *mean.shape))) / 255
    whole = jnp.broadcast_to(scale, mean.shape)
    one, other = DiscretisedLogistic(mean, scale), DiscretisedLogistic(mean, whole)
    assert one.batch_shape == mean.shape
    np.testing.assert_allclose(one.log_prob(value), other.log_prob(value), rtol=1e-6)
    np.testing.assert_array_equal(*(each.sample(seed=jax.random.key(3), sample_shape=2) for each in (one, other)))
    with pytest.raises(AssertionError, match=r"[Ss]hape"):
        DiscretisedLogistic(mean, jnp.ones((4, 1, 1)))


def test_the_mean_that_is_shown_lies_in_the_range():
    np.testing.assert_allclose(discretised([-0.5, 0.25, 1.5], [0.1] * 3).mean(), [0, 0.25, 1])


# o15, logistic_mixture; the third mean is outside the range.
LOGITS, MEANS, WIDTHS = [0.5, -0.2, 0.1], [0.1, 0.55, 1.1], [0.02, 0.1, 0.05]
SOME = [0, 1, 26, 127, 140, 254, 255]
LOG_MASSES = [
    -5.436290495624949, -7.1707414277387445, -3.7876266632386506, -6.164982511260095, -6.09815202350133,
    -5.991509506529873, -1.2862984634462924,
]  # fmt: skip


def mixture(logits=LOGITS, mean=MEANS, scale=WIDTHS):
    return DiscretisedLogisticMixture(*(jnp.asarray(a, jnp.float32) for a in (logits, mean, scale)))


def exact_masses(half=0.5 / 255, tails=True):
    """Of the 256 levels, in float64, with each plausible mistake on request."""
    edges = np.array([LEVELS - half, LEVELS + half])
    if tails:
        edges[0, 0], edges[1, -1] = -np.inf, np.inf
    below = stats.logistic.cdf(edges[..., None], MEANS, WIDTHS)
    return (below[1] - below[0]) @ (np.exp(LOGITS) / np.exp(LOGITS).sum())


def assert_is_the_oracle(log_masses):
    """Values at some levels, and the sum over all."""
    np.testing.assert_allclose(np.asarray(log_masses)[SOME], LOG_MASSES, rtol=2e-5)
    np.testing.assert_allclose(np.exp(np.float64(log_masses)).sum(), 1, atol=1e-5)


def test_a_mixture_of_logistics_is_the_oracle():
    assert_is_the_oracle(mixture().log_prob(jnp.float32(LEVELS)))
    assert_is_the_oracle(np.log(exact_masses()))


MISTAKES = {
    "no tails": (0.7226370070290808, lambda: exact_masses(tails=False)),
    "the half width of the range [-1, 1]": (1.4452850407545124, lambda: exact_masses(1 / 255, tails=False)),
    "density times width": (
        None,
        lambda: stats.logistic.pdf(LEVELS[:, None], MEANS, WIDTHS) @ jax.nn.softmax(jnp.float32(LOGITS)) / 255,
    ),
    "mean of log-masses": (
        None,
        lambda: np.exp(
            discretised(MEANS, WIDTHS).log_prob(jnp.float32(LEVELS)[:, None]) @ (np.exp(LOGITS) / np.exp(LOGITS).sum())
        ),
    ),
    "weights for logits": (None, lambda: np.exp(mixture(np.exp(LOGITS)).log_prob(jnp.float32(LEVELS)))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_plausible_mistakes_of_the_mixture_are_seen(mistake):
    total, masses = MISTAKES[mistake]
    if total is not None:
        np.testing.assert_allclose(masses().sum(), total, rtol=1e-9)
    with pytest.raises(AssertionError):
        assert_is_the_oracle(np.log(masses()))


def test_the_mixture_has_finite_values_and_gradients_at_the_ends():
    """Means far outside the range, the smallest scale that a family gives, and weights that underflow."""
    levels = np.float32([0, 1, 128, 254, 255]) / np.float32(255)
    total = lambda *p: jnp.sum(DiscretisedLogisticMixture(*p).log_prob(levels[:, None, None, None]))
    means = np.float32([[-1e4, 1e4], [-3.0, 4.0], [0.0, 1.0], [0.5, 0.5]])
    scales, logits = np.float32([1e-4, 1e-2, 1.0, 1e4]), np.float32([[0, 0], [200, -200]])
    p = np.broadcast_arrays(logits[:, None, None], means[:, None], scales[:, None])
    value, gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))(*p)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.abs(gradients[1][1, 1, 0, 0]) > 1e3  # far from all levels, the mean is still pulled


def test_draws_of_the_mixture_follow_its_masses_and_its_mean():
    p, masses = mixture(), exact_masses()
    draws = np.asarray(p.sample(seed=jax.random.key(0), sample_shape=40_000))
    assert draws.dtype == np.float32
    level = np.rint(255 * draws).astype(int)
    np.testing.assert_allclose(draws, level / 255, rtol=1e-6)
    frequent = np.flatnonzero(masses > 5e-3)
    assert_mean(level[:, None] == frequent, masses[frequent])
    assert_mean(draws, masses @ LEVELS)
    np.testing.assert_allclose(p.mean(), masses @ LEVELS, atol=1e-5)
    assert abs(float(p.mean()) - np.exp(LOGITS) @ np.clip(MEANS, 0, 1) / np.exp(LOGITS).sum()) > 1e-3


def test_one_component_is_the_rounded_logistic_over_any_batch():
    mean, scale = jnp.float32(LOCATIONS)[:, None], jnp.float32(SCALES)[:, None]
    p = DiscretisedLogisticMixture(jnp.full_like(mean, 3.0), mean, scale)
    assert (p.batch_shape, p.event_shape) == (LOCATIONS.shape, ())
    assert jax.eval_shape(lambda: p.sample(seed=jax.random.key(0), sample_shape=2)).shape == (2, *LOCATIONS.shape)
    one = jax.jit(lambda x: p.log_prob(x))(jnp.float32(LEVELS)[:, None])
    np.testing.assert_allclose(one, log_probs_at_all_levels(), rtol=1e-6, atol=1e-6)
