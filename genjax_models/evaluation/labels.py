"""Figures of a classifier on samples: do they have the requested class, and do they cover all classes?"""

import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_labels
from genjax_models.evaluation.estimates import GROUPS, Estimate, jackknife_error, limited
from genjax_models.types import Array, Tracer

_ROUNDING = 1e-3  # by which the sum of probabilities may leave 1, as in float16


def class_accuracy(log_probabilities: Array, label: Array) -> Array:
    """Returns whether the likeliest class of each sample is the requested class, bool `[n]`.

    The mean over samples of a conditional model is the share that the classifier recognises. The mean over data is the
    accuracy of the classifier.

    Args:
      log_probabilities: log-probabilities of the classes, `[n, classes]`.
      label: requested classes, `[n]`.

    Raises:
      ValueError: the shapes are different, or labels are not integers; on the host, a row is no log-probabilities, or a
        label is no class.
    """
    if log_probabilities.ndim != 2 or label.shape != log_probabilities.shape[:1]:
        raise ValueError(
            f"log-probabilities must be [n, classes] and labels [n], got {log_probabilities.shape} and {label.shape}"
        )
    check_log_probabilities(log_probabilities)
    check_labels(label, log_probabilities.shape[1])
    return jnp.argmax(log_probabilities, axis=1) == label


def classifier_score(log_probabilities: Array) -> Estimate:
    """Returns exp(E KL(p(y | x) || p(y))), the inception score of Salimans et al. (2016), by a classifier of the data.

    The score is 1 if the classifier cannot tell samples apart. It is the number of classes, its maximum, if the
    classifier is sure of each sample and all classes are equally frequent. It never looks at data: one good image of
    each class has the best score (Barratt and Sharma, 2018). The standard error is the jackknife's.

    Args:
      log_probabilities: log-probabilities of the classes of samples, `[n, classes]`, n at least 3.

    Raises:
      ValueError: another shape, too few samples, or a row that is no log-probabilities.
    """
    log_p = np.asarray(log_probabilities, np.float64)
    if log_p.ndim != 2 or len(log_p) < 3:
        raise ValueError(f"log-probabilities must be [n, classes], n at least 3, got shape {log_p.shape}")
    check_log_probabilities(log_p)
    groups = min(GROUPS, len(log_p))
    group = np.arange(len(log_p)) % groups
    *without, value = (_score(log_p[group != g]) for g in range(groups + 1))
    return limited(Estimate(value, float(jackknife_error(np.array(without))), len(log_p)), 1, log_p.shape[1])


def check_log_probabilities(log_probabilities: Array) -> None:
    """Checks on the host that rows `[n, classes]` are log-probabilities: at most 0, and with the sum of exponentials 1.

    Raises:
      ValueError: names the first other row, and says if it has probabilities or logits.
    """
    if isinstance(log_probabilities, Tracer) or not np.size(log_probabilities):
        return
    rows = np.asarray(log_probabilities, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.exp(rows).sum(axis=1)
        good = np.abs(sums - 1) < _ROUNDING
        probabilities = (rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1) - 1) < _ROUNDING)
    if not good.all():
        row = int(np.argmin(good))
        what = "probabilities" if probabilities[row] else "values that are not finite"
        if np.isfinite(rows[row]).all() and not probabilities[row]:
            what = "logits"
        raise ValueError(
            f"log-probabilities must have rows whose exponentials sum to 1, got {what} in row {row}, with the sum"
            f" {sums[row]:.4g}. Use jax.nn.log_softmax(logits)"
        )


def _score(log_p: np.ndarray) -> float:
    log_mean = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    score = np.exp(np.mean(np.sum(np.exp(log_p) * (log_p - log_mean), axis=1)))
    return float(np.clip(score, 1, log_p.shape[1]))  # rounding may leave the range
