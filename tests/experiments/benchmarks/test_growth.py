"""Costs are per unit, a meter has the memory of its own stage, and every part can be measured."""

import numpy as np
import pytest

from experiments.benchmarks import growth, growth_points
from experiments.benchmarks.growth_points import Cost, Meter
from genjax_models.errors import InputError


def test_lines_have_the_time_of_a_unit_and_the_memory_of_all():
    points = {
        10: {"load": Cost(10, 2e-3, 0.0), "size": Cost(10, 0.0, 3.0)},
        1_000: {"load": Cost(1_000, 0.5, 1_234.0), "size": Cost(1_000, 0.0, 300.0)},
    }
    load, size = growth.lines(points)
    assert load.split() == ["load", "10:", "200", "us", "1,000:", "500", "us", "1,234", "MiB"]
    assert size.split() == ["size", "10:", "3", "MiB", "1,000:", "300", "MiB"]


def test_a_meter_has_the_peak_of_its_own_stage():
    meter = Meter()
    with meter("large", 1):
        np.ones(2**25, np.uint8).sum()
    with meter("small", 1):
        pass
    assert meter.costs["large"].mib > 25 > 5 > meter.costs["small"].mib


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "n", "stages"),
    [
        ("memory", 1_000, {"load", "train"}),
        ("stream", 1_000, {"hold", "permute", "read"}),
        ("rows", 20, {"run and report", "report", "resume", "compare", "size of report.html"}),
        ("samples", 60, {"IWAE", "NLL"}),
        ("members", 2, {"run", "compile", "steps", "evaluate", "report"}),
    ],
)
def test_every_part_is_measured(part, n, stages):
    pytest.importorskip("grain")
    costs = getattr(growth_points, part)(n)
    assert stages <= set(costs)
    assert all(cost.seconds > 0 or cost.mib > 0 for cost in costs.values())


@pytest.mark.parametrize("wrong", [{"examples": (10,)}, {"samples": (0,)}, {"members": (1.5,)}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        growth.Benchmark(**wrong)
