"""Convolutions have jax.lax's values and derivatives, of first and second order, all of them in the CPU's fast form."""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.networks import convolution
from genjax_models.networks.convolution import Convolution, TransposedConvolution, convolve, convolve_transposed

KEY = jax.random.key(0)
DIMENSIONS = ("NHWC", "HWIO", "NHWC")
UNEVEN = ((2, 1), (0, 3))
CASES = [
    ((1, 1), (5, 6), (3, 3), "SAME"),
    ((1, 1), (4, 7), (4, 2), UNEVEN),
    ((2, 2), (8, 8), (4, 4), "SAME"),
    ((2, 2), (7, 6), (4, 4), "SAME"),
    ((2, 2), (7, 9), (3, 5), "VALID"),
    ((2, 2), (6, 5), (3, 4), UNEVEN),
    ((2, 2), (2, 3), (4, 4), "SAME"),  # a kernel larger than the image
    ((2, 1), (5, 4), (1, 3), ((0, 0), (1, 1))),
    ((3, 2), (7, 8), (2, 3), "SAME"),
]


def lax_convolve(x, kernel, *, strides, padding):
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=DIMENSIONS)


def lax_convolve_transposed(x, kernel, *, strides, padding):
    return jax.lax.conv_transpose(x, kernel, strides, padding, dimension_numbers=DIMENSIONS)


PAIRS = {"strided": (convolve, lax_convolve), "transposed": (convolve_transposed, lax_convolve_transposed)}


def arguments(size, width, channels=(3, 2), batch=2):
    keys = jax.random.split(KEY)
    kernel = jax.random.normal(keys[1], (*width, *channels))
    return jax.random.normal(keys[0], (batch, *size, channels[0])), kernel


def to_second_order(convolve_):
    """(x, kernel) -> outputs, the gradients of a loss, and those of the squared norm of its gradient in x or kernel."""

    def loss(x, kernel):
        return jnp.sum(jnp.sin(convolve_(x, kernel)))

    def penalty(x, kernel, of):
        return jnp.sum(jax.grad(loss, of)(x, kernel) ** 2)

    def all_of_it(x, kernel):
        seconds = [jax.grad(partial(penalty, of=of), (0, 1))(x, kernel) for of in (0, 1)]
        return convolve_(x, kernel), jax.grad(loss, (0, 1))(x, kernel), seconds

    return all_of_it


def assert_equal(ours, theirs):
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(("strides", "size", "width", "padding"), CASES)
def test_values_and_derivatives_of_both_orders_are_those_of_lax(kind, strides, size, width, padding):
    ours, theirs = (partial(f, strides=strides, padding=padding) for f in PAIRS[kind])
    x, kernel = arguments(size, width)
    assert_equal(ours(x, kernel), theirs(x, kernel))  # outside of jit
    both = jax.jit(lambda x, kernel: [to_second_order(f)(x, kernel) for f in (ours, theirs)])
    assert_equal(*both(x, kernel))


@pytest.fixture
def in_phases(monkeypatch):
    """Convolves all images with zeros between their pixels in phases, also the small ones of these tests."""

    def possible(image, kernel, axes):
        dilated = any(axis.image_dilation > 1 for axis in axes)
        return dilated and all(axis.stride == axis.kernel_dilation == 1 for axis in axes)

    monkeypatch.setattr(convolution, "_faster_in_phases", possible)
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(("strides", "size", "width", "padding"), CASES)
def test_phases_have_the_values_and_derivatives_of_lax(kind, strides, size, width, padding, in_phases):
    ours, theirs = (partial(f, strides=strides, padding=padding) for f in PAIRS[kind])
    x, kernel = arguments(size, width)
    assert_equal(*jax.jit(lambda x, kernel: [to_second_order(f)(x, kernel) for f in (ours, theirs)])(x, kernel))


def test_a_kernel_that_misses_every_pixel_of_a_phase_gives_zeros(in_phases):
    ours, theirs = (partial(f, strides=(3, 3), padding="VALID") for f in PAIRS["transposed"])
    x, kernel = arguments((3, 4), (1, 2))
    assert_equal(ours(x, kernel), theirs(x, kernel))


@pytest.mark.parametrize(
    ("image", "kernel", "dilation", "expected"),
    [
        ((64, 16, 16, 32), (4, 4, 32, 32), 2, True),
        ((64, 12, 12, 32), (4, 4, 32, 8), 2, True),
        ((64, 8, 8, 64), (4, 4, 64, 32), 2, False),  # small sides
        ((64, 32, 32, 32), (4, 4, 32, 3), 2, False),  # few channels
        ((64, 16, 16, 32), (4, 4, 32, 32), 1, False),  # no zeros between pixels
    ],
)
def test_large_images_of_many_channels_are_convolved_in_phases(image, kernel, dilation, expected):
    axes = (convolution._Axis(1, 2, 2, dilation, 1),) * 2
    assert convolution._faster_in_phases(image, kernel, axes) == expected
    x, k = jax.ShapeDtypeStruct(image, jnp.float32), jax.ShapeDtypeStruct(kernel, jnp.float32)
    traced = jax.make_jaxpr(partial(convolution._canonical, axes=axes))(x, k)
    assert str(traced).count("conv_general_dilated[") == (4 if expected else 1)


@pytest.mark.parametrize("kind", PAIRS)
def test_samples_may_be_mapped_or_folded_into_the_batch(kind):
    ours, theirs = (partial(f, strides=(2, 2), padding="SAME") for f in PAIRS[kind])
    x, kernel = arguments((5, 4), (4, 4), batch=6)
    samples, kernels = x.reshape(3, 2, *x.shape[1:]), jax.random.normal(KEY, (3, *kernel.shape))
    mapped = jax.jit(jax.vmap(ours, (0, None)))(samples, kernel)
    np.testing.assert_allclose(mapped.reshape(6, *mapped.shape[2:]), ours(x, kernel), rtol=1e-5, atol=1e-5)
    both = jax.jit(lambda x, k: [jax.vmap(to_second_order(f))(x, k) for f in (ours, theirs)])
    assert_equal(*both(samples, kernels))


@pytest.mark.parametrize("kind", PAIRS)
def test_on_the_cpu_all_convolutions_are_canonical_also_those_of_second_derivatives(kind):
    x, kernel = arguments((14, 14) if kind == "strided" else (7, 7), (4, 4))
    ours, theirs = (partial(f, strides=(2, 2), padding="SAME") for f in PAIRS[kind])

    def forms(convolution, x, kernel, in_axes=None):
        of_all = to_second_order(convolution)
        compiled = jax.jit(jax.vmap(of_all, in_axes) if in_axes else of_all).lower(x, kernel).compile().as_text()
        return set(re.findall(r"dim_labels=(\S+?)[,\s]", compiled)) | set(re.findall(r"group_count", compiled))

    assert forms(ours, x, kernel) == {"b01f_01io->b01f"}
    assert len(forms(theirs, x, kernel)) > 1
    many = jnp.stack([x, -x]), jnp.stack([kernel, 2 * kernel])
    for in_axes in ((0, 0), (None, 0), (0, None)):
        args = [one if axis is None else of_many for one, of_many, axis in zip((x, kernel), many, in_axes, strict=True)]
        assert forms(ours, *args, in_axes) == {"b01f_01io->b01f"}
    assert "group_count" in forms(theirs, *many, (0, 0))


@pytest.mark.parametrize("kind", PAIRS)
def test_elsewhere_they_are_those_of_autodiff(kind):
    x, kernel = arguments((7, 7), (4, 4))

    def convolutions(convolution, platform):
        gradient = jax.grad(lambda x, kernel: jnp.sum(jnp.sin(convolution(x, kernel))), (0, 1))
        lowered = jax.jit(gradient).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
        return sorted(re.findall(r"convolution.*(dim_numbers.*) :", lowered))

    ours, theirs = (partial(f, strides=(2, 2), padding="SAME") for f in PAIRS[kind])
    for platform in ("cuda", "tpu"):
        assert convolutions(ours, platform) == convolutions(theirs, platform)
    assert convolutions(ours, "cpu") != convolutions(theirs, "cpu")


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(Convolution, nn.Conv), (TransposedConvolution, nn.ConvTranspose)], ids=PAIRS
)
def test_layers_have_flax_parameters_and_outputs(ours, theirs, use_bias):
    x, _ = arguments((7, 6), (4, 4))
    layers = [kind(5, (4, 3), strides=(2, 2), use_bias=use_bias, name="layer") for kind in (ours, theirs)]
    variables = [nn.Sequential([layer]).init(KEY, x) for layer in layers]
    jax.tree.map(np.testing.assert_array_equal, *variables)
    shifted = jax.tree.map(lambda a: a + 0.1, variables[0])  # a bias that shows
    np.testing.assert_allclose(*(nn.Sequential([layer]).apply(shifted, x) for layer in layers), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("convolution", [convolve, convolve_transposed])
@pytest.mark.parametrize(
    ("x", "kernel", "padding", "message"),
    [
        ((2, 5, 5), (3, 3, 1, 1), "SAME", r"got \(2, 5, 5\) and \(3, 3, 1, 1\)"),
        ((2, 5, 5, 3), (3, 3, 1, 1), "SAME", r"got \(2, 5, 5, 3\) and \(3, 3, 1, 1\)"),
        ((2, 5, 5, 1), (3, 3, 1, 1), "CIRCULAR", 'must be "SAME", "VALID" or two pairs of numbers, got \'CIRCULAR\''),
        ((2, 5, 5, 1), (3, 3, 1, 1), [(1, 1)], r"must be .* two pairs of numbers, got \[\(1, 1\)\]"),
        ((2, 2, 2, 1), (7, 7, 1, 1), ((0, 0), (0, 0)), r"\(7, 7\) does not fit into images of \(2, 2\)"),
    ],
)
def test_what_is_no_convolution_is_refused(convolution, x, kernel, padding, message):
    with pytest.raises(ValueError, match=message):
        convolution(jnp.zeros(x), jnp.zeros(kernel), padding=padding)
