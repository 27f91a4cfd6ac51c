"""Generators that draw an image coarse to fine, one for each level of its Laplacian pyramid (Denton et al., 2015)."""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.laplacian_pyramid import high_pass, low_pass, upsample
from genjax_models.models.adversarial import AdversarialPair
from genjax_models.models.implicit import MUTABLE
from genjax_models.models.latent_variable import condition
from genjax_models.types import Array, Batch, Players, PRNGKey, Variables

_ROLES = ("discriminator", "generator")


class LaplacianPyramidGAN(NamedTuple):
    """One pair for each level, finest first: the pair of level k is of images that were halved k times.

    The last pair draws the coarsest images from noise, as `adversarial_pair` does, the others are `refining_pair`s.
    The players are "discriminator_k" and "generator_k".
    """

    pairs: tuple[AdversarialPair, ...]

    def at(self, players: Players, level: int) -> dict[str, Variables]:
        """The players of a level under the names that its pair knows them by."""
        return {role: players[f"{role}_{level}"] for role in _ROLES}

    def named(self, players: Players, level: int) -> dict[str, Variables]:
        """The inverse of `at`."""
        return {f"{role}_{level}": variables for role, variables in players.items()}

    def refine(
        self, players: Players, key: PRNGKey, coarsest: Array, *, label: Array | None = None
    ) -> tuple[Array, ...]:
        """The images that the finer levels make of `coarsest` `[n, ...]`, and these: all levels, finest first.

        Each is what `estimators.laplacian_pyramid.downsample` makes of the one before it, to float rounding.
        """
        images = (coarsest,)
        for level, pair in reversed(list(enumerate(self.pairs[:-1]))):
            mine, level_key = self.at(players, level), jax.random.fold_in(key, level)
            images = pair.sample(mine, level_key, len(coarsest), coarse=images[0], label=label), *images
        return images

    def sample_levels(self, players: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> tuple[Array, ...]:
        """n draws as they come about: images of all levels, finest first."""
        last = len(self.pairs) - 1
        coarsest = self.pairs[last].sample(self.at(players, last), jax.random.fold_in(key, last), n, label=label)
        return self.refine(players, key, coarsest, label=label)

    def sample(self, players: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        """n draws, `[n, *shape]`; the label, of a conditional model, is `[n]` or one for all."""
        return self.sample_levels(players, key, n, label=label)[0]


def laplacian_pyramid_gan(pairs: Sequence[AdversarialPair]) -> LaplacianPyramidGAN:
    """A model of as many levels as there are pairs: `refining_pair`s from the finest on, and an `adversarial_pair`.

    Raises:
      ValueError: there are none.
    """
    if not pairs:
        raise ValueError("a Laplacian pyramid has at least one level, got no pairs")
    return LaplacianPyramidGAN(tuple(pairs))


def refining_pair(generator: nn.Module, discriminator: nn.Module, *, classes: int | None = None) -> AdversarialPair:
    """The game of one finer level: x = l + h, where h is made for the low-pass image l of a real one.

    With l = u(d(x)) and h = x - l as in `estimators.laplacian_pyramid`, a fake is l + G(z, l), of the l of the example
    in its place in the batch. Of what G emits only the part that its level of a pyramid has is taken, `high_pass`: a
    fake whose blocks had other means than l would be told by those alone.

    Args:
      generator: l with a plane of noise z ~ N(0, I) behind its channels, `[batch, height, width, channels + 1]` ->
        `[batch, height, width, channels]`, as `networks.refining.RefiningGenerator` does.
      discriminator: x with its l behind its channels, `[batch, height, width, 2 channels]` -> logits `[batch]`. The
        paper's sees x alone. It is given a key "dropout" whenever it judges.
      classes: their number, where both networks see the class as `[batch, classes]` zeros and a one.

    Returns:
      A pair as `adversarial_pair` makes it, but for `sample(players, key, n, *, coarse, label=None)`, which refines the
      images `coarse` `[n, height / 2, width / 2, channels]`.

    Raises:
      ValueError: from `init`, a generator that makes no images of the data's shape.
    """

    def with_noise(key: PRNGKey, low: Array) -> Array:
        return jnp.concatenate([low, jax.random.normal(key, (*low.shape[:-1], 1))], axis=-1)

    def beside_low_pass(x: Array) -> Array:
        return jnp.concatenate([x, low_pass(x)], axis=-1)

    def init(key: PRNGKey, batch: Batch) -> Players:
        of_discriminator, of_generator = jax.random.split(key)
        x, label = batch.x[:1], condition(classes, jnp.zeros(1, jnp.int32))
        blank = jnp.zeros((*x.shape[:-1], x.shape[-1] + 1))
        made, variables = generator.init_with_output(of_generator, blank, *label)
        if jnp.shape(made) != x.shape:
            found = jax.tree.map(lambda a: a.shape[1:], made)
            raise ValueError(f"the generator must make images of shape {x.shape[1:]}, got {found}")
        judging = discriminator.init(of_discriminator, beside_low_pass(x), *label)
        return {"discriminator": dict(judging), "generator": dict(variables)}

    def generate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        low, label, before = low_pass(batch.x), condition(classes, batch.label), players["generator"]
        made, moved = generator.apply(before, with_noise(key, low), *label, mutable=MUTABLE)
        return low + high_pass(made), {**players, "generator": {**before, **moved}}

    def discriminate(players: Players, key: PRNGKey, batch: Batch) -> tuple[Array, Players]:
        label, before = condition(classes, batch.label), players["discriminator"]
        seen = beside_low_pass(batch.x)
        logits, moved = discriminator.apply(before, seen, *label, rngs={"dropout": key}, mutable=MUTABLE)
        return logits, {**players, "discriminator": {**before, **moved}}

    def sample(players: Players, key: PRNGKey, n: int, *, coarse: Array, label: Array | None = None) -> Array:
        low, of_all = upsample(coarse), None if label is None else jnp.broadcast_to(label, (n,))
        made = generator.apply(players["generator"], with_noise(key, low), *condition(classes, of_all))
        return low + high_pass(made)

    return AdversarialPair(init, generate, discriminate, sample)
