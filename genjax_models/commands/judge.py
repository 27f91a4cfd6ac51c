"""Judges one set of images by another: every figure of samples, with its error and the floor of the reference.

genjax-models judge runs/gan mnist10k
genjax-models judge samples.npz photos/ --features pixels
genjax-models judge samples.npz mine.npz --data-keys x=images y=target

A set is a run (n of its draws, made in blocks), a file, a folder of images, or the name of a data set (n of its
examples). A classifier that learns to tell the sets apart gives a p-value, on pixels too. The floor is the same figure
between two halves of the reference: what an ideal generator would have with half as many images. A Frechet distance may
be below it, for it falls with the number of images.

Samples with classes, of data that a shipped classifier knows, also have the share that it finds in their class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import seed_in_range, whole
from genjax_models.runs.output_files import check_output, write_output
from genjax_models.systems.file_options import FileOptions, flags
from genjax_models.systems.settings import Data

if TYPE_CHECKING:
    from genjax_models.evaluation.samples import SampleFigure
    from genjax_models.reports.page import Result
    from genjax_models.types import Batch

P_VALUE = "of the hypothesis that both sets have one distribution; small if the classifier tells them apart"
FEWEST = 20  # examples of a set: each group of the jackknife has at least one
_SHOWN = 64  # images of a set on the page


@dataclasses.dataclass(frozen=True)
class Judge:
    """Judge one set of images by another, with standard errors and the floor of the reference."""

    samples: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SAMPLES")]
    """Images to judge: a run, a .npz file, a folder of images, or the name of a data set."""
    reference: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="REFERENCE")]
    """Images to compare them with, in one of these forms."""
    files: FileOptions = FileOptions()
    n: int = 1_000
    """Largest number of examples of each set."""
    features: str = "auto"
    """Features by which the sets are compared: mnist_classifier, fashion_classifier, or pixels. auto: the shipped
    classifier of the reference; pixels for other data."""
    seed: int = 0
    """Random seed of the draws of runs and of the choice among files, in [0, 2^32)."""
    block: int = 500
    """Number of draws of a run in memory at once, besides the images that are compared."""
    to: Path = Path("judge.html")
    """The page."""
    overwrite: bool = False
    """Replace the page if it exists."""

    def __post_init__(self):
        whole(FEWEST, n=self.n)
        whole(1, block=self.block)
        seed_in_range(self.seed)
        check_output(self.to, ".html", overwrite=self.overwrite)


class Judgement(NamedTuple):
    """Rows of the table, and the number of examples of each set."""

    results: list[Result]
    sizes: tuple[int, int]


def judge(options: Judge) -> Judgement:
    """Judges, and writes the page.

    Raises:
      InputError: a set is absent, holds no images or fewer than 20, the shapes differ, or the features are unknown.
    """
    from genjax_models.data.features import load_features
    from genjax_models.evaluation.samples import compared_with_data, two_sample_test
    from genjax_models.reports.judgement import page_of, results_of

    names = options.samples, options.reference
    samples, reference = (images_of(name, options, side) for side, name in enumerate(names))
    x, y = samples.x, reference.x
    if x.shape[1:] != y.shape[1:]:
        raise InputError(
            f"both sets must have images of one shape, got {x.shape[1:]} from {options.samples} and"
            f" {y.shape[1:]} from {options.reference}"
        )
    features, pixels = features_of(options), load_features("pixels")
    figures = compared_with_data(features, x, y, fewest=FEWEST)
    if features.name != pixels.name:  # a classifier does not see all differences
        figures |= compared_with_data(pixels, x, y, fewest=FEWEST, quality=two_sample_test)
    results = results_of(figures | _accuracy(samples, options.reference))
    sizes = len(x), len(y)
    page = page_of(names, (x[:_SHOWN], y[:_SHOWN]), sizes, results)
    write_output(options.to, page.encode())
    return Judgement(results, sizes)


def _accuracy(samples: Batch, reference: str) -> dict[str, SampleFigure]:
    """Returns the share of samples whose class the reference's shipped classifier finds; {} without labels or it.

    Beside it is the classifier's accuracy on test images.
    """
    import math

    from genjax_models.evaluation.estimates import Estimate, estimate
    from genjax_models.evaluation.labels import class_accuracy
    from genjax_models.evaluation.samples import SampleFigure
    from genjax_models.systems.samples import shipped_classifier

    classifier, label = shipped_classifier(reference, (0, 1)), samples.label
    if classifier is None or label is None or label.max() >= classifier.classes:
        return {}
    found = class_accuracy(classifier.log_probabilities(samples.x), label)
    return {"class_accuracy": SampleFigure(estimate(found), Estimate(classifier.accuracy, math.nan, 1))}


def images_of(name: str, options: Judge, side: int) -> Batch:
    """Returns at most n images in [0, 1], `[n, height, width, channels]`, with their classes if they have any.

    The two sides have keys of their own.

    Raises:
      InputError: as `judge`.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from genjax_models.commands.draw import Blocks, blocks
    from genjax_models.commands.sample import check_samples
    from genjax_models.data.records import Records
    from genjax_models.types import Batch

    if _is_run(name):
        from genjax_models.runs.loading import load_run

        run = load_run(Path(name))
        check_samples(name, run.system)
        _check_drawable(name, run.config.data.shape)
        plan = Blocks(options.n, jax.random.fold_in(jax.random.key(options.seed), side), options.block)
        classes = run.config.data.classes
        label = np.arange(options.n) % classes if classes else None
        x = np.concatenate(list(blocks(run, plan, sampler=run.system.draw, label=label)))
        range = run.system.range
    else:
        _, dataset = Data(name, **files_of(options)[side]).load()
        parts = dataset.train, dataset.validation, dataset.test
        x = np.concatenate([np.asarray(part.x[:]) if isinstance(part.x, Records) else part.x for part in parts])
        labels = [part.label for part in parts if part.label is not None]
        label = np.concatenate(labels) if labels else None
        range = dataset.range
    rows = np.random.RandomState([options.seed, side]).permutation(len(x))[: options.n]
    x, label = x[rows], None if label is None else label[rows]  # draws come by class, files by split
    _check_drawable(name, x.shape[1:])
    if len(x) < FEWEST:
        raise InputError(f"{name}: needs at least {FEWEST} images, got {len(x)}")
    return Batch(jnp.clip((jnp.asarray(x, jnp.float32) - range[0]) / (range[1] - range[0]), 0, 1), label)


def files_of(options: Judge) -> list[dict[str, Any]]:
    """Returns how each set is read. Names of arrays are for the files that hold them; if none does, for all.

    Raises:
      InputError: no set takes an option.
    """
    from genjax_models.data.files import names_in

    names = options.samples, options.reference
    sides = [{} if _is_run(name) else options.files.taken_by(name) for name in names]
    unused = {
        option: value for option, value in options.files.given.items() if not any(option in side for side in sides)
    }
    if unused:
        raise InputError(f"{flags(unused)}: neither {options.samples} nor {options.reference} takes it")
    arrays = {pair.partition("=")[2] for pair in options.files.keys}
    lack = [name.lower().endswith(".npz") and not arrays <= set(names_in(Path(name).expanduser())) for name in names]
    if not all(lack):
        sides = [side | {"keys": ()} if lacks else side for side, lacks in zip(sides, lack, strict=True)]
    return sides


def _is_run(name: str) -> bool:
    return (Path(name) / "config.json").is_file()


def _check_drawable(name: str, shape: tuple[int, ...]) -> None:
    from genjax_models.figures import pictures

    if not pictures.drawable(shape):
        raise InputError(f"{name}: needs images, got examples of shape {shape}")


def features_of(options: Judge) -> Any:
    """Returns the features; raises InputError if they are unknown."""
    from genjax_models.data.features import load_features
    from genjax_models.systems.samples import default_features

    if options.features == "auto":
        return default_features(options.reference, (0, 1))
    return load_features(options.features, range=(0, 1))


def table(results: Sequence[Result]) -> str:
    """Returns the figures as lines of text."""
    rows = [("", "value", "95% interval", "floor (half as many)")]
    rows += [(row.name, f"{row.value} {row.unit}".strip(), row.interval, row.of_data) for row in results]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models judge") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        options = parse(Judge, arguments, program, Judge.__doc__)
        judgement = judge(options)
        of_samples, of_reference = judgement.sizes
        print(f"{of_samples:,} of {options.samples}, judged by {of_reference:,} of {options.reference}")
        print(table(judgement.results))
        print(f"p-value: {P_VALUE}")
        print(options.to)
    return 0
