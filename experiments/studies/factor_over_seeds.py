"""Is one latent a known factor, over seeds and weights of the KL? The picture and the table of a sweep.

python -m experiments.rivers --data rivers:32 --channels 16 32 --steps 2500 --evaluate-every 2500 --seeds 0:8 \\
    --sweep kl_weight=4,40 --run-dir runs/rivers_seeds
python -m experiments.studies.factor_over_seeds runs/rivers_seeds --factor grass --to rivers_over_seeds.png

The bound of a VAE does not change if z turns, so that it cannot ask for one latent per factor (Locatello et al., 2019).
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import run_study
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = {
    "all latents together": "r2_of_{}_by_all_latents",
    "the best latent": "r2_of_{}_by_one_latent",
    "MIG": "mig_of_{}",
}


@dataclasses.dataclass(frozen=True)
class OverSeeds:
    """Draw what the runs of a sweep know of one factor."""

    folder: tyro.conf.Positional[Path]
    """Directory of the sweep, with a directory per run."""
    factor: str = "grass"
    """Name of the factor."""
    to: Path = Path("factor_over_seeds.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")


def read(folder: Path, factor: str) -> Mapping[float, Mapping[str, list[float]]]:
    """Returns weight of the KL -> figure -> its value per run; nan for a run without active latents.

    Raises:
      InputError: no finished run is there, or none knows the factor.
    """
    runs = sorted(folder.glob("*/result.json"))
    if not runs:
        raise InputError(f"{folder}: needs directories of finished runs of experiments.rivers")
    values: dict[float, dict[str, list[float]]] = {}
    for path in runs:
        result, config = (json.loads(file.read_text(encoding="utf-8")) for file in (path, path.parent / "config.json"))
        test = result["test"]
        rows = values.setdefault(float(config["config"]["kl_weight"]), {name: [] for name in FIGURES})
        for name, field in FIGURES.items():
            rows[name].append(float(test.get(field.format(factor), math.nan)))
    if all(math.isnan(value) for rows in values.values() for row in rows.values() for value in row):
        raise InputError(f"{folder}: no run has figures of the factor {factor!r}")
    return dict(sorted(values.items()))


def table(values: Mapping[float, Mapping[str, list[float]]]) -> str:
    """Returns a line per weight and figure: mean, standard deviation, lowest and highest over runs."""
    import numpy as np

    lines = []
    for weight, rows in values.items():
        for name, row in rows.items():
            known = np.array(row)[~np.isnan(row)]
            spread = (
                f"{known.mean():.2f} +- {known.std(ddof=1):.2f}"
                if len(known) > 1
                else f"{known.mean():.2f}"
                if len(known)
                else "unknown"
            )
            ends = f"{known.min():.2f} to {known.max():.2f}" if len(known) else ""
            lines.append(f"KL weight {weight:g}  {name:22}{spread:>14}  {ends}  ({len(known)} seeds)")
    return "\n".join(lines)


def report(options: OverSeeds) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    from genjax_models.figures import latent_plots

    values = read(options.folder, options.factor)
    by_weight = {f"KL weight {weight:g}": rows for weight, rows in values.items()}
    return latent_plots.factor_over_seeds(by_weight, options.factor), table(values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.factor_over_seeds", OverSeeds, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
