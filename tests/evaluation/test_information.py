"""Mutual information and the aggregate posterior, against quadrature and the Gaussian channel."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax_models.estimators.distributions import Chain, FullCovarianceNormal, diagonal_normal
from genjax_models.evaluation.estimates import estimate
from genjax_models.evaluation.information import latent_information
from genjax_models.models import LatentVariableModel
from tests.statistics import assert_mean

KEY = jax.random.key(0)
NAMES = ("kl", "mutual_information", "marginal_kl")


def model_of(posterior, prior):
    return LatentVariableModel(
        init=lambda key, batch: {},
        posterior=lambda variables, x, label=None: posterior(x),
        prior=lambda variables, label=None: prior,
        likelihood=lambda variables, z, label=None: diagonal_normal(z, jnp.ones(z.shape)),
    )


def standard_normal(size):
    return diagonal_normal(jnp.zeros(size), jnp.ones(size))


# Seven examples, unequally spread: q(z | x) = N(x, S^2) under p(z) = N(0.5, 1.5^2).
S, PRIOR = 0.4, stats.norm(0.5, 1.5)
X = np.array([-2.0, -1.7, -0.2, 0.0, 0.1, 1.4, 3.0])
SMALL = model_of(
    lambda x: diagonal_normal(x, jnp.full(x.shape, S)), diagonal_normal(jnp.array([0.5]), jnp.array([1.5]))
)


@partial(jax.jit, static_argnames=("num_samples", "batch_size"))
def small(key=KEY, num_samples=1, batch_size=7):
    x = jnp.asarray(X, jnp.float32)[:, None]
    return latent_information(SMALL, {}, key, x, num_samples=num_samples, batch_size=batch_size)


def quadrature(own=True, scale=S):
    """Means over the seven examples, on a grid where the trapezoid rule is exact to rounding, or without own terms."""
    z = np.linspace(-8, 9, 20_001)
    q, log_q, log_p = stats.norm.pdf(z, X[:, None], scale), stats.norm.logpdf(z, X[:, None], scale), PRIOR.logpdf(z)
    log_aggregate = np.log(q.mean(axis=0) if own else np.maximum(q.sum(axis=0) - q, 1e-300) / 6)
    mean = lambda values: float(np.mean(np.trapezoid(q * values, z, axis=1)))
    return {
        "kl": mean(log_q - log_p),
        "mutual_information": mean(log_q - log_aggregate),
        "marginal_kl": mean(log_aggregate - log_p),
    }


@pytest.fixture(scope="module")
def repeated():
    """20,000 estimates from one draw of each example."""
    means = lambda key: {name: jnp.mean(value) for name, value in small(key).items()}
    return jax.jit(lambda keys: jax.lax.map(means, keys, batch_size=1_000))(jax.random.split(KEY, 20_000))


def test_a_mixture_of_few_examples_is_that_of_quadrature(repeated):
    exact = quadrature()
    assert exact["kl"] == pytest.approx(exact["mutual_information"] + exact["marginal_kl"], abs=1e-9)
    for name in NAMES:
        assert_mean(repeated[name], exact[name], float_error=1e-5)


ENTROPY = stats.norm.entropy(0, S)
CROSS_ENTROPY = np.mean([ENTROPY + (a - b) ** 2 / (2 * S**2) for a in X for b in X])
MISTAKES = {
    "without the example itself": quadrature(own=False)["mutual_information"],
    "a mean of logs": CROSS_ENTROPY - ENTROPY,
    "a sum and no mean": quadrature()["mutual_information"] - np.log(7),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_plausible_mistakes_would_be_detected(repeated, mistake):
    with pytest.raises(AssertionError):
        assert_mean(repeated["mutual_information"], MISTAKES[mistake], float_error=1e-5)


def test_more_draws_are_their_mean(repeated):
    many = small(num_samples=20_000)
    for name in NAMES:
        error = 5 * 2**0.5 * float(np.std(repeated[name])) / 20_000**0.5
        assert abs(float(jnp.mean(many[name])) - quadrature()[name]) < error + 1e-4


@partial(jax.jit, static_argnames=("n", "size", "noise", "posterior"))
def channel(n, key=KEY, size=2, noise=0.5, posterior=diagonal_normal):
    """x ~ N(0, (1 - noise^2) I), z = x + noise eps: q(z) is the prior N(0, I), and I = -size log(noise)."""
    x = (1 - noise**2) ** 0.5 * jax.random.normal(key, (n, size))
    model = model_of(lambda x: posterior(x, jnp.full(x.shape, noise)), standard_normal(size))
    return latent_information(model, {}, jax.random.fold_in(key, 1), x, batch_size=250)


@pytest.fixture(scope="module")
def datasets():
    """Estimates and their standard errors, from 150 sets of 500 examples."""

    def one(key):
        figures = channel(500, key)
        return {name: (jnp.mean(value), jnp.std(value, ddof=1) / 500**0.5) for name, value in figures.items()}

    return jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=10))(jax.random.split(KEY, 150))


@pytest.mark.slow
def test_of_many_examples_it_is_the_capacity_of_a_gaussian_channel(datasets):
    """1/2 log(1 + snr) in each dimension, 2 log 2 in all; the bias at n = 500 is O(1 / n)."""
    exact = {"kl": 2 * np.log(2), "mutual_information": 2 * np.log(2), "marginal_kl": 0.0}
    for name in NAMES:
        assert_mean(datasets[name][0], exact[name], float_error=0.012)
    information, error, *_ = estimate(channel(4_000)["mutual_information"])
    assert abs(information - 2 * np.log(2)) < 5 * error + 0.0015
    assert error < 0.02


def test_the_error_that_estimates_state_is_that_of_repeated_data(datasets):
    """An empirical standard deviation of 150 errs by 6%."""
    for name in ("kl", "mutual_information"):
        means, errors = datasets[name]
        assert float(np.std(means) / np.mean(errors)) == pytest.approx(1, abs=0.3)


def test_a_full_covariance_has_the_same_information():
    full = lambda mean, scale: FullCovarianceNormal(mean, scale[..., None] * jnp.eye(2))
    one, other = channel(300), channel(300, posterior=full)
    for name in NAMES:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-4)


def test_no_draw_passes_log_n():
    """Posteriors that do not overlap: the true information is 40 nats."""
    far = channel(50, size=10, noise=0.018)
    assert float(jnp.mean(far["kl"])) > 35
    np.testing.assert_allclose(far["mutual_information"], np.log(50), rtol=1e-4)
    assert np.all(far["mutual_information"] <= np.log(50) + 1e-4)
    np.testing.assert_allclose(far["marginal_kl"], far["kl"] - np.log(50), atol=1e-3)


def test_a_z_that_ignores_x_has_no_information():
    model = model_of(lambda x: diagonal_normal(0 * x + 1, jnp.full(x.shape, 0.5)), standard_normal(1))
    figures = latent_information(model, {}, KEY, jnp.arange(40.0)[:, None], num_samples=50)
    np.testing.assert_allclose(figures["mutual_information"], 0, atol=1e-5)
    np.testing.assert_allclose(figures["marginal_kl"], figures["kl"], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 500])
def test_no_figure_depends_on_the_batch_size(batch_size):
    whole, parts = small(num_samples=3, batch_size=7), small(num_samples=3, batch_size=batch_size)
    for name in NAMES:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-5, atol=1e-5)
    assert len(np.unique(whole["mutual_information"])) == 7


@pytest.mark.slow
def test_layers_above_add_nothing_to_what_the_first_says():
    """x -> z_1 -> z_2 is a Markov chain: I(x; z_1, z_2) = I(x; z_1), draw by draw."""
    first = lambda x: diagonal_normal(x, jnp.full(x.shape, S))
    above = lambda z: diagonal_normal(2 * z, jnp.full(z.shape, 0.3))
    model = model_of(lambda x: Chain(first(x), [above]), Chain(standard_normal(1), [above]))
    x = jnp.asarray(X, jnp.float32)[:, None]
    figures = latent_information(model, {}, KEY, x, num_samples=500, batch_size=3)
    exact = quadrature()["mutual_information"]
    assert abs(float(jnp.mean(figures["mutual_information"])) - exact) < 5 * 0.9 / (7 * 500) ** 0.5
    np.testing.assert_allclose(figures["marginal_kl"], figures["kl"] - figures["mutual_information"], atol=1e-4)


def test_labels_go_where_the_examples_go():
    """q(z | x, label) depends on the label only and is the mixture of `X`; labels enter higher layers too."""
    codes = jnp.asarray(X, jnp.float32)
    first = lambda label: diagonal_normal(codes[label][:, None], jnp.full((len(label), 1), S))
    above = lambda label: lambda z: diagonal_normal(z + codes[label][:, None], jnp.ones(z.shape))
    flat = SMALL._replace(posterior=lambda variables, x, label: first(label))
    figures_of = jax.jit(
        lambda model, samples: latent_information(
            model, {}, KEY, jnp.zeros((7, 2)), label=jnp.arange(7), num_samples=samples, batch_size=3
        ),
        static_argnums=(0, 1),
    )
    for name, value in figures_of(flat, 3).items():
        np.testing.assert_allclose(value, small(num_samples=3)[name], rtol=1e-5, atol=1e-5)
    chain = flat._replace(
        posterior=lambda variables, x, label: Chain(first(label), [above(label)]),
        prior=lambda variables, label: Chain(standard_normal(1), [above(label)]),
    )
    figures = figures_of(chain, 5_000)
    exact = quadrature(scale=(1 / S**2 + 1) ** -0.5)[
        "mutual_information"
    ]  # z_2 - z_1 is a second measurement of the code
    assert abs(float(jnp.mean(figures["mutual_information"])) - exact) < 5 * 0.9 / (7 * 5_000) ** 0.5
    assert exact > quadrature()["mutual_information"] + 0.03


@pytest.mark.parametrize(("num_samples", "n", "batch_size"), [(0, 3, 5), (True, 3, 5), (1, 0, 5), (1, 3, 0)])
def test_no_samples_and_no_examples_are_refused(num_samples, n, batch_size):
    with pytest.raises(ValueError, match=r"at least 1, got|at least one example"):
        latent_information(SMALL, {}, KEY, jnp.zeros((n, 1)), num_samples=num_samples, batch_size=batch_size)
