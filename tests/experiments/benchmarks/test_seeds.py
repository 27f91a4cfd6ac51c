"""Members of one program learn from their own seeds, and the table has their throughput."""

import importlib
import operator
import re

import jax
import numpy as np
import pytest

from experiments import gan_mixture
from experiments.benchmarks import seeds
from genjax_models import training
from genjax_models.errors import InputError
from genjax_models.runs.fields import replaced

SMALL = {"hidden": (4,), "training.batch_size": 8}


@pytest.mark.parametrize("name", seeds.CASES)
def test_every_case_is_an_experiment_with_these_fields(name):
    case = seeds.CASES[name]
    experiment = importlib.import_module(f"experiments.{case.experiment}").EXPERIMENT
    config = replaced(experiment.config(), case.fields)
    assert all(operator.attrgetter(field)(config) == value for field, value in case.fields.items())


@pytest.mark.slow
def test_the_table_has_the_throughput_of_all_members(monkeypatch):
    monkeypatch.setattr(seeds, "CASES", {"points": seeds.Case("gan_mixture", SMALL), "none": seeds.Case("vae")})
    seconds = {(1, True): 1e-3, (4, True): 2e-3, (4, False): 4e-3}
    monkeypatch.setattr(seeds, "steps", lambda experiment, config, *way: _sleeping(seconds[way]))
    (row,) = seeds.benchmark(seeds.Benchmark(members=4, only=("gan_mixture",), seconds=0.05)).splitlines()[2:]
    one, together, in_turn = (float(word) for word in row.split()[1:4])
    gains = [float(gain) for gain in re.findall(r"([\d.]+) x", row)]
    assert gains == pytest.approx([together / one, in_turn / one], rel=0.5)
    assert gains == pytest.approx([2, 1], rel=0.5)  # four members together in twice the time


@pytest.mark.slow
def test_each_member_learns_from_its_own_seed(monkeypatch):
    results = []
    loop_over_rows = training.loop_over_rows

    def recorded(*args, **options):
        loop = loop_over_rows(*args, **options)
        return lambda *inputs: results.append(loop(*inputs)) or results[-1]

    monkeypatch.setattr(training, "loop_over_rows", recorded)
    config = replaced(gan_mixture.Config(), SMALL)
    seeds.steps(gan_mixture.EXPERIMENT, config, 2)(3)
    state = results[-1][0]
    np.testing.assert_array_equal(state.step, [3, 3])
    for leaf in jax.tree.leaves(state.variables["generator"]["params"]):
        assert np.any(leaf[0] != leaf[1]) or not np.any(leaf)


@pytest.mark.parametrize("wrong", [{"members": 1}, {"turns": 4}, {"seconds": 0.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        seeds.Benchmark(**wrong)


def _sleeping(seconds):
    import time

    return lambda n: time.sleep(seconds * n)
