"""Do latents make good representations (1.3.4)? What simple readers find in codes of images."""

import math
from collections.abc import Mapping

import numpy as np

from genjax_models.errors import InputError
from genjax_models.evaluation.estimates import Estimate
from genjax_models.types import Array, Batch


def compare_representations(
    train_codes: Array, test_codes: Array, train: Batch, test: Batch, *, neighbours: int = 5
) -> dict[str, dict[str, Estimate]]:
    """The `probe` of latent codes, of as many principal components of the data, and of the data as they are.

    Args:
      train_codes: posterior means of `train.x`, `[n, latent]`.
      test_codes: posterior means of `test.x`, `[m, latent]`.
      train: `x` `[n, *shape]` with `label` `[n]`: what probes are fitted on.
      test: `x` `[m, *shape]` with `label` `[m]`: what they are scored on.
      neighbours: of each test example.

    Returns:
      "latents", "PCA" and "data", each with what `probe` returns. PCA of fewer examples or numbers than latent
      dimensions keeps all that there are.

    Raises:
      InputError: scikit-learn is not installed.
      ValueError: as `probe`; and data of two types, which are not in the same units (the training split of `prepare` is
        as it is stored, and `each_step` makes of it what the model sees).
    """
    if train.x.dtype != test.x.dtype:
        raise ValueError(f"training data are {train.x.dtype}, test data {test.x.dtype}: they must be prepared alike")
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
    """Accuracy on test codes of two readers fitted on training codes. Nothing is random.

    "linear" is logistic regression (l2 penalty |W|^2 / 2 beside the summed cross-entropy), "nearest_neighbours" a vote
    among the nearest in Euclidean distance. Codes are taken in their own units: divided by their standard deviations,
    dimensions that the generator does not use, whose means barely move, would weigh as much as those that it does.

    Args:
      train_codes: `[n, d]`.
      train_labels: `[n]`, integers.
      test_codes: `[m, d]`.
      test_labels: `[m]`, integers.
      neighbours: of each test example, from 1 to n.

    Returns:
      "linear" and "nearest_neighbours": the share p of test examples told right, with standard error
      sqrt(p (1 - p) / m).

    Raises:
      InputError: scikit-learn is not installed.
      ValueError: codes and labels that do not fit, are not finite or have one class; or neighbours out of range.
    """
    sklearn = _sklearn()
    train_codes, test_codes = np.asarray(train_codes, np.float64), np.asarray(test_codes, np.float64)
    train_labels, test_labels = _labels(train_codes, train_labels, "training"), _labels(test_codes, test_labels, "test")
    if train_codes.shape[1] != test_codes.shape[1]:
        raise ValueError(f"training codes have {train_codes.shape[1]} numbers, test codes {test_codes.shape[1]}")
    if len(np.unique(train_labels)) < 2:
        raise ValueError(
            f"a probe tells classes apart: training labels must be of two or more, all are {train_labels[0]}"
        )
    if not 1 <= neighbours <= len(train_codes):
        raise ValueError(f"neighbours must be from 1 to the {len(train_codes)} training examples, got {neighbours}")
    readers: Mapping = {
        "linear": sklearn.linear_model.LogisticRegression(max_iter=10_000),
        "nearest_neighbours": sklearn.neighbors.KNeighborsClassifier(neighbours),
    }
    return {
        name: accuracy(reader.fit(train_codes, train_labels).predict(test_codes) == test_labels)
        for name, reader in readers.items()
    }


def principal_components(train: Array, test: Array, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """`train` `[n, d]` and `test` `[m, d]` in the directions of largest variance of `train`: `[n or m, dimensions]`.

    Raises:
      InputError: scikit-learn is not installed.
    """
    components = _sklearn().decomposition.PCA(dimensions, svd_solver="full").fit(train)
    return components.transform(train), components.transform(test)


def accuracy(right: Array) -> Estimate:
    """The share p of `right` `[n]` booleans, with the standard error sqrt(p (1 - p) / n)."""
    p = float(np.mean(right))
    return Estimate(p, math.sqrt(p * (1 - p) / len(right)), len(right))


def _labels(codes: np.ndarray, labels: Array, which: str) -> np.ndarray:
    """The labels, once they and their codes are found to be fit."""
    if codes.ndim != 2 or not codes.size:
        raise ValueError(f"{which} codes are [n, d], n and d at least 1; got the shape {codes.shape}")
    if not np.all(np.isfinite(codes)):
        raise ValueError(f"{which} codes are not all finite")
    labels = np.asarray(labels)
    if labels.shape != codes.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{which} labels are integers of the shape ({len(codes)},), got {labels.dtype} of the shape {labels.shape}"
        )
    return labels


def _sklearn():
    try:
        import sklearn.decomposition
        import sklearn.linear_model
        import sklearn.neighbors
    except ImportError as error:
        raise InputError(
            "probes of representations: scikit-learn is not installed; pip install 'genjax_models[representations]'"
        ) from error
    return sklearn
