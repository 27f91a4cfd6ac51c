"""The cost of training from disk: the share of a VAE's step that waits for data, and memory.

python -m experiments.benchmarks.streaming

On 2 cores of an AMD EPYC (jax 0.10.2, grain 0.2.18), measured alone, 2026-11-22. Medians over turns:

    28 x 28, 40,000 images in array_record: 7 turns of 1,000 steps
        in memory    2.74 ms a step
        streamed     2.86 ms a step, of which waiting 1.06% (at most 1.46% of a turn)
        streamed / in memory: 1.047 (1.009 to 1.080)
    64 x 64 x 3, 30,000 PNG files: 7 turns of 50 steps
        in memory   32.61 ms a step
        streamed    35.65 ms a step, of which waiting 0.64% (at most 1.89% of a turn)
        streamed / in memory: 1.087 (1.073 to 1.125)

Waiting is the time of the call that returns the next chunk. Reading causes the rest of the cost, because it shares the
cores with the step: a batch of 100 takes 0.4 ms of a core at 28 x 28, and 1.4 ms at 64 x 64 x 3. Files were in the
system's cache.

Peak memory of a process that loads and trains (20 steps), with 64 x 64 x 3:

    30,000 images (369 MB decoded)    1,363 MB in memory   1,198 MB streamed
    60,000 images (737 MB decoded)    2,354 MB in memory   1,233 MB streamed

The files on disk hold pixels, decoded once (56,000 files in 58 s, next to other work). Decoding a batch of 100 at every
step would take 1.9 ms of a core at 28 x 28, and 3.1 ms at 64 x 64 x 3 (images of noise, without reading).
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from experiments.benchmarks.measure import machine
from experiments.benchmarks.processes import in_new_process
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import whole

_DIGITS, _SIDE = 28, 64  # pixels
_NAMES = {False: "in memory", True: "streamed"}


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Train a VAE on data in memory and on the same data from disk, in turns, and measure the memory of each."""

    parts: tuple[Literal["digits", "images", "memory"], ...] = ("digits", "images", "memory")
    """Parts to measure: time at 28 x 28, time at 64 x 64 x 3, and memory."""
    turns: int = 7
    """Number of turns of each contestant; the output has medians."""
    digits: int = 40_000
    """Number of images of 28 x 28, in array_record files."""
    images: tuple[int, int] = (30_000, 60_000)
    """Numbers of PNG files of 64 x 64 x 3 in two folders; time is of the first, memory of both."""
    steps: tuple[int, int] = (1_000, 50)
    """Steps per turn at 28 x 28 and at 64 x 64 x 3, with batches of 100."""

    def __post_init__(self):
        whole(1, turns=self.turns, steps=self.steps)
        whole(2_000, digits=self.digits, images=self.images)


class Turn(NamedTuple):
    """Seconds of a step, and seconds of waiting for data within it."""

    step: float
    waiting: float


class Memory(NamedTuple):
    """Seconds of loading, and peak memory in MB, of a process that loads and trains."""

    loading: float
    peak: float


def main(arguments: list[str] | None = None) -> int:
    """Makes the data in a temporary folder, measures and prints. Returns the exit status."""
    with exit_on_error():
        options = parse(Benchmark, arguments, "python -m experiments.benchmarks.streaming", Benchmark.__doc__)
        with tempfile.TemporaryDirectory(prefix="streaming") as folder:
            for line in benchmark(options, Path(folder)):
                print(line, flush=True)
    return 0


def benchmark(options: Benchmark, folder: Path) -> Iterator[str]:
    """Yields lines with the results; data and caches are in `folder`."""
    os.environ |= {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    yield machine("jax", "grain", "array_record", "pillow", "numpy")
    if "digits" in options.parts:
        data = f"tfds:{digits_as_array_record(folder / 'tfds', options.digits)}"
        yield f"28 x 28, {options.digits:,} images in array_record: {options.turns} turns of {options.steps[0]:,} steps"
        yield from lines_of_turns(in_new_process(turns, data, options.steps[0], options.turns))
    if "images" in options.parts:
        data = f"images:{images_as_png(folder / 'png', options.images[0])}"
        yield f"64 x 64 x 3, {options.images[0]:,} PNG files: {options.turns} turns of {options.steps[1]:,} steps"
        yield from lines_of_turns(in_new_process(turns, data, options.steps[1], options.turns))
    if "memory" in options.parts:
        yield "peak memory of a process that loads and trains"
        for n in options.images:
            data = f"images:{images_as_png(folder / f'png{n}', n)}"
            for stream, name in _NAMES.items():
                first, again = (in_new_process(memory, data, stream) for _ in range(2))
                yield (
                    f"    {n:,} images of 64 x 64 x 3 ({n * 3 * _SIDE**2 / 1e6:,.0f} MB decoded), {name:9}"
                    f" {again.peak:6,.0f} MB; loaded in {again.loading:.1f} s, the first time {first.loading:.1f} s"
                )


def lines_of_turns(measured: list[Mapping[bool, Turn]]) -> Iterator[str]:
    """Yields medians over turns, and the ratio of times within a turn: median, least and greatest."""
    for stream, name in _NAMES.items():
        step, waiting = np.median([turn[stream] for turn in measured], axis=0)
        most = max(turn[stream].waiting / turn[stream].step for turn in measured)
        waits = f", of which waiting {waiting / step:.2%} (at most {most:.2%} of a turn)" if stream else ""
        yield f"    {name:9} {1e3 * step:7.2f} ms a step{waits}"
    ratios = [turn[True].step / turn[False].step for turn in measured]
    yield f"    streamed / in memory: {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def turns(data: str, steps: int, count: int) -> list[dict[bool, Turn]]:
    """Times turns that alternate streamed and in memory; the compilation cache is warm after the first."""
    runs = {stream: prepared(data, steps, stream) for stream in (False, True)}
    return [{stream: timed(*run) for stream, run in runs.items()} for _ in range(count)]


def memory(data: str, stream: bool) -> Memory:
    """Measures this process while it loads, and trains for 20 steps."""
    started = time.monotonic()
    run = prepared(data, 20, stream)
    loading = time.monotonic() - started
    timed(*run)
    return Memory(loading, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def prepared(data: str, steps: int, stream: bool):
    """Returns trainer, data and steps of `experiments.vae`, with a Gaussian likelihood for images in colour."""
    import genjax_models as gx
    from experiments import vae
    from genjax_models.systems.groups import Likelihood
    from genjax_models.systems.settings import Data

    colours = data.startswith("images:")
    config = vae.Config(
        data=Data(data, image_size=_SIDE if colours else Data().image_size, stream=stream),
        likelihood=Likelihood("gaussian" if colours else "bernoulli"),
        training=gx.Training(steps, 100, steps, 100),
    )
    config, dataset = config.load()
    system = vae.EXPERIMENT.build(config)
    return system.trainer, system.prepare(dataset), config.training


def timed(trainer, data, training) -> Turn:
    """Trains from the start with `gx.fit`, and times a step."""
    import genjax_models as gx

    seconds = gx.fit(trainer, data, training).seconds
    return Turn(seconds["running"] / training.steps, seconds.get("waiting", 0.0) / training.steps)


def digits_as_array_record(folder: Path, n: int) -> Path:
    """Writes shifted copies of mnist10k as a TensorFlow data set, and returns its path."""
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
            shifted = np.roll(x[i % len(x)], (i // len(x) // 5, i // len(x) % 5), axis=(0, 1))
            Image.fromarray(shifted).save(encoded, "png")
            encoded.seek(0)
            yield i, {"image": encoded, "label": 0}

    methods = {
        "_info": info,
        "_split_generators": lambda self, _: {"train": examples(self)},
        "_generate_examples": examples,
    }
    methods |= {"VERSION": tfds.core.Version("1.0.0"), "name": "digits", "__module__": __name__}
    builder = type("Digits", (tfds.core.GeneratorBasedBuilder,), methods, skip_registration=True)
    dataset = builder(data_dir=folder, file_format="array_record")
    with contextlib.redirect_stdout(sys.stderr):  # tfds reports a download, but downloads nothing
        dataset.download_and_prepare()
    return Path(dataset.info.data_dir)


def images_as_png(folder: Path, n: int) -> Path:
    """Writes images of coloured squares with noise, and returns their folder."""
    from PIL import Image

    folder.mkdir()

    def write(i: int) -> None:
        random = np.random.default_rng(i)
        cloud = random.integers(0, 240, (8, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        noise = random.integers(0, 16, cloud.shape, np.uint8)
        Image.fromarray(cloud + noise).save(folder / f"{i:06}.png", compress_level=1)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(n)))
    return folder


if __name__ == "__main__":
    sys.exit(main())
