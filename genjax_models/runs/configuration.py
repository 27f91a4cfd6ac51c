"""Checks of config fields, and the fields of training. Imports no jax, so that --help is quick."""

import dataclasses
import math
import numbers

from genjax_models.errors import InputError

LARGEST = 2**31 - 1  # of int32, in which JAX counts
_SMALLEST_FLOAT, _LARGEST_FLOAT = 2.0**-126, 3.4e38  # of float32, without subnormal numbers


def at_least(smallest: float, **fields: float) -> None:
    """Refuses numbers that are not finite in float32 or are below `smallest`; names the field."""
    for name, value in fields.items():
        if not (math.isfinite(value) and value >= smallest):
            raise InputError(f"{name} must be at least {smallest}, got {value!r}")
        if value > _LARGEST_FLOAT:
            raise InputError(f"{name} must be a number that float32 can hold, got {value!r}")


def whole(smallest: int, **fields) -> None:
    """Refuses values, or tuples of values, that are not integers from `smallest` to 2^31 - 1; names the field."""
    for name, value in fields.items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, bool) or not isinstance(number, numbers.Integral) or number < smallest:
                raise InputError(f"{name} must be an integer of at least {smallest}, got {value!r}")
            if int(number) > LARGEST:
                raise InputError(f"{name} must be at most {LARGEST}, the largest int32, got {_shown(value)}")


def positive(**fields: float) -> None:
    """Refuses numbers that are not positive and finite in float32; names the field."""
    for name, value in fields.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be positive and finite, got {value!r}")
        if not _SMALLEST_FLOAT <= value <= _LARGEST_FLOAT:
            raise InputError(f"{name} must be a number that float32 can hold, got {value!r}")


def rate(**fields: float) -> None:
    """Refuses numbers outside [0, 1), the range of dropout rates, decays and label smoothing; names the field."""
    for name, value in fields.items():
        if not 0 <= value < 1:
            raise InputError(f"{name} must be in [0, 1), got {value!r}")


def _shown(value) -> str:
    """Returns the value as text; Python refuses to print integers of thousands of digits."""
    try:
        return repr(value)
    except ValueError:
        return "an integer of thousands of digits"


def seed_in_range(seed: int) -> None:
    """Refuses seeds outside [0, 2^32): JAX silently takes `key(2**32 + 1)` as `key(1)`."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise InputError(f"seed must be an integer in [0, 2^32), got {seed!r}")


@dataclasses.dataclass(frozen=True)
class Training:
    """Number of steps, batch size, and intervals of evaluation and logging."""

    steps: int = 10_000
    """Optimizer steps. 0 writes the untrained model and stops."""
    batch_size: int = 100
    """Examples per step."""
    evaluate_every: int = 1_000
    """Steps between evaluations on the validation split. Each draws samples and writes a checkpoint."""
    log_every: int = 100
    """Steps per training row; the row holds the means of their metrics."""

    def __post_init__(self):
        whole(0, steps=self.steps)
        whole(1, batch_size=self.batch_size, evaluate_every=self.evaluate_every, log_every=self.log_every)
