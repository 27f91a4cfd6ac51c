"""What a classifier says of samples: are they of the class that was asked for, and are they of all classes?"""

import jax.numpy as jnp
import numpy as np

from genjax_models.evaluation.estimates import GROUPS, Estimate, jackknife_error
from genjax_models.types import Array


def class_accuracy(log_probabilities: Array, label: Array) -> Array:
    """One where the likeliest class is the one asked for, zero elsewhere: `[n, classes]` and `[n]` -> `[n]`.

    The mean is the share of samples of a conditional model that a classifier takes for what they should be; of data it
    is the classifier's accuracy, which no model need pass.

    Raises:
      ValueError: other shapes.
    """
    if log_probabilities.ndim != 2 or label.shape != log_probabilities.shape[:1]:
        raise ValueError(
            f"log-probabilities are [n, classes] and labels [n], got {log_probabilities.shape} and {label.shape}"
        )
    return (jnp.argmax(log_probabilities, axis=1) == label).astype(jnp.float32)


def classifier_score(log_probabilities: Array) -> Estimate:
    """exp(E KL(p(y | x) || p(y))): the inception score of Salimans et al. (2016), on a classifier of the data's own.

    1 where a classifier cannot tell samples apart, and at most the number of classes: where it is sure of each, and
    all are as frequent. It never looks at data: one good image of each class has the best score (Barratt and Sharma,
    2018). The standard error is the jackknife's.

    Args:
      log_probabilities: of samples, `[n, classes]`, n at least 3.

    Raises:
      ValueError: another shape, too few, or not finite.
    """
    log_p = np.asarray(log_probabilities, np.float64)
    if log_p.ndim != 2 or len(log_p) < 3 or not np.isfinite(log_p).all():
        raise ValueError(f"log-probabilities are [n, classes], finite, n at least 3, got the shape {log_p.shape}")
    groups = min(GROUPS, len(log_p))
    group = np.arange(len(log_p)) % groups
    *without, value = (_score(log_p[group != g]) for g in range(groups + 1))
    return Estimate(float(value), float(jackknife_error(np.array(without))), len(log_p))


def _score(log_p: np.ndarray) -> float:
    log_mean = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    return np.exp(np.mean(np.sum(np.exp(log_p) * (log_p - log_mean), axis=1)))
