"""What a model of sequences must beat: densities without latents, fitted in closed form, in nats per step.

Binary sequences `[n, time, d]`: independent features, and each feature given itself a step before. Real sequences: one
Gaussian for all steps (noise), and a vector autoregression of order 1, VAR(1). All are fitted to the training split.
"""

from typing import NamedTuple

import numpy as np

from genjax_models.types import Array, Batch


class Sequences(NamedTuple):
    """Sequences on the host, float64 `[n, time, d]`, and which steps are data, bool `[n, time]`."""

    x: np.ndarray
    mask: np.ndarray


def sequence_baselines(train: Batch, held_out: Batch, *, binary: bool) -> dict[str, float]:
    """Returns the held-out log-likelihood of each baseline, in nats per step; Gaussians that do not exist are left out.

    Args:
      train: prepared sequences `[n, time, ...]` with their lengths, to which the baselines are fitted.
      held_out: prepared sequences, on which they are judged.
      binary: whether values are 0 or 1; else they are real.
    """
    fitted = {"independent features": independent_bits, "features given themselves": bits_given_themselves}
    if not binary:
        fitted = {"Gaussian noise": gaussian_noise, "VAR(1)": vector_autoregression}
    figures = {}
    for name, baseline in fitted.items():
        try:
            figures[name] = nats_per_step(baseline(train, held_out), held_out.length)
        except np.linalg.LinAlgError:
            continue
    return figures


def nats_per_step(nats: Array, length: Array) -> float:
    """Returns the total over sequences `[n]` by their total number of steps: no mean of ratios."""
    return float(np.sum(np.asarray(nats, np.float64)) / np.sum(length))


def independent_bits(train: Batch, held_out: Batch) -> np.ndarray:
    """Returns sum_t sum_d log p_d(x_td) per sequence, `[n]`, nats; p_d(1) = (ones + 1) / (steps + 2) in training.

    Raises:
      ValueError: values are not 0 and 1.
    """
    (x, mask), (y, seen) = _bits(train), _bits(held_out)
    p = (x[mask].sum(axis=0) + 1) / (mask.sum() + 2)
    return _log_prob(y, p, seen)


def bits_given_themselves(train: Batch, held_out: Batch) -> np.ndarray:
    """Returns sum_t sum_d log p_d(x_td | x_(t-1)d) per sequence, `[n]`, nats; all features are 0 before the first step.

    p_d(1 | b) = (ones after b + 1) / (steps after b + 2) in training.

    Raises:
      ValueError: values are not 0 and 1.
    """
    (x, mask), (y, seen) = _bits(train), _bits(held_out)
    after = lambda before, bit: mask[..., None] & (before == bit)
    p = [(x * after(_before(x), bit)).sum((0, 1)) + 1 for bit in (0, 1)]
    p = [ones / (after(_before(x), bit).sum((0, 1)) + 2) for bit, ones in enumerate(p)]
    return _log_prob(y, np.where(_before(y) == 1, p[1], p[0]), seen)


def gaussian_noise(train: Batch, held_out: Batch) -> np.ndarray:
    """Returns sum_t log N(x_t; m, S) per sequence, `[n]`, nats; m and S are mean and covariance of training steps.

    Raises:
      np.linalg.LinAlgError: S is singular.
    """
    (x, mask), (y, seen) = _sequences(train), _sequences(held_out)
    mean = x[mask].mean(axis=0)
    return np.sum(_gaussian(y - mean, np.cov(x[mask].T, bias=True)), axis=1, where=seen)


def vector_autoregression(train: Batch, held_out: Batch) -> np.ndarray:
    """Returns log N(x_1; m, S) + sum_(t>1) log N(x_t; A x_(t-1) + b, R) per sequence, `[n]`, nats.

    Least squares on the training steps give A and b, and their residuals the covariance R. m and S are mean and
    covariance of the first steps.

    Raises:
      np.linalg.LinAlgError: S or R is singular.
    """
    (x, mask), (y, seen) = _sequences(train), _sequences(held_out)
    with_one = lambda x: np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)
    later = mask[:, 1:]
    weights = np.linalg.lstsq(with_one(x[:, :-1][later]), x[:, 1:][later])[0]
    left = x[:, 1:][later] - with_one(x[:, :-1][later]) @ weights
    first = _gaussian(y[:, 0] - x[:, 0].mean(axis=0), np.cov(x[:, 0].T, bias=True))
    others = _gaussian(y[:, 1:] - with_one(y[:, :-1]) @ weights, left.T @ left / len(left))
    return first + np.sum(others, axis=1, where=seen[:, 1:])


def _sequences(batch: Batch) -> Sequences:
    x = np.asarray(batch.x, np.float64)
    mask = (
        np.ones(x.shape[:2], bool)
        if batch.length is None
        else np.arange(x.shape[1]) < np.asarray(batch.length)[:, None]
    )
    return Sequences(np.where(mask[..., None], x.reshape(*x.shape[:2], -1), 0), mask)


def _bits(batch: Batch) -> Sequences:
    sequences = _sequences(batch)
    if not np.isin(sequences.x, (0, 1)).all():
        raise ValueError("values must be 0 or 1; for real values use gaussian_noise and vector_autoregression")
    return sequences


def _before(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], axis=1)


def _log_prob(x: np.ndarray, p: np.ndarray, mask: np.ndarray) -> np.ndarray:
    of_step = np.where(x == 1, np.log(p), np.log1p(-p)).sum(axis=-1)
    return np.sum(of_step, axis=1, where=mask)


def _gaussian(error: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Returns log N(error; 0, covariance), `[...]` of `[..., d]`."""
    root = np.linalg.cholesky(np.atleast_2d(covariance))
    white = np.linalg.solve(root, error.reshape(-1, len(root)).T)
    constant = np.log(np.diag(root)).sum() + len(root) / 2 * np.log(2 * np.pi)
    return (-0.5 * np.sum(white**2, axis=0) - constant).reshape(error.shape[:-1])
