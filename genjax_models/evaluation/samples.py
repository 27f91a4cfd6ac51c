"""Quality of samples: figures of samples and data only, on features that each figure's name ends with.

`sample_metrics` runs inside `jit` while a model learns; `sample_quality` makes the final report.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from genjax_models.estimators.kernels import check_size
from genjax_models.evaluation.classifier_test import classifier_two_sample_test
from genjax_models.evaluation.diversity import diversity
from genjax_models.evaluation.estimates import Estimate, limited
from genjax_models.evaluation.features import Features, check_prepared_alike, extract
from genjax_models.evaluation.frechet_distance import frechet_distance
from genjax_models.evaluation.kernel_distance import kernel_distance
from genjax_models.evaluation.manifold_coverage import manifold_coverage
from genjax_models.types import Array

_DISTANCES = {"kernel_distance": kernel_distance, "frechet_distance": frechet_distance, "diversity": diversity}


class SampleFigure(NamedTuple):
    """A figure of samples, and the same figure of data: what an ideal generator would have.

    Attributes:
      estimate: of samples and data.
      of_data: of two halves of the data, or of the data themselves; None if there are too few.
    """

    estimate: Estimate
    of_data: Estimate | None = None


def compared_with_data(
    features: Features,
    samples: Array,
    data: Array,
    *,
    fewest: int,
    batch_size: int = 500,
    quality: Callable[..., dict[str, Estimate]] | None = None,
) -> dict[str, SampleFigure]:
    """Returns figures of samples, each with the same figure between two halves of the data.

    Args:
      features: as in `sample_quality`.
      samples: as in `sample_quality`.
      data: as in `sample_quality`; its halves are every second row.
      fewest: smallest half that is judged.
      batch_size: as in `sample_quality`.
      quality: function of the figures, `sample_quality` by default, or `two_sample_test`.
    """
    quality = quality or sample_quality
    figures = quality(features, samples, data, batch_size=batch_size)
    halves = data[::2], data[1::2]
    enough = min(map(len, halves)) >= fewest
    of_data = quality(features, *halves, batch_size=batch_size) if enough else {}
    return {name: SampleFigure(figure, of_data.get(name)) for name, figure in figures.items()}


def sample_metrics(features: Features, samples: Array, data: Array, *, batch_size: int = 500) -> dict[str, Array]:
    """Returns figures to follow while a model learns; pure and traceable, for `evaluate` of `runs.fit`.

    Args:
      features: features by which samples and data are compared.
      samples: samples, `[n, ...]`.
      data: held-out data in the range of the samples, `[m, ...]`.
      batch_size: examples whose features are computed at once.

    Returns:
      Scalars: "kernel_distance_on_<features>", "frechet_distance_on_..." (both lower for better samples; the latter has
      a bias that depends on n and m, so these must stay the same) and "diversity_on_..." (1 for data). Each has its
      standard error as "..._se", as in the history.

    Raises:
      ValueError: as `sample_quality`; with tracers, by shapes only.
    """
    x, y = _extracted(features, samples, data, batch_size)
    metrics = {}
    for name, figure in _DISTANCES.items():
        name = f"{name}_on_{features.name}"
        metrics[name], metrics[f"{name}_se"] = figure(x, y)
    return metrics


def sample_quality(
    features: Features, samples: Array, data: Array, *, neighbours: int = 5, batch_size: int = 500
) -> dict[str, Estimate]:
    """Returns all figures on one kind of features, for a report, on the host; the Fréchet distance is in float64.

    Training data in place of samples show the figures of an ideal generator.

    Args:
      features: features by which samples and data are compared. The function is not traced, so it need not be jax.
      samples: samples in random order, `[n, ...]`, n at least 8 and k + 2. Halves and groups take every second or
        twentieth row, so the classes of a conditional model must not come in turn.
      data: held-out data in the range of the samples, `[m, ...]`, m at least 8 and k + 2.
      neighbours: k of `manifold_coverage`.
      batch_size: examples whose features are computed at once.

    Returns:
      "kernel_distance_on_<features>", "frechet_distance_on_...", "diversity_on_...", "precision_on_...",
      "recall_on_...", "density_on_...", "coverage_on_...", "two_sample_accuracy_on_..." and
      "two_sample_p_value_on_...", each with its standard error, n and m.

    Raises:
      ValueError: too few samples or data, different shapes, not floating point, or features that are not finite.
    """
    x, y = _extracted(features, samples, data, batch_size)
    n, m = len(x), len(y)
    coverage = manifold_coverage(x, y, neighbours=neighbours)
    estimates = {}
    for name, figure in _DISTANCES.items():
        value, standard_error = figure(x, y)
        estimates[name] = Estimate(float(value), float(standard_error), n, m)
        if name != "kernel_distance":  # an unbiased estimate of a square, which may be negative
            estimates[name] = limited(estimates[name], 0)
    estimates |= coverage | _two_sample(x, y)
    return {f"{name}_on_{features.name}": estimate for name, estimate in estimates.items()}


def two_sample_test(features: Features, samples: Array, data: Array, *, batch_size: int = 500) -> dict[str, Estimate]:
    """Returns accuracy and p-value of `classifier_two_sample_test`; names, arguments and errors as `sample_quality`."""
    x, y = _extracted(features, samples, data, batch_size)
    return {f"{name}_on_{features.name}": estimate for name, estimate in _two_sample(x, y).items()}


def _two_sample(x: Array, y: Array) -> dict[str, Estimate]:
    accuracy, p_value = classifier_two_sample_test(x, y)
    return {"two_sample_accuracy": accuracy, "two_sample_p_value": Estimate(p_value, math.nan, len(x), len(y))}


def _extracted(features: Features, samples: Array, data: Array, batch_size: int) -> tuple[Array, Array]:
    check_size("batch_size", batch_size)
    if samples.shape[1:] != data.shape[1:]:
        raise ValueError(f"samples and data must have one shape, got {samples.shape[1:]} and {data.shape[1:]}")
    check_prepared_alike(samples=samples, data=data)
    sides = {"samples": samples, "data": data}
    x, y = (extract(features, side, batch_size=batch_size, name=name) for name, side in sides.items())
    return x, y
