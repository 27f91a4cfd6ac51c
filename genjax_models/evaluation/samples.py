"""How good are samples? Figures that look at nothing but samples and data, on features that each figure's name carries.

Two ways in: `sample_metrics` while a model learns, inside `jit`; `sample_quality` for the report at the end.
"""

import math

from genjax_models.estimators.kernels import check_size
from genjax_models.evaluation.classifier_test import classifier_two_sample_test
from genjax_models.evaluation.diversity import diversity
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.features import Features, check_prepared_alike, extract
from genjax_models.evaluation.frechet_distance import frechet_distance
from genjax_models.evaluation.kernel_distance import kernel_distance
from genjax_models.evaluation.manifold_coverage import manifold_coverage
from genjax_models.types import Array

_DISTANCES = {"kernel_distance": kernel_distance, "frechet_distance": frechet_distance, "diversity": diversity}


def sample_metrics(features: Features, samples: Array, data: Array, *, batch_size: int = 500) -> dict[str, Array]:
    """What can be followed while a model learns: pure and traceable, for `evaluate` of `runs.fit`.

    Args:
      features: what both are compared by.
      samples: `[n, ...]`.
      data: `[m, ...]`, held out, in the range of the samples.
      batch_size: examples whose features are computed at once.

    Returns:
      Scalars: "kernel_distance_on_<features>", "frechet_distance_on_..." (both lower for better samples; the second
      is biased by n and m, which must stay the same) and "diversity_on_..." (1 is the data's), each with its standard
      error beside it as "..._se", as the history has them.

    Raises:
      ValueError: as `sample_quality`, by shapes alone where values are traced.
    """
    x, y = _extracted(features, samples, data, batch_size)
    found = {}
    for name, figure in _DISTANCES.items():
        name = f"{name}_on_{features.name}"
        found[name], found[f"{name}_se"] = figure(x, y)
    return found


def sample_quality(
    features: Features, samples: Array, data: Array, *, neighbours: int = 5, batch_size: int = 500
) -> dict[str, Estimate]:
    """All figures on one kind of features, for a report: on the host, the Fréchet distance in float64.

    Training data in place of samples show what the best of generators would get.

    Args:
      features: what both are compared by; the function may be anybody's, it is not traced.
      samples: `[n, ...]`, n at least 8 and k + 2, in no order: halves and groups are of every second or twentieth row,
        so that the classes of a conditional model are to be drawn, not in turn.
      data: `[m, ...]`, held out, in the range of the samples; m as n.
      neighbours: k, of `manifold_coverage`.
      batch_size: examples whose features are computed at once.

    Returns:
      "kernel_distance_on_<features>", "frechet_distance_on_...", "diversity_on_...", "precision_on_...",
      "recall_on_...", "density_on_...", "coverage_on_...", "two_sample_accuracy_on_..." and
      "two_sample_p_value_on_...", each a `Estimate`: value, standard error, n and m.

    Raises:
      ValueError: too few, samples and data of different shapes or not floating point, or features that are not finite.
    """
    x, y = _extracted(features, samples, data, batch_size)
    n, m = len(x), len(y)
    of_points = manifold_coverage(x, y, neighbours=neighbours)
    test = classifier_two_sample_test(x, y)
    distances = {}
    for name, figure in _DISTANCES.items():
        value, standard_error = figure(x, y)
        distances[name] = Estimate(float(value), float(standard_error), n, m)
    found = distances | of_points
    found |= {"two_sample_accuracy": test.accuracy, "two_sample_p_value": Estimate(test.p_value, math.nan, n, m)}
    return {f"{name}_on_{features.name}": score for name, score in found.items()}


def _extracted(features: Features, samples: Array, data: Array, batch_size: int) -> tuple[Array, Array]:
    check_size("batch_size", batch_size)
    if samples.shape[1:] != data.shape[1:]:
        raise ValueError(f"samples and data are of one shape, got {samples.shape[1:]} and {data.shape[1:]}")
    check_prepared_alike(samples=samples, data=data)
    return extract(features, samples, batch_size=batch_size), extract(features, data, batch_size=batch_size)
