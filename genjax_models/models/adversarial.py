"""A generator without a likelihood, and the discriminator that tells its samples from data."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax

from genjax_models.models.condition import Condition, condition_of, first_inputs, inputs_of
from genjax_models.models.gaussian_noise import with_gaussian_noise
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.implicit import Noise, implicit_model
from genjax_models.models.learning import apply_in_learning
from genjax_models.types import Array, Batch, Players, PRNGKey, Tracer


class AdversarialPair(NamedTuple):
    """Pure functions of the variables of the players "discriminator" and "generator".

    `generate` and `discriminate` are for learning (`models.learning`): they take a key and return the players as they
    moved. `sample` and `density` are for judging.

    Attributes:
      init: (key, batch) -> players.
      generate: (players, key, batch) -> as many x as the batch has, and players. A conditional pair generates x of the
        batch's labels.
      discriminate: (players, key, batch) -> the discriminator's output, and players. The output is logits `[batch]`,
        or features `[batch, ...]` for `objectives.mmd_gan`.
      sample: (players, key, n, *, label=None, truncation=None) -> x `[n, ...]`; see `ImplicitModel.noise`.
      density: p(x), a function of the generator's variables; None without noise on the output.
      range: lowest and highest value of the generator's last layer; None if unbounded.
      labelled: batch -> the batch whose `label` is the value of the pair's condition, which `generate` and
        `discriminate` read. An objective calls it before it puts fakes in the place of x.
    """

    init: Callable[[PRNGKey, Batch], Players]
    generate: Callable[[Players, PRNGKey, Batch], tuple[Array, Players]]
    discriminate: Callable[[Players, PRNGKey, Batch], tuple[Array, Players]]
    sample: Callable[..., Array]
    density: GeneratorModel | None = None
    range: tuple[float, float] | None = None
    labelled: Callable[[Batch], Batch] = lambda batch: batch


def adversarial_pair(
    generator: nn.Module,
    discriminator: nn.Module,
    latent: int,
    *,
    noise: Noise = "normal",
    output_noise: float | Array = 0.0,
    classes: int | None = None,
    condition: Condition | None = None,
) -> AdversarialPair:
    """Wires two networks, which may have dropout and batch normalisation by the convention of `models.learning`.

    Args:
      generator: z `[batch, latent]` -> x `[batch, *shape]`; see `implicit_model`.
      discriminator: x -> logits `[batch]`.
      latent: dimensions of z.
      noise: z ~ N(0, I), or uniform in [-1, 1]^latent.
      output_noise: sigma of x = g(z) + sigma eps, eps ~ N(0, I), in training and in sampling: the discriminator never
        sees g(z) itself. With sigma above 0 the pair has a `density` (`with_gaussian_noise`).
      classes: number of classes, if both networks see the class as `[batch, classes]`, one-hot (Mirza and Osindero,
        2014).
      condition: any other function of the batch that both networks see (Isola et al., 2017, on images).

    Returns:
      A pair. If it is conditional, its functions raise ValueError without a label. `init` raises ValueError if the
      generator makes examples of another shape than the data's.

    Raises:
      ValueError: an unknown noise, an output noise outside [0, inf), or both `classes` and a `condition`.
    """
    given = condition_of(classes, condition)
    model = implicit_model(generator, latent, noise=noise, classes=classes, condition=condition)
    without_noise = not isinstance(output_noise, Tracer) and output_noise == 0
    density = None if without_noise else with_gaussian_noise(model, output_noise, noise=noise)

    def noisy(key: PRNGKey, x: Array) -> Array:
        return x if without_noise else x + output_noise * jax.random.normal(key, x.shape, x.dtype)

    def init(key: PRNGKey, batch: Batch) -> Players:
        discriminator_key, generator_key = jax.random.split(key)
        variables = model.init(generator_key, batch)
        return {
            "discriminator": dict(discriminator.init(discriminator_key, batch.x[:1], *first_inputs(given))),
            "generator": variables,
        }

    def generate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        latent_key, data_key = jax.random.split(key)
        x, variables = model.draw(players["generator"], latent_key, len(batch.x), batch.label)
        return noisy(data_key, x), {**players, "generator": variables}

    def discriminate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        inputs = batch.x, *inputs_of(given, batch.label)
        logits, variables = apply_in_learning(discriminator, players["discriminator"], key, *inputs)
        return logits, {**players, "discriminator": variables}

    def sample(
        players: Players, key: PRNGKey, n: int, *, label: Array | None = None, truncation: float | None = None
    ) -> Array:
        latent_key, data_key = jax.random.split(key)
        return noisy(data_key, model.sample(players["generator"], latent_key, n, label=label, truncation=truncation))

    def labelled(batch: Batch) -> Batch:
        return batch._replace(label=given.of(batch)) if given else batch

    return AdversarialPair(init, generate, discriminate, sample, density, model.range, labelled)
