"""Box plots of every figure of disentanglement over seeds, from finished runs of experiments.disentanglement.

python -m experiments.studies.disentanglement --runs runs/beta_vae runs/factor_vae runs/beta_tcvae --to boxes.png

A directory that --seeds or --sweep has written counts as all of its runs. Runs with the same objective and strength
are one box. UDR (Duan et al., 2020) compares the codes of the runs of a box: high if seeds agree. The spread over seeds
of one objective was larger than the differences of objectives in Locatello et al. (2019).
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genjax_models.errors import InputError
from genjax_models.runs.command_line import run_study
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from experiments.disentanglement import Config

Figures = Mapping[str, Sequence[float]]  # figure -> its value in each run; nan where a run has none

_OBJECTIVES = {
    "beta_vae": "beta-VAE",
    "factor_vae": "FactorVAE",
    "beta_tcvae": "beta-TCVAE",
    "dip_vae_i": "DIP-VAE-I",
    "dip_vae_ii": "DIP-VAE-II",
}
_FIGURES = {
    "reconstruction": "reconstruction (nats)",
    "bound": "bound (nats)",
    "active_units": "active dimensions",
    "mutual_information_gap": "MIG",
    "modularity": "modularity",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "sap": "SAP",
    "factor_vae_score": "FactorVAE score",
    "beta_vae_score": "beta-VAE score",
    "total_correlation_of_means": "TC of means (nats)",
    "udr": "UDR",
}
_COLUMNS = 5  # panels in a row


@dataclasses.dataclass(frozen=True)
class Disentanglement:
    """Draw box plots over seeds of finished runs of experiments.disentanglement, and print their medians."""

    runs: tuple[Path, ...]
    """Directories of runs, or of members, all on one data set."""
    ranking: bool = True
    """Compute UDR: loads every run and encodes the test split."""
    to: Path = Path("disentanglement.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")


def boxes_of(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Returns name of a box -> directories of its runs, in the order of objectives and strengths.

    Raises:
      InputError: there are no runs, a directory holds none or one of another experiment, or the data sets differ.
    """
    single = [
        run
        for path in paths
        for run in (sorted(file.parent for file in path.glob("*/config.json")) if _has_members(path) else [path])
    ]
    configs = {run: _config(run) for run in single}
    if len(names := {config.data.name for config in configs.values()}) != 1:
        raise InputError(f"runs must be of one data set, got {', '.join(sorted(names)) or 'no runs'}")
    order = {objective: i for i, objective in enumerate(_OBJECTIVES)}
    boxes: dict[str, list[Path]] = {}
    for run, config in sorted(configs.items(), key=lambda item: (order[item[1].objective], item[1].weight)):
        boxes.setdefault(f"{_OBJECTIVES[config.objective]}, {config.weight:g}", []).append(run)
    return boxes


def figures_of(runs: Sequence[Path]) -> dict[str, list[float]]:
    """Returns the figures of the test split of these runs, from result.json.

    Raises:
      InputError: a run has not finished.
    """
    from genjax_models.runs import directory

    rows = []
    for run in runs:
        try:
            rows.append(directory.read_object(run / "result.json")["test"])
        except FileNotFoundError:
            raise InputError(f"{run}: has not finished, it has no result.json. Resume it first.") from None
    return {name: [row.get(name, math.nan) for row in rows] for name in _FIGURES if name != "udr"}


def codes_of(runs: Sequence[Path]) -> dict[Path, np.ndarray]:
    """Returns the posterior means of each run on the test split, `[n, latent]`."""
    import numpy as np

    import genjax_models as gx
    from genjax_models.systems.disentanglement import encoder

    first = gx.load_run(runs[0], data=True)
    x = np.asarray(first.data.test.x)
    loaded = ((path, gx.load_run(path)) for path in runs)
    return {path: encoder(run.model, run.variables)(x) for path, run in loaded}


def rankings(boxes: Mapping[str, Sequence[Path]]) -> dict[str, list[float]]:
    """Returns name of a box -> UDR of each run, compared with the other runs of the box.

    It is nan for a run alone, and for a run without an active dimension.
    """
    import genjax_models as gx
    from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD

    codes = codes_of([run for runs in boxes.values() for run in runs])
    udr = dict.fromkeys(codes, math.nan)
    for runs in boxes.values():
        active = [run for run in runs if (codes[run].var(axis=0) > ACTIVITY_THRESHOLD).any()]
        if len(active) > 1:
            udr |= zip(active, map(float, gx.unsupervised_ranking([codes[run] for run in active])), strict=True)
    return {name: [udr[run] for run in runs] for name, runs in boxes.items()}


def table(boxes: Mapping[str, Figures]) -> str:
    """Returns Markdown: a row per figure and a column per box, the median with the least and the greatest."""
    counts = {name: len(next(iter(figures.values()))) for name, figures in boxes.items()}
    titles = [f"{name} ({count} run{'s' * (count > 1)})" for name, count in counts.items()]
    lines = [
        f"| | {' | '.join(titles)} |",
        "| --- " * (len(boxes) + 1) + "|",
    ]
    for figure, words in _FIGURES.items():
        cells = [_in_words(figures.get(figure, ())) for figures in boxes.values()]
        if any(cells):
            lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(boxes: Mapping[str, Figures]) -> Figure:
    """Draws a panel per figure, with a box and the points of its runs per objective."""
    from matplotlib.figure import Figure

    from genjax_models.figures.style import COLORS, GREY, INK

    present = [name for name in _FIGURES if any(_known(figures.get(name, ())) for figures in boxes.values())]
    rows = -(-len(present) // _COLUMNS)
    figure = Figure(figsize=(2.7 * _COLUMNS, 2.1 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in panels[len(present) :]:
        axes.set_visible(False)
    for axes, name in zip(panels, present, strict=False):
        values = [_known(figures.get(name, ())) for figures in boxes.values()]
        axes.boxplot(values, widths=0.55, showfliers=False, medianprops={"color": INK}, boxprops={"color": GREY})
        for place, (colour, points) in enumerate(zip(_cycled(COLORS, len(boxes)), values, strict=True), start=1):
            apart = [place + 0.12 * (2 * i + 1 - len(points)) / len(points) for i in range(len(points))]
            axes.plot(apart, points, "o", color=colour, markersize=4, alpha=0.85)
        axes.set_title(_FIGURES[name], fontsize=10)
        axes.set_xticks(range(1, len(boxes) + 1), list(boxes), rotation=30, ha="right", fontsize=7.5)
        axes.grid(alpha=0.25, axis="y")
    return figure


def _config(run: Path) -> Config:
    from experiments.disentanglement import EXPERIMENT
    from genjax_models.runs import directory

    name = directory.read_config_json(run)["experiment"]
    if name != EXPERIMENT.module:
        raise InputError(f"{run}: must be a run of {EXPERIMENT.module}, got one of {name}")
    return directory.read_config(run, EXPERIMENT.config, EXPERIMENT.module)


def _has_members(path: Path) -> bool:
    return (path / "members.json").exists()


def _known(values: Sequence[float]) -> list[float]:
    return [float(value) for value in values if not math.isnan(value)]


def _in_words(values: Sequence[float]) -> str:
    known = _known(values)
    if not known:
        return ""
    decimals = 1 if max(map(abs, known)) >= 10 else 2
    low, middle, high = (f"{value:.{decimals}f}" for value in (min(known), statistics.median(known), max(known)))
    return f"{middle} ({low} to {high})" if len(known) > 1 else middle


def _cycled(colours: Sequence[str], count: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(count)]


def report(options: Disentanglement) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    boxes = boxes_of(options.runs)
    figures = {name: figures_of(runs) for name, runs in boxes.items()}
    if options.ranking:
        ranked = rankings(boxes)
        figures = {name: {**row, "udr": ranked[name]} for name, row in figures.items()}
    return picture(figures), table(figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.disentanglement", Disentanglement, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
