"""Lists the damage of a finished or a stopped run, without compute.

genjax-models check runs/demo
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from genjax_models.runs.command_line import exit_on_error, parse


@dataclasses.dataclass(frozen=True)
class Check:
    """List the damage of a run: files that were lost or changed since they were written."""

    run: tyro.conf.Positional[Path]
    """Directory of the run, or of several members."""


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models check") -> int:
    """Prints a line per damaged file. Returns 1 if there is any, else 0."""
    with exit_on_error():
        options = parse(Check, arguments, program, Check.__doc__)
        from genjax_models.runs.damage import damages

        found = damages(options.run)
        for damage in found:
            print(damage if damage.fatal else f"{damage} (--resume makes it good)")
        if not found:
            print(f"{options.run}: no damage")
        return int(bool(found))
