"""Unpooling and the other ways to double an image; numbers from the oracle `o17_representations` (unpooling)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.evaluation.checkerboard import checkerboard, nyquist_energy
from genjax_models.networks.convolution import convolve, convolve_transposed
from genjax_models.networks.upsampling import upsampled

X = jnp.array([[1.0, -2.0], [3.0, 4.0]])[None, :, :, None]
KERNEL_5 = (jnp.arange(25.0).reshape(5, 5, 1, 1) - 10) / 10
UNPOOLED_5 = [[8.6, 8.0, 7.4, 4.2], [5.6, 5.0, 4.4, 3.2], [2.6, 2.0, 1.4, 2.2], [-1.3, -2.0, -2.7, -1.6]]
TAPS = {5: [[9.0, 6.0], [6.0, 4.0]], 3: [[1.0, 2.0], [2.0, 4.0]], 4: [[4.0, 4.0], [4.0, 4.0]]}

random = np.random.RandomState(0)
IMAGES, SEEN = random.normal(size=(2, 3, 4, 3)).astype(np.float32), random.normal(size=(2, 6, 8, 9)).astype(np.float32)


def kernel_of(width):
    return np.random.RandomState(width).normal(size=(width, width, 3, 9)).astype(np.float32)


def test_unpooling_puts_a_value_in_the_upper_left_and_keeps_the_sum_of_squares():
    unpooled = gx.unpool(X)
    np.testing.assert_array_equal(unpooled[0, :, :, 0], [[1, 0, -2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4])
    assert float(jnp.sum(unpooled**2)) == 30  # repeated pixels: 120
    assert gx.unpool(X, 3).shape == (1, 6, 6, 1)


def test_max_pooling_of_unpooling_is_relu_and_the_adjoint_picks_the_upper_left():
    window = (1, 2, 2, 1)
    pooled = jax.lax.reduce_window(gx.unpool(IMAGES), -jnp.inf, jax.lax.max, window, window, "VALID")
    np.testing.assert_array_equal(pooled, jnp.maximum(IMAGES, 0))
    y = random.normal(size=(2, 6, 8, 3)).astype(np.float32)
    (adjoint,) = jax.vjp(gx.unpool, IMAGES)[1](y)
    np.testing.assert_array_equal(adjoint, y[:, ::2, ::2])


def test_unpooling_and_a_convolution_have_the_exact_values():
    np.testing.assert_allclose(upsampled(X, KERNEL_5)[0, :, :, 0], UNPOOLED_5, atol=1e-5)
    np.testing.assert_allclose(
        upsampled(X, KERNEL_5[1:4, 1:4])[0, :, :, 0],
        [[0.2, -0.5, -0.4, -0.2], [1.8, 5.0, 3.4, 3.2], [0.6, 1.5, 0.8, 0.4], [-0.9, -2.0, -1.2, -1.6]],
        atol=1e-5,
    )


DEFINITIONS = {
    "unpool": lambda x, kernel: convolve(gx.unpool(x), kernel),
    "transposed": lambda x, kernel: convolve_transposed(x, kernel, strides=(2, 2)),
    "nearest": lambda x, kernel: convolve(x.repeat(2, axis=1).repeat(2, axis=2), kernel),
}


@pytest.mark.parametrize(("kind", "width"), [("unpool", 5), ("unpool", 4), ("nearest", 5), ("transposed", 5)])
def test_each_kind_is_its_definition_in_value_and_gradients(kind, width):
    def all_of(function):
        value, pull = jax.vjp(function, IMAGES, kernel_of(width))
        return value, *pull(SEEN)

    for ours, theirs in zip(
        jax.jit(lambda: all_of(lambda x, k: upsampled(x, k, kind)))(),
        jax.jit(lambda: all_of(DEFINITIONS[kind]))(),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_unpooling_is_a_transposed_convolution_with_padding_p_and_p_plus_1():
    for width, padding in ((5, (2, 3)), (3, (1, 2))):
        transposed = convolve_transposed(IMAGES, kernel_of(width), strides=(2, 2), padding=(padding, padding))
        np.testing.assert_array_equal(upsampled(IMAGES, kernel_of(width)), transposed)


@pytest.mark.parametrize("width", TAPS)
def test_the_checkerboard_of_a_constant_image_follows_the_parity_of_the_kernel(width):
    taps, ones = np.array(TAPS[width]), jnp.ones((width, width, 1, 1))
    of_unpooling = checkerboard(ones, "unpool")
    np.testing.assert_allclose(of_unpooling.output[:2, :2, 0], taps, rtol=1e-5)
    expected = np.std(taps) / np.sqrt(np.mean(taps**2))
    np.testing.assert_allclose(of_unpooling.amplitude, expected, atol=1e-6)
    np.testing.assert_allclose(checkerboard(ones, "transposed").amplitude, expected, atol=1e-6)
    of_repeating = checkerboard(ones, "nearest")
    np.testing.assert_allclose(of_repeating.output, width**2, rtol=1e-5)
    assert of_repeating.amplitude < 1e-6


def test_the_nyquist_frequencies_have_all_energy_of_a_pattern_of_period_2_and_none_of_other_waves():
    board = checkerboard(jnp.ones((5, 5, 1, 1)), "unpool")
    energy, pixels = nyquist_energy(board.output[None])[0], np.asarray(board.output)
    np.testing.assert_allclose(energy, np.var(pixels), rtol=1e-5)
    np.testing.assert_allclose(energy, board.amplitude**2 * np.mean(pixels**2), rtol=1e-5)
    wave = np.cos(2 * np.pi * np.arange(12) / 4)
    others = np.stack([wave[:, None] + 0 * wave, np.outer(wave, wave), np.ones((12, 12))])[..., None]
    np.testing.assert_allclose(nyquist_energy(others), 0, atol=1e-12)
    signs = (-1.0) ** np.arange(12)
    nyquist = np.stack([3 * signs[:, None] + 0 * signs, 0 * signs[:, None] - signs, 2 * np.outer(signs, signs)])[
        ..., None
    ]
    np.testing.assert_allclose(nyquist_energy(nyquist + 7), [9, 1, 4], rtol=1e-5)
    noise = random.normal(size=(2_000, 12, 12, 1))
    np.testing.assert_allclose(np.mean(nyquist_energy(noise)), 3 / 144, rtol=5 * np.sqrt(2 / 3 / 2_000))


@pytest.mark.parametrize("shape", [(2, 5, 4, 1), (2, 4, 3, 1), (4, 4, 1), (2, 0, 4, 1)])
def test_images_without_a_nyquist_frequency_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"^images must be \[n, height, width, channels\] of even height and width, got"
    ):
        nyquist_energy(np.zeros(shape))


@pytest.mark.parametrize(
    ("network", "before", "image"),
    [(gx.DCGANGenerator, "BatchNorm_1", "image"), (gx.ConvolutionalGenerator, "ConvTranspose_0", "x")],
)
def test_generators_double_their_images_by_the_layer_that_is_asked_for(network, before, image):
    generator, z = network((8, 12, 1), (4, 2), upsampling="nearest", kernel=3), jnp.ones((2, 3))
    variables = jax.jit(generator.init)(jax.random.key(0), z)
    seen = jax.jit(partial(generator.apply, capture_intermediates=True))(variables, z)[1]["intermediates"]
    seen = {name: seen[name]["__call__"][0] for name in (before, image)}
    kernel = variables["params"][image]["kernel"]
    assert kernel.shape == (3, 3, 2, 1)
    expected = DEFINITIONS["nearest"](jax.nn.relu(seen[before]), kernel)
    np.testing.assert_allclose(seen[image], expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_kind_is_one_line():
    with pytest.raises(ValueError, match=r"^kind must be one of \('unpool', 'transposed', 'nearest'\), got 'bilinear'"):
        upsampled(X, KERNEL_5, "bilinear")


def test_the_layer_has_the_kernel_of_its_width_and_a_bias():
    layer = gx.Upsampled(2, 3, "nearest")
    variables = layer.init(jax.random.key(0), X)
    assert jax.tree.map(jnp.shape, variables["params"]) == {"kernel": (3, 3, 1, 2), "bias": (2,)}
    y = layer.apply({"params": {"kernel": jnp.ones((3, 3, 1, 2)), "bias": jnp.array([0.0, 1.0])}}, X)
    np.testing.assert_allclose(y[..., 1] - y[..., 0], 1)
