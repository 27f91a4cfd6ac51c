"""The finite mixture against exact values and scipy: densities, gradients, draws, and scales that cannot vanish."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax_models.models.mixture import gaussian_mixture
from genjax_models.types import Batch
from tests.statistics import assert_mean

# sum_m pi_m N(x; mu_m, v_m), with the exact log-likelihood and the responsibilities p(m | x) of each x.
WEIGHTS, MEANS, VARIANCES = np.array([0.2, 0.5, 0.3]), np.array([-2.0, 0.0, 3.0]), np.array([0.25, 1.0, 0.5])
X = np.array([-2.0, -1.0, 0.0, 1.5, 3.0, 10.0, 100.0], np.float32)
LOG_P = [
    -1.6789359360271936, -1.9478396339292205, -1.6117126965506665, -2.4937656807374315, -1.7633306297931448,
    -50.41618380661496, -5001.612085713765,
]  # fmt: skip
RESPONSIBILITIES = np.array([
    [0.8553082668084745, 0.14469173317892647, 1.2599023421268126e-11],
    [0.15146667713205922, 0.8485331892789674, 1.3358897344805745e-07],
    [0.00026827001432256774, 0.9996270523483198, 0.00010467763735743797],
    [4.4236822548377424e-11, 0.7840205611435744, 0.21597943881218862],
    [1.794943258511168e-22, 0.012922890484081968, 0.9870771095159182],
])  # fmt: skip
SMALLEST = 1e-2


def raw(scale):
    """softplus(raw) + SMALLEST = scale."""
    return np.log(np.expm1(np.asarray(scale) - SMALLEST))


def variables(weights=WEIGHTS, means=MEANS, scales=VARIANCES**0.5):
    params = {"logits": jnp.log(weights), "mean": means[:, None], "raw_factor": raw(scales)[:, None, None]}
    return {"params": jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)}


def log_prob(variables, x=X):
    return gaussian_mixture((1,), 3).distribution(variables).log_prob(x[:, None])


def test_densities_are_exact_where_none_underflows_and_where_all_do():
    np.testing.assert_allclose(log_prob(variables()), LOG_P, rtol=2e-6)


def test_the_gradient_in_a_mean_is_its_responsibility_times_its_own():
    gradient = jax.jacobian(log_prob)(variables(), X[:5])["params"]
    expected = RESPONSIBILITIES * (X[:5, None] - MEANS) / VARIANCES
    np.testing.assert_allclose(gradient["mean"][..., 0], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gradient["logits"], RESPONSIBILITIES - WEIGHTS, rtol=1e-4, atol=1e-6)


MISTAKES = {
    "the variance where the scale belongs": lambda: variables(scales=VARIANCES),
    "equal weights": lambda: variables(weights=np.full(3, 1 / 3)),
    "weights for logits": lambda: {"params": {**variables()["params"], "logits": jnp.asarray(WEIGHTS)}},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_plausible_mistakes_are_seen(mistake):
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(log_prob(MISTAKES[mistake]()), LOG_P, rtol=1e-2)


def test_full_covariances_are_those_of_scipy_over_arrays_of_any_shape():
    random = np.random.RandomState(0)
    model = gaussian_mixture((2, 2), 3, smallest_scale=SMALLEST)
    shapes = {"logits": 3, "mean": (3, 4), "raw_factor": (3, 4, 4)}
    params = {name: random.normal(size=shape) for name, shape in shapes.items()}
    x, density = random.normal(size=(6, 2, 2)).astype(np.float32), np.zeros(6)
    weights = np.exp(params["logits"]) / np.exp(params["logits"]).sum()
    covariances = []
    for m in range(3):
        factor = np.tril(params["raw_factor"][m], -1)
        factor += np.diag(np.logaddexp(0, np.diag(params["raw_factor"][m])) + SMALLEST)
        covariances.append(factor @ factor.T)
        density += weights[m] * stats.multivariate_normal.pdf(x.reshape(6, 4), params["mean"][m], covariances[m])
    v = {"params": jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)}
    np.testing.assert_allclose(model.distribution(v).log_prob(x), np.log(density), rtol=1e-4)

    draws = np.asarray(model.sample(v, jax.random.key(0), 20_000))
    assert draws.shape == (20_000, 2, 2)
    mean = weights @ params["mean"]
    second = sum(w * (c + np.outer(m, m)) for w, m, c in zip(weights, params["mean"], covariances, strict=True))
    flat = draws.reshape(-1, 4)
    assert_mean(flat, mean)
    assert_mean(flat[:, :, None] * flat[:, None, :], second)


@pytest.mark.slow
def test_no_component_can_shrink_onto_a_point():
    """On a data point the density would be without bound; here it is that of the smallest scale, and has a gradient."""
    model = gaussian_mixture((2,), 1, smallest_scale=0.03)
    at = lambda raw: {
        "params": {"logits": jnp.zeros(1), "mean": jnp.zeros((1, 2)), "raw_factor": raw * jnp.eye(2)[None]}
    }
    density = lambda raw: model.distribution(at(raw)).log_prob(jnp.zeros(2))
    bound = -np.log(2 * np.pi) - 2 * np.log(0.03)
    np.testing.assert_allclose([density(-10.0), density(-1e4)], [bound, bound], atol=1e-2)
    assert density(-1.0) < bound - 1
    assert np.isfinite(jax.grad(density)(-1e4))


def test_means_begin_on_the_points_given_or_are_drawn():
    start = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    batch = Batch(jnp.zeros((1, 2, 2)))
    given = gaussian_mixture((2, 2), 3, start=start, scale=0.7)
    components = given.distribution(given.init(jax.random.key(0), batch)).vectors.components_distribution
    np.testing.assert_array_equal(components.mean(), start.reshape(3, 4))
    np.testing.assert_allclose(components.covariance(), np.tile(0.49 * np.eye(4), (3, 1, 1)), atol=1e-6)

    drawn = gaussian_mixture((2, 2), 5_000, scale=0.7)
    one, two = (drawn.init(jax.random.key(seed), batch)["params"]["mean"] for seed in (0, 1))
    assert not np.any(one == two)
    assert_mean(one**2, 0.49)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_components": 0}, "num_components must be an integer of at least 1, got 0"),
        ({"num_components": True}, "got True"),
        ({"num_components": 2.0}, "got 2.0"),
        ({"smallest_scale": 0.0}, "0 < smallest_scale < scale < inf, got 0.0 and 1.0"),
        ({"smallest_scale": 1.0}, "got 1.0 and 1.0"),
        ({"scale": np.inf}, "got 0.01 and inf"),
        ({"scale": np.nan}, "got 0.01 and nan"),
        ({"start": np.zeros((2, 2))}, r"start must have the shape \(3, 2\), got \(2, 2\)"),
    ],
)
def test_what_makes_no_mixture_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gaussian_mixture((2,), **{"num_components": 3, **arguments})
