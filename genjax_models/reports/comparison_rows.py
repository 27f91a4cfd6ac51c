"""Rows of the tables of a comparison: a figure per metric with its standard error, and its interval over seeds."""

import math
from collections.abc import Sequence
from typing import Any

from genjax_models.evaluation.estimates import over_runs
from genjax_models.reports.groups import Group
from genjax_models.reports.stored_run import NOTHING, StoredRun


def rows_of_results(groups: Sequence[Group], names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns a row per group, and below it a row per run of the group."""
    rows = []
    for label, runs in groups:
        if len(runs) > 1:
            figures = [_over_runs([_value(run, name) for run in runs]) for name in names]
            rows.append({"label": label, "seed": f"{len(runs)} seeds", "step": "", "figures": figures, "member": False})
        for run in runs:
            test = run.test or {}
            step = f"{test['step']:,}" if test else "not finished"
            figures = [(test.get(name), test.get(f"{name}_se")) for name in names]
            rows.append(
                {"label": run.name, "seed": run.seed, "step": step, "figures": figures, "member": len(runs) > 1}
            )
    return _with_cells(rows)


def rows_of_differences(groups: Sequence[Group], names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns a row per group of seeds after the first: its difference to the first, over the seeds that both have."""
    several = [group for group in groups if len(group.runs) > 1]
    rows = []
    for group in several[1:]:
        first = several[0]
        pairs = _paired(group, first)
        comparable = group.measured_on == first.measured_on
        seeds = f"{len(pairs)} equal seed{'' if len(pairs) == 1 else 's'}"
        figures = [_over_runs([_difference(*pair, name) for pair in pairs] if comparable else []) for name in names]
        label = f"{group.label} minus {first.label}"
        rows.append({"label": label, "seed": seeds if comparable else "not comparable", "figures": figures})
    return _with_cells(rows)


def _paired(group: Group, other: Group) -> list[tuple[StoredRun, StoredRun]]:
    """Returns the pairs of runs that have one seed."""
    by_seed = {run.seed: run for run in other.runs}
    return [(run, by_seed[run.seed]) for run in group.runs if run.seed in by_seed]


def _difference(run: StoredRun, other: StoredRun, name: str) -> float | None:
    value, base = _value(run, name), _value(other, name)
    return None if value is None or base is None else value - base


def _value(run: StoredRun, name: str) -> float | None:
    return (run.test or {}).get(name)


def _over_runs(values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Returns mean, standard error and interval over two runs or more; None for all if a run has no value."""
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return None, None
    mean = over_runs(known)
    return mean.value, mean.standard_error, *(mean.interval if math.isfinite(mean.value) else ())


def _with_cells(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows with a cell of text and interval for each of their figures; a column has one precision."""
    columns = zip(*(row["figures"] for row in rows), strict=True)
    decimals = [_decimals([figure[1] for figure in column]) for column in columns]
    for row in rows:
        row["cells"] = [_cell(*figure, decimals=n) for figure, n in zip(row["figures"], decimals, strict=True)]
    return rows


def _decimals(errors: Sequence[float | None]) -> int:
    """Returns two decimals, or more if the smallest error of a column needs them for its first digit."""
    errors = [error for error in errors if error and math.isfinite(error)]
    return max(2, -math.floor(math.log10(min(errors)))) if errors else 2


def _cell(value: float | None, error: float | None, *interval: float, decimals: int) -> tuple[str, str]:
    """Returns the value with its standard error, and the interval, as text."""
    if value is None:
        return NOTHING, ""
    text = str(value) if isinstance(value, int) else f"{value:.{decimals}f}"
    text = text if error is None or math.isnan(error) else f"{text} ± {error:.{decimals}f}"
    return text, " to ".join(f"{end:.{decimals}f}" for end in interval)
