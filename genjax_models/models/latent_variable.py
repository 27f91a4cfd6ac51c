"""The latent-variable model p(x, z) = p(z) p(x | z) with an encoder q(z | x), optionally conditional."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.errors import InputError
from genjax_models.estimators.checks import check_count, check_prepared
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.models.condition import Condition, condition_of, first_inputs, inputs_of
from genjax_models.models.families import Family
from genjax_models.models.learning import Learning, apply_in_learning, dropout_key, has_state
from genjax_models.networks.pair import EncoderGenerator
from genjax_models.types import Array, Batch, PRNGKey, Shape, Variables

Latent = Any  # z, a pytree of arrays: one array, or one per stochastic layer


class LatentVariableModel(NamedTuple):
    """Pure functions of the model's variables.

    A conditional model needs a `label` `[batch]` in all functions; other models ignore it. With a `condition` (factors,
    an image) the label is its value, `[batch, ...]`.

    Attributes:
      init: (key, batch) -> variables.
      posterior: (variables, x, label=None) -> q(z | x).
      prior: (variables, label=None) -> p(z).
      likelihood: (variables, z, label=None) -> p(x | z), for z with any leading axes.
      learning: (variables, key, batch) -> the three distributions in learning mode (`models.learning`). None if no
        network has dropout or batch statistics: the model then learns by the functions above.
      support: lowest and highest value of x under the likelihood; None if unbounded.
      shape: shape of one example, for checks; None if unknown.
      has_mean: whether p(x | z) has a mean. False if p(x | z) = prod p(x_d | x_<d, z): pictures are then draws of x.
      shared: whether q(z | x) has parameters of p(x | z) too. Gradients other than "standard" would then be biased.
      canvases: (variables, z) -> E[x | z] as it stood after each step `[..., steps, *shape]`, for pictures; None if the
        generator has no steps.
      windows: (variables, z) -> where each step read and wrote, two `Place` or None; None if there is no attention.
      condition: the function of the batch whose value the label is, if it is no class; else None.
    """

    init: Callable[[PRNGKey, Batch], Variables]
    posterior: Callable[..., distrax.Distribution]
    prior: Callable[..., distrax.Distribution]
    likelihood: Callable[..., distrax.Distribution]
    learning: Callable[[Variables, PRNGKey, Batch], Learning] | None = None
    support: tuple[float, float] | None = None
    shape: Shape | None = None
    has_mean: bool = True
    shared: bool = False
    canvases: Callable[[Variables, Latent], Array] | None = None
    windows: Callable[[Variables, Latent], tuple[Any, Any]] | None = None
    condition: Condition | None = None

    def given(self, label: Array) -> Self:
        """Returns the model of p(x, z | label) of these examples, `[batch, ...]`, whose functions need no label.

        It is for evaluation: `init` and `learning` are as they were.
        """
        return self._replace(
            posterior=lambda variables, x, _=None: self.posterior(variables, x, label),
            prior=lambda variables, _=None: self.prior(variables, label),
            likelihood=lambda variables, z, _=None: self.likelihood(variables, z, label),
        )

    def generate(self, variables: Variables, z: Latent, label: Array | None = None) -> Array:
        """Returns g(z) = E[x | z], `[..., *shape]`.

        Raises:
          InputError: the model has no E[x | z].
        """
        needs_mean(self, "generate")
        return self.likelihood(variables, z, label).mean()

    def shown(self, variables: Variables, key: PRNGKey, z: Latent, label: Array | None = None) -> Array:
        """Returns what pictures show of p(x | z), `[..., *shape]`: E[x | z], or one draw if the model has no mean."""
        likelihood = self.likelihood(variables, z, label)
        return likelihood.mean() if self.has_mean else likelihood.sample(seed=key)

    def sample(
        self, variables: Variables, key: PRNGKey, n: int, *, label: Array | None = None, mean: bool = False
    ) -> Array:
        """Returns n draws, `[n, *shape]`: z from the prior, then x from p(x | z).

        Args:
          variables: variables of the model.
          key: randomness of z and x.
          n: number of draws.
          label: `[n]`, or one for all draws; only of a conditional model.
          mean: whether to return E[x | z], of the same z, in place of x.

        Raises:
          ValueError: `n` is no integer of at least 1.
          InputError: `mean`, of a model without E[x | z].
        """
        check_count("n", n)
        if mean:
            needs_mean(self, "sample")
        latent_key, data_key = jax.random.split(key)
        z = self.prior(variables, label).sample(seed=latent_key, sample_shape=n)
        likelihood = self.likelihood(variables, z, label)
        return likelihood.mean() if mean else likelihood.sample(seed=data_key)


def latent_variable_model(
    encoder: nn.Module,
    posterior: Family,
    generator: nn.Module,
    likelihood: Family,
    *,
    classes: int | None = None,
    condition: Condition | None = None,
) -> LatentVariableModel:
    """Wires two networks and the families whose parameters they emit, under a standard normal prior.

    Both networks may have dropout and batch normalisation, by the convention of `models.learning`.

    Args:
      encoder: x `[..., *shape]` -> `posterior.outputs`.
      posterior: family of q(z | x), over vectors.
      generator: z `[..., latent]` -> `likelihood.outputs`.
      likelihood: family of p(x | z).
      classes: number of classes of a conditional VAE (Sohn, Lee and Yan, 2015): q(z | x, label) and p(x | z, label).
        The networks see the class as `[..., classes]`, one-hot.
      condition: any other function of the batch that both networks see: q(z | x, c) and p(x | z, c).

    Returns:
      A model whose variables have the params of an "encoder" and a "generator".

    Raises:
      ValueError: both `classes` and a `condition` are given.
    """
    given = condition_of(classes, condition)
    (latent,) = posterior.event_shape
    pair = EncoderGenerator(encoder, generator)

    def init(key: PRNGKey, batch: Batch) -> Variables:
        return pair.init(key, batch.x[:1], jnp.zeros((1, latent)), *first_inputs(given))

    def encode(variables: Variables, x: Array, label: Array | None = None) -> distrax.Distribution:
        check_prepared("x", x, likelihood.support)
        return posterior.distribution(pair.apply(variables, x, *inputs_of(given, label), method="encode"))

    def generate(variables: Variables, z: Array, label: Array | None = None) -> distrax.Distribution:
        return likelihood.distribution(pair.apply(variables, z, *inputs_of(given, label), method="generate"))

    def prior(variables: Variables, label: Array | None = None) -> distrax.Distribution:
        return standard_normal(latent)

    def learning(variables: Variables, key: PRNGKey, batch: Batch) -> Learning:
        label, key = inputs_of(given, given.of(batch) if given else None), dropout_key(key)
        emitted, encoded = apply_in_learning(pair, variables, key, batch.x, *label, method="encode")

        def generate_in_learning(before: Variables, z: Array) -> tuple[Any, Variables]:
            return apply_in_learning(pair, before, key, z, *label, method="generate")

        return Learning(
            posterior=posterior.distribution(emitted),
            prior=prior(variables),
            likelihood=lambda z: likelihood.distribution(generate_in_learning(variables, z)[0]),
            moved=lambda z: generate_in_learning(encoded, z)[1] if has_state(variables) else variables,
            chunked=not has_state(variables),
        )

    parts = init, encode, prior, generate, learning, likelihood.support, likelihood.event_shape
    return LatentVariableModel(*parts, condition=condition)


def needs_mean(model: Any, who: str) -> None:
    """Raises InputError if the model says that it has no E[x | z]; `who` asks for the mean, and begins the message."""
    if not getattr(model, "has_mean", True):
        raise InputError(
            f"{who} needs E[x | z], and this model has none: p(x | z) can only be drawn from. Use draws of x"
        )


def standard_normal(latent: int) -> distrax.Independent:
    """Returns N(0, I) over vectors of `latent` numbers."""
    return diagonal_normal(jnp.zeros(latent), jnp.ones(latent))
