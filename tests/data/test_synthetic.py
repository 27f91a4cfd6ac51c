"""Points in the plane: the same at every call, in disjoint splits, drawn from the stated density."""

import numpy as np
import pytest
from scipy import stats

from genjax_models.data import load, synthetic
from genjax_models.errors import InputError
from tests.statistics import assert_mean

NAMES = ["moons", "spiral", "ring8", "grid25"]
CURVES = ["moons", "spiral"]
MODES = {"ring8": synthetic.RING8, "grid25": synthetic.GRID25}


def splits(dataset):
    return dataset.train, dataset.validation, dataset.test


def plane(reach, step):
    """The centres of square cells that tile [-reach, reach]^2."""
    axis = np.arange(-reach + step / 2, reach, step)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_three_splits_of_float32_points_within_the_declared_range(name):
    dataset = load(name)
    assert dataset.name == name
    assert [split.x.shape for split in splits(dataset)] == [(10_000, 2), (2_000, 2), (2_000, 2)]
    every = np.concatenate([split.x for split in splits(dataset)])
    assert every.dtype == np.float32
    assert dataset.range == (-np.ceil(np.abs(every).max()), np.ceil(np.abs(every).max()))
    assert len(np.unique(every, axis=0)) > 13_990  # float32 makes copies of a few; none of them across splits
    assert dataset.num_classes == {"moons": 2, "spiral": None, "ring8": 8, "grid25": 25}[name]
    for split, again in zip(splits(dataset), splits(load(name)), strict=True):
        np.testing.assert_array_equal(split.x, again.x)
        if dataset.num_classes:
            np.testing.assert_array_equal(split.label, again.label)
            counts = np.bincount(split.label, minlength=dataset.num_classes)
            assert stats.chisquare(counts).pvalue > 6e-7


def test_all_sets_differ():
    first = [load(name).train.x[0] for name in NAMES]
    assert len(np.unique(first, axis=0)) == len(NAMES)


@pytest.mark.parametrize("name", CURVES)
def test_the_density_of_curves_integrates_to_one_and_is_that_of_the_data(name):
    """Its mean over data is minus the entropy; another scale, curve or speed would change it."""
    points, step = plane(load(name).range[1], 0.025), 0.025
    log_p = synthetic.log_density(name, points)
    np.testing.assert_allclose(np.exp(log_p).sum() * step**2, 1, atol=1e-7)
    entropy = -(np.exp(log_p) * log_p).sum() * step**2
    for split in splits(load(name)):
        assert_mean(-synthetic.log_density(name, split.x), entropy)
    with pytest.raises(AssertionError):
        assert_mean(-synthetic.log_density(name, 1.02 * load(name).train.x), entropy)


@pytest.mark.parametrize("name", CURVES)
def test_the_quadrature_along_curves_has_converged(name, monkeypatch):
    x = np.concatenate([load(name).test.x, plane(load(name).range[1], 0.5)])
    log_p = synthetic.log_density(name, x)
    monkeypatch.setattr(synthetic, "_CURVE_NODES", 800)
    np.testing.assert_allclose(synthetic.log_density(name, x), log_p, rtol=0, atol=1e-9)
    monkeypatch.setattr(synthetic, "_CURVE_NODES", 20)
    assert np.abs(synthetic.log_density(name, x) - log_p).max() > 0.01  # too few nodes have a visible error


@pytest.mark.parametrize("name", MODES)
def test_modes_lie_at_the_stated_centres_with_the_stated_scale(name):
    source, train = MODES[name], load(name).train
    for label, centre in enumerate(source.centres):
        centred = (train.x - centre)[train.label == label]
        assert_mean(centred, 0)
        assert_mean(centred**2, source.scale**2, float_error=1e-7)
        assert np.abs(stats.skew(centred)).max() < 5 * np.sqrt(6 / len(centred))


def test_the_ring_and_the_grid_have_the_parameters_of_the_papers():
    np.testing.assert_allclose(np.linalg.norm(synthetic.RING8.centres, axis=1), 2)
    gaps = np.linalg.norm(np.diff(synthetic.RING8.centres, axis=0), axis=1)
    np.testing.assert_allclose(gaps, 4 * np.sin(np.pi / 8))
    grid = {(float(x), float(y)) for x, y in synthetic.GRID25.centres}
    assert grid == {(x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)}
    assert (synthetic.RING8.scale, synthetic.GRID25.scale) == (0.02, 0.05)


@pytest.mark.parametrize("name", MODES)
def test_the_density_of_modes_is_their_sum(name):
    source = MODES[name]
    x = np.concatenate([load(name).test.x[:50], source.centres[:3] + source.scale * np.array([3, -2])])
    density = sum(stats.multivariate_normal.pdf(x, c, source.scale**2) for c in source.centres) / len(source.centres)
    np.testing.assert_allclose(synthetic.log_density(name, x), np.log(density), rtol=1e-9)
    entropy = np.log(len(source.centres)) + np.log(2 * np.pi * source.scale**2) + 1  # of modes that do not touch
    assert_mean(-synthetic.log_density(name, load(name).train.x), entropy)


@pytest.mark.parametrize(("name", "nearest"), [("Moons", "moons"), ("spirals", "spiral"), ("grid-25", "grid25")])
def test_a_misspelt_name_suggests_the_nearest(name, nearest):
    with pytest.raises(
        InputError, match=rf"did you mean '{nearest}'.*points in the plane: moons, spiral, ring8, grid25"
    ):
        load(name)


def test_a_set_of_known_density_accepts_no_range():
    with pytest.raises(InputError, match="'ring8' has its own range"):
        load("ring8", range=(-1, 1))
