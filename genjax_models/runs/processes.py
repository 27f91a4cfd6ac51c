"""One run of several processes: all compute the same, and only process 0 evaluates, draws and writes.

Every process calls these functions in the same order. A single process may call them too: it is process 0 of 1, and
nothing is sent. If one process works while the others wait, the work is passed to `on_all` or `on_process_zero`: a
failure then reaches all processes, and they stop together.
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
from typing import Any, Literal, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from genjax_models.errors import InputError, ProcessError
from genjax_models.runs import keys, silence

_EXIT_SECONDS = 10  # longest wait of a finished process for the others
_LOST = r"Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|closed by peer|Connection|Socket|coordination"

Value = TypeVar("Value")


@contextlib.contextmanager
def joined(count: int | Literal["auto"], index: int | None, coordinator: str | None, timeout: float) -> Iterator[None]:
    """Connects this process to the others inside the block; all see the devices of all.

    Enter the block before JAX initialises its devices. If a process is not heard from for a minute, the others end
    (`silence`). SIGTERM acts as in a single process: JAX's preemption service, which would catch it, is off. At its end
    the process waits at most ten seconds for the others.

    Args:
      count: number of processes; "auto" if JAX can read all settings from SLURM, a TPU pod or Open MPI.
      index: index of this process, 0 to count - 1.
      coordinator: HOST:PORT of process 0, where all processes connect.
      timeout: seconds to wait for all processes. Then this process ends with one line and exit status 1; JAX's own
        limit would end it with a stack trace.

    Raises:
      InputError: no cluster is found, or the address cannot be used.
    """
    jax.config.update("jax_enable_preemption_service", False)
    settings = (
        {} if count == "auto" else {"coordinator_address": coordinator, "num_processes": count, "process_id": index}
    )
    watch = threading.Timer(timeout, _give_up, (coordinator, index, count, timeout))
    watch.daemon = True
    watch.start()
    try:
        jax.distributed.initialize(
            **settings,
            cluster_detection_method=None if count == "auto" else "deactivate",
            initialization_timeout=math.ceil(timeout) + 60,  # `watch` ends the process earlier
            heartbeat_timeout_seconds=math.ceil(4 * silence.SECONDS),  # so does `silence`
        )
    except (ValueError, RuntimeError) as error:
        if count == "auto":
            message = "--processes auto: JAX finds no cluster; use --processes N --process I --coordinator HOST:PORT"
        else:
            message = f"--coordinator {coordinator}: process {index} of {count} cannot start"
        raise InputError(f"{message} ({_first_sentence(error)})") from error
    finally:
        watch.cancel()
    try:
        gathered(0)  # gloo's first message waits at most 30 s: send it while all processes have just connected
        silence.watch_others()
        yield
    except SystemExit as stop:
        _end(stop.code if isinstance(stop.code, int) else int(stop.code is not None))
        raise
    except BaseException:
        _end(1, traceback.format_exc())
        raise
    _end(0)


def leave() -> None:
    """Disconnects the processes that `joined` connected: all call this, and afterwards each may end on its own."""
    silence.stop_watching()
    jax.distributed.shutdown()


def is_process_zero() -> bool:
    """Returns whether this is process 0, which writes."""
    return jax.process_index() == 0


def on_all(work: Callable[..., Value], *arguments: Any) -> Value:
    """Returns the result of `work(*arguments)` after it is done in every process.

    `work` must not communicate with other processes.

    Raises:
      ProcessError: `work` failed in another process. A process in which it failed raises its own error.
    """
    if jax.process_count() == 1:
        return work(*arguments)
    value: Any = None
    error = None
    try:
        value = work(*arguments)
    except Exception as caught:
        error = caught
    failed = gathered(int(error is not None))
    if error:
        raise error
    if any(failed):
        raise ProcessError(f"{_who()} stops because process {failed.index(1)} failed; see the error of that process")
    return value


def on_process_zero(work: Callable[..., Value], *arguments: Any) -> Value | None:
    """Does as `on_all`, but only process 0 works; the others wait and get None."""
    return on_all(work if is_process_zero() else lambda *_: None, *arguments)


def from_process_zero(work: Callable[..., Any], *arguments: Any) -> Any:
    """Does as `on_process_zero`, but all processes get the result of process 0, which must be JSON-serialisable."""
    value = on_process_zero(work, *arguments)
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = max(gathered(len(text) if is_process_zero() else 0))
    text = multihost_utils.broadcast_one_to_all(text if is_process_zero() else np.zeros(size, np.uint8))
    return json.loads(text.tobytes())


def arrays_from_process_zero(tree: Any, like: Any) -> Any:
    """Returns in all processes, bit for bit, the arrays of `tree` in process 0.

    `like` has their shapes; `tree` is None in other processes.
    """
    if jax.process_count() == 1:
        return tree

    def broadcast(leaf: jax.Array | None, shape: jax.ShapeDtypeStruct) -> jax.Array:
        numbers = keys.zeros(shape) if leaf is None else keys.as_numbers(leaf)
        sent_bytes = multihost_utils.broadcast_one_to_all(np.frombuffer(numbers.tobytes(), np.uint8))
        numbers = np.frombuffer(sent_bytes.tobytes(), numbers.dtype).reshape(numbers.shape)
        return keys.from_numbers(jax.numpy.asarray(numbers), shape)

    shapes, structure = jax.tree.flatten(like)
    leaves = jax.tree.leaves(tree) if is_process_zero() else [None] * len(shapes)
    return jax.tree.unflatten(structure, map(broadcast, leaves, shapes))


def gathered(number: int) -> list[int]:
    """Returns the numbers of all processes, in the order of the processes."""
    if jax.process_count() == 1:
        return [number]
    return multihost_utils.process_allgather(np.int32(number)).tolist()


def check_alike(value: Any) -> None:
    """Refuses processes with different values, which would wait for each other for ever.

    Args:
      value: must be equal in all processes and JSON-serialisable.

    Raises:
      InputError: names a process whose value differs from the value of process 0.
    """
    if jax.process_count() == 1:
        return
    digest = hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).digest()
    digests = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    different = np.flatnonzero(np.any(digests != digests[0], axis=1))
    if different.size:
        raise InputError(
            f"process {different[0]} of {jax.process_count()} has other flags or other data than process 0; start all"
            " processes with the same command"
        )


def spread(tree: Any, sharding: NamedSharding) -> Any:
    """Returns arrays, of which every process has a full copy, on the devices of `sharding`.

    Each process places the shards of its own devices.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def place(leaf: jax.Array) -> jax.Array:
        if not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        numbers = keys.as_numbers(leaf)
        return keys.from_numbers(jax.make_array_from_process_local_data(sharding, numbers, numbers.shape), leaf)

    return jax.tree.map(place, tree)


def to_local(tree: Any) -> Any:
    """Returns arrays that are spread over several processes as full copies on this process's first device.

    All processes must call this, unless the arrays are fully replicated. Arrays on devices of this process only are
    returned unchanged.
    """

    def gather(leaf: jax.Array) -> jax.Array:
        if leaf.is_fully_addressable:
            return leaf
        if not leaf.is_fully_replicated:
            mesh = cast(NamedSharding, leaf.sharding).mesh
            leaf = jax.jit(_same, out_shardings=NamedSharding(mesh, PartitionSpec()))(leaf)
        return leaf.addressable_data(0)

    return jax.tree.map(gather, tree)


@contextlib.contextmanager
def lost_process_as_error() -> Iterator[None]:
    """Turns JAX's error about a lost process, inside the block, into a ProcessError of one line.

    Raises:
      ProcessError: another process has ended.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # Gloo's errors are ValueErrors
        if jax.process_count() == 1 or not re.search(_LOST, str(error)):
            raise
        message = f"{_who()} lost another process; continue with --resume ({_first_sentence(error)})"
        raise ProcessError(message) from error


def _end(status: int, message: str = "") -> None:
    """Disconnects; after `_EXIT_SECONDS` exits with `message`, because JAX would end the process with a stack trace."""

    def stop() -> None:
        print(message, end="", file=sys.stderr, flush=True)
        os._exit(status)

    if jax.distributed.is_initialized():
        sys.stdout.flush()
        silence.stop_watching()
        watch = threading.Timer(_EXIT_SECONDS, stop)
        watch.daemon = True
        watch.start()
        jax.distributed.shutdown()
        watch.cancel()


def _give_up(coordinator: str | None, index: int | None, count: int | str, timeout: float) -> None:
    """Ends a process that waits inside JAX; called in another thread."""
    if coordinator is None:  # JAX has detected the cluster, and its public interface does not say the address
        from jax._src.distributed import global_state

        coordinator, index, count = (
            global_state.coordinator_address,
            global_state.process_id,
            global_state.num_processes,
        )
    reason = "some are missing" if _answers(coordinator) else "no process answers there"
    print(
        f"error: process {index} of {count} waited {timeout:g} s at {coordinator} for the others: {reason}",
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


def _same(a: jax.Array) -> jax.Array:  # a named function, so that it is compiled once per shape
    return a


def _who() -> str:
    return f"process {jax.process_index()} of {jax.process_count()}"


def _first_sentence(error: Exception) -> str:
    return re.split(r"\. |\n", str(error).strip())[0].rstrip(".")
