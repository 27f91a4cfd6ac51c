"""Strided and transposed convolutions in NHWC and HWIO, with derivatives that are equally fast on the CPU.

A convolution is linear in the image and in the kernel, and its derivatives are convolutions again:

    y  = x * k                                             forward
    dx = dy * flipped k, in and out transposed             strides of y become dilations of dy
    dk = x * dy, the batch in the role of the channels     strides of y become dilations of dy

On the CPU, XLA is fast only if images are `[batch, height, width, channels]` and kernels `[height, width, in, out]`.
Autodiff names other axes, and XLA takes a slow path. This module moves the numbers into these axes. One function then
computes the convolution and both derivatives, in the form that is fastest for their shapes
(`networks.convolution_forms`). Derivatives of derivatives (gradient penalties) are then fast too. If both derivatives
are asked for, that in the image waits for that in the kernel (`networks.scheduling`).

Under `jax.vmap` (many seeds in one program), each image meets its own kernel, one after the other: `jax.lax` would make
a grouped convolution, which is not fast. On other devices `jax.lax` is used unchanged.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.networks.convolution_axes import Axes, Axis, spread
from genjax_models.networks.convolution_forms import native, on_cpu
from genjax_models.networks.scheduling import computed_after, computed_once
from genjax_models.types import Array

Pair = tuple[int, int]  # height and width
Padding = Literal["SAME", "VALID"] | Sequence[Pair]


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
    return _convolve(x, kernel, [Axis(stride, *ends, 1, 1) for stride, ends in zip(strides, around, strict=True)])


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
    return _convolve(x, kernel, [Axis(1, *ends, stride, 1) for stride, ends in zip(strides, around, strict=True)])


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


def _convolve(x: Array, kernel: Array, axes: Sequence[Axis]) -> Array:
    dtype = jnp.result_type(x, kernel)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    if min(axis.last_position(*sizes) for axis, *sizes in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True)) < 0:
        raise ValueError(f"a kernel of {kernel.shape[:2]} does not fit into images of {x.shape[1:3]}, {axes}")
    canonical, unchanged = (partial(form, axes=tuple(axes)) for form in (_canonical, native))
    return jax.lax.platform_dependent(x, kernel, cpu=canonical, default=unchanged)


@partial(jax.custom_vjp, nondiff_argnames=("axes",))
def _canonical(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns the convolution in the form that is fastest for its shapes."""
    return on_cpu(x, kernel, axes)


def _forward(x: Any, kernel: Any, axes: Axes) -> tuple[Array, Any]:
    image = computed_once(x.value)
    both = () if x.perturbed and kernel.perturbed else None  # a structure, since residuals cannot be static
    return _canonical(image, kernel.value, axes), (image, kernel.value, both)


def _backward(axes: Axes, saved: Any, dy: Array) -> tuple[Array, Array]:
    x, kernel, both = saved
    x_axes, kernel_axes = [], []
    for axis, pixels, weights, outputs in zip(axes, x.shape[1:3], kernel.shape[:2], dy.shape[1:3], strict=True):
        stride, before, _, image_dilation, kernel_dilation = axis
        last = spread(weights, kernel_dilation) - 1  # position of the last weight of the kernel
        longer = spread(outputs, stride) - spread(pixels, image_dilation)
        x_axes.append(Axis(image_dilation, last - before, before - longer, stride, kernel_dilation))
        kernel_axes.append(Axis(kernel_dilation, before, last - before + longer, image_dilation, stride))
    dk: Any = _canonical(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), tuple(kernel_axes))
    kernel = kernel if both is None else computed_after(kernel, dk)
    dx = _canonical(dy, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), tuple(x_axes))
    return dx, dk.transpose(1, 2, 0, 3)


_canonical.defvjp(_forward, _backward, symbolic_zeros=True)


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
