"""Many seeds as one program, and one seed."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.accelerator.part import Facts
from experiments.benchmarks import seeds
from experiments.benchmarks.measure import ratio

MEMBERS = 8


def members(name: str) -> Iterator[Facts]:
    """Yields the steps per second of one seed, and of eight seeds in sum, together and in turn."""
    options = seeds.Benchmark(members=MEMBERS, turns=5, seconds=0.3)
    timings = seeds.measure(seeds.CASES[name], options)
    yield {
        "what": name,
        "members": MEMBERS,
        "steps_per_second_of_one": timings["one"].rate,
        "steps_per_second_of_all": MEMBERS * timings["together"].rate,
        "steps_per_second_of_all_in_turn": MEMBERS * timings["in turn"].rate,
        "throughput": [MEMBERS * value for value in ratio(timings["together"], timings["one"])],
        "throughput_in_turn": [MEMBERS * value for value in ratio(timings["in turn"], timings["one"])],
        "ready_in_seconds": [timing.compiling for timing in timings.values()],
    }
