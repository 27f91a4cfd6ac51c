"""The steps at which samples are kept, whatever the length of a run: 0, and from 16 on two for each doubling.

16, 22, 32, 45, 64, 90, 128, ...: learning is fast at first. A run of 10^6 steps keeps 33 of them.
"""

import itertools
import math
from collections.abc import Iterator

_FIRST = 8  # isqrt(2^8) = 16


def kept_after(step: int) -> int:
    """Returns the first kept step after `step`."""
    return next(kept for kept in _after_zero() if kept > step)


def is_kept(step: int) -> bool:
    """Returns whether samples are kept at this step."""
    return step == 0 or kept_after(step - 1) == step


def _after_zero() -> Iterator[int]:
    return (math.isqrt(1 << exponent) for exponent in itertools.count(_FIRST))
