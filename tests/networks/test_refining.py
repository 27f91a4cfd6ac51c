"""A refining generator keeps the size of its image, sees its neighbourhood and the class, and refuses other shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.networks.refining import RefiningGenerator

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (6, 8, 4, 3))
NETWORK = RefiningGenerator((8, 4, 2), (4,), kernel=3)


def test_images_keep_their_size_and_any_leading_axes():
    variables = NETWORK.init(KEY, X)
    made = NETWORK.apply(variables, X)
    assert made.shape == (6, 8, 4, 2)
    np.testing.assert_allclose(
        NETWORK.apply(variables, X.reshape(2, 3, 8, 4, 3)), made.reshape(2, 3, 8, 4, 2), rtol=1e-5
    )
    np.testing.assert_allclose(NETWORK.apply(variables, X[:1]), made[:1], rtol=1e-5, atol=1e-6)


def test_a_pixel_is_made_of_its_neighbourhood():
    """Two layers of 3 x 3: what is three pixels away is not seen."""
    variables = NETWORK.init(KEY, X)
    change = jnp.abs(NETWORK.apply(variables, X.at[:, 0, 0].add(1)) - NETWORK.apply(variables, X)).max((0, 3))
    assert np.all(change[:3, :3] > 1e-6)
    assert np.all(change[3:] == 0)
    assert np.all(change[:, 3:] == 0)


def test_the_class_is_a_plane():
    condition = jnp.eye(3)[jnp.arange(6) % 3]
    variables = NETWORK.init(KEY, X, condition)
    assert variables["params"]["condition"]["kernel"].shape == (3, 32)
    one, other = (NETWORK.apply(variables, X, c) for c in (condition, jnp.roll(condition, 1, axis=0)))
    assert np.abs(one - other).max((1, 2, 3)).min() > 1e-3
    np.testing.assert_allclose(
        NETWORK.apply(variables, X.reshape(2, 3, 8, 4, 3), condition.reshape(2, 3, 3)).reshape(one.shape),
        one,
        rtol=1e-5,
    )


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(8, 4, 3\), got an array of shape \(6, 8, 4, 2\)"):
        NETWORK.init(KEY, X[..., :2])
