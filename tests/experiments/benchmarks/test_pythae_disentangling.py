"""The benchmark of pythae's disentangling models: its options, and our side; these tests do not need pythae."""

import importlib.util

import numpy as np
import pytest

import genjax_models as gx
from experiments.benchmarks import pythae_disentangling as benchmark
from genjax_models.errors import InputError


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["beta_tcvae", "factor_vae"])
def test_our_side_makes_steps_and_has_the_variables_of_its_model(objective, monkeypatch):
    monkeypatch.setattr(benchmark, "DISCRIMINATOR", (8,))
    images = np.random.RandomState(0).randint(0, 2, (60, 4, 4, 1)).astype(np.uint8) * 255
    data = gx.prepare(gx.from_arrays(images), range=(0, 1))
    setting = benchmark.Benchmark(objective=objective, batch_size=4, updates=3).setting
    assert setting.batch_size == {"beta_tcvae": 4, "factor_vae": 8}[objective]
    side = benchmark.ours(setting, data, 0)
    side.steps(3)
    assert side.model.posterior(side.variables(), data.test.x).mean().shape == (len(data.test.x), benchmark.LATENT)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 1}, "batch_size must be an integer of at least 2, got 1"),
        ({"strength": 0.0}, "strength must be positive and finite, got 0.0"),
        ({"seeds": ()}, "seeds must have at least one seed"),
    ],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        benchmark.Benchmark(**wrong)


@pytest.mark.skipif(importlib.util.find_spec("pythae") is not None, reason="pythae is installed")
def test_without_pythae_one_line_says_how_to_install_it(capsys):
    with pytest.raises(SystemExit) as stop:
        benchmark.main([])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install --target FOLDER --no-deps pythae==0.1.2" in line
