"""Modes of a synthetic mixture: the modes that samples cover, and the share of samples near a mode."""

import jax
import jax.numpy as jnp

from genjax_models.estimators.kernels import as_points
from genjax_models.evaluation.features import check_features
from genjax_models.types import Array


def mode_coverage(
    samples: Array, centres: Array, scale: float, *, within: float = 3.0, at_least: int = 1
) -> dict[str, Array]:
    """Returns the figures of the GAN literature for a mixture of Gaussians of equal weights (`data.synthetic.Modes`).

    Srivastava et al. (2017, VEEGAN) count modes and samples; Lin et al. (2018, PacGAN) use the divergence. A draw from
    the mixture itself, in the plane, is of high quality with probability 1 - exp(-within^2 / 2): 98.9% within 3
    standard deviations, 99.97% within 4. Traceable.

    Distances are computed from differences, in units of `scale`: a diverged sample has no influence on other samples.

    Args:
      samples: `[n, d]`.
      centres: `[modes, d]`.
      scale: standard deviation of a mode, positive.
      within: largest distance of a sample of high quality from its nearest centre, in standard deviations; positive.
      at_least: number of samples of high quality that cover a mode.

    Returns:
      "modes_covered", "modes_missed": numbers of modes, scalars.
      "high_quality": whether each sample is of high quality, bool `[n]`; the mean is their share.
      "mode_divergence": KL from the histogram of nearest centres, over all samples, to the uniform one, in nats: 0 if
      all modes are equally frequent, log(modes) if all samples are at one. Its expectation for n fair draws is about
      (modes - 1) / (2 n). `[n]`; the figure is the mean, with the standard error of a mean.
      "total_variation": distance, in [0, 1], between the shares of high quality at each mode and 1 / modes, with one
      more place for the other samples: the share of samples that must move. `[n]`; the figure is the mean.

    Raises:
      ValueError: no samples, samples and centres of different dimensions, values not finite, or numbers not positive.
    """
    check_features(1, samples=samples, centres=centres)
    for name, value in (("scale", scale), ("within", within), ("at_least", at_least)):
        if not value > 0:
            raise ValueError(f"`{name}` must be positive, got {value!r}")
    modes = len(centres)
    samples, centres = as_points(samples), as_points(centres)
    squared = jax.lax.map(
        lambda centre: jnp.sum(((samples - centre[None]) / scale) ** 2, axis=1), centres
    )  # [modes, n]
    nearest = jnp.argmin(squared, axis=0)
    high_quality = jnp.min(squared, axis=0) <= within**2
    place = jnp.where(high_quality, nearest, modes)  # the last place is for low quality, and should be empty
    counts, ideal = jnp.bincount(place, length=modes + 1), jnp.append(jnp.full(modes, 1 / modes), 0.0)
    crowded = counts / len(samples) > ideal
    covered = jnp.sum(counts[:modes] >= at_least)
    return {
        "modes_covered": covered,
        "modes_missed": modes - covered,
        "high_quality": high_quality,
        "mode_divergence": jnp.log(modes * jnp.bincount(nearest, length=modes) / len(samples))[nearest],
        "total_variation": crowded[place] - jnp.sum(ideal * crowded),
    }
