"""The picture and the table have the measured times, and the command measures all curves."""

import numpy as np
import pytest

from experiments.benchmarks import scaling
from experiments.benchmarks.measure import Timing
from genjax_models.errors import InputError


def curve(seconds):
    timings = [Timing(np.array(row), 1.0) for row in seconds]
    return scaling.Curve("VAE", "batch", (10, 1_000), timings)


def test_the_picture_and_the_table_have_the_medians_and_their_spread():
    seconds = [[1e-3, 2e-3, 4e-3], [0.1, 0.2, 0.3]]
    figure = scaling.picture([curve(seconds), curve([[0.1] * 3, [0.2] * 3])], "a machine")
    for axes, times, ideal in zip(figure.axes, ([2, 200], [100, 200]), ([2, 200], [2, 200]), strict=True):
        middle, proportional = axes.lines[0], axes.lines[-1]
        np.testing.assert_allclose(middle.get_ydata(), times)
        np.testing.assert_allclose(proportional.get_ydata(), ideal)
    assert scaling.table([curve(seconds)]).splitlines()[1:] == [
        "        10         2 ms  (1 to 4)",
        "     1,000       200 ms  (100 to 300)",
    ]


@pytest.mark.slow
def test_all_three_curves_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "VAE_HIDDEN", 4)
    monkeypatch.setattr(scaling, "IWAE_HIDDEN", 4)
    options = scaling.Benchmark(
        batch=(9,), num_samples=(2,), latent=(2,), seconds=1e-3, to=tmp_path / "new" / "scaling.png"
    )
    lines = scaling.benchmark(options).splitlines()
    titles = [
        "VAE, by examples per batch",
        "IWAE, 20 examples per batch, by samples k per example",
        "VAE, 100 examples per batch, by latent dimensions",
    ]
    assert [line for line in lines[1:] if not line.startswith(" ")] == titles
    assert sum(" ms  (" in line for line in lines) == 3
    assert options.to.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", [{"turns": 4}, {"latent": (0,)}, {"batch": (10, 2.5)}, {"seconds": 0.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        scaling.Benchmark(**wrong)
