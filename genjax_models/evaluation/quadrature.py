"""log p(x) of a model with one or two latent dimensions, by quadrature over z: no draws, no bound."""

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
    """log integral p(z) p(x | z) dz of each example, in nats, by the trapezoidal rule on [-reach, reach]^latent.

    The rule converges exponentially for smooth integrands that vanish at both ends (Trefethen and Weideman, 2014): for
    a posterior of standard deviation s the relative error is about exp(-2 pi^2 s^2 / h^2) at a spacing of h, which is
    float32 rounding as soon as h is below s. Nodes at equal steps of z serve the prior's tails as well as its middle,
    which those of Gauss-Hermite, or those at equal steps of probability, do not.

    The generator sees nodes^latent latents once; beside what it emits for them there are nodes^latent numbers for each
    of `batch_size` examples and each dimension of x.

    Args:
      model: with a standard normal prior over z `[latent]`, latent 1 or 2.
      variables: of the model (one player's, not the players').
      x: `[n, *shape]`.
      nodes: in each dimension, at least 3. Odd, so that every second one is a rule of its own from end to end.
      reach: where the prior ends. At 8, 1e-15 of it is left out; an x that only a z beyond could explain is
        said to be less likely than it is.
      batch_size: examples in memory at once; no figure depends on it beyond float32 rounding.

    Returns:
      "log_likelihood" and "quadrature_error", each `[n]`: the error is the distance, in nats, to the same rule with
      twice the spacing, which is far more than the error of the finer rule once that has begun to converge.

    Raises:
      ValueError: another prior's dimension, nodes that are no odd integer of at least 3, a reach that is not
        positive, no examples, or a batch size below 1.
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
    """Raises the `ValueError` of a prior, a number of nodes or a reach that no grid is made of."""
    if not isinstance(nodes, int) or nodes < 3 or nodes % 2 == 0:
        raise ValueError(f"nodes must be an odd integer of at least 3, got {nodes!r}")
    if not reach > 0:
        raise ValueError(f"reach must be positive, got {reach!r}")
    if prior.event_shape not in ((1,), (2,)):
        raise ValueError(f"quadrature is for one or two latent dimensions, the prior is over {prior.event_shape}")


def nodes_at(axes: Sequence[Array]) -> Array:
    """The points of a grid, `[nodes, ..., latent]`, from the coordinates `[nodes]` of each dimension."""
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)


def trapezoidal_rule(log_integrand: Array, spacing: Sequence[float]) -> tuple[Array, Array]:
    """The logarithm of an integral over a grid, at whose edges there is nothing left of the integrand.

    Args:
      log_integrand: at the nodes, an odd number of them in each dimension.
      spacing: of the nodes, in each dimension.

    Returns:
      Its value, and the distance, in nats, to the same rule with twice the spacing.
    """
    fine, coarse = (
        jax.nn.logsumexp(log_integrand[(slice(None, None, every),) * log_integrand.ndim])
        + math.log(math.prod(spacing) * every**log_integrand.ndim)
        for every in (1, 2)
    )
    return fine, jnp.abs(fine - coarse)
