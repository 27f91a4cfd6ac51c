"""A data set in words, for `--dry-run`, reports and the command `data`."""

import math

import numpy as np

from genjax_models.data.dataset import Dataset
from genjax_models.data.factors import Factor
from genjax_models.data.values import Range

_SHOWN = 20  # classes


def description(dataset: Dataset) -> list[tuple[str, str]]:
    """Returns rows of name and text: sizes, kind, lengths, classes with counts in training, factors, source."""
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    sizes = ", ".join(f"{len(split.x):,} {name}" for name, split in splits.items())
    return [
        ("data", f"{dataset.name}: {sizes} examples of shape {dataset.shape}"),
        ("kind", dataset.in_words),
        *([("steps", _steps(dataset.train.length))] if dataset.train.length is not None else []),
        ("classes", _classes(dataset)),
        *([("factors", "; ".join(map(_factor, dataset.factors)))] if dataset.factors else []),
        ("source", dataset.provenance),
    ]


def units_of_density(dataset: Dataset, scaled: Range | None) -> str:
    """Returns what turns log-densities of values in the range `scaled` into the data's own units; "" if nothing need.

    An example of d numbers loses d ln s nats if scaled numbers are stored ones divided by s. None: there is no density.
    """
    if scaled is None:
        return ""
    (low, high), (lowest, highest) = dataset.range, scaled
    scale = (high - low) / (highest - lowest)
    if math.isclose(scale, 1):
        return ""
    is_sequence = dataset.kind == "sequences"  # lengths differ
    numbers, factor = math.prod(dataset.shape[is_sequence:]), max(scale, 1 / scale)
    verb, preposition = ("subtract", "from") if scale > 1 else ("add", "to")
    return (
        f"values [{low:g}, {high:g}] are scaled to [{lowest:g}, {highest:g}]; densities are of scaled values: {verb}"
        f" {numbers * math.log(factor):,.1f} nats ({numbers:,} x ln {factor:g}){' per step' * is_sequence}"
        f" {preposition} log p(x) for the data's own units"
    )


def _steps(length: np.ndarray) -> str:
    """Returns the lengths of sequences in words, as in "7 to 29 in a training sequence, mean 15.8"."""
    return f"{length.min()} to {length.max()} in a training sequence, mean {length.mean():.1f}, in all {length.sum():,}"


def _factor(factor: Factor) -> str:
    """Returns a factor with its values, as in "grass [0, 1]" or "trees (13 values)"."""
    low, high = factor.range
    values = f"({factor.size} values)" if factor.size else f"[{low:.3g}, {high:.3g}]"
    return f"{factor.name} {values}{', circular' * factor.circular}{', derived' * factor.derived}"


def _classes(dataset: Dataset) -> str:
    if dataset.num_classes is None or dataset.train.label is None:
        return "none, the data have no labels"
    counts = np.bincount(dataset.train.label, minlength=dataset.num_classes)
    names = dataset.class_names or tuple(map(str, range(dataset.num_classes)))
    shown = [f"{name} ({count:,})" for name, count in zip(names[:_SHOWN], counts.tolist(), strict=False)]
    if others := counts[_SHOWN:].tolist():
        shown.append(f"{len(others)} more ({min(others):,} to {max(others):,})")
    return f"{len(names)}, with training examples: {', '.join(shown)}"
