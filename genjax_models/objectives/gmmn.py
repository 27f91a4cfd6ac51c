"""The generative moment matching network (20.10.5): Li, Swersky and Zemel, 2015; Dziugaite, Roy and Ghahramani, 2015.

Samples are compared with the data as a whole, by the maximum mean discrepancy.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from genjax_models.estimators.gram_sums import paired
from genjax_models.estimators.kernels import Kernel, features_of
from genjax_models.estimators.mmd import mmd_squared_biased, mmd_squared_unbiased
from genjax_models.models.implicit import ImplicitModel
from genjax_models.objectives.matching import SampleDistance, matching
from genjax_models.types import Array, Metrics, Objective

Distance = Literal["biased_root", "unbiased_squared"]


def gmmn(
    model: ImplicitModel, kernel: Kernel, *, distance: Distance = "biased_root", axis: str | None = None
) -> Objective:
    """Returns an objective with one player, "generator", that lowers the MMD between the batch and as many samples.

    Batches must be large, 1,000 say (Li et al.): the noise of the MMD falls with the size of both samples. A batch that
    is spread over devices is compared as one: the mean of the shards' MMDs is another estimator. The generator learns
    in learning mode.

    Args:
      model: a model that is not conditional.
      kernel: both papers use `gaussian_kernel`; Li et al. use several bandwidths. Their sigma is a variance:
        k = exp(-d^2 / (2 sigma)), so that their 2, 5, 10, 20, 40 and 80 are bandwidths of 1.4 to 8.9.
      distance: "biased_root" is the root of `mmd_squared_biased`. Its gradient does not fade as samples come close to
        the data (Li et al., section 3), down to an MMD^2 of about 1e-7 k(x, x), the rounding error in float32. Below,
        it still points to the data, up to rounding, and falls to zero as samples become the data. "unbiased_squared"
        is `mmd_squared_unbiased`. Its expected gradient is the gradient of MMD^2.
      axis: the mapped axis under `jax.pmap`; see `objectives.matching`.

    Returns:
      An `Objective` that reports "mmd_squared_biased" or "mmd_squared_unbiased".

    Raises:
      ValueError: a conditional model, or an unknown distance.
    """
    return matching(model, mmd(kernel, distance), axis=axis)


def mmd(kernel: Kernel, distance: Distance) -> SampleDistance:
    """Returns the distance that a GMMN lowers. Its metric is the squared MMD, named by the estimator; see `gmmn`."""
    if distance not in get_args(Distance):
        raise ValueError(f"distance must be one of {get_args(Distance)}, got {distance!r}")

    def mmd_of(x: Array, samples: Array) -> tuple[Array, Metrics]:
        if distance == "biased_root":
            squared = mmd_squared_biased(x, samples, kernel)
            return _root(squared, _rounding_error(x, kernel)), {"mmd_squared_biased": squared}
        squared = mmd_squared_unbiased(x, samples, kernel)
        return squared, {"mmd_squared_unbiased": squared}

    return mmd_of


def _rounding_error(x: Array, kernel: Kernel) -> Array:
    """Returns the rounding error of an MMD^2 near zero, whose terms are means of a kernel of size k(x, x)."""
    kernel, x = features_of(kernel, jax.lax.stop_gradient(x))
    return jnp.finfo(x.dtype).eps * jnp.mean(paired(kernel, x, x))


@jax.custom_jvp
def _root(squared: Array, smallest: Array) -> Array:
    """Returns sqrt(max(squared, 0)), with the slope 1 / (2 sqrt(max(squared, smallest))).

    The slope of the plain root is infinite at 0, and unknown within rounding of it.
    """
    return jnp.sqrt(jnp.maximum(squared, 0))


@_root.defjvp
def _(primals, tangents):
    squared, smallest = primals
    return _root(squared, smallest), tangents[0] / (2 * jnp.sqrt(jnp.maximum(squared, smallest)))
