"""Margins around images: their place, their value, and images that need none."""

import numpy as np
import pytest

import genjax_models as gx
from genjax_models.data.padding import padded, without_margin
from genjax_models.errors import InputError


def data_of(shape, dtype=np.uint8, range=(0, 255)):
    random = np.random.RandomState(0)
    factors = lambda n: np.arange(2 * n).reshape(n, 2)
    split = lambda n: gx.data.Split(
        random.randint(1, 3, (n, *shape)).astype(dtype) * 100
        if range == (0, 255)
        else random.uniform(*range, (n, *shape)).astype(dtype),
        label=np.arange(n) % 3,
        factors=factors(n),
    )
    return gx.from_splits(split(9), split(3), split(3), range=range, num_classes=3)


def test_the_image_stays_in_the_middle_of_a_margin_of_the_lowest_value():
    data = data_of((5, 4, 3), np.float32, (-1.0, 1.0))
    made = padded(data, 8)
    assert made.shape == (8, 8, 3)
    for before, after in ((data.train, made.train), (data.validation, made.validation), (data.test, made.test)):
        np.testing.assert_array_equal(after.x[:, 1:6, 2:6], before.x)
        np.testing.assert_array_equal(without_margin(after.x, 5, 4), before.x)
        np.testing.assert_array_equal(after.label, before.label)
        np.testing.assert_array_equal(after.factors, before.factors)
        assert after.x.dtype == before.x.dtype
        margin = np.ones((8, 8), bool)
        margin[1:6, 2:6] = False
        assert np.all(after.x[:, margin] == -1)
    assert made.provenance == data.provenance + "; 5 x 4 set in a margin of -1, 8 x 8"
    assert (made.name, made.range, made.num_classes) == (data.name, data.range, data.num_classes)


def test_images_that_are_large_enough_stay_unchanged():
    data = data_of((5, 4, 1))
    assert padded(data, 4) is data
    assert padded(data, 5).shape == (5, 5, 1)


def test_mnist_becomes_32_pixels_wide_and_keeps_its_numbers():
    data = gx.load("mnist10k")
    made = padded(data, 32)
    assert made.shape == (32, 32, 1)
    assert made.train.x.sum(dtype=np.int64) == data.train.x.sum(dtype=np.int64)
    assert made.train.x.dtype == np.uint8


def test_points_have_no_margin():
    with pytest.raises(InputError, match=r"a margin needs images, got examples of shape \(2,\) from moons"):
        padded(gx.load("moons"), 4)
