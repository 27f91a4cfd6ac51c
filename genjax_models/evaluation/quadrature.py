"""log p(x) of a model with one or two latent dimensions, by quadrature over z."""

import math
from collections.abc import Sequence

import distrax
import jax
import jax.numpy as jnp

from genjax_models.evaluation.examples import map_examples
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Variables


def quadrature_log_likelihood(
    model: GeneratorModel | LatentVariableModel,
    variables: Variables,
    x: Array,
    *,
    nodes: int,
    reach: float = 8.0,
    batch_size: int = 25,
) -> dict[str, Array]:
    """Returns log integral p(z) p(x | z) dz of each example, nats, by the trapezoidal rule on [-reach, reach]^latent.

    The rule converges exponentially for smooth integrands that vanish at both ends (Trefethen and Weideman, 2014). For
    a posterior of standard deviation s and a spacing of h the relative error is about exp(-2 pi^2 s^2 / h^2), which is
    float32 rounding if h is below s. Even nodes resolve the tails of the prior as well as its middle; nodes of
    Gauss-Hermite quadrature, or even in probability, do not.

    The generator sees nodes^latent latents once. Memory holds its outputs, and nodes^latent numbers for each of
    `batch_size` examples and each dimension of x.

    Args:
      model: a model with a standard normal prior over z `[latent]`, latent 1 or 2.
      variables: variables of the model (of one player, not of all players).
      x: examples, `[n, *shape]`.
      nodes: nodes in each dimension, at least 3, odd, so that every second node makes a rule from end to end.
      reach: end of the grid in each dimension. At 8, 1e-15 of the prior is left out; log p(x) is too low for an x that
        only a z outside explains.
      batch_size: examples in memory at once; no figure depends on it beyond float32 rounding.

    Returns:
      "log_likelihood" and "quadrature_error", each `[n]`. The error is the distance to the result with twice the
      spacing, in nats. It is far larger than the error of the finer rule, once the rule converges.

    Raises:
      ValueError: the prior has another dimension, `nodes` is not an odd integer of at least 3, `reach` is not positive,
        there are no examples, or the batch size is below 1.
    """
    prior = model.prior(variables)
    check_grid(prior, nodes, reach)
    (latent,) = prior.event_shape
    z = nodes_at([jnp.linspace(-reach, reach, nodes)] * latent)
    log_prior = prior.log_prob(z)
    likelihood = model.likelihood(variables, z)

    def one(_, x: Array) -> dict[str, Array]:
        value, error = trapezoidal_rule(log_prior + likelihood.log_prob(x), [2 * reach / (nodes - 1)] * latent)
        return {"log_likelihood": value, "quadrature_error": error}

    return map_examples(one, jax.random.key(0), x, batch_size=batch_size)


def check_grid(prior: distrax.Distribution, nodes: int, reach: float) -> None:
    """Checks the arguments of a grid.

    Raises:
      ValueError: the prior has another dimension than 1 or 2, `nodes` is not an odd integer of at least 3, or `reach`
        is not positive.
    """
    if not isinstance(nodes, int) or nodes < 3 or nodes % 2 == 0:
        raise ValueError(f"`nodes` must be an odd integer of at least 3, got {nodes!r}")
    if not reach > 0:
        raise ValueError(f"`reach` must be positive, got {reach!r}")
    if prior.event_shape not in ((1,), (2,)):
        raise ValueError(f"quadrature needs one or two latent dimensions, got a prior over {prior.event_shape}")


def nodes_at(axes: Sequence[Array]) -> Array:
    """Returns the points of a grid, `[nodes, ..., latent]`, from the coordinates `[nodes]` of each dimension."""
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)


def trapezoidal_rule(log_integrand: Array, spacing: Sequence[float]) -> tuple[Array, Array]:
    """Returns the logarithm of an integral over a grid, for an integrand that vanishes at the edges.

    Args:
      log_integrand: values at the nodes, an odd number of them in each dimension.
      spacing: distance of neighbouring nodes in each dimension.

    Returns:
      The logarithm, and its distance to the result with twice the spacing, in nats.
    """
    fine, coarse = (
        jax.nn.logsumexp(log_integrand[(slice(None, None, every),) * log_integrand.ndim])
        + math.log(math.prod(spacing) * every**log_integrand.ndim)
        for every in (1, 2)
    )
    return fine, jnp.abs(fine - coarse)
