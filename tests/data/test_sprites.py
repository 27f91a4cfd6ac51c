"""Any row of the grid of sprites is drawn from its five factors; held-out sprites look like none of training."""

import numpy as np
import pytest

from genjax_models.data import load, load_source, sprites
from genjax_models.errors import InputError

GRID = sprites.source()


def test_rows_of_the_grid_are_all_combinations_in_order():
    assert sprites.TOTAL == 737_280
    rows = np.array([0, 1, 32, 1024, 40_960, 245_760, 737_279])
    steps = [[0] * 5, [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]
    np.testing.assert_array_equal(sprites.factors(rows), [*steps, [2, 5, 39, 31, 31]])


@pytest.mark.parametrize("row", [-1, 737_280])
def test_rows_outside_the_grid_are_refused(row):
    with pytest.raises(InputError, match=f"sprites: rows must be 0 to 737279, got {row}"):
        sprites.factors(np.array([3, row]))


def test_sprites_have_the_area_and_the_centre_that_their_factors_say():
    values = np.array([(shape, scale, 3, x, y) for shape in (0, 1) for scale in (0, 5) for x, y in ((0, 31), (20, 4))])
    images = GRID.draw(values)[..., 0].astype(float)
    assert images.shape == (8, 64, 64)
    assert set(np.unique(images)) == {0.0, 1.0}
    half_width = 0.14 * (0.5 + 0.1 * values[:, 1]) * 64
    exact = np.where(values[:, 0] == 0, 1.6**2, np.pi / 2) * half_width**2
    np.testing.assert_allclose(images.sum(axis=(1, 2)), exact, rtol=0.12)  # a pixel needs 3 of its 4 samples
    places = np.arange(64) + 0.5
    for axis, column in ((1, 3), (2, 4)):  # sums over lines give x
        centre = (images.sum(axis=axis) * places).sum(axis=1) / images.sum(axis=(1, 2))
        np.testing.assert_allclose(centre, 64 * (0.2 + 0.6 * values[:, column] / 31), atol=0.4)


def test_a_turn_by_half_leaves_an_ellipse_and_changes_a_heart():
    turned = lambda shape: GRID.draw(np.array([(shape, 5, 3, 12, 12), (shape, 5, 23, 12, 12)])).astype(int)
    assert np.ptp(turned(1), axis=0).sum() < 5
    assert np.ptp(turned(2), axis=0).sum() > 50


def test_extreme_places_fit_into_every_size():
    values = np.array([(shape, 5, k, x, y) for shape in range(3) for k in (0, 5) for x in (0, 31) for y in (0, 31)])
    for size in (8, 16, 33, 64):
        assert sprites.source(size).draw(values).any(axis=(1, 2, 3)).all()
    assert GRID.draw(values[:0]).shape == (0, 64, 64, 1)


def test_samples_are_uniform_and_do_not_depend_on_their_number():
    values = GRID.sample(np.random.RandomState(0), 20_000)
    np.testing.assert_array_equal(GRID.sample(np.random.RandomState(0), 9), values[:9])
    for column, factor in zip(values.T, GRID.factors, strict=True):
        counts = np.bincount(column.astype(int), minlength=factor.size)
        expected = 20_000 / factor.size
        assert len(counts) == factor.size
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_the_data_set_is_a_subset_whose_held_out_images_are_new(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sprites, "SIZES", (400, 50, 50))
    dataset = load("sprites:16")
    assert (dataset.shape, dataset.is_binary, dataset.num_classes) == ((16, 16, 1), True, 3)
    assert dataset.class_names == ("square", "ellipse", "heart")
    assert sum(len(split.x) for split in (dataset.train, dataset.validation, dataset.test)) == 500
    again = load_source("sprites:16").draw(dataset.test.factors)
    np.testing.assert_array_equal(again, dataset.test.x)
    np.testing.assert_array_equal(dataset.test.factors[:, 0], dataset.test.label)
    assert "examples are copies, each kept in the split of its like" in dataset.provenance
    held_out = {x.tobytes() for split in (dataset.validation, dataset.test) for x in split.x}
    assert not held_out & {x.tobytes() for x in dataset.train.x}


def test_sources_are_found_by_name():
    assert [factor.name for factor in load_source("sprites").factors] == ["shape", "scale", "orientation", "x", "y"]
    assert load_source("sprites").range == (0, 1)
    assert load_source("rivers:32").range == (0, 255)
    with pytest.raises(InputError, match=r"no source of examples 'chairs'; accepted are rivers, sprites, faces \(or"):
        load_source("chairs")
    with pytest.raises(InputError, match="sprites: the side of images must be 8 to 512 pixels, got 1000"):
        load_source("sprites:1000")
