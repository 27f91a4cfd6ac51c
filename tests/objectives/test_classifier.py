"""The classifier's loss and gradient against their closed forms, its dropout, and what it refuses."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.networks.classifier import ConvolutionalClassifier
from genjax_models.objectives.classifier import classifier, cross_entropy, right
from genjax_models.types import Batch

KEY = jax.random.key(0)
X = np.array([[0.5, -1.0], [0.0, 2.0], [1.5, 0.3]], np.float32)
LABEL = np.array([2, 0, 1])
BATCH = Batch(jnp.asarray(X), jnp.asarray(LABEL))
W = np.array([[0.2, -0.4, 1.0], [0.7, 0.1, -0.3]], np.float32)
VARIABLES = {"classifier": {"params": {"kernel": jnp.asarray(W), "bias": jnp.zeros(3)}}}


def probabilities():
    odds = np.exp(X @ W)
    return odds / odds.sum(axis=1, keepdims=True)


def test_loss_and_gradient_are_those_of_logistic_regression():
    loss = classifier(nn.Dense(3)).losses["classifier"]
    value, aux = loss(VARIABLES, KEY, BATCH, 0)
    p = probabilities()
    np.testing.assert_allclose(value, -np.mean(np.log(p[np.arange(3), LABEL])), rtol=1e-6)
    assert float(aux.metrics["cross_entropy"]) == float(value)
    np.testing.assert_allclose(aux.metrics["accuracy"], np.mean(p.argmax(1) == LABEL))
    gradient = jax.grad(lambda variables: loss(variables, KEY, BATCH, 0)[0])(VARIABLES)["classifier"]["params"]
    error = (p - np.eye(3)[LABEL]) / 3
    np.testing.assert_allclose(gradient["kernel"], X.T @ error, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradient["bias"], error.sum(0), rtol=1e-5, atol=1e-7)


def test_each_example_has_its_own_loss():
    logits = jnp.asarray(X @ W)
    np.testing.assert_allclose(cross_entropy(logits, LABEL), -np.log(probabilities()[np.arange(3), LABEL]), rtol=1e-5)
    np.testing.assert_array_equal(right(jnp.array([[0.0, 1.0], [0.0, 1.0]]), jnp.array([1, 0])), [1, 0])
    assert np.isfinite(cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([1]))).all()


@pytest.mark.slow
def test_units_are_dropped_anew_while_it_learns_and_never_when_it_judges():
    network = ConvolutionalClassifier((8, 8, 1), 3, channels=(4,), width=16, dropout=0.5)
    batch = Batch(jax.random.uniform(KEY, (5, 8, 8, 1)), jnp.arange(5) % 3)
    objective = classifier(network)
    players = objective.init(KEY, batch)
    losses = [float(objective.losses["classifier"](players, jax.random.key(i), batch, 0)[0]) for i in (1, 2, 1)]
    assert losses[0] == losses[2] != losses[1]
    logits = [network.apply(players["classifier"], batch.x) for _ in range(2)]
    np.testing.assert_array_equal(*logits)


def test_the_logits_are_a_linear_function_of_the_features():
    network = ConvolutionalClassifier((7, 5, 2), 3, channels=(4, 6), width=16)
    x = jax.random.uniform(KEY, (2, 3, 7, 5, 2))  # leading axes stay
    variables = network.init(KEY, x)
    features = network.apply(variables, x, method=network.features)
    assert features.shape == (2, 3, 16)
    assert float(features.min()) >= 0
    last = variables["params"]["logits"]
    logits = network.apply(variables, x)
    np.testing.assert_allclose(logits, features @ last["kernel"] + last["bias"], rtol=1e-4, atol=1e-6)


def test_it_learns_what_can_be_told_apart():
    x = jax.random.uniform(KEY, (60, 8, 8, 1)) + (jnp.arange(60) % 2)[:, None, None, None] * jnp.eye(8)[:, :, None]
    data = Batch(x, jnp.arange(60) % 2)
    network = ConvolutionalClassifier((8, 8, 1), 2, channels=(4,), width=8)
    train = gx.trainer(classifier(network), {"classifier": optax.adam(0.01)})
    _, metrics = gx.loop_over_data(train, batch_size=20, chunk=100)(train.init(KEY, data), data, 100)
    assert float(metrics["classifier/accuracy"][-1]) == 1
    assert float(metrics["classifier/cross_entropy"][-1]) < 0.1


def test_what_it_cannot_do_is_refused():
    objective = classifier(nn.Dense(3))
    with pytest.raises(ValueError, match="a classifier needs a label per example"):
        objective.losses["classifier"](VARIABLES, KEY, Batch(BATCH.x), 0)
    with pytest.raises(ValueError, match="cannot be sampled"):
        objective.sample(VARIABLES, KEY, 3)
    with pytest.raises(ValueError, match=r"takes examples of shape \(8, 8, 1\), got"):
        ConvolutionalClassifier((8, 8, 1), 2).init(KEY, jnp.zeros((2, 1, 8, 8)))
    with pytest.raises(ValueError, match=r"images of shape \(height, width, channels\), got \(8,\)"):
        ConvolutionalClassifier((8,), 2).init(KEY, jnp.zeros((2, 8)))
