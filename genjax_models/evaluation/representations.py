"""Quality of latents as representations (1.3.4), by the accuracy of simple classifiers of codes."""

from collections.abc import Mapping

import numpy as np

from genjax_models.errors import InputError
from genjax_models.evaluation.estimates import Estimate, estimate
from genjax_models.evaluation.scikit_learn import scikit_learn
from genjax_models.types import Array, Batch

_PROBES = "probes of representations"


def compare_representations(
    train_codes: Array, test_codes: Array, train: Batch, test: Batch, *, neighbours: int = 5
) -> dict[str, dict[str, Estimate]]:
    """Returns the `probe` of latent codes, of as many principal components of the data, and of the data.

    Args:
      train_codes: posterior means of `train.x`, `[n, latent]`.
      test_codes: posterior means of `test.x`, `[m, latent]`.
      train: training data of the probes, `x` `[n, *shape]` with `label` `[n]`.
      test: test data of the probes, `x` `[m, *shape]` with `label` `[m]`.
      neighbours: number of neighbours of each test example.

    Returns:
      "latents", "PCA" and "data", each with the result of `probe`. PCA has fewer components than latent dimensions if
      there are fewer examples or fewer numbers.

    Raises:
      InputError: scikit-learn is not installed.
      ValueError: as `probe`; or data of two types, which have different units (`Prepared.train` has stored values,
        `Prepared.training_examples` has the values of the model).
    """
    if train.x.dtype != test.x.dtype:
        raise ValueError(f"training and test data must be prepared alike, got {train.x.dtype} and {test.x.dtype}")
    pixels, test_pixels = (np.asarray(batch.x, np.float64).reshape(len(batch.x), -1) for batch in (train, test))
    codes = {
        "latents": (train_codes, test_codes),
        "PCA": principal_components(pixels, test_pixels, min(np.shape(train_codes)[1], *pixels.shape)),
        "data": (pixels, test_pixels),
    }
    return {
        name: probe(fitted, train.label, scored, test.label, neighbours=neighbours)
        for name, (fitted, scored) in codes.items()
    }


def probe(
    train_codes: Array, train_labels: Array, test_codes: Array, test_labels: Array, *, neighbours: int = 5
) -> dict[str, Estimate]:
    """Returns the accuracy on test codes of two classifiers fitted on training codes. Nothing is random.

    "linear" is logistic regression (l2 penalty |W|^2 / 2 plus the summed cross-entropy), "nearest_neighbours" a vote
    among the nearest in Euclidean distance. Codes keep their units. Divided by standard deviations, unused dimensions,
    whose means hardly vary, would weigh as much as used ones.

    Args:
      train_codes: `[n, d]`.
      train_labels: `[n]`, integers.
      test_codes: `[m, d]`.
      test_labels: `[m]`, integers.
      neighbours: number of neighbours of each test example, from 1 to n.

    Returns:
      "linear" and "nearest_neighbours": accuracy p on test examples, with standard error sqrt(p (1 - p) / m).

    Raises:
      InputError: scikit-learn is not installed.
      ValueError: codes and labels do not fit, are not finite or have one class; or `neighbours` is out of range.
    """
    train_codes, test_codes = np.asarray(train_codes, np.float64), np.asarray(test_codes, np.float64)
    train_labels, test_labels = _labels(train_codes, train_labels, "training"), _labels(test_codes, test_labels, "test")
    if train_codes.shape[1] != test_codes.shape[1]:
        raise ValueError(
            f"training and test codes must have one size, got {train_codes.shape[1]} and {test_codes.shape[1]}"
        )
    check_training(train_labels, neighbours)
    readers: Mapping = {
        "linear": scikit_learn("linear_model", _PROBES).LogisticRegression(max_iter=10_000),
        "nearest_neighbours": scikit_learn("neighbors", _PROBES).KNeighborsClassifier(neighbours),
    }
    return {
        name: accuracy(reader.fit(train_codes, train_labels).predict(test_codes) == test_labels)
        for name, reader in readers.items()
    }


def check_training(labels: Array, neighbours: int) -> None:
    """Refuses training labels of one class, and more neighbours than examples; costs nothing, unlike the codes.

    Raises:
      InputError: names the class, or both numbers.
    """
    if len(classes := np.unique(labels)) < 2:
        raise InputError(f"training labels must have two or more classes, got only {', '.join(map(str, classes))}")
    if not 1 <= neighbours <= len(labels):
        raise InputError(f"`neighbours` must be 1 to {len(labels)} training examples, got {neighbours}")


def principal_components(train: Array, test: Array, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns `train` `[n, d]` and `test` `[m, d]` in the directions of largest variance of `train`, `[., dimensions]`.

    Raises:
      InputError: scikit-learn is not installed.
    """
    components = scikit_learn("decomposition", _PROBES).PCA(dimensions, svd_solver="full").fit(train)
    return components.transform(train), components.transform(test)


def accuracy(right: Array) -> Estimate:
    """Returns the share p of true values in `right` `[n]`, with the standard error sqrt(p (1 - p) / n); see `share`."""
    return estimate(np.asarray(right, bool))


def _labels(codes: np.ndarray, labels: Array, which: str) -> np.ndarray:
    """Returns the labels, after checks of codes and labels."""
    if codes.ndim != 2 or not codes.size:
        raise ValueError(f"{which} codes must be [n, d], n and d at least 1, got shape {codes.shape}")
    if not np.all(np.isfinite(codes)):
        raise ValueError(f"{which} codes must all be finite")
    labels = np.asarray(labels)
    if labels.shape != codes.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{which} labels must be integers of shape ({len(codes)},), got {labels.dtype} of shape {labels.shape}"
        )
    return labels
