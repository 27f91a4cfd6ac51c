"""Feeds of a compiled loop: chunks of batches, whose examples are in memory or streamed from disk."""

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genjax_models.data.prepare import Prepared
from genjax_models.data.records import Records
from genjax_models.data.streaming import Prefetch, Stream
from genjax_models.runs import processes
from genjax_models.runs.configuration import Training
from genjax_models.runs.kept_steps import kept_after
from genjax_models.training import BatchRows, batch_rows, loop_over_chunk, loop_over_rows
from genjax_models.types import Batch, Metrics, Trainer, TrainState

LONGEST_CHUNK = 500  # steps
CHUNK_SECONDS = 2.0


class InMemory:
    """The feed of a training split in memory: the compiled loop gathers its batches.

    Use: `with feed: batches, count = feed(step)`, then `feed.run(state, batches, count)`.
    """

    streams = False

    def __init__(self, trainer: Trainer, data: Prepared, training: Training, loop: Callable | None = None):
        self._size = len(data.train.x)
        self._longest = longest_chunk(training, self._size)
        loop = loop or partial(loop_over_rows, trainer)
        self._loop: Callable[..., tuple[TrainState, Metrics]] = loop(prepare=data.each_step)
        self.pace = _Pace(self._longest)
        self._train, self._training = data.train, training

    def __enter__(self) -> "InMemory":
        return self

    def __exit__(self, *error) -> None:
        pass

    def place(self, state: TrainState) -> None:
        """Places the examples on the devices of the state; with several processes each device holds a share."""
        one_member = not state.step.ndim  # with shares, several members would send all batches to each other
        share = one_member and not state.step.is_fully_addressable
        self._train = (sharded if share else replicated)(state, self._train)
        batch_size = self._training.batch_size
        self._rows = BatchRows(state.key, size=self._size, batch_size=batch_size, chunk=self._longest)

    def __call__(self, step: int) -> tuple[Any, int]:
        """Returns the input of `run` at `step`, and the number of steps, which is equal in all processes."""
        count = _planned(self._training, step, min(processes.gathered(self.pace.steps())))
        return (self._train, self._rows(step, count)), count

    def run(self, state: TrainState, batches: Any, count: int) -> tuple[TrainState, Metrics]:
        """Makes `count` steps on the batches that the feed has returned."""
        return self._loop(state, *batches, count)

    def position(self, step: int) -> None:
        """Returns None: the state determines its batches."""

    def rows(self, state: TrainState) -> np.ndarray:
        """Returns the rows of the training split in the batch of the next step, `[batch_size]`."""
        return np.asarray(batch_rows(state.key, state.step, 1, self._size, self._training.batch_size))[0]


class Streamed:
    """The feed of a streamed training split, read ahead of the loop; it is used as `InMemory`."""

    streams = True

    def __init__(self, trainer: Trainer, data: Prepared, training: Training, stream: Stream, mesh: Mesh | None):
        longest = min(longest_chunk(training, len(data.train.x)), stream.longest_chunk)
        self.run = loop_over_chunk(trainer, prepare=data.each_step)
        self.pace = _Pace(longest)
        self.position = stream.position
        self._stream = stream

        def plan(step: int) -> int:
            # Reading ahead cannot wait for the pace of other processes: all plan the longest chunk.
            return _planned(training, step, self.pace.steps() if jax.process_count() == 1 else longest)

        # Each device holds its share of every batch of a chunk `[steps, batch, ...]`.
        sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec(None, *mesh.axis_names))
        self._prefetch = Prefetch(stream, plan, longest, sharding)

    def __enter__(self) -> "Streamed":
        self._prefetch.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._prefetch.__exit__(*error)

    def place(self, state: TrainState) -> None:
        """Does nothing: each chunk is placed when it is read."""

    def __call__(self, step: int) -> tuple[Batch, int]:
        """Returns the chunk that begins at `step`, and the number of its steps to run.

        Raises:
          InputError: names the file that cannot be read.
        """
        return self._prefetch(step)

    def rows(self, state: TrainState) -> np.ndarray:
        """Returns the same as `InMemory.rows`."""
        return self._stream.rows(int(state.step))


Feed = InMemory | Streamed


def feed_of(
    trainer: Trainer,
    data: Prepared,
    training: Training,
    *,
    seed: int,
    position: Mapping[str, Any] | None = None,
    mesh: Mesh | None = None,
    loop: Callable | None = None,
) -> Feed:
    """Returns the feed of the training split: in memory, or streamed in the order of `seed` from `position` on.

    `loop` makes the loop over data in memory from the options of `loop_over_data`, which is its default.

    Raises:
      InputError: as `data.streaming.Stream` and its `check`.
    """
    if not isinstance(data.train.x, Records):
        return InMemory(trainer, data, training, loop)
    stream = Stream(
        data.train,
        batch_size=training.batch_size,
        seed=position["seed"] if position else seed,
        index=jax.process_index() if mesh else 0,
        count=jax.process_count() if mesh else 1,
    )
    if position:
        stream.check(position)
    return Streamed(trainer, data, training, stream, mesh)


def replicated(state: TrainState, batch: Batch) -> Batch:
    """Returns the batch, copied to every device of the state."""
    sharding = state.step.sharding
    if len(sharding.device_set) == 1:
        return batch
    return processes.spread(batch, NamedSharding(sharding.mesh, PartitionSpec()))


def sharded(state: TrainState, batch: Batch) -> Batch:
    """Returns the batch with an equal share of its rows on each device of the state; zeros fill up the last share.

    A process reads only the rows of its devices. The loop gathers a batch from all devices: XLA looks up the rows on
    each device and adds them, which sends the bytes of a batch. (By gloo, between two processes of one machine, a VAE's
    step took 9% longer than with all examples in each.)
    """
    mesh = state.step.sharding.mesh
    share, sharding = -(-len(batch.x) // mesh.size), NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def place(a: np.ndarray) -> jax.Array:
        def shard(index: Any) -> np.ndarray:
            rows = a[index]
            return np.pad(rows, [(0, share - len(rows)), *[(0, 0)] * (a.ndim - 1)])

        return jax.make_array_from_callback((share * mesh.size, *a.shape[1:]), sharding, shard)

    return jax.tree.map(place, batch)


def longest_chunk(training: Training, size: int) -> int:
    """Returns the steps of the longest call of the loop, which permutes each epoch in it: at most ten epochs."""
    epochs = 10 * (size // training.batch_size)
    return max(1, min(LONGEST_CHUNK, training.evaluate_every, training.steps, epochs))


def _planned(training: Training, step: int, most: int) -> int:
    """Returns the steps of the chunk at `step`: up to the next evaluation or kept samples, at most `most`."""
    to_evaluation = training.evaluate_every - step % training.evaluate_every
    return min(most, to_evaluation, kept_after(step) - step, training.steps - step)


class _Pace:
    """The number of steps that fit into `CHUNK_SECONDS`: one at first, then measured on the last chunk."""

    def __init__(self, longest: int):
        self.longest = longest
        self.seconds_per_step = CHUNK_SECONDS

    def steps(self) -> int:
        return max(1, min(self.longest, int(CHUNK_SECONDS / self.seconds_per_step)))

    @contextlib.contextmanager
    def timing(self, count: int):
        started = time.monotonic()
        yield
        self.seconds_per_step = max(1e-9, (time.monotonic() - started) / count)
