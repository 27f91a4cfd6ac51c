"""The memory of this machine, and a refusal of what cannot fit into it: the system would kill the process."""

import os

from genjax_models.errors import InputError


def available_bytes() -> int:
    """Returns the bytes of memory that new arrays can take; where Linux does not say so, the machine's memory."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            (line,) = (line for line in file if line.startswith("MemAvailable:"))
        return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_fits(needed: int, what: str, available: int | None = None) -> None:
    """Refuses arrays of `needed` bytes that do not fit into `available` bytes. Default: the memory of the machine.

    Raises:
      InputError: names `what`, and both sizes.
    """
    available = available_bytes() if available is None else available
    if needed > available:
        raise InputError(f"{what}: at least {needed / 2**30:,.1f} GiB, but there are {available / 2**30:,.1f} GiB")
