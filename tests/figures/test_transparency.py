"""Images with alpha are shown on white."""

import numpy as np

from genjax_models.figures.transparency import on_white


def test_alpha_mixes_colour_with_white():
    x = np.array([[200, 0, 100, 255], [100, 0, 100, 51], [9, 9, 9, 0]], np.uint8)
    expected = np.array([[200, 0, 100], [224, 204, 224], [255, 255, 255]])
    np.testing.assert_allclose(on_white(x, 255), expected, rtol=1e-6)
    np.testing.assert_allclose(on_white(x / 255), expected / 255, rtol=1e-6)
