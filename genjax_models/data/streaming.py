"""Streams of training examples that do not fit in memory: batches of `Records`, in stacked chunks.

The batch of a step is a function of the seed and the step only. So the position in a stream is a step, and a resumed
run has the same batches. grain reads the batches, in parallel and ahead. The order is our own: grain shuffles example
by example, which takes 0.6 ms for a batch of 100, an eighth of a step of a small VAE. One permutation for each epoch
takes 1 us a batch, and 8 bytes of memory an example.
"""

import functools
import operator
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from genjax_models.errors import InputError
from genjax_models.types import Batch

CHUNK_BYTES = 2**25  # largest size of a chunk, or one batch if a batch is larger; two chunks are in memory
_AHEAD = 4  # batches that are read in parallel, because a disk serves several requests at once


class Stream:
    """Endless batches; each epoch is a fresh permutation, without the remainder that fills no batch.

    A process reads its share of each global batch: `batch_size / count` consecutive examples. All shares together are
    the batch of a run with one process.
    """

    def __init__(self, data: Batch, *, batch_size: int, seed: int, index: int = 0, count: int = 1):
        """Starts the stream of process `index` of `count`.

        Args:
          data: `x` is `Records`; the other fields are arrays on the host, or None.
          batch_size: examples in a global batch.
          seed: seed of the order, in [0, 2^32).
          index: index of this process.
          count: number of processes.

        Raises:
          InputError: grain is not installed, the batch is larger than the data, or its size is not a multiple of the
            number of processes.
        """
        grain, size = _grain(), len(data.x)
        if not 1 <= batch_size <= size:
            raise InputError(f"`batch_size` must be 1 to {size}, the size of the training split, got {batch_size}")
        if batch_size % count:
            raise InputError(f"`batch_size` must be a multiple of {count}, the number of processes, got {batch_size}")
        self.data, self.seed, self.batch_size = data, seed, batch_size
        self.local = batch_size // count
        self.longest_chunk = max(1, CHUNK_BYTES // (batch_size * data.x[:1].nbytes))
        self._own = slice(index * self.local, (index + 1) * self.local)
        # RandomState is numpy's frozen generator: the same order on every version.
        self._one_thread = threading.Lock()
        self._order = functools.lru_cache(2)(lambda epoch: np.random.RandomState([seed, epoch]).permutation(size))
        options = grain.ReadOptions(num_threads=_AHEAD, prefetch_buffer_size=_AHEAD)
        self._batches = iter(grain.MapDataset.source(self).to_iter_dataset(options))

    def __len__(self) -> int:
        """Returns the largest length that grain accepts, because the stream has no end."""
        return sys.maxsize

    def __getitem__(self, step: int) -> Batch:
        """Reads this process's share of the batch of `step`.

        Raises:
          InputError: a file cannot be read. The error names it.
        """
        rows = self.rows(step)[self._own]
        return self._fields(rows)._replace(x=self.data.x.read(rows))

    def _fields(self, rows: np.ndarray) -> Batch:
        """Returns all fields of these rows except x, which is on disk."""
        others = self.data._replace(x=None)._asdict()
        return Batch(x=None, **{name: field[rows] for name, field in others.items() if field is not None})

    def rows(self, step: int) -> np.ndarray:
        """Returns the rows of the data in the global batch of `step`, `[batch_size]`."""
        epoch, batch = divmod(step, len(self.data.x) // self.batch_size)
        with self._one_thread:  # at the start of an epoch all readers need its order, which takes 1 s at 10^7 examples
            order = self._order(epoch)
        return order[batch * self.batch_size :][: self.batch_size]

    def chunk(self, step: int, num_steps: int, length: int) -> Batch:
        """Returns the batches of steps `step ... step + num_steps - 1`, on the host.

        Leaves are `[length, batch_size / count, ...]`; entries after the first `num_steps` have no meaning.

        Raises:
          InputError: a file cannot be read. The error names it.
        """
        if self._batches.get_state()["next_index"] != step:
            self._batches.set_state({"next_index": step})
        empty = lambda a: np.empty((length, self.local, *a.shape[1:]), a.dtype)
        stacked = Batch(**{name: empty(field) for name, field in self.data._asdict().items() if field is not None})
        for i in range(num_steps):
            jax.tree.map(lambda leaf, part, i=i: operator.setitem(leaf, i, part), stacked, next(self._batches))
        return stacked

    def position(self, step: int) -> dict[str, Any]:
        """Returns the position after `step` steps, for a checkpoint: the next batch, and some of its rows."""
        return {"seed": self.seed, "next_index": step, "next_rows": self.rows(step)[:8].tolist()}

    def check(self, position: Mapping[str, Any]) -> None:
        """Refuses a `position` of another stream.

        Raises:
          InputError: the order has changed, because data, batch size or seed have.
        """
        expected = self.position(operator.index(position["next_index"]))
        if expected != position:
            raise InputError(
                f"the next rows of the stream must be those of the stopped run, {position['next_rows']}, got"
                f" {expected['next_rows']}: data, batch size or seed have changed"
            )

    def close(self) -> None:
        """Ends the threads that read ahead."""
        self._batches.close()


class Prefetch:
    """Holds the next chunk on the device while a thread reads the chunk after it; at most two are in memory.

    `with Prefetch(stream, plan, length) as feed: batches, num_steps = feed(step)`. A second call for the same step
    returns the same chunk.
    """

    def __init__(
        self,
        stream: Stream,
        plan: Callable[[int], int],
        length: int,
        sharding: jax.sharding.Sharding | None = None,
    ):
        """Reads chunks `[length, batch_size, ...]` of `stream`.

        Args:
          stream: the stream to read; it is closed with this object.
          plan: step -> number of steps of the chunk that begins there, at most `length`; 0 if no chunk is needed.
          length: length of all chunks, so that one compiled loop takes them.
          sharding: sharding of the global chunk; None is the default device.
        """
        self._stream, self._plan, self._length, self._sharding = stream, plan, length, sharding
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._now: tuple[int, Batch, int] | None = None
        self._next: tuple[int, Future] | None = None

    def __enter__(self) -> "Prefetch":
        return self

    def __exit__(self, *error) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._stream.close()

    def __call__(self, step: int) -> tuple[Batch, int]:
        """Returns the chunk that begins at `step`, leaves `[length, batch_size, ...]`, and its number of steps.

        Raises:
          InputError: a file cannot be read. The error names it.
        """
        if self._now is None or self._now[0] != step:
            future = self._next[1] if self._next and self._next[0] == step else self._ask(step)
            self._now = None  # frees the previous chunk, if its user has released it too
            self._now = step, *future.result()
            if self._plan(step + self._now[2]):
                self._ask(step + self._now[2])
        return self._now[1:]

    def _ask(self, step: int) -> Future:
        future = self._pool.submit(self._placed, step, self._plan(step))
        self._next = step, future
        return future

    def _placed(self, step: int, num_steps: int) -> tuple[Batch, int]:
        chunk = self._stream.chunk(step, num_steps, self._length)
        place = jax.device_put
        if self._sharding is not None:
            place = lambda a: jax.make_array_from_process_local_data(self._sharding, a)
        return jax.tree.map(place, chunk), num_steps


def _grain():
    try:
        import grain
    except ImportError as error:
        raise InputError("streamed data need grain: pip install 'genjax_models[stream]'") from error
    return grain
