"""Changes of pictures with known parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.data.transformations import NAMES, Transformations, drawn, mirrored, transformed

ALPHA = np.random.RandomState(0).uniform(size=(2, 10, 10, 1)).astype(np.float32)
X = np.concatenate([ALPHA * np.random.RandomState(1).uniform(size=(2, 10, 10, 3)).astype(np.float32), ALPHA], axis=-1)
APPLY = jax.jit(transformed, static_argnums=2)


def changed(name, value, most, x=X):
    parameters = np.zeros((len(x), len(NAMES)), np.float32)
    parameters[:, NAMES.index(name)] = value
    return np.asarray(APPLY(x, parameters, most))


def test_zeros_change_nothing_and_parameters_lie_within_1():
    np.testing.assert_allclose(APPLY(X, np.zeros((2, 8)), Transformations()), X, atol=1e-6)
    parameters = drawn(jax.random.key(0), 1_000)
    assert parameters.shape == (1_000, len(NAMES))
    assert float(jnp.abs(parameters).max()) <= 1
    assert float(parameters.max(axis=0).min()) > 0.9


@pytest.mark.parametrize(("name", "axis"), [("move right", 2), ("move down", 1)])
def test_a_move_by_two_pixels_leaves_a_transparent_margin(name, axis):
    moved = np.moveaxis(changed(name, 1.0, Transformations(move=0.2)), axis, 0)
    np.testing.assert_allclose(moved[2:], np.moveaxis(X, axis, 0)[:-2], atol=1e-5)
    np.testing.assert_array_equal(moved[:2], 0)


def test_a_quarter_turn_turns_against_the_clock():
    turned = changed("rotate", 1.0, Transformations(rotate=90.0))
    expected = np.rot90(X, axes=(1, 2))
    np.testing.assert_allclose(turned[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-5)


def test_zoom_and_stretch_have_the_inverse_at_minus_1_and_stretch_keeps_the_area():
    block = np.zeros((1, 40, 40, 4), np.float32)
    block[:, 10:30, 10:30] = 1
    area = lambda x: float(x[..., 3].sum())
    assert area(changed("zoom", 1.0, Transformations(zoom=0.5), block)) == pytest.approx(400 * 1.5**2, rel=0.02)
    assert area(changed("zoom", -1.0, Transformations(zoom=0.5), block)) == pytest.approx(400 / 1.5**2, rel=0.1)
    stretched = changed("stretch", 1.0, Transformations(stretch=0.5), block)[0, ..., 3]
    assert area(stretched[..., None].repeat(4, -1)) == pytest.approx(400, rel=0.02)
    assert stretched.max(axis=0).sum() == pytest.approx(30, abs=1.1)


def test_colours_turn_around_grey_and_stay_below_alpha():
    third = changed("hue", 1.0, Transformations(hue=120.0), 0.3 * X + 0.35 * np.float32([1, 1, 1, 2]))
    mixed = 0.3 * X + 0.35 * np.float32([1, 1, 1, 2])
    luminance = np.float32([0.299, 0.587, 0.114])
    np.testing.assert_allclose(third[..., :3] @ luminance, mixed[..., :3] @ luminance, atol=1e-5)
    away = third[..., :3] - third[..., :3].mean(-1, keepdims=True)
    before = mixed[..., :3] - mixed[..., :3].mean(-1, keepdims=True)
    np.testing.assert_allclose(away, np.roll(before, 1, axis=-1), atol=1e-5)  # red becomes green, green blue
    grey = changed("saturation", -1.0, Transformations(saturation=1e6))
    np.testing.assert_allclose(grey[..., 0], grey[..., 1], atol=1e-4)
    bright = changed("brightness", 1.0, Transformations(brightness=3.0))
    np.testing.assert_allclose(bright[..., :3], np.minimum(4 * X[..., :3], X[..., 3:]), atol=1e-5)
    np.testing.assert_allclose(bright[..., 3], X[..., 3], atol=1e-6)


def test_each_picture_has_its_own_parameters():
    parameters = np.zeros((2, len(NAMES)), np.float32)
    parameters[1] = 1
    both = APPLY(X, parameters, Transformations())
    np.testing.assert_allclose(both[0], X[0], atol=1e-6)
    assert float(jnp.abs(both[1] - X[1]).max()) > 0.1


def test_a_share_of_pictures_stays_still():
    parameters = np.asarray(drawn(jax.random.key(0), 1_000, 0.25))
    still = (parameters == 0).all(axis=1)
    assert 200 < still.sum() < 300  # 3.7 standard errors: false alarms 2e-4
    assert (parameters[~still] != 0).all()


def test_half_of_the_pictures_are_mirrored_and_their_odd_factors_change_their_sign():
    x = np.broadcast_to(X[:1], (1_000, *X.shape[1:]))
    factors = np.broadcast_to(np.float32([0.3, 0.5]), (1_000, 2))
    made, others = map(np.asarray, mirrored(jax.random.key(0), x, factors, np.array([True, False])))
    flip = others[:, 2] == 1
    assert 420 < flip.sum() < 580  # 5 standard errors: false alarms 6e-7
    np.testing.assert_array_equal(made[flip], x[flip][:, :, ::-1])
    np.testing.assert_array_equal(made[~flip], x[~flip])
    np.testing.assert_array_equal(others[flip] - np.float32([-0.3, 0.5, 1]), 0)
    np.testing.assert_array_equal(others[~flip] - np.float32([0.3, 0.5, 0]), 0)
