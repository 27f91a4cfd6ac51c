"""Parts in order, within a time: each outcome is handed on as the part ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from experiments.accelerator.part import Outcome, Part

Measure = Callable[[Part, float], Outcome]  # (part, latest end) -> outcome


def run(
    parts: Iterable[Part],
    latest: float,
    measure: Measure,
    done: Callable[[Part, Outcome], object],
    earlier: Mapping[str, Outcome] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Measures each part that an earlier call has not measured, and calls `done` with its outcome.

    A part begins if at least a quarter of its time is left until `latest`. A later, shorter part may still fit.
    """
    for part in parts:
        if (earlier or {}).get(part.name, Outcome("not run")).status == "measured":
            continue
        left = latest - clock()
        if left < part.seconds / 4:
            done(part, Outcome("not run", f"{max(0.0, left):.0f} s were left, and it may take {part.seconds:.0f} s"))
        else:
            done(part, measure(part, latest))
