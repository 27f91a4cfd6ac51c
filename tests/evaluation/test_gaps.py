"""The gap of the bound and its two parts, against the closed forms of linear-Gaussian models."""

from functools import partial

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax_models.estimators.distributions import Chain, FullCovarianceNormal, diagonal_normal
from genjax_models.evaluation.gaps import bound_gaps, local_family
from genjax_models.models import LatentVariableModel
from tests.statistics import assert_mean

# z ~ N(0, I_2), x | z ~ N(W z + b, s2 I_3). A diagonal q misses the correlation of the posterior N(m(x), C).
W = np.array([[1.0, 0.8], [0.3, 0.6], [-0.7, -0.5]])
B, S2 = np.array([0.1, -0.2, 0.3]), 0.25
X = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -0.75]])
LOG_P = stats.multivariate_normal.logpdf(X, B, W @ W.T + S2 * np.eye(3))
PRECISION = np.eye(2) + W.T @ W / S2
COVARIANCE = np.linalg.inv(PRECISION)
KEY = jax.random.key(0)


def kl(shift, covariance):
    """KL(N(m + shift, covariance) || N(m, C))."""
    logs = np.linalg.slogdet(COVARIANCE)[1] - np.linalg.slogdet(covariance)[1]
    return 0.5 * (np.trace(PRECISION @ covariance) + shift @ PRECISION @ shift - 2 + logs)


# The best diagonal q has the posterior's mean, and the variances 1 / precision: those of z_i given the other.
APPROXIMATION = 0.5 * (np.log(np.diag(PRECISION)).sum() - np.linalg.slogdet(PRECISION)[1])
# The encoder errs in its mean and in its scale, by example in the mean.
SHIFTS = np.array([[0.3, -0.2], [0.0, 0.0], [-0.4, 0.5]])
FACTOR = np.array([[0.6, 0.0], [-0.2, 0.4]])  # of the full-covariance encoder


def model_of(family):
    def posterior(variables, x, label=None):
        mean = (x - B) @ (W @ COVARIANCE / S2) + jnp.float32(SHIFTS)[label]
        if family == "diagonal":
            return diagonal_normal(mean, jnp.broadcast_to(jnp.diagonal(FACTOR), mean.shape))
        return FullCovarianceNormal(mean, jnp.broadcast_to(FACTOR, (*mean.shape, 2)))

    return LatentVariableModel(
        init=lambda key, batch: {},
        posterior=posterior,
        prior=lambda variables, label=None: diagonal_normal(jnp.zeros(2), jnp.ones(2)),
        likelihood=lambda variables, z, label=None: diagonal_normal(z @ W.T + B, jnp.full((*z.shape[:-1], 3), S2**0.5)),
    )


@partial(jax.jit, static_argnames=("family", "copies", "steps", "step_samples", "num_samples", "batch_size"))
def gaps(family="diagonal", copies=1, log_p=LOG_P, key=KEY, **options):
    """The gaps of the three examples, repeated `copies` times with other noise, `[3 * copies]`."""
    which = jnp.tile(jnp.arange(3), copies)
    x, log_p = jnp.float32(X)[which], jnp.asarray(log_p, jnp.float32)[which]
    return bound_gaps(model_of(family), {}, key, x, log_p, label=which, **options)


def exact(family):
    """The gap and its two parts, `[3]` each."""
    covariance = FACTOR @ FACTOR.T if family == "full" else np.diag(np.diag(FACTOR) ** 2)
    whole = np.array([kl(shift, covariance) for shift in SHIFTS])
    approximation = np.full(3, APPROXIMATION if family == "diagonal" else 0.0)
    return {"gap": whole, "approximation_gap": approximation, "amortisation_gap": whole - approximation}


def assert_exact(figures, expected, search_error=0.003):
    """Equal within five standard errors and, for the parts, the remaining error of the search."""
    for name, value in expected.items():
        assert_mean(figures[name].reshape(-1, 3), value, float_error=1e-4 if name == "gap" else search_error)


@pytest.fixture(scope="module")
def gaps_by_family():
    return {family: gaps(family, copies=40, steps=400) for family in ("diagonal", "full")}


@pytest.mark.parametrize("family", ["diagonal", "full"])
def test_the_gap_and_its_parts_are_exact(gaps_by_family, family):
    assert min(APPROXIMATION, exact(family)["amortisation_gap"].min()) > 0.1
    assert_exact(gaps_by_family[family], exact(family))
    gap, approximation, amortisation = (gaps_by_family[family][name] for name in exact(family))
    np.testing.assert_allclose(gap, approximation + amortisation, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_an_unfinished_search_counts_as_approximation_gap(gaps_by_family):
    """Too few steps never make the amortisation gap too large."""
    short, long = gaps(copies=40, steps=10), gaps_by_family["diagonal"]
    with pytest.raises(AssertionError):
        assert_exact(short, exact("diagonal"))
    assert float(jnp.mean(short["approximation_gap"] - long["approximation_gap"])) > 0.1
    np.testing.assert_allclose(short["gap"], long["gap"], atol=1e-5)


MISTAKES = {  # wrong results for the diagonal family
    "q* with the encoder's scale": {"approximation_gap": [kl(np.zeros(2), np.diag(np.diag(FACTOR) ** 2))] * 3},
    "q* with the posterior's variances": {"approximation_gap": [kl(np.zeros(2), np.diag(np.diag(COVARIANCE)))] * 3},
    "the parts changed about": {"approximation_gap": exact("diagonal")["amortisation_gap"]},
    "log p(x) in bits": {"gap": exact("diagonal")["gap"] + LOG_P * (1 / np.log(2) - 1)},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_plausible_mistakes_would_be_detected(gaps_by_family, mistake):
    with pytest.raises(AssertionError):
        assert_exact(gaps_by_family["diagonal"], MISTAKES[mistake])


def test_an_encoder_that_is_best_has_no_amortisation_gap():
    """The full-covariance family holds the posterior: both gaps are zero, up to rounding in the gradients of Adam."""
    factor = np.linalg.cholesky(COVARIANCE)
    model = model_of("full")._replace(
        posterior=lambda variables, x, label=None: FullCovarianceNormal(
            (x - B) @ (W @ COVARIANCE / S2), jnp.broadcast_to(jnp.float32(factor), (len(x), 2, 2))
        )
    )
    figures = bound_gaps(model, {}, KEY, jnp.float32(X), jnp.float32(LOG_P), steps=50, num_samples=10)
    np.testing.assert_allclose(figures["gap"], 0, atol=1e-4)
    np.testing.assert_allclose(figures["approximation_gap"], 0, atol=3e-3)
    np.testing.assert_allclose(figures["amortisation_gap"], 0, atol=3e-3)


@pytest.mark.slow
def test_no_figure_depends_on_the_batch_size():
    whole, parts = (gaps(copies=2, steps=20, num_samples=150, batch_size=size) for size in (6, 4))
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-4, atol=1e-4)
        assert len(np.unique(whole[name])) == 6  # every example has draws of its own


@pytest.mark.parametrize(
    "posterior",
    [
        diagonal_normal(jnp.array([[0.3, -1.0]]), jnp.array([[1e-3, 40.0]])),
        FullCovarianceNormal(jnp.array([[0.3, -1.0]]), jnp.array([[[1e-3, 0.0], [-5.0, 2.0]]])),
    ],
    ids=["diagonal", "full"],
)
def test_the_search_starts_at_the_encoder(posterior):
    parameters, distribution = local_family(posterior)
    z = posterior.sample(seed=KEY, sample_shape=5)
    again = distribution(parameters)
    assert type(again) is type(posterior)
    np.testing.assert_allclose(again.log_prob(z), posterior.log_prob(z), rtol=1e-4)
    np.testing.assert_allclose(again.sample(seed=KEY, sample_shape=5), z, rtol=1e-5)


@pytest.mark.parametrize(
    "posterior",
    [
        Chain(diagonal_normal(jnp.zeros((1, 2)), jnp.ones((1, 2))), []),
        distrax.Independent(distrax.Laplace(jnp.zeros((1, 2)), jnp.ones((1, 2))), 1),
        distrax.Normal(jnp.zeros(1), jnp.ones(1)),
    ],
    ids=["chain", "laplace", "scalar"],
)
def test_other_families_are_refused(posterior):
    with pytest.raises(ValueError, match="must be a diagonal or full-covariance Gaussian over vectors, got"):
        local_family(posterior)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "`steps` must be at least 0, got -1"),
        ({"step_samples": 0}, "integer of at least 1, got 0"),
        ({"num_samples": 2.0}, "integer of at least 1, got 2.0"),
        ({"batch_size": 0}, "at least 1, got 0"),
        ({"log_likelihood": LOG_P[:2]}, r"`log_likelihood` must have shape \(3,\), got \(2,\)"),
    ],
)
def test_what_makes_no_gap_is_refused(options, message):
    arguments = {"log_likelihood": jnp.float32(LOG_P), "label": jnp.arange(3), **options}
    with pytest.raises(ValueError, match=message):
        bound_gaps(model_of("diagonal"), {}, KEY, jnp.float32(X), **arguments)
