"""The feed of a compiled loop: batches in chunks, of examples that are in memory or come from disk."""

import contextlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genjax_models.data.prepare import Prepared
from genjax_models.data.records import Records
from genjax_models.data.streaming import Prefetch, Stream
from genjax_models.runs import processes
from genjax_models.runs.configuration import Training
from genjax_models.training import batch_rows, loop_over_chunk, loop_over_data
from genjax_models.types import Batch, Trainer, TrainState

LONGEST_CHUNK = 500  # steps
CHUNK_SECONDS = 2.0


class InMemory:
    """The training split beside the state: the loop gathers the batches by itself.

    `with feed: batches, count = feed(step)`, and then `run(state, batches, count)`.
    """

    streams = False

    def __init__(self, trainer: Trainer, data: Prepared, training: Training):
        size, batch_size = len(data.train.x), training.batch_size
        longest = longest_chunk(training, size)
        self.run = loop_over_data(trainer, batch_size=batch_size, prepare=data.each_step, chunk=longest, size=size)
        self.pace = _Pace(longest)
        self._train, self._training, self._size = data.train, training, size

    def __enter__(self) -> "InMemory":
        return self

    def __exit__(self, *error) -> None:
        pass

    def place(self, state: TrainState) -> None:
        """Puts the examples where the state is; of a run by several processes each device has a share of them."""
        alone = not state.step.ndim  # several members would send each other the batches of all
        share = alone and not state.step.is_fully_addressable
        self._train = (sharded if share else replicated)(state, self._train)

    def __call__(self, step: int) -> tuple[Batch, int]:
        """What the loop takes at `step`, and how many steps it is to make: in all processes as many."""
        return self._train, _planned(self._training, step, min(processes.gathered(self.pace.steps())))

    def position(self, step: int) -> None:
        """Nothing: the state knows its batches."""

    def rows(self, state: TrainState) -> np.ndarray:
        """Which rows of the training split make up the batch of the next step, `[batch_size]`."""
        return np.asarray(batch_rows(state.key, state.step, 1, self._size, self._training.batch_size))[0]


class Streamed:
    """Chunks read from disk ahead of the loop; as `InMemory` for who uses it."""

    streams = True

    def __init__(self, trainer: Trainer, data: Prepared, training: Training, stream: Stream, mesh: Mesh | None):
        longest = min(longest_chunk(training, len(data.train.x)), stream.longest_chunk)
        self.run = loop_over_chunk(trainer, prepare=data.each_step)
        self.pace = _Pace(longest)
        self.position = stream.position
        self._stream = stream

        def plan(step: int) -> int:
            # What is read ahead cannot wait for what other processes would say of their pace: all plan the longest.
            return _planned(training, step, self.pace.steps() if jax.process_count() == 1 else longest)

        # Of a chunk `[steps, batch, ...]` each device has its share of every batch.
        sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec(None, *mesh.axis_names))
        self._arriving = Prefetch(stream, plan, longest, sharding)

    def __enter__(self) -> "Streamed":
        self._arriving.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._arriving.__exit__(*error)

    def place(self, state: TrainState) -> None:
        """Nothing: chunks come to the devices one by one."""

    def __call__(self, step: int) -> tuple[Batch, int]:
        """The chunk that begins at `step`, and how many of its steps count.

        Raises:
          InputError: names the file that cannot be read.
        """
        return self._arriving(step)

    def rows(self, state: TrainState) -> np.ndarray:
        """As `InMemory.rows`."""
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
) -> Feed:
    """Of examples in memory, or of those on disk in the order of `seed`, which goes on from `position`.

    Raises:
      InputError: as `data.streaming.Stream` and its `check`.
    """
    if not isinstance(data.train.x, Records):
        return InMemory(trainer, data, training)
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
    """The batch on every device that the state is on."""
    sharding = state.step.sharding
    if len(sharding.device_set) == 1:
        return batch
    return processes.spread(batch, NamedSharding(sharding.mesh, PartitionSpec()))


def sharded(state: TrainState, batch: Batch) -> Batch:
    """The batch's rows, an even share of them on each device that the state is on; zeros fill up the last.

    A process reads no more of the arrays than what its devices keep. The loop's batches are gathered from all of them:
    XLA looks up on each device what it has, and adds, which sends the bytes of a batch. (By gloo, between two processes
    of one machine, a VAE's step took 9% longer than with all examples in each.)
    """
    mesh = state.step.sharding.mesh
    share, sharding = -(-len(batch.x) // mesh.size), NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def place(a: np.ndarray) -> jax.Array:
        def own(index: tuple[slice, ...]) -> np.ndarray:
            rows = a[index]
            return np.pad(rows, [(0, share - len(rows)), *[(0, 0)] * (a.ndim - 1)])

        return jax.make_array_from_callback((share * mesh.size, *a.shape[1:]), sharding, own)

    return jax.tree.map(place, batch)


def longest_chunk(training: Training, size: int) -> int:
    """Steps in a call of the loop, for which it permutes all the epochs that they may touch: ten at most."""
    epochs = 10 * (size // training.batch_size)
    return max(1, min(LONGEST_CHUNK, training.evaluate_every, training.steps, epochs))


def _planned(training: Training, step: int, most: int) -> int:
    """Steps of the chunk that begins at `step`: up to the next evaluation, and `most` at most."""
    return min(most, training.evaluate_every - step % training.evaluate_every, training.steps - step)


class _Pace:
    """How many steps fit into a chunk's time: one at first, then as the last chunk tells."""

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
