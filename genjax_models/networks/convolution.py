"""Strided and transposed convolutions in NHWC and HWIO, with derivatives that are equally fast on the CPU.

A convolution is linear in the image and in the kernel, and its derivatives are convolutions again:

    y  = x * k                                             forward
    dx = dy * flipped k, in and out transposed             strides of y become dilations of dy
    dk = x * dy, the batch in the role of the channels     strides of y become dilations of dy

XLA has one fast convolution on the CPU. It needs images `[batch, height, width, channels]` and kernels
`[height, width, in, out]`. Autodiff does not move the numbers into this form: it names other axes, and XLA takes a slow
path. This module writes the convolution and both derivatives in the fast form, by the same function. Derivatives of
derivatives (gradient penalties) are then fast too.

Under `jax.vmap` (many seeds in one program), each image meets its own kernel, one after the other: `jax.lax` would make
a grouped convolution, which is not fast. On other devices `jax.lax` is used unchanged.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.types import Array, Shape

Pair = tuple[int, int]  # height and width
Padding = Literal["SAME", "VALID"] | Sequence[Pair]


class _Axis(NamedTuple):
    """Height or width of a convolution. A dilation of 2 puts a zero between neighbouring pixels, or weights."""

    stride: int
    before: int  # zeros at each end; a negative number crops
    after: int
    image_dilation: int
    kernel_dilation: int

    def last_position(self, pixels: int, weights: int) -> int:
        """Returns the largest position of the kernel. The first is 0, and outputs are `stride` positions apart."""
        image = _spread(pixels, self.image_dilation) + self.before + self.after
        return image - _spread(weights, self.kernel_dilation)


_Axes = tuple[_Axis, _Axis]
_CHANNELS, _SIDE = 8, 12  # of outputs, and of images in pixels: below them, phases are slower


def convolve(x: Array, kernel: Array, *, strides: Pair = (1, 1), padding: Padding = "SAME") -> Array:
    """Returns `jax.lax.conv_general_dilated` of images. Only reverse-mode derivatives exist (`jax.grad`, of any order).

    Args:
      x: images, `[batch, height, width, in]`.
      kernel: `[height, width, in, out]`.
      strides: strides in height and width.
      padding: zeros before and after in height and width, ((before, after), (before, after)); or "SAME" for outputs of
        size ceil(size / stride); or "VALID" for no zeros.

    Returns:
      `[batch, height, width, out]`.

    Raises:
      ValueError: the arrays have other ranks or their channels differ, `padding` is invalid, or the kernel is larger
        than the padded image.
    """
    _check(x, kernel)
    around = _pairs(padding, partial(jax.lax.padtype_to_pads, x.shape[1:3], kernel.shape[:2], strides))
    return _convolve(x, kernel, [_Axis(stride, *ends, 1, 1) for stride, ends in zip(strides, around, strict=True)])


def convolve_transposed(x: Array, kernel: Array, *, strides: Pair = (1, 1), padding: Padding = "SAME") -> Array:
    """Returns `jax.lax.conv_transpose` of images: a convolution after inserting `strides` - 1 zeros between pixels.

    Args:
      x: images, `[batch, height, width, in]`.
      kernel: `[height, width, in, out]`.
      strides: factors by which height and width grow.
      padding: zeros around the image after the insertion, as in `convolve`; or "SAME" for outputs of size size *
        stride; or "VALID" for all outputs that the kernel reaches, size * stride + max(kernel - stride, 0).

    Returns:
      `[batch, height, width, out]`.

    Raises:
      ValueError: as in `convolve`.
    """
    _check(x, kernel)
    around = _pairs(padding, lambda name: map(partial(_transposed_padding, name), kernel.shape[:2], strides))
    return _convolve(x, kernel, [_Axis(1, *ends, stride, 1) for stride, ends in zip(strides, around, strict=True)])


class Convolution(nn.Module):
    """`convolve` with a learned "kernel" and "bias". It has the parameters of Flax's `Conv` for images."""

    features: int
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x `[batch, height, width, channels]` to `[batch, height, width, features]`."""
        return _layer(self, convolve, x)


class TransposedConvolution(nn.Module):
    """`convolve_transposed` with a learned "kernel" and "bias". It has the parameters of Flax's `ConvTranspose`."""

    features: int
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x `[batch, height, width, channels]` to `[batch, height, width, features]`."""
        return _layer(self, convolve_transposed, x)


def _layer(module: Convolution | TransposedConvolution, apply: Callable[..., Array], x: Array) -> Array:
    shape = *module.kernel_size, x.shape[-1], module.features
    kernel = module.param("kernel", module.kernel_init, shape, jnp.float32)
    y = apply(x, kernel, strides=module.strides, padding=module.padding)
    if not module.use_bias:
        return y
    return y + module.param("bias", nn.initializers.zeros, (module.features,), jnp.float32)[None, None, None]


def _convolve(x: Array, kernel: Array, axes: Sequence[_Axis]) -> Array:
    dtype = jnp.result_type(x, kernel)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    if min(axis.last_position(*sizes) for axis, *sizes in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True)) < 0:
        raise ValueError(f"a kernel of {kernel.shape[:2]} does not fit into images of {x.shape[1:3]}, {axes}")
    canonical, native = (partial(form, axes=tuple(axes)) for form in (_canonical, _native))
    return jax.lax.platform_dependent(x, kernel, cpu=canonical, default=native)


def _native(x: Array, kernel: Array, axes: _Axes) -> Array:
    strides, before, after, *dilations = zip(*axes, strict=True)
    padding = tuple(zip(before, after, strict=True))
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, *dilations, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@cache
def _one_by_one(axes: _Axes) -> Callable[[Array, Array], Array]:
    """Returns `_native`; `jax.vmap` runs it once per kernel, one after the other, or once if all share one kernel."""

    @jax.custom_batching.custom_vmap
    def convolution(x: Array, kernel: Array) -> Array:
        return _native(x, kernel, axes)

    @convolution.def_vmap
    def _vmapped(size: int, mapped: Sequence[bool], x: Array, kernel: Array) -> tuple[Array, bool]:
        if not mapped[1]:
            y = convolution(x.reshape(-1, *x.shape[2:]), kernel)
            return y.reshape(size, -1, *y.shape[1:]), True
        x = x if mapped[0] else jnp.broadcast_to(x, (size, *x.shape))
        return jax.lax.map(lambda one: convolution(*one), (x, kernel)), True

    return convolution


@partial(jax.custom_vjp, nondiff_argnames=("axes",))
def _canonical(x: Array, kernel: Array, axes: _Axes) -> Array:
    """Returns the convolution in the fast form.

    If the kernel is larger than the image, the two swap roles and the outputs are flipped. Without this swap, XLA swaps
    them itself, and leaves the fast form. An image with zeros between its pixels is convolved in phases if that is
    faster.
    """
    if _faster_in_phases(x.shape, kernel.shape, axes):
        return _in_phases(x, kernel, axes)
    if math.prod(kernel.shape[:2]) <= math.prod(x.shape[1:3]):
        return _one_by_one(axes)(x, kernel)
    swapped = []
    for axis, pixels, weights in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True):
        last = axis.last_position(pixels, weights)
        ends = last // axis.stride * axis.stride - axis.before, last - axis.after
        swapped.append(_Axis(axis.stride, *ends, axis.kernel_dilation, axis.image_dilation))
    flipped = _one_by_one(tuple(swapped))(kernel.transpose(3, 0, 1, 2), x.transpose(1, 2, 3, 0))
    return jnp.flip(flipped.transpose(3, 1, 2, 0), (1, 2))


def _faster_in_phases(image: Shape, kernel: Shape, axes: _Axes) -> bool:
    """Returns whether `_in_phases` is faster, by its shapes.

    On 2 cores of an AMD EPYC (batch 64, kernels of 4 x 4, stride 2, 32 channels in) phases took 0.22 of the time for
    16 -> 32 pixels and 32 channels out, 0.78 for 8 channels, 1.5 for 32 -> 64 and 3 channels, 1.4 for 8 -> 16.
    """
    dilated = any(axis.image_dilation > 1 for axis in axes)
    plain = all(axis.stride == 1 and axis.kernel_dilation == 1 for axis in axes)
    return dilated and plain and kernel[3] >= _CHANNELS and min(image[1:3]) >= _SIDE


def _in_phases(x: Array, kernel: Array, axes: _Axes) -> Array:
    """Returns the convolution of an image with d - 1 zeros between its pixels, as d^2 convolutions without zeros.

    Outputs at positions r, r + d, ... see every d-th weight, at the pixels themselves. They are one phase. The phases
    of height and width are interleaved.
    """
    sizes = list(zip(axes, x.shape[1:3], kernel.shape[:2], strict=True))
    heights, widths = (_phases(*one) for one in sizes)
    rows = [jnp.stack([_phase(x, kernel, height, width) for width in widths], axis=3) for height in heights]
    y = jnp.stack(rows, axis=2)  # [batch, height, phase, width, phase, out]
    y = y.reshape(len(x), y.shape[1] * y.shape[2], y.shape[3] * y.shape[4], kernel.shape[3])
    height, width = (axis.last_position(pixels, weights) + 1 for axis, pixels, weights in sizes)
    return y[:, :height, :width]


class _Phase(NamedTuple):
    """Outputs of one phase along an axis: their weights, and the padding of the image without zeros."""

    weights: slice
    before: int
    after: int
    outputs: int  # of every phase; the last ones of some phases are cut off


def _phases(axis: _Axis, pixels: int, weights: int) -> list[_Phase]:
    dilation = axis.image_dilation
    outputs = -(-(axis.last_position(pixels, weights) + 1) // dilation)
    phases = []
    for r in range(dilation):
        first = (axis.before - r) % dilation  # the first weight that meets a pixel
        start = (r - axis.before + first) // dilation  # the pixel that it meets first
        count = len(range(first, weights, dilation))
        after = (outputs - 1 + start + count - 1) - (pixels - 1)
        phases.append(_Phase(slice(first, None, dilation), -start, after, outputs))
    return phases


def _phase(x: Array, kernel: Array, height: _Phase, width: _Phase) -> Array:
    some = kernel[height.weights, width.weights]
    if 0 in some.shape:  # no weight meets a pixel
        return jnp.zeros((len(x), height.outputs, width.outputs, kernel.shape[3]), x.dtype)
    return _one_by_one(tuple(_Axis(1, phase.before, phase.after, 1, 1) for phase in (height, width)))(x, some)


def _forward(x: Array, kernel: Array, axes: _Axes) -> tuple[Array, tuple[Array, Array]]:
    return _canonical(x, kernel, axes), (x, kernel)


def _backward(axes: _Axes, saved: Any, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    x_axes, kernel_axes = [], []
    for axis, pixels, weights, outputs in zip(axes, x.shape[1:3], kernel.shape[:2], dy.shape[1:3], strict=True):
        stride, before, _, image_dilation, kernel_dilation = axis
        last = _spread(weights, kernel_dilation) - 1  # position of the last weight of the kernel
        longer = _spread(outputs, stride) - _spread(pixels, image_dilation)
        x_axes.append(_Axis(image_dilation, last - before, before - longer, stride, kernel_dilation))
        kernel_axes.append(_Axis(kernel_dilation, before, last - before + longer, image_dilation, stride))
    dx = _canonical(dy, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), tuple(x_axes))
    dk: Any = _canonical(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), tuple(kernel_axes))
    return dx, dk.transpose(1, 2, 0, 3)


_canonical.defvjp(_forward, _backward)


def _spread(size: int, dilation: int) -> int:
    """Returns the length of `size` numbers with `dilation` - 1 zeros between neighbours."""
    return (size - 1) * dilation + 1


def _transposed_padding(padding: str, width: int, stride: int) -> Pair:
    """Returns the padding of a transposed convolution, around the image with inserted zeros.

    "SAME" and "VALID" name the padding of the opposite convolution, which shrinks the image.
    """
    if padding == "VALID":
        return width - 1, stride - 1 + max(width - stride, 0)
    total = width + stride - 2
    before = width - 1 if stride > width - 1 else -(-total // 2)
    return before, total - before


def _pairs(padding: Padding, named: Callable[[str], Iterable[Pair]]) -> tuple[Pair, Pair]:
    pairs: Any = tuple(
        map(tuple, named(padding) if isinstance(padding, str) and padding in ("SAME", "VALID") else padding)
    )
    if [len(pair) for pair in pairs] != [2, 2]:
        raise ValueError(f'padding must be "SAME", "VALID" or two pairs of numbers, got {padding!r}')
    return pairs


def _check(x: Array, kernel: Array) -> None:
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2]:
        raise ValueError(
            "a convolution needs images [batch, height, width, in] and a kernel [height, width, in, out], got "
            f"{x.shape} and {kernel.shape}"
        )
