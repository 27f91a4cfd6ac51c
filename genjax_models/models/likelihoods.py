"""Families for p(x | z), over data of any shape."""

import math
from typing import Literal, get_args

import chex
import distrax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_count
from genjax_models.estimators.distributions import Bernoulli, Shaped, Vector, as_vectors
from genjax_models.estimators.logistic import DiscretisedLogistic, DiscretisedLogisticMixture
from genjax_models.models.families import Family, positive
from genjax_models.networks.outputs import Output
from genjax_models.types import Array, Shape, Tracer

LearnedScale = Literal["global", "isotropic", "diagonal"]


def bernoulli(shape: Shape) -> Family:
    """Returns independent Bernoulli distributions with probability sigmoid(logits), for binary x."""
    return Family(
        event_shape=shape,
        outputs={"logits": Output(shape)},
        distribution=lambda p: _over(shape, Bernoulli(as_vectors(p["logits"], shape)), (0, 1)),
        support=(0, 1),
        binary=True,
    )


def gaussian(shape: Shape, scale: float | Array | LearnedScale) -> Family:
    """Returns N(g(z), Sigma), with Sigma given by a standard deviation sigma, never by a variance.

    Args:
      shape: shape of one example.
      scale: a number: fixed sigma (a traced number is not checked). "global": one learned sigma. "isotropic":
        Sigma = sigma(z)^2 I, Eq. (1.6), which prints sigma in place of its square. "diagonal": a sigma per dimension,
        a function of z.

    Raises:
      ValueError: `scale` is neither a positive finite number nor one of the names.
    """
    scales = {"global": Output((), of_input=False), "isotropic": Output(()), "diagonal": Output(shape)}
    learned = isinstance(scale, str) and scale in scales
    if not learned and not isinstance(scale, Tracer) and (isinstance(scale, str | bool) or not 0 < scale < math.inf):
        raise ValueError(f"scale must be positive and finite, or one of {get_args(LearnedScale)}, got {scale!r}")

    def distribution(p):
        mean = as_vectors(p["mean"], shape)
        sigma = positive(p["raw_scale"]) if learned else jnp.asarray(scale, mean.dtype)
        if not learned:
            chex.assert_rank(sigma, 0)
        sigma = as_vectors(sigma, shape) if scale == "diagonal" else sigma[..., None]
        return _over(shape, distrax.Normal(mean, jnp.broadcast_to(sigma, mean.shape)))

    outputs = {"mean": Output(shape), **({"raw_scale": scales[str(scale)]} if learned else {})}
    return Family(shape, outputs, distribution)


def discretised_logistic(shape: Shape) -> Family:
    """Returns logistic distributions rounded to 256 levels, for 8-bit x in [0, 1]; each dimension learns a scale."""

    def distribution(p):
        mean = 0.5 + as_vectors(p["mean"], shape)  # a new network starts in the middle of the range
        scale = positive(as_vectors(p["raw_scale"], shape) - 2.0)  # and its scale is about an eighth of the range
        return _over(shape, DiscretisedLogistic(mean, scale), (0, 1))

    return Family(shape, {"mean": Output(shape), "raw_scale": Output(shape, of_input=False)}, distribution, (0, 1))


def logistic_mixture(shape: Shape, components: int = 5) -> Family:
    """Returns mixtures of logistic distributions rounded to 256 levels, for 8-bit x in [0, 1] (Salimans et al., 2017).

    Each number has its own weights, means and scales; given them, the colours of a pixel are independent. A new network
    starts with the components evenly over the range.

    Args:
      shape: shape of one example.
      components: logistics in the mixture of each number, at least 1.

    Raises:
      ValueError: `components` is no integer of at least 1.
    """
    check_count("components", components)
    middles = (jnp.arange(components) + 0.5) / components

    def distribution(p):
        logits, mean, raw_scale = (_by_number(p[name], shape) for name in ("logits", "mean", "raw_scale"))
        scale = positive(raw_scale - 2.0)  # about an eighth of the range in a new network
        return _over(
            shape, DiscretisedLogisticMixture(logits, mean + jnp.broadcast_to(middles, mean.shape), scale), (0, 1)
        )

    output = Output((*shape, components))
    return Family(shape, {"logits": output, "mean": output, "raw_scale": output}, distribution, (0, 1))


def _by_number(p: Array, shape: Shape) -> Array:
    """Reshapes parameters `[..., *shape, components]` to `[..., prod(shape), components]`."""
    lead = p.shape[: p.ndim - len(shape) - 1]
    chex.assert_shape(p, (*lead, *shape, None))
    return p.reshape(*lead, math.prod(shape), p.shape[-1])


def _over(shape: Shape, each: distrax.Distribution, support: tuple[float, float] | None = None) -> Shaped:
    """Returns independent numbers `[..., prod(shape)]` as one array of `shape`."""
    return Shaped(Vector(each), shape, support)
