"""Maximum likelihood: the loss is -log p(x), with dropout only while learning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.types import Batch

SHAPE, KEY = (2, 3), jax.random.key(0)
BATCH = Batch(jnp.asarray(np.random.RandomState(0).randint(0, 2, (5, *SHAPE)), jnp.float32))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_loss_is_minus_the_log_likelihood_in_learning_mode(dropout):
    model = gx.made_model(SHAPE, gx.bernoulli, (9,), dropout=dropout)
    objective = gx.maximum_likelihood(model)
    variables = jax.jit(objective.init)(KEY, BATCH)
    loss = jax.jit(lambda key: objective.losses["model"](variables, key, BATCH, jnp.int32(0)))
    value, aux = loss(KEY)
    judged = model.distribution(variables["model"]).log_prob(BATCH.x).mean()
    assert value == -aux.metrics["log_likelihood"]
    assert bool(np.isclose(value, -judged)) == (dropout == 0)
    assert bool(value == loss(jax.random.key(1))[0]) == (dropout == 0)
    assert objective.range == (0, 1)
