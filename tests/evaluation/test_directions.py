"""Directions of a linear layer and of small generators, against exact values."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.evaluation.directions import closed_form_directions, first_layer, principal_directions
from genjax_models.evaluation.interpolation import walk_along

# y = A z, A [out, in]
A = np.array(
    [
        [-2.5189700223141562, -1.003579084608467],
        [-0.771534974682812, -1.3469437970327498],
        [-0.24397501823713325, 0.4225771273642583],
    ]
)
DIRECTIONS = [[0.8660254037844387, 0.5], [-0.5, 0.8660254037844387]]


def test_closed_form_directions_are_right_singular_vectors_of_the_first_layer():
    found = closed_form_directions(A.T)
    np.testing.assert_allclose(found.vectors, DIRECTIONS, atol=1e-12)
    np.testing.assert_allclose(found.strengths, [9, 1], rtol=1e-12)


def test_principal_directions_of_a_linear_layer_are_the_same():
    """Draws whose covariance is exactly I."""
    z = np.random.RandomState(0).normal(size=(500, 2))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T, ddof=0))).T
    found = principal_directions(z, z @ A.T + 7)
    np.testing.assert_allclose(found.vectors, DIRECTIONS, atol=1e-9)
    np.testing.assert_allclose(found.strengths, [9, 1], rtol=1e-9)
    np.testing.assert_allclose(principal_directions(z, z @ A.T, 1).vectors, DIRECTIONS[:1], atol=1e-9)


@pytest.mark.parametrize(
    ("generator", "label", "shape"),
    [
        (gx.MLPGenerator((4, 4, 1), (5,)), (), (5,)),
        (gx.DCGANGenerator((4, 4, 1), (3,)), (), (2, 2, 3)),
        (gx.ConvolutionalGenerator((4, 4, 1), (3,), (6,)), (), (6,)),
        (gx.MLPGenerator((4, 4, 1), (5,)), (jnp.ones((1, 3)),), (5,)),
        (gx.MLPGenerator((4, 4, 1), ()), (), (4, 4, 1)),
    ],
)
def test_the_first_layer_of_a_generator(generator, label, shape):
    """A condition's rows are no part of the kernel."""
    variables = generator.init(jax.random.key(0), jnp.zeros((1, 2)), *label)
    generate = lambda z: generator.apply(variables, z, *(jnp.broadcast_to(a, (len(z), 3)) for a in label))
    layer = first_layer(generate, 2)
    kernel = next(leaf for leaf in jax.tree.leaves(variables["params"]) if leaf.shape[0] in (2, 5) and leaf.ndim == 2)
    np.testing.assert_array_equal(layer.kernel, kernel[:2])
    np.testing.assert_array_equal(layer.reads, [1, 1])
    features = layer.features(jnp.ones((7, 2)))
    assert features.shape == (7, *shape)
    assert (features >= 0).all() or shape == (4, 4, 1)  # after the activation


@pytest.mark.slow
def test_a_generator_with_chunks_of_z_has_a_first_layer_per_chunk():
    """Moving z changes what the layers emit by z times the kernel; the embedding of the class is no part of it."""
    generator = gx.BigGANGenerator((8, 8, 1), (8, 8), classes=3, shared=4, chunk=2)
    label = jax.nn.one_hot(jnp.array([1]), 3)
    variables = generator.init(jax.random.key(0), jnp.zeros((1, 6)), label)
    generate = lambda z: generator.apply(variables, z, jnp.broadcast_to(label, (len(z), 3)))
    layer = first_layer(generate, 6)
    # first [2, 32] of chunk 0; gains and biases [2, 8] of two normalisations per block, of chunks 1 and 2
    assert layer.kernel.shape == (6, 32 + 8 * 8)
    blocks = np.abs(layer.kernel).reshape(3, 2, -1).max(axis=1) > 0
    np.testing.assert_array_equal(blocks.sum(axis=1), [32, 32, 32])
    np.testing.assert_array_equal(blocks.sum(axis=0), 1)
    z = jnp.asarray(np.random.RandomState(0).normal(size=(5, 6)), jnp.float32)
    features = layer.features(z)
    assert features.shape == (5, 2, 2, 8)
    np.testing.assert_array_equal(layer.reads, [1, 1, 1, 1, 0, 0])
    for i, reads in enumerate(layer.reads):
        assert np.array_equal(layer.features(z.at[:, i].add(1)), features) == (not reads), i
    vectors = closed_form_directions(layer.kernel).vectors
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(6), atol=1e-6)


def test_a_walk_along_a_direction_changes_nothing_else():
    start, vectors = np.array([1.0, 2.0, 3.0]), np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    walks = walk_along(start, vectors, 2.0, 5)
    assert walks.shape == (2, 5, 3)
    for walk, vector in zip(walks, vectors, strict=True):
        np.testing.assert_allclose(walk @ vector, [-2, -1, 0, 1, 2], atol=1e-6)
        rest = start - (start @ vector) * vector
        np.testing.assert_allclose(walk - np.outer(walk @ vector, vector), np.tile(rest, (5, 1)), atol=1e-6)


class Convolved(nn.Module):
    """Begins with a convolution."""

    @nn.compact
    def __call__(self, z):
        return nn.Conv(2, (1, 1))(z[:, None, None, :])


VARIABLES = Convolved().init(jax.random.key(0), jnp.zeros((1, 2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: closed_form_directions(np.ones(3)), r"kernel must be finite \[latent, out\], got shape \(3,\)"),
        (lambda: closed_form_directions(np.full((2, 3), np.nan)), "kernel must be finite"),
        (
            lambda: principal_directions(np.ones((3, 2)), np.ones((4, 2))),
            r"z must be \[n, latent\] with the n of features",
        ),
        (lambda: principal_directions(np.ones((3, 2)), np.full((3, 2), np.inf)), "z and features must be finite"),
        (lambda: principal_directions(np.ones((3, 2)), np.ones((3, 2)), 3), "count must be 1 to 2, got 3"),
        (lambda: first_layer(lambda z: z, 2), "the generator must begin with dense layers that read 2 latents"),
        (lambda: first_layer(lambda z: Convolved().apply(VARIABLES, z), 2), "must begin with dense layers"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
