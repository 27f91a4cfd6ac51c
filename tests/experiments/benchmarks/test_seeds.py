"""Members in one program are timed as what they are: so many steps, each of all of them."""

import jax
import numpy as np
import pytest

from experiments import gan_mixture
from experiments.benchmarks import seeds
from genjax_models.errors import InputError
from genjax_models.runs.fields import replaced

SMALL = {"hidden": (4,), "training.batch_size": 8}


def test_every_case_is_an_experiment_with_these_fields():
    for case in seeds.CASES.values():
        experiment = seeds.importlib.import_module(f"experiments.{case.experiment}").EXPERIMENT
        replaced(experiment.config(), case.fields)


def test_the_table_has_the_throughput_of_all_members(monkeypatch):
    monkeypatch.setattr(seeds, "CASES", {"points": seeds.Case("gan_mixture", SMALL), "none": seeds.Case("vae")})
    slept = {1: 1e-3, 4: 2e-3}
    monkeypatch.setattr(seeds, "steps", lambda experiment, config, members: _takes(slept[members]))
    row = seeds.benchmark(seeds.Benchmark(members=4, only=("gan_mixture",), seconds=0.05)).splitlines()[2:]
    assert len(row) == 1
    alone, together, throughput = (float(word) for word in row[0].split()[1:4])
    assert throughput == pytest.approx(together / alone, rel=0.5)
    assert throughput == pytest.approx(2, rel=0.5)  # four members in twice the time


def test_members_learn_each_from_its_own_seed(monkeypatch):
    seen = []
    loop_over_data = seeds.gx.loop_over_data

    def spied(*args, **options):
        loop = loop_over_data(*args, **options)
        return lambda *of: seen.append(loop(*of)) or seen[-1]

    monkeypatch.setattr(seeds.gx, "loop_over_data", spied)
    config = replaced(gan_mixture.Config(), SMALL)
    seeds.steps(gan_mixture.EXPERIMENT, config, 2)(3)
    state = seen[-1][0]
    np.testing.assert_array_equal(state.step, [3, 3])
    for leaf in jax.tree.leaves(state.variables["generator"]["params"]):
        assert np.any(leaf[0] != leaf[1]) or not np.any(leaf)


@pytest.mark.parametrize("wrong", [{"members": 1}, {"turns": 4}, {"seconds": 0.0}])
def test_what_cannot_be_measured_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        seeds.Benchmark(**wrong)


def _takes(seconds):
    import time

    return lambda n: time.sleep(seconds * n)
