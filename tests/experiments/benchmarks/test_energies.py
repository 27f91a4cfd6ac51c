"""The benchmark of energies: both sides compute one gradient and one loss, and a mistake in either is seen."""

import pytest

from experiments.benchmarks import energies
from genjax_models.errors import InputError


@pytest.fixture
def small(monkeypatch):
    pytest.importorskip("torch")
    for name, size in {"HIDDEN": 6, "TOP": 5, "BATCH": 4}.items():
        monkeypatch.setattr(energies, name, size)


def test_both_sides_have_one_gradient_and_one_loss(small):
    energies.check()


@pytest.mark.parametrize(("name", "wrong"), [("pcd_gradient", -1), ("torch_prediction_loss", 1.001)])
def test_a_side_with_another_gradient_or_loss_is_seen(name, wrong, small, monkeypatch):
    right = getattr(energies, name)

    def scaled(*inputs):
        found = right(*inputs)
        return {key: wrong * value for key, value in found.items()} if isinstance(found, dict) else wrong * found

    monkeypatch.setattr(energies, name, scaled)
    with pytest.raises(AssertionError, match="Mismatched"):
        energies.check()


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"seconds": 0.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        energies.Benchmark(**wrong)
