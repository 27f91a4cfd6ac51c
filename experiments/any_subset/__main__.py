"""The command `python -m experiments.any_subset`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.any_subset.options import AnySubset
from genjax_models.runs.command_line import run_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.any_subset.measurement import Study
    from genjax_models.types import Array


def table(options: AnySubset, study: Study) -> str:
    """Returns the results as lines of text. The last column is the largest standard error of its row.

    Differences have a row of standard errors of their own.
    """
    of_share = "".join(f"{share:>8.0%}" for share in options.shares)
    sizes = "".join(f"{size:8.1f}" for size in study.effective)
    ahead = study.nats["RBM, Gibbs"] - study.nats["MP-DBM, mean field"]
    more_right = study.right["MP-DBM"] - study.right["MLP, trained with missing pixels"]
    return "\n".join(
        [
            f"{'nats per missing pixel':34}{'passes':>8}{of_share}{'+-':>8}",
            *(f"{name:34}{study.passes[name]:8d}{_row(nats, '8.3f')}" for name, nats in study.nats.items()),
            *_difference("MP-DBM ahead of RBM, Gibbs", 42, ahead, "8.4f"),
            f"{'VAE, importance: effective samples':42}{sizes}",
            "",
            f"{'class accuracy, %':34}{'0%':>8}{of_share}{'+-':>8}",
            *(f"{name:34}{_row(100 * right, '8.1f')}" for name, right in study.right.items()),
            *_difference("MP-DBM ahead of the first MLP", 34, 100 * more_right, "8.1f"),
        ]
    )


def _row(figure: Array, form: str) -> str:
    """Returns the means of a figure `[shares, runs, images]`, and their largest standard error."""
    means, errors = _means_and_errors(figure)
    return "".join(format(value, form) for value in (*means, max(errors)))


def _difference(name: str, width: int, figure: Array, form: str) -> list[str]:
    """Returns a row of the means of a paired difference `[shares, runs, images]`, and one of their standard errors."""
    return [
        f"{label:{width}}" + "".join(format(value, form) for value in values)
        for label, values in zip((name, "+-"), _means_and_errors(figure), strict=True)
    ]


def _means_and_errors(figure: Array) -> tuple[list[float], list[float]]:
    from experiments.any_subset.measurement import over_runs_and_images

    estimates = [over_runs_and_images(of_share) for of_share in figure]
    return [of.value for of in estimates], [of.standard_error for of in estimates]


def report(options: AnySubset) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    from experiments.any_subset.measurement import measure
    from experiments.any_subset.picture import picture

    study = measure(options)
    return picture(options, study), table(options, study)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.any_subset", AnySubset, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
