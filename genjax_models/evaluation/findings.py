"""What a look at the figures says, in plain words: history -> sentences. One place for the log and the report."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from genjax_models.estimators.importance import pareto_k_threshold
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
from genjax_models.types import Array

Row = Mapping[str, Any]

_NEAR = 0.8  # of log n: from here on mutual information says as much about n as about the model
_FEW = 10  # samples that count: with fewer, the error of log p(x) is no longer sqrt(R / k)

# Of games. A training row is of `Training.log_every` steps.
_LONG = 10  # training rows for which a state of the players lasts before it is told
_SURE = 0.99  # share of examples told apart by a discriminator that has won
_UNSURE = 0.75  # by one that the generator may well learn little from, since there is little left to learn
_FIRST = 5  # training rows that say what a gradient is at first
_VANISHED = 0.01  # of its first size
_TWICE = 2  # evaluations at which samples are too few kinds before it is told
_SWING = 0.1  # of its best value, by which a held-out figure may vary without being told
_ALIKE = 0.5  # mean distance between samples, in that between data


class Facts(NamedTuple):
    """What the history does not tell. `metric` is the held-out figure by which the run is judged.

    `active` `[latent]` says which latent dimensions are used, or a tuple of such which do in each stochastic layer;
    `density` whether the likelihood is one (and no probability), `bernoulli` whether it is Bernoulli; `values` are some
    of the data as the model sees them. `weights` is what `negative_log_likelihood` returned for test data, with
    `num_samples` samples of each; `mutual_information` is I(x; z) over n test examples, in nats.
    """

    metric: str = ""
    adversaries: tuple[str, ...] = ()
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
    ill = [symptom.sentence for symptom in symptoms(history)]
    return [
        *_likelihood(facts),
        *_weights(facts),
        *_latents(facts),
        *_information(facts),
        *ill,
        *_learning(history, facts),
    ]


class Symptom(NamedTuple):
    """What goes wrong in a game, of which player ("" where of none), since which step, and a sentence that says so."""

    name: str
    player: str
    since: int
    sentence: str


def symptoms(history: Sequence[Row]) -> list[Symptom]:
    """What goes wrong in a game and has lasted up to the last row; none where nothing does.

    Discriminators and generators are known by their names. Looked at are "accuracy" and "gradient_norm" of players, and
    of validation rows what is called "diversity" or "diversity_on_" features, the mean distance between two samples in
    that between two examples of the data, and "modes_covered" beside "modes_missed".
    """
    return [*_won(history), *_vanished(history), *_alike(history), *_modes(history)]


def new_symptoms(history: Sequence[Row], adversaries=()) -> list[Symptom]:
    """Those that the last evaluation has brought: what to say while it trains. A function of the history alone, so
    that a run that was resumed says what it would have said."""
    evaluations = [i for i, row in enumerate(history) if row["split"] == "validation"]
    before = history[: evaluations[-2] + 1] if len(evaluations) > 1 else []
    known = {symptom[:3] for symptom in symptoms(before)}
    return [symptom for symptom in symptoms(history) if symptom[:3] not in known]


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
    if not facts.weights:
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
    information, _, n, *_ = facts.mutual_information
    cap = math.log(n)
    if information > _NEAR * cap:
        yield (
            f"The mutual information I(x; z), {information:.2f} nats, is close to log n = {cap:.2f}, the most that"
            f" {n:,} examples can show: the model's own may be far larger. Take more examples."
        )


def _won(history: Sequence[Row]) -> Iterator[Symptom]:
    """A discriminator that is nearly always right, for long."""
    for player in _players(history, "discriminator"):
        name = f"{player}/accuracy"
        since = _since(_rows(history, "train", name), lambda row, name=name: row[name] >= _SURE, _LONG)
        if since is not None:
            yield Symptom(
                "won",
                player,
                since,
                f"The {_in_words(player)} has told at least {_SURE:.0%} of real and made examples apart since step"
                f" {since:,}: it has won, and the generator may learn little from it. Let it learn more slowly, move"
                " less often, or bound its slope (penalty r1 or wasserstein).",
            )


def _vanished(history: Sequence[Row]) -> Iterator[Symptom]:
    """A generator whose gradient has gone, though it is still found out."""
    for player in _players(history, "generator"):
        norm, accuracy = f"{player}/gradient_norm", f"{player.replace('generator', 'discriminator')}/accuracy"
        rows = _rows(history, "train", norm)
        first = max((row[norm] for row in rows[:_FIRST]), default=0.0)

        def gone(row, norm=norm, accuracy=accuracy, first=first):
            return row[norm] < _VANISHED * first and row.get(accuracy, 1.0) > _UNSURE

        since = _since(rows[_FIRST:], gone, _LONG)
        if since is not None:
            yield Symptom(
                "vanished",
                player,
                since,
                f"The gradient of the {_in_words(player)} has vanished: since step {since:,} its norm has been below"
                f" {_VANISHED:.0%} of what it was at first ({rows[-1][norm]:.1e} now, {first:.1e} then), though its"
                " examples are told from real ones. Take another payoff (non_saturating keeps the gradient of examples"
                " that are found out), or a discriminator that learns more slowly.",
            )


def _alike(history: Sequence[Row]) -> Iterator[Symptom]:
    """Samples that differ less from each other than data do. Before the first step they all do."""
    keys = dict.fromkeys(key for row in history if row["split"] == "validation" for key in row)
    for name in (key for key in keys if key.startswith("diversity") and not key.endswith("_se")):
        rows = [row for row in _rows(history, "validation", name) if row["step"]]
        since = _since(rows, lambda row, name=name: row[name] < _ALIKE, _TWICE)
        if since is not None:
            best = max((row for row in rows if row["step"] < since), key=lambda row, name=name: row[name], default=None)
            before = f", and was {best[name]:.2f} at step {best['step']:,}" if best else ""
            yield Symptom(
                name,
                "",
                since,
                f"Samples are too much alike since step {since:,}: the mean distance between two of them is"
                f" {rows[-1][name]:.2f} of that between two examples of the data ({_in_words(name)}){before}. The"
                " generator makes few kinds of examples.",
            )


def _modes(history: Sequence[Row]) -> Iterator[Symptom]:
    """Modes of the data that no samples are of."""
    rows = [row for row in _rows(history, "validation", "modes_missed") if row["step"]]
    since = _since(rows, lambda row: row["modes_missed"] > 0, _TWICE)
    if since is not None:
        covered, missed = (int(rows[-1][f"modes_{what}"]) for what in ("covered", "missed"))
        yield Symptom(
            "modes",
            "",
            since,
            f"{'Mode collapse: samples' if covered else 'Samples'} are of {covered or 'none'} of the"
            f" {covered + missed} modes of the data, and some have been missed since step {since:,}.",
        )


def _since(rows: Sequence[Row], holds: Callable[[Row], bool], least: int) -> int | None:
    """The step from which `holds` has held up to the last row, if it has for at least so many rows."""
    steps = [row["step"] for row in takewhile(holds, reversed(rows))]
    return steps[-1] if len(steps) >= least else None


def _rows(history: Sequence[Row], split: str, name: str) -> list[Row]:
    return [row for row in history if row["split"] == split and name in row]


def _players(history: Sequence[Row], role: str) -> list[str]:
    """Names of players of a role, as training rows have them."""
    names = dict.fromkeys(key.split("/")[0] for row in history if row["split"] == "train" for key in row if "/" in key)
    return [name for name in names if role in name]


def _in_words(player: str) -> str:
    return player.replace("_", " ")


def _learning(history: Sequence[Row], facts: Facts) -> Iterator[str]:
    rows = _rows(history, "validation", facts.metric)
    sign = 1 if facts.higher_is_better else -1
    if len(rows) < 4:
        return
    steps = np.array([row["step"] for row in rows])
    values = np.array([row[facts.metric] for row in rows])
    error = rows[-1].get(f"{facts.metric}_se", 0.0)
    name, in_a_game = facts.metric.replace("_", " "), bool(_players(history, "discriminator"))

    def amount(value: float, decimals: int = 2) -> str:  # of a small one two digits: none improves by 0.00
        return f"{value:.{decimals}f} {facts.unit}".rstrip() if value >= 0.1 else f"{value:.2g} {facts.unit}".rstrip()

    best = int(np.argmax(sign * values))
    if in_a_game:  # which goes up and down by more than what one evaluation does not know
        error = max(error, _SWING * abs(values[best]))
    lost = sign * (values[best] - values[-1])
    if lost > error:
        why = (
            "the game has not settled. The best checkpoint is kept; a lower learning rate, less momentum (b1) or a"
            " moving average of the generator may help."
            if in_a_game
            else "the model overfits. The best checkpoint is kept; more data, a smaller network or weight decay may"
            " help."
        )
        yield f"The validation {name} was best at step {steps[best]:,} and is {amount(lost)} worse since: {why}"
    train = [
        value for row in history if row["split"] == "train" for key, value in row.items() if _is(key, facts.metric)
    ]
    if train and sign * (train[-1] - values[-1]) > 4 * error > 0:
        yield (
            f"Training data are {amount(sign * (train[-1] - values[-1]), 1)} better off than held-out data:"
            " the model has begun to memorise. More data would help more than a larger network."
        )
    gained = sign * (values[-1] - np.interp(0.75 * steps[-1], steps, values))
    if best == len(rows) - 1 and gained > 0.5 * error:
        falling = "The game was still getting better" if in_a_game else "The loss was still falling"
        yield (
            f"{falling}: the validation {name} improved by {amount(gained)} in the last quarter of the run. Train"
            " longer."
        )


def _is(key: str, metric: str) -> bool:
    """Whether a training row's "player/metric" is this metric."""
    return key.split("/")[-1] == metric
