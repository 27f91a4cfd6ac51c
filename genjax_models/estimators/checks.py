"""What estimators check before they compute."""

import numbers


def check_num_samples(num_samples: int) -> None:
    """Raises ValueError unless `num_samples` is an integer of at least 1; neither True nor 2.0 is one."""
    if isinstance(num_samples, bool) or not isinstance(num_samples, numbers.Integral) or num_samples < 1:
        raise ValueError(f"num_samples must be an integer of at least 1, got {num_samples!r}")
