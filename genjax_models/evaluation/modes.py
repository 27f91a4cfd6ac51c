"""Modes of a synthetic mixture: which of them samples find, and how many samples are of any."""

import jax.numpy as jnp

from genjax_models.estimators.kernels import squared_distances
from genjax_models.evaluation.features import check_features
from genjax_models.types import Array


def mode_coverage(
    samples: Array, centres: Array, scale: float, *, within: float = 3.0, at_least: int = 1
) -> dict[str, Array]:
    """What the GAN literature says of a mixture of Gaussians with equal weights (`data.synthetic.Modes`). Traceable.

    Srivastava et al. (2017, VEEGAN) count the modes and the samples, Lin et al. (2018, PacGAN) have the divergence.
    Of draws from the mixture itself in the plane, 1 - exp(-within^2 / 2) are of high quality: 98.9% within 3 standard
    deviations, 99.97% within 4.

    Args:
      samples: `[n, d]`.
      centres: `[modes, d]`.
      scale: one standard deviation, positive.
      within: standard deviations between a sample of high quality and its nearest centre, at most; positive.
      at_least: samples of high quality by which a mode is covered.

    Returns:
      "modes_covered", "modes_missed": how many are, and are not, scalars.
      "high_quality": 1 for samples of high quality, 0 for the others, `[n]`; the mean is their share.
      "mode_divergence": KL of the histogram of nearest centres, over all samples, to the uniform one, in nats: 0 where
        modes are drawn alike, log(modes) where all samples are of one. Of n fair draws its expectation is about
        (modes - 1) / (2 n). `[n]`, of which it is the mean, with the standard error of a mean.
      "total_variation": the distance, in [0, 1], of the shares of high quality at each mode from 1 / modes, the other
        samples having a place of their own: the share of samples that would have to be elsewhere. `[n]`, likewise.

    Raises:
      ValueError: no samples, samples and centres of different dimensions, values not finite, or numbers not positive.
    """
    check_features(1, samples=samples, centres=centres)
    for name, value in (("scale", scale), ("within", within), ("at_least", at_least)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value!r}")
    modes = len(centres)
    squared = squared_distances(samples, jnp.asarray(centres, jnp.float32))
    nearest = jnp.argmin(squared, axis=1)
    high_quality = jnp.min(squared, axis=1) <= (within * scale) ** 2
    place = jnp.where(high_quality, nearest, modes)  # the last one is of low quality, and ought to be empty
    counts, ideal = jnp.bincount(place, length=modes + 1), jnp.append(jnp.full(modes, 1 / modes), 0.0)
    crowded = counts / len(samples) > ideal
    covered = jnp.sum(counts[:modes] >= at_least)
    return {
        "modes_covered": covered,
        "modes_missed": modes - covered,
        "high_quality": high_quality.astype(jnp.float32),
        "mode_divergence": jnp.log(modes * jnp.bincount(nearest, length=modes) / len(samples))[nearest],
        "total_variation": crowded[place] - jnp.sum(ideal * crowded),
    }
