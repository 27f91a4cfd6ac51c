"""Unsupervised disentanglement ranking: a model is good if other models find the same codes (Duan et al., 2020)."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
from genjax_models.types import Array


def unsupervised_ranking(codes: Sequence[Array], *, active: Sequence[Array] | None = None) -> np.ndarray:
    """Returns UDR of each model, `[models]`: the median over the other models of `similarity_of_codes`.

    R is the absolute value of Spearman's rank correlation of the codes of the same examples, one of the two choices of
    Duan et al. (2020). A score is high if seeds agree, which does not prove that they agree on the factors.

    Args:
      codes: posterior means of the same n examples by each model, `[n, d_m]`.
      active: which dimensions of each model are active, `[d_m]` each. Default: those whose codes have a variance above
        0.01 (Burda et al., 2015).

    Raises:
      ValueError: fewer than 2 models, codes of another number of examples, codes that are not finite, or a model
        without an active dimension.
    """
    if len(codes) < 2:
        raise ValueError(f"codes must be of at least 2 models, got {len(codes)}")
    arrays = [np.asarray(z, np.float64) for z in codes]
    if any(z.ndim != 2 or len(z) != len(arrays[0]) or not np.isfinite(z).all() for z in arrays):
        raise ValueError(f"codes must be finite [n, d] of the same examples, got shapes {[z.shape for z in arrays]}")
    used = (
        [z.var(axis=0) > ACTIVITY_THRESHOLD for z in arrays]
        if active is None
        else [np.asarray(a, bool) for a in active]
    )
    for model, dimensions in enumerate(used):
        if not dimensions.any():
            raise ValueError(
                f"codes of model {model} must have an active dimension, got {len(dimensions)} inactive dimensions"
            )
    ranks = [_standardised(rankdata(z[:, dimensions], axis=0)) for z, dimensions in zip(arrays, used, strict=True)]
    n = len(arrays[0])
    similarity = lambda a, b: similarity_of_codes(np.abs(a.T @ b) / n)
    return np.array([np.median([similarity(a, b) for b in ranks if b is not a]) for a in ranks])


def similarity_of_codes(strength: Array) -> float:
    """Returns how nearly the active codes of two models are the same, up to order, from R `[d_a, d_b]`, at least 0.

        1 / (d_a + d_b) (sum_b r_b^2 / sum_a R_ab + sum_a r_a^2 / sum_b R_ab),    r: the largest of a column or a row

    It is 1 if each code has one partner of strength 1. disentanglement_lib takes the mean of the two means in
    place of the sum over d_a + d_b. They differ if the models have different numbers of active codes.

    Raises:
      ValueError: R is no matrix, or has a number that is not finite or below 0.
    """
    strength = np.asarray(strength, np.float64)
    if strength.ndim != 2 or not strength.size or not (np.isfinite(strength).all() and (strength >= 0).all()):
        raise ValueError(f"strength must be finite [d_a, d_b], at least 0, got shape {strength.shape}")
    return float((_relative(strength.T).sum() + _relative(strength).sum()) / sum(strength.shape))


def _relative(strength: np.ndarray) -> np.ndarray:
    """Returns r^2 / sum of each row; 0 for a row of zeros."""
    sums = strength.sum(axis=1)
    return np.where(sums > 0, strength.max(axis=1) ** 2 / np.where(sums > 0, sums, 1), 0.0)


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return centred / np.where(centred.any(axis=0), centred.std(axis=0), 1)
