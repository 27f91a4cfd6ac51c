"""Random changes of training images."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.augmentation import mirrored, shifted


def test_images_move_by_whole_pixels_to_every_place_alike():
    """The counts of 2,000 draws are within 5 standard errors of 1/9 each: one false alarm in 190,000."""
    x = jnp.zeros((2_000, 5, 5, 1)).at[:, 2, 2].set(1)
    moved = np.asarray(jax.jit(lambda key: shifted(key, x, 1))(jax.random.key(0)))
    assert moved.shape == x.shape
    counts = moved[..., 0].sum(axis=0)
    assert counts[1:4, 1:4].sum() == 2_000
    assert np.all(np.abs(counts[1:4, 1:4] - 2_000 / 9) < 5 * np.sqrt(2_000 * 8 / 81))
    np.testing.assert_array_equal(shifted(jax.random.key(0), x, 0), x)


def test_pixels_that_move_out_are_replaced_by_zeros():
    x = jnp.ones((50, 4, 4, 2))
    kept = np.asarray(shifted(jax.random.key(1), x, 2)).sum(axis=(1, 2, 3)) / 2
    assert set(kept) <= {rows * columns for rows in (2, 3, 4) for columns in (2, 3, 4)}
    assert len(set(kept)) > 2


def test_half_of_the_images_are_mirrored_left_and_right():
    x = jnp.tile(jnp.arange(6.0).reshape(1, 2, 3, 1), (400, 1, 1, 1))
    images = np.asarray(mirrored(jax.random.key(0), x))
    same = (images == np.asarray(x)).all(axis=(1, 2, 3))
    assert (images[~same] == np.asarray(x)[~same][:, :, ::-1]).all()
    assert abs(same.mean() - 0.5) < 5 * np.sqrt(0.25 / 400)
