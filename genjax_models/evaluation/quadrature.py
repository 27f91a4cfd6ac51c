"""log p(x) of a model with one or two latent dimensions, by quadrature over z."""

import math
from collections.abc import Sequence
from typing import Any

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Tracer, Variables


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

    For a uniform prior it integrates over the support of the prior, and `reach` has no effect.

    The rule converges exponentially for smooth integrands that vanish at both ends (Trefethen and Weideman, 2014). For
    a posterior of standard deviation s and a spacing of h the relative error is about exp(-2 pi^2 s^2 / h^2), which is
    float32 rounding if h is below s. Even nodes resolve the tails of the prior as well as its middle; nodes of
    Gauss-Hermite quadrature, or even in probability, do not. If a uniform prior cuts off the posterior, the error falls
    with the square of the spacing.

    The generator sees nodes^latent latents once. Memory holds its outputs, and nodes^latent numbers for each of
    `batch_size` examples and each dimension of x.

    Args:
      model: a model with a standard normal or uniform prior over z `[latent]`, latent 1 or 2, and a density p(x | z)
        that is continuous in z.
      variables: variables of the model (of one player, not of all players).
      x: examples, `[n, *shape]`.
      nodes: nodes in each dimension, at least 3, odd, so that every second node makes a rule from end to end.
      reach: end of the grid in each dimension. At 8, 1e-15 of the prior is left out; log p(x) is too low for an x that
        only a z outside explains.
      batch_size: examples in memory at once; no figure depends on it beyond float32 rounding.

    Returns:
      "log_likelihood" and "quadrature_error", each `[n]`. The error is the distance to the result with twice the
      spacing, in nats. It is larger than the error of the finer rule, once the rule converges. It is infinite if
      p(x, z) is zero at some nodes, because its jump to zero may lie anywhere between nodes.

    Raises:
      ValueError: the prior has another dimension, or is zero on the grid without being uniform (the values of tracers
        are not checked); the likelihood is uniform noise; `nodes` is not an odd integer of at least 3, `reach` is not
        positive, there are no examples, they are not prepared (see `check_examples`), or the batch size is below 1.
    """
    check_examples(model, x)
    prior = model.prior(variables)
    check_grid(prior, nodes, reach)
    axes = [_nodes_between(low, high, nodes) for low, high in support(prior, reach)]
    check_positive(prior, axes)
    z = nodes_at(axes)
    log_prior = prior.log_prob(z)
    likelihood = model.likelihood(variables, z)
    check_continuous(likelihood)
    spacing = [(axis[-1] - axis[0]) / (nodes - 1) for axis in axes]

    def one(_, x: Array) -> dict[str, Array]:
        value, error = trapezoidal_rule(log_prior + likelihood.log_prob(x), spacing)
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


def support(prior: distrax.Distribution, reach: float) -> list[tuple[Array | float, Array | float]]:
    """Returns the ends of the grid in each dimension: the support of a uniform prior, or -reach and reach."""
    (latent,), uniform = prior.event_shape, _uniform_in(prior)
    if uniform is None:
        return [(-reach, reach)] * latent
    low, high = (jnp.broadcast_to(end, (latent,)) for end in (uniform.low, uniform.high))
    return [(jnp.nextafter(low[i], high[i]), jnp.nextafter(high[i], low[i])) for i in range(latent)]


def check_positive(prior: distrax.Distribution, axes: Sequence[Array]) -> None:
    """Raises ValueError if log p(z) is known and not finite at a node: it jumps to zero between two nodes."""
    with jax.ensure_compile_time_eval():  # known under jit too, unless the prior depends on tracers
        z = nodes_at(axes)
        log_prior = prior.log_prob(z)
    if not isinstance(log_prior, Tracer) and not (finite := np.isfinite(log_prior)).all():
        raise ValueError(
            f"quadrature needs a prior that is positive on the grid, or uniform, got {prior.name} with log density"
            f" {np.asarray(log_prior)[~finite][0]} at z = {np.asarray(z)[~finite][0].tolist()}"
        )


def check_continuous(likelihood: distrax.Distribution) -> None:
    """Raises ValueError if the likelihood is uniform noise: p(x | z) jumps between nodes, by an unknown error."""
    if _uniform_in(likelihood) is not None:
        raise ValueError(
            "quadrature needs a likelihood that is continuous in z, got uniform noise. Use Gaussian noise."
        )


def _uniform_in(distribution: Any) -> Any:
    """Returns the uniform distribution of which `distribution` has independent ones, or None."""
    while distribution is not None and "Uniform" not in (type(distribution).__name__, distribution.name):
        distribution = getattr(distribution, "distribution", getattr(distribution, "vectors", None))
    return distribution


def _nodes_between(low: Array | float, high: Array | float, nodes: int) -> Array:
    with jax.ensure_compile_time_eval():
        return jnp.clip(jnp.linspace(low, high, nodes), low, high)


def nodes_at(axes: Sequence[Array]) -> Array:
    """Returns the points of a grid, `[nodes, ..., latent]`, from the coordinates `[nodes]` of each dimension."""
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)


def trapezoidal_rule(log_integrand: Array, spacing: Sequence[float]) -> tuple[Array, Array]:
    """Returns the logarithm of an integral over a grid. Nodes at the edges have half the weight, or less.

    Args:
      log_integrand: values at the nodes, an odd number of them in each dimension.
      spacing: distance of neighbouring nodes in each dimension.

    Returns:
      The logarithm, and its distance to the result with twice the spacing, in nats; infinite if the integrand is zero
      at a node.
    """
    dimensions = log_integrand.ndim

    def log_integral(every: int) -> Array:
        log_values = log_integrand[(slice(None, None, every),) * dimensions]
        for axis, number in enumerate(log_values.shape):
            log_weights = jnp.zeros(number).at[jnp.array([0, -1])].set(-math.log(2))
            log_values = log_values + jnp.expand_dims(log_weights, [i for i in range(dimensions) if i != axis])
        return jax.nn.logsumexp(log_values) + sum(jnp.log(every * width) for width in spacing)

    fine, coarse = log_integral(1), log_integral(2)
    return fine, jnp.where(jnp.isfinite(log_integrand).all(), jnp.abs(fine - coarse), jnp.inf)
