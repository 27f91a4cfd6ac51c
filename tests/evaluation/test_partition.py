"""log Z of machines, exact and by annealing, and likelihoods with it: oracle o16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.evaluation.partition import partition_of
from tests import energies as exact
from tests.models.test_boltzmann import DBM, DBM_VARIABLES, RBM, RBM_VARIABLES, X

KEY = jax.random.key(0)
DATA = jnp.array(exact.DATA)


def annealed(machine, variables, base_rates):
    options = {"num_chains": 20_000, "num_temperatures": 5, "exact": False, "base_rates": base_rates}
    return gx.estimate_partition(machine, variables, KEY, **options)


def test_log_z_is_exact_for_a_small_layer_and_likelihoods_are_exact_at_every_batch_size():
    log_z = gx.estimate_partition(RBM, RBM_VARIABLES, KEY)
    np.testing.assert_allclose(log_z.log_partition, exact.LOG_Z, rtol=1e-6)
    assert (log_z.standard_error, log_z.num_chains) == (0, 0)
    for batch_size in (2, 5):
        log_p = gx.boltzmann_log_likelihood(RBM, RBM_VARIABLES, DATA, log_z.log_partition, batch_size=batch_size)
        np.testing.assert_allclose(log_p, exact.LOG_P, rtol=1e-5)


def test_annealing_knows_its_error():
    """At one transition: the relative variance of a weight is 0.3282, as the oracle says, from the base rates."""
    mean = 1 / (1 + np.exp(-np.array(exact.AIS["base_bias"])))
    machine = gx.restricted_boltzmann_machine((4,), 3, data_mean=mean)
    options = {"num_chains": 20_000, "num_temperatures": 2, "exact": False}
    log_z = gx.estimate_partition(machine, RBM_VARIABLES, KEY, **options)
    relative = exact.AIS["rows"][0]["relative_variance_of_w"]
    np.testing.assert_allclose(log_z.standard_error, np.sqrt(relative / 20_000), rtol=0.1)
    np.testing.assert_allclose(log_z.effective_sample_size, 20_000 / (1 + relative), rtol=0.03)
    assert abs(log_z.log_partition - exact.LOG_Z) < 5 * log_z.standard_error


def test_the_error_of_a_log_of_a_mean_is_the_relative_error_of_the_mean():
    w = np.array([1.0, 2.0, 4.0, 9.0])
    log_z = partition_of(jnp.log(w), jnp.float32(0.5))
    np.testing.assert_allclose(log_z.log_partition, 0.5 + np.log(4), rtol=1e-6)
    np.testing.assert_allclose(log_z.standard_error, np.std(w, ddof=1) / 2 / 4, rtol=1e-6)
    np.testing.assert_allclose(log_z.effective_sample_size, 16**2 / 102, rtol=1e-6)


def test_a_deep_machine_has_log_z_and_a_bound_that_rises_with_its_sweeps():
    log_z = gx.estimate_partition(DBM, DBM_VARIABLES, KEY)
    np.testing.assert_allclose(log_z.log_partition, exact.DBM_LOG_Z, rtol=1e-6)
    estimated = annealed(DBM, DBM_VARIABLES, np.full(4, 0.3))
    assert abs(estimated.log_partition - exact.DBM_LOG_Z) < 5 * estimated.standard_error  # false alarms: 6e-7
    assert estimated.standard_error < 0.01
    bounds = [
        gx.boltzmann_log_likelihood(DBM, DBM_VARIABLES, X, log_z.log_partition, sweeps=sweeps) for sweeps in (1, 60)
    ]
    assert bounds[0] < bounds[1] < exact.CLAMPED["log_p"]
    np.testing.assert_allclose(bounds[1], exact.CLAMPED["lower_bound_of_log_p"], rtol=1e-6)
    of_size = lambda size: gx.boltzmann_log_likelihood(DBM, DBM_VARIABLES, DATA, 0.0, batch_size=size)
    np.testing.assert_allclose(of_size(2), of_size(5), rtol=1e-6)


def test_base_rates_are_of_the_visible_units():
    """Without weights, annealing from the machine's own rates has no error; as rates of g they would give one."""
    rates = np.array([0.1, 0.3, 0.6, 0.9])
    alone = {name: jnp.zeros_like(value) for name, value in DBM_VARIABLES["params"].items()}
    alone["visible_bias"] = jnp.asarray(np.log(rates / (1 - rates)), jnp.float32)
    log_z = annealed(DBM, {"params": alone}, rates)
    np.testing.assert_allclose(log_z.log_partition, -np.log(1 - rates).sum() + 5 * np.log(2), rtol=1e-6)
    assert log_z.standard_error < 1e-6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: gx.estimate_partition(DBM._replace(classes=3), DBM_VARIABLES, KEY), "without classes"),
        (lambda: gx.boltzmann_log_likelihood(DBM, DBM_VARIABLES, X, 0.0, sweeps=0), "sweeps must be an integer"),
        (lambda: gx.estimate_partition(RBM, RBM_VARIABLES, KEY, num_chains=1), "num_chains must be an integer"),
        (lambda: gx.estimate_partition(RBM, RBM_VARIABLES, KEY, num_temperatures=1), "num_temperatures must be"),
        (lambda: annealed(DBM, DBM_VARIABLES, np.full(6, 0.3)), r"base_rates must have the shape \(4,\), got \(6,\)"),
        (lambda: annealed(RBM, RBM_VARIABLES, np.full(2, 0.3)), r"base_rates must have the shape \(4,\), got \(2,\)"),
        (lambda: annealed(RBM, RBM_VARIABLES, np.full(4, 2.0)), r"base_rates must be in \[0, 1\], got 2 to 2"),
        (lambda: gx.boltzmann_log_likelihood(RBM, RBM_VARIABLES, 2 * DATA, 0.0), "x must be in"),
        (lambda: gx.boltzmann_log_likelihood(RBM, RBM_VARIABLES, DATA / 2, 0.0), "x must be 0 or 1, got 0.5"),
        (lambda: gx.boltzmann_log_likelihood(RBM, RBM_VARIABLES, DATA[0], 0.0), "x must be"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
