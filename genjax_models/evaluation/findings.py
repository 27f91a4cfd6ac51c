"""What a look at the figures says, in plain words: history -> sentences. One place for the log and the report."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genjax_models.estimators.importance import pareto_k_threshold
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
from genjax_models.types import Array

Row = Mapping[str, Any]

_NEAR = 0.8  # of log n: from here on mutual information says as much about n as about the model
_FEW = 10  # samples that count: with fewer, the error of log p(x) is no longer sqrt(R / k)


class Facts(NamedTuple):
    """What the history does not tell. `metric` is the held-out figure by which the run is judged.

    `active` `[latent]` says which latent dimensions are used, or a tuple of such which do in each stochastic layer;
    `density` whether the likelihood is one (and no probability), `bernoulli` whether it is Bernoulli; `values` are some
    of the data as the model sees them. `weights` is what `negative_log_likelihood` returned for test data, with
    `num_samples` samples of each; `mutual_information` is I(x; z) over n test examples, in nats.
    """

    metric: str
    higher_is_better: bool = True
    unit: str = "nats"
    active: Array | tuple[Array, ...] | None = None
    bernoulli: bool = False
    density: bool = False
    values: Array | None = None
    weights: Mapping[str, Array] | None = None
    num_samples: int | None = None
    mutual_information: Estimate | None = None


def findings(history: Sequence[Row], facts: Facts) -> list[str]:
    """Sentences on what deserves attention, the most important first; none where nothing does.

    Args:
      history: rows with "step", "split" and metrics, as `runs.fit` makes them.
      facts: what the rows do not tell.
    """
    return [*_likelihood(facts), *_weights(facts), *_latents(facts), *_information(facts), *_learning(history, facts)]


def _likelihood(facts: Facts) -> Iterator[str]:
    if facts.values is None:
        return
    values = np.asarray(facts.values)
    binary = bool(np.all((values == 0) | (values == 1)))
    if facts.bernoulli and not binary:
        yield (
            "The data are grey but the likelihood is Bernoulli: the bound is a cross-entropy, not a bound on log p(x)."
            " Binarise the data, or choose another likelihood."
        )
    if facts.density and binary:
        yield (
            "The data are binary but the likelihood is a density: the bound can grow without limit, and does not"
            " compare with that of a Bernoulli likelihood."
        )


def _weights(facts: Facts) -> Iterator[str]:
    """Whether NLL(k) can be trusted, by the weights that it is a mean of."""
    if facts.weights is None:
        return
    k, sizes = facts.num_samples, np.asarray(facts.weights["effective_sample_size"])
    n, remedy = len(sizes), "Take more samples, or annealed importance sampling, or a better encoder."
    if "pareto_k_hat" not in facts.weights:
        yield f"Whether the NLL({k:,}) can be trusted cannot be told: Pareto k-hat wants 25 samples or more."
        return
    k_hat, limit = np.asarray(facts.weights["pareto_k_hat"]), pareto_k_threshold(k)
    heavy = k_hat > limit
    if count := int(heavy.sum()):
        yield (
            f"The NLL({k:,}) of {count:,} of {n:,} test examples cannot be trusted: the Pareto k-hat of their weights"
            f" is above {limit:.2f} (the largest is {k_hat[heavy].max():.2f}), so that their variance is too large to"
            f" be estimated, and the NLL likely too high by an unknown amount. {remedy}"
        )
    few = ~(sizes >= _FEW) & ~heavy  # among them those with too few weights above zero to have a k-hat
    if count := int(few.sum()):
        yield (
            f"The NLL({k:,}) of {count:,} of {n:,} {'other ' if heavy.any() else ''}test examples rests on an effective"
            f" sample size below {_FEW} (the smallest is {sizes[few].min():.1f}). {remedy}"
        )


def _latents(facts: Facts) -> Iterator[str]:
    if facts.active is None:
        return
    layers = facts.active if isinstance(facts.active, tuple) else (facts.active,)
    totals, unused = [len(active) for active in layers], [int(np.sum(~np.asarray(active))) for active in layers]
    rule = f"the variance of their posterior mean over data is at most {ACTIVITY_THRESHOLD}"
    if unused == totals:
        yield (
            f"The posterior has collapsed: all {sum(totals)} latent dimensions are unused ({rule}),"
            " z says nothing about x."
        )
        return
    for layer, (count, total) in enumerate(zip(unused, totals, strict=True), start=1):
        share = f"all {total}" if count == total else f"{count} of {total}"
        where = f"Layer {layer}: " if len(layers) > 1 else ""
        if count:
            yield f"{where}{share} latent dimensions {'is' if count == 1 < total else 'are'} unused ({rule})."


def _information(facts: Facts) -> Iterator[str]:
    if facts.mutual_information is None:
        return
    information, _, n = facts.mutual_information
    cap = math.log(n)
    if information > _NEAR * cap:
        yield (
            f"The mutual information I(x; z), {information:.2f} nats, is close to log n = {cap:.2f}, the most that"
            f" {n:,} examples can show: the model's own may be far larger. Take more examples."
        )


def _learning(history: Sequence[Row], facts: Facts) -> Iterator[str]:
    rows = [row for row in history if row["split"] == "validation" and facts.metric in row]
    sign = 1 if facts.higher_is_better else -1
    if len(rows) < 4:
        return
    steps = np.array([row["step"] for row in rows])
    values = np.array([row[facts.metric] for row in rows])
    error = rows[-1].get(f"{facts.metric}_se", 0.0)
    name = facts.metric.replace("_", " ")
    best = int(np.argmax(sign * values))
    lost = sign * (values[best] - values[-1])
    if lost > error:
        yield (
            f"The validation {name} was best at step {steps[best]:,} and is {lost:.2f} {facts.unit} worse since:"
            " the model overfits. The best checkpoint is kept; more data, a smaller network or weight decay may help."
        )
    train = [
        value for row in history if row["split"] == "train" for key, value in row.items() if _is(key, facts.metric)
    ]
    if train and sign * (train[-1] - values[-1]) > 4 * error > 0:
        yield (
            f"Training data are {sign * (train[-1] - values[-1]):.1f} {facts.unit} better off than held-out data:"
            " the model has begun to memorise. More data would help more than a larger network."
        )
    gained = sign * (values[-1] - np.interp(0.75 * steps[-1], steps, values))
    if best == len(rows) - 1 and gained > 0.5 * error:
        yield (
            f"The loss was still falling: the validation {name} improved by {gained:.2f} {facts.unit} in the last"
            " quarter of the run. Train longer."
        )


def _is(key: str, metric: str) -> bool:
    """Whether a training row's "player/metric" is this metric."""
    return key.split("/")[-1] == metric
