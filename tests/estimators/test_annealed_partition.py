"""log Z by annealing: E[w] = Z_1 / Z_0 at any number of temperatures, by oracle o16 and by enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.annealed_partition import annealed_partition, rbm_path
from genjax_models.estimators.boltzmann import log_partition_exact
from tests import energies as exact
from tests.statistics import assert_mean

KEY = jax.random.key(3)
RBM = jnp.array(exact.W), jnp.array(exact.B), jnp.array(exact.C)
PATH, FROM_UNIFORM = (rbm_path(*RBM, jnp.array(bias)) for bias in (exact.AIS["base_bias"], [0.0] * 4))
STATES = jnp.array((np.arange(16)[:, None] >> np.arange(4) & 1).astype(np.float32))


def perfect(path):
    """Returns transitions to independent draws from f_t."""
    return lambda key, states, t: STATES[jax.random.categorical(key, path.log_density(STATES, t), shape=(len(states),))]


# One compiled program takes longer than its chains: other numbers of temperatures are slow tests.
NUMBERS = [1, pytest.param(2, marks=pytest.mark.slow), 10]


@pytest.mark.parametrize(
    ("start", "temperatures"),
    [
        ("rows", 1),
        ("from_uniform", 1),
        ("rows", 10),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in [("rows", 2), ("from_uniform", 10), ("rows", 100)]),
    ],
)
def test_weights_have_the_exact_moments_with_perfect_transitions(start, temperatures):
    """A weight after the move would give 5.983 for 5.700 at T = 1, and a mean of logs 5.550."""
    path = PATH if start == "rows" else FROM_UNIFORM
    row = {row["T"]: row for row in exact.AIS[start]}[temperatures]
    schedule = np.linspace(0, 1, temperatures + 1)
    options = {"num_chains": 50_000, "schedule": schedule}
    log_w, _ = annealed_partition(KEY, path.start, path.log_density, perfect(path), **options)
    log_z = np.asarray(log_w) + path.log_partition
    assert_mean(log_z, row["E_log_w_plus_log_z0"], float_error=1e-5)
    w = np.exp(log_z - row["log_E_w_plus_log_z0"])
    assert_mean(w, 1, float_error=1e-5)
    assert_mean(w**2, 1 + row["relative_variance_of_w"], float_error=1e-5)


def test_log_z0_is_that_of_the_base_rates():
    np.testing.assert_allclose(PATH.log_partition, exact.AIS["log_z0"], rtol=1e-6)


@pytest.mark.parametrize("temperatures", NUMBERS[1:])
def test_gibbs_transitions_give_the_same_mean_of_w(temperatures):
    schedule = np.linspace(0, 1, temperatures + 1)
    log_w, v = annealed_partition(KEY, *PATH[:3], num_chains=50_000, schedule=schedule)
    assert_mean(np.exp(log_w + PATH.log_partition - exact.LOG_Z), 1, float_error=1e-5)
    if temperatures == 10:
        assert_mean(v, np.array(exact.P_V) @ (np.arange(16)[:, None] >> np.arange(4)[::-1] & 1), float_error=5e-3)


@pytest.mark.slow
def test_twenty_hidden_units_are_within_five_standard_errors_of_enumeration():
    keys = jax.random.split(KEY, 4)
    weights = 0.5 * jax.random.normal(keys[0], (20, 20))
    b, c = jax.random.normal(keys[1], (20,)), jax.random.normal(keys[2], (20,))
    path = rbm_path(weights, b, c, jnp.zeros(20))
    log_w, _ = annealed_partition(keys[3], *path[:3], num_chains=200, schedule=np.linspace(0, 1, 301))
    log_z = jax.jit(log_partition_exact)(weights, b, c)
    assert_mean(np.exp(log_w + path.log_partition - log_z), 1)
    assert np.std(log_w) < 1  # so that the standard error is to be trusted


@pytest.mark.parametrize("schedule", [[0, 0.5], [0.1, 1], [0, 0.6, 0.5, 1], [0]])
def test_a_schedule_runs_from_0_to_1(schedule):
    with pytest.raises(ValueError, match="schedule must"):
        annealed_partition(KEY, *PATH[:3], num_chains=2, schedule=schedule)


def test_there_must_be_a_chain():
    with pytest.raises(ValueError, match="num_chains must be an integer of at least 1, got 0"):
        annealed_partition(KEY, *PATH[:3], num_chains=0, schedule=[0, 1])
