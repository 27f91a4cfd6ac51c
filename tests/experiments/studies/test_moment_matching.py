"""Figures are of the samples, and a generator learns the moments of its objective."""

import jax
import numpy as np
import pytest

from experiments.studies import moment_matching
from experiments.studies.moment_matching import MomentMatching
from genjax_models.errors import InputError
from genjax_models.estimators.moments import moment_difference

OPTIONS = MomentMatching(orders=(1, 2), steps=200, batch_size=64, latent=2, hidden=(16,), learning_rate=1e-2)


@pytest.mark.slow
def test_the_moments_of_the_ring_below_the_eighth_do_not_depend_on_its_angle():
    """A rotation by a sixteenth of a circle exchanges modes and gaps; exact, on the centres."""
    from genjax_models.data.synthetic import RING8

    centres = np.asarray(RING8.centres)
    angle = np.pi / 8
    rotated = centres @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert float(moment_difference(centres, rotated, 6)) < 1e-5
    assert float(moment_difference(centres, rotated, 8)) > 1


@pytest.mark.slow
def test_data_compare_well_with_data_and_a_gaussian_of_the_same_two_moments_does_not():
    data = np.asarray(moment_matching.ring(jax.random.key(5), 5_000))
    gaussian = np.sqrt(2) * np.random.default_rng(0).normal(size=(5_000, 2)).astype(np.float32)
    real, blob = (moment_matching.compare(OPTIONS, samples) for samples in (data, gaussian))
    assert (real.modes, blob.modes) == (8, 0)
    assert real.good == pytest.approx(0.989, abs=0.01)
    assert blob.good < 0.05
    assert real.moments < 0.3
    assert blob.moments < 0.3
    assert blob.p_value == pytest.approx(0.001)
    assert real.p_value > 0.001


@pytest.mark.slow
def test_a_generator_learns_the_moments_of_its_objective():
    objectives = moment_matching.objectives(OPTIONS)
    assert list(objectives) == ["1 moment", "2 moments", "MMD"]
    first, second = (moment_matching.learn(OPTIONS, objectives[name]) for name in ("1 moment", "2 moments"))
    assert np.abs(first.mean(0)).max() < 0.3
    assert np.abs(second.mean(0)).max() < 0.3
    np.testing.assert_allclose(second.T @ second / len(second), 2 * np.eye(2), atol=0.5)
    assert np.trace(first.T @ first) / len(first) < 3  # not 4, which is no part of its objective


@pytest.mark.slow
def test_the_command_measures_draws_and_prints(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(moment_matching, "_SAMPLES", 200)
    monkeypatch.setattr(moment_matching, "_TESTED", 50)
    out = tmp_path / "new" / "picture.png"
    flags = "--orders 2 --steps 2 --batch-size 4 --latent 1 --hidden 3 --bandwidths 1.0 --to"
    assert moment_matching.main([*flags.split(), str(out)]) == 0
    _, *lines, where = capsys.readouterr().out.splitlines()
    assert [line[:12].strip() for line in lines] == ["2 moments", "MMD", "data"]
    assert where == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong",
    [{"orders": ()}, {"orders": (7,)}, {"orders": (0,)}, {"bandwidths": (-1.0,)}, {"batch_size": 1}, {"seed": -1}],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong)).removesuffix("s")):
        MomentMatching(**wrong)
