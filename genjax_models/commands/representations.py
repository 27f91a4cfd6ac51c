"""Compares representations (1.3.4): linear probe and nearest neighbours on posterior means, PCA and pixels.

genjax-models representations runs/vae16

The model of the run needs a posterior q(z | x), for example a run of experiments.vae or experiments.iwae, and the data
need labels. The command prints accuracies on the test split and writes them to representations.json in the run. Both
probes are fitted on the training split: to posterior means, to the same number of principal components, and to pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import whole


@dataclasses.dataclass(frozen=True)
class Representations:
    """Predict the classes of test data from a finished run's latents, from PCA and from pixels."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    neighbours: int = 5
    """Number of nearest neighbours."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""

    def __post_init__(self):
        whole(1, neighbours=self.neighbours)


def representations(options: Representations) -> dict[str, dict[str, list[float]]]:
    """Fits and scores the probes, and writes `representations.json`.

    Returns:
      representation -> probe -> accuracy and its standard error.
    """
    import jax

    import genjax_models as gx
    from genjax_models.commands.encoders import load_encoder_run, posterior_means
    from genjax_models.data.records import Records
    from genjax_models.evaluation.representations import check_training
    from genjax_models.runs import directory

    run = load_encoder_run(options.run, options.checkpoint)
    train, test = run.data.train, run.data.test
    if isinstance(train.x, Records):
        raise InputError(f"{options.run}: the probes need training data in memory, and this run streams them")
    if train.label is None:
        raise InputError(f"{options.run}: the probes need a label per example, and {run.config.data} has no labels")
    check_training(train.label, options.neighbours)
    train = jax.jit(run.data.each_step)(jax.random.key(0), train)  # Draws the dynamic binarisation once.
    scores = gx.compare_representations(
        posterior_means(run, train), posterior_means(run, test), train, test, neighbours=options.neighbours
    )
    results = {
        name: {probe: [score.value, score.standard_error] for probe, score in row.items()}
        for name, row in scores.items()
    }
    directory.write_json(options.run / "representations.json", results)
    return results


def accuracy_table(results: dict[str, dict[str, list[float]]]) -> str:
    """Returns the results as lines of text."""
    lines = [f"{'accuracy on test data':24}{'linear probe':>20}{'nearest neighbours':>22}"]
    for name, scores in results.items():
        cells = [f"{mean:.3f} +- {error:.3f}" for mean, error in scores.values()]
        lines.append(f"{name:24}{cells[0]:>20}{cells[1]:>22}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models representations") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        options = parse(Representations, arguments, program, Representations.__doc__)
        print(accuracy_table(representations(options)))
    return 0
