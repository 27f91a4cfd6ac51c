"""Generative adversarial networks on mixtures of Gaussians in the plane, where collapse can be counted (20.10.4).

python -m experiments.gan_mixture --payoff PAYOFF --seed SEED                       seeds 0, 1 and 2 beside each other

                       modes covered    good samples         divergence          total variation
minimax                8   8   4        0.89  0.80  0.85     0.02  0.05  0.54    0.14  0.26  0.50
non_saturating         3   4   6        0.63  0.90  0.90     0.57  0.50  0.29    0.62  0.49  0.34
maximum_likelihood     0   0   0        0.00  0.00  0.00     0.29  1.27  0.61    1.00  1.00  1.00
least_squares          6   5   7        0.93  0.92  0.92     0.26  0.47  0.11    0.26  0.38  0.17
hinge                  6   8   4        0.82  0.92  0.79     0.23  0.02  0.40    0.32  0.10  0.50
wasserstein            0   1   1        0.01  0.03  0.03     2.05  2.08  2.08    0.99  0.97  0.97

python -m experiments.gan_mixture --penalty r1 --penalty-weight 0.1 --average 0.99

non_saturating         8   8   8        0.86  0.86  0.87     0.00  0.00  0.00    0.14  0.14  0.13

--data grid25, where there is one figure of seed 0 alone

minimax                9                0.26                 0.40                0.75
non_saturating         11  12  10       0.50  0.59  0.55     0.65  0.64  0.73    0.66  0.64  0.65
least_squares          10               0.52                 0.69                0.67
hinge                  15               0.67                 0.44                0.47
wasserstein            1                0.05                 3.01                0.96
with R1, as above      25  25  21       0.61  0.72  0.53     0.01  0.01  0.04    0.39  0.28  0.47

--data grid25 --payoff wasserstein --penalty wasserstein --discriminator-moves 4 --batch-size 512 --average 0.99

wasserstein            25  25  25       0.84  0.83  0.84     0.00  0.00  0.00    0.16  0.17  0.16

10,000 steps, 40 to 150 s each; 10,000 samples of the checkpoint with the least total variation. 2 cores of AMD EPYC
shared with much other work (jax 0.10.2, CPU), 2026-11-21

A sample is good within three standard deviations of a centre (0.06 of a ring of radius 2), and a mode is covered that
has a tenth of its share of the samples, good ones. The divergence is KL(samples by nearest mode || uniform) in nats,
log 8 = 2.08 where all are at one mode. Total variation is the share of samples that would have to be elsewhere.

Without a penalty no payoff covers the ring with all three seeds, and none the grid. The maximum-likelihood payoff loses
to its discriminator, as the findings say while it trains, or is not finite (on grid25 at step 4,666); a critic without
a bound on its slope is of no use. R1 and a moving average cover the ring, and the grid but for four modes with one seed
of three; the penalised critic covers the grid too.
pictures/gan_mixture_ring8.png and gan_mixture_grid25.png, a row for each run of seed 0, are drawn by

from experiments import gan_mixture
gan_mixture.side_by_side("runs/minimax", "runs/non_saturating", ...).savefig("gan_mixture_ring8.png")
"""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import TYPE_CHECKING, Literal, NamedTuple

import genjax_models as gx
from genjax_models.errors import InputError, NonFiniteError
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Game, Optimizer, Training, at_least, seed_in_range, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.data import Dataset, Prepared
    from genjax_models.data.synthetic import Modes
    from genjax_models.types import Array, Objective, Players, Trainer

_JUDGED = 10_000  # samples in a figure
_SHOWN = 2_000  # samples in a panel
_COUNTED = (
    "A sample is good within three standard deviations of a centre; a mode is covered that has a tenth of its share of"
    " the samples, good ones."
)
_MOMENTS = (0.05, 0.1, 0.25, 0.5, 1.0)  # of the run, at which samples are shown


@dataclasses.dataclass(frozen=True)
class Config:
    """Train a generative adversarial network on points in the plane and count the modes that it covers."""

    data: Literal["ring8", "grid25"] = "ring8"
    """8 modes on a circle, or 25 on a grid."""
    payoff: Literal["minimax", "non_saturating", "maximum_likelihood", "least_squares", "hinge", "wasserstein"] = (
        "non_saturating"
    )
    """Losses of both players."""
    penalty: Literal["none", "wasserstein", "r1"] = "none"
    """On the discriminator's slope: between real and made points, or at real ones."""
    penalty_weight: float = 1.0
    """Of the penalty, where there is one."""
    seed: int = 0
    """Of everything random in the run, in [0, 2^32)."""
    latent: int = 64
    """Dimensions of z."""
    hidden: tuple[int, ...] = (128, 128, 128)
    """Widths of the layers of both networks."""
    training: Training = Training(batch_size=256)
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, b1=0.5)
    game: Game = Game()

    def __post_init__(self):
        seed_in_range(self.seed)
        whole(1, latent=self.latent, hidden=self.hidden)
        at_least(0, penalty_weight=self.penalty_weight)
        self.game.fits(self.training)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return (2,)


def modes(config: Config) -> Modes:
    """Where the data's modes are."""
    from genjax_models.data import synthetic

    return synthetic.SOURCES[config.data]


def build(config: Config) -> Objective:
    """The game that the config names."""
    generator = gx.MLPGenerator(config.shape, config.hidden)
    discriminator = gx.MLPDiscriminator(config.shape, config.hidden)
    return gx.gan(
        gx.adversarial_pair(generator, discriminator, config.latent),
        payoff=config.payoff,
        penalty=None if config.penalty == "none" else config.penalty,
        penalty_weight=config.penalty_weight,
    )


def trainer(config: Config, objective: Objective) -> Trainer:
    """Both players by the config's optimizer."""
    return config.game.trainer(objective, config.optimizer, config.training.steps)


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the players of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


def dataset(config: Config) -> tuple[Config, Dataset]:
    """The data set and the config."""
    return config, gx.load(config.data)


def prepare(config: Config, loaded: Dataset) -> Prepared:
    """The points as they are stored: the generator's last layer is linear, and reaches them all."""
    return gx.prepare(loaded, binarise="none", range=loaded.range)


def evaluate(config: Config):
    """Modes covered and quality of 10,000 samples."""
    from genjax_models.evaluation.modes import mode_coverage

    objective, known = build(config), modes(config)
    tenth = _JUDGED // (10 * len(known.centres))
    return lambda players, key, batch: mode_coverage(
        objective.sample(players, key, _JUDGED), known.centres, known.scale, at_least=tenth
    )


def images(config: Config):
    """Draws of x."""
    objective = build(config)
    return lambda players, key, n: objective.sample(players, key, n)


class Moment(NamedTuple):
    """Samples `[n, 2]`, how many of the modes they cover, and the share of good ones; `when` says when."""

    when: str
    samples: np.ndarray
    covered: int
    modes: int
    high_quality: float


def look(config: Config, players: Players, data: Prepared):
    """Samples of the best checkpoint over the data; and what the findings need to know."""
    from genjax_models.evaluation.findings import Facts
    from genjax_models.runs import figures
    from genjax_models.runs.pictures import Picture

    drawn = drawer(config)(players, "best checkpoint")
    caption = f"{_SHOWN:,} samples over the test points. {_COUNTED}"
    shown = [Picture("samples", "Samples", caption, figures.png(picture(data.test.x, {"": [drawn]})))]
    return Facts(metric="total_variation", higher_is_better=False, unit=""), shown


def drawer(config: Config) -> Callable[[Players, str], Moment]:
    """What players draw, with the same noise whoever they are."""
    import jax
    import numpy as np

    from genjax_models.runs.fit import evaluation_key

    objective, judge = build(config), evaluate(config)
    draw = jax.jit(lambda players, key: (objective.sample(players, key, _SHOWN), judge(players, key, None)))

    def drawn(players: Players, when: str) -> Moment:
        samples, found = draw(players, evaluation_key())
        covered, missed = int(found["modes_covered"]), int(found["modes_missed"])
        return Moment(when, np.asarray(samples), covered, covered + missed, float(found["high_quality"].mean()))

    return drawn


def moments(config: Config) -> list[Moment]:
    """Samples over the steps of a run, which is learned again: the same seed is the same run.

    One that does not stay finite ends with its last finite players.
    """
    from genjax_models.runs.fit import players_for_sampling

    steps, draw, seen = config.training.steps, drawer(config), {}
    chosen = {max(1, round(part * steps)) for part in _MOMENTS}
    training = dataclasses.replace(config.training, evaluate_every=math.gcd(*chosen))

    def keep(progress, row):
        if row["step"] in chosen:
            seen[row["step"]] = draw(players_for_sampling(progress.state), f"step {row['step']:,}")

    data = prepare(*dataset(config))
    try:
        gx.fit(trainer(config, build(config)), data, training, seed=config.seed, on_evaluation=keep)
    except NonFiniteError as error:
        state = error.progress.state
        seen[int(state.step)] = draw(players_for_sampling(state), f"step {int(state.step):,}, the last finite one")
    return list(seen.values())


def side_by_side(*runs: Path | str) -> Figure:
    """Samples over steps of runs on one data set, whether or not they came to an end, a row for each."""
    from genjax_models.runs import directory

    configs = [directory.read_config(run, Config, EXPERIMENT.name) for run in runs]
    if len({config.data for config in configs}) > 1:
        raise InputError(f"runs must be of one data set, got {', '.join(config.data for config in configs)}")
    data = prepare(*dataset(configs[0]))
    return picture(data.test.x, {in_words(config): moments(config) for config in configs})


def in_words(config: Config) -> str:
    """What sets a run apart from others."""
    game, words = config.game, [config.payoff.replace("_", " ")]
    if config.penalty != "none":
        words.append(f"penalty {config.penalty}")
    if game.discriminator_moves > 1:
        words.append(f"{game.discriminator_moves} moves")
    if game.average:
        words.append(f"average {game.average:g}")
    return "\n".join(words)


def picture(x: Array, rows: Mapping[str, Sequence[Moment]]) -> Figure:
    """Data `[n, 2]` under samples; `rows` are runs by name, each at several moments, from left to right."""
    import numpy as np
    from matplotlib.figure import Figure

    x, columns = np.asarray(x), max(map(len, rows.values()))
    figure = Figure(figsize=(2.1 * max(columns, 2), 2.5 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
    reach = 1.25 * np.abs(x).max()
    for axes_of_row, (name, seen) in zip(grid, rows.items(), strict=True):
        axes_of_row[0].set_ylabel(name, fontsize=9)
        for axes, moment in zip(axes_of_row, seen, strict=False):
            axes.scatter(*x.T, s=14, color="#c3ccd5", linewidths=0)
            axes.scatter(*moment.samples.T, s=1.5, color="#2364aa", alpha=0.5, linewidths=0)
            axes.set_title(
                f"{moment.when}\n{moment.covered} of {moment.modes} modes, {moment.high_quality:.0%} good", fontsize=8
            )
        for axes in axes_of_row:
            axes.set_aspect("equal")
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-reach, reach)
            axes.set_xticks([])
            axes.set_yticks([])
        for axes in axes_of_row[len(seen) :]:
            axes.set_axis_off()
    return figure


EXPERIMENT = Experiment(
    name="gan_mixture",
    title="A generative adversarial network on a mixture of Gaussians",
    config=Config,
    metric="total_variation",
    higher_is_better=False,
    unit="",
    images_are="draws of x",
    build=build,
    dataset=dataset,
    prepare=prepare,
    evaluate=evaluate,
    images=images,
    look=look,
    trainer=trainer,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
