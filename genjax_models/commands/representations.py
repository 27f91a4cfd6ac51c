"""Do latents make good representations (1.3.4)? Two simple readers of posterior means, of PCA and of pixels.

python -m genjax_models.commands.representations runs/vae16

The run is one of experiments.vae or experiments.iwae, on data with classes. Printed, and written to
representations.json in the run: the accuracy on test data of a linear probe and of nearest neighbours, fitted on the
training split, and of the same readers on as many principal components and on the data as they are.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from experiments.trained import Trained, trained
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import whole


@dataclasses.dataclass(frozen=True)
class Representations:
    """Read the classes of test data from a finished run's latents, from PCA and from pixels."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    neighbours: int = 5
    """Of each test example."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on held-out data, or last."""

    def __post_init__(self):
        whole(1, neighbours=self.neighbours)


def representations(options: Representations) -> dict[str, dict[str, list[float]]]:
    """Fits and scores the readers, and writes `representations.json`.

    Returns:
      representation -> reader -> accuracy and its standard error.
    """
    import jax

    import genjax_models as gx
    from genjax_models.data.records import Records

    run = trained(options.run, options.checkpoint)
    train, test = run.data.train, run.data.test
    if isinstance(train.x, Records):
        raise InputError(f"{options.run}: its training data are streamed, and readers want them in memory")
    if train.label is None:
        raise InputError(f"{options.run}: its data, {run.config.data}, have no classes to be read")
    train = jax.jit(run.data.each_step)(jax.random.key(0), train)  # binarised once, where training is at every step
    found = gx.compare_representations(
        _codes(run, train), _codes(run, test), train, test, neighbours=options.neighbours
    )
    found = {
        name: {reader: [score.mean, score.standard_error] for reader, score in scores.items()}
        for name, scores in found.items()
    }
    (options.run / "representations.json").write_text(json.dumps(found, indent=2))
    return found


def _codes(run: Trained, batch):
    """Posterior means of all stochastic layers, side by side: `[n, latent]`."""
    import jax
    import jax.numpy as jnp

    import genjax_models as gx

    look = jax.jit(
        lambda x, label: gx.latent_usage_by_layer(run.model, run.variables, jax.random.key(0), x, label=label)
    )
    return jnp.concatenate([layer.means for layer in look(batch.x, run.label(batch))], axis=-1)


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """What was found, in lines."""
    lines = [f"{'accuracy on test data':24}{'linear probe':>20}{'nearest neighbours':>22}"]
    for name, scores in found.items():
        cells = [f"{mean:.3f} +- {error:.3f}" for mean, error in scores.values()]
        lines.append(f"{name:24}{cells[0]:>20}{cells[1]:>22}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        options = parse(Representations, arguments, "python -m genjax_models.commands.representations", Representations.__doc__)
        print(table(representations(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
