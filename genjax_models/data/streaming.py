"""Training examples that are never all in memory: batches of `Records` in an order of their own, in stacked chunks.

The batch of a step is a function of the seed and the step alone, so the position in a stream is a step, and a run that
goes on from one sees what it would have seen. Reading, in parallel and ahead, is grain's. The order is not: grain's
shuffle goes example by example, which takes 0.6 ms for a batch of 100, an eighth of a step of a small VAE, where one
permutation for each epoch takes 1 us a batch, and 8 bytes of memory an example.
"""

import functools
import operator
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from genjax_models.errors import InputError
from genjax_models.types import Batch

CHUNK_BYTES = 2**25  # of a chunk, or one batch if that is more; two chunks are in memory
_AHEAD = 4  # batches that are read in parallel: a disk has more than one request under way


class Stream:
    """Batches without end, each epoch a fresh permutation that drops the remainder which fills no batch.

    A process has a share of each global batch: its consecutive `batch_size / count` examples, so that the shares side
    by side are the batch of one process.
    """

    def __init__(self, data: Batch, *, batch_size: int, seed: int, index: int = 0, count: int = 1):
        """Of process `index` of `count`.

        Args:
          data: `x` is `Records`; `label` an array on the host, or None.
          batch_size: examples in a global batch.
          seed: of the order, in [0, 2^32).
          index: of this process.
          count: of processes.

        Raises:
          InputError: grain is not installed; a batch that does not fit, or that the processes do not divide.
        """
        grain, size = _grain(), len(data.x)
        if not 1 <= batch_size <= size:
            raise InputError(f"batch_size must be between 1 and {size}, the training split, got {batch_size}")
        if batch_size % count:
            raise InputError(f"batch_size must be a multiple of {count}, the processes that share it, got {batch_size}")
        self.data, self.seed, self.batch_size = data, seed, batch_size
        self.local = batch_size // count
        self.longest_chunk = max(1, CHUNK_BYTES // (batch_size * data.x[:1].nbytes))
        self._own = slice(index * self.local, (index + 1) * self.local)
        # RandomState is numpy's frozen generator: the same order on every version.
        self._order = functools.lru_cache(2)(lambda epoch: np.random.RandomState([seed, epoch]).permutation(size))
        options = grain.ReadOptions(num_threads=_AHEAD, prefetch_buffer_size=_AHEAD)
        self._batches = iter(grain.MapDataset.source(self).to_iter_dataset(options))

    def __len__(self) -> int:
        """The largest number that grain can count: the stream has no end."""
        return sys.maxsize

    def __getitem__(self, step: int) -> Batch:
        """This process's share of the batch of `step`, read now.

        Raises:
          InputError: names the file that cannot be read.
        """
        rows = self.rows(step)[self._own]
        return self._fields(rows)._replace(x=self.data.x.read(rows))

    def _fields(self, rows: np.ndarray) -> Batch:
        """All fields of these rows but x, which is on disk."""
        others = self.data._replace(x=None)._asdict()
        return Batch(x=None, **{name: field[rows] for name, field in others.items() if field is not None})

    def rows(self, step: int) -> np.ndarray:
        """Which rows of the data make up the global batch of `step`, `[batch_size]`."""
        epoch, batch = divmod(step, len(self.data.x) // self.batch_size)
        return self._order(epoch)[batch * self.batch_size :][: self.batch_size]

    def chunk(self, step: int, num_steps: int, length: int) -> Batch:
        """Returns the batches of steps `step ... step + num_steps - 1`, leaves `[length, batch_size / count, ...]`,
        on the host. Entries of a longer chunk behind them have no meaning.

        Raises:
          InputError: names the file that cannot be read.
        """
        if self._batches.get_state()["next_index"] != step:
            self._batches.set_state({"next_index": step})
        empty = lambda a: np.empty((length, self.local, *a.shape[1:]), a.dtype)
        stacked = Batch(**{name: empty(field) for name, field in self.data._asdict().items() if field is not None})
        for i in range(num_steps):
            for leaf, part in zip(stacked, next(self._batches), strict=True):
                if leaf is not None:
                    leaf[i] = part
        return stacked

    def position(self, step: int) -> dict[str, Any]:
        """Where a run of so many steps stands, for its checkpoint: which batch comes next, and by which rows one knows
        it."""
        return {"seed": self.seed, "next_index": step, "next_rows": self.rows(step)[:8].tolist()}

    def check(self, position: Mapping[str, Any]) -> None:
        """Nothing, where this is the stream that `position` was in.

        Raises:
          InputError: the order is another, of other data or batches, say; the run would not be the same.
        """
        here = self.position(operator.index(position["next_index"]))
        if here != position:
            raise InputError(
                f"the stream has rows {here['next_rows']} next, and had {position['next_rows']} when the run stopped:"
                " its order is another, and the run cannot go on as it was"
            )

    def close(self) -> None:
        """Ends the threads that read ahead."""
        self._batches.close()


class Prefetch:
    """The chunk that comes next, on the device, while the one after it is on its way: two at most, by one thread.

    `with Prefetch(stream, plan, length) as feed: batches, num_steps = feed(step)`; asked again for the same step, it
    has the same.
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
          stream: that is read, and closed with this.
          plan: step -> how many steps the chunk that begins there is to have, up to `length`; 0 where none is needed.
          length: of all chunks, so that one compiled loop takes them.
          sharding: of the global chunk; None is the default device.
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
        """The chunk that begins at `step`, leaves `[length, batch_size, ...]`, and how many of its steps count.

        Raises:
          InputError: names the file that cannot be read.
        """
        if self._now is None or self._now[0] != step:
            future = self._next[1] if self._next and self._next[0] == step else self._ask(step)
            self._now = None  # the chunk that was: it goes when its user lets go of it
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
        raise InputError("streamed data are read by grain: pip install 'genjax_models[stream]'") from error
    return grain
