"""Symptoms of a failing game: history -> sentences, for the log during training and for the report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

Row = Mapping[str, Any]

# A training row covers `Training.log_every` steps.
_LONG = 10  # training rows that a symptom must last
_SURE = 0.99  # accuracy of an adversary that has won
_UNSURE = 0.75  # accuracy up to which a small gradient may mean that little is left to learn
_FIRST = 5  # training rows that define the initial norm of a gradient
_VANISHED = 0.01  # share of its initial norm
_TWICE = 2  # evaluations that a symptom must last
_ALIKE = 0.5  # mean distance between samples, relative to the mean distance between examples


class Symptom(NamedTuple):
    """A fault of a game.

    Attributes:
      name: kind of fault.
      player: player with the fault, or "".
      since: first step of the fault.
      sentence: description for people.
    """

    name: str
    player: str
    since: int
    sentence: str


def symptoms(history: Sequence[Row], adversaries: Sequence[str]) -> list[Symptom]:
    """Returns the symptoms that last up to the end of the history.

    The figures are "accuracy" and "gradient_norm" of players in training rows, and in validation rows "diversity" (or
    "diversity_on_..." features: the mean distance between two samples, relative to two examples of the data) and
    "modes_covered" with "modes_missed".

    Args:
      history: rows with "step", "split" and metrics, as `runs.fit` makes them.
      adversaries: names of the players that are adversaries (`Objective.adversaries`). The other players are
        generators, each with the adversary in its place in the order of players, or with the only adversary.
    """
    return [*_won(history, adversaries), *_vanished(history, adversaries), *_alike(history), *_modes(history)]


def new_symptoms(history: Sequence[Row], adversaries: Sequence[str]) -> list[Symptom]:
    """Returns the symptoms that are new since the last evaluation but one.

    They depend on the history only, so that a resumed run prints the same symptoms.
    """
    evaluations = [i for i, row in enumerate(history) if row["split"] == "validation"]
    before = history[: evaluations[-2] + 1] if len(evaluations) > 1 else []
    known = {symptom[:3] for symptom in symptoms(before, adversaries)}
    return [symptom for symptom in symptoms(history, adversaries) if symptom[:3] not in known]


def rows_with(history: Sequence[Row], split: str, name: str) -> list[Row]:
    """Returns the rows of a split that have this figure."""
    return [row for row in history if row["split"] == split and name in row]


def players_in(history: Sequence[Row]) -> list[str]:
    """Returns the names of the players, in the order of training rows."""
    return list(
        dict.fromkeys(key.split("/")[0] for row in history if row["split"] == "train" for key in row if "/" in key)
    )


def _won(history: Sequence[Row], adversaries: Sequence[str]) -> Iterator[Symptom]:
    """Yields adversaries that have been right nearly always, for long."""
    for player in (player for player in players_in(history) if player in adversaries):
        name = f"{player}/accuracy"
        since = _since(rows_with(history, "train", name), lambda row, name=name: row[name] >= _SURE, _LONG)
        if since is not None:
            yield Symptom(
                "won",
                player,
                since,
                f"The {_in_words(player)} has won: since step {since:,} its accuracy on real and generated examples is"
                f" at least {_SURE:.0%}, and the generator may learn little from it. Lower its learning rate, update it"
                " less often, or penalise its gradient (penalty r1 or wasserstein).",
            )


def _vanished(history: Sequence[Row], adversaries: Sequence[str]) -> Iterator[Symptom]:
    """Yields generators whose gradient has vanished while the adversary still recognises their examples."""
    generators = [player for player in players_in(history) if player not in adversaries] if adversaries else []
    opponents = list(adversaries) * (len(generators) if len(adversaries) == 1 else 1)
    for player, opponent in zip(generators, opponents, strict=False):
        norm, accuracy = f"{player}/gradient_norm", f"{opponent}/accuracy"
        rows = rows_with(history, "train", norm)
        first = max((row[norm] for row in rows[:_FIRST]), default=0.0)

        def vanished(row, norm=norm, accuracy=accuracy, first=first):
            return row[norm] < _VANISHED * first and row.get(accuracy, 1.0) > _UNSURE

        since = _since(rows[_FIRST:], vanished, _LONG)
        if since is not None:
            yield Symptom(
                "vanished",
                player,
                since,
                f"The gradient of the {_in_words(player)} has vanished: since step {since:,} its norm is below"
                f" {_VANISHED:.0%} of its initial value ({rows[-1][norm]:.1e} now, {first:.1e} then), but its adversary"
                " still recognises its examples. Use another loss (non_saturating keeps the gradient of recognised"
                " examples), or lower the learning rate of the adversary.",
            )


def _alike(history: Sequence[Row]) -> Iterator[Symptom]:
    """Yields measures of diversity that are too low. Step 0 does not count: untrained samples are always alike."""
    keys = dict.fromkeys(key for row in history if row["split"] == "validation" for key in row)
    for name in (key for key in keys if key.startswith("diversity") and not key.endswith("_se")):
        rows = [row for row in rows_with(history, "validation", name) if row["step"]]
        since = _since(rows, lambda row, name=name: row[name] < _ALIKE, _TWICE)
        if since is not None:
            best = max((row for row in rows if row["step"] < since), key=lambda row, name=name: row[name], default=None)
            before = f" It was {best[name]:.2f} at step {best['step']:,}." if best else ""
            yield Symptom(
                name,
                "",
                since,
                f"Samples have been too similar since step {since:,}: the mean distance between two samples is"
                f" {rows[-1][name]:.2f} of the mean distance between two examples of the data ({_in_words(name)})."
                f"{before} The generator makes few kinds of examples.",
            )


def _modes(history: Sequence[Row]) -> Iterator[Symptom]:
    """Yields the modes of the data without a sample nearby."""
    rows = [row for row in rows_with(history, "validation", "modes_missed") if row["step"]]
    since = _since(rows, lambda row: row["modes_missed"] > 0, _TWICE)
    if since is not None:
        covered, missed = (int(rows[-1][f"modes_{what}"]) for what in ("covered", "missed"))
        yield Symptom(
            "modes",
            "",
            since,
            f"{'Mode collapse: samples' if covered else 'Samples'} cover {covered or 'none'} of the"
            f" {covered + missed} modes of the data. Some modes have been missing since step {since:,}.",
        )


def _since(rows: Sequence[Row], holds: Callable[[Row], bool], least: int) -> int | None:
    """Returns the step from which `holds` is true up to the last row, if it is true for at least `least` rows."""
    steps = [row["step"] for row in takewhile(holds, reversed(rows))]
    return steps[-1] if len(steps) >= least else None


def _in_words(player: str) -> str:
    return player.replace("_", " ")
