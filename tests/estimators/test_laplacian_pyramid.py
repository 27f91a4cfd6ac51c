"""The pyramid's images against exact ones, its operators against their transposes, and what has no pyramid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators import laplacian_pyramid as pyramids
from genjax_models.estimators.laplacian_pyramid import (
    check_levels,
    downsample,
    gaussian_pyramid,
    high_pass,
    laplacian_pyramid,
    low_pass,
    reconstruct,
    upsample,
)

# Exact: the numbers 0, ..., 15 in four rows.
I0 = np.arange(16.0, dtype=np.float32).reshape(4, 4, 1)
I1 = np.array([[2.5, 4.5], [10.5, 12.5]])
I2 = np.array([[7.5]])
H0 = np.array([[-2.5, -1.5, -2.5, -1.5], [1.5, 2.5, 1.5, 2.5]] * 2)
H1 = np.array([[-5.0, -3.0], [3.0, 5.0]])

X = jax.random.uniform(jax.random.key(0), (5, 16, 8, 3))  # neither square nor grey


def check_values():
    """All of these numbers are exact in float32."""
    for image, exact in zip(gaussian_pyramid(I0, 3), (I0[..., 0], I1, I2), strict=True):
        np.testing.assert_array_equal(image[..., 0], exact)
    for image, exact in zip(laplacian_pyramid(I0, 3), (H0, H1, I2), strict=True):
        np.testing.assert_array_equal(image[..., 0], exact)


def check_inverse():
    """Up to rounding: two operations a level, each within 6e-8 of numbers of about 1."""
    for levels in (1, 2, 3, 4):
        np.testing.assert_allclose(reconstruct(laplacian_pyramid(X, levels)), X, rtol=0, atol=1e-6)


def inner(one, other):
    return np.vdot(np.asarray(one, np.float64), np.asarray(other, np.float64))


def check_adjoint():
    """<d(x), y> = <x, u(y)> / 4, and so are the gradients."""
    y = jax.random.normal(jax.random.key(1), (5, 8, 4, 3))
    np.testing.assert_allclose(inner(pyramids.downsample(X), y), inner(X, pyramids.upsample(y)) / 4, rtol=1e-5)
    (of_down,) = jax.vjp(pyramids.downsample, X)[1](y)
    np.testing.assert_allclose(of_down, pyramids.upsample(y) / 4, rtol=1e-6)
    (of_up,) = jax.vjp(pyramids.upsample, y)[1](X)
    np.testing.assert_allclose(of_up, 4 * pyramids.downsample(X), rtol=1e-6)


def test_the_pyramid_of_known_numbers():
    check_values()


def test_the_pyramid_is_inverted():
    check_inverse()


def test_up_is_four_times_the_transpose_of_down():
    check_adjoint()


def test_the_inverse_adds_from_the_coarsest_on():
    h = [jax.random.normal(jax.random.key(i), (8 >> i, 8 >> i, 1)) for i in range(3)]
    np.testing.assert_allclose(reconstruct(h), h[0] + upsample(h[1] + upsample(h[2])), rtol=1e-6)
    np.testing.assert_array_equal(reconstruct(h[:1]), h[0])


def test_high_and_low_pass_are_projections_on_parts_at_right_angles():
    np.testing.assert_allclose(low_pass(low_pass(X)), low_pass(X), rtol=1e-6)
    np.testing.assert_allclose(high_pass(high_pass(X)), high_pass(X), atol=1e-6)
    np.testing.assert_allclose(low_pass(high_pass(X)), 0, atol=1e-6)
    np.testing.assert_allclose(downsample(upsample(X)), X, rtol=1e-6)
    assert abs(inner(low_pass(X), high_pass(X))) < 1e-4
    np.testing.assert_allclose(
        inner(X, X), inner(low_pass(X), low_pass(X)) + inner(high_pass(X), high_pass(X)), rtol=1e-5
    )


def test_a_pyramid_of_made_up_high_passes_is_that_of_its_image():
    """What a refining generator counts on: no h that it may make moves the images that are coarser."""
    h = [high_pass(jax.random.normal(jax.random.key(i), (2, 16 >> i, 16 >> i, 1))) for i in range(2)]
    made = [*h, jax.random.normal(jax.random.key(2), (2, 4, 4, 1))]
    for part, again in zip(made, laplacian_pyramid(reconstruct(made), 3), strict=True):
        np.testing.assert_allclose(part, again, atol=1e-6)


# Plausible mistakes, and the checks that see each. The inverse is exact whatever d and u are: it sees neither.
MISTAKES = {
    "every other pixel, not smoothed": ("downsample", lambda x: x[..., ::2, ::2, :], {check_values, check_adjoint}),
    "twice the means": ("downsample", lambda x: 2 * downsample(x), {check_values, check_adjoint}),
    "means over rows alone, then every other column": (
        "downsample", lambda x: (x[..., ::2, ::2, :] + x[..., 1::2, ::2, :]) / 2, {check_values, check_adjoint}
    ),
    "the image tiled, not its pixels repeated": (
        "upsample", lambda x: jnp.concatenate([jnp.concatenate([x, x], -2)] * 2, -3), {check_values, check_adjoint}
    ),
    "zeros between the pixels": (
        "upsample", lambda x: jnp.zeros_like(upsample(x)).at[..., ::2, ::2, :].set(x), {check_values, check_adjoint}
    ),
    "the low pass kept": ("high_pass", low_pass, {check_values, check_inverse}),
    "the finer image taken from the coarser": (
        "high_pass", lambda x: -high_pass(x), {check_values, check_inverse}
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("check", [check_values, check_adjoint, check_inverse])
def test_plausible_mistakes_are_seen(mistake, check, monkeypatch):
    name, wrong, seen_by = MISTAKES[mistake]
    monkeypatch.setattr(pyramids, name, wrong)
    if check in seen_by:
        with pytest.raises(AssertionError):
            check()
    else:
        check()


@pytest.mark.parametrize(
    ("shape", "levels", "message"),
    [
        ((30, 30, 1), 3, r"3 levels need images whose height and width are multiples of 4, got \(30, 30\)"),
        ((5, 32, 28, 3), 4, r"multiples of 8, got \(32, 28\)"),
        ((0, 4, 1), 2, r"multiples of 2, got \(0, 4\)"),
        ((28, 28), 2, r"images \[..., height, width, channels\], got shape \(28, 28\)"),
        ((28, 28, 1), 0, "levels must be an integer of at least 1, got 0"),
        ((28, 28, 1), -1, "at least 1, got -1"),
        ((28, 28, 1), True, "at least 1, got True"),
        ((28, 28, 1), 2.0, "at least 1, got 2.0"),
    ],
)
def test_what_has_no_pyramid_is_refused(shape, levels, message):
    for refuse in (
        lambda: check_levels(shape, levels),
        lambda: gaussian_pyramid(jnp.zeros(shape), levels),
        lambda: laplacian_pyramid(jnp.zeros(shape), levels),
    ):
        with pytest.raises(ValueError, match=message):
            refuse()


def test_an_odd_image_is_not_halved():
    with pytest.raises(ValueError, match=r"multiples of 2, got \(4, 7\)"):
        downsample(jnp.zeros((4, 7, 1)))
