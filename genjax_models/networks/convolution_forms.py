"""Forms of a convolution that XLA computes fast on the CPU. `networks.convolution` chooses among them by `on_cpu`.

If one of the three factors of an axis (`networks.convolution_axes`) is f > 1, only every f-th weight, pixel or output
meets the others. The convolution is then f plain convolutions, whose factors are all 1: the polyphase decomposition.

jaxlib (0.10) has three libraries for convolutions. oneDNN is the fastest for most shapes (`networks.onednn`), but XLA
does not choose it. XLA chooses YNNPACK, or Eigen, which is 1.3 to 2.1 times as fast (AMD EPYC with AVX-512, 2 cores).
YNNPACK refuses outputs or kernels that are larger than the image. One row more, of outputs that are cut off or of zeros
in the kernel, gives the convolution to Eigen.
`python -m experiments.benchmarks.convolutions` measures all forms.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax_models.networks import onednn
from genjax_models.networks.convolution_axes import Axes, Axis
from genjax_models.networks.convolution_products import as_product, patch_product, row_products, shift_products
from genjax_models.types import Array, Shape

Form = Callable[[Array, Array, Axes], Array]

_FEW, _MANY = 8, 64 * 64  # channels, and channels in x channels out
_SMALL = 8  # kernels; larger ones, of derivatives, have too many patches
_LARGE = 16  # kernels, of derivatives, for which oneDNN is the slower one if they are larger
_EIGEN = 16  # channels up to which XLA itself takes Eigen


def native(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution as `jax.lax` has it."""
    strides, before, after, *dilations = zip(*axes, strict=True)
    padding = tuple(zip(before, after, strict=True))
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, *dilations, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@cache
def _one_by_one(form: Form, axes: Axes) -> Callable[[Array, Array], Array]:
    """Returns `form`; `jax.vmap` runs it once per kernel, one after the other, or once if all share one kernel."""

    @jax.custom_batching.custom_vmap
    def convolution(x: Array, kernel: Array) -> Array:
        return form(x, kernel, axes)

    @convolution.def_vmap
    def _vmapped(size: int, mapped: Sequence[bool], x: Array, kernel: Array) -> tuple[Array, bool]:
        if not mapped[1]:
            y = convolution(x.reshape(-1, *x.shape[2:]), kernel)
            return y.reshape(size, -1, *y.shape[1:]), True
        x = x if mapped[0] else jnp.broadcast_to(x, (size, *x.shape))
        return jax.lax.map(lambda one: convolution(*one), (x, kernel)), True

    return convolution


def as_it_is(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution by the library of XLA's choice.

    If the kernel is larger than the image, the two swap roles and the outputs are flipped. Without this swap, XLA swaps
    them itself, and leaves its fast form.
    """
    x, axes = _cropped(x, axes)
    if kernel.shape[0] * kernel.shape[1] <= x.shape[1] * x.shape[2]:
        return _one_by_one(native, axes)(x, kernel)
    swapped = []
    for axis, pixels, weights in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True):
        last = axis.last_position(pixels, weights)
        ends = last // axis.stride * axis.stride - axis.before, last - axis.after
        swapped.append(Axis(axis.stride, *ends, axis.kernel_dilation, axis.image_dilation))
    image, swapped_axes = _cropped(kernel.transpose(3, 0, 1, 2), tuple(swapped))
    flipped = _one_by_one(native, swapped_axes)(image, x.transpose(1, 2, 3, 0))
    return jnp.flip(flipped.transpose(3, 1, 2, 0), (1, 2))


def _cropped(x: Array, axes: Axes) -> tuple[Array, Axes]:
    """Returns the image without the pixels that negative padding crops: with -2 and 2, Eigen reads outside of it."""
    pixels, cropped = [slice(None)], []
    for axis, size in zip(axes, x.shape[1:3], strict=True):
        first, last = (max(0, -end // axis.image_dilation) for end in (axis.before, axis.after))
        first, last = min(first, size - 1), min(last, size - 1 - min(first, size - 1))
        pixels.append(slice(first, size - last))
        cropped.append(
            axis._replace(
                before=axis.before + first * axis.image_dilation, after=axis.after + last * axis.image_dilation
            )
        )
    return x[tuple(pixels)], (cropped[0], cropped[1])


def by_eigen(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution by Eigen: with one more row than the image has, in the outputs or in the kernel.

    The height must be plain.
    """
    height, width = axes
    pixels, weights = x.shape[1], kernel.shape[0]
    outputs = height.outputs(pixels, weights)
    more = _surplus(pixels, weights, height)
    if not more:
        return as_it_is(x, kernel, axes)
    height = height._replace(after=height.after + more)
    if outputs >= weights:
        return as_it_is(x, kernel, (height, width))[:, :outputs]
    # XLA swaps a kernel and an image if the kernel is larger, so zeros left and right become part of the image.
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (0, 0, 0), (width.before, width.after, 0), (0, 0, 0)))
    x = jax.lax.optimization_barrier(x)
    kernel = jnp.pad(kernel, ((0, more), (0, 0), (0, 0), (0, 0)))
    return as_it_is(x, kernel, (height, width._replace(before=0, after=0)))


def _surplus(pixels: int, weights: int, axis: Axis) -> int:
    """Returns the number of rows that outputs, or the kernel, need to be larger than the image."""
    return max(0, pixels + 1 - max(axis.outputs(pixels, weights), weights))


class Part(NamedTuple):
    """A plain convolution of some pixels of an axis with some weights, and the phase of its outputs."""

    pixels: slice
    weights: slice
    axis: Axis
    phase: int


def parts_of(axis: Axis, pixels: int, weights: int) -> tuple[list[Part], int]:
    """Returns the polyphase decomposition of an axis, and its number of phases.

    Outputs of one phase are a sum over parts. Phases are interleaved; the last outputs of some phases are surplus.
    """
    factor, padding = axis.factor, axis.before
    outputs = axis.outputs(pixels, weights)
    if axis.image_dilation > 1:
        phases = [(slice(None), slice((padding - r) % factor, None, factor), r) for r in range(factor)]
    elif axis.kernel_dilation > 1:
        phases = [(slice((r - padding) % factor, None, factor), slice(None), r) for r in range(factor)]
    else:
        phases = [(slice(q, None, factor), slice((q + padding) % factor, None, factor), 0) for q in range(factor)]
    count = 1 if axis.stride > 1 else factor
    outputs = -(-outputs // count)
    parts = []
    for some_pixels, some_weights, phase in phases:
        p, t = some_pixels.start or 0, some_weights.start or 0
        ahead = (phase + axis.kernel_dilation * t - padding - axis.image_dilation * p) // factor
        have, meet = len(range(pixels)[some_pixels]), len(range(weights)[some_weights])
        plain = Axis(1, -ahead, outputs - 1 + ahead + meet - have, 1, 1)
        parts.append(Part(some_pixels, some_weights, plain, phase))
    return parts, count


def by_onednn(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution by oneDNN, or without it if the program cannot call oneDNN. Images are not dilated."""
    x, axes = _cropped(x, axes)
    return _one_by_one(_onednn, axes)(x, kernel)


def _onednn(x: Array, kernel: Array, axes: Axes) -> Array:
    return onednn.convolution(x, kernel, axes, otherwise=without_onednn)


def polyphase(x: Array, kernel: Array, axes: Axes, form: Form = by_eigen) -> Array:
    """Returns the convolution as plain convolutions by `form`: along the height, and along the width if it is dilated.

    In the width, a stride or a dilation of the kernel stays: both are fast there. Each axis has at most one factor.
    """
    sizes = list(zip(axes, x.shape[1:3], kernel.shape[:2], strict=True))
    (rows, heights), (columns, widths) = parts_of(*sizes[0]), parts_of(*sizes[1])
    if axes[1].image_dilation == 1:
        columns, widths = [Part(slice(None), slice(None), axes[1], 0)], 1
    phases: dict[tuple[int, int], Array] = {}
    for row, column in product(rows, columns):
        pixels, weights = x[:, row.pixels, column.pixels], kernel[row.weights, column.weights]
        if pixels.size and weights.size:
            y, phase = form(pixels, weights, (row.axis, column.axis)), (row.phase, column.phase)
            phases[phase] = phases[phase] + y if phase in phases else y
    height, width = (axis.outputs(pixels, weights) for axis, pixels, weights in sizes)
    if not phases:  # the outputs see only padding
        return jnp.zeros((x.shape[0], height, width, kernel.shape[3]), x.dtype)
    nothing = jnp.zeros_like(next(iter(phases.values())))  # of a phase in which no weight meets a pixel
    grid = [jnp.stack([phases.get((r, c), nothing) for c in range(widths)], axis=3) for r in range(heights)]
    y = jnp.stack(grid, axis=2)  # [batch, height, phase, width, phase, out]
    return y.reshape(x.shape[0], y.shape[1] * heights, y.shape[3] * widths, kernel.shape[3])[:, :height, :width]


def by_row_products(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution as matrix products, of a kernel without strides that has the size of an image."""
    return _one_by_one(row_products, axes)(x, kernel)


def by_patch_product(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution as a product of patches, of a kernel without strides that has the size of an image."""
    return _one_by_one(patch_product, axes)(x, kernel)


def by_shift_products(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution as products of shifted copies, of a plain kernel that has the size of an image."""
    return _one_by_one(shift_products, axes)(x, kernel)


def on_cpu(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution in the form that is fastest for its shapes; of empty arrays, as `jax.lax` has it."""
    if not (x.size and kernel.size):
        return native(x, kernel, axes)
    return fastest(x.shape, kernel.shape, axes)(x, kernel, axes)


def fastest(image: Shape, kernel: Shape, axes: Axes) -> Form:
    """Returns the form that is fastest, by the shapes, if oneDNN can be called.

    oneDNN is slower with few channels out, and for derivatives in the kernel of few channels or of large images. With
    strides and one channel in, a product of patches is 1.5 to 1.9 times as fast. The derivative in the kernel of a
    strided or transposed convolution has a large dilated kernel or image. Products of its rows are 1.1 to 1.3 times as
    fast as oneDNN's convolution. If its strided image has few channels, a product of patches is: 0.9 to 2.4 times as
    fast as XLA's convolution. The derivative in the kernel of a convolution without strides is 1.1 to 3.2 times as fast
    by products of shifted copies, if its images have more than a few channels.
    """
    *weights, inputs, outputs = kernel
    sizes = zip(axes, image[1:3], weights, strict=True)
    of_kernel = max(weights) > _SMALL
    few = outputs < _FEW or (of_kernel and image[0] < _FEW)
    dilated_image = any(axis.image_dilation > 1 for axis in axes)
    if any(axis.factors > 1 for axis in axes):
        return as_it_is
    plain = all(axis.factor == 1 for axis in axes)
    if plain and max(weights) >= _SMALL and image[0] >= _FEW and all(axis.outputs(p, w) < w for axis, p, w in sizes):
        return by_shift_products
    if of_kernel and any(axis.dilated for axis in axes) and all(axis.stride == 1 for axis in axes):
        if not few:
            return by_row_products
        if (outputs if dilated_image else image[0]) < _FEW:
            return by_patch_product
    if dilated_image:
        return as_it_is if few else phases_by_onednn
    if inputs == 1 and not plain and fastest_without_onednn(image, kernel, axes) is as_product:
        return as_product
    return without_onednn if (few and (of_kernel or outputs == 1)) or max(weights) > _LARGE else by_onednn


def phases_by_onednn(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns `polyphase`, whose plain convolutions are by oneDNN."""
    return polyphase(x, kernel, axes, by_onednn)


def without_onednn(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution in the fastest form without oneDNN."""
    return fastest_without_onednn(x.shape, kernel.shape, axes)(x, kernel, axes)


def fastest_without_onednn(image: Shape, kernel: Shape, axes: Axes) -> Form:
    """Returns the form that is fastest, by the shapes.

    Times relative to `as_it_is`, on 2 cores of an AMD EPYC (kernels of 3 x 3 and 4 x 4, batches of 64 and 100): few
    channels in, by a product, 0.2 to 0.9; plain, by Eigen, 0.5 to 0.8; others, in phases, 0.6 to 1.1. If few channels
    come out, phases take up to 4 times as long.
    """
    *weights, inputs, outputs = kernel
    plain = all(axis.factor == 1 for axis in axes)
    if outputs >= _FEW and inputs <= _FEW and max(weights) <= _SMALL and not any(axis.dilated for axis in axes):
        return as_product
    if max(inputs, outputs) <= _EIGEN or any(axis.factors > 1 for axis in axes):
        return as_it_is
    if plain and (outputs >= _FEW or outputs == 1) and _surplus(image[1], weights[0], axes[0]) <= image[1] / 10:
        return by_eigen
    return polyphase if not plain and outputs >= _FEW and inputs * outputs <= _MANY else as_it_is
