"""A classifier, learned by its cross-entropy. It evaluates samples, and generates none."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.models.learning import apply_in_learning
from genjax_models.types import Array, Aux, Objective


def classifier(network: nn.Module) -> Objective:
    """Returns an objective with one player, "classifier", that lowers -log p(label | x) in nats, mean over the batch.

    Args:
      network: x `[batch, ...]` -> logits `[batch, classes]`. It may have dropout and batch normalisation, by the
        convention of `models.learning`.

    Returns:
      The objective. It reports "cross_entropy" (nats) and "accuracy". Its `sample` raises ValueError: a classifier has
      p(label | x), and no p(x).

    Raises:
      ValueError: from the loss, while tracing, a batch without labels.
    """

    def init(key, batch):
        return {"classifier": network.init({"params": key}, batch.x[:1])}

    def loss(variables, key, batch, step):
        if batch.label is None:
            raise ValueError("a classifier needs a label per example")
        logits, moved = apply_in_learning(network, variables["classifier"], key, batch.x)
        value = jnp.mean(cross_entropy(logits, batch.label))
        metrics = {"cross_entropy": value, "accuracy": jnp.mean(right(logits, batch.label))}
        return value, Aux(metrics, {"classifier": moved})

    def sample(variables, key, n, *, label=None):
        raise ValueError("a classifier cannot be sampled: it has p(label | x), and no p(x)")

    return Objective(init, {"classifier": loss}, sample)


def cross_entropy(logits: Array, label: Array) -> Array:
    """Returns -log p(label | x) per example, in nats: `[batch, classes]` and `[batch]` -> `[batch]`."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], axis=1)[:, 0]


def right(logits: Array, label: Array) -> Array:
    """Returns whether the likeliest class is the label, bool: `[batch, classes]` and `[batch]` -> `[batch]`."""
    return jnp.argmax(logits, axis=1) == label
