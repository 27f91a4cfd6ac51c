"""Convolutions whose derivatives are as fast as they are themselves, strided and transposed, in NHWC and HWIO.

A convolution is linear in the image and in the kernel, and its derivatives are convolutions again:

    y  = x * k                                             forward
    dx = dy * flipped k, in and out transposed             strides of y become dilations of dy
    dk = x * dy, the batch summed over as channels are     strides of y become dilations of dy

XLA has one fast convolution on the CPU, and only for images `[batch, height, width, channels]` and kernels
`[height, width, in, out]`: what autodiff makes of the two derivatives names other axes instead of moving the numbers,
and takes a slow path. Here each of the three is written in the one fast form, by the same function, so that derivatives
of derivatives (gradient penalties) are in it too. Under `jax.vmap` (many seeds in one program) each image meets its own
kernel in turn, since the convolution in groups that `jax.lax` makes of that is not in it. Elsewhere than on the CPU
`jax.lax` is left as it is.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.types import Array

Pair = tuple[int, int]  # of height and width
Padding = Literal["SAME", "VALID"] | Sequence[Pair]


class _Axis(NamedTuple):
    """Of a convolution, in height or in width. A dilation of 2 is a zero between any two pixels, or weights."""

    stride: int
    before: int  # zeros at either end; negative where it cuts
    after: int
    image_dilation: int
    kernel_dilation: int

    def room(self, pixels: int, weights: int) -> int:
        """How far the kernel can move from its first place: by `stride` from output to output."""
        image = _spread(pixels, self.image_dilation) + self.before + self.after
        return image - _spread(weights, self.kernel_dilation)


_Axes = tuple[_Axis, _Axis]


def convolve(x: Array, kernel: Array, *, strides: Pair = (1, 1), padding: Padding = "SAME") -> Array:
    """`jax.lax.conv_general_dilated` of images, with derivatives of reverse mode alone (`jax.grad`, of any order).

    Args:
      x: `[batch, height, width, in]`.
      kernel: `[height, width, in, out]`.
      strides: of height and width.
      padding: zeros before and after in height and width, ((before, after), (before, after)); or "SAME", where outputs
        are ceil(size / stride), or "VALID", none.

    Returns:
      `[batch, height, width, out]`.

    Raises:
      ValueError: arrays of other ranks or channels, or a padding that is none of these.
    """
    _check(x, kernel)
    around = _pairs(padding, partial(jax.lax.padtype_to_pads, x.shape[1:3], kernel.shape[:2], strides))
    return _convolve(x, kernel, [_Axis(stride, *ends, 1, 1) for stride, ends in zip(strides, around, strict=True)])


def convolve_transposed(x: Array, kernel: Array, *, strides: Pair = (1, 1), padding: Padding = "SAME") -> Array:
    """`jax.lax.conv_transpose` of images: `strides` - 1 zeros between any two pixels, and then a convolution.

    Args:
      x: `[batch, height, width, in]`.
      kernel: `[height, width, in, out]`.
      strides: of height and width, by which the image grows.
      padding: of the image with its zeros, as in `convolve`; or "SAME", where outputs are size * stride, or "VALID",
        where they are all that the kernel reaches, size * stride + max(kernel - stride, 0).

    Returns:
      `[batch, height, width, out]`.

    Raises:
      ValueError: as `convolve` does.
    """
    _check(x, kernel)
    around = _pairs(padding, lambda name: map(partial(_growing, name), kernel.shape[:2], strides))
    return _convolve(x, kernel, [_Axis(1, *ends, stride, 1) for stride, ends in zip(strides, around, strict=True)])


class Convolution(nn.Module):
    """`convolve` with a learned "kernel" and "bias": flax's own `Conv` of images, parameter by parameter."""

    features: int
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x `[batch, height, width, channels]` -> `[batch, height, width, features]`."""
        return _layer(self, convolve, x)


class TransposedConvolution(nn.Module):
    """`convolve_transposed` with a learned "kernel" and "bias": flax's own `ConvTranspose`, parameter by parameter."""

    features: int
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x `[batch, height, width, channels]` -> `[batch, height, width, features]`."""
        return _layer(self, convolve_transposed, x)


def _layer(module: Convolution | TransposedConvolution, apply: Callable[..., Array], x: Array) -> Array:
    kernel = module.param("kernel", module.kernel_init, (*module.kernel_size, x.shape[-1], module.features))
    y = apply(x, kernel, strides=module.strides, padding=module.padding)
    return y + module.param("bias", nn.initializers.zeros, (module.features,)) if module.use_bias else y


def _convolve(x: Array, kernel: Array, axes: Sequence[_Axis]) -> Array:
    if min(axis.room(*sizes) for axis, *sizes in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True)) < 0:
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
def _in_turn(axes: _Axes) -> Callable[[Array, Array], Array]:
    """`_native`, which under `jax.vmap` is made for one after the other, unless all have the same kernel."""

    @jax.custom_batching.custom_vmap
    def convolution(x: Array, kernel: Array) -> Array:
        return _native(x, kernel, axes)

    @convolution.def_vmap
    def _of_many(size: int, mapped: Sequence[bool], x: Array, kernel: Array) -> tuple[Array, bool]:
        if not mapped[1]:
            y = convolution(x.reshape(-1, *x.shape[2:]), kernel)
            return y.reshape(size, -1, *y.shape[1:]), True
        x = x if mapped[0] else jnp.broadcast_to(x, (size, *x.shape))
        return jax.lax.map(lambda one: convolution(*one), (x, kernel)), True

    return convolution


@partial(jax.custom_vjp, nondiff_argnames=("axes",))
def _canonical(x: Array, kernel: Array, axes: _Axes) -> Array:
    """The same; of a kernel larger than the image, as the image under the kernel, from the last output to the first.

    Where their places are not changed here, XLA changes them, and leaves the fast form.
    """
    if math.prod(kernel.shape[:2]) <= math.prod(x.shape[1:3]):
        return _in_turn(axes)(x, kernel)
    changed = []
    for axis, pixels, weights in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True):
        room = axis.room(pixels, weights)
        ends = room // axis.stride * axis.stride - axis.before, room - axis.after
        changed.append(_Axis(axis.stride, *ends, axis.kernel_dilation, axis.image_dilation))
    backwards = _in_turn(tuple(changed))(kernel.transpose(3, 0, 1, 2), x.transpose(1, 2, 3, 0))
    return jnp.flip(backwards.transpose(3, 1, 2, 0), (1, 2))


def _forward(x: Array, kernel: Array, axes: _Axes) -> tuple[Array, tuple[Array, Array]]:
    return _canonical(x, kernel, axes), (x, kernel)


def _backward(axes: _Axes, saved: Any, dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    of_x, of_kernel = [], []
    for axis, pixels, weights, outputs in zip(axes, x.shape[1:3], kernel.shape[:2], dy.shape[1:3], strict=True):
        stride, before, _, image_dilation, kernel_dilation = axis
        last = _spread(weights, kernel_dilation) - 1  # where the kernel's last weight is
        longer = _spread(outputs, stride) - _spread(pixels, image_dilation)
        of_x.append(_Axis(image_dilation, last - before, before - longer, stride, kernel_dilation))
        of_kernel.append(_Axis(kernel_dilation, before, last - before + longer, image_dilation, stride))
    dx = _canonical(dy, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), tuple(of_x))
    dk: Any = _canonical(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), tuple(of_kernel))
    return dx, dk.transpose(1, 2, 0, 3)


_canonical.defvjp(_forward, _backward)


def _spread(size: int, dilation: int) -> int:
    """Of `size` numbers with `dilation` - 1 zeros between any two."""
    return (size - 1) * dilation + 1


def _growing(padding: str, width: int, stride: int) -> Pair:
    """Around an image that has its zeros, where "SAME" and "VALID" are said of the convolution that made it small."""
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
            "a convolution is of images [batch, height, width, in] and a kernel [height, width, in, out], got "
            f"{x.shape} and {kernel.shape}"
        )
