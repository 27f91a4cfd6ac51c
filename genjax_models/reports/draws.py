"""Pictures of draws for data that are no images, of any system."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from genjax_models.data.prepare import Prepared
from genjax_models.figures import sequence_plots
from genjax_models.figures.pictures import Picture, drawable
from genjax_models.figures.vector_plots import draws_of_vectors
from genjax_models.runs.evaluation import block_until_ready, evaluation_key
from genjax_models.runs.protocol import System
from genjax_models.types import Players

_VECTORS = 1_000  # draws, and at most so many test examples
_SEQUENCES = 4


def draws_of_other_data(
    system: System, config: Any, players: Players, data: Prepared, shown: Sequence[Picture]
) -> list[Picture]:
    """Returns draws of x beside test examples; nothing for images, or if `shown` has samples or draws.

    Args:
      system: of the run.
      config: with the group data.
      players: for sampling.
      data: the run's.
      shown: pictures of the system.
    """
    test = data.test
    shape = test.x.shape[1:]
    if drawable(shape) or len(shape) not in (1, 2) or {"samples", "draws"} & {picture.name for picture in shown}:
        return []
    n = min(_VECTORS if len(shape) == 1 else _SEQUENCES, len(test.x))
    label = test.label[:n] if test.label is not None and config.data.classes else None
    sample = jax.jit(lambda players, key: system.objective.sample(players, key, n, label=label))
    x, draws = np.asarray(test.x), np.asarray(block_until_ready(sample(players, evaluation_key())))
    if len(shape) == 1:
        return [draws_of_vectors(x[:n], draws)]
    look = sequence_plots.look_of([*x[:n], *draws], rows=False, binary=bool(np.isin(x, (0, 1)).all()))
    return [sequence_plots.draws({"data": list(x[:n]), "draws": list(draws)}, look)]
