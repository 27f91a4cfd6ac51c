"""Samplers of points in the plane, judged by the modes of the data that they cover."""

from collections.abc import Callable
from typing import Any, cast

import jax
import numpy as np

import genjax_models as gx
from genjax_models.data import synthetic
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.modes import mode_coverage
from genjax_models.figures import plots
from genjax_models.figures.mixture_plots import SampledModes, sampled_modes
from genjax_models.figures.pictures import Picture
from genjax_models.runs.evaluation import evaluation_key
from genjax_models.runs.protocol import System
from genjax_models.types import Objective, Players, Trainer

_JUDGED = 10_000  # samples in a figure
_SHOWN = 2_000  # samples in a panel


def modes_system(data: str, objective: Objective, trainer: Trainer, model: Any = None) -> System:
    """Wires an objective on points around known modes.

    A sample is good within three standard deviations of a centre. A mode is covered if it has a tenth of its share of
    the samples, good ones only.

    Args:
      data: name of a source in `data.synthetic.SOURCES`.
      objective: `objective.sample` draws points `[n, 2]`.
      trainer: of the objective.
      model: for `export`.
    """
    known = cast(synthetic.Modes, synthetic.SOURCES[data])
    share = _JUDGED // (10 * len(known.centres))

    def evaluate(players, key, batch):
        samples = objective.sample(players, key, _JUDGED)
        return mode_coverage(samples, known.centres, known.scale, at_least=share)

    def figures(players, data):
        sampled = sampler_of_modes(objective, evaluate)(players, "best checkpoint")
        caption = (
            f"{_SHOWN:,} samples over the test points. A sample is good within three standard deviations of a centre; a"
            " mode is covered if it has a tenth of its share of the samples, good ones only."
        )
        picture = sampled_modes(data.test.x, {"": [sampled]})
        return Facts(), [Picture("samples", "Samples", caption, plots.png(picture))]

    prepare = lambda dataset: gx.prepare(dataset, binarise="none", range=dataset.range)
    return System(objective, trainer, prepare, evaluate, objective.sample, figures, model=model)


def sampler_of_modes(objective: Objective, evaluate: Callable) -> Callable[[Players, str], SampledModes]:
    """Returns (players, title) -> samples with their counts; the noise is the same for all players."""
    draw = jax.jit(lambda players, key: (objective.sample(players, key, _SHOWN), evaluate(players, key, None)))

    def drawn(players: Players, title: str) -> SampledModes:
        samples, counts = draw(players, evaluation_key())
        covered, missed = int(counts["modes_covered"]), int(counts["modes_missed"])
        return SampledModes(title, np.asarray(samples), covered, covered + missed, float(counts["high_quality"].mean()))

    return drawn
