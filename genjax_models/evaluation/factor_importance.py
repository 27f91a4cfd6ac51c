"""Disentanglement, completeness and informativeness, from readers of the factors (Eastwood and Williams, 2018)."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from genjax_models.evaluation.known_factors import known_factors
from genjax_models.evaluation.scikit_learn import scikit_learn
from genjax_models.types import Array


class DCI(NamedTuple):
    """Disentanglement and completeness, each in [0, 1]."""

    disentanglement: float
    completeness: float


class Importance(NamedTuple):
    """What readers of the factors used.

    Attributes:
      matrix: importance of each active code for each factor, `[number of active dimensions, f]`, columns of sum 1.
      informativeness: R^2 of a continuous factor, accuracy of a discrete factor, on rows that the reader did not see,
        `[f]`.
      active: which dimensions are active, `[d]`; the matrix has no rows for the others.
    """

    matrix: np.ndarray
    informativeness: np.ndarray
    active: np.ndarray


def dci(importance: Array) -> DCI:
    """Returns disentanglement and completeness of a matrix of importances R `[d, f]`.

        rho_i = R_i / sum_k R_ik,    D = sum_i (1 - H(rho_i)) sum_k R_ik / sum R,    H with logarithms to base f

    Completeness is the same for columns, with base d. Rows and columns weigh by their sums, so that a code that no
    reader uses has weight 0.

    Raises:
      ValueError: R is not `[d, f]` with d and f at least 2, is not finite or has a number below 0, or is all 0.
    """
    matrix = np.asarray(importance, np.float64)
    if matrix.ndim != 2 or min(matrix.shape) < 2:
        raise ValueError(f"importance must be [d, f] with at least 2 codes and 2 factors, got shape {matrix.shape}")
    if not (np.isfinite(matrix).all() and (matrix >= 0).all() and matrix.any()):
        raise ValueError("importance must be finite and at least 0, and not all 0")
    return DCI(_concentration(matrix), _concentration(matrix.T))


def importance(
    codes: Array,
    factors: Array,
    reader: Literal["random_forest", "boosted_trees"] | Any = "random_forest",
    *,
    active: Array | None = None,
    discrete: Array | None = None,
) -> Importance:
    """Returns the importance of each code for each factor, by a reader per factor, fitted to the even rows.

    "random_forest" is a reader of Eastwood and Williams (2018), "boosted_trees" the one of disentanglement_lib; both
    are regressors of continuous factors and classifiers of discrete factors. Another reader is an estimator of
    scikit-learn. Its importances are `feature_importances_`, or the mean over classes of |`coef_`|.

    Args:
      codes: `[n, d]`.
      factors: `[n, f]`.
      reader: a name, or an estimator of scikit-learn that is fitted to copies.
      active: which dimensions are active; see `known_factors`.
      discrete: which factors are classes; see `known_factors`.

    Raises:
      InputError: scikit-learn is not installed.
      ValueError: as `known_factors`; an unknown reader; or a classifier for a continuous factor.
    """
    known = known_factors(codes, factors, active=active, discrete=discrete)
    z, columns, scores = known.codes, [], []
    for k, (factor, classes) in enumerate(zip(known.factors.T, known.discrete, strict=True)):
        fitted = _reader(reader, k, bool(classes)).fit(z[::2], factor[::2])
        weight = fitted.feature_importances_ if hasattr(fitted, "feature_importances_") else np.abs(fitted.coef_)
        weight = weight.reshape(-1, z.shape[1]).mean(axis=0)
        columns.append(weight / weight.sum() if weight.sum() > 0 else weight)
        scores.append(fitted.score(z[1::2], factor[1::2]))
    return Importance(np.stack(columns, axis=1), np.array(scores), known.active)


def _reader(reader: Any, k: int, discrete: bool) -> Any:
    """Returns a reader of factor k that is not fitted yet."""
    readers = "readers of factors"
    if not isinstance(reader, str):
        base = scikit_learn("base", readers)
        if base.is_classifier(reader) and not discrete:
            name = type(reader).__name__
            raise ValueError(
                f"factor {k} must be discrete for the classifier {name}, got continuous values. Use a regressor"
            )
        return base.clone(reader)
    if reader not in _TREES:
        raise ValueError(f"reader must be one of {', '.join(_TREES)} or an estimator of scikit-learn, got {reader!r}")
    return _TREES[reader](scikit_learn("ensemble", readers), "Classifier" if discrete else "Regressor")


# All codes compete for every split: with a random choice of codes, useless ones are split too.
_TREES: Mapping[str, Callable] = {
    "random_forest": lambda ensemble, kind: getattr(ensemble, f"RandomForest{kind}")(
        n_estimators=50, max_features=None, min_samples_leaf=5, random_state=0
    ),
    "boosted_trees": lambda ensemble, kind: getattr(ensemble, f"GradientBoosting{kind}")(random_state=0),
}


def _concentration(matrix: np.ndarray) -> float:
    """Returns sum_i (1 - H(rho_i)) weight_i over rows of weight above 0."""
    weights = matrix.sum(axis=1)
    used = weights > 0
    rho = matrix[used] / weights[used, None]
    entropy = -np.sum(rho * np.log(np.where(rho > 0, rho, 1)), axis=1) / np.log(matrix.shape[1])
    return float(np.sum((1 - entropy) * weights[used] / weights.sum()))
