"""The time that was given is kept: parts that no longer fit are not run, and a failed part is not the last."""

from experiments.accelerator import schedule
from experiments.accelerator.part import Outcome, Part


class Clock:
    """A clock that the parts move."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def measure(self, takes):
        def measured(part, latest):
            self.now = min(latest, self.now + min(part.seconds, takes[part.name]))
            return Outcome("failed" if part.name == "bad" else "measured")

        return measured


def run(parts, seconds, takes, earlier=None):
    clock, ended = Clock(), []
    parts = [Part(name, "", most, lambda: iter([])) for name, most in parts]
    done = lambda part, outcome: ended.append((part.name, outcome.status, outcome.note))
    schedule.run(parts, 100.0 + seconds, clock.measure(takes), done, earlier, clock)
    return ended, clock.now - 100.0


def test_all_parts_run_in_order_and_a_failed_one_is_followed_by_the_next():
    ended, taken = run([("a", 10), ("bad", 10), ("b", 10)], 60, {"a": 2, "bad": 3, "b": 4})
    assert [name for name, *_ in ended] == ["a", "bad", "b"]
    assert [status for _, status, _ in ended] == ["measured", "failed", "measured"]
    assert taken == 9


def test_a_part_that_no_longer_fits_is_not_run_and_a_shorter_one_is():
    ended, taken = run([("a", 50), ("long", 60), ("short", 20)], 60, {"a": 50, "long": 60, "short": 5})
    assert ended == [
        ("a", "measured", ""),
        ("long", "not run", "10 s were left, and it may take 60 s"),
        ("short", "measured", ""),
    ]
    assert taken == 55


def test_no_part_begins_after_the_end_and_none_goes_on_past_it():
    ended, taken = run([("a", 80), ("b", 8), ("c", 8)], 60, {"a": 70, "b": 1, "c": 1})
    assert [status for _, status, _ in ended] == ["measured", "not run", "not run"]
    assert ended[1][2] == "0 s were left, and it may take 8 s"
    assert taken == 60


def test_what_an_earlier_call_has_measured_is_not_measured_again():
    earlier = {"a": Outcome("measured"), "b": Outcome("stopped"), "c": Outcome("not run")}
    ended, _ = run([("a", 8), ("b", 8), ("c", 8)], 60, dict.fromkeys("abc", 1), earlier)
    assert [name for name, *_ in ended] == ["b", "c"]
