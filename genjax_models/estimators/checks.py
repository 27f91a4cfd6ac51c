"""Checks of arguments, made before an estimator computes."""

import numbers


def check_count(name: str, count: int, *, at_least: int = 1) -> None:
    """Raises ValueError unless `count` is an integer of at least `at_least`. True and 2.0 are not integers."""
    if isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < at_least:
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {count!r}")


def check_num_samples(num_samples: int) -> None:
    """Raises ValueError unless `num_samples` is an integer of at least 1."""
    check_count("num_samples", num_samples)
