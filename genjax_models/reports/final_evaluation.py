"""The final evaluation: the best checkpoint on the test split, in `result.json` and `report.html`."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from genjax_models.data.prepare import Prepared
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.factor_figures import factor_row
from genjax_models.evaluation.findings import Facts, findings
from genjax_models.evaluation.samples import SampleFigure
from genjax_models.evaluation.symptoms import rows_with
from genjax_models.figures import pictures
from genjax_models.reports.comparison import render_comparison, results_in_words
from genjax_models.reports.draws import draws_of_other_data
from genjax_models.reports.page import Page, Result, render_page
from genjax_models.reports.records import records_of
from genjax_models.reports.stored_run import read_run
from genjax_models.reports.units import better_of, unit_of, words_of
from genjax_models.runs import checkpoints, directory
from genjax_models.runs.engine import Trained
from genjax_models.runs.environment import read_environment
from genjax_models.runs.evaluation import block_until_ready, evaluation_key, players_for_sampling, summarised
from genjax_models.runs.fit import Fit
from genjax_models.runs.history import Row
from genjax_models.runs.members import ALONE
from genjax_models.runs.protocol import Metric, System
from genjax_models.runs.resuming import stored_way
from genjax_models.runs.run import Run
from genjax_models.runs.shapes import state_shape
from genjax_models.runs.starting import in_words
from genjax_models.types import Batch, Players

_OF_BYTES = ("discretised_logistic", "logistic_mixture")  # likelihoods
_LOG_LIKELIHOODS = ("bound", "log_likelihood")


def report(trained: Trained) -> None:
    """Evaluates and reports every run, then prints the results and the path of the report."""
    runs = zip(trained.runs, trained.fits, strict=True)
    texts = [report_run(run, trained.data, fit, trained.description) for run, fit in runs]
    if len(trained.runs) == 1 and trained.runs[0].name in ALONE:
        print(texts[0])
        return
    folder = trained.folder
    stored = [read_run(run.folder, run.experiment, f"{folder.name}/{run.name}", folder.name) for run in trained.runs]
    path = folder / "report.html"
    directory.write_text(path, render_comparison(stored, f"Members run {stored_way(folder)}."))
    print("\n".join([*results_in_words(stored), f"report: {path}"]))


def report_run(run: Run, data: Prepared, fit: Fit, description: Sequence[tuple[str, str]]) -> str:
    """Evaluates the best checkpoint of a run on the test split, and writes its pictures, `result.json`, `report.html`.

    Args:
      run: the run after training.
      data: the run's data; the test split is evaluated.
      fit: result of the training.
      description: rows of name and text, what the data and the likelihood are.

    Returns:
      Findings, results and the path of the report, as text for the terminal.

    Raises:
      CheckpointError: the best checkpoint is damaged.
    """
    config, folder, metric = run.config, run.folder, run.experiment.metric
    shape = state_shape(run.system.trainer, config.data.shape)
    best = checkpoints.restore(folder / "checkpoints", shape, "best")
    players = players_for_sampling(best)
    test, facts, figures = _evaluate(run, data, players, int(best.step))
    if run.system.state_figures:
        figures += run.system.state_figures(best, data)
    sentences = findings(fit.history, facts)
    of_samples = {name: _as_json(figure) for name, figure in facts.samples.items()}
    result = {"test": test, **({"samples": of_samples} if of_samples else {})}
    if run.start_from:
        result["start_from"] = run.start_from
    directory.write_json(folder / "result.json", {**result, "findings": sentences, "seconds": fit.seconds})
    curves = pictures.curves(fit.history, metric.name, metric.unit)
    draws = draws_of_other_data(run.system, config, players, data, figures)
    all_pictures = [*run.samples.pictures(int(fit.state.step)), *draws, curves, *figures]
    for picture in all_pictures:
        for name, content in picture.files.items():
            (folder / "figures" / name).write_bytes(content)
    environment, values = read_environment(folder), dataclasses.asdict(config)
    started = [("start", in_words(run.start_from).removeprefix("starts "))] if run.start_from else []
    page = Page(
        title=run.experiment.title,
        summary=f"{config.data}, {config.training.steps:,} steps of {config.training.batch_size} examples, seed"
        f" {config.seed}. Results: test split, at step {test['step']:,}, the best on the validation split.",
        command=environment.pop("command", ""),
        speed=_speed(fit),
        results=_results(metric, test, facts.samples, len(data.test.x)),
        findings=sentences,
        pictures=all_pictures,
        data=[*description, *started],
        config=values,
        environment=environment,
        snippet=_snippet(folder),
        unused=config.unused,
        records=records_of(run.experiment.module, config.data.name, directory.flat(values)),
        evaluations=len(rows_with(fit.history, "validation", metric.name)),
    )
    path = folder / "report.html"
    directory.write_text(path, render_page(page))
    return "\n".join([*(f"- {sentence}" for sentence in sentences), *_in_words(metric, test, data), f"report: {path}"])


def _snippet(folder: Path) -> str:
    """Returns lines of Python that load the run and draw; the path is relative to the current folder if it can be."""
    here = Path.cwd()
    path = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return f"""import jax

import genjax_models as gx

run = gx.load_run({str(path)!r})  # config, system, objective, model, players of the best checkpoint
draws = run.system.draw(run.players, jax.random.key(0), 16)"""


def _evaluate(run: Run, data: Prepared, players: Players, step: int) -> tuple[Row, Facts, list[pictures.Picture]]:
    """Returns the row of the test split, the facts for the findings, and the pictures of the system."""
    system, metric = run.system, run.experiment.metric
    values = dict(block_until_ready(jax.jit(system.evaluate)(players, evaluation_key(), data.test)))
    facts, figures = system.figures(players, data)
    adversaries = tuple(system.objective.adversaries)
    facts = facts._replace(
        metric=metric.name, unit=metric.unit, higher_is_better=metric.higher_is_better, adversaries=adversaries
    )
    if system.test_metrics:
        weights = block_until_ready(jax.jit(system.test_metrics)(players, evaluation_key(), data.test))
        facts = facts._replace(weights=weights)
        values |= weights
    row = summarised(step, "test", values)
    return row | _bits_row(system, metric, row, data.test) | _latent_row(facts), facts, figures


def _bits_row(system: System, metric: Metric, row: Row, test: Batch) -> Row:
    """Returns -metric / (values of x * ln 2), in bits; {} unless the metric is of a probability of 8-bit numbers."""
    if system.likelihood not in _OF_BYTES or metric.name not in _LOG_LIKELIHOODS or test.length is not None:
        return {}
    nats = math.log(2) * math.prod(test.x.shape[1:])
    error = row.get(f"{metric.name}_se")
    return {"bits_per_value": -row[metric.name] / nats} | ({} if error is None else {"bits_per_value_se": error / nats})


def _latent_row(facts: Facts) -> Row:
    """Returns further figures, the active units, in total and per layer, I(x; z), and figures against known factors."""
    row = {}
    for name, (value, error, *_) in facts.further.items():
        row |= {name: value} if math.isnan(error) else {name: value, f"{name}_se": error}
    if facts.active is not None:
        layers = facts.active if isinstance(facts.active, tuple) else (facts.active,)
        counts = [int(np.sum(active)) for active in layers]
        row["active_units"] = sum(counts)
        if len(counts) > 1:
            row |= {f"active_units_of_layer_{layer}": count for layer, count in enumerate(counts, start=1)}
    if facts.mutual_information is not None:
        row["mutual_information"], row["mutual_information_se"], *_ = facts.mutual_information
    return row if facts.factors is None else row | factor_row(facts.factors)


def _results(metric: Metric, test: Row, of_samples: Mapping[str, SampleFigure], examples: int) -> list[Result]:
    """Returns the rows of the table: the metric, then the other figures of the test split, each once.

    A figure "a" may be a second name of "a_on_features". The metric keeps its name, and is shown beside that figure of
    the data; of others the longer name stays.
    """
    names = [name for name in test if name not in ("step", "split") and not name.endswith("_se")]
    second = {
        name: longer
        for name in names
        for longer in names
        if longer.startswith(f"{name}_on_") and test[name] == test[longer]
    }
    longer = second.get(metric.name, metric.name)
    of_data = of_samples[longer].of_data if longer in of_samples else None
    rows = [result_of(metric, metric.name, _estimate(test, metric.name, examples), of_data)]
    others = [name for name in names if name not in {*second, *of_samples, metric.name, longer}]
    rows += [result_of(metric, name, _estimate(test, name, examples)) for name in others]
    return [*rows, *(result_of(metric, name, *figure) for name, figure in of_samples.items() if name != longer)]


def _estimate(row: Row, name: str, examples: int) -> Estimate:
    return Estimate(row[name], row.get(f"{name}_se", math.nan), examples)


def result_of(metric: Metric, name: str, figure: Estimate, of_data: Estimate | None = None) -> Result:
    """Returns a figure as a row of text; `metric` is the run's, whose unit other figures share."""
    low, high = figure.interval
    decimals = _decimals(figure.standard_error)
    return Result(
        name=words_of(name),
        value=_with_error(figure),
        unit=unit_of(metric, name),
        interval="" if math.isnan(low) else f"{low:.{decimals}f} to {high:.{decimals}f}",
        better=better_of(metric, name),
        of_data="" if of_data is None else _with_error(of_data),
    )


def _as_json(figure: SampleFigure) -> dict[str, float | None]:
    finite = lambda number: None if math.isnan(number) else number
    value, error, *_ = figure.estimate
    of_data = figure.of_data
    more = {} if of_data is None else {"of_data": of_data.value, "of_data_se": finite(of_data.standard_error)}
    return {"value": finite(value), "se": finite(error), **more}


def _speed(fit: Fit) -> str:
    steps = int(fit.state.step) - fit.first
    if not steps:
        return "The run was reported again, without further steps."
    rate = steps / fit.seconds["running"]
    return f"{rate:,.0f} steps per second, evaluations included. Compilation: {fit.seconds['compiling']:.1f} seconds."


def _in_words(metric: Metric, test: Row, data: Prepared) -> list[str]:
    """Returns lines for the terminal: the metric, and bits per value and NLL(k) if they were computed."""
    examples = len(data.test.x)
    unit = f" {metric.unit} per example ({examples:,} test examples)" if metric.unit else ""
    units = {metric.name: unit, "bits_per_value": "", "negative_log_likelihood": unit}
    return [
        f"held-out {name.replace('_', ' ')}: {_with_error(_estimate(test, name, examples)).replace('±', '+-')}{unit}"
        for name, unit in units.items()
        if name in test
    ]


def _with_error(figure: Estimate) -> str:
    value, error = figure.value, figure.standard_error
    if isinstance(value, int):
        return str(value)
    if math.isnan(error):
        return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.2g}"
    decimals = _decimals(error)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _decimals(error: float) -> int:
    """Returns the decimals of a figure and its interval: two, or more so that no error reads 0.00."""
    return 1 - math.floor(math.log10(error)) if 0 < error < 0.005 else 2
