"""A discriminator gives one logit for each example, and drops units where it is given a key to do so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.networks.discriminators import MLPDiscriminator

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (6, 4, 4, 1))


def test_each_example_has_one_logit_of_its_own():
    network = MLPDiscriminator((4, 4, 1), (8,))
    variables = network.init(KEY, X[:1])
    logits = network.apply(variables, X)
    assert logits.shape == (6,)
    np.testing.assert_allclose(network.apply(variables, X[:2]), logits[:2], rtol=1e-5)
    np.testing.assert_allclose(network.apply(variables, X.reshape(2, 3, 4, 4, 1)), logits.reshape(2, 3), rtol=1e-5)


def test_the_condition_is_seen():
    network, condition = MLPDiscriminator((4, 4, 1), (8,)), jnp.eye(3)[jnp.arange(6) % 3]
    variables = network.init(KEY, X, condition)
    logits, others = (network.apply(variables, X, c) for c in (condition, jnp.roll(condition, 1, axis=0)))
    assert np.abs(logits - others).min() > 1e-6


def test_the_slope_below_zero_is_that_of_radford_and_others():
    variables = {"params": {name: {"kernel": jnp.eye(1), "bias": jnp.zeros(1)} for name in ("Dense_0", "logit")}}
    logits = MLPDiscriminator((1,), (1,)).apply(variables, jnp.array([[-1.0], [2.0]]))
    np.testing.assert_allclose(logits, [-0.2, 2.0], rtol=1e-6)


def test_units_are_dropped_where_there_is_a_key():
    network = MLPDiscriminator((4, 4, 1), (64,), dropout=0.5)
    variables = network.init(KEY, X)
    one, other = (network.apply(variables, X, rngs={"dropout": jax.random.key(seed)}) for seed in (1, 2))
    assert np.abs(one - other).min() > 1e-6
    np.testing.assert_array_equal(network.apply(variables, X), network.apply(variables, X))


def test_examples_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(4, 4, 1\), got an array of shape \(6, 1, 4, 4\)"):
        MLPDiscriminator((4, 4, 1), (8,)).init(KEY, X.reshape(6, 1, 4, 4))
