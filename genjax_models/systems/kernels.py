"""The kernel of images, as a config names it. Imports no jax, so that --help is quick."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training, positive, whole

if TYPE_CHECKING:
    from genjax_models.estimators.kernels import Kernel


def kernel_of_variances(variances: tuple[float, ...]) -> Kernel:
    """Returns the sum of Gaussian kernels of these variances."""
    import genjax_models as gx

    return gx.gaussian_kernel([math.sqrt(variance) for variance in variances])


def positive_variances(variances: tuple[float, ...]) -> None:
    """Refuses an empty tuple, and variances that are not positive.

    Raises:
      InputError: names the number or the variance.
    """
    whole(1, number_of_kernel_variances=len(variances))
    for variance in variances:
        positive(kernel_variances=variance)


def enough_examples(distance: str, training: Training) -> None:
    """Refuses batches that are too small for a distance between samples.

    Raises:
      InputError: the unbiased MMD, and batches of one example.
    """
    if distance == "unbiased_squared" and training.batch_size < 2:
        raise InputError(f"distance {distance} needs a batch_size of at least 2, got {training.batch_size}")
