"""Compares finished runs: pictures of the pages, and a table.

python -m experiments.studies.side_by_side mixtures --runs runs/prior runs/vae runs/finite --to infinite_mixture.png
python -m experiments.studies.side_by_side modes --runs runs/minimax runs/non_saturating --to gan_mixture_ring8.png
python -m experiments.studies.side_by_side objectives --runs runs/vae runs/iwae runs/gan runs/gmmn --to four.png
python -m experiments.studies.side_by_side samples --runs runs/dcgan runs/dcgan_fashion --to dcgan.png

mixtures: components over training (experiments.infinite_mixture).
modes: samples over training (experiments.gan_mixture).
objectives: samples under test images, and a table (experiments.one_generator_four_objectives).
samples: a grid of samples per run, of any experiments and data.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from genjax_models.errors import InputError, NonFiniteError
from genjax_models.runs.command_line import run_study
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from genjax_models.data import Prepared
    from genjax_models.figures.mixture_plots import SampledModes
    from genjax_models.runs.loading import LoadedRun
    from genjax_models.runs.protocol import System

_STAGES = (0.05, 0.1, 0.25, 0.5, 1.0)  # shares of a run at which the picture has samples
_COLUMNS = 16  # samples per run in the picture of objectives
_GRID = 64  # samples per run in the picture of samples
_OBJECTIVES = {"vae": "ELBO", "iwae": "IWAE bound", "gan": "adversary", "gmmn": "MMD"}
_METRICS = ("kernel_distance", "frechet_distance", "precision", "coverage", "two_sample_p_value")


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """Draw finished runs side by side."""

    kind: tyro.conf.Positional[Literal["mixtures", "modes", "objectives", "samples"]]
    """Kind of picture."""
    runs: tuple[Path, ...]
    """Directories of the runs, all on one data set unless the kind is samples."""
    to: Path = Path("side_by_side.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")


def mixtures(runs: Sequence[Path]) -> Figure:
    """Draws the components of each run: before training, after a twentieth of it, and at the best checkpoint."""
    from genjax_models.figures import mixture_plots
    from genjax_models.systems.mixtures import FIT_NAMES, components_over_training

    loaded = _loaded(runs)
    rows = {
        FIT_NAMES[run.config.fit]: components_over_training(run.config, run.system, run.players, run.data)
        for run in loaded
    }
    return mixture_plots.components(loaded[0].data.test.x, rows)


def modes(runs: Sequence[Path]) -> Figure:
    """Draws samples of each run at several steps; a run may be unfinished."""
    import genjax_models as gx
    from genjax_models.figures import mixture_plots
    from genjax_models.runs import directory
    from genjax_models.runs.loading import experiment_of

    rows = {}
    for path in runs:
        experiment = experiment_of(path)
        config, dataset = directory.read_config(path, experiment.config, experiment.module).load()
        system = experiment.build(config)
        data = system.prepare(dataset)
        rows[_game_in_words(config)] = config.data.name, samples_over_training(config, system, data)
    _check_one_data_set([name for name, _ in rows.values()])
    x = gx.load(config.data.name).test.x
    return mixture_plots.sampled_modes(x, {words: samples for words, (_, samples) in rows.items()})


def samples_over_training(config: Any, system: System, data: Prepared) -> list[SampledModes]:
    """Trains a run again with its seed, and returns samples at several steps.

    If the run does not stay finite, the last samples come from the last finite players.
    """
    import genjax_models as gx
    from genjax_models.systems.modes import sampler_of_modes

    draw, samples = sampler_of_modes(system.objective, system.evaluate), {}
    chosen = {max(1, round(part * config.training.steps)) for part in _STAGES}
    training = dataclasses.replace(config.training, evaluate_every=math.gcd(*chosen))

    def keep(progress, row):
        if row["step"] in chosen:
            samples[row["step"]] = draw(gx.players_for_sampling(progress.state), f"step {row['step']:,}")

    try:
        gx.fit(system.trainer, data, training, seed=config.seed, on_evaluation=keep)
    except NonFiniteError as error:
        state = error.progress.state
        title = f"step {int(state.step):,}, the last finite one"
        samples[int(state.step)] = draw(gx.players_for_sampling(state), title)
    return list(samples.values())


def _game_in_words(config: Any) -> str:
    """Returns the settings that differ between runs of experiments.gan_mixture."""
    game, adversary = config.game, config.adversary
    words = [adversary.loss.replace("_", " ")]
    if adversary.penalty != "none":
        words.append(f"penalty {adversary.penalty}")
    if game.discriminator_moves > 1:
        words.append(f"{game.discriminator_moves} moves")
    if game.average:
        words.append(f"average {game.average:g}")
    return "\n".join(words)


def objectives(runs: Sequence[Path]) -> Figure:
    """Draws samples of each run under test images."""
    import jax
    import jax.numpy as jnp

    from genjax_models.figures import plots

    loaded = _loaded(runs)
    rows = [run.system.draw(run.players, jax.random.key(0), _COLUMNS) for run in loaded]
    titles = ["data", *map(_title, runs, loaded)]
    images = jnp.concatenate([loaded[0].data.test.x[:_COLUMNS], *rows])
    figure = plots.image_grid(images, columns=_COLUMNS, titles=titles, heading="One generator, four objectives")
    figure.axes[0].tick_params(axis="y", labelsize=8)  # titles of three lines
    return figure


def samples(runs: Sequence[Path]) -> Figure:
    """Draws a grid of samples per run, under the name of its experiment, its data and the step."""
    import jax

    import genjax_models as gx
    from genjax_models.commands.sample import check_samples
    from genjax_models.figures import plots

    grids = []
    for path in runs:
        run = gx.load_run(path)
        check_samples(path, run.system)
        low, high = run.system.range
        draw = jax.jit(run.system.draw, static_argnums=2)
        words = f"{run.experiment.name}, {Path(run.config.data.name).name}, step {int(run.state.step):,}"
        grids.append((words, (draw(run.players, jax.random.key(0), _GRID) - low) / (high - low)))
    return plots.image_grids(grids)


def _title(path: Path, run: LoadedRun) -> str:
    """Returns the objective of a run, and its kernel and Fréchet distance if the run has judged samples."""
    samples = json.loads((Path(path) / "result.json").read_bytes()).get("samples", {})
    lines = [_OBJECTIVES[run.config.objective]]
    for name, words in (("kernel_distance", "kernel distance"), ("frechet_distance", "Fréchet distance")):
        for key, figure in samples.items():
            if key.startswith(f"{name}_on_"):
                lines.append(f"{words} {figure['value']:.1f} ± {figure['se']:.1f}")
    return "\n".join(lines)


def table_of_objectives(runs: Sequence[Path]) -> str:
    """Returns the metrics of each run's samples in Markdown; the last row judges training images."""
    import jax

    from genjax_models.evaluation.samples import sample_quality
    from genjax_models.systems.samples import default_features

    loaded = _loaded(runs)
    data, features = loaded[0].data, default_features(loaded[0].config.data.name, (0, 1))
    words = [name.replace("_", " ") for name in _METRICS]
    lines = [f"| | {' | '.join(words)} | NLL(1000), nats | seconds |", "| --- " * (len(words) + 3) + "|"]

    def row(title, samples, nll="", seconds=""):
        quality = sample_quality(features, samples, data.test.x)
        cells = [quality[f"{name}_on_{features.name}"] for name in _METRICS]
        shown = [f"{c.value:.3g} ± {c.standard_error:.1g}" if c.standard_error > 0 else f"{c.value:.2g}" for c in cells]
        lines.append(f"| {' | '.join([title, *shown, nll, seconds])} |")

    for path, run in zip(runs, loaded, strict=True):
        result = json.loads((Path(path) / "result.json").read_bytes())
        test, nll = result["test"], ""
        if "negative_log_likelihood" in test:
            nll = f"{test['negative_log_likelihood']:.1f} ± {test['negative_log_likelihood_se']:.1f}"
        samples = run.system.draw(run.players, jax.random.key(0), len(data.test.x))
        row(_OBJECTIVES[run.config.objective], samples, nll, f"{result['seconds']['running']:.0f}")
    row("training images", data.training_examples(slice(len(data.test.x))).x)
    return "\n".join(lines)


def _loaded(runs: Sequence[Path]) -> list[LoadedRun]:
    import genjax_models as gx

    loaded = [gx.load_run(path, data=True) for path in runs]
    _check_one_data_set([run.config.data.name for run in loaded])
    return loaded


def _check_one_data_set(names: Sequence[str]) -> None:
    if len(set(names)) != 1:
        raise InputError(f"runs must be of one data set, got {', '.join(names) or 'no runs'}")


def report(options: SideBySide) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    kinds = {"mixtures": mixtures, "modes": modes, "objectives": objectives, "samples": samples}
    figure = kinds[options.kind](options.runs)
    return figure, table_of_objectives(options.runs) if options.kind == "objectives" else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.side_by_side", SideBySide, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
