"""Times of a start are divided among its parts, each counted once."""

import pytest

from experiments.benchmarks import timeline, waiting
from experiments.benchmarks.timeline import Interval


def test_the_innermost_interval_counts():
    intervals = [
        Interval("other", 0, 10),
        Interval("evaluation", 2, 8),
        Interval("tracing", 3, 4),
        Interval("compiling", 4, 6),
        Interval("imports", 5, 6),
        Interval("evaluation", 9, 10),
        Interval("nothing", 9, 9),
    ]
    assert timeline.spent(intervals) == {"other": 3, "evaluation": 4, "tracing": 1, "compiling": 1, "imports": 1}


def test_rows_hold_every_interval_and_the_table_their_medians():
    names = {*timeline.PLACES.values(), *timeline.COMPILING.values(), "imports", "other"}
    assert sorted(name for row in waiting.ROWS.values() for name in row) == sorted(names)
    turns = [waiting.in_rows({"tracing": seconds, "lowering": 1.0, "other": 0.5}) for seconds in (1.0, 2.0, 6.0)]
    lines = waiting.table({"vae, empty": waiting.median(turns)}).splitlines()
    assert "| tracing and lowering | 3.00 |" in lines
    assert lines[-1] == "| total | 3.50 |"


@pytest.mark.slow
def test_a_start_is_measured_from_the_process_to_the_first_step(tmp_path):
    empty, full = (waiting.started("gan_mixture", tmp_path) for _ in range(2))
    assert empty["compiling, or reading compiled programs"] > full["compiling, or reading compiled programs"] > 0
    for start in (empty, full):
        assert all(seconds > 0 for row, seconds in start.items() if row != "first pictures")  # points are no images
        assert start["total"] == pytest.approx(sum(start[row] for row in waiting.ROWS))
