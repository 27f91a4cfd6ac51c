"""The chairs of the package, their views, and the two groups that are held out."""

import numpy as np
import pytest

from genjax_models.data import chairs, load, prepare
from genjax_models.errors import InputError

VIEWS = chairs.views(8)


@pytest.fixture(scope="module")
def dataset():
    return load("chairs")


def test_the_groups_are_all_renders_and_share_none(dataset):
    splits = dataset.train, dataset.validation, dataset.test
    assert [len(split.x) for split in splits] == [875, 210, 155]
    assert (dataset.shape, dataset.num_classes, dataset.train.x.dtype) == ((64, 64, 4), 20, np.uint8)
    rows = np.concatenate([np.column_stack([split.label, split.factors]) for split in splits])
    assert len(np.unique(rows.round(4), axis=0)) == 1240
    for split in splits:  # straight colours: white where nothing is
        assert (split.x[split.x[..., 3] == 0] == (255, 255, 255, 0)).all()
    assert dataset.class_names[15] == "Osaka chair (Daniliescudsg)"


def test_transfer_is_an_elevation_that_training_never_has_of_that_style():
    high = lambda split: set(split.label[split.factors[:, 2] > 0.45].tolist())
    assert high(VIEWS.transfer) == {0, 4, 8, 12, 16}
    assert high(VIEWS.train) == high(VIEWS.interpolation) == set(range(20)) - {0, 4, 8, 12, 16}
    assert (VIEWS.transfer.factors[:, 2] > 0.45).all()
    for split in (VIEWS.train, VIEWS.interpolation):  # the low elevation is known of all
        assert set(split.label[split.factors[:, 2] < 0.45].tolist()) == set(range(20))


def test_training_has_both_neighbours_of_each_azimuth_of_interpolation():
    def of(split):
        degrees = np.rad2deg(np.arctan2(split.factors[:, 0], split.factors[:, 1])) % 360
        number = np.rint(degrees / 360 * 31).astype(int) % 31
        return set(zip(split.label.tolist(), (split.factors[:, 2] > 0.45).tolist(), number.tolist(), strict=True))

    train, interpolation = of(VIEWS.train), of(VIEWS.interpolation)
    assert {number for _, _, number in interpolation} == {2, 7, 12, 17, 22, 27}
    for style, is_high, number in interpolation:
        assert {(style, is_high, number - 1), (style, is_high, number + 1)} <= train


def test_a_view_is_sin_and_cos_of_its_angles():
    exact = [[0.0, 1.0], [0.0, -1.0], [-0.20129852008866114, 0.9795299412524943], [0.0, 1.0]]  # oracle o17, `view`
    found = chairs.view(np.array([0.0, 180.0, 348.3870967741935, 360.0]), 30.0)
    np.testing.assert_allclose(found[:, :2], exact, atol=1e-7)
    np.testing.assert_allclose(found[:, 2:], [[0.5, np.sqrt(0.75)]] * 4, rtol=1e-6)
    for column, factor in zip(VIEWS.train.factors.T, chairs.FACTORS, strict=True):
        low, high = factor.range
        assert low - 1e-6 <= column.min() < low + 0.02
        assert high - 0.02 < column.max() <= high + 1e-6


def test_smaller_images_are_averages_of_premultiplied_colour():
    x = np.zeros((1, 2, 4, 4), np.uint8)
    x[..., :3] = 255
    x[0, 0, 0] = (200, 0, 100, 255)
    x[0, 1, 1] = (100, 0, 100, 51)
    np.testing.assert_array_equal(chairs.averaged(x, 2), [[[[183, 0, 100, 76], [255, 255, 255, 0]]]])
    large, small = (chairs.views(size).transfer.x[::40].astype(float) for size in (64, 32))
    premultiplied = lambda x: x[..., :3] * x[..., 3:] / 255
    blocks = premultiplied(large).reshape(-1, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(premultiplied(small) - blocks).max() < 1.2


def test_prepared_chairs_have_alpha_and_their_views(dataset):
    data = prepare(dataset)
    assert data.test.x.shape == (155, 64, 64, 4)
    assert data.test.factors.shape == (155, 4)
    assert load("chairs:32").shape == (32, 32, 4)


@pytest.mark.parametrize("name", ["chairs:48", "chairs:128"])
def test_another_side_is_refused(name):
    with pytest.raises(InputError, match=r"chairs: the side of images must be 8, 16, 32 or 64 pixels, got (48|128)"):
        load(name)


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "chairs64.npz").write_bytes(b"PK")
    monkeypatch.setattr(chairs.resources, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match=r"chairs64\.npz: is damaged .*Install the package again"):
        load("chairs")
