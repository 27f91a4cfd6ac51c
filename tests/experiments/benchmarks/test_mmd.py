"""All sides of the benchmark of the MMD compute the same, and memory is measured per process."""

from functools import partial

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments.benchmarks import matching, mmd, mmd_sides, sides
from experiments.benchmarks.measure import Timing
from experiments.benchmarks.mmd import OURS, Benchmark, Row
from genjax_models.errors import InputError
from genjax_models.systems.kernels import kernel_of_variances

torch = pytest.importorskip("torch")


@pytest.fixture
def samples():
    """Samples of different sizes, which blocks of 8 rows do not divide."""
    x, y = mmd_sides.samples(30)
    return x, y[:21]


def ours(x, y):
    kernel = kernel_of_variances(mmd_sides.VARIANCES)
    return jax.value_and_grad(lambda y: gx.mmd_squared_biased(x, y, kernel))(y)


@pytest.mark.slow
@pytest.mark.parametrize("estimate", [mmd_sides.mmd_of_matrices, mmd_sides.mmd_of_rows])
def test_all_estimates_have_the_same_value_and_gradient(estimate, samples, monkeypatch):
    monkeypatch.setattr(mmd_sides, "ROWS", 8)
    x, y = samples
    value, slope = ours(x, y)
    of_torch = torch.tensor(y, requires_grad=True)
    theirs = estimate(torch.tensor(x), of_torch)
    theirs.backward()
    np.testing.assert_allclose(float(theirs.detach()), value, rtol=1e-4)
    np.testing.assert_allclose(of_torch.grad, slope, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_the_gradient_by_hand_is_the_gradient_of_the_root(samples):
    x, y = samples
    value, slope = ours(x, y)
    root, by_hand = mmd_sides.root_and_gradient(torch.tensor(x), torch.tensor(y))
    np.testing.assert_allclose(float(root), np.sqrt(value), rtol=1e-4)
    np.testing.assert_allclose(by_hand, slope / (2 * np.sqrt(value)), rtol=1e-3, atol=1e-6)


def test_a_step_by_hand_is_the_step_of_autograd(monkeypatch):
    monkeypatch.setattr(matching, "GMMN_SIZES", (2, 3, 784))
    monkeypatch.setattr(matching, "GMMN_BATCH", 6)
    monkeypatch.setattr(sides, "torch_digits", lambda *_: torch.rand(20, 784))
    monkeypatch.setattr(matching, "torch_digits", lambda *_: torch.rand(20, 784))
    parameters, torch_generator = [], matching.torch_generator
    for make in (matching.torch_gmmn, mmd_sides.torch_gmmn_by_hand):
        torch.manual_seed(0)
        generator = torch_generator()
        monkeypatch.setattr(matching, "torch_generator", lambda generator=generator: generator)
        make(None)(3)
        parameters.append([parameter.detach().numpy() for parameter in generator.parameters()])
    for a, b in zip(*parameters, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def holding(mebibytes):
    """Returns a run whose steps hold so much memory for a moment."""

    def run(n):
        for _ in range(n):
            np.ones(mebibytes * 2**17).sum()

    return run


@pytest.mark.slow
def test_memory_and_processor_time_are_measured_per_process():
    rows = mmd.measure({OURS: partial(holding, 1), "more": partial(holding, 300)}, 1, turns=3, seconds=1e-3, warm=1)
    grown = {name: row.peak - row.before for name, row in rows.items()}
    assert grown[OURS] < 0.1
    assert grown["more"] == pytest.approx(300 / 1024, rel=0.1)
    for row in rows.values():  # on one core processor time is at most wall time
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


@pytest.mark.slow
def test_the_whole_command_measures_and_prints(monkeypatch, capsys):
    few = {OURS: partial(mmd.our_mmd, 20)}
    monkeypatch.setattr(mmd, "STEPS", few)
    monkeypatch.setattr(mmd, "contestants_at", lambda points: few)
    assert mmd.main(["--seconds", "0.001", "--turns", "3", "--points", "20", "--largest", "40"]) == 0
    out = capsys.readouterr().out
    for title in ("A step of a GMMN, batch 1,000", "MMD and gradient, 20 + 20", "MMD and gradient, 40 + 40: "):
        assert title in out


@pytest.mark.parametrize("wrong", [{"turns": 2}, {"points": 0}, {"seconds": 0.0}, {"largest": 0}, {"cores": -1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Benchmark(**wrong)
