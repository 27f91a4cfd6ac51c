"""The picture and the table have the measured times, and the command measures all curves."""

import os

import numpy as np
import pytest

from experiments.benchmarks import scaling
from experiments.benchmarks.measure import Timing
from genjax_models.errors import InputError


def curve(seconds, **options):
    timings = [Timing(np.array(row), 1.0) for row in seconds]
    return scaling.Curve("VAE", "batch", (10, 1_000), timings, **options)


def test_the_picture_and_the_table_have_the_medians_and_their_spread():
    seconds = [[1e-3, 2e-3, 4e-3], [0.1, 0.2, 0.3]]
    figure = scaling.picture([curve(seconds), curve(seconds, grows=False)], "a machine")
    for axes, ideal in zip(figure.axes, ([2, 200], [2, 0.02]), strict=True):
        middle, proportional = axes.lines[0], axes.lines[-1]
        np.testing.assert_allclose(middle.get_ydata(), [2, 200])
        np.testing.assert_allclose(proportional.get_ydata(), ideal)
    assert scaling.table([curve(seconds)]).splitlines()[1:] == [
        "        10         2 ms  (1 to 4)",
        "     1,000       200 ms  (100 to 300)",
    ]


@pytest.mark.slow
@pytest.mark.four_devices
def test_all_four_curves_are_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # the command changes it
    monkeypatch.setattr(scaling, "VAE_HIDDEN", 4)
    monkeypatch.setattr(scaling, "IWAE_HIDDEN", 4)
    options = scaling.Benchmark(
        batch=(9,), num_samples=(2,), latent=(2,), devices=(4,), seconds=1e-3, to=tmp_path / "new" / "scaling.png"
    )
    lines = scaling.benchmark(options).splitlines()
    titles = ["VAE, by batch", "IWAE, batch 20, by k", "VAE, batch 100, by latent size", "VAE, batch 8, by devices"]
    assert [line for line in lines[1:] if not line.startswith(" ")] == titles
    assert sum(" ms  (" in line for line in lines) == 4
    assert options.to.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [{"turns": 4}, {"devices": (0,)}, {"batch": (10, 2.5)}, {"seconds": 0.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        scaling.Benchmark(**wrong)
