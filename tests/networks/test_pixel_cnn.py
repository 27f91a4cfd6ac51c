"""What each pixel sees, and sums of probabilities; counts from the oracle `o15_sequences` (pixelcnn)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.networks.outputs import Output
from genjax_models.networks.pixel_cnn import GatedLayer, GatedPixelCNN, _gate


def pixel_cnn(shape, condition=None, emits=None, **options):
    emits = gx.bernoulli(shape).outputs if emits is None else emits
    network = GatedPixelCNN(shape, emits, **{"features": 3, "first_kernel_size": 3, **options})
    x = jnp.zeros((1 if condition is None else len(condition), *shape))
    variables = jax.jit(network.init)(jax.random.key(0), x, condition)
    noise = lambda leaf: leaf + 0.5 * jax.random.normal(jax.random.key(leaf.size), leaf.shape)
    return network, jax.tree.map(noise, variables)


def seen(network, variables, shape, outputs):
    """Returns whether an output sees input i, `[in, len(outputs)]`: the union over inputs, as ReLU hides some."""
    x = jax.random.normal(jax.random.key(1), (8, *shape))

    def gradient(output):
        return jax.grad(lambda x: jnp.sum(network.apply(variables, x)["logits"].reshape(len(x), -1)[:, output]))(x)

    gradients = jax.jit(lambda: jax.lax.map(gradient, jnp.asarray(outputs)))()
    return np.any(np.reshape(gradients, (len(outputs), len(x), -1)) != 0, axis=1).T


SEVEN, MIDDLE = (7, 7, 1), 3 * 7 + 3  # the pixel (3, 3) has 24 pixels before it


def of_the_middle(network, variables):
    """Returns which pixels (3, 3) sees, `[49]`."""
    return seen(network, variables, SEVEN, [MIDDLE])[:, 0]


def assert_is_all_before(pixels):
    np.testing.assert_array_equal(pixels, np.arange(49) < MIDDLE)


def test_a_pixel_sees_as_many_pixels_as_in_the_oracle():
    assert of_the_middle(*pixel_cnn(SEVEN, layers=1)).sum() == 4
    assert_is_all_before(of_the_middle(*pixel_cnn(SEVEN, layers=3)))


class OneStack:
    """Masked kernels of 3 x 3 in one stack, with weights of 1: mask A first, mask B after."""

    def apply(self, layers, x):
        for layer in range(layers):
            kernel = jnp.array([[1, 1, 1], [1, float(layer > 0), 0], [0, 0, 0]])[..., None, None]
            x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return {"logits": x}


@pytest.mark.parametrize("layers", [3, 7])
def test_one_stack_would_have_a_blind_spot(layers):
    pixels = of_the_middle(OneStack(), layers)
    unseen = np.argwhere(~pixels.reshape(7, 7) & (np.arange(49) < MIDDLE).reshape(7, 7))
    np.testing.assert_array_equal(unseen, [[1, 6], [2, 5], [2, 6]])
    with pytest.raises(AssertionError):
        assert_is_all_before(pixels)


def test_with_mask_b_in_the_first_layer_a_pixel_would_see_itself(monkeypatch):
    pixels = GatedLayer.pixels
    shifted = lambda layer, x, across: pixels(layer, jnp.roll(x, -1, axis=2) if layer.first else x, across)
    monkeypatch.setattr(GatedLayer, "pixels", shifted)
    found = of_the_middle(*pixel_cnn(SEVEN, layers=3))
    assert found[MIDDLE]
    with pytest.raises(AssertionError):
        assert_is_all_before(found)


@pytest.mark.slow
def test_each_pixel_sees_all_pixels_before_it_in_all_channels_and_nothing_else():
    shape = (3, 4, 2)
    emits = {"logits": Output((*shape, 2)), "scale": Output((), of_input=False)}
    network, variables = pixel_cnn(shape, emits=emits, layers=4, first_kernel_size=5)
    pixel = np.arange(12)
    before = np.repeat(np.repeat(pixel[:, None] < pixel[None], 2, axis=0), 4, axis=1)
    np.testing.assert_array_equal(seen(network, variables, shape, np.arange(48)), before)
    out = jax.jit(network.apply)(variables, jnp.zeros((2, 5, *shape)))
    assert out["logits"].shape == (2, 5, *shape, 2)
    assert out["scale"].shape == ()


@pytest.mark.parametrize("condition", [(2, 3), (2, 2, 3, 3)])
def test_probabilities_of_all_binary_images_sum_to_one(condition):
    shape = (2, 3, 1)
    given = jax.random.normal(jax.random.key(2), condition)
    network, variables = pixel_cnn(shape, given, layers=2)
    images = np.array(list(itertools.product([0, 1], repeat=6)), np.float32).reshape(64, 1, *shape)
    x = np.broadcast_to(images, (64, 2, *shape))
    log_p = gx.bernoulli(shape).distribution(jax.jit(network.apply)(variables, x, given)).log_prob(x)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=0), np.ones(2), rtol=1e-5)
    assert not np.allclose(log_p[:, 0], log_p[:, 1])


def with_gradients(function, *args):
    """Returns the outputs of a function, and the gradients of a sum of their squares."""
    loss = lambda *args: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(function(*args)))
    return jax.jit(lambda *args: (function(*args), jax.grad(loss, range(len(args)))(*args)))(*args)


def assert_equal(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, theirs)


def plain_gate(h):
    first, second = jnp.split(h, 2, axis=-1)
    return jnp.tanh(first) * jax.nn.sigmoid(second)


def test_a_gate_is_tanh_times_sigmoid_with_its_gradient():
    h = 4 * jax.random.normal(jax.random.key(0), (50, 6))
    assert_equal(with_gradients(_gate, h), with_gradients(plain_gate, h))


@pytest.mark.parametrize("channels", [1, 3])  # one convolution for both stacks; the kernel is larger than the product
def test_rows_are_a_convolution_and_a_product_with_its_output(channels):
    layer = GatedLayer(features=4, size=3, first=False)
    shapes = (2, 5, 4, channels), (2, 4, 4, 8)
    window, bias = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(shapes))
    params = layer.init(jax.random.key(2), window, None, method="rows")["params"]
    params = jax.tree.map(lambda leaf: leaf + jax.random.normal(jax.random.key(leaf.size), leaf.shape), params)

    def plain(params, window, bias):
        kernel, product = (params[name]["kernel"] for name in ("vertical", "across"))
        padding, axes = ((0, 0), (1, 1)), ("NHWC", "HWIO", "NHWC")
        v = jax.lax.conv_general_dilated(window, kernel, (1, 1), padding, dimension_numbers=axes)
        v = v + params["vertical"]["bias"]
        return plain_gate(v + bias), v @ product + params["across"]["bias"] + bias

    rows = lambda params, *args: layer.apply({"params": params}, *args, method="rows")
    with jax.numpy_rank_promotion("allow"):
        assert_equal(with_gradients(rows, params, window, bias), with_gradients(plain, params, window, bias))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "`layers` must be at least 1, got 0"),
        ({"kernel_size": 4}, "`kernel_size` must be odd and at least 3, got 4"),
        ({"first_kernel_size": 1}, "`first_kernel_size` must be odd and at least 3, got 1"),
        ({"emits": {"mean": Output((9,))}}, r"`emits` must start with \(3, 3, 1\), got \(9,\) for 'mean'"),
    ],
)
def test_what_makes_no_pixel_cnn_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pixel_cnn((3, 3, 1), **options)
