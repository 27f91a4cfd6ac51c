"""The classifier two-sample test: can samples be told from data? Lopez-Paz and Oquab (2017).

A classifier learns to tell samples from data on one half of both, and is scored on the other. Where both are of one
distribution, the labels of the other half are exchangeable whatever was learned, and so the number of samples among the
points that it takes for samples is hypergeometric: p is the one-sided test of Fisher, which is what permuting the
labels comes to. It is exact at every size, P(p <= a) <= a, for any classifier.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.features import check_features
from genjax_models.evaluation.neighbours import nearest_neighbours
from genjax_models.evaluation.representations import accuracy
from genjax_models.types import Array


class ClassifierTest(NamedTuple):
    """The share of held-out points told right, 1/2 by chance, and the p-value; `n` and `m` count the halves learned
    from too."""

    accuracy: Estimate
    p_value: float


def classifier_two_sample_test(samples: Array, data: Array, *, classifier: Any = None) -> ClassifierTest:
    """The accuracy of a classifier that tells samples from data, on points that it has not seen, and its p-value.

    Of the larger set as many rows are used as the smaller has, evenly spaced. Rows 0, 2, ... are learned from, rows 1,
    3, ... are scored. Nothing is random.

    Args:
      samples: features `[n, d]`, independent of each other, n at least 8.
      data: features `[m, d]`, m at least 8, new to whatever made the samples.
      classifier: with `fit(x, label)` and `predict(x)`, as scikit-learn's are; by default the vote of the nearest
        neighbours, as many as the root of the points learned from (an odd number), as in the paper.

    Raises:
      ValueError: too few, or features of two sizes or not finite.
    """
    check_features(8, samples=samples, data=data)
    size = min(len(samples), len(data))
    x, y = (np.asarray(z, np.float32)[np.linspace(0, len(z) - 1, size).astype(int)] for z in (samples, data))
    of_samples = lambda half: np.repeat([1, 0], [len(x[half]), len(y[half])])
    learned, scored = slice(0, None, 2), slice(1, None, 2)
    fitted = (classifier or _NeighboursVote()).fit(np.concatenate([x[learned], y[learned]]), of_samples(learned))
    told = np.asarray(fitted.predict(np.concatenate([x[scored], y[scored]])))
    label = of_samples(scored)
    right, error, *_ = accuracy(told == label)
    hits = np.sum((told == 1) & (label == 1))
    p_value = scipy.stats.hypergeom.sf(hits - 1, len(label), np.sum(label == 1), np.sum(told == 1))
    return ClassifierTest(Estimate(right, error, size, size), float(p_value))


class _NeighboursVote:
    """What most of the nearest neighbours are."""

    def fit(self, x: np.ndarray, label: np.ndarray) -> "_NeighboursVote":
        self.x, self.label = x, label
        self.neighbours = 2 * ((math.isqrt(len(x)) - 1) // 2) + 1  # odd: nobody is undecided
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        votes = self.label[np.asarray(nearest_neighbours(x, self.x, neighbours=self.neighbours).indices)]
        return (2 * votes.sum(axis=1) > self.neighbours).astype(int)
