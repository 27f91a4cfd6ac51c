"""Memory that is not enough, said in one way."""

import contextlib
import re
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def with_advice(advice: str) -> Iterator[None]:
    """Within, whoever is out of memory (Python, numpy, XLA) raises a MemoryError that ends in `advice`.

    Raises:
      MemoryError: one line: what could not be allocated, as far as is known, and `advice`.
    """
    try:
        yield
    except MemoryError as error:
        raise MemoryError(_told(str(error), advice)) from error
    except jax.errors.JaxRuntimeError as error:
        if not re.search("RESOURCE_EXHAUSTED|out of memory", str(error), re.IGNORECASE):
            raise
        raise MemoryError(_told(str(error).removeprefix("RESOURCE_EXHAUSTED: "), advice)) from error


def _told(what: str, advice: str) -> str:
    """The first sentence of `what`, of which XLA has a page."""
    first = re.split(r"\. |\.?\n", what.strip())[0].rstrip(".")
    return f"out of memory ({first}); {advice}" if first else f"out of memory; {advice}"
