"""Forms of a convolution and of its two derivatives on the CPU, compared with each other and with PyTorch.

python -m experiments.benchmarks.convolutions

Milliseconds of the layer (forward), of its derivative in the image and in the kernel, in each form that can compute it.
Columns: as it is; Eigen; phases; product; oneDNN (1D); phases by oneDNN; row products; patch products; products of
shifted copies; the rule (`fastest`); PyTorch in the better of its two memory formats. k is the side of the kernel. On 2
cores of an AMD EPYC with AVX-512, alone (jax 0.10.2, torch 2.13.0, CPU, --turns 3), 2026-11-29; derivatives in the
kernel without strides 2026-11-30. A number may be 20% off.

forward
     pixels     channels  k batch  as is  Eigen phases  prod.     1D  ph.1D   rows  patch   rule  torch
     28 -> 14   1 ->  32 4 100    0.87      -   1.40   0.28   0.33   0.57      -      -   0.31   0.17
     14 ->  7  32 ->  64 4 100    1.79      -   2.29   2.63   0.98   1.42      -      -   0.96   0.80
      7 -> 14  64 ->  32 4 100    1.96      -   1.32      -      -   1.53      -      -   1.39   0.94
     14 -> 28  32 ->   1 4 100    0.77      -   1.73      -      -   1.40      -      -   0.76   1.39
     64 -> 32   3 ->  32 4  64    6.98      -   4.98   1.86   0.80   2.65      -      -   0.84   0.63
     32 -> 16  32 ->  32 4  64    2.76      -   2.98  21.06   2.86   3.07      -      -   2.08   1.36
     16 ->  8  32 ->  64 4  64    1.58      -   1.25   1.98   0.76   1.09      -      -   0.82   0.61
      8 ->  4  64 ->  64 4  64    0.70      -   1.33   0.83   0.39   0.73      -      -   0.34   0.35
      4 ->  8  64 ->  64 4  64    0.82      -   0.88      -      -   0.90      -      -   0.81   0.54
      8 -> 16  64 ->  32 4  64    1.66      -   2.03      -      -   1.40      -      -   1.11   0.96
     16 -> 32  32 ->  32 4  64   21.61      -   3.18      -      -   3.24      -      -   3.39   2.72
     32 -> 64  32 ->   3 4  64    3.13      -  11.94      -      -   5.46      -      -   3.39   4.78
     28 -> 14   1 ->  64 4  64    0.96      -   1.12   0.25   0.37   0.92      -      -   0.34   0.20
     14 ->  7  64 -> 128 4  64    4.07      -   3.11   4.65   2.43   3.07      -      -   2.34   2.23
      7 -> 14 128 ->  64 4  64    5.51      -   3.13      -      -   2.71      -      -   2.45   2.12
     14 -> 28  64 ->   1 4  64    0.51      -   1.79      -      -   1.88      -      -   0.55   1.10
     32 -> 32   2 ->  64 3  64    3.10   3.61      -   1.65   1.20      -      -      -   1.11   0.91
     32 -> 32  64 ->  64 3  64   23.98  16.68      -  95.15  17.10      -      -      -  11.19  11.20
     32 -> 32  64 ->   1 3  64    5.30   4.76      -  95.42   4.93      -      -      -   8.41   4.87
     16 -> 16  64 ->  64 3  16    2.09   1.51      -   2.76   1.19      -      -      -   1.07   0.88
      8 ->  8 256 -> 256 3  64   16.06  15.92      -  39.27  10.57      -      -      -  10.30  10.57
      4 ->  4 256 -> 256 3 128    9.60   9.02      -   9.49   6.77      -      -      -   6.65   6.66
     32 -> 16   3 ->  32 5 128    9.35      -   3.54   3.33   1.50   2.24      -      -   1.04   0.83
     16 -> 32  32 ->  32 5  16    2.42      -   1.44      -      -   1.76      -      -   1.66   0.84

derivative in the image
     pixels     channels  k batch  as is  Eigen phases  prod.     1D  ph.1D   rows  patch   rule  torch
     28 -> 14   1 ->  32 4 100    0.65      -   2.32      -      -   1.24      -      -   0.68   1.28
     14 ->  7  32 ->  64 4 100    5.33      -   2.46      -      -   1.06      -      -   0.88   0.89
      7 -> 14  64 ->  32 4 100    1.74      -   1.59   3.30   0.88   1.72      -      -   0.81   0.76
     14 -> 28  32 ->   1 4 100    0.33      -   1.16   0.22   0.30   0.63      -      -   0.28   0.16
     64 -> 32   3 ->  32 4  64    3.09      -   9.28      -      -   4.22      -      -   2.63   3.72
     32 -> 16  32 ->  32 4  64   19.41      -   6.36      -      -   1.99      -      -   1.81   1.80
     16 ->  8  32 ->  64 4  64    2.13      -   1.12      -      -   1.52      -      -   1.09   0.78
      8 ->  4  64 ->  64 4  64    0.69      -   0.94      -      -   0.73      -      -   0.64   0.40
      4 ->  8  64 ->  64 4  64    0.80      -   1.19   1.22   0.43   0.80      -      -   0.41   0.35
      8 -> 16  64 ->  32 4  64    1.47      -   1.19   1.67   0.76   0.98      -      -   0.78   0.64
     16 -> 32  32 ->  32 4  64    2.79      -   2.43  21.27   3.06   2.49      -      -   1.92   1.71
     32 -> 64  32 ->   3 4  64    6.38      -   4.61   1.74   0.84   2.49      -      -   0.72   0.62
     28 -> 14   1 ->  64 4  64    0.60      -   2.05      -      -   2.60      -      -   0.53   0.97
     14 ->  7  64 -> 128 4  64    3.68      -   2.62      -      -   2.41      -      -   2.60   1.82
      7 -> 14 128 ->  64 4  64    3.18      -   2.55   3.55   2.13   2.48      -      -   2.34   1.85
     14 -> 28  64 ->   1 4  64    0.22      -   0.57   0.26   0.33   0.59      -      -   0.28   0.18
     32 -> 32   2 ->  64 3  64    3.46  10.21      -  80.67   6.47      -      -      -   6.39   2.86
     32 -> 32  64 ->  64 3  64   22.72  15.63      -  81.24  16.02      -      -      -  10.41  10.14
     32 -> 32  64 ->   1 3  64    1.60   3.34      -   0.89   0.76      -      -      -   0.55   0.54
     16 -> 16  64 ->  64 3  16    1.67   1.19      -   1.86   0.75      -      -      -   0.72   0.62
      8 ->  8 256 -> 256 3  64   11.67  13.06      -  29.33   9.75      -      -      -   9.64   8.95
      4 ->  4 256 -> 256 3 128    6.70   7.61      -  14.77   6.17      -      -      -   5.62   3.90
     32 -> 16   3 ->  32 5 128    2.54      -   7.36      -      -   3.17      -      -   2.22   2.78
     16 -> 32  32 ->  32 5  16    1.05      -   0.90  12.18   0.57   0.97      -      -   0.62   0.52

derivative in the kernel
     pixels     channels  k batch  as is  Eigen phases  prod.     1D  ph.1D   rows  patch  shift   rule  torch
     28 -> 14   1 ->  32 4 100   0.40      -   0.43      -   0.51   0.58   0.62   0.17      -   0.13   0.11
     14 ->  7  32 ->  64 4 100   2.20      -   1.84      -   1.39   1.49      -      -      -   1.08   0.90
      7 -> 14  64 ->  32 4 100   2.83      -   2.02      -      -   2.35   1.99   6.02      -   2.56   0.88
     14 -> 28  32 ->   1 4 100   0.39      -   1.67      -      -   3.41   0.88   0.23      -   0.19   0.11
     64 -> 32   3 ->  32 4  64   3.37      -   3.42      -   2.88   3.38   3.34   1.95      -   1.68   0.82
     32 -> 16  32 ->  32 4  64   8.41      -   7.75      -   5.07   5.25   3.33  23.53      -   3.60   1.39
     16 ->  8  32 ->  64 4  64   2.12      -   2.12      -   1.55   1.48   1.06   1.62      -   1.08   0.74
      8 ->  4  64 ->  64 4  64   0.78      -   0.79      -   0.56   0.76      -      -      -   0.38   0.39
      4 ->  8  64 ->  64 4  64   1.09      -   1.22      -      -   1.20   0.87   1.45      -   1.15   0.53
      8 -> 16  64 ->  32 4  64   2.21      -   2.64      -      -   2.34   1.76   2.07      -   1.69   0.88
     16 -> 32  32 ->  32 4  64   7.14      -   4.52      -      -   5.14   3.48  22.40      -   3.64   1.50
     32 -> 64  32 ->   3 4  64   2.64      -  10.03      -      -  14.77   3.80   2.86      -   1.66   0.82
     28 -> 14   1 ->  64 4  64   0.33      -   0.49      -   0.53   0.67   0.82   0.25      -   0.23   0.13
     14 ->  7  64 -> 128 4  64   3.11      -   2.91      -   3.16   3.77      -      -      -   2.54   2.07
      7 -> 14 128 ->  64 4  64   5.25      -   3.45      -      -   4.29   2.48   3.63      -   3.12   2.10
     14 -> 28  64 ->   1 4  64   0.35      -   2.77      -      -   4.22   0.77   0.21      -   0.20   0.14
     32 -> 32   2 ->  64 3  64   3.38   3.22      -      -   4.13      -  28.34   1.50   7.54   2.77   0.86
     32 -> 32  64 ->  64 3  64  57.11  25.96      -      -  45.77      -  47.18  96.75  16.04  15.56  12.60
     32 -> 32  64 ->   1 3  64  12.95   9.56      -      -  17.03      -   3.00  85.01   4.79   4.85   3.44
     16 -> 16  64 ->  64 3  16   2.74   1.46      -      -   1.47      -   1.40   1.65   1.08   1.06   0.88
      8 ->  8 256 -> 256 3  64  27.06  15.48      -  34.60  16.82      -  17.07  15.78  12.37  12.86  10.76
      4 ->  4 256 -> 256 3 128   9.21   8.52      -  18.87   7.65      -      -      -      -   7.79   5.91
     32 -> 16   3 ->  32 5 128   1.83      -   2.74      -   1.74   2.63   2.68   2.16      -   2.13   0.46
     16 -> 32  32 ->  32 5  16   1.26      -   2.05      -      -   1.80   1.40   3.50      -   1.53   0.52

Outputs and derivatives in the image are mostly oneDNN's, as PyTorch's are: in the median 0.82 x and 0.86 x PyTorch's
speed (0.5 to 2.0 x and 0.4 to 1.9 x). A call of one operation maps its memory anew, which a step in a loop does not.
The derivative in the kernel is 0.63 x in the median (0.22 to 1.03 x): jaxlib calls oneDNN's forward convolution and its
products, not its kernel derivative. Row products and patch products copy the image once or twice first. In a loop, for
32 -> 16 pixels with 32 -> 32 channels, the copies take about 2.3 of 3.9 ms: one product of all rows in place of four
multiplies at 416 GFLOP/s in place of 206, and the whole takes as long. So do chunks of 4 to 8 examples, but for kernels
of 3 x 3 with 64 -> 64 channels (18 ms in place of 24). By this table the eight derivatives in kernels of the
convolutional VAE of 64 pixels take 14.9 ms, and PyTorch's 7.1. Its step took 41 to 45 ms.

Without strides the derivative in the kernel is a sum of products of shifted copies, over chunks of 8 MiB, which stay in
the cache. Of 15 shapes, 11 are 1.1 to 3.2 times as fast as in the form before; 4 with 1 to 3 channels in are slower,
and keep it. All examples at once take up to 2.9 times as long as chunks. BigGAN's step is 1.08 x as fast (1.00 to 1.12,
24 turns). With strides, rows take 0.81 to 0.94 x the time of chunks of blocks of 2 x 2 pixels, of six shapes. For 64 ->
32 pixels with 3 channels, such chunks take 2.4 ms, and patches 3.4 ms.

Row products make the step of 64 pixels 1.11 x as fast and that of 28 pixels 1.03 x (53 turns, next to other work).
Patch products, for few channels, are 0.9 to 2.4 times as fast as the form before. In programs that are stored, and
cannot call oneDNN, row products are 0.85 to 1.21 x as fast as the form before.

The step of 64 pixels has 6.8 GFLOP, which take 18 of its 43 ms at 390 GFLOP/s. Its cores are busy for 90% of the time.
By a profile, convolutions and products take 56% of the time of its operations, copies 18%, the likelihood 16%, the rest
10% (2026-11-30; before the likelihood was mended). XLA computed each activation again in every copy of it: a
transposition took 1.6 ms, and 0.06 ms alone. Since activations are computed once (`networks.convolution`), the step is
1.04 x as fast (1.037 and 1.048 x, 19 and 11 turns of processes of their own): 48.3 ms in place of 49.9, where PyTorch
eager took 44.2. The step of 32 pixels is 1.085 x (1.052 to 1.142), that of 28 pixels 1.048 x (1.002 to 1.159), that of
the DCGAN 1.017 x (0.956 to 1.090) as fast.

Tried on the same day, in loops of one operation, for 32 -> 16 pixels with 32 -> 32 channels. The derivative in the
kernel takes 3.4 ms by rows, 3.9 to 4.5 ms as one product of blocks of 2 x 2 pixels (its product alone 2.1 ms), and
4.0 ms as oneDNN's convolution with channels as examples. Outputs take 1.7 ms, by a convolution of blocks 2.4 ms, by a
product 2.8 ms. The derivative in the image takes 2.1 ms, as one convolution that emits blocks 1.9 ms. For 64 -> 32
pixels with 3 channels that form takes 1.7 ms in place of 2.7, but the step gained less than its noise (1.054 x
against 1.048 x). In all layers it made the step 0.94 x as fast: all that reads its outputs reads blocks.

The likelihood of the step of 64 pixels took 10.5 of 64 ms, summed over its operations, and takes 3.2 of 51 ms since its
scale has no batch axes and both sigmoids share one logarithm: the step is 1.12 x as fast (1.06 to 1.32, 27 turns of
processes of their own). One logarithm alone gives 1.02 x (0.91 to 1.08). A scale without batch axes alone gives 1.03 x
(0.91 to 1.18), and 0.91 x if gradients are summed over two axes, samples and examples: XLA then takes 7.3 ms for that
sum in place of 0.8.

XLA runs operations at the same time if neither reads the other. Those of oneDNN then wait for each other. In that step
an output of 32 -> 16 pixels took 2.7 ms, and 1.1 ms alone, as in PyTorch; a product of a row took 1.1 ms, and 0.33 ms
alone. One after the other (`networks.scheduling`) they take 1.2 to 1.5 and 0.4 to 0.7 ms: the sum over all operations
is 34 ms in place of 51. Three comparisons of processes of their own gave 0.99, 1.03 and 1.06 x for the step (29, 32 and
78 turns, 0.90 to 1.26), the first in a slow phase of the host. One after the other, a product of blocks of 2 x 2 pixels
still takes longer than the rows (0.95 x), and phases gain nothing (0.97 x). XLA's other scheduler gives 1.01 to 1.03 x.
To compute the likelihood again in the derivative gives 0.96 to 1.04 x.

For 48 x 32 numbers, sums of 65,536 products take 0.67 ms with the narrower matrix first, and 0.91 ms otherwise; chunks
and halves take longer (0.97 and 1.57 ms).
"""

from __future__ import annotations

import dataclasses
import sys
import timeit
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args
from unittest import mock

import numpy as np

from experiments.benchmarks.measure import machine
from genjax_models.errors import InputError
from genjax_models.networks import convolution_forms as forms
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    from genjax_models.networks.convolution_axes import Axes
    from genjax_models.networks.convolution_forms import Form

Operation = Literal["forward", "image", "kernel"]
FORMS: dict[str, Form] = {
    "as it is": forms.as_it_is,
    "Eigen": forms.by_eigen,
    "phases": forms.polyphase,
    "product": forms.as_product,
    "oneDNN": forms.by_onednn,
    "phases, oneDNN": forms.phases_by_onednn,
    "rows, oneDNN": forms.by_row_products,
    "patches, oneDNN": forms.by_patch_product,
    "shifts, oneDNN": forms.by_shift_products,
}
RULE, TORCH = "the rule", "PyTorch"


class Case(NamedTuple):
    """A layer: side of its input image, channels in and out, side of the kernel, stride and examples."""

    transposed: bool
    side: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    batch: int

    @property
    def halved(self) -> tuple[int, int]:
        """Returns PyTorch's padding, on both sides, and 1 if one side needs one zero less."""
        total = self.kernel - self.stride
        return (total + 1) // 2, total % 2

    @property
    def padding(self) -> tuple[int, int]:
        """Returns our padding: zeros before and after."""
        half, surplus = self.halved
        if self.transposed:
            return self.kernel - 1 - half, self.kernel - 1 - half + surplus
        return half, half - surplus

    def __str__(self) -> str:
        after = self.side * self.stride if self.transposed else -(-self.side // self.stride)
        return (
            f"{self.side} -> {after} pixels, {self.inputs} -> {self.outputs} channels, kernel {self.kernel}, "
            f"batch {self.batch}"
        )


LAYERS = (
    Case(False, 28, 1, 32, 4, 2, 100),  # the convolutional VAEs of 28, 32 and 64 pixels
    Case(False, 14, 32, 64, 4, 2, 100),
    Case(True, 7, 64, 32, 4, 2, 100),
    Case(True, 14, 32, 1, 4, 2, 100),
    Case(False, 64, 3, 32, 4, 2, 64),
    Case(False, 32, 32, 32, 4, 2, 64),
    Case(False, 16, 32, 64, 4, 2, 64),
    Case(False, 8, 64, 64, 4, 2, 64),
    Case(True, 4, 64, 64, 4, 2, 64),
    Case(True, 8, 64, 32, 4, 2, 64),
    Case(True, 16, 32, 32, 4, 2, 64),
    Case(True, 32, 32, 3, 4, 2, 64),
    Case(False, 28, 1, 64, 4, 2, 64),  # the DCGAN
    Case(False, 14, 64, 128, 4, 2, 64),
    Case(True, 7, 128, 64, 4, 2, 64),
    Case(True, 14, 64, 1, 4, 2, 64),
    Case(False, 32, 2, 64, 3, 1, 64),  # kernels of 3 and 5
    Case(False, 32, 64, 64, 3, 1, 64),
    Case(False, 32, 64, 1, 3, 1, 64),
    Case(False, 16, 64, 64, 3, 1, 16),
    Case(False, 8, 256, 256, 3, 1, 64),
    Case(False, 4, 256, 256, 3, 1, 128),
    Case(False, 32, 3, 32, 5, 2, 128),
    Case(True, 16, 32, 32, 5, 2, 16),
)


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time forms of convolutions, and PyTorch's, in turns."""

    operations: tuple[Operation, ...] = get_args(Operation)
    """Operations to measure: the convolution, its derivative in the image, its derivative in the kernel."""
    first: int = len(LAYERS)
    """Number of layers to measure."""
    turns: int = 5
    """Rounds in which all contestants are timed."""
    limit: float = 0.2
    """Seconds after which a form that is slower is not timed again."""

    def __post_init__(self):
        whole(1, turns=self.turns, first=self.first)
        positive(limit=self.limit)


def possible(form: Form, kernel: Sequence[int], axes: Axes) -> bool:
    """Returns whether a form can compute a convolution, and is not `as_it_is`."""
    if form is forms.as_it_is:
        return False
    plain = all(axis.factor == 1 for axis in axes)
    if form is forms.as_product:
        return not any(axis.dilated for axis in axes) and max(kernel[:2]) <= 8
    if form is forms.by_onednn:
        return all(axis.image_dilation == 1 for axis in axes)
    if form in (forms.by_row_products, forms.by_patch_product):
        return all(axis.stride == 1 and axis.factors <= 1 for axis in axes) and max(kernel[:2]) >= 8
    if form is forms.by_shift_products:
        return plain and max(kernel[:2]) >= 8
    return plain if form is forms.by_eigen else not plain and all(axis.factors <= 1 for axis in axes)


def our_operation(case: Case, operation: Operation, form: Form | None) -> Callable[[], np.ndarray] | None:
    """Returns the compiled operation in one form, or by the rule if `form` is None; None if the form cannot do it."""
    import jax

    from genjax_models.networks.convolution import convolve, convolve_transposed

    settings = {"strides": (case.stride, case.stride), "padding": (case.padding, case.padding)}
    layer = partial(convolve_transposed if case.transposed else convolve, **settings)
    x, kernel, dy = arguments(case)
    compute = {
        "forward": lambda x, kernel, dy: layer(x, kernel),
        "image": lambda x, kernel, dy: jax.vjp(lambda x: layer(x, kernel), x)[1](dy)[0],
        "kernel": lambda x, kernel, dy: jax.vjp(lambda kernel: layer(x, kernel), kernel)[1](dy)[0],
    }[operation]
    used, rule = [], forms.fastest

    def fastest(image, kernel, axes):
        chosen = form if form and possible(form, kernel, axes) else forms.as_it_is
        used.append(chosen)
        return chosen if form else rule(image, kernel, axes)

    jax.clear_caches()
    with mock.patch.object(forms, "fastest", fastest):
        compiled = jax.jit(compute).lower(x, kernel, dy).compile()
    # The last ones are the derivatives in the kernel and in the image. XLA drops those that are not asked for.
    asked = used[-2 if operation == "kernel" else -1]
    if form not in (None, asked):
        return None
    on_device = jax.device_put((x, kernel, dy))
    return lambda: jax.block_until_ready(compiled(*on_device))


def torch_operation(case: Case, operation: Operation, channels_last: bool) -> Callable[[], np.ndarray]:
    """Returns PyTorch's operation, on the same numbers, with the result in our axes."""
    import torch

    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    x, kernel, dy = (torch.tensor(a) for a in arguments(case))
    to_images = lambda a: a.permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    # Our transposed kernel is the flipped kernel of the convolution whose derivative PyTorch takes.
    kernel = kernel.flip(0, 1).permute(2, 3, 0, 1) if case.transposed else kernel.permute(3, 2, 0, 1)
    x, kernel, dy = to_images(x), kernel.contiguous(memory_format=memory_format), to_images(dy)
    half, surplus = case.halved
    settings = ([case.stride] * 2, [half] * 2, [1, 1], case.transposed, [surplus * case.transposed] * 2, 1)
    operations = torch.ops.aten
    with torch.no_grad():
        if operation == "forward":
            run = lambda: operations.convolution(x, kernel, None, *settings)
        else:
            mask = [operation == "image", operation == "kernel", False]
            asked = mask.index(True)
            run = lambda: operations.convolution_backward(dy, x, kernel, [0], *settings, mask)[asked]
    axes = (2, 3, 0, 1) if case.transposed else (2, 3, 1, 0)

    def timed():
        with torch.no_grad():
            return run()

    def result():
        y = timed()
        if operation != "kernel":
            return y.permute(0, 2, 3, 1).numpy()
        y = y.permute(*axes).numpy()
        return y[::-1, ::-1] if case.transposed else y

    timed.result = result
    return timed


def arguments(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns images, a kernel, and the derivative of a loss in the outputs."""
    rng = np.random.default_rng(0)
    after = case.side * case.stride if case.transposed else -(-case.side // case.stride)
    shapes = (
        (case.batch, case.side, case.side, case.inputs),
        (case.kernel, case.kernel, case.inputs, case.outputs),
        (case.batch, after, after, case.outputs),
    )
    x, kernel, dy = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return x, kernel / 10, dy


def measure(case: Case, operation: Operation, options: Benchmark) -> dict[str, float]:
    """Returns the milliseconds of each form, of the rule and of PyTorch's faster memory format: medians of turns."""
    contestants = {name: our_operation(case, operation, form) for name, form in FORMS.items()}
    contestants[RULE] = our_operation(case, operation, None)
    runs = {name: run for name, run in contestants.items() if run}
    expected = np.asarray(runs["as it is"]())
    for name, run in runs.items():
        check(name, np.asarray(run()), expected)
    if find_spec("torch"):
        for last in (False, True):
            run = torch_operation(case, operation, last)
            check(TORCH, run.result(), expected)
            runs[f"{TORCH}, {last}"] = run
    times = {name: [] for name in runs}
    for _ in range(options.turns):
        for name, run in runs.items():
            if not times[name] or min(times[name]) < options.limit:
                times[name].append(min(timeit.repeat(run, number=1, repeat=2)))
    milliseconds = {name: 1e3 * float(np.median(each)) for name, each in times.items()}
    theirs = [milliseconds.pop(name) for name in list(milliseconds) if name.startswith(TORCH)]
    return {**milliseconds, **({TORCH: min(theirs)} if theirs else {})}


def check(name: str, actual: np.ndarray, expected: np.ndarray) -> None:
    """Raises AssertionError if a contestant computes something else: 1e-4 of the largest number."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=name)


def row(case: Case, operation: Operation, times: Mapping[str, float]) -> str:
    """Returns a line of the table: milliseconds, the chosen form, and how many times as fast the rule is."""
    cells = " ".join(f"{times[name]:14.2f}" if name in times else " " * 14 for name in (*FORMS, RULE, TORCH))
    best = min(times[name] for name in FORMS if name in times)
    torch = f"{times[TORCH] / times[RULE]:7.2f} x" if TORCH in times else ""
    return f"{case!s:58} {operation:8} {cells} {times[RULE] / best:6.2f} {torch}"


def benchmark(options: Benchmark) -> str:
    """Measures in turns, prints each row as it is measured, and returns the table."""
    import jax

    if jax.default_backend() != "cpu":
        raise InputError("these forms are for the CPU; other devices use jax.lax. Set JAX_PLATFORMS=cpu")
    columns = " ".join(f"{name:>14}" for name in (*FORMS, RULE, TORCH))
    lines = [machine("jax", "torch"), f"{'milliseconds':58} {'':8} {columns}   /best  PyTorch / rule"]
    for case, operation in product(LAYERS[: options.first], options.operations):
        lines.append(row(case, operation, measure(case, operation, options)))
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        name = "python -m experiments.benchmarks.convolutions"
        print(benchmark(parse(Benchmark, arguments, name, Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
