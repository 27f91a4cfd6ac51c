"""Films: every frame, in order, with its title, in a bounded file."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from genjax_models.figures import films
from genjax_models.figures.films import eight_bits, film


def frames_of(content):
    return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(io.BytesIO(content)))]


def noise(n, frames, height, width, channels):
    return [
        (f"step {i}", np.random.RandomState(i).rand(n, height, width, channels).astype("float32"))
        for i in range(frames)
    ]


def test_a_frame_is_a_grid_under_its_title():
    colours = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1.0]]).reshape(4, 1, 1, 3)
    images = np.broadcast_to(colours, (4, 3, 3, 3))
    one, other = frames_of(film([("one", images), ("other", images[::-1])]))
    assert one.shape == other.shape == (420, 400, 3)
    assert (one[:20] < 100).any()  # the title
    middles = [(95, 75), (95, 275), (295, 75), (295, 275)]
    for frame, order in ((one, colours), (other, colours[::-1])):
        np.testing.assert_allclose([frame[place] for place in middles], 255 * order.reshape(4, 3), atol=8)


def test_a_film_there_and_back_has_each_middle_frame_twice():
    greys = [(f"{grey}", np.full((1, 4, 4, 1), grey)) for grey in (0.0, 0.5, 1.0)]
    shown = [frame[200, 200, 0] for frame in frames_of(film(greys, back=True))]
    np.testing.assert_allclose(shown, [0, 128, 255, 128], atol=5)


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 4), (90, 130, 3)])
def test_a_film_is_never_larger_than_it_may_be(shape):
    """Noise is the worst case; the first and the last frame stay."""
    content = film(noise(36, 6, *shape), most_bytes=150_000)
    assert len(content) <= 150_000
    assert len(frames_of(content)) >= 2
    assert max(frames_of(content)[0].shape) <= 420


def test_a_film_that_cannot_be_so_small():
    with pytest.raises(ValueError, match=r"`most_bytes` must be at least .* for these images, got 100"):
        film(noise(4, 3, 8, 8, 1), most_bytes=100)


def test_equal_frames_make_equal_files():
    assert film(noise(4, 3, 8, 8, 3)) == film(noise(4, 3, 8, 8, 3))


def test_eight_bits_of_a_range():
    values = np.array([-1, 0, 1, 7, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(eight_bits(values, (-1, 1)), [0, 128, 255, 255, 0, 255, 0])
    assert eight_bits(values, (-1, 1)).dtype == np.uint8
    np.testing.assert_array_equal(eight_bits(np.arange(256) / np.float32(255), (0, 1)), np.arange(256))
    assert films.MOST_BYTES == 2**20
