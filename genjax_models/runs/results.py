"""What came of a run: its best checkpoint judged on the test split, as figures and as a page."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from genjax_models.data.prepare import Prepared
from genjax_models.evaluation.findings import Facts, findings
from genjax_models.runs import directory, pictures
from genjax_models.runs.command_line import Experiment
from genjax_models.runs.fit import Fit, Row, evaluation_key, players_for_sampling, ready, summarised
from genjax_models.runs.pictures import Picture
from genjax_models.runs.report import Report, render
from genjax_models.types import TrainState

_WORDS = {"kl": "KL", "pareto_k_hat": "Pareto k-hat"}
_UNITS = {
    "effective_sample_size": "samples",
    "pareto_k_hat": "",
    "active_units": "latent dimensions",
    "mode_divergence": "nats",
}


def report(
    experiment: Experiment,
    config: Any,
    data: Prepared,
    folder: Path,
    fitted: Fit,
    best: TrainState,
    drawn: Sequence[Picture],
) -> str:
    """Judges the state `best` on the test split, draws, and writes `result.json` and `report.html` in `folder`.

    Args:
      experiment: to which the run belongs.
      config: of the run.
      data: whose test split is judged on.
      folder: of the run.
      fitted: the run.
      best: of its checkpoints on the validation split.
      drawn: pictures that are there already.

    Returns:
      What to say: findings, results and the path of the page.
    """
    players = players_for_sampling(best)
    values = ready(jax.jit(experiment.evaluate(config))(players, evaluation_key(), data.test))
    facts, looked = experiment.look(config, players, data)
    if experiment.judge:
        facts = facts._replace(weights=ready(jax.jit(experiment.judge(config))(players, evaluation_key(), data.test)))
        values |= facts.weights
    test = summarised(int(best.step), "test", values) | _of_latents(facts)
    said = findings(fitted.history, facts)
    directory.write_json(folder / "result.json", {"test": test, "findings": said, "seconds": fitted.seconds})
    curves = pictures.curves(fitted.history, experiment.metric, experiment.unit)
    shown = [*drawn, curves, *looked]
    for picture in shown:
        (folder / "figures" / f"{picture.name}.png").write_bytes(picture.png)
    environment = json.loads((folder / "environment.json").read_text())
    made = Report(
        title=experiment.title,
        summary=f"{config.data}, {config.training.steps:,} steps of {config.training.batch_size} examples, seed"
        f" {config.seed}. Results are of the test split at step {test['step']:,}, the best on the validation split.",
        command=environment.pop("command"),
        results=_results(experiment, config, test, fitted),
        findings=said,
        pictures=shown,
        config=dataclasses.asdict(config),
        environment=environment,
    )
    page = folder / "report.html"
    page.write_text(render(made))
    lines = [f"- {finding}" for finding in said]
    for metric in dict.fromkeys((experiment.metric, *({"negative_log_likelihood"} & set(test)))):
        words, error = metric.replace("_", " "), _with_error(test, metric).replace("±", "+-")
        of_examples = f" {experiment.unit} per example ({len(data.test.x):,} test examples)" if experiment.unit else ""
        lines.append(f"held-out {words}: {error}{of_examples}")
    return "\n".join([*lines, f"report: {page}"])


def _of_latents(facts: Facts) -> Row:
    """Units in use, of all layers and of each where there are several, and what z says about x."""
    row = {}
    if facts.active is not None:
        layers = facts.active if isinstance(facts.active, tuple) else (facts.active,)
        counts = [int(np.sum(active)) for active in layers]
        row["active_units"] = sum(counts)
        if len(counts) > 1:
            row |= {f"active_units_of_layer_{layer}": count for layer, count in enumerate(counts, start=1)}
    if facts.mutual_information is not None:
        row["mutual_information"], row["mutual_information_se"], _ = facts.mutual_information
    return row


def _results(experiment: Experiment, config, test: Row, fitted: Fit) -> list[tuple[str, str, str]]:
    names = [name for name in test if name not in ("step", "split") and not name.endswith("_se")]
    rows = [
        (
            f"Test {_WORDS.get(name, name.replace('_', ' '))}",
            _with_error(test, name),
            unit_of(experiment, name),
        )
        for name in names
    ]
    rate = (int(fitted.state.step) - fitted.first) / fitted.seconds["running"]
    return [
        *rows,
        ("Speed", f"{rate:,.0f}", "steps per second, evaluations included"),
        ("Compilation", f"{fitted.seconds['compiling']:.1f}", "seconds"),
    ]


def unit_of(experiment: Experiment, name: str) -> str:
    """Of the figure called `name` in an experiment's results: its own, or that of the experiment's metric."""
    return next((unit for start, unit in _UNITS.items() if name.startswith(start)), experiment.unit)


def _with_error(row: Row, name: str) -> str:
    error = row.get(f"{name}_se")
    if isinstance(row[name], int):
        return str(row[name])
    if error is None:
        return f"{row[name]:.2f}"
    decimals = 1 - math.floor(math.log10(error)) if 0 < error < 0.005 else 2  # never 0.00
    return f"{row[name]:.{decimals}f} ± {error:.{decimals}f}"
