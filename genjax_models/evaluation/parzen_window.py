"""The log-likelihood of a Parzen window on samples, as papers of GANs and GMMNs report it.

    p_h(x) = 1/n sum_i N(x; y_i, h^2 I)            y_i samples, h the bandwidth that is best on validation data

It is the likelihood of another model, and says little about the model of the samples (Theis, van den Oord and Bethge,
2016). In hundreds of dimensions no number of samples comes near to the model's own likelihood. Its order of models may
be wrong; k-means centres score better than draws from the data; and it does not detect memorised training images. It
is here for comparison with published figures: 10,000 samples of images in [0, 1] give 225 +- 2 nats for the GAN of
Goodfellow et al. (2014) and 147 +- 2 (282 +- 2 with an autoencoder) for the GMMN of Li, Swersky and Zemel (2015), on
MNIST.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.estimators.kernels import as_points, check_size, robust_centre, squared_distances_about
from genjax_models.evaluation.estimates import Estimate, estimate
from genjax_models.evaluation.features import check_features, check_squares, flat
from genjax_models.types import Array

BANDWIDTHS = tuple(10 ** (i / 9 - 1) for i in range(10))  # 0.1 to 1, of Goodfellow et al. (2014), for images in [0, 1]


class ParzenWindow(NamedTuple):
    """Result of `parzen_window`.

    Attributes:
      log_likelihood: mean log-likelihood of the test data, in nats, at `bandwidth`.
      bandwidth: the bandwidth that is best on validation data.
      validation: mean log-likelihood of the validation data, by bandwidth.
    """

    log_likelihood: Estimate
    bandwidth: float
    validation: dict[float, float]

    @property
    def at_edge(self) -> bool:
        """Returns whether the best bandwidth is the lowest or highest of several, so that the grid should be wider."""
        return len(self.validation) > 1 and self.bandwidth in (min(self.validation), max(self.validation))


def parzen_window(
    samples: Array,
    validation: Array,
    test: Array,
    *,
    bandwidths: Sequence[float] = BANDWIDTHS,
    block_size: int = 250,
) -> ParzenWindow:
    """Returns the mean log-likelihood of `test`, with its standard error over test examples.

    Args:
      samples: samples of the model, `[n, ...]`; 10,000 in the papers. Fewer samples give a lower figure.
      validation: held-out data, other than `test`, `[k, ...]`, on which the bandwidth is chosen.
      test: held-out data in the same range, `[m, ...]`. The figure depends on the range: papers use [0, 1].
      bandwidths: values of h, positive.
      block_size: examples that are compared with all samples at a time: memory is O(block_size n).

    Raises:
      ValueError: one of the three is empty, of another size, not finite or not floating point, or has values whose
        squares float32 cannot hold; a bandwidth is not positive, or `block_size` is below 1. While tracing, values are
        not checked, and a density whose squares overflow is NaN or -inf.
    """
    samples, validation, test = flat(samples), flat(validation), flat(test)
    check_features(1, samples=samples, validation_examples=validation, test_examples=test)
    densities = parzen_log_density(validation, samples, bandwidths, block_size=block_size)
    means = np.mean(np.asarray(densities, np.float64), axis=1)
    best = int(np.argmax(means))
    (density,) = parzen_log_density(test, samples, bandwidths[best : best + 1], block_size=block_size)
    by_bandwidth = {float(h): float(mean) for h, mean in zip(bandwidths, means, strict=True)}
    return ParzenWindow(estimate(density), float(bandwidths[best]), by_bandwidth)


def parzen_log_density(
    x: Array, samples: Array, bandwidths: Sequence[float] = BANDWIDTHS, *, block_size: int = 250
) -> Array:
    """Returns log p_h(x) for each bandwidth h and each example x, `[bandwidths, m]`, nats.

    Arguments and errors are as in `parzen_window`.
    """
    x, samples = flat(x), flat(samples)
    check_features(1, samples=samples, examples=x)
    check_squares(samples=samples, examples=x)
    check_size("block_size", block_size)
    if not len(bandwidths) or not all(math.isfinite(h) and h > 0 for h in bandwidths):
        raise ValueError(f"`bandwidths` must be positive numbers, got {tuple(bandwidths)}")
    return _log_density(as_points(x), as_points(samples), jnp.asarray(bandwidths, jnp.float32), block_size).T


@partial(jax.jit, static_argnums=3)
def _log_density(x: Array, samples: Array, bandwidths: Array, block_size: int) -> Array:
    n, d = samples.shape
    centre = robust_centre(samples)

    def of(rows):
        squared = squared_distances_about(centre, rows, samples)
        log_sum = lambda h: jax.nn.logsumexp(-(squared / h) / (2 * h), axis=1)  # h^2 might vanish
        return (jax.lax.map(log_sum, bandwidths) - d / 2 * (jnp.log(2 * jnp.pi) + 2 * jnp.log(bandwidths))[:, None]).T

    return map_blocks(of, x, block_size) - jnp.log(n)
