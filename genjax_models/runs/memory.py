"""One error for out-of-memory, whether Python, numpy or XLA raised it; and a refusal before anything is computed."""

import contextlib
import re
from collections.abc import Iterator

import jax

from genjax_models.data import host_memory


@contextlib.contextmanager
def with_advice(advice: str) -> Iterator[None]:
    """Turns every out-of-memory error inside the block (Python, numpy, XLA) into a MemoryError that ends in `advice`.

    Raises:
      MemoryError: one line with the failed allocation, if it is known, and `advice`.
    """
    try:
        yield
    except MemoryError as error:
        raise MemoryError(_message(str(error), advice)) from error
    except jax.errors.JaxRuntimeError as error:
        if not re.search("RESOURCE_EXHAUSTED|out of memory", str(error), re.IGNORECASE):
            raise
        raise MemoryError(_message(str(error).removeprefix("RESOURCE_EXHAUSTED: "), advice)) from error


def check_state(needed: int) -> None:
    """Refuses a state (parameters and optimizer) of `needed` bytes that does not fit into the device's memory.

    Raises:
      InputError: names both sizes.
    """
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")  # None on the CPU
    host_memory.check_fits(needed, "memory of the state, which the sizes of the networks determine", limit)


def _message(reason: str, advice: str) -> str:
    """Returns the first sentence of `reason`, which XLA explains on a page, and the advice."""
    first = re.split(r"\. |\.?\n", reason.strip())[0].rstrip(".")
    return f"out of memory ({first}); {advice}" if first else f"out of memory; {advice}"
