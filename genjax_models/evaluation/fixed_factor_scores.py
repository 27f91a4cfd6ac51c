"""Scores from batches that fix one factor: FactorVAE's (Kim and Mnih, 2018) and beta-VAE's (Higgins et al., 2017).

Both are 1 for codes rotated by less than 45 degrees in a plane, where figures by mutual information fall.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from genjax_models.evaluation.estimates import Estimate, estimate
from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
from genjax_models.evaluation.scikit_learn import scikit_learn
from genjax_models.types import Array

Encoder = Callable[[np.ndarray], Array]  # what `draw` makes -> codes [n, d]
_BLOCK = 10_000  # examples drawn and encoded at once


class FactorSource(Protocol):
    """A generator of examples with known factors, such as `data.factors.Source`."""

    @property
    def factors(self) -> Sequence[Any]:
        """The factors; a factor whose `derived` is true cannot be fixed."""
        ...

    @property
    def sample(self) -> Callable[[np.random.RandomState, int], np.ndarray]:
        """(generator, n) -> factors `[n, f]`."""
        ...

    @property
    def draw(self) -> Callable[[np.ndarray], np.ndarray]:
        """Factors `[n, f]` -> examples."""
        ...


class FixedFactorScore(NamedTuple):
    """A score with its parts.

    Attributes:
      estimate: accuracy on new batches, with the standard error of a share.
      train: accuracy on the batches that the classifier was fitted to.
      active: which dimensions are active, `[d]`; the others are left out.
      votes: FactorVAE's votes `[f, number of active dimensions]` of the batches that the classifier was fitted to; None
        for beta-VAE.
    """

    estimate: Estimate
    train: float
    active: np.ndarray
    votes: np.ndarray | None = None


def factor_vae_score(
    source: FactorSource,
    encode: Encoder,
    *,
    batch_size: int = 64,
    num_train: int = 800,
    num_test: int = 800,
    num_variance: int = 5_000,
    fixed: Sequence[int] | None = None,
    seed: int = 0,
) -> FixedFactorScore:
    """Returns how often the code of least variance names the factor that was fixed (Kim and Mnih, 2018).

    A batch votes for the pair (fixed factor k, argmin_i Var_batch z_i / Var z_i). The majority vote of training batches
    names the factor of each code. An inactive code would win every vote (0 / 0), so that it has none.
    disentanglement_lib has the same definition, but with its default threshold of 0 it leaves no dimension out. Its
    studies use 10,000 and 5,000 batches.

    Args:
      source: draws the examples.
      encode: examples -> codes, `[n, d]`.
      batch_size: examples in a batch.
      num_train: batches that name the factor of each code.
      num_test: batches that are judged.
      num_variance: examples behind Var z_i.
      fixed: columns of the factors that are fixed in turn. Default: all but derived factors.
      seed: random seed of the factors.

    Raises:
      ValueError: no dimension is active, fewer than 2 factors can be fixed, codes are not finite, or a count is too
        small.
    """
    random, columns = np.random.RandomState(seed), _fixable(source, fixed)
    _check_counts(
        batch_size=(batch_size, 2), num_train=(num_train, 1), num_test=(num_test, 1), num_variance=(num_variance, 2)
    )
    variances = _codes(source, encode, source.sample(random, num_variance)).var(axis=0, ddof=1)
    active = _active(variances)

    def votes(batches: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = random.choice(columns, batches)
        factors = source.sample(random, batches * batch_size).reshape(batches, batch_size, -1).copy()
        rows = np.arange(batches)
        factors[rows, :, chosen] = factors[rows, 0, chosen][:, None]
        z = _codes(source, encode, factors.reshape(batches * batch_size, -1)).reshape(batches, batch_size, -1)
        least = np.argmin(z[:, :, active].var(axis=1, ddof=1) / variances[active], axis=1)
        return np.searchsorted(columns, chosen), least

    counts = np.zeros((len(columns), int(active.sum())), int)
    named, least = votes(num_train)
    np.add.at(counts, (named, least), 1)
    named, least = votes(num_test)
    return FixedFactorScore(estimate(counts.argmax(axis=0)[least] == named), majority_vote(counts), active, counts)


def majority_vote(votes: Array) -> float:
    """Returns sum_i max_k V_ki / sum V of votes V `[f, d]`: the accuracy of the majority vote of each code.

    Raises:
      ValueError: there are no votes.
    """
    votes = np.asarray(votes)
    if votes.ndim != 2 or not votes.sum():
        raise ValueError(f"votes must be [f, d] with at least one vote, got shape {votes.shape}")
    return float(votes.max(axis=0).sum() / votes.sum())


def beta_vae_score(
    source: FactorSource,
    encode: Encoder,
    *,
    batch_size: int = 64,
    num_train: int = 800,
    num_test: int = 800,
    fixed: Sequence[int] | None = None,
    seed: int = 0,
) -> FixedFactorScore:
    """Returns how well a linear classifier names the factor that pairs share (Higgins et al., 2017).

    The features of a batch of pairs are mean |z_i^a - z_i^b|. The classifier is logistic regression, as in
    disentanglement_lib. Inactive dimensions are left out here, and kept there.

    Args:
      source: draws the examples.
      encode: examples -> codes, `[n, d]`.
      batch_size: pairs in a batch.
      num_train: batches that the classifier is fitted to.
      num_test: batches that are judged.
      fixed: columns of the factors that are fixed in turn. Default: all but derived factors.
      seed: random seed of the factors.

    Raises:
      InputError: scikit-learn is not installed.
      ValueError: as `factor_vae_score`.
    """
    random, columns = np.random.RandomState(seed), _fixable(source, fixed)
    _check_counts(batch_size=(batch_size, 1), num_train=(num_train, 2), num_test=(num_test, 1))
    regression = scikit_learn("linear_model", "the classifier of the beta-VAE score and others")

    def batches(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shared = np.repeat(random.choice(columns, count), batch_size)
        first, second = (source.sample(random, count * batch_size) for _ in range(2))
        rows = np.arange(count * batch_size)
        second[rows, shared] = first[rows, shared]
        a, b = (_codes(source, encode, factors) for factors in (first, second))
        features = pair_features(*(z.reshape(count, batch_size, -1) for z in (a, b)))
        return features, shared[::batch_size], a.var(axis=0, ddof=1)

    features, shared, variances = batches(num_train)
    active = _active(variances)
    classifier = regression.LogisticRegression(max_iter=10_000).fit(features[:, active], shared)
    train = float(np.mean(classifier.predict(features[:, active]) == shared))
    features, shared, _ = batches(num_test)
    return FixedFactorScore(estimate(classifier.predict(features[:, active]) == shared), train, active)


def pair_features(first: Array, second: Array) -> np.ndarray:
    """Returns the features of beta-VAE's score, mean |z^a - z^b| over pairs, `[..., d]` of codes `[..., pairs, d]`."""
    return np.mean(np.abs(np.asarray(first) - np.asarray(second)), axis=-2)


def _fixable(source: FactorSource, fixed: Sequence[int] | None) -> np.ndarray:
    """Returns the columns that can be fixed, in ascending order."""
    possible = np.flatnonzero([not getattr(factor, "derived", False) for factor in source.factors])
    columns = possible if fixed is None else np.unique(fixed)
    if len(columns) < 2:
        raise ValueError(f"source must have at least 2 factors that can be fixed, got {len(columns)}")
    if not np.isin(columns, possible).all():
        raise ValueError(
            f"fixed must be columns of factors that are not derived, {list(possible)}, got {list(columns)}"
        )
    return columns


def _check_counts(**counts: tuple[int, int]) -> None:
    for name, (count, least) in counts.items():
        if count < least:
            raise ValueError(f"{name} must be at least {least}, got {count}")


def _active(variances: np.ndarray) -> np.ndarray:
    active = variances > ACTIVITY_THRESHOLD
    if not active.any():
        raise ValueError(
            f"codes must have an active dimension, got {len(active)} inactive dimensions: the variance of each is at"
            f" most {ACTIVITY_THRESHOLD}"
        )
    return active


def _codes(source: FactorSource, encode: Encoder, factors: np.ndarray) -> np.ndarray:
    """Returns codes `[n, d]`, float64, of examples that are drawn a block at a time."""
    blocks = [encode(source.draw(factors[i : i + _BLOCK])) for i in range(0, len(factors), _BLOCK)]
    codes = np.concatenate([np.asarray(block, np.float64) for block in blocks])
    if codes.ndim != 2 or len(codes) != len(factors) or not np.isfinite(codes).all():
        raise ValueError(f"codes must be finite [{len(factors)}, d], got shape {codes.shape}")
    return codes
