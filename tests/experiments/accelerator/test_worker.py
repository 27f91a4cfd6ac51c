"""Parts that fail, crash or hang end alone, with what they had measured, and take their children with them."""

import os
import time
from functools import partial

import pytest

from experiments.accelerator.part import Part
from experiments.accelerator.worker import Worker
from tests.experiments.accelerator import fakes


def part(measure, seconds=30.0):
    return Part(measure.func.__name__ if isinstance(measure, partial) else measure.__name__, "", seconds, measure)


@pytest.fixture
def measure(tmp_path):
    with Worker(tmp_path / "log.txt", environment={"OF_THE_PROCESS": "set"}) as worker:
        yield lambda *args: worker.measure(part(*args), time.monotonic() + 60)


def test_a_part_that_fails_crashes_or_hangs_is_one_line_and_the_next_has_a_new_process(measure, tmp_path):
    first = measure(fakes.tells_its_process)
    assert first.facts["variable"] == "set"
    assert "OF_THE_PROCESS" not in os.environ
    assert measure(partial(fakes.works, {"a": 1}, {"a": 1, "b": 2})).facts == {"a": 1, "b": 2}
    left_out = measure(fakes.cannot)
    assert left_out[:3] == ("left out", "there is no such thing here", None)
    assert measure(fakes.tells_its_process).facts == first.facts  # the same process

    failed = measure(fakes.fails)
    assert failed[:3] == ("failed", "ValueError: no such code", {"so far": 1})
    assert "Traceback" in (tmp_path / "log.txt").read_text()
    assert measure(fakes.tells_its_process).facts["process"] != first.facts["process"]

    crashed = measure(fakes.crashes)
    assert crashed[:3] == ("failed", "the process ended by SIGSEGV; its last output is in log.txt", {"so far": 2})
    number = tmp_path / "number"
    hung = measure(partial(fakes.hangs, number), 1.0)
    assert hung[:3] == ("stopped", "stopped after 1 s", {"so far": 3})
    assert 1.0 <= hung.seconds < 5.0
    assert _ended(int(number.read_text()))
    assert measure(partial(fakes.works, {"a": 1})).status == "measured"


def test_a_process_that_cannot_start_is_one_line(tmp_path):
    with Worker(tmp_path / "log.txt", fakes.cannot_prepare) as worker:
        outcome = worker.measure(part(fakes.fails), time.monotonic() + 60)
        assert outcome[:2] == ("failed", "the process did not start: RuntimeError: no device")
        late = worker.measure(part(fakes.fails), time.monotonic() - 1)
        assert late[:2] == ("stopped", "the process did not start: stopped after 0 s")


def _ended(process):
    for _ in range(50):
        try:
            with open(f"/proc/{process}/stat", encoding="utf-8") as file:
                if file.read().split()[2] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False
