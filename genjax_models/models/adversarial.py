"""A generator without a likelihood, and the discriminator that judges what it makes."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.models.gaussian_noise import with_gaussian_noise
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.implicit import MUTABLE, Noise, implicit_model
from genjax_models.models.latent_variable import condition
from genjax_models.types import Array, Batch, Players, PRNGKey


class AdversarialPair(NamedTuple):
    """Pure functions of the variables of the players "discriminator" and "generator".

    `generate(players, key, batch)` makes as many x as the batch has, of its labels where the pair is conditional.
    `discriminate(players, key, batch)` gives what the discriminator emits: logits `[batch]`, or features `[batch, ...]` for
    `objectives.mmd_gan`. Both are for learning, and return the players with batch statistics moved on beside their
    result. `sample(players, key, n, *, label=None)` draws x `[n, ...]`, by running averages where there are batch
    statistics. `density`, of the generator's variables, is p(x) where noise on its output gives it one; `range` is what
    the generator's last layer is confined to, where it is.
    """

    init: Callable[[PRNGKey, Batch], Players]
    generate: Callable[[Players, PRNGKey, Batch], tuple[Array, Players]]
    discriminate: Callable[[Players, PRNGKey, Batch], tuple[Array, Players]]
    sample: Callable[..., Array]
    density: GeneratorModel | None = None
    range: tuple[float, float] | None = None


def adversarial_pair(
    generator: nn.Module,
    discriminator: nn.Module,
    latent: int,
    *,
    noise: Noise = "normal",
    output_noise: float | Array = 0.0,
    classes: int | None = None,
) -> AdversarialPair:
    """Wires two networks.

    Args:
      generator: z `[batch, latent]` -> x `[batch, *shape]`; this, `latent` and `noise` are those of `implicit_model`.
      discriminator: x -> logits `[batch]`. It is given a key "dropout" whenever it judges.
      latent: dimensions of z.
      noise: z ~ N(0, I), or uniform in [-1, 1]^latent.
      output_noise: sigma of x = g(z) + sigma eps, eps ~ N(0, I), while it learns and while it is sampled: the
        discriminator sees no g(z) without it. With sigma above 0 the pair has a `density` (`with_gaussian_noise`).
      classes: their number, where both networks see the class as `[batch, classes]` zeros and a one (Mirza and
        Osindero, 2014).

    Both networks normalise by the statistics of the batch where their collection "batch_stats" is mutable, as
    `nn.BatchNorm(use_running_average=not self.is_mutable_collection("batch_stats"))` does, and by running averages
    elsewhere.

    Returns:
      A pair, whose functions raise ValueError where it is conditional and has no label; `init` where the generator
      makes no examples of the data's shape.

    Raises:
      ValueError: a noise that is neither, or an output noise that is not in [0, inf).
    """
    model = implicit_model(generator, latent, noise=noise, classes=classes)
    silent = not isinstance(output_noise, jax.core.Tracer) and output_noise == 0
    density = None if silent else with_gaussian_noise(model, output_noise, noise=noise)

    def noisy(key: PRNGKey, x: Array) -> Array:
        return x if silent else x + output_noise * jax.random.normal(key, x.shape, x.dtype)

    def init(key: PRNGKey, batch: Batch) -> Players:
        of_discriminator, of_generator = jax.random.split(key)
        label = condition(classes, jnp.zeros(1, jnp.int32))
        variables = model.init(of_generator, batch)
        return {
            "discriminator": dict(discriminator.init(of_discriminator, batch.x[:1], *label)),
            "generator": variables,
        }

    def generate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        latent_key, data_key = jax.random.split(key)
        x, variables = model.draw(players["generator"], latent_key, len(batch.x), batch.label)
        return noisy(data_key, x), {**players, "generator": variables}

    def discriminate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        label, before = condition(classes, batch.label), players["discriminator"]
        logits, moved = discriminator.apply(before, batch.x, *label, rngs={"dropout": key}, mutable=MUTABLE)
        return logits, {**players, "discriminator": {**before, **moved}}

    def sample(players: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        latent_key, data_key = jax.random.split(key)
        return noisy(data_key, model.sample(players["generator"], latent_key, n, label=label))

    return AdversarialPair(init, generate, discriminate, sample, density, model.range)
