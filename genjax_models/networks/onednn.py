"""oneDNN's convolution and matrix product on the CPU: jaxlib holds them, but XLA does not choose them.

oneDNN multiplies patches of the image without copying them, so it is as fast as the machine multiplies. Its product is
fast if the sum is long. XLA's runtime calls both by custom calls, "__onednn$convolution" and "__onednn$matmul". XLA
promises nothing about these calls, and cannot store a program that has one. They are used only in programs for one CPU,
with releases of jaxlib on which the tests ran, and if JAX has no persistent compilation cache. All other programs get
another form of the same convolution or product.
"""

import json
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jaxlib.version import __version__ as jaxlib_version

from genjax_models.networks.convolution_axes import Axes
from genjax_models.types import Array

RELEASES = ("0.10.", "0.11.", "0.12.")  # of jaxlib, on which the tests ran
_IMAGES = {"dims": 4, "data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
_KERNEL = {"dims": 4, "filter": {"input_feature_dim": 2, "output_feature_dim": 3, "spatial_dims": [0, 1]}}


def convolution(x: Array, kernel: Array, axes: Axes, otherwise: Callable[..., Array]) -> Array:
    """Returns the convolution by oneDNN; by `otherwise(x, kernel, axes)` in programs that cannot call oneDNN.

    Args:
      x: images, `[batch, height, width, in]`.
      kernel: `[height, width, in, out]`.
      axes: height and width, without dilation of the image.
      otherwise: another form of this convolution.

    Returns:
      `[batch, height, width, out]`.
    """
    return _convolution.bind(x, kernel, axes=axes, otherwise=otherwise)


def product(a: Array, b: Array) -> Array:
    """Returns a^T b by oneDNN; by XLA in programs that cannot call oneDNN.

    Args:
      a: matrix `[k, m]`.
      b: matrix `[k, n]`.

    Returns:
      `[m, n]`.
    """
    # A narrower first matrix is up to 1.4 times as fast.
    return _product.bind(a, b) if a.shape[1] <= b.shape[1] else _product.bind(b, a).T


def _usable(context: Any) -> bool:
    """Returns whether the program that is lowered can call oneDNN for these arrays."""
    for_one_cpu = (
        jaxlib_version.startswith(RELEASES)
        and (platform.system(), platform.machine()) == ("Linux", "x86_64")
        and not context.module_context.lowering_parameters.for_export
        and not _stores_programs()
        and getattr(context.module_context.axis_context, "num_devices", 0) == 1
    )
    return for_one_cpu and all(array.dtype == "float32" and array.size for array in context.avals_in)


def _stores_programs() -> bool:
    """Returns whether JAX stores programs on disk. To store this call, XLA would read wrong memory."""
    config: Any = jax.config
    return bool(config.jax_enable_compilation_cache) and config.jax_compilation_cache_dir is not None


def _outputs(x: Any, kernel: Any, *, axes: Axes, otherwise: Callable[..., Array]) -> ShapedArray:
    pixels = (axis.outputs(*sizes) for axis, *sizes in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True))
    return ShapedArray((x.shape[0], *pixels, kernel.shape[3]), x.dtype)


def _lowered_otherwise(context: Any, x: Any, kernel: Any, *, axes: Axes, otherwise: Callable[..., Array]) -> Any:
    return mlir.lower_fun(lambda x, kernel: otherwise(x, kernel, axes), multiple_results=False)(context, x, kernel)


def _lowered(context: Any, x: Any, kernel: Any, *, axes: Axes, otherwise: Callable[..., Array]) -> Any:
    whole_image = all(axis.before >= 0 <= axis.after and axis.image_dilation == 1 for axis in axes)
    if not (whole_image and _usable(context)):
        return _lowered_otherwise(context, x, kernel, axes=axes, otherwise=otherwise)
    window = {
        "strides": [axis.stride for axis in axes],
        "pad_left": [axis.before for axis in axes],
        "pad_right": [axis.after for axis in axes],
        "window_dilations": [axis.kernel_dilation for axis in axes],
    }
    layouts = {"input": _IMAGES, "kernel": _KERNEL, "output": _IMAGES}
    config = {"onednn_conv_config": {"dims": 4, "feature_groups": 1, "window": window, **layouts}}
    return _called("convolution", config)(context, x, kernel)


def _lowered_product_otherwise(context: Any, a: Any, b: Any) -> Any:
    transposed = partial(jax.lax.dot_general, dimension_numbers=(((0,), (0,)), ((), ())))
    return mlir.lower_fun(transposed, multiple_results=False)(context, a, b)


def _lowered_product(context: Any, a: Any, b: Any) -> Any:
    if not _usable(context):
        return _lowered_product_otherwise(context, a, b)
    return _called("matmul", {"onednn_matmul_config": {"transpose_a": True, "transpose_b": False}})(context, a, b)


def _called(name: str, config: dict[str, Any]) -> Callable[..., Any]:
    return jax.ffi.ffi_lowering(f"__onednn${name}", api_version=2, backend_config=json.dumps(config))


_convolution = Primitive("onednn_convolution")
_convolution.def_impl(jax.jit(_convolution.bind, static_argnames=("axes", "otherwise")))
_convolution.def_abstract_eval(_outputs)
mlir.register_lowering(_convolution, _lowered_otherwise)
mlir.register_lowering(_convolution, _lowered, platform="cpu")

_product = Primitive("onednn_product")
_product.def_impl(jax.jit(_product.bind))
_product.def_abstract_eval(lambda a, b: ShapedArray((a.shape[1], b.shape[1]), a.dtype))
mlir.register_lowering(_product, _lowered_product_otherwise)
mlir.register_lowering(_product, _lowered_product, platform="cpu")
