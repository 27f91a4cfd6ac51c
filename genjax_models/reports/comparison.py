"""`comparison.html`: the results of several runs and the differences of their configs, on one self-contained page.

Runs that differ only in their seed form a group, which has one curve, one band and one row of results. Members of a
folder form groups of their own, even if runs elsewhere have their config. Everywhere ± is one standard error.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from genjax_models.figures import curve_plots, plots
from genjax_models.figures.pictures import is_broad
from genjax_models.reports.comparison_rows import rows_of_differences, rows_of_results
from genjax_models.reports.groups import Group, grouped, measured_on
from genjax_models.reports.stored_run import NOTHING, StoredRun
from genjax_models.reports.templates import as_base64, rendered
from genjax_models.reports.units import unit_of, words_of

_FIRST = ("samples", "reconstructions")
_MOST_NAMED = 4  # groups in the title
_MOST_SHOWN = 12  # runs whose pictures are all shown


def differences(values: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Returns (name, one value per run) of fields that differ; a dash if a run does not have the field."""
    names = dict.fromkeys(name for run in values for name in run)
    rows = [(name, [run.get(name, NOTHING) for run in values]) for name in names]
    return [(name, row) for name, row in rows if len(set(row)) > 1]


def render_comparison(runs: Sequence[StoredRun], more: str = "") -> str:
    """Returns the page as HTML, with its pictures inside; it loads nothing from elsewhere.

    Args:
      runs: runs of one or several experiments.
      more: sentences for the end of the summary.
    """
    groups = grouped(runs)
    kinds = dict.fromkeys(run.experiment.name for run in runs)
    experiments = "Experiments" if len(kinds) > 1 else "Experiment"
    config = differences([{"experiment": run.experiment.name, **run.config} for run in runs])
    commands = [run.environment.get("command", f"(not recorded: {run.name})") for run in runs]
    environments = [{name: value for name, value in run.environment.items() if name != "command"} for run in runs]
    metrics = _metrics(runs)
    names = [name for name, _ in metrics]
    shown = runs if len(runs) <= _MOST_SHOWN else [group.runs[0] for group in groups]
    pictured = "" if shown is runs else "The first run of each group."
    return rendered(
        "comparison.html.jinja",
        title=_title(groups),
        summary=f"{experiments}: {', '.join(kinds)}. Runs that differ only in their seed are grouped. {more}".strip(),
        notes=list(_notes(runs)),
        results_caption=(
            "Test split, at the step that was best on the validation split. ± is one standard error: of a run over its"
            " test examples, of a group over its runs. Below the mean of a group: its 95% interval (Student's t)."
        ),
        metrics=[(words_of(name), unit) for name, unit in metrics],
        results=rows_of_results(groups, names),
        differences=rows_of_differences(groups, names),
        differences_caption=(
            "A pair is the two runs of one seed. Shown is the mean of their differences ± its standard error. Below is"
            " its 95% interval (Student's t)."
        ),
        curves=_curves(groups),
        pictures=_pictures(shown),
        pictures_caption=pictured,
        runs=[run.name for run in runs],
        config=config,
        environment=differences(environments),
        commands="\n".join(dict.fromkeys(commands)),
    )


def results_in_words(runs: Sequence[StoredRun]) -> list[str]:
    """Returns a line per group of finished runs, with their metric."""
    lines = []
    for label, members in grouped(runs):
        experiment = members[0].experiment
        (row, *_) = rows_of_results([Group(label, members)], [experiment.metric.name])
        (text, interval), *_ = row["cells"]
        spread = f" (mean +- standard error over seeds, 95% from {interval})" if interval else ""
        result = " ".join([text.replace("±", "+-"), experiment.metric.unit]).strip()
        lines.append(f"{label}: held-out {words_of(experiment.metric.name)} {result}{spread}")
    return lines


def _notes(runs: Sequence[StoredRun]) -> Iterator[str]:
    """Yields warnings about results that are missing, repeated or not comparable."""
    for run in runs:
        if run.test is None:
            steps = int(run.config.get("training.steps", 0))
            reached = f"it reached step {run.history[-1]['step']:,}" if run.history else "it has no metrics yet"
            yield (
                f"{run.name} has not finished: {reached} of {steps:,}. It has no result, its curve is dashed, and means"
                " over seeds leave it out."
            )
    yield from _repeats(runs)
    for metric in dict.fromkeys(run.experiment.metric.name for run in runs):
        measured = [measured_on(run.config) for run in runs if run.experiment.metric.name == metric]
        if fields := [name for name, values in differences(measured) if NOTHING not in values]:
            yield (
                f"Runs with a {words_of(metric)} differ in {' and '.join(fields)}: their results are not comparable,"
                " because the examples or the densities differ."
            )


def _repeats(runs: Sequence[StoredRun]) -> Iterator[str]:
    """Yields warnings about runs, or folders of runs, that repeat the config and the seed of others."""
    first: dict[Any, StoredRun] = {}
    repeats: dict[tuple[str, str, bool], list[bool]] = {}
    for run in runs:
        original = first.setdefault((run.experiment.name, *sorted(run.config.items())), run)
        if original is not run and None not in (run.test, original.test):
            folders = bool(run.folder and original.folder and run.folder != original.folder)
            pair = (run.folder, original.folder) if folders else (run.name, original.name)
            repeats.setdefault((*pair, folders), []).append(run.test == original.test)
    for (name, original, folders), same in repeats.items():
        results = "the same" if all(same) else "other"
        if folders:
            count = f"{len(same)} runs" if len(same) > 1 else "one run"
            yield f"{name} has {count} with the config and the seed of a run in {original}, and {results} results."
        else:
            yield (
                f"{name} has the config and the seed of {original}, and {results} results. It is not a further seed,"
                " so it has its own row."
            )


def _title(groups: Sequence[Group]) -> str:
    """Returns the groups that are compared, up to four, and the metrics by which they are."""
    metrics = " and ".join(dict.fromkeys(words_of(run.experiment.metric.name) for _, runs in groups for run in runs))
    labels = [group.label for group in groups]
    if len(labels) == 1:
        return f"{labels[0]}: {metrics}"
    named = (
        labels if len(labels) <= _MOST_NAMED else [*labels[: _MOST_NAMED - 1], f"{len(labels) - _MOST_NAMED + 1} more"]
    )
    return f"Comparison of {', '.join(named[:-1])} and {named[-1]} by {metrics}"


def _metrics(runs: Sequence[StoredRun]) -> list[tuple[str, str]]:
    """Returns (name, unit) of the test metrics, the metrics of the experiments first; no unit if the units differ."""
    primary = [run.experiment.metric.name for run in runs]
    tested = [name for run in runs for name in run.test or () if name not in ("step", "split")]
    names = dict.fromkeys(name for name in [*primary, *tested] if not name.endswith("_se"))
    units = {name: {unit_of(run.experiment.metric, name) for run in runs if name in (run.test or ())} for name in names}
    return [(name, units[name].pop() if len(units[name]) == 1 else "") for name in names]


def _curves(groups: Sequence[Group]) -> list[dict[str, str]]:
    """Returns a figure per metric of the experiments, with every run that has the metric."""
    figures = []
    for metric in dict.fromkeys(run.experiment.metric.name for _, runs in groups for run in runs):
        curves = [curve for group in groups if (curve := _curve(group, metric))]
        if curves:
            (experiment, *_) = [
                run.experiment for _, runs in groups for run in runs if run.experiment.metric.name == metric
            ]
            figure = curve_plots.curves_of_runs(
                curves,
                label=f"{words_of(metric)} ({experiment.metric.unit})" if experiment.metric.unit else words_of(metric),
            )
            better = "higher" if experiment.metric.higher_is_better else "lower"
            caption = f"Validation split; {better} is better."
            if any(len(curve.values) > 1 for curve in curves):
                caption += " Several seeds: mean, and a band from the lowest to the highest run."
            if not all(curve.finished for curve in curves):
                caption += " Dashed: not finished."
            figures.append(
                {"title": f"Held-out {words_of(metric)}", "caption": caption, "data": as_base64(plots.png(figure))}
            )
    return figures


def _curve(group: Group, metric: str) -> curve_plots.Curve | None:
    """Returns the group's curve, at the steps at which all of its runs were evaluated."""
    series = [
        {row["step"]: row[metric] for row in run.history if row["split"] == "validation" and metric in row}
        for run in group.runs
    ]
    steps = sorted(set.intersection(*map(set, series)))
    if not steps:
        return None
    values = np.asarray([[values[step] for step in steps] for values in series], np.float64)
    return curve_plots.Curve(group.label, np.asarray(steps), values, all(run.test is not None for run in group.runs))


def _pictures(runs: Sequence[StoredRun]) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """Returns (title, whether the pictures are broad, a picture per run).

    Samples and reconstructions are shown if any run has them, other pictures if all finished runs have them.
    """
    finished = [run for run in runs if run.test is not None] or runs
    names = [name for name in _FIRST if any(name in run.pictures for run in runs)]
    names += sorted(set.intersection(*(set(run.pictures) for run in finished)) - set(_FIRST))
    rows = []
    for name in names:
        pictures = [run.pictures.get(name) for run in runs]
        steps = [
            f"step {run.samples_step:,}" if name == "samples" and run.samples_step is not None else None for run in runs
        ]
        row = [
            {"run": run.name, "data": picture and as_base64(picture), "step": step}
            for run, picture, step in zip(runs, pictures, steps, strict=True)
        ]
        title = words_of(name)
        rows.append((title[0].upper() + title[1:], is_broad(next(filter(None, pictures))), row))
    return rows
