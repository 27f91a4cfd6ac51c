"""One run of several processes: they meet, do everything alike, and process 0 alone evaluates, draws and writes.

Every process calls what stands here at the same places, and a process alone may call it too: it is then process 0 of 1,
and nothing is sent. What one process does while the others wait stands between two such calls, so that a failure of it
is known to all, and they leave together.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from genjax_models.errors import InputError, ProcessError
from genjax_models.runs import keys

_PATIENCE = 10  # seconds for which a process that has ended waits for the others to end
_LOST = r"Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|closed by peer|Connection|Socket|coordination"

Value = TypeVar("Value")


@contextlib.contextmanager
def joined(count: int | Literal["auto"], index: int | None, coordinator: str | None, timeout: float) -> Iterator[None]:
    """Within, this process is one of several that see each other's devices. To be entered before jax has any.

    SIGTERM stays what it is in a process alone: jax's preemption service, which would swallow it, is off. However the
    process ends, it waits for the others for ten seconds at most.

    Args:
      count: of processes; "auto" where jax can tell it, and the rest, from SLURM, a TPU pod or Open MPI.
      index: of this process, 0 to count - 1.
      coordinator: HOST:PORT of process 0, at which all meet.
      timeout: seconds to wait for all to come. Then this process ends, in one line and with exit status 1: jax's own
        limit would end it in a stack trace.

    Raises:
      InputError: no cluster is found, or the address cannot be used.
    """
    jax.config.update("jax_enable_preemption_service", False)
    given = {} if count == "auto" else {"coordinator_address": coordinator, "num_processes": count, "process_id": index}
    watch = threading.Timer(timeout, _give_up, (coordinator, index, count, timeout))
    watch.daemon = True
    watch.start()
    try:
        jax.distributed.initialize(
            **given,
            cluster_detection_method=None if count == "auto" else "deactivate",
            initialization_timeout=math.ceil(timeout) + 60,  # it is `watch` that gives up
        )
    except (ValueError, RuntimeError) as error:
        if count == "auto":
            told = "--processes auto: jax finds no cluster here; say --processes N --process I --coordinator HOST:PORT"
        else:
            told = f"--coordinator {coordinator}: process {index} of {count} cannot start"
        raise InputError(f"{told} ({_first_sentence(error)})") from error
    finally:
        watch.cancel()
    try:
        gathered(0)  # the first talk waits 30 s for the others and no longer (gloo): now all are here
        yield
    except SystemExit as stop:
        _end(stop.code if isinstance(stop.code, int) else int(stop.code is not None))
        raise
    except BaseException:
        _end(1, traceback.format_exc())
        raise
    _end(0)


def leave() -> None:
    """Ends what `joined` began: all come here, and from then on each is on its own, and may go."""
    jax.distributed.shutdown()


def is_process_zero() -> bool:
    """Whether this is process 0, the one that writes."""
    return jax.process_index() == 0


def on_all(work: Callable[..., Value], *arguments: Any) -> Value:
    """What `work(*arguments)` returns, when it is done in every process. It must not compute with others.

    Raises:
      ProcessError: another process failed. A process that failed itself raises its own error.
    """
    if jax.process_count() == 1:
        return work(*arguments)
    value, error = None, None
    try:
        value = work(*arguments)
    except Exception as caught:
        error = caught
    failed = gathered(int(error is not None))
    if error:
        raise error
    if any(failed):
        raise ProcessError(f"{_who()} stops, since process {failed.index(1)} failed, which says why")
    return value


def on_process_zero(work: Callable[..., Value], *arguments: Any) -> Value | None:
    """As `on_all`, but process 0 alone works; the others wait and get None."""
    return on_all(work if is_process_zero() else lambda *_: None, *arguments)


def from_process_zero(work: Callable[..., Any], *arguments: Any) -> Any:
    """As `on_process_zero`, but all get what process 0 got: anything that JSON can say."""
    value = on_process_zero(work, *arguments)
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = max(gathered(len(text) if is_process_zero() else 0))
    text = multihost_utils.broadcast_one_to_all(text if is_process_zero() else np.zeros(size, np.uint8))
    return json.loads(text.tobytes())


def arrays_from_process_zero(tree: Any, like: Any) -> Any:
    """The arrays of `tree` in process 0, bit for bit, in all; `like` has their shapes, and `tree` is None elsewhere."""
    if jax.process_count() == 1:
        return tree

    def sent(leaf: jax.Array | None, shape: jax.ShapeDtypeStruct) -> jax.Array:
        numbers = keys.zeros(shape) if leaf is None else keys.as_numbers(leaf)
        got = multihost_utils.broadcast_one_to_all(np.frombuffer(numbers.tobytes(), np.uint8))
        numbers = np.frombuffer(got.tobytes(), numbers.dtype).reshape(numbers.shape)
        return keys.as_before(jax.numpy.asarray(numbers), shape)

    shapes, structure = jax.tree.flatten(like)
    leaves = jax.tree.leaves(tree) if is_process_zero() else [None] * len(shapes)
    return jax.tree.unflatten(structure, map(sent, leaves, shapes))


def gathered(number: int) -> list[int]:
    """The number of each process, in their order."""
    if jax.process_count() == 1:
        return [number]
    return multihost_utils.process_allgather(np.int32(number)).tolist()


def check_alike(value: Any) -> None:
    """Refuses processes that were told different things, and would wait for each other for ever.

    Args:
      value: that must be the same in all; anything that JSON can say.

    Raises:
      InputError: names a process that is told otherwise than process 0.
    """
    if jax.process_count() == 1:
        return
    digest = hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).digest()
    digests = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    different = np.flatnonzero(np.any(digests != digests[0], axis=1))
    if different.size:
        raise InputError(
            f"process {different[0]} of {jax.process_count()} was started with other flags, or other data, than process"
            " 0; all take the same command"
        )


def spread(tree: Any, sharding: NamedSharding) -> Any:
    """The arrays, which every process has whole, on the devices of `sharding`: each puts its part on its own."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def place(leaf: jax.Array) -> jax.Array:
        if not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        numbers = keys.as_numbers(leaf)
        return keys.as_before(jax.make_array_from_process_local_data(sharding, numbers, numbers.shape), leaf)

    return jax.tree.map(place, tree)


def to_local(tree: Any) -> Any:
    """The arrays whole on the first device of this process, where they are spread over several processes.

    It computes with the others, unless each device has all. What is on devices of this process alone stays as it is.
    """

    def own(leaf: jax.Array) -> jax.Array:
        if leaf.is_fully_addressable:
            return leaf
        if not leaf.is_fully_replicated:
            leaf = jax.jit(_same, out_shardings=NamedSharding(leaf.sharding.mesh, PartitionSpec()))(leaf)
        return leaf.addressable_data(0)

    return jax.tree.map(own, tree)


@contextlib.contextmanager
def lost_process_as_error() -> Iterator[None]:
    """Within, other processes that are gone raise a ProcessError.

    Raises:
      ProcessError: one line.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1 or not re.search(_LOST, str(error)):
            raise
        told = f"{_who()} lost another, go on with --resume ({_first_sentence(error)})"
        raise ProcessError(told) from error


def _end(status: int, told: str = "") -> None:
    """Says goodbye; where the others do not, goes all the same, since jax would end the process in a stack trace."""

    def go() -> None:
        print(told, end="", file=sys.stderr, flush=True)
        os._exit(status)

    if jax.distributed.is_initialized():
        sys.stdout.flush()
        watch = threading.Timer(_PATIENCE, go)
        watch.daemon = True
        watch.start()
        jax.distributed.shutdown()
        watch.cancel()


def _give_up(coordinator: str | None, index: int | None, count: int | str, timeout: float) -> None:
    """Ends a process that waits within jax, from another thread."""
    if coordinator is None:  # jax found the others by itself, and tells it to nobody
        from jax._src.distributed import global_state as found

        coordinator, index, count = found.coordinator_address, found.process_id, found.num_processes
    seen = "not all have come" if _answers(coordinator) else "nobody answers there"
    print(
        f"error: process {index} of {count} waited {timeout:g} s at {coordinator} for the others: {seen}",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


def _answers(address: str | None) -> bool:
    host, _, port = (address or "").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except (OSError, ValueError):
        return False
    return True


def _same(a: jax.Array) -> jax.Array:  # one function, so that it is compiled once for each shape
    return a


def _who() -> str:
    return f"process {jax.process_index()} of {jax.process_count()}"


def _first_sentence(error: Exception) -> str:
    return re.split(r"\. |\n", str(error).strip())[0].rstrip(".")
