"""Convolutions have jax.lax's values and derivatives, of first and second order, all of them in the CPU's fast form."""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from jaxlib.version import __version__ as jaxlib_version

from genjax_models.networks import convolution_forms as forms
from genjax_models.networks import convolution_products, onednn
from genjax_models.networks.convolution import Convolution, TransposedConvolution, convolve, convolve_transposed

KEY = jax.random.key(0)
ONEDNN = 'custom_call_target="__onednn$convolution"'
ONEDNN_PRODUCT = 'custom_call_target="__onednn$matmul"'
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


by_onednn = pytest.mark.skipif(
    not jaxlib_version.startswith(onednn.RELEASES), reason="this jaxlib does not call oneDNN"
)
PAIRS = {"strided": (convolve, lax_convolve), "transposed": (convolve_transposed, lax_convolve_transposed)}


@pytest.fixture
def without_cache():
    """JAX's persistent compilation cache is off: else no program calls oneDNN."""
    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    jax.clear_caches()
    yield
    jax.config.update("jax_enable_compilation_cache", enabled)
    compilation_cache.reset_cache()
    jax.clear_caches()


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
@pytest.mark.parametrize(
    ("strides", "size", "width", "padding"),
    [pytest.param(*case, marks=pytest.mark.slow) if i % 2 else case for i, case in enumerate(CASES)],
)
def test_values_and_derivatives_of_both_orders_are_those_of_lax(kind, strides, size, width, padding):
    ours, theirs = (partial(f, strides=strides, padding=padding) for f in PAIRS[kind])
    x, kernel = arguments(size, width)
    assert_equal(ours(x, kernel), theirs(x, kernel))  # outside of jit
    both = jax.jit(lambda x, kernel: [to_second_order(f)(x, kernel) for f in (ours, theirs)])
    assert_equal(*both(x, kernel))


def of_kernels(form, image, kernel, axes, plain=False):
    """The rule that takes this form for kernels that may be of a derivative, and for dilated kernels unless plain."""
    if any(axis.factors > 1 or axis.stride > 1 or (plain and axis.dilated) for axis in axes):
        return forms.as_it_is
    derivative = kernel[0] > axes[0].outputs(image[1], kernel[0])
    return form if derivative or axes[0].kernel_dilation > 1 else forms.as_it_is


RULES = {
    "phases": lambda *shapes: forms.polyphase if all(axis.factors <= 1 for axis in shapes[2]) else forms.as_it_is,
    "rows": partial(of_kernels, forms.by_row_products),
    "patches": partial(of_kernels, forms.by_patch_product),
    "shifts": partial(of_kernels, forms.by_shift_products, plain=True),
}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("strides", "size", "width", "padding"),
    [pytest.param(*CASES[i], marks=[pytest.mark.slow] * (i < 6)) for i in (0, 1, 3, 5, 6, 8)],
)
def test_forms_have_the_values_and_derivatives_of_lax(kind, rule, strides, size, width, padding, monkeypatch):
    monkeypatch.setattr(forms, "fastest", RULES[rule])
    ours, theirs = (partial(f, strides=strides, padding=padding) for f in PAIRS[kind])
    x, kernel = arguments(size, width)
    jax.clear_caches()
    assert_equal(*jax.jit(lambda x, kernel: [to_second_order(f)(x, kernel) for f in (ours, theirs)])(x, kernel))
    jax.clear_caches()


@pytest.mark.slow
@by_onednn
@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("channels", [(8, 9), (3, 8), (8, 2)])
@pytest.mark.parametrize(
    ("strides", "size", "width", "padding"),
    [
        ((1, 1), (9, 10), (3, 3), "SAME"),
        ((2, 2), (20, 20), (4, 4), "SAME"),
        ((2, 2), (19, 22), (3, 5), UNEVEN),
        ((3, 2), (8, 9), (4, 4), "VALID"),
    ],
)
def test_with_onednn_derivatives_of_both_orders_are_those_of_lax(
    kind, channels, strides, size, width, padding, without_cache
):
    ours, theirs = (to_second_order(partial(f, strides=strides, padding=padding)) for f in PAIRS[kind])
    x, kernel = arguments(size, width, channels)
    compiled = jax.jit(ours).lower(x, kernel).compile()
    assert ONEDNN in compiled.as_text()
    assert_equal(compiled(x, kernel), jax.jit(theirs)(x, kernel))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(
    ("form", "case"), [(forms.by_eigen, 0), (forms.by_eigen, 1), (forms.as_product, 3), (forms.as_product, 5)]
)
def test_plain_forms_have_the_values_and_derivatives_of_lax(kind, form, case, monkeypatch):
    """Where a form cannot be used, as in some derivatives, the convolution is `as_it_is`."""
    used = []

    def rule(image, kernel, axes):
        plain, dilated = all(axis.factor == 1 for axis in axes), any(axis.dilated for axis in axes)
        used.append(form if (plain if form is forms.by_eigen else not dilated) else forms.as_it_is)
        return used[-1]

    monkeypatch.setattr(forms, "fastest", rule)
    strides, size, width, padding = CASES[case]
    ours, theirs = (partial(f, strides=strides, padding=padding) for f in PAIRS[kind])
    x, kernel = arguments(size, width)
    jax.clear_caches()
    assert_equal(*jax.jit(lambda x, kernel: [to_second_order(f)(x, kernel) for f in (ours, theirs)])(x, kernel))
    jax.clear_caches()
    assert used.count(form) >= 2


def written_out(x, kernel, axes):
    """The convolution as a sum over weights, in NumPy."""
    around = [(axis.before, axis.after, axis.image_dilation - 1) for axis in axes]
    counts = [axis.outputs(*sizes) for axis, *sizes in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True)]
    x, kernel = np.asarray(jax.lax.pad(x, np.float32(0), ((0, 0, 0), *around, (0, 0, 0)))), np.asarray(kernel)

    def pixels(axis, weight, count):
        first = weight * axis.kernel_dilation
        return slice(first, first + (count - 1) * axis.stride + 1, axis.stride)

    return sum(
        x[:, pixels(axes[0], i, counts[0]), pixels(axes[1], j, counts[1])] @ kernel[i, j]
        for i, j in np.ndindex(*kernel.shape[:2])
    )


# Of each factor, with paddings that crop and with paddings that are wider than the kernel.
AXES = [
    (forms.as_it_is, (5, 7), (4, 1), (-2, 2), (0, 0), (1, 1, 1)),  # outside of the image, where Eigen would read
    (forms.as_it_is, (3, 4), (4, 5), (2, 1), (3, 3), (1, 1, 1)),
    (forms.by_eigen, (6, 5), (3, 2), (1, 1), (0, 2), (1, 1, 1)),
    (forms.by_eigen, (6, 7), (5, 6), (1, 0), (1, 1), (1, 1, 1)),
    (forms.by_eigen, (6, 5), (1, 2), (-1, 3), (1, -1), (1, 1, 1)),
    (forms.polyphase, (5, 4), (2, 3), (-1, 2), (4, 0), (2, 1, 1)),
    (forms.polyphase, (5, 4), (5, 3), (3, -2), (1, 2), (3, 1, 1)),
    (forms.polyphase, (5, 4), (2, 5), (-2, 3), (4, 1), (1, 2, 1)),
    (forms.polyphase, (5, 4), (1, 1), (1, 3), (0, 2), (1, 3, 1)),  # some phases meet no weight
    (forms.polyphase, (1, 4), (2, 2), (8, 5), (0, 0), (3, 1, 1)),  # no weight meets a pixel
    (forms.polyphase, (7, 6), (3, 2), (-2, 2), (1, 1), (1, 1, 2)),
    (forms.polyphase, (7, 9), (2, 3), (3, 1), (-1, 2), (1, 1, 3)),
    (forms.by_row_products, (6, 5), (4, 3), (1, 2), (-1, 3), (1, 1, 1)),
    (forms.by_row_products, (5, 4), (6, 5), (2, -1), (1, 2), (1, 2, 1)),
    (forms.by_row_products, (2, 4), (5, 2), (7, 9), (3, 0), (1, 3, 1)),  # some weights meet only zeros
    (forms.by_row_products, (7, 6), (3, 2), (-2, 2), (1, 1), (1, 1, 2)),
    (forms.by_row_products, (7, 9), (2, 3), (3, 1), (-1, 2), (1, 1, 3)),
    (forms.by_patch_product, (6, 5), (4, 3), (1, 2), (-1, 3), (1, 1, 1)),
    (forms.by_patch_product, (5, 4), (6, 5), (2, -1), (1, 2), (1, 2, 1)),
    (forms.by_patch_product, (7, 6), (3, 2), (-2, 2), (1, 1), (1, 1, 2)),
    (forms.by_patch_product, (7, 9), (2, 3), (3, 1), (-1, 2), (1, 1, 3)),
    (forms.by_shift_products, (6, 5), (4, 3), (1, 2), (-1, 3), (1, 1, 1)),
    (forms.by_shift_products, (5, 7), (5, 6), (2, 1), (3, 0), (1, 1, 1)),
    (forms.by_shift_products, (6, 4), (2, 3), (-2, 1), (2, -1), (1, 1, 1)),
    (forms.as_product, (7, 6), (3, 2), (-2, 2), (1, 1), (2, 1, 1)),
    (forms.as_product, (7, 6), (5, 4), (1, 3), (4, 1), (3, 1, 1)),
]


@pytest.mark.parametrize(("form", "size", "width", "above", "beside", "factors"), AXES)
def test_forms_are_the_sum_over_weights_for_any_padding(form, size, width, above, beside, factors):
    stride, *dilations = factors
    axes = tuple(forms.Axis(stride, *ends, *dilations) for ends in (above, beside))
    x, kernel = arguments(size, width, channels=(8, 3))  # few enough for Eigen
    np.testing.assert_allclose(
        jax.jit(partial(form, axes=axes))(x, kernel), written_out(x, kernel, axes), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("form", [forms.by_patch_product, forms.by_shift_products])
@pytest.mark.parametrize(("size", "chunks"), [(10, 6), (600, 3), (1_100, 2), (10_000, 1)])
def test_chunks_of_examples_add_up(size, chunks, form, monkeypatch):
    monkeypatch.setattr(convolution_products, "_COPIES", size)
    jax.clear_caches()
    axes = (forms.Axis(1, 1, 1, 1, 1), forms.Axis(1, 1, 0, 1, 1))
    x, kernel = arguments((5, 4), (5, 4), channels=(6, 3))  # the six examples of a derivative
    ours = jax.jit(partial(form, axes=axes))
    assert f"length={chunks} " in " ".join(str(jax.make_jaxpr(ours)(x, kernel)).split())
    np.testing.assert_allclose(ours(x, kernel), written_out(x, kernel, axes), rtol=1e-4, atol=1e-4)
    jax.clear_caches()


@pytest.mark.parametrize("form", [forms.by_patch_product, forms.by_shift_products])
def test_chunks_in_bfloat16_are_added_in_float32(form, monkeypatch):
    monkeypatch.setattr(convolution_products, "_COPIES", 1)
    jax.clear_caches()
    ones = jnp.ones((1, 1, 9, 513), jnp.bfloat16)  # a sum of 513 ones in bfloat16 ends at 256
    total = form(ones, jnp.ones((1, 9, 513, 1), jnp.bfloat16) / 9, (forms.Axis(1, 0, 0, 1, 1),) * 2)
    assert total.dtype == jnp.bfloat16
    np.testing.assert_allclose(total.astype(jnp.float32), 513, rtol=0.01)
    jax.clear_caches()


@pytest.mark.parametrize(("form", "size"), [(forms.by_patch_product, 1_000), (forms.by_shift_products, 800)])
def test_a_prime_number_of_examples_has_a_rest(form, size, monkeypatch):
    monkeypatch.setattr(convolution_products, "_COPIES", size)  # three examples
    jax.clear_caches()
    axes = (forms.Axis(1, 1, 1, 1, 1), forms.Axis(1, 1, 0, 1, 1))
    x, kernel = arguments((5, 4), (5, 4), channels=(7, 3))
    ours = jax.jit(partial(form, axes=axes))
    assert "length=2 " in " ".join(str(jax.make_jaxpr(ours)(x, kernel)).split())  # and one of one example
    np.testing.assert_allclose(ours(x, kernel), written_out(x, kernel, axes), rtol=1e-4, atol=1e-4)
    jax.clear_caches()


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
@pytest.mark.parametrize("apply", [convolve, convolve_transposed])
@pytest.mark.parametrize(("n", "channels"), [(0, (32, 32)), (0, (32, 1)), (2, (0, 8)), (2, (8, 0))])
def test_no_examples_and_no_channels_have_slopes_of_zero(n, channels, apply, strides):
    x, kernel = jnp.ones((n, 12, 12, channels[0])), jnp.ones((4, 4, *channels))
    slopes = jax.jit(jax.grad(lambda *a: jnp.sum(apply(*a, strides=strides)), (0, 1)))(x, kernel)
    for slope, array in zip(slopes, (x, kernel), strict=True):
        np.testing.assert_array_equal(slope, jnp.zeros_like(array))


@pytest.mark.parametrize(("form", "dilation"), [(forms.by_row_products, 2), (forms.by_shift_products, 1)])
def test_products_may_be_mapped_over_images_or_over_both(form, dilation):
    axes = (forms.Axis(1, 1, 1, 1, dilation), forms.Axis(1, 0, 1, 1, dilation))
    x, kernel = arguments((7, 8), (4, 3), channels=(8, 3), batch=6)
    images, kernels = x.reshape(3, 2, *x.shape[1:]), jnp.stack([kernel, -kernel, 2 * kernel])
    rows = partial(form, axes=axes)
    shared, own = jax.vmap(rows, (0, None))(images, kernel), jax.vmap(rows)(images, kernels)
    for some, with_kernel, with_own, its_own in zip(images, shared, own, kernels, strict=True):
        np.testing.assert_allclose(with_kernel, written_out(some, kernel, axes), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(with_own, written_out(some, its_own, axes), rtol=1e-4, atol=1e-4)


ONEDNN_AXES = [
    (forms.by_onednn, (6, 5), (3, 2), (-1, 2), (1, 4), (1, 1, 1)),
    (forms.by_onednn, (7, 6), (2, 5), (0, 3), (2, 1), (3, 1, 1)),
    (forms.by_onednn, (7, 9), (3, 3), (3, -1), (1, 2), (1, 1, 2)),
    (forms.by_onednn, (7, 9), (2, 3), (1, 1), (0, 2), (2, 1, 3)),
    (forms.phases_by_onednn, (5, 4), (5, 3), (3, -2), (1, 2), (1, 3, 1)),
    (forms.by_row_products, (7, 9), (3, 3), (3, -1), (1, 2), (1, 1, 2)),
    (forms.by_patch_product, (7, 9), (3, 3), (3, -1), (1, 2), (1, 1, 2)),
    (forms.by_shift_products, (7, 9), (5, 8), (3, -1), (1, 2), (1, 1, 1)),
]
PRODUCTS = (forms.by_row_products, forms.by_patch_product, forms.by_shift_products)


@by_onednn
def test_onednn_has_the_sum_over_weights_for_any_padding(without_cache):
    for form, size, width, above, beside, (stride, *dilations) in ONEDNN_AXES:
        axes = tuple(forms.Axis(stride, *ends, *dilations) for ends in (above, beside))
        x, kernel = np.ones((2, *size, 8), np.float32), np.ones((*width, 8, 3), np.float32)
        x += np.arange(x.size).reshape(x.shape) % 7
        compiled = jax.jit(partial(form, axes=axes)).lower(x, kernel).compile()
        assert (ONEDNN_PRODUCT if form in PRODUCTS else ONEDNN) in compiled.as_text()
        np.testing.assert_allclose(compiled(x, kernel), written_out(x, kernel, axes), rtol=1e-4, err_msg=f"{axes}")


def test_an_activation_is_computed_once_for_outputs_and_derivatives():
    x, kernel = arguments((8, 8), (4, 4), channels=(8, 9))

    def loss(x, kernel):
        return jnp.sum(convolve(jax.nn.relu(x + 1), kernel, strides=(2, 2)) ** 2)

    compiled = jax.jit(jax.grad(loss, argnums=1)).lower(x, kernel).compile().as_text()
    assert compiled.count(" maximum(") == 1


PLAIN, HALVED, DOUBLED, SPARSE = (
    forms.Axis(1, 1, 1, 1, 1),
    forms.Axis(2, 1, 1, 1, 1),
    forms.Axis(1, 2, 2, 2, 1),
    forms.Axis(1, 1, 1, 1, 2),
)


@pytest.mark.parametrize(
    ("image", "kernel", "axis", "expected"),
    [
        ((64, 64, 64, 3), (4, 4, 3, 32), HALVED, forms.as_product),
        ((64, 32, 32, 2), (3, 3, 2, 64), PLAIN, forms.as_product),
        ((3, 32, 32, 2), (32, 32, 2, 32), PLAIN, forms.by_eigen),  # a kernel with too many patches
        ((64, 32, 32, 64), (3, 3, 64, 64), PLAIN, forms.by_eigen),
        ((64, 32, 32, 64), (3, 3, 64, 2), PLAIN, forms.as_it_is),
        ((64, 32, 32, 64), (3, 3, 64, 1), PLAIN, forms.by_eigen),
        ((64, 5, 5, 64), (4, 4, 64, 64), forms.Axis(1, 0, 0, 1, 1), forms.as_it_is),  # two rows more than five
        ((64, 16, 16, 32), (4, 4, 32, 32), HALVED, forms.polyphase),
        ((64, 16, 16, 32), (4, 4, 32, 32), DOUBLED, forms.polyphase),
        ((32, 32, 32, 64), (16, 16, 64, 32), SPARSE, forms.polyphase),
        ((64, 32, 32, 32), (4, 4, 32, 3), DOUBLED, forms.as_it_is),
        ((64, 16, 16, 16), (4, 4, 16, 16), DOUBLED, forms.as_it_is),
        ((64, 16, 16, 32), (4, 4, 32, 32), forms.Axis(2, 2, 2, 2, 1), forms.as_it_is),  # of second derivatives
    ],
)
def test_without_onednn_the_form_is_chosen_by_shapes(image, kernel, axis, expected):
    assert forms.fastest_without_onednn(image, kernel, (axis, axis)) == expected
    x, k = jax.ShapeDtypeStruct(image, jnp.float32), jax.ShapeDtypeStruct(kernel, jnp.float32)
    traced = str(jax.make_jaxpr(partial(forms.without_onednn, axes=(axis, axis)))(x, k))
    convolutions = {forms.as_product: 0, forms.polyphase: 4 if axis == DOUBLED else 2}.get(expected, 1)
    assert traced.count("conv_general_dilated[") == convolutions


@pytest.mark.parametrize(
    ("image", "kernel", "axis", "expected"),
    [
        ((64, 64, 64, 3), (4, 4, 3, 32), HALVED, forms.by_onednn),
        ((64, 28, 28, 1), (4, 4, 1, 32), HALVED, forms.as_product),
        ((64, 28, 28, 1), (3, 3, 1, 64), PLAIN, forms.by_onednn),
        ((64, 28, 28, 1), (4, 4, 1, 4), HALVED, forms.by_onednn),
        ((64, 8, 8, 1), (4, 4, 1, 64), SPARSE, forms.by_onednn),
        ((64, 32, 32, 64), (3, 3, 64, 64), PLAIN, forms.by_onednn),
        ((64, 32, 32, 64), (3, 3, 64, 1), PLAIN, forms.without_onednn),
        ((64, 16, 16, 32), (4, 4, 32, 32), DOUBLED, forms.phases_by_onednn),
        ((64, 32, 32, 32), (4, 4, 32, 3), DOUBLED, forms.as_it_is),
        ((32, 32, 32, 64), (16, 16, 64, 32), SPARSE, forms.by_row_products),  # derivatives in the kernel
        ((32, 16, 16, 64), (32, 32, 64, 32), DOUBLED, forms.by_row_products),
        ((64, 32, 32, 64), (32, 32, 64, 64), PLAIN, forms.by_shift_products),
        ((64, 32, 32, 64), (32, 32, 64, 1), PLAIN, forms.by_shift_products),
        ((256, 8, 8, 64), (8, 8, 64, 256), PLAIN, forms.by_shift_products),
        ((64, 4, 4, 64), (4, 4, 64, 64), PLAIN, forms.by_onednn),
        ((3, 64, 64, 64), (32, 32, 64, 32), SPARSE, forms.by_patch_product),
        ((32, 32, 32, 64), (64, 64, 64, 3), DOUBLED, forms.by_patch_product),
        ((32, 64, 64, 64), (32, 32, 64, 3), SPARSE, forms.without_onednn),  # its patches have 32 channels
        ((3, 32, 32, 64), (64, 64, 64, 32), DOUBLED, forms.as_it_is),
        ((3, 32, 32, 64), (32, 32, 64, 64), PLAIN, forms.without_onednn),
        ((3, 16, 16, 64), (8, 8, 64, 32), SPARSE, forms.by_onednn),
        ((64, 66, 66, 64), (32, 32, 64, 64), PLAIN, forms.without_onednn),
        ((64, 16, 16, 32), (4, 4, 32, 32), forms.Axis(2, 2, 2, 2, 1), forms.as_it_is),  # of second derivatives
    ],
)
def test_the_form_is_chosen_by_shapes(image, kernel, axis, expected):
    assert forms.fastest(image, kernel, (axis, axis)) == expected


def onednn_calls(convolution, *arguments, name=ONEDNN, **options):
    """Number of convolutions, or of products, that oneDNN computes in the compiled function."""
    compiled = jax.jit(convolution, **options).lower(*arguments).compile().as_text()
    return compiled.count(name)


@by_onednn
def test_onednn_computes_convolutions_of_one_cpu_in_float32(without_cache):
    x, kernel = arguments((8, 8), (4, 4), channels=(32, 32))
    strided = partial(convolve, strides=(2, 2))
    gradient = jax.grad(lambda *a: jnp.sum(jnp.sin(strided(*a))), (0, 1))
    assert onednn_calls(strided, x, kernel) == 1
    assert onednn_calls(gradient, x, kernel) == 1 + 4 + 1  # the outputs, four phases of the image, the kernel
    large = arguments((24, 24), (4, 4), channels=(32, 32))
    assert (onednn_calls(gradient, *large), onednn_calls(gradient, *large, name=ONEDNN_PRODUCT)) == (5, 4)
    ours, theirs = (to_second_order(partial(f, strides=(2, 2), padding="SAME")) for f in PAIRS["strided"])
    assert_equal(jax.jit(ours)(x, kernel), jax.jit(theirs)(x, kernel))
    assert onednn_calls(strided, x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)) == 0
    every = jax.sharding.NamedSharding(jax.make_mesh((2,), ("data",)), jax.sharding.PartitionSpec("data"))
    whole = jax.sharding.NamedSharding(every.mesh, jax.sharding.PartitionSpec())
    assert onednn_calls(strided, x, kernel, in_shardings=(every, whole)) == 0
    for name in (ONEDNN, ONEDNN_PRODUCT):
        assert onednn_calls(gradient, *large, name=name, in_shardings=(every, whole)) == 0
    sharded = jax.jit(strided, in_shardings=(every, whole))(x, kernel)
    np.testing.assert_allclose(sharded, strided(x, kernel), rtol=1e-4, atol=1e-4)
    exported = jax.export.export(jax.jit(gradient), platforms=("cpu", "cuda"))(*large)
    assert "__onednn$" not in exported.mlir_module()
    assert_equal(exported.call(*large), jax.jit(gradient)(*large))


@pytest.mark.parametrize(
    ("size", "width"), [((32, 32), (3, 3)), ((32, 32), (32, 32))], ids=["outputs", "weights of the kernel"]
)
def test_eigen_computes_what_is_given_to_it(size, width):
    x, kernel = arguments(size, width, channels=(32, 32))
    axes = (PLAIN, PLAIN)
    text = [
        jax.jit(partial(form, axes=axes)).lower(x, kernel).compile().as_text()
        for form in (forms.by_eigen, forms.as_it_is)
    ]
    assert "ynn_fusion" not in text[0]
    assert "b01f_01io->b01f" in text[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAIRS)
def test_samples_may_be_mapped_or_folded_into_the_batch(kind):
    ours, theirs = (partial(f, strides=(2, 2), padding="SAME") for f in PAIRS[kind])
    x, kernel = arguments((5, 4), (4, 4), batch=6)
    samples, kernels = x.reshape(3, 2, *x.shape[1:]), jax.random.normal(KEY, (3, *kernel.shape))
    mapped = jax.jit(jax.vmap(ours, (0, None)))(samples, kernel)
    np.testing.assert_allclose(mapped.reshape(6, *mapped.shape[2:]), ours(x, kernel), rtol=1e-5, atol=1e-5)
    both = jax.jit(lambda x, k: [jax.vmap(to_second_order(f))(x, k) for f in (ours, theirs)])
    assert_equal(*both(samples, kernels))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAIRS)
def test_on_the_cpu_all_convolutions_are_canonical_also_those_of_second_derivatives(kind):
    x, kernel = arguments((14, 14) if kind == "strided" else (7, 7), (4, 4))
    ours, theirs = (partial(f, strides=(2, 2), padding="SAME") for f in PAIRS[kind])

    def forms(convolution, x, kernel, in_axes=None):
        of_all = to_second_order(convolution)
        compiled = jax.jit(jax.vmap(of_all, in_axes) if in_axes else of_all).lower(x, kernel).compile().as_text()
        return set(re.findall(r"dim_labels=(\S+?)[,\s]", compiled)) | set(re.findall(r"group_count", compiled))

    assert forms(ours, x, kernel) <= {"b01f_01io->b01f"}  # none if all are by oneDNN
    assert len(forms(theirs, x, kernel)) > 1
    many = jnp.stack([x, -x]), jnp.stack([kernel, 2 * kernel])
    for in_axes in ((0, 0), (None, 0), (0, None)):
        args = [one if axis is None else of_many for one, of_many, axis in zip((x, kernel), many, in_axes, strict=True)]
        assert forms(ours, *args, in_axes) <= {"b01f_01io->b01f"}
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
