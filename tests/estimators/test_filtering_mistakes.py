"""Plausible mistakes of a particle filter, each planted into a filter by hand, against the oracle `o15_sequences`."""

from functools import cache
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.filtering import filtering_bound
from tests.estimators.test_filtering import EMISSION, INITIAL, P_X, PROPOSAL, SYMBOLS, TRANSITION, hidden_markov
from tests.statistics import assert_mean

TWO = range(2)  # particles, and states of the hidden Markov model
RIGHT = {"always": -3.522482932948351, "never": -3.510267876898754}
# mistake: whether the filter resamples, E[log p^] and E[p^].
MISTAKES = {
    "states not gathered": ("always", -3.481383590553606, 0.03299375),
    "weights not reset": ("always", -6.936858990950521, 0.0010895253199404765),
    "no -log N": ("always", -2.13618857182846, 0.12596),
    "product of averages": ("never", -3.481383590553607, 0.03299375),
}


def paths(resample, mistake, t=0, before=(0, 0), weights=(1.0, 1.0), p_hat=1.0, probability=1.0):
    """Yields p^(x) and its probability, for all draws of two particles and all their ancestors."""
    if t == len(SYMBOLS):
        yield p_hat * np.mean(weights), probability
        return
    for z in map(list, product(TWO, TWO)):
        proposed = PROPOSAL[t][list(before), z]
        prior = TRANSITION[list(before), z] if t else INITIAL[z]
        increments = prior * EMISSION[z, SYMBOLS[t]] / proposed
        products, share = weights * increments, probability * np.prod(proposed)
        after = {"t": t + 1, "before": z, "weights": products, "p_hat": p_hat, "probability": share}
        if mistake == "product of averages":
            after |= {"weights": np.ones(2), "p_hat": p_hat * np.mean(increments)}
        if not resample or t == len(SYMBOLS) - 1:
            yield from paths(resample, mistake, **after)
            continue
        after["p_hat"] *= np.sum(products) if mistake == "no -log N" else np.mean(products)
        for ancestors in map(list, product(TWO, TWO)):
            chosen = np.prod((products / np.sum(products))[ancestors])
            kept = {
                "before": z if mistake == "states not gathered" else [z[a] for a in ancestors],
                "weights": products[ancestors] if mistake == "weights not reset" else np.ones(2),
                "probability": share * chosen,
            }
            yield from paths(resample, mistake, **after | kept)


def exact(criterion, mistake=None):
    """Returns E[log p^] and E[p^] of two particles."""
    p_hat, probability = np.array(list(paths(criterion == "always", mistake))).T
    np.testing.assert_allclose(probability.sum(), 1, rtol=1e-6)
    return probability @ np.log(p_hat), probability @ p_hat


@cache
def drawn(criterion):
    """Returns log p^ of 20,000 filters."""
    run = lambda theta: hidden_markov(filtering_bound, theta, num_particles=2, criterion=criterion).bound
    return jax.jit(run)(jnp.zeros((20_000, 2)))


@pytest.mark.parametrize("criterion", RIGHT)
def test_the_filter_by_hand_is_right_without_a_mistake(criterion):
    np.testing.assert_allclose(exact(criterion), (RIGHT[criterion], P_X), rtol=1e-6)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_draws_of_the_filter_tell_the_right_bound_from_that_of_a_mistake(mistake):
    criterion, *wrong = MISTAKES[mistake]
    np.testing.assert_allclose(exact(criterion, mistake), wrong, rtol=1e-6)
    assert_mean(drawn(criterion), RIGHT[criterion])
    with pytest.raises(AssertionError):
        assert_mean(drawn(criterion), wrong[0])
