"""The benchmark of BigGAN: PyTorch's side computes the same, and a mistake there is seen."""

import pytest

from experiments.benchmarks import biggan, biggan_sides
from experiments.biggan import Config
from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training
from genjax_models.systems.residual_networks import ResidualNetworks

NETWORKS = ResidualNetworks((8, 8), (8, 8), shared=4)
SMALL = Config(latent=6, networks=NETWORKS, training=Training(batch_size=6))


@pytest.mark.slow
def test_both_sides_have_one_step_and_a_mistake_is_seen(monkeypatch):
    pytest.importorskip("torch")
    from experiments.benchmarks import biggan_torch

    shared = biggan_sides.setting(SMALL)
    assert biggan_sides.checked(shared).startswith("6,292 ")
    batch_norm = biggan_torch.batch_norm
    monkeypatch.setattr(biggan_torch, "batch_norm", lambda s, x, *affine: 1.01 * batch_norm(s, x, *affine))
    with pytest.raises(AssertionError, match=r"the sides differ by more than 0\.001: images"):
        biggan_sides.checked(shared)
    monkeypatch.undo()
    monkeypatch.setattr(biggan_torch, "attend", lambda p, s, x: x)
    with pytest.raises(AssertionError, match="parameters, and PyTorch's losses depend on"):
        biggan_sides.checked(shared)


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"seconds": 0.0}, {"threads": -1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        biggan.Benchmark(**wrong)
