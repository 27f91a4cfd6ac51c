"""Great circles, and means by class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.evaluation.interpolation import class_means, grid_along, spherical_interpolation

A, B = jnp.array([2.0, 0.0, 0.0]), jnp.array([0.0, 2.0, 0.0])


def test_a_third_of_a_right_angle_is_30_degrees():
    expected = [2 * np.cos(np.pi / 6), 2 * np.sin(np.pi / 6), 0]
    np.testing.assert_allclose(spherical_interpolation(A, B, 1 / 3), expected, rtol=1e-6)


def test_ends_are_ends_and_angles_are_even():
    z = jax.random.normal(jax.random.key(0), (2, 5, 40))
    shares = jnp.linspace(0, 1, 9)[:, None]
    way = spherical_interpolation(z[0], z[1], shares)
    assert way.shape == (9, 5, 40)
    np.testing.assert_allclose(way[0], z[0], atol=1e-5)
    np.testing.assert_allclose(way[-1], z[1], atol=1e-5)
    lengths = np.linalg.norm(way, axis=-1)
    np.testing.assert_allclose(lengths, (1 - shares) * lengths[0] + shares * lengths[-1], rtol=1e-5)
    unit = way / lengths[..., None]
    steps = np.arccos(np.sum(unit[1:] * unit[:-1], axis=-1))
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:1], steps.shape), rtol=1e-3)


def test_a_straight_line_would_be_detected():
    """A planted mistake: halfway between two draws in 40 dimensions a line is shorter by about the root of 2."""
    z = jax.random.normal(jax.random.key(0), (2, 40))
    middle = spherical_interpolation(z[0], z[1], 0.5)
    ratio = np.linalg.norm(middle) / np.linalg.norm(z.mean(axis=0))
    assert 1.3 < ratio < 1.6


@pytest.mark.parametrize("end", [[2.0, 0.0, 0.0], [2.0, 1e-6, 0.0], [6.0, 0.0, 0.0]])
def test_parallel_ends_go_straight(end):
    middle = spherical_interpolation(A, jnp.array(end), 0.25)
    np.testing.assert_allclose(middle, 0.75 * A + 0.25 * jnp.array(end), atol=1e-5)


def test_class_means_weigh_by_probability():
    z = jnp.array([[0.0, 0.0], [2.0, 4.0], [4.0, 0.0]])
    probabilities = jnp.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    means = class_means(z, probabilities)
    np.testing.assert_allclose(means, [[2 / 3, 4 / 3], [10 / 3, 4 / 3], [0, 0]], rtol=1e-6)


def test_a_grid_moves_along_two_directions_from_the_part_orthogonal_to_both():
    start, u = np.array([5.0, -4.0, 3.0]), np.sqrt(0.5)
    for second in ([0.0, 1.0, 0.0], [u, u, 0.0]):
        grid = grid_along(start, np.array([[1.0, 0.0, 0.0], second]), 2.0, 3)
        assert grid.shape == (3, 3, 3)
        np.testing.assert_allclose(grid[1, 1], [0, 0, 3], atol=1e-5)
        np.testing.assert_allclose(grid[2, 1] - grid[1, 1], [2, 0, 0], atol=1e-5)
        np.testing.assert_allclose(grid[0, 2] - grid[0, 1], 2 * np.array(second), atol=1e-5)
