"""Restricted Boltzmann machines and additive energies against enumeration: oracle o16 and closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators import boltzmann
from tests import energies as exact
from tests.statistics import assert_drawn_from, assert_mean

KEY = jax.random.key(5)
sweep = jax.jit(boltzmann.gibbs_sweep)
W, B, C = (jnp.array(values) for values in (exact.W, exact.B, exact.C))
RBM = W, B, C
DATA = jnp.array(exact.DATA)
STATES = (np.arange(16)[:, None] >> np.arange(4)[::-1] & 1).astype(np.int8)  # in binary order
PLACES = 2 ** np.arange(4)[::-1]
COEFFICIENTS = jnp.array([1.5, -0.8, 1.0])


def drawn(n, probabilities):
    """Returns n states as int8 `[n, 4]`, by these probabilities of the 16."""
    return STATES[np.random.RandomState(1).choice(16, n, p=np.array(probabilities) / np.sum(probabilities))]


def codes(v):
    return np.asarray(v) @ PLACES


def mean_log_p(weights, visible_bias, hidden_bias):
    machine = weights, visible_bias, hidden_bias
    return -jnp.mean(boltzmann.free_energy(DATA, *machine)) - boltzmann.log_partition_exact(*machine)


def test_free_energy_log_partition_and_likelihood_are_exact():
    energy = boltzmann.free_energy(DATA, *RBM)
    np.testing.assert_allclose(energy, exact.FREE_ENERGY, rtol=1e-6)
    log_partition = jax.jit(boltzmann.log_partition_exact)
    for machine in (RBM, (W.T, C, B)):
        np.testing.assert_allclose(log_partition(*machine), exact.LOG_Z, rtol=1e-6)
    np.testing.assert_allclose(-energy - exact.LOG_Z, exact.LOG_P, rtol=1e-6)
    value, gradient = jax.jit(jax.value_and_grad(mean_log_p, (0, 1, 2)))(*RBM)
    np.testing.assert_allclose(value, exact.MEAN_LOG_P, rtol=1e-6)
    for name, g in zip("Wbc", gradient, strict=True):
        np.testing.assert_allclose(g, exact.GRADIENT[name], atol=1e-6)


def test_the_exact_log_partition_sums_over_blocks_and_refuses_large_layers():
    b, c = jnp.linspace(-2, 1, 14), jnp.linspace(-1, 2, 13)  # 8,192 states of the smaller layer: two blocks
    independent = np.sum(np.logaddexp(0, b)) + np.sum(np.logaddexp(0, c))
    np.testing.assert_allclose(boltzmann.log_partition_exact(jnp.zeros((14, 13)), b, c), independent, rtol=1e-6)
    with pytest.raises(ValueError, match=r"at most 20 units, got 21\. Use annealed_partition"):
        boltzmann.log_partition_exact(jnp.zeros((22, 21)), jnp.zeros(22), jnp.zeros(21))


def test_the_pseudo_likelihood_is_exact_also_over_blocks():
    pseudo = jax.jit(boltzmann.pseudo_log_likelihood)(DATA, *RBM)
    np.testing.assert_allclose(np.mean(pseudo), exact.PSEUDO, rtol=1e-6)
    b = jnp.linspace(-2, 1, 35)  # three blocks, the last one with 3 units
    v = (jax.random.uniform(KEY, (2, 35)) < 0.5).astype(jnp.float32)
    independent = np.sum(v * b - np.logaddexp(0, b), axis=1)
    got = jax.jit(boltzmann.pseudo_log_likelihood)(v, jnp.zeros((35, 2)), b, jnp.zeros(2))
    np.testing.assert_allclose(got, independent, rtol=1e-5)


def test_a_gibbs_sweep_has_the_exact_kernel_and_keeps_int8():
    v = sweep(KEY, jnp.zeros((100_000, 4), jnp.int8), *RBM)
    assert v.dtype == jnp.int8
    assert_drawn_from(codes(v), exact.ROW_OF_0000)


def test_both_layers_draw_apart_also_if_they_have_one_size():
    """With the same noise for both, v = 1 exactly if h = 1: 0.27 in place of 0.32."""
    v = sweep(KEY, jnp.zeros((20_000, 1)), jnp.array([[4.0]]), jnp.array([-2.0]), jnp.array([-1.0]))
    on, off = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))
    of_h = 1 / (1 + math.exp(1))
    assert_mean(v[:, 0], of_h * on + (1 - of_h) * off)


def test_observed_units_keep_their_bits_and_the_others_have_the_exact_conditional():
    observed = jnp.broadcast_to(~jnp.array(exact.MISSING), (100_000, 4))
    v = start = jnp.where(observed, jnp.array(exact.V), 0)
    for key in jax.random.split(KEY, 8):
        v = sweep(key, v, *RBM, observed=observed)
    np.testing.assert_array_equal(v[observed], start[observed])
    assert_drawn_from(2 * np.asarray(v[:, 1], int) + np.asarray(v[:, 3], int), exact.PAIRS)


def gradient_with(negatives):
    """Returns the gradient of mean log p with chains in place of E_p, per chain of 1,000, for standard errors."""

    def value(machine, chains):
        return boltzmann.free_energy(chains, *machine).mean() - boltzmann.free_energy(DATA, *machine).mean()

    groups = jnp.reshape(negatives, (1_000, -1, 4))
    return jax.jit(jax.vmap(jax.grad(value), (None, 0)))(RBM, groups)


def test_chains_at_the_model_stay_there_and_their_gradient_is_exact():
    v = sweep(KEY, drawn(400_000, exact.P_V), *RBM)
    assert_drawn_from(codes(v), exact.P_V)
    for name, g in zip("Wbc", gradient_with(v), strict=True):
        assert_mean(g, exact.GRADIENT[name], float_error=1e-6)


@pytest.mark.slow
def test_one_sweep_from_the_data_has_another_gradient():
    """Contrastive divergence is not the likelihood: 0.0759 for 0.0798 in W[0, 0]."""
    v = jnp.repeat(DATA, 80_000, axis=0)
    v = sweep(KEY, v, *RBM)[np.random.RandomState(0).permutation(400_000)]
    gradient = gradient_with(v)
    for name, g in zip("Wbc", gradient, strict=True):
        assert_mean(g, exact.GRADIENT_CD1[name], float_error=1e-6)
    with pytest.raises(AssertionError):
        assert_mean(gradient[0], exact.GRADIENT["W"])


def test_hidden_units_have_no_order():
    order = jnp.array([2, 0, 1])
    same = W[:, order], B, C[order]
    np.testing.assert_allclose(boltzmann.free_energy(DATA, *same), exact.FREE_ENERGY, rtol=1e-6)


def test_an_additive_density_of_softplus_is_the_machine():
    density = boltzmann.additive_log_density(DATA, W, C, jnp.ones(3), B, feature=jax.nn.softplus)
    np.testing.assert_allclose(density, -np.array(exact.FREE_ENERGY), rtol=1e-6)


def additive_kernel():
    """Returns the exact kernel `[16, 16]` of one sweep over the units in turn, and the distribution that it keeps."""
    f = lambda x: 1 / (1 + np.exp(-(np.array(exact.C) + x @ np.array(exact.W))))
    density = np.exp(STATES @ np.array(exact.B) + f(STATES) @ np.asarray(COEFFICIENTS, np.float64))
    kernel = np.eye(16)
    for unit in range(4):
        move = np.zeros((16, 16))
        for state in range(16):
            pair = [state & ~PLACES[unit], state | PLACES[unit]]
            move[state, pair] = density[pair] / density[pair].sum()
        kernel = kernel @ move
    return kernel, density / density.sum()


def test_an_additive_sweep_has_the_exact_kernel_and_keeps_int8():
    kernel, kept = additive_kernel()
    np.testing.assert_allclose(kept @ kernel, kept)
    x = jnp.broadcast_to(jnp.array([1, 0, 1, 0], jnp.int8), (100_000, 4))
    x = boltzmann.additive_gibbs_sweep(KEY, x, W, C, COEFFICIENTS, B)
    assert x.dtype == jnp.int8
    assert_drawn_from(codes(x), kernel[10])


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(AssertionError):
        boltzmann.free_energy(DATA[:, :3], *RBM)
    with pytest.raises(AssertionError):
        boltzmann.free_energy(DATA[0], *RBM)
    with pytest.raises(AssertionError):
        boltzmann.gibbs_sweep(KEY, DATA, *RBM, observed=jnp.ones((5, 3), bool))


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(AssertionError, match="type"):
        boltzmann.gibbs_sweep(KEY, DATA, *RBM, observed=jnp.full(DATA.shape, 0.5))


def test_all_ranks_are_explicit():
    def everything():
        yield boltzmann.pseudo_log_likelihood(DATA, *RBM)
        yield boltzmann.gibbs_sweep(KEY, DATA, *RBM)
        yield boltzmann.log_partition_exact(*RBM)
        yield boltzmann.additive_gibbs_sweep(KEY, DATA, W, C, COEFFICIENTS, B)
        yield boltzmann.additive_log_density(DATA, W, C, COEFFICIENTS, B)

    with jax.numpy_rank_promotion("raise"):
        jax.eval_shape(lambda: list(everything()))
