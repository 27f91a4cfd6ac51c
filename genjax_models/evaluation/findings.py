"""What a look at the figures says, in plain words: history -> sentences. One place for the log and the report."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
from genjax_models.types import Array

Row = Mapping[str, Any]


class Facts(NamedTuple):
    """What the history does not tell. `metric` is the held-out figure by which the run is judged.

    `active` `[latent]` says which latent dimensions are used, `density` whether the likelihood is one (and no
    probability), `bernoulli` whether it is Bernoulli; `values` are some of the data as the model sees them.
    """

    metric: str
    higher_is_better: bool = True
    unit: str = "nats"
    active: Array | None = None
    bernoulli: bool = False
    density: bool = False
    values: Array | None = None


def findings(history: Sequence[Row], facts: Facts) -> list[str]:
    """Sentences on what deserves attention, the most important first; none where nothing does.

    Args:
      history: rows with "step", "split" and metrics, as `runs.fit` makes them.
      facts: what the rows do not tell.
    """
    return [*_likelihood(facts), *_latents(facts), *_learning(history, facts)]


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


def _latents(facts: Facts) -> Iterator[str]:
    if facts.active is None:
        return
    total, unused = len(facts.active), int(np.sum(~np.asarray(facts.active)))
    rule = f"the variance of their posterior mean over data is at most {ACTIVITY_THRESHOLD}"
    if unused == total:
        yield f"The posterior has collapsed: all {total} latent dimensions are unused ({rule}), z says nothing about x."
    elif unused:
        yield f"{unused} of {total} latent dimensions {'is' if unused == 1 else 'are'} unused ({rule})."


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
