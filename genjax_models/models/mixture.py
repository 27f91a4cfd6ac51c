"""The finite Gaussian mixture p(x) = sum_m pi_m N(x; mu_m, Sigma_m), Eq. (1.5) of the Torralba-Isola-Freeman draft."""

import math

import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.distributions import FullCovarianceNormal, Shaped
from genjax_models.models.density import DensityModel
from genjax_models.types import Array, Batch, PRNGKey, Shape, Variables


def gaussian_mixture(
    shape: Shape,
    num_components: int,
    *,
    start: Array | None = None,
    scale: float = 1.0,
    smallest_scale: float = 1e-2,
) -> DensityModel:
    """Returns a mixture whose components have weights, means and full covariances Sigma_m = L_m L_m' of d numbers of x.

    The likelihood of a mixture has no maximum: a component on one data point gains without end as it shrinks (Bishop,
    2006, section 9.2.1). Here the diagonal of L_m, lower triangular, is softplus(raw) + `smallest_scale`. So |L_m| is
    at least smallest_scale^d, and no density exceeds (sqrt(2 pi) smallest_scale)^-d. Choose it well below the scale of
    structures in the data, and well above the distance between neighbours.

    Args:
      shape: shape of one example.
      num_components: M.
      start: initial means, `[M, *shape]`: data points, say. None draws them from N(0, scale^2 I).
      scale: initial standard deviation of every component.
      smallest_scale: in the units of x, below `scale`.

    Returns:
      A model whose params are "logits" `[M]`, "mean" `[M, d]` and "raw_factor" `[M, d, d]`.

    Raises:
      ValueError: M is no integer of at least 1, the scales are not 0 < smallest_scale < scale < inf, or `start` has
        another shape.
    """
    size = math.prod(shape)
    if isinstance(num_components, bool) or not isinstance(num_components, int) or num_components < 1:
        raise ValueError(f"num_components must be an integer of at least 1, got {num_components!r}")
    if not 0 < smallest_scale < scale < math.inf:
        raise ValueError(f"scales must be 0 < smallest_scale < scale < inf, got {smallest_scale!r} and {scale!r}")
    if start is not None and jnp.shape(start) != (num_components, *shape):
        raise ValueError(f"start must have the shape {(num_components, *shape)}, got {jnp.shape(start)}")

    def init(key: PRNGKey, batch: Batch) -> Variables:
        if start is None:
            mean = scale * jax.random.normal(key, (num_components, size), jnp.float32)
        else:
            mean = jnp.asarray(start, jnp.float32).reshape(num_components, size)
        raw = math.log(math.expm1(scale - smallest_scale))  # softplus(raw) + smallest_scale = scale
        raw_factor = jnp.tile(raw * jnp.eye(size, dtype=jnp.float32), (num_components, 1, 1))
        return {"params": {"logits": jnp.zeros(num_components, jnp.float32), "mean": mean, "raw_factor": raw_factor}}

    def distribution(variables: Variables) -> distrax.Distribution:
        p = variables["params"]
        diagonal = jax.nn.softplus(p["raw_factor"]) + smallest_scale
        factor = jnp.where(jnp.eye(size, dtype=bool)[None], diagonal, p["raw_factor"])  # the upper part is ignored
        components = FullCovarianceNormal(p["mean"], factor)
        return Shaped(distrax.MixtureSameFamily(distrax.Categorical(p["logits"]), components), shape)

    return DensityModel(init, distribution, shape=tuple(shape))
