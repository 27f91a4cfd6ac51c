"""All sides of the benchmark of judging compute the same, and its table has the measured figures."""

import json
from typing import get_args

import numpy as np
import pytest

from experiments.benchmarks import judging, judging_likelihoods, judging_samples
from experiments.benchmarks.contests import EAGER, OURS
from experiments.benchmarks.judging import Benchmark, Sides
from experiments.benchmarks.measure import Timing
from genjax_models.errors import InputError
from genjax_models.estimators.mmd import mmd_squared_unbiased


def test_every_figure_has_a_contest():
    assert set(judging.FIGURES) == set(get_args(judging.Name))


def test_the_mmd_by_hand_is_the_library_s():
    pytest.importorskip("torch")
    x, y = judging_samples.pair_of_samples()
    ours, by_hand = judging_samples.our_test(x, y)(), judging_samples.torch_test(x, y)()
    kernel = judging_samples.gx.gaussian_kernel(float(judging_samples.gx.median_bandwidth(x, y)))
    assert ours[0] == pytest.approx(float(mmd_squared_unbiased(x, y, kernel)), rel=1e-3)
    judging_samples.assert_same_test(ours, by_hand, ours[1])
    with pytest.raises(ArithmeticError, match="p-values must agree"):
        judging_samples.assert_same_test(ours, by_hand, ours[1] + 0.3)


@pytest.mark.slow
def test_both_sides_have_the_same_nll_and_the_same_annealed_bounds():
    pytest.importorskip("torch")
    setting = judging_likelihoods.judged(4)
    assert "within" in judging_likelihoods.assert_same_nll(setting)
    sides = [judging_likelihoods.our_annealing(setting), judging_likelihoods.torch_annealing(setting, None)]
    assert "standard errors" in judging_likelihoods.assert_same_bounds(setting, sides)
    higher = [sides[0], lambda: np.asarray(sides[1]()) + 30]  # of four images, 5 standard errors are up to 10 nats
    with pytest.raises(ArithmeticError, match="mean bounds must agree"):
        judging_likelihoods.assert_same_bounds(setting, higher)


@pytest.mark.slow
def test_figures_of_samples_are_those_of_the_peers():
    for package in ("torch_fidelity", "prdc", "hyppo"):
        pytest.importorskip(package)
    options = Benchmark(points=1_000, features=8)
    for name in ("frechet", "kernel", "coverage", "test"):
        assert "within" in judging.FIGURES[name](options).check()


def test_another_figure_is_refused():
    assert judging_samples.assert_same("it", 2.0, 2.001, 1e-3) == "it 2: within 5.0e-04"
    for theirs in (2.1, float("nan")):
        with pytest.raises(ArithmeticError, match="it must agree to 1e-03, got 2"):
            judging_samples.assert_same("it", 2.0, theirs, 1e-3)


def test_the_table_has_seconds_and_ratios():
    timings = {
        OURS: Timing(np.array([0.01, 0.02, 0.01]), 1.25),
        EAGER: Timing(np.array([0.02, 0.03, 0.03]), 0.5),
    }
    head, same, ours, theirs = judging.table(Sides("a figure", {}, str), timings, "equal").splitlines()
    assert head.startswith("a figure")
    assert same.strip() == "equal"
    assert " ".join(ours.split()) == "genjax_models 0.010 1.2 s"
    assert " ".join(theirs.split()) == "torch eager 0.030 0.5 s 2.00 x (1.50 to 3.00)"


def test_the_whole_command_checks_measures_prints_and_writes(tmp_path, monkeypatch, capsys):
    checked = []
    sides = Sides("a toy", {OURS: lambda: 1, EAGER: lambda: 2}, lambda: checked.append(1) or "equal")
    monkeypatch.setattr(judging, "FIGURES", {"nll": lambda options: sides})
    monkeypatch.setattr(judging, "PACKAGES", ("numpy",))
    to = tmp_path / "new" / "judging.json"
    assert judging.main(["--only", "nll", "--seconds", "1e-5", "--turns", "3", "--to", str(to)]) == 0
    assert "a toy" in capsys.readouterr().out
    stored = json.loads(to.read_text())["nll"]
    assert checked == [1]
    assert stored["equality"] == "equal"
    assert all(len(seconds) == 3 for seconds in stored["seconds"].values())


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(judging, "PACKAGES", ("numpy", "no_such_package"))
    with pytest.raises(InputError, match="the benchmark needs no_such_package; pip install"):
        next(judging.benchmark(Benchmark()))


@pytest.mark.parametrize("wrong", [{"turns": 2}, {"seconds": 0.0}, {"points": 999}, {"features": 0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Benchmark(**wrong)
