"""Draws from a finished run of any experiment into a PNG file.

genjax-models sample runs/demo --n 100
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import check_output, write_output

if TYPE_CHECKING:
    from genjax_models.runs.loading import LoadedRun
    from genjax_models.runs.protocol import System


@dataclasses.dataclass(frozen=True)
class Sample:
    """Draw from a finished run into a PNG file."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    n: int = 64
    """Number of samples."""
    seed: int = 0
    """Random seed, in [0, 2^32)."""
    label: int | None = None
    """Class of the samples of a conditional model. Default: its classes in turn."""
    truncation: float | None = None
    """Largest size of a number of z: what lies outside is drawn again. For GANs with normal z."""
    show: Literal["images", "draws", "mean"] = "images"
    """images: as in the report (E[x | z] of a VAE). draws: samples of p(x), with the noise of p(x | z). mean: E[x | z];
    an error if the model has none."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""
    to: Path | None = None
    """The PNG file. Default: figures/sample_<seed>.png in the run."""
    overwrite: bool = False
    """Replace the file of --to if it exists."""

    def __post_init__(self):
        whole(1, n=self.n)
        if self.truncation is not None:
            positive(truncation=self.truncation)
        seed_in_range(self.seed)
        check_output(self.to, ".png", overwrite=self.overwrite)


def draw_samples(options: Sample) -> Path:
    """Writes the PNG file, and returns its path.

    Raises:
      InputError: no run is there, its examples are no images, `label` is no class of the data, the model has no mean,
        or the file cannot be written.
      MemoryError: `n` is too large.
    """
    import jax

    from genjax_models.figures import pictures, plots
    from genjax_models.runs import memory
    from genjax_models.runs.evaluation import block_until_ready
    from genjax_models.runs.loading import load_run

    run = load_run(options.run, options.checkpoint)
    if not pictures.drawable(run.config.data.shape):
        raise InputError(f"{options.run}: needs images, got examples of shape {run.config.data.shape}")
    sampler, given = sampler_of(run, options)
    given |= labels_of(options, run.config.data.classes)
    run = at_truncation(run, options)
    draw_all = jax.jit(lambda players, key: sampler(players, key, options.n, **given))
    with memory.with_advice(f"n is {options.n}: lower it"):
        images = block_until_ready(draw_all(run.players, jax.random.key(options.seed)))
    out = options.to or options.run / "figures" / f"sample_{options.seed}.png"
    heading = f"{options.run.resolve().name}: {options.show}, seed {options.seed}"
    write_output(out, plots.png(plots.image_grid(images, range=run.system.range, heading=heading)))
    return out


class Wish(Protocol):
    """The fields that `Sample` and `draw.Draw` share: they say what to draw."""

    @property
    def run(self) -> Path: ...
    @property
    def n(self) -> int: ...
    @property
    def label(self) -> int | None: ...
    @property
    def truncation(self) -> float | None: ...
    @property
    def show(self) -> Literal["images", "draws", "mean"]: ...


def sampler_of(run: LoadedRun, options: Wish) -> tuple[Callable, dict[str, Any]]:
    """Returns a function like `System.draw`, and its arguments besides the labels.

    Raises:
      InputError: the model has no p(x), no mean or no truncation, or needs a condition per draw.
    """
    from genjax_models.runs.loading import condition_of_run

    check_samples(options.run, run.system)
    if condition_of_run(run) is not None and options.show != "images":
        raise InputError(f"{options.run}: --show {options.show} needs a condition per draw. Use --show images")
    sampler = {"images": run.system.draw, "draws": run.objective.sample}.get(options.show) or _means_of(run, options)
    if options.truncation is None:
        return sampler, {}
    if not _truncates(run.objective.sample):
        raise InputError(f"--truncation {options.truncation:g}: the model in {options.run} has no truncation of z")
    return sampler, {"truncation": options.truncation}


def at_truncation(run: LoadedRun, options: Wish) -> LoadedRun:
    """Returns the run, whose generator normalises by the moments of its own samples at the truncation.

    Averages of training are of other latents. The run stays as it is without a truncation or batch normalisation.
    """
    import jax

    from genjax_models.evaluation.standing_statistics import normalises, standing_statistics
    from genjax_models.models import ImplicitModel

    if options.truncation is None or not isinstance(run.model, ImplicitModel) or not normalises(run.variables):
        return run
    standing = standing_statistics(run.model, run.variables, jax.random.key(0), truncation=options.truncation)
    return run._replace(players={**run.players, "generator": standing})


def check_samples(run: Path | str, system: System) -> None:
    """Refuses a run that cannot draw.

    Raises:
      InputError: names the run.
    """
    if not system.samples:
        raise InputError(f"{run}: needs a model with p(x) to draw from, such as a run of experiments.vae")


def _means_of(run: LoadedRun, options: Wish) -> Callable:
    """Returns E[x | z] of z from the prior, as a function like `System.draw`."""
    from genjax_models.models import GeneratorModel, LatentVariableModel
    from genjax_models.models.latent_variable import needs_mean

    model = run.model
    if not isinstance(model, GeneratorModel | LatentVariableModel):
        raise InputError(f"{options.run}: --show mean needs a model with E[x | z]. Use --show draws")
    needs_mean(model, f"{options.run}: --show mean")
    return lambda players, key, n, **label: model.sample(run.variables, key, n, **label, mean=True)


def _truncates(sample: Callable) -> bool:
    """Returns whether a function that draws takes a truncation."""
    return "truncation" in inspect.signature(sample).parameters


def labels_of(options: Wish, classes: int | None) -> dict[str, Any]:
    """Returns the labels of the samples as an argument; {} if the model is not conditional.

    Raises:
      InputError: a label is given that the model does not have.
    """
    import numpy as np

    if classes is None:
        if options.label is not None:
            raise InputError(f"--label {options.label}: the model in {options.run} is not conditional on a class")
        return {}
    if options.label is None:
        return {"label": np.arange(options.n) % classes}
    if not 0 <= options.label < classes:
        raise InputError(f"--label {options.label}: the classes of {options.run} are 0 to {classes - 1}")
    return {"label": np.full(options.n, options.label)}


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models sample") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        print(draw_samples(parse(Sample, arguments, program, Sample.__doc__)))
    return 0
