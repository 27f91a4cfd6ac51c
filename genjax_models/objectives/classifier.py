"""A classifier, learned by its cross-entropy: what judges samples, and generates none."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.types import Array, Aux, Objective


def classifier(network: nn.Module) -> Objective:
    """One player, "classifier", that lowers -log p(label | x) in nats: mean over the batch.

    Args:
      network: x `[batch, ...]` -> logits `[batch, classes]`; a key "dropout" is given while it learns.

    Returns:
      The objective. Its `sample` raises ValueError: p(label | x) says nothing about x.

    Raises:
      ValueError: while tracing, for a batch without labels.
    """

    def init(key, batch):
        return {"classifier": network.init({"params": key}, batch.x[:1])}

    def loss(variables, key, batch, step):
        if batch.label is None:
            raise ValueError("a classifier learns from labels, and the batch has none")
        logits = network.apply(variables["classifier"], batch.x, rngs={"dropout": key})
        value = jnp.mean(cross_entropy(logits, batch.label))
        return value, Aux({"cross_entropy": value, "accuracy": jnp.mean(right(logits, batch.label))})

    def sample(variables, key, n, *, label=None):
        raise ValueError("a classifier draws nothing: it knows p(label | x), and no p(x)")

    return Objective(init, {"classifier": loss}, sample)


def cross_entropy(logits: Array, label: Array) -> Array:
    """-log p(label | x) of each example, in nats: `[batch, classes]` and `[batch]` -> `[batch]`."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], axis=1)[:, 0]


def right(logits: Array, label: Array) -> Array:
    """One where the likeliest class is the label, zero elsewhere: `[batch, classes]` and `[batch]` -> `[batch]`."""
    return (jnp.argmax(logits, axis=1) == label).astype(jnp.float32)
