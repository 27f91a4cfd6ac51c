"""A generator without a likelihood, and the discriminator that judges what it makes."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.models.latent_variable import condition
from genjax_models.types import Array, Batch, Players, PRNGKey

_MOVING = ["batch_stats"]  # what a network may change while it learns


class AdversarialPair(NamedTuple):
    """Pure functions of the variables of the players "discriminator" and "generator".

    `generate(players, key, batch)` makes as many x as the batch has, of its labels where the pair is conditional.
    `judge(players, key, batch)` gives logits `[batch]`. Both are for learning, and return the players with batch
    statistics moved on beside their result. `sample(players, key, n, *, label=None)` draws x `[n, ...]`, by running
    averages where there are batch statistics.
    """

    init: Callable[[PRNGKey, Batch], Players]
    generate: Callable[[Players, PRNGKey, Batch], tuple[Array, Players]]
    judge: Callable[[Players, PRNGKey, Batch], tuple[Array, Players]]
    sample: Callable[..., Array]


def adversarial_pair(
    generator: nn.Module, discriminator: nn.Module, latent: int, *, classes: int | None = None
) -> AdversarialPair:
    """Wires two networks, with z ~ N(0, I).

    Args:
      generator: z `[batch, latent]` -> x `[batch, *shape]`. For data in [-1, 1] it ends in tanh:
        `nn.Sequential([network, jnp.tanh])`.
      discriminator: x -> logits `[batch]`. It is given a key "dropout" whenever it judges.
      latent: dimensions of z.
      classes: their number, where both networks see the class as `[batch, classes]` zeros and a one (Mirza and
        Osindero, 2014).

    A network normalises by the statistics of the batch where its collection "batch_stats" is mutable, as
    `nn.BatchNorm(use_running_average=not self.is_mutable_collection("batch_stats"))` does, and by running averages
    elsewhere.

    Returns:
      A pair, whose functions raise ValueError where it is conditional and has no label; `init` where the generator
      makes no examples of the data's shape.
    """

    def init(key: PRNGKey, batch: Batch) -> Players:
        keys, label = jax.random.split(key), condition(classes, jnp.zeros(1, jnp.int32))
        made, of_generator = generator.init_with_output(keys[1], jnp.zeros((1, latent)), *label)
        if jnp.shape(made) != (1, *batch.x.shape[1:]):
            found = jax.tree.map(lambda a: a.shape[1:], made)
            raise ValueError(f"the generator must make examples of shape {batch.x.shape[1:]}, got {found}")
        of_discriminator = discriminator.init(keys[0], batch.x[:1], *label)
        return {"discriminator": dict(of_discriminator), "generator": dict(of_generator)}

    def generate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        z, label = jax.random.normal(key, (len(batch.x), latent)), condition(classes, batch.label)
        x, moved = generator.apply(players["generator"], z, *label, mutable=_MOVING)
        return x, {**players, "generator": {**players["generator"], **moved}}

    def judge(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        label, before = condition(classes, batch.label), players["discriminator"]
        logits, moved = discriminator.apply(before, batch.x, *label, rngs={"dropout": key}, mutable=_MOVING)
        return logits, {**players, "discriminator": {**before, **moved}}

    def sample(players: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        z = jax.random.normal(key, (n, latent))
        of_all = None if label is None else jnp.broadcast_to(label, (n,))
        return generator.apply(players["generator"], z, *condition(classes, of_all))

    return AdversarialPair(init, generate, judge, sample)
