"""The command `python -m experiments.studies.importance_sampling`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.studies.importance_sampling.measurement import ImportanceSampling, Study, measure
from genjax_models.runs.command_line import run_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(study: Study) -> str:
    """Returns log p(x), then for each proposal R / k, the spread of the logarithm, and Pareto's k-hat."""
    from genjax_models.estimators.importance_diagnostics import BLIND_TO_MISSED_MODES, pareto_k_threshold

    exact = "log p(x) = {:.4f} nats by quadrature {}; at twice the spacing {:.1e} away"
    grid, on_plane = study.grid, study.on_plane
    lines = [
        exact.format(grid.log_likelihood, "around the posterior", grid.quadrature_error),
        exact.format(on_plane["log_likelihood"].item(), "on the plane", on_plane["quadrature_error"].item()),
        "",
        f"{'proposal':12s}{'k':>7s}{'relative variance':>20s}{'log p(x): sd':>15s}{'median error':>15s}",
    ]
    for name, w in study.weights.items():
        rows = zip(w.samples, w.relative_variance, w.log_spread, w.log_quantiles[:, 1], strict=True)
        for i, (k, variance, spread, median) in enumerate(rows):
            lines.append(f"{'' if i else name:12s}{k:>7,d}{variance:>20.2e}{spread:>15.4f}{median:>15.4f}")
    lines += ["", f"R of the prior by quadrature: {study.prior_variance:.4g}"]
    for name, w in study.weights.items():
        threshold = pareto_k_threshold(len(w.log_weights))
        reliable = w.k_hat < threshold
        verdict = "its variance is reliable" if reliable else f"above {threshold:.1f}: its variance is not reliable"
        lines.append(f"Pareto k-hat of the {name}: {w.k_hat:.2f}, {verdict}")
    lines.append(BLIND_TO_MISSED_MODES)
    return "\n".join(lines)


def report(options: ImportanceSampling) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    from experiments.studies.importance_sampling.picture import picture

    study = measure(options)
    return picture(study), table(study)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.importance_sampling", ImportanceSampling, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
