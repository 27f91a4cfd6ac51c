"""Generators that draw an image coarse to fine, one per level of its Laplacian pyramid (Denton et al., 2015)."""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.laplacian_pyramid import high_pass, low_pass, upsample
from genjax_models.models.adversarial import AdversarialPair
from genjax_models.models.condition import condition_of, first_inputs, inputs_of
from genjax_models.models.learning import apply_in_learning, dropout_key
from genjax_models.types import Array, Batch, Players, PRNGKey, Variables

_ROLES = ("discriminator", "generator")


class LaplacianPyramidGAN(NamedTuple):
    """One pair per level, finest first: the pair of level k is for images that were halved k times.

    The last pair draws the coarsest images from noise, as `adversarial_pair` does; the others are `refining_pair`s.
    The players are "discriminator_k" and "generator_k".
    """

    pairs: tuple[AdversarialPair, ...]

    def at(self, players: Players, level: int) -> dict[str, Variables]:
        """Returns the players of a level, under the names of an `AdversarialPair`."""
        return {role: players[f"{role}_{level}"] for role in _ROLES}

    def named(self, players: Players, level: int) -> dict[str, Variables]:
        """Returns a level's players under the names of the whole model; the inverse of `at`."""
        return {f"{role}_{level}": variables for role, variables in players.items()}

    def refine(
        self, players: Players, key: PRNGKey, coarsest: Array, *, label: Array | None = None
    ) -> tuple[Array, ...]:
        """Returns the images of all levels, finest first: each finer level refines, and `coarsest` `[n, ...]` is last.

        To float rounding, `estimators.laplacian_pyramid.downsample` turns each image into the next.
        """
        images = (coarsest,)
        for level, pair in reversed(list(enumerate(self.pairs[:-1]))):
            of_level, level_key = self.at(players, level), jax.random.fold_in(key, level)
            images = pair.sample(of_level, level_key, len(coarsest), coarse=images[0], label=label), *images
        return images

    def sample_levels(self, players: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> tuple[Array, ...]:
        """Returns n draws with their coarser levels: images of all levels, finest first."""
        last = len(self.pairs) - 1
        coarsest = self.pairs[last].sample(self.at(players, last), jax.random.fold_in(key, last), n, label=label)
        return self.refine(players, key, coarsest, label=label)

    def sample(self, players: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        """Returns n draws, `[n, *shape]`; the label, of a conditional model, is `[n]` or one for all draws."""
        return self.sample_levels(players, key, n, label=label)[0]


def laplacian_pyramid_gan(pairs: Sequence[AdversarialPair]) -> LaplacianPyramidGAN:
    """Returns a model with one level per pair: `refining_pair`s from the finest on, then an `adversarial_pair`.

    Raises:
      ValueError: `pairs` is empty.
    """
    if not pairs:
        raise ValueError("a Laplacian pyramid needs at least one level, got no pairs")
    return LaplacianPyramidGAN(tuple(pairs))


def refining_pair(generator: nn.Module, discriminator: nn.Module, *, classes: int | None = None) -> AdversarialPair:
    """Wires the networks of one finer level: x = l + h, with h generated for the low-pass image l of a real one.

    With l = u(d(x)) and h = x - l as in `estimators.laplacian_pyramid`, a fake is l + G(z, l), with the l of the
    example at the same place in the batch. Only the part of G's output that a level of a pyramid can hold is used,
    `high_pass`: otherwise the discriminator could tell a fake by the means of its blocks. Both networks may have
    dropout and batch normalisation, by the convention of `models.learning`.

    Args:
      generator: l with a plane of noise z ~ N(0, I) as the last channel, `[batch, height, width, channels + 1]` ->
        `[batch, height, width, channels]`, as `networks.refining.RefiningGenerator`.
      discriminator: x with its l as further channels, `[batch, height, width, 2 channels]` -> logits `[batch]`. The
        paper's discriminator sees only x.
      classes: number of classes, if both networks see the class as `[batch, classes]`, one-hot.

    Returns:
      A pair as of `adversarial_pair`, with another `sample(players, key, n, *, coarse, label=None)`: it refines the
      images `coarse` `[n, height / 2, width / 2, channels]`.

    Raises:
      ValueError: from `init`, a generator that makes images of another shape than the data's.
    """

    given = condition_of(classes)

    def with_noise(key: PRNGKey, low: Array) -> Array:
        return jnp.concatenate([low, jax.random.normal(key, (*low.shape[:-1], 1))], axis=-1)

    def with_low_pass(x: Array) -> Array:
        return jnp.concatenate([x, low_pass(x)], axis=-1)

    def init(key: PRNGKey, batch: Batch) -> Players:
        discriminator_key, generator_key = jax.random.split(key)
        x, label = batch.x[:1], first_inputs(given)
        blank = jnp.zeros((*x.shape[:-1], x.shape[-1] + 1))
        made, variables = generator.init_with_output(generator_key, blank, *label)
        if jnp.shape(made) != x.shape:
            shape = jax.tree.map(lambda a: a.shape[1:], made)
            raise ValueError(f"the generator must make images of shape {x.shape[1:]}, got {shape}")
        discriminator_variables = discriminator.init(discriminator_key, with_low_pass(x), *label)
        return {"discriminator": dict(discriminator_variables), "generator": dict(variables)}

    def generate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        low = low_pass(batch.x)
        inputs = with_noise(key, low), *inputs_of(given, batch.label)
        made, variables = apply_in_learning(generator, players["generator"], dropout_key(key), *inputs)
        return low + high_pass(made), {**players, "generator": variables}

    def discriminate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        inputs = with_low_pass(batch.x), *inputs_of(given, batch.label)
        logits, variables = apply_in_learning(discriminator, players["discriminator"], key, *inputs)
        return logits, {**players, "discriminator": variables}

    def sample(players: Players, key: PRNGKey, n: int, *, coarse: Array, label: Array | None = None) -> Array:
        low, label = upsample(coarse), None if label is None else jnp.broadcast_to(label, (n,))
        made = generator.apply(players["generator"], with_noise(key, low), *inputs_of(given, label))
        return low + high_pass(made)

    return AdversarialPair(init, generate, discriminate, sample)
