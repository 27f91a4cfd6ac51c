"""Does each code have one factor, and each factor one code? Figures by mutual information; all are pure functions.

Every figure is 1 for codes that are the factors, each in one dimension, in any order, sign and scale. None survives a
rotation of the codes, which leaves the bound of a VAE as it is: Locatello et al., 2019.

Beside disentanglement_lib (Locatello et al., 2019), on the same codes: inactive dimensions are left out here; a
continuous factor is binned as codes are, where disentanglement_lib accepts only discrete factors.
"""

from typing import NamedTuple

import numpy as np

from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.known_factors import RESAMPLES, Known, bootstrap_errors, bootstrapped, known_factors
from genjax_models.types import Array


class MutualInformationGap(NamedTuple):
    """MIG with its parts.

    Attributes:
      estimate: the mean over factors, with the standard error of the bootstrap.
      by_factor: gap of each factor, a share of its entropy, `[f]`.
      by_factor_error: its standard error, `[f]`.
      best_code: the dimension of the codes that knows most of each factor, `[f]`.
      bias: bias of I / H by counting, the mean over factors of the largest over dimensions. The gap of two codes that
        know nothing is of this size, not 0; see `plug_in_bias`.
      active: which dimensions are active, `[d]`; the others are left out.
    """

    estimate: Estimate
    by_factor: np.ndarray
    by_factor_error: np.ndarray
    best_code: np.ndarray
    bias: float
    active: np.ndarray


def mutual_information_matrix(
    codes: Array, factors: Array, bins: int = 20, *, active: Array | None = None, discrete: Array | None = None
) -> np.ndarray:
    """Returns I(z_i; v_k) `[d, f]` in nats, by counts of binned codes; 0 for inactive dimensions.

    Codes, and factors that are continuous, have `bins` bins of one width from their lowest to their highest value. The
    figure is too large by `plug_in_bias`.

    Args:
      codes: `[n, d]`.
      factors: `[n, f]`.
      bins: number of bins, at least 2.
      active: which dimensions are active; see `known_factors`.
      discrete: which factors are discrete; see `known_factors`.

    Raises:
      ValueError: as `known_factors`; or fewer than 2 bins.
    """
    known = known_factors(codes, factors, active=active, discrete=discrete)
    matrix = np.zeros((len(known.active), known.factors.shape[1]))
    matrix[known.active] = _information(*_binned(known, bins))
    return matrix


def mutual_information_gap(
    codes: Array,
    factors: Array,
    bins: int = 20,
    *,
    active: Array | None = None,
    discrete: Array | None = None,
    resamples: int = RESAMPLES,
) -> MutualInformationGap:
    """Returns MIG: how much more the best code knows of a factor than the second best (Chen et al., 2018).

        1 / K sum_k (I(z_(1); v_k) - I(z_(2); v_k)) / H(v_k)

    The second best of one active dimension is 0. For arguments and errors see `mutual_information_matrix`;
    `resamples` are the draws of the bootstrap.
    """
    known = known_factors(codes, factors, active=active, discrete=discrete)
    z, v = _binned(known, bins)
    information = _information(z, v)
    order, bias = np.argsort(-information, axis=0, kind="stable"), _bias(z, v)
    gaps = _gaps(information, v)
    with_mean = lambda z, v: np.append(gaps := _gaps(_information(z, v), v), gaps.mean())
    errors = bootstrap_errors(with_mean, z, v, resamples=resamples)
    return MutualInformationGap(
        Estimate(float(gaps.mean()), float(errors[-1]), len(z)),
        gaps,
        errors[:-1],
        np.flatnonzero(known.active)[order[0]],
        float(np.mean(bias.max(axis=0) / _entropies(v))),
        known.active,
    )


def modularity(
    codes: Array,
    factors: Array,
    bins: int = 20,
    *,
    active: Array | None = None,
    discrete: Array | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Returns how nearly each active code knows of one factor alone (Ridgeway and Mozer, 2018).

        1 / d sum_i 1 - sum_{k != k*} m_ik^2 / (m_ik*^2 (K - 1)),    m_ik = I(z_i; v_k), m_ik* the largest of row i

    A code that knows nothing counts as 0. For arguments and errors see `mutual_information_gap`; one factor raises
    ValueError.
    """
    known = known_factors(codes, factors, active=active, discrete=discrete)
    if known.factors.shape[1] < 2:
        raise ValueError("factors must have at least 2 columns for modularity, got 1")
    return bootstrapped(lambda z, v: _modularity(_information(z, v)), *_binned(known, bins), resamples=resamples)


def plug_in_bias(n: int, bins: int, values: int) -> float:
    """Returns (bins - 1) (values - 1) / (2 n) nats, by which I by counts of independent variables is too large.

    It is the first term in 1 / n (Miller, 1955; Madow, 1948).
    """
    return (bins - 1) * (values - 1) / (2 * n)


def _binned(known: Known, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns codes and factors as indices of their values or bins."""
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    columns = [
        np.unique(column, return_inverse=True)[1] if discrete else _in_bins(column, bins)
        for column, discrete in zip(known.factors.T, known.discrete, strict=True)
    ]
    return np.stack([_in_bins(column, bins) for column in known.codes.T], axis=1), np.stack(columns, axis=1)


def _in_bins(values: np.ndarray, bins: int) -> np.ndarray:
    return np.digitize(values, np.histogram_bin_edges(values, bins)[1:-1])


def _information(z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Returns I(z_i; v_k) = H(z_i) + H(v_k) - H(z_i, v_k) `[d, f]` of indices z `[n, d]` and v `[n, f]`."""
    sizes = v.max(axis=0) + 1
    joint = [[_entropy(code * size + factor) for factor, size in zip(v.T, sizes, strict=True)] for code in z.T]
    return np.maximum(_entropies(z)[:, None] + _entropies(v) - np.array(joint), 0.0)


def _entropies(indices: np.ndarray) -> np.ndarray:
    return np.array([_entropy(column) for column in indices.T])


def _entropy(indices: np.ndarray) -> float:
    counts = np.bincount(indices)
    shares = counts[counts > 0] / len(indices)
    return float(-np.sum(shares * np.log(shares)))


def _gaps(information: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Returns the gap of each factor `[f]`, a share of its entropy. A factor that a resample makes constant has 0."""
    second, first = np.sort(np.pad(information, ((1, 0), (0, 0))), axis=0)[-2:]
    return (first - second) / np.maximum(_entropies(v), np.finfo(float).tiny)


def _modularity(information: np.ndarray) -> float:
    squares = information**2
    largest = squares.max(axis=1)
    others = (squares.sum(axis=1) - largest) / (np.where(largest > 0, largest, 1) * (squares.shape[1] - 1))
    return float(np.mean(np.where(largest > _ROUNDING**2, 1 - others, 0.0)))


_ROUNDING = 1e-12  # nats below which an information by counts is 0


def _bias(z: np.ndarray, v: np.ndarray) -> np.ndarray:
    occupied = lambda indices: [len(np.unique(column)) for column in indices.T]
    return np.array([[plug_in_bias(len(z), bins, values) for values in occupied(v)] for bins in occupied(z)])
