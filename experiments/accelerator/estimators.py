"""Every estimator against its exact value, at each precision of matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

from experiments.accelerator.part import Facts

QUICK = ("losses", "moments", "densities")  # groups that compile quickly


def check(*, quick: bool = False, draws: int = 20_000) -> Iterator[Facts]:
    """Yields, by precision, how many estimators are right, of how many, and the wrong ones."""
    from genjax_models.commands import oracles
    from genjax_models.commands.check_device import FORMATS, at_each_precision

    parts = {name: part for name, part in oracles.PARTS.items() if not quick or name in QUICK}
    facts: Facts = {"precisions": {}, "all": not quick}
    with mock.patch.object(oracles, "PARTS", parts):
        for at in at_each_precision(draws):
            like = FORMATS.get(at.bits, "none: products are wrong")
            row = {"bits": at.bits, "like": like, "same_as": at.same_as, "right": 0, "of": 0, "wrong": []}
            facts["precisions"][at.precision] = row
            yield facts
            for comparison in at.comparisons:
                row["of"] += 1
                row["right"] += bool(comparison.right)
                if not comparison.right:
                    row["wrong"].append({key: _plain(value) for key, value in comparison._asdict().items()})
                yield facts


def _plain(value: object) -> str | float:
    return value if isinstance(value, str) else float(value)  # pyright: ignore[reportArgumentType]
