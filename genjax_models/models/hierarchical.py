"""Latent-variable models with several stochastic layers: Burda, Grosse and Salakhutdinov, 2015, section 5.

    p(x, z) = p(z_L) p(z_{L-1} | z_L) ... p(z_1 | z_2) p(x | z_1)
    q(z | x) = q(z_1 | x) q(z_2 | z_1) ... q(z_L | z_{L-1})

z is the tuple (z_1, ..., z_L), z_1 nearest to the data.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import distrax
import flax.linen as nn
import jax.numpy as jnp

from genjax_models.estimators.checks import check_floating
from genjax_models.estimators.distributions import Chain
from genjax_models.models.condition import Condition, condition_of, first_inputs, inputs_of
from genjax_models.models.families import Family
from genjax_models.models.latent_variable import Latent, LatentVariableModel, standard_normal
from genjax_models.models.learning import Learning, apply_in_learning, draws_dropout, dropout_key, has_state
from genjax_models.networks.outputs import Emitted
from genjax_models.networks.pair import Layers
from genjax_models.types import Array, Batch, PRNGKey, Variables

Emit = Callable[[str, int, Array], Emitted]  # ("encode" or "generate", layer, the network's input) -> its outputs


def hierarchical_model(
    encoders: Sequence[nn.Module],
    posteriors: Sequence[Family],
    generators: Sequence[nn.Module],
    likelihoods: Sequence[Family],
    *,
    classes: int | None = None,
    condition: Condition | None = None,
) -> LatentVariableModel:
    """Wires L encoders and L generators, listed from the data up, under a standard normal prior of z_L.

    Neither q nor p over all of z has a closed KL: the `elbo` needs form="monte_carlo". All networks may have dropout
    and batch normalisation, by the convention of `models.learning`.

    Args:
      encoders: `encoders[l]` reads z_l (x for l = 0) and emits `posteriors[l].outputs`.
      posteriors: families of q(z_{l+1} | z_l), over vectors.
      generators: `generators[l]` reads z_{l+1} and emits `likelihoods[l].outputs`.
      likelihoods: families of p(z_l | z_{l+1}); the first is of p(x | z_1).
      classes: number of classes of a conditional model; every network sees the class.
      condition: any other function of the batch that every network sees.

    Raises:
      ValueError: both `classes` and a `condition`, numbers of parts that differ, or p and q that disagree on the size
        of a layer.
    """
    sizes = _checked_sizes(encoders, posteriors, generators, likelihoods)
    layers = Layers(tuple(encoders), tuple(generators))
    given = condition_of(classes, condition)
    chains = _Chains(layers, tuple(posteriors), tuple(likelihoods), given)

    def init(key: PRNGKey, batch: Batch) -> Variables:
        z = tuple(jnp.zeros((1, *size)) for size in sizes)
        return layers.init(key, batch.x[:1], z, *first_inputs(given))

    return LatentVariableModel(
        init,
        posterior=lambda variables, x, label=None: chains.posterior(chains.judging(variables, label), x),
        prior=lambda variables, label=None: chains.prior(chains.judging(variables, label)),
        likelihood=lambda variables, z, label=None: chains.likelihood(chains.judging(variables, label), z),
        learning=chains.learning,
        support=likelihoods[0].support,
        shape=likelihoods[0].event_shape,
    )


class _Chains(NamedTuple):
    """The chains p and q over all layers, of networks in either mode: an `Emit` evaluates them."""

    layers: Layers
    posteriors: tuple[Family, ...]
    likelihoods: tuple[Family, ...]
    given: Condition | None

    def posterior(self, emit: Emit, x: Array) -> Chain:
        """Returns q(z | x)."""
        check_floating("x", x)
        q = lambda layer, below: self.posteriors[layer].distribution(emit("encode", layer, below))
        return Chain(q(0, x), [partial(q, layer) for layer in range(1, len(self.posteriors))])

    def prior(self, emit: Emit) -> Chain:
        """Returns p(z), drawn from the top down."""
        p = lambda layer, above: self.likelihoods[layer].distribution(emit("generate", layer, above))
        down = [partial(p, layer) for layer in range(len(self.likelihoods) - 1, 0, -1)]
        return Chain(standard_normal(*self.posteriors[-1].event_shape), down, downwards=True)

    def likelihood(self, emit: Emit, z: Latent) -> distrax.Distribution:
        """Returns p(x | z_1)."""
        return self.likelihoods[0].distribution(emit("generate", 0, z[0]))

    def judging(self, variables: Variables, label: Array | None) -> Emit:
        """Returns the networks as they are judged."""

        def emit(method: str, layer: int, h: Array) -> Emitted:
            return self.layers.apply(variables, layer, h, *inputs_of(self.given, label), method=method)

        return emit

    def learning(self, variables: Variables, key: PRNGKey, batch: Batch) -> Learning:
        """Returns the model in learning mode."""
        key = dropout_key(key)
        label = inputs_of(self.given, self.given.of(batch) if self.given else None)

        def learn(before: Variables, method: str, layer: int, h: Array) -> tuple[Emitted, Variables]:
            inputs = layer, h, *label
            return apply_in_learning(self.layers, before, key, *inputs, method=method)

        def emit(method: str, layer: int, h: Array) -> Emitted:
            return learn(variables, method, layer, h)[0]

        def moved(z: Latent) -> Variables:
            after = variables
            if has_state(variables):
                for layer, (below, above) in enumerate(zip((batch.x, *z), z, strict=False)):
                    after = learn(after, "encode", layer, below)[1]
                    after = learn(after, "generate", layer, above)[1]
            return after

        def encoder_drops(layer: int) -> bool:
            below = jnp.zeros((len(batch.x), *self.posteriors[layer - 1].event_shape))
            inputs = layer, below, *label
            return draws_dropout(self.layers, variables, key, *inputs, method="encode")

        return Learning(
            posterior=self.posterior(emit, batch.x),
            prior=self.prior(emit),
            likelihood=lambda z: self.likelihood(emit, z),
            moved=moved,
            chunked=not has_state(variables) and not any(map(encoder_drops, range(1, len(self.posteriors)))),
        )


def _checked_sizes(
    encoders: Sequence[nn.Module],
    posteriors: Sequence[Family],
    generators: Sequence[nn.Module],
    likelihoods: Sequence[Family],
) -> list[tuple[int, ...]]:
    """Returns the shape of z in each layer; refuses parts that do not fit together."""
    counts = [len(each) for each in (encoders, posteriors, generators, likelihoods)]
    if len(set(counts)) > 1 or not counts[0]:
        raise ValueError(
            f"each layer needs an encoder, a posterior, a generator and a likelihood, got {counts} of them"
        )
    sizes = [posterior.event_shape for posterior in posteriors]
    below = [likelihood.event_shape for likelihood in likelihoods[1:]]
    if sizes[:-1] != below:
        raise ValueError(f"q has layers of {sizes[:-1]} numbers below the last, p has {below}")
    return sizes
