"""All sides of the benchmark of the MMD compute the same, and memory is that of the process that took it."""

from functools import partial

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import gmmn
from experiments.benchmarks import mmd, samplers
from experiments.benchmarks.measure import Timing
from experiments.benchmarks.mmd import OURS, Benchmark, Row
from genjax_models.errors import InputError

torch = pytest.importorskip("torch")


@pytest.fixture
def samples():
    """Sizes that differ, and that blocks of 8 rows do not divide."""
    x, y = mmd.samples(30)
    return x, y[:21]


def ours(x, y):
    kernel = gmmn.kernel_of(mmd.VARIANCES)
    return jax.value_and_grad(lambda y: gx.mmd_squared_biased(x, y, kernel))(y)


@pytest.mark.parametrize("estimate", [mmd.of_matrices, mmd.of_rows])
def test_all_estimates_are_one_and_have_one_gradient(estimate, samples, monkeypatch):
    monkeypatch.setattr(mmd, "ROWS", 8)
    x, y = samples
    value, slope = ours(x, y)
    of_torch = torch.tensor(y, requires_grad=True)
    theirs = estimate(torch.tensor(x), of_torch)
    theirs.backward()
    np.testing.assert_allclose(float(theirs.detach()), value, rtol=1e-4)
    np.testing.assert_allclose(of_torch.grad, slope, rtol=1e-3, atol=1e-6)


def test_the_gradient_by_hand_is_that_of_the_root(samples):
    x, y = samples
    value, slope = ours(x, y)
    root, by_hand = mmd.root_and_gradient(torch.tensor(x), torch.tensor(y))
    np.testing.assert_allclose(float(root), np.sqrt(value), rtol=1e-4)
    np.testing.assert_allclose(by_hand, slope / (2 * np.sqrt(value)), rtol=1e-3, atol=1e-6)


def test_a_step_by_hand_is_that_of_autograd(monkeypatch):
    monkeypatch.setattr(samplers, "GMMN_SIZES", (2, 3, 784))
    monkeypatch.setattr(samplers, "GMMN_BATCH", 6)
    seen = []
    for make in (samplers.torch_gmmn, mmd.torch_gmmn_by_hand):
        made = []
        layers = samplers.torch_generator
        with monkeypatch.context() as patched:
            patched.setattr(
                samplers, "torch_generator", lambda made=made, layers=layers: made.append(layers()) or made[0]
            )
            torch.manual_seed(0)
            make(None)(3)
        seen.append([parameter.detach().numpy() for parameter in made[0].parameters()])
    for a, b in zip(*seen, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def held(mebibytes):
    """A run that holds so much for a moment."""

    def run(n):
        for _ in range(n):
            np.ones(mebibytes * 2**17).sum()

    return run


def test_each_contestant_s_memory_is_that_of_its_own_process():
    rows = mmd.measure({OURS: partial(held, 1), "more": partial(held, 300)}, 1, turns=3, seconds=1e-3, warm=1)
    grown = {name: row.peak - row.before for name, row in rows.items()}
    assert grown[OURS] < 0.1
    assert grown["more"] == pytest.approx(300 / 1024, rel=0.1)
    for row in rows.values():  # on one core there is no more processor time than time
        assert len(row.timing.seconds) == len(row.processor.seconds) == 3
        assert 0 < np.median(row.processor.seconds) <= 1.1 * np.median(row.timing.seconds)


def test_the_table_has_medians_ratios_and_memory():
    def row(seconds, processor, before, peak):
        return Row(Timing(np.array(seconds), 0.0), Timing(np.array(processor), 0.0), before, peak)

    rows = {OURS: row([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 0.5, 0.75)}
    rows["torch"] = row([2.0, 2.0, 9.0], [4.0, 5.0, 6.0], 0.25, 6.5)
    _, first, second = mmd.table("a step", rows).splitlines()
    assert " ".join(first.split()) == "genjax_models 2.000 1.000 0.75 (0.50)"
    by = "2.000 2.00 x (1.00 to 3.00) 5.000 5.00 x (4.00 to 6.00)"
    assert " ".join(second.split()) == f"torch {by} 6.50 (0.25)"


def test_the_whole_command_measures_and_tells(monkeypatch, capsys):
    few = {OURS: partial(mmd.our_mmd, 20)}
    monkeypatch.setattr(mmd, "STEPS", few)
    monkeypatch.setattr(mmd, "at", lambda points: few)
    assert mmd.main(["--seconds", "0.001", "--turns", "3", "--points", "20", "--largest", "40"]) == 0
    out = capsys.readouterr().out
    for title in ("A step of a GMMN, batch 1,000", "MMD and gradient, 20 + 20", "MMD and gradient, 40 + 40: "):
        assert title in out


@pytest.mark.parametrize("wrong", [{"turns": 2}, {"points": 0}, {"seconds": 0.0}, {"largest": 0}, {"cores": -1}])
def test_what_cannot_be_measured_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Benchmark(**wrong)
