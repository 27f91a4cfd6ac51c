"""`comparison.html`: what runs differ in, and what came of it, on one self-contained page.

Runs that differ in their seed alone are lines of one sweep: they share a curve, a band and a row of results.
"""

import base64
import math
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import jinja2
import numpy as np

from genjax_models.figures import plots
from genjax_models.reports.stored_run import NOTHING, StoredRun
from genjax_models.reports.units import unit_of

_FIRST = ("samples", "reconstructions")
# Held-out figures compare models only if these fields are equal: field -> its name in the note.
_MEASURED_ON = {
    "data.name": "data",
    "data.range": "data_range",
    "binarise": "binarise",
    "likelihood.binarise": "binarise",
    "likelihood.family": "likelihood",
}


class Group(NamedTuple):
    """Finished runs that differ in their seed alone, or one run."""

    label: str
    runs: Sequence[StoredRun]


def grouped(runs: Sequence[StoredRun]) -> list[Group]:
    """Sweeps over seeds, in the order of their first runs.

    A run that has not finished stands alone: half a curve would bend a mean. One with the config *and* the seed of
    another is no further seed, and goes into another group.
    """
    members: dict[Any, list[StoredRun]] = {}
    seen: dict[Any, int] = {}
    for run in runs:
        settings = (run.experiment.name, *sorted((k, v) for k, v in run.config.items() if k != "seed"))
        again = seen.get((settings, run.seed), 0)
        if run.test is None:
            members[run.name] = [run]
        else:
            seen[settings, run.seed] = again + 1
            members.setdefault((settings, again), []).append(run)
    labels = [_label(group) for group in members.values()]
    return [
        Group(label if labels.count(label) == 1 else f"{label}: {', '.join(run.name for run in group)}", group)
        for label, group in zip(labels, members.values(), strict=True)
    ]


def _label(runs: Sequence[StoredRun]) -> str:
    """A run's name; of several, what their names begin with."""
    if len(runs) == 1:
        return runs[0].name
    common = os.path.commonprefix([run.name for run in runs])  # noqa: RUF071 - letters, not folders, are meant
    common = re.sub(r"[-_./]*(seed|s)?[-_.]*\d*$", "", common) or runs[0].name
    return f"{common} ({len(runs)} seeds)"


def differences(values: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """(name, one value for each run) of fields that are not the same in all; a dash where a run has no such field."""
    names = dict.fromkeys(name for run in values for name in run)
    rows = [(name, [run.get(name, NOTHING) for run in values]) for name in names]
    return [(name, row) for name, row in rows if len(set(row)) > 1]


def render_comparison(runs: Sequence[StoredRun]) -> str:
    """The page as HTML; pictures are inside it, nothing is fetched."""
    rooms = resources.files("genjax_models.reports")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: (rooms / name).read_text()),
    )
    groups = grouped(runs)
    kinds = dict.fromkeys(run.experiment.name for run in runs)
    experiments = "Experiments" if len(kinds) > 1 else "Experiment"
    config = differences([{"experiment": run.experiment.name, **run.config} for run in runs])
    commands = [run.environment.get("command", f"(not recorded: {run.name})") for run in runs]
    elsewhere = [{name: value for name, value in run.environment.items() if name != "command"} for run in runs]
    count = f"{len(runs)} runs" if len(runs) > 1 else "one run"
    return environment.get_template("comparison.html.jinja").render(
        title=f"Comparison of {count}",
        summary=f"{experiments}: {', '.join(kinds)}. Runs that differ in their seed alone are taken together.",
        notes=list(_notes(runs)),
        results_are=(
            "Of the test split, at the step that was best on the validation split. A run: mean ± standard error over"
            " test examples. Several seeds: mean ± standard deviation over runs."
        ),
        metrics=[(_words(name), unit) for name, unit in _metrics(runs)],
        results=_results(groups, [name for name, _ in _metrics(runs)]),
        curves=_curves(groups),
        pictures=_pictures(runs),
        runs=[run.name for run in runs],
        config=config,
        environment=differences(elsewhere),
        commands="\n".join(dict.fromkeys(commands)),
    )


def results_in_words(runs: Sequence[StoredRun]) -> list[str]:
    """A line for each group of runs with a result: the figure that they are judged by."""
    lines = []
    for label, members in grouped(runs):
        experiment = members[0].experiment
        (row, *_) = _results([Group(label, members)], [experiment.metric.name])
        spread = " (mean +- standard deviation over seeds)" if len(members) > 1 else ""
        figure = " ".join([row["cells"][0].replace("±", "+-"), experiment.metric.unit]).strip()
        lines.append(f"{label}: held-out {_words(experiment.metric.name)} {figure}{spread}")
    return lines


def _notes(runs: Sequence[StoredRun]) -> Iterator[str]:
    """What would mislead whoever reads figures alone."""
    for run in runs:
        if run.test is None:
            at = f"; it got to step {run.history[-1]['step']:,}" if run.history else " and no metrics yet"
            yield (
                f"{run.name} has not finished{at} of {int(run.config.get('training.steps', 0)):,}. It has no result,"
                " its curve is dashed, and it is in no mean over seeds."
            )
    first: dict[Any, StoredRun] = {}
    for run in runs:
        original = first.setdefault((run.experiment.name, *sorted(run.config.items())), run)
        if original is not run and None not in (run.test, original.test):
            same = "the same" if run.test == original.test else "other"
            yield (
                f"{run.name} has config and seed of {original.name}, and {same} results. It is no further seed, and"
                " stands apart."
            )
    for metric in dict.fromkeys(run.experiment.metric.name for run in runs):
        configs = [run.config for run in runs if run.experiment.metric.name == metric]
        measured = [
            {shown: config[name] for name, shown in _MEASURED_ON.items() if name in config} for config in configs
        ]
        if fields := [name for name, values in differences(measured) if NOTHING not in values]:
            yield (
                f"Runs with a {_words(metric)} differ in {' and '.join(fields)}: their figures are of different"
                " examples or densities, and the better figure need not be the better model."
            )


def _metrics(runs: Sequence[StoredRun]) -> list[tuple[str, str]]:
    """(name, unit) of what was measured on test examples, what runs are judged by first; no unit where they differ."""
    judged = [run.experiment.metric.name for run in runs]
    tested = [name for run in runs for name in run.test or () if name not in ("step", "split")]
    names = dict.fromkeys(name for name in [*judged, *tested] if not name.endswith("_se"))
    units = {name: {unit_of(run.experiment.metric, name) for run in runs if name in (run.test or ())} for name in names}
    return [(name, units[name].pop() if len(units[name]) == 1 else "") for name in names]


def _results(groups: Sequence[Group], names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each group, and below it one for each of its runs."""
    rows = []
    for label, runs in groups:
        if len(runs) > 1:
            pairs = [_over_seeds([run.test.get(name) for run in runs]) for name in names]
            rows.append({"label": label, "seed": f"{len(runs)} seeds", "step": "", "pairs": pairs, "member": False})
        for run in runs:
            test = run.test or {}
            step = f"{test['step']:,}" if test else "not finished"
            pairs = [(test.get(name), test.get(f"{name}_se")) for name in names]
            rows.append({"label": run.name, "seed": run.seed, "step": step, "pairs": pairs, "member": len(runs) > 1})
    decimals = [_decimals([row["pairs"][i][1] for row in rows]) for i in range(len(names))]
    for row in rows:
        row["cells"] = [_shown(*pair, places) for pair, places in zip(row["pairs"], decimals, strict=True)]
    return rows


def _over_seeds(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and standard deviation over runs."""
    if None in values:
        return None, None
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _decimals(errors: Sequence[float | None]) -> int:
    """Two, or as many as the smallest error of a column needs to have a digit."""
    errors = [error for error in errors if error and math.isfinite(error)]
    return max(2, -math.floor(math.log10(min(errors)))) if errors else 2


def _shown(value: float | None, error: float | None, decimals: int) -> str:
    if value is None:
        return NOTHING
    shown = str(value) if isinstance(value, int) else f"{value:.{decimals}f}"
    return shown if error is None or math.isnan(error) else f"{shown} ± {error:.{decimals}f}"


def _curves(groups: Sequence[Group]) -> list[dict[str, str]]:
    """A figure for each metric that runs are judged by, with every run that has it."""
    shown = []
    for metric in dict.fromkeys(run.experiment.metric.name for _, runs in groups for run in runs):
        curves = [curve for group in groups if (curve := _curve(group, metric))]
        if curves:
            (experiment, *_) = [
                run.experiment for _, runs in groups for run in runs if run.experiment.metric.name == metric
            ]
            figure = plots.curves_of_runs(
                curves,
                label=f"{_words(metric)} ({experiment.metric.unit})" if experiment.metric.unit else _words(metric),
            )
            better = "higher" if experiment.metric.higher_is_better else "lower"
            caption = f"On the validation split; {better} is better."
            if any(len(curve.values) > 1 for curve in curves):
                caption += " Several seeds: their mean, and a band from the lowest to the highest of them."
            if not all(curve.finished for curve in curves):
                caption += " Dashed: not finished."
            shown.append(
                {"title": f"Held-out {_words(metric)}", "caption": caption, "data": _base64(plots.png(figure))}
            )
    return shown


def _curve(group: Group, metric: str) -> plots.Curve | None:
    """The group's curve, at the steps where each of its runs was evaluated."""
    series = [
        {row["step"]: row[metric] for row in run.history if row["split"] == "validation" and metric in row}
        for run in group.runs
    ]
    steps = sorted(set.intersection(*map(set, series)))
    if not steps:
        return None
    values = np.asarray([[values[step] for step in steps] for values in series], np.float64)
    return plots.Curve(group.label, np.asarray(steps), values, all(run.test is not None for run in group.runs))


def _pictures(runs: Sequence[StoredRun]) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """(title, whether they are broad, one for each run): samples and reconstructions of whoever has them, and those
    that all finished runs have."""
    finished = [run for run in runs if run.test is not None] or runs
    names = [name for name in _FIRST if any(name in run.pictures for run in runs)]
    names += sorted(set.intersection(*(set(run.pictures) for run in finished)) - set(_FIRST))
    shown = []
    for name in names:
        pictures = [run.pictures.get(name) for run in runs]
        steps = [f"step {run.drawn:,}" if name == "samples" and run.drawn is not None else None for run in runs]
        row = [
            {"run": run.name, "data": picture and _base64(picture), "step": step}
            for run, picture, step in zip(runs, pictures, steps, strict=True)
        ]
        title = _words(name)
        shown.append((title[0].upper() + title[1:], _broad(next(filter(None, pictures))), row))
    return shown


def _broad(png: bytes) -> bool:
    """Whether the picture is a strip; width and height stand in a PNG's first chunk."""
    width, height = struct.unpack(">II", png[16:24])
    return width > 2 * height


def _words(name: str) -> str:
    return re.sub(r"\bkl\b", "KL", name.replace("_", " "))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
