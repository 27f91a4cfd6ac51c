"""What it costs to train from disk: the share of a VAE's step that is spent waiting for data, and memory.

python -m experiments.benchmarks.streaming
"""

from __future__ import annotations

import dataclasses
import io
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.benchmarks.measure import machine
from genjax_models.runs.command_line import explained, parse
from genjax_models.runs.configuration import whole

_DIGITS, _SIDE = 28, 64
_MODES = {False: "in memory", True: "streamed"}


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Train a VAE on data in memory and on the same data from disk, by turns, in a process each."""

    turns: int = 5
    """Of each contestant; figures are medians."""
    digits: int = 40_000
    """Images of 28 x 28 in the prepared data, array_record."""
    images: int = 60_000
    """Images of 64 x 64 x 3 in a folder, PNG; the memory of half as many is measured beside it."""
    steps: tuple[int, int] = (2_000, 100)
    """Steps in a turn at 28 x 28 and at 64 x 64 x 3, of 100 examples."""

    def __post_init__(self):
        whole(1, turns=self.turns, steps=self.steps)
        whole(2_000, digits=self.digits, images=self.images)


class Turn(NamedTuple):
    """Seconds to have the data, in each step, and in each step spent waiting; the process's peak memory, in MB."""

    loading: float
    step: float
    waiting: float
    peak: float


def main(arguments: list[str] | None = None) -> int:
    """Makes the data in a temporary folder, measures, and prints.

    Returns:
      The exit status, 0.
    """
    with explained():
        options = parse(Benchmark, arguments, "python -m experiments.benchmarks.streaming", Benchmark.__doc__)
        with tempfile.TemporaryDirectory(prefix="streaming") as folder:
            print(benchmark(options, Path(folder)))
    return 0


def benchmark(options: Benchmark, folder: Path) -> str:
    """Figures in words; data and cache are in `folder`."""
    os.environ |= {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    at_28 = {"data": f"tfds:{digits_as_array_record(folder / 'tfds', options.digits)}"}
    at_64 = {"data": f"images:{images_as_png(folder / 'images', options.images)}"}
    half = folder / "half"
    half.mkdir()
    for file in sorted((folder / "images").iterdir())[: options.images // 2]:
        (half / file.name).symlink_to(file)
    lines = []
    for settings, steps, what in (
        (at_28, options.steps[0], f"28 x 28, {options.digits:,} images in array_record"),
        (at_64, options.steps[1], f"64 x 64 x 3, {options.images:,} PNG files"),
    ):
        first = {mode: in_a_process(settings, steps, mode).loading for mode in _MODES}  # decodes, and fills the cache
        seen = [{mode: in_a_process(settings, steps, mode) for mode in _MODES} for _ in range(options.turns)]
        lines += told(what, steps, seen, first[True])
    _, small = (in_a_process({"data": f"images:{half}"}, options.steps[1], stream=True) for _ in range(2))
    lines.append(f"    streamed, half as many files: peak memory {small.peak:,.0f} MB")
    return "\n".join([*lines, machine("jax", "grain", "array_record", "pillow", "numpy")])


def told(what: str, steps: int, seen: list[Mapping[bool, Turn]], decoding: float) -> list[str]:
    """Medians over turns, and the ratio of times by turn with its least and greatest."""
    lines = [f"{what}, {steps:,} steps of 100 in a turn, {len(seen)} turns"]
    for mode, name in _MODES.items():
        of_mode = Turn(*np.median([turn[mode] for turn in seen], axis=0))
        waits = f", of which waiting {of_mode.waiting / of_mode.step:.2%}" if mode else ""
        lines.append(
            f"    {name:10} {1e3 * of_mode.step:7.2f} ms a step{waits}; peak memory {of_mode.peak:,.0f} MB;"
            f" ready to train after {of_mode.loading:.1f} s"
        )
    ratios = [turn[True].step / turn[False].step for turn in seen]
    worst = max(turn[True].waiting / turn[True].step for turn in seen)
    lines.append(
        f"    streamed / in memory: {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f});"
        f" waiting at most {worst:.2%}; decoding once took {decoding:.1f} s"
    )
    return lines


def in_a_process(settings: Mapping[str, str], steps: int, stream: bool) -> Turn:
    """A turn in a process of its own, whose memory is the run's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(turn, dict(settings), steps, stream).result()


def turn(settings: Mapping[str, str], steps: int, stream: bool) -> Turn:
    """Trains the VAE of `experiments.vae`: on digits as it is by default, on colours with a Gaussian likelihood."""
    import genjax_models as gx
    from experiments import vae

    colours = settings["data"].startswith("images:")
    more = {"likelihood": "gaussian", "images": vae.Images(image_size=_SIDE)} if colours else {}
    config = vae.Config(**settings, **more, stream=stream, training=gx.Training(steps, 100, max(steps, 1), 100))
    started = time.monotonic()
    config, dataset = vae.dataset(config)
    data = vae.prepare(config, dataset)
    loading = time.monotonic() - started
    trainer = gx.trainer(vae.build(config), {"vae": config.optimizer.build(steps)})
    seconds = gx.fit(trainer, data, config.training).seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return Turn(loading, seconds["running"] / steps, seconds.get("waiting", 0.0) / steps, peak)


def digits_as_array_record(folder: Path, n: int) -> Path:
    """The shipped digits, moved about so that all differ, as TensorFlow Datasets prepares them; the path of it all."""
    import tensorflow_datasets as tfds
    from PIL import Image

    import genjax_models as gx

    x = np.concatenate([split.x for split in gx.load("mnist10k")[1:4]])[..., 0]
    features = {
        "image": tfds.features.Image(shape=(_DIGITS, _DIGITS, 1)),
        "label": tfds.features.ClassLabel(num_classes=1),
    }

    def info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=tuple(features)
        )

    def examples(self):
        for i in range(n):
            encoded = io.BytesIO()
            moved = np.roll(x[i % len(x)], (i // len(x) // 5, i // len(x) % 5), axis=(0, 1))
            Image.fromarray(moved).save(encoded, "png")
            encoded.seek(0)
            yield i, {"image": encoded, "label": 0}

    methods = {
        "_info": info,
        "_split_generators": lambda self, _: {"train": examples(self)},
        "_generate_examples": examples,
    }
    methods |= {"VERSION": tfds.core.Version("1.0.0"), "name": "digits", "__module__": __name__}
    builder = type("Digits", (tfds.core.GeneratorBasedBuilder,), methods, skip_registration=True)
    made = builder(data_dir=folder, file_format="array_record")
    made.download_and_prepare()
    return Path(made.info.data_dir)


def images_as_png(folder: Path, n: int) -> Path:
    """Coloured clouds with noise, a file each."""
    from PIL import Image

    folder.mkdir()

    def write(i: int) -> None:
        random = np.random.RandomState(i)
        cloud = Image.fromarray(random.randint(0, 256, (8, 8, 3)).astype(np.uint8)).resize(
            (_SIDE, _SIDE), Image.Resampling.BICUBIC
        )
        noise = random.randint(0, 16, (_SIDE, _SIDE, 3))
        Image.fromarray((np.asarray(cloud) * (240 / 255) + noise).astype(np.uint8)).save(folder / f"{i:06}.png")

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(n)))
    return folder


if __name__ == "__main__":
    sys.exit(main())
