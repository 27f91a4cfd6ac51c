"""Figures of a classifier on samples: do they have the requested class, and do they cover all classes?"""

import jax.numpy as jnp
import numpy as np

from genjax_models.evaluation.estimates import GROUPS, Estimate, jackknife_error, limited
from genjax_models.types import Array


def class_accuracy(log_probabilities: Array, label: Array) -> Array:
    """Returns whether the likeliest class of each sample is the requested class, bool `[n]`.

    The mean over samples of a conditional model is the share that the classifier recognises. The mean over data is the
    accuracy of the classifier.

    Args:
      log_probabilities: log-probabilities of the classes, `[n, classes]`.
      label: requested classes, `[n]`.

    Raises:
      ValueError: the shapes are different.
    """
    if log_probabilities.ndim != 2 or label.shape != log_probabilities.shape[:1]:
        raise ValueError(
            f"log-probabilities must be [n, classes] and labels [n], got {log_probabilities.shape} and {label.shape}"
        )
    return jnp.argmax(log_probabilities, axis=1) == label


def classifier_score(log_probabilities: Array) -> Estimate:
    """Returns exp(E KL(p(y | x) || p(y))), the inception score of Salimans et al. (2016), by a classifier of the data.

    The score is 1 if the classifier cannot tell samples apart. It is the number of classes, its maximum, if the
    classifier is sure of each sample and all classes are equally frequent. It never looks at data: one good image of
    each class has the best score (Barratt and Sharma, 2018). The standard error is the jackknife's.

    Args:
      log_probabilities: log-probabilities of the classes of samples, `[n, classes]`, n at least 3.

    Raises:
      ValueError: another shape, too few samples, or values that are not finite.
    """
    log_p = np.asarray(log_probabilities, np.float64)
    if log_p.ndim != 2 or len(log_p) < 3 or not np.isfinite(log_p).all():
        raise ValueError(f"log-probabilities must be finite [n, classes], n at least 3, got shape {log_p.shape}")
    groups = min(GROUPS, len(log_p))
    group = np.arange(len(log_p)) % groups
    *without, value = (_score(log_p[group != g]) for g in range(groups + 1))
    return limited(Estimate(value, float(jackknife_error(np.array(without))), len(log_p)), 1, log_p.shape[1])


def _score(log_p: np.ndarray) -> float:
    log_mean = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    score = np.exp(np.mean(np.sum(np.exp(log_p) * (log_p - log_mean), axis=1)))
    return float(np.clip(score, 1, log_p.shape[1]))  # rounding may leave the range
