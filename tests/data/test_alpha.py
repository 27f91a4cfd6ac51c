"""Images with alpha become images on white where red, green and blue are needed; others are refused in one line."""

import numpy as np
import pytest

from genjax_models.data import from_arrays, load
from genjax_models.data.alpha import opaque
from genjax_models.errors import InputError
from genjax_models.systems.settings import Data

X = np.random.RandomState(0).randint(0, 256, (20, 4, 3, 4)).astype(np.uint8)


def exact(x):
    return x[..., 3:] * x[..., :3] + (1 - x[..., 3:])


def test_alpha_mixes_colour_with_white():
    dataset = opaque(from_arrays(X, np.arange(20) % 2, factors=np.arange(20)[:, None]))
    assert (dataset.shape, dataset.train.x.dtype, dataset.num_classes) == ((4, 3, 3), np.uint8, 2)
    for split in (dataset.train, dataset.validation, dataset.test):
        rows = split.factors[:, 0].astype(int)
        assert np.abs(split.x - 255 * exact(X[rows] / 255)).max() <= 0.5 + 1e-4
    of_floats = opaque(from_arrays(X / 255))
    assert of_floats.train.x.dtype == np.float32
    assert of_floats.train.x.max() <= 1


def test_transparent_pixels_of_the_chairs_are_white():
    before, after = load("chairs:16"), opaque(load("chairs:16"))
    assert (after.test.x[before.test.x[..., 3] == 0] == 255).all()
    full = before.test.x[..., 3] == 255
    np.testing.assert_array_equal(after.test.x[full], before.test.x[full][..., :3])


@pytest.mark.parametrize("x", [X[..., :3], X.reshape(20, -1)])
def test_data_without_alpha_are_refused(x):
    with pytest.raises(InputError, match="arrays: opaque needs images of four channels in memory, got "):
        opaque(from_arrays(x))


def test_where_red_green_and_blue_are_needed_alpha_is_refused():
    Data(name="a", shape=(4, 4, 3)).needs_rgb()
    with pytest.raises(
        InputError, match=r"^data must be red, green and blue, got 4 channels from chairs\. data\.alpha"
    ):
        Data(name="chairs", shape=(4, 4, 4)).needs_rgb()
    with pytest.raises(InputError, match=r"^data must be red, green and blue, got 1 channels from a$"):
        Data(name="a", shape=(4, 4, 1)).needs_rgb()
