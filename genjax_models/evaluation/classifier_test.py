"""The classifier two-sample test: can a classifier tell samples from data? Lopez-Paz and Oquab (2017).

A classifier learns to tell samples from data on one half of both, and is scored on the other half. If both have one
distribution, the labels of the second half are exchangeable for every classifier. So the number of samples among the
points that it calls samples is hypergeometric, and p is Fisher's one-sided test, equal to a permutation test of the
labels. It is exact at every size, P(p <= a) <= a, for any classifier.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from genjax_models.evaluation.estimates import Share, share
from genjax_models.evaluation.features import check_features, check_squares
from genjax_models.evaluation.neighbours import nearest_neighbours
from genjax_models.evaluation.representations import accuracy
from genjax_models.types import Array


class ClassifierTest(NamedTuple):
    """Result of the test.

    Attributes:
      accuracy: share of right answers on the second half, 1/2 by chance. Its `n` and `m` count both halves.
      p_value: p-value of the hypothesis that samples and data have one distribution.
    """

    accuracy: Share
    p_value: float


def classifier_two_sample_test(samples: Array, data: Array, *, classifier: Any = None) -> ClassifierTest:
    """Returns the accuracy of a classifier that tells new samples from new data, and the p-value of the test.

    The larger set is thinned evenly to the size of the smaller one. The classifier learns from rows 0, 2, ... and is
    scored on rows 1, 3, ... Nothing is random.

    Args:
      samples: features `[n, d]`, independent of each other, n at least 8.
      data: features `[m, d]`, m at least 8, which the generator has not learned from.
      classifier: object with `fit(x, label)` and `predict(x)`, as in scikit-learn. By default a vote of the nearest
        neighbours; their (odd) number is about the square root of the training points, as in the paper.

    Raises:
      ValueError: too few rows, features of two sizes or not finite, or values whose squares float32 cannot hold.
    """
    from scipy.stats import hypergeom  # takes 0.5 s, which training need not wait for

    check_features(8, samples=samples, data=data)
    check_squares(samples=samples, data=data)
    size = min(len(samples), len(data))
    x, y = (np.asarray(z, np.float32)[np.linspace(0, len(z) - 1, size).astype(int)] for z in (samples, data))
    of_samples = lambda half: np.repeat([1, 0], [len(x[half]), len(y[half])])
    learned, scored = slice(0, None, 2), slice(1, None, 2)
    fitted = (classifier or _NeighboursVote()).fit(np.concatenate([x[learned], y[learned]]), of_samples(learned))
    predicted = np.asarray(fitted.predict(np.concatenate([x[scored], y[scored]])))
    label = of_samples(scored)
    right, error, *_ = accuracy(predicted == label)
    hits = np.sum((predicted == 1) & (label == 1))
    p_value = hypergeom.sf(hits - 1, len(label), np.sum(label == 1), np.sum(predicted == 1))
    return ClassifierTest(share(right, error, size, size), float(p_value))


class _NeighboursVote:
    """Predicts the class of most nearest neighbours."""

    def fit(self, x: np.ndarray, label: np.ndarray) -> "_NeighboursVote":
        self.x, self.label = x, label
        self.neighbours = 2 * ((math.isqrt(len(x)) - 1) // 2) + 1  # odd, so that no vote is a tie
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        votes = self.label[np.asarray(nearest_neighbours(x, self.x, neighbours=self.neighbours).indices)]
        return (2 * votes.sum(axis=1) > self.neighbours).astype(int)
