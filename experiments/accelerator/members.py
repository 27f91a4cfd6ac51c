"""Many seeds as one program, and one seed."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.accelerator.part import Facts
from experiments.benchmarks import seeds
from experiments.benchmarks.measure import ratio

MEMBERS = 8


def members(name: str) -> Iterator[Facts]:
    """Yields the steps per second of one seed, and of eight seeds in sum."""
    options = seeds.Benchmark(members=MEMBERS, turns=5, seconds=0.3)
    timings = seeds.measure(seeds.CASES[name], options)
    yield {
        "what": name,
        "members": MEMBERS,
        "steps_per_second_of_one": timings[1].rate,
        "steps_per_second_of_all": MEMBERS * timings[MEMBERS].rate,
        "throughput": [MEMBERS * value for value in ratio(timings[MEMBERS], timings[1])],
        "ready_in_seconds": [timings[n].compiling for n in (1, MEMBERS)],
    }
