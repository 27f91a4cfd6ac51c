"""The points of the curves of `experiments.benchmarks.growth`: each function measures its own process."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import genjax_models as gx
from experiments.benchmarks.processes import resident

BATCH, SIDE = 200, 28
WORDS = {
    "memory": "examples in memory: points in the plane, and a mixture of Gaussians that learns from them",
    "stream": "streamed examples: images of 28 x 28 from a file of zeros",
    "rows": "a run of a small VAE with a row of the history per step",
    "samples": "Burda et al.'s networks: a step of the IWAE in chunks of 50 samples, and NLL(k)",
    "members": "seeds of a small VAE in one program",
}  # of the parts


class Cost(NamedTuple):
    """The cost of some units of work.

    units: number of units.
    seconds: time of all units.
    mib: memory in MiB that the work needed beyond what the process held before it.
    """

    units: int
    seconds: float
    mib: float


class Meter:
    """Measures stages of a process by name: `with meter("load", units): ...`."""

    def __init__(self):
        self.costs: dict[str, Cost] = {}

    @contextlib.contextmanager
    def __call__(self, name: str, units: int) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5", "utf-8")  # resets the peak
        before, started = resident("VmRSS"), time.perf_counter()
        try:
            yield
        finally:
            self.costs[name] = Cost(units, time.perf_counter() - started, 1024 * (resident("VmHWM") - before))


def memory(n: int) -> dict[str, Cost]:
    """Loads n points of the plane, and fits a mixture of Gaussians for an epoch, or for 2,000 steps if that is more."""
    meter, x = Meter(), np.random.RandomState(0).randn(n, 2).astype(np.float32)
    steps = max(2_000, n // BATCH)
    _fit_mixture(gx.prepare(gx.from_splits(*_splits(x[: 2 * BATCH]), range=(-9, 9))), 10)  # compiles, as far as it can
    with meter("load", n):
        data = gx.prepare(gx.from_splits(*_splits(x), range=(-9, 9)))
    with meter("train", steps * BATCH):
        seconds = _fit_mixture(data, steps)
    return meter.costs | {"train": meter.costs["train"]._replace(seconds=seconds)}


def _splits(x: np.ndarray) -> list:
    from genjax_models.data.splits import Split

    tenth = min(1_000, len(x) // 10)
    return [Split(part) for part in (x[2 * tenth :], x[tenth : 2 * tenth], x[:tenth])]


def _fit_mixture(data, steps: int) -> float:
    """Returns the seconds of `steps` steps on batches of 200, without compilation."""
    import optax

    trainer = gx.trainer(gx.mixture(gx.gaussian_mixture((2,), 8)), {"mixture": optax.adam(1e-3)})
    with contextlib.redirect_stderr(io.StringIO()):
        return gx.fit(trainer, data, gx.Training(steps, BATCH, steps, 100)).seconds["running"]


def stream(n: int) -> dict[str, Cost]:
    """Streams batches of 100 of n images of 28 x 28 x 1 from a file of zeros, which takes no space on disk."""
    from genjax_models.data.records import Records
    from genjax_models.data.streaming import Stream
    from genjax_models.types import Batch

    meter, size = Meter(), SIDE**2
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "zeros"
        file.touch(mode=0o600)
        os.truncate(file, n * size)
        digest = np.frombuffer(hashlib.sha256(bytes(size)).digest(), np.uint8)
        with meter("hold", n):
            zeros = np.zeros(n, np.uint8)
            records = Records(file, (SIDE, SIDE, 1), np.tile(digest, (n, 1)), zeros, zeros, np.arange(n))
        source = Stream(Batch(records), batch_size=100, seed=0)
        with meter("permute", n):
            source.rows(0)
        with meter("read", 30_000):
            for first in (0, 100, 200):
                source.chunk(first, 100, 100)
        source.close()
    return meter.costs


def rows(n: int) -> dict[str, Cost]:
    """Runs a command of n steps with a row per step and ten evaluations; then resumes, reports and compares it."""
    from experiments import vae
    from genjax_models.commands.compare import Compare, compare
    from genjax_models.commands.train import main
    from genjax_models.reports import final_evaluation
    from genjax_models.runs import fit

    meter, run = Meter(), vae.EXPERIMENT
    short = ["--hidden", "8", "--batch-size", "10", "--binarise", "fixed", "--schedule", "constant"]

    def timed(name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            with meter(name, n):
                return function(*arguments)

        return call

    class StopError(Exception):
        pass

    def stop(*arguments: Any) -> None:
        raise StopError

    with tempfile.TemporaryDirectory() as scratch, _quiet():
        folder, every = Path(scratch) / "run", ["--log-every", "1", "--evaluate-every", str(n // 10)]
        main(run, [*short, "--steps", "20", "--run-dir", f"{scratch}/compiled"])
        reporting = mock.patch.object(final_evaluation, "report_run", timed("report", final_evaluation.report_run))
        with reporting, meter("run and report", n):
            main(run, [*short, *every, "--steps", str(n), "--run-dir", str(folder)])
        shutil.copytree(folder, f"{scratch}/copy")
        with meter("compare", n):
            page = compare(Compare((folder, Path(scratch) / "copy"), Path(scratch) / "page.html"))
        files = {"metrics.jsonl": folder / "metrics.jsonl", "report.html": folder / "report.html", "page": page}
        sizes = {f"size of {name}": Cost(n, 0.0, file.stat().st_size / 2**20) for name, file in files.items()}
        with mock.patch.object(fit, "_timed_chunk", stop), contextlib.suppress(StopError), meter("resume", n):
            main(run, ["--resume", str(folder), "--steps", str(n + 1)])
        return meter.costs | sizes


def samples(k: int) -> dict[str, Cost]:
    """Makes a step of the IWAE of Burda et al. in chunks of 50 samples, batch 4, and NLL(k) of ten images."""
    import jax
    import optax

    from experiments.benchmarks.likelihoods import model_of_images

    meter, model = Meter(), model_of_images(50, (200, 200))
    batch = gx.Batch(gx.prepare(gx.load("mnist10k"), binarise="fixed").test.x[:10])
    train = gx.trainer(gx.iwae(model, num_samples=k, chunk=min(k, 50)), {"iwae": optax.adam(1e-3)})
    four = gx.Batch(batch.x[:4])
    state = jax.jit(train.init)(jax.random.key(0), four)
    step = jax.jit(train.step).lower(state, four).compile()
    nll = jax.jit(
        lambda variables, x: gx.negative_log_likelihood(model, variables, jax.random.key(0), x, num_samples=k)
    )
    nll = nll.lower(state.variables["iwae"], batch.x).compile()
    with meter("IWAE", 4 * k):
        jax.block_until_ready(step(state, four))
    with meter("NLL", 10 * k):
        jax.block_until_ready(nll(state.variables["iwae"], batch.x))
    return meter.costs


def members(n: int) -> dict[str, Cost]:
    """Trains n seeds of a small VAE in one command, with two evaluations, and reports them."""
    from experiments import vae
    from genjax_models.commands.train import main
    from genjax_models.reports import final_evaluation
    from genjax_models.runs import fit, logs

    meter, steps = Meter(), 200
    with tempfile.TemporaryDirectory() as scratch, _quiet(), contextlib.ExitStack() as stack:
        totals = {
            "compile": (fit._Loop, "compile"),
            "steps": (fit, "_timed_chunk"),
            "evaluate": (logs.Logs, "evaluate"),
        }
        seconds = dict.fromkeys([*totals, "report"], 0.0)

        def timed(name: str, function: Any) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                started = time.perf_counter()
                try:
                    return function(*arguments, **options)
                finally:
                    seconds[name] += time.perf_counter() - started

            return call

        for name, (owner, attribute) in (totals | {"report": (final_evaluation, "report_run")}).items():
            stack.enter_context(mock.patch.object(owner, attribute, timed(name, getattr(owner, attribute))))
        flags = ["--steps", str(steps), "--evaluate-every", str(steps), "--hidden", "50", "--seeds", f"0:{n}"]
        with meter("run", n):
            main(vae.EXPERIMENT, [*flags, "--run-dir", f"{scratch}/run"])
    units = {"compile": 1, "steps": n * steps, "evaluate": n, "report": n}
    return meter.costs | {name: Cost(units[name], seconds[name], 0.0) for name in seconds}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
