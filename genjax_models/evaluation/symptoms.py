"""Symptoms of a failing game: history -> sentences, for the log during training and for the report.

The cost of a row and of an evaluation does not grow with the history.
"""

from collections.abc import Iterator, Mapping, Sequence
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

    Args:
      history: rows with "step", "split" and metrics, as `runs.fit` makes them.
      adversaries: as for `Watch`.
    """
    watch = Watch(adversaries)
    for row in history:
        watch.add(row)
    return watch.symptoms()


class Watch:
    """Follows a history row by row, and knows its symptoms.

    The figures are "accuracy" and "gradient_norm" of players in training rows, and in validation rows "diversity" (or
    "diversity_on_..." features: the mean distance between two samples, relative to two examples of the data) and
    "modes_covered" with "modes_missed".
    """

    def __init__(self, adversaries: Sequence[str]):
        """Begins before the first row.

        Args:
          adversaries: names of the players that are adversaries (`Objective.adversaries`). The other players are
            generators, each with the adversary in its place in the order of players, or with the only adversary.
        """
        self._adversaries = tuple(adversaries)
        self._players: dict[str, None] = {}  # in the order of training rows
        self._accuracies: dict[str, _Series] = {}
        self._norms: dict[str, _Norms] = {}
        self._diversities: dict[str, _Diversity] = {}
        self._modes = _Series()
        self._known: set[tuple] = set()  # at the last evaluation

    def add(self, row: Row) -> list[Symptom]:
        """Adds a row. Returns the symptoms of a validation row that are new since the last validation row.

        They depend on the history only, so that a resumed run prints the same symptoms.
        """
        if row["split"] == "train":
            self._add_training(row)
            return []
        if row["split"] != "validation":
            return []
        if row["step"]:  # untrained samples are always alike, and near no mode
            for name in (key for key in row if key.startswith("diversity") and not key.endswith("_se")):
                self._diversities.setdefault(name, _Diversity()).add(row, name)
            if "modes_missed" in row:
                self._modes.add(row, row["modes_missed"] > 0)
        now = self.symptoms()
        new = [symptom for symptom in now if symptom[:3] not in self._known]
        self._known = {symptom[:3] for symptom in now}
        return new

    def _add_training(self, row: Row) -> None:
        self._players |= dict.fromkeys(key.split("/")[0] for key in row if "/" in key)
        for player in self._adversaries:
            if (accuracy := row.get(f"{player}/accuracy")) is not None:
                self._accuracies.setdefault(player, _Series()).add(row, accuracy >= _SURE)
        generators = [player for player in self._players if player not in self._adversaries]
        opponents = self._adversaries * (len(generators) if len(self._adversaries) == 1 else 1)
        for player, opponent in zip(generators, opponents, strict=False):
            if f"{player}/gradient_norm" in row:
                self._norms.setdefault(player, _Norms()).add(row, f"{player}/gradient_norm", f"{opponent}/accuracy")

    def symptoms(self) -> list[Symptom]:
        """Returns the symptoms that last up to the last row."""
        return [*self._won(), *self._vanished(), *self._alike(), *self._missed()]

    def _won(self) -> Iterator[Symptom]:
        """Yields adversaries that have been right nearly always, for long."""
        for player in self._players:
            series = self._accuracies.get(player)
            if series and (since := series.since(_LONG)) is not None:
                yield Symptom(
                    "won",
                    player,
                    since,
                    f"The {_in_words(player)} has won: since step {since:,} its accuracy on real and generated examples"
                    f" is at least {_SURE:.0%}, and the generator may learn little from it. Lower its learning rate,"
                    " update it less often, or penalise its gradient (penalty r1 or wasserstein).",
                )

    def _vanished(self) -> Iterator[Symptom]:
        """Yields generators whose gradient has vanished while the adversary still recognises their examples."""
        for player in self._players:
            norms = self._norms.get(player)
            if norms and (since := norms.since(_LONG)) is not None:
                yield Symptom(
                    "vanished",
                    player,
                    since,
                    f"The gradient of the {_in_words(player)} has vanished: since step {since:,} its norm is below"
                    f" {_VANISHED:.0%} of its initial value ({norms.last:.1e} now, {norms.first:.1e} then), but its"
                    " adversary still recognises its examples. Use another loss (non_saturating keeps the gradient of"
                    " recognised examples), or lower the learning rate of the adversary.",
                )

    def _alike(self) -> Iterator[Symptom]:
        """Yields measures of diversity that are too low."""
        for name, diversity in self._diversities.items():
            if (since := diversity.since(_TWICE)) is not None:
                best = diversity.best
                before = f" It was {best[0]:.2f} at step {best[1]:,}." if best else ""
                yield Symptom(
                    name,
                    "",
                    since,
                    f"Samples have been too similar since step {since:,}: the mean distance between two samples is"
                    f" {diversity.last:.2f} of the mean distance between two examples of the data ({_in_words(name)})."
                    f"{before} The generator makes few kinds of examples.",
                )

    def _missed(self) -> Iterator[Symptom]:
        """Yields the modes of the data without a sample nearby."""
        if (since := self._modes.since(_TWICE)) is not None:
            covered, missed = (int(self._modes.row[f"modes_{what}"]) for what in ("covered", "missed"))
            yield Symptom(
                "modes",
                "",
                since,
                f"{'Mode collapse: samples' if covered else 'Samples'} cover {covered or 'none'} of the"
                f" {covered + missed} modes of the data. Some modes have been missing since step {since:,}.",
            )


class _Series:
    """Rows with a figure: how many of the last ones have a condition, and the last row."""

    def __init__(self):
        self.row: Row = {}
        self._count, self._first_step = 0, 0

    def add(self, row: Row, holds: bool) -> None:
        if holds and not self._count:
            self._first_step = row["step"]
        self.row, self._count = row, self._count + 1 if holds else 0

    def since(self, least: int) -> int | None:
        """Returns the first step of the last rows with the condition, if these are at least `least`."""
        return self._first_step if self._count >= least else None


class _Norms(_Series):
    """Norms of a generator's gradient: whether they are far below the largest of the first."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self._rows = 0.0, 0.0, 0

    def add(self, row: Row, norm: str, accuracy: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.last, self._rows = row[norm], self._rows + 1
        if self._rows <= _FIRST:
            self.first = max(self.first, self.last)
        else:
            super().add(row, self.last < _VANISHED * self.first and row.get(accuracy, 1.0) > _UNSURE)


class _Diversity(_Series):
    """A measure of diversity: whether it is low, and its best value (with its step) before."""

    def __init__(self):
        super().__init__()
        self.last, self.best = 0.0, None

    def add(self, row: Row, name: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.last = row[name]
        low = self.last < _ALIKE
        if not low and (self.best is None or self.last > self.best[0]):
            self.best = self.last, row["step"]
        super().add(row, low)


def rows_with(history: Sequence[Row], split: str, name: str) -> list[Row]:
    """Returns the rows of a split that have this figure."""
    return [row for row in history if row["split"] == split and name in row]


def players_in(history: Sequence[Row]) -> list[str]:
    """Returns the names of the players, in the order of training rows."""
    return list(
        dict.fromkeys(key.split("/")[0] for row in history if row["split"] == "train" for key in row if "/" in key)
    )


def _in_words(player: str) -> str:
    return player.replace("_", " ")
