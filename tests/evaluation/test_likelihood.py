"""NLL(k) against the exact log p(x) of a linear-Gaussian model, whatever the batch size and k."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.evaluation.likelihood import negative_log_likelihood
from genjax_models.models import LatentVariableModel
from tests.statistics import STANDARD_ERRORS

# z ~ N(0, 1), x | z ~ N(w z + b, s2), q = N(0.3, 0.6): the relative variance of a weight is known at x = 1.7.
W, B, S2 = 1.5, -0.25, 0.5
LOG_P = -2.116102625407549
RELATIVE_VARIANCE = 1.4725906381074512
KEY = jax.random.key(3)


def model_of(scale_of_q: float = 0.6**0.5) -> LatentVariableModel:
    return LatentVariableModel(
        init=lambda key, batch: {},
        posterior=lambda variables, x, label=None: diagonal_normal(
            jnp.full((len(x), 1), 0.3), jnp.full((len(x), 1), scale_of_q)
        ),
        prior=lambda variables, label=None: diagonal_normal(jnp.zeros(1), jnp.ones(1)),
        likelihood=lambda variables, z, label=None: diagonal_normal(W * z + B, jnp.full_like(z, S2**0.5)),
    )


def figures(n=40, **options):
    return negative_log_likelihood(model_of(), {}, KEY, jnp.full((n, 1), 1.7), **options)


def test_it_is_the_exact_likelihood_within_its_own_error():
    """It is low by R / 2k, 1.5e-4 here, with a standard deviation of sqrt(R / k) for each example."""
    result = figures(n=40, num_samples=5_000)
    error = STANDARD_ERRORS * np.sqrt(RELATIVE_VARIANCE / 5_000 / 40)
    assert abs(float(jnp.mean(result["negative_log_likelihood"])) + LOG_P - RELATIVE_VARIANCE / 10_000) < error
    np.testing.assert_allclose(result["effective_sample_size"].mean() / 5_000, 1 / (1 + RELATIVE_VARIANCE), rtol=0.02)


def test_a_mean_of_logs_would_be_detected():
    """The most common mistake gives the ELBO for every k: -4.27."""
    one = figures(n=400, num_samples=1)["negative_log_likelihood"].mean()
    assert abs(one + LOG_P) > 1


@pytest.mark.parametrize("k", [*(pytest.param(k, marks=pytest.mark.slow) for k in (1, 30)), 250])
def test_no_figure_depends_on_the_batch_size(k):
    whole, parts = figures(n=7, num_samples=k, batch_size=7), figures(n=7, num_samples=k, batch_size=3)
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-4, atol=1e-4)
    assert len(np.unique(whole["negative_log_likelihood"])) == 7  # every example has draws of its own


def test_samples_of_different_blocks_are_different():
    one, two = (figures(n=5, num_samples=k)["effective_sample_size"] for k in (100, 200))
    assert np.all(np.abs(two / one - 2) > 1e-3)  # a block that is drawn twice would have exactly twice the size


def test_a_proposal_that_misses_the_posterior_is_flagged():
    narrow = negative_log_likelihood(model_of(0.08**0.5), {}, KEY, jnp.full((5, 1), 1.7), num_samples=5_000)
    assert float(narrow["pareto_k_hat"].mean()) > 0.7 > float(figures(n=5)["pareto_k_hat"].mean())


def test_a_tail_of_few_samples_is_not_judged():
    assert "pareto_k_hat" not in figures(n=2, num_samples=24)


@pytest.mark.parametrize("k", [0, True, 2.0])
def test_a_k_that_is_not_a_positive_integer_is_refused(k):
    with pytest.raises(ValueError, match="integer of at least 1"):
        figures(num_samples=k)
