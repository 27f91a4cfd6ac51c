"""Forms of a convolution and of its two derivatives on the CPU, compared with each other and with PyTorch.

python -m experiments.benchmarks.convolutions

Milliseconds of the layer (forward), of its derivative in the image and in the kernel, in each form that can compute it.
Each is repeated in one compiled loop, as in a training step, where memory is not mapped anew. PyTorch's is repeated in
a loop of Python. Its threads compute while they wait, so 0.02 s pass before the next contestant. Columns: as it is;
Eigen; phases; product; oneDNN (1D); phases by oneDNN; row products; patch products; products of shifted copies; the
rule (`fastest`); PyTorch in the better of its two memory formats. k is the side of the kernel. On 2 cores of an AMD
EPYC with AVX-512, alone (jax 0.10.2, torch 2.13.0, CPU, --turns 5), 2026-11-30. A number may be 20% off. Those of
patches differ more between processes: 32 -> 64 pixels took 1.1 to 2.4 ms in six of them.

forward
     pixels     channels  k batch   as is  Eigen phases  prod.     1D  ph.1D   rule  torch
     28 -> 14   1 ->  32 4 100    0.15      -   0.99   0.12   0.23   0.49   0.12   0.16
     14 ->  7  32 ->  64 4 100    1.59      -   1.14   2.13   0.69   0.92   0.69   0.65
      7 -> 14  64 ->  32 4 100    1.60      -   1.24      -      -   0.96   0.96   1.13
     14 -> 28  32 ->   1 4 100    0.54      -   1.60      -      -   1.08   0.53   1.29
     64 -> 32   3 ->  32 4 64     5.99      -   2.62   1.38   0.54   1.41   0.54   0.62
     32 -> 16  32 ->  32 4 64     2.51      -   2.69   9.04   1.15   2.70   1.50   1.17
     16 ->  8  32 ->  64 4 64     1.14      -   0.95   1.44   0.55   0.77   0.54   0.53
      8 ->  4  64 ->  64 4 64     0.59      -   0.55   0.65   0.32   0.44   0.34   0.27
      4 ->  8  64 ->  64 4 64     0.50      -   0.53      -      -   0.53   0.52   0.36
      8 -> 16  64 ->  32 4 64     1.10      -   0.97      -      -   0.83   0.83   0.74
     16 -> 32  32 ->  32 4 64     9.70      -   2.97      -      -   2.62   2.68   2.03
     32 -> 64  32 ->   3 4 64     2.91      -   8.49      -      -   3.13   2.77   3.65
     28 -> 14   1 ->  64 4 64     0.14      -   0.96   0.13   0.18   0.46   0.13   0.14
     14 ->  7  64 -> 128 4 64     2.68      -   2.44   3.55   1.88   2.12   1.88   1.85
      7 -> 14 128 ->  64 4 64     3.69      -   2.83      -      -   2.07   2.13   1.87
     14 -> 28  64 ->   1 4 64     0.38      -   0.96      -      -   1.14   0.37   0.87
     32 -> 32   2 ->  64 3 64     1.54   2.32      -   2.43   0.73      -   0.58   0.91
     32 -> 32  64 ->  64 3 64    22.27  14.94      -  28.08  10.16      -  10.28  10.37
     32 -> 32  64 ->   1 3 64     3.33   2.60      -  18.36   2.85      -   3.39   3.25
     16 -> 16  64 ->  64 3 16     1.23   0.79      -   1.08   0.75      -   0.76   0.58
      8 ->  8 256 -> 256 3 64    11.58  11.68      -  14.93   9.69      -   8.80   8.80
      4 ->  4 256 -> 256 3 128    5.84   6.65      -   7.19   5.29      -   5.31   5.03
     32 -> 16   3 ->  32 5 128    4.48      -   2.05   1.86   0.44   0.83   0.43   0.44
     16 -> 32  32 ->  32 5 16     1.72      -   0.80      -      -   0.67   0.66   0.56

derivative in the image
     pixels     channels  k batch   as is  Eigen phases  prod.     1D  ph.1D   rule  torch
     28 -> 14   1 ->  32 4 100    0.53      -   1.43      -      -   0.96   0.50   1.19
     14 ->  7  32 ->  64 4 100    1.18      -   1.05      -      -   0.88   0.91   0.93
      7 -> 14  64 ->  32 4 100    1.69      -   1.23   2.07   0.76   0.97   0.79   0.72
     14 -> 28  32 ->   1 4 100    0.16      -   0.86   0.11   0.18   0.48   0.11   0.13
     64 -> 32   3 ->  32 4 64     2.94      -  10.64      -      -   3.44   2.90   3.70
     32 -> 16  32 ->  32 4 64     8.42      -   2.14      -      -   1.73   1.82   1.75
     16 ->  8  32 ->  64 4 64     0.94      -   0.87      -      -   0.77   0.73   0.70
      8 ->  4  64 ->  64 4 64     0.46      -   0.46      -      -   0.50   0.48   0.35
      4 ->  8  64 ->  64 4 64     0.61      -   0.54   0.65   0.29   0.43   0.31   0.27
      8 -> 16  64 ->  32 4 64     1.11      -   0.99   1.45   0.57   0.82   0.56   0.56
     16 -> 32  32 ->  32 4 64     2.85      -   3.13   8.49   1.31   3.25   1.76   1.70
     32 -> 64  32 ->   3 4 64     6.36      -   2.81   1.65   0.55   1.44   0.55   0.65
     28 -> 14   1 ->  64 4 64     0.43      -   0.99      -      -   1.26   0.38   0.88
     14 ->  7  64 -> 128 4 64     3.60      -   2.68      -      -   2.02   2.00   1.83
      7 -> 14 128 ->  64 4 64     3.48      -   2.74   4.35   2.06   2.39   2.10   1.99
     14 -> 28  64 ->   1 4 64     0.15      -   0.48   0.15   0.18   0.45   0.13   0.15
     32 -> 32   2 ->  64 3 64     4.31   5.97      -  19.52   3.43      -   3.15   3.33
     32 -> 32  64 ->  64 3 64    22.90  15.20      -  28.93  10.59      -  10.70  10.49
     32 -> 32  64 ->   1 3 64     0.96   1.82      -   0.36   0.54      -   0.37   0.74
     16 -> 16  64 ->  64 3 16     1.23   0.81      -   1.11   0.81      -   0.67   0.59
      8 ->  8 256 -> 256 3 64    12.51  12.01      -  15.48   9.32      -   9.16   9.14
      4 ->  4 256 -> 256 3 128    6.49   7.21      -   7.50   5.75      -   5.77   3.92
     32 -> 16   3 ->  32 5 128    1.95      -   4.68      -      -   2.35   2.03   2.72
     16 -> 32  32 ->  32 5 16     0.88      -   0.73   3.15   0.61   0.60   0.45   0.44

derivative in the kernel
     pixels     channels  k batch   as is  Eigen phases  prod.     1D  ph.1D   rows  patch  shift   rule  torch
     28 -> 14   1 ->  32 4 100    0.20      -   0.18      -   0.27   0.39   0.74   0.20      -   0.20   0.09
     14 ->  7  32 ->  64 4 100    2.07      -   1.44      -   1.01   1.34      -      -      -   1.07   0.79
      7 -> 14  64 ->  32 4 100    2.17      -   1.45      -      -   1.65   1.15   1.80      -   1.13   0.79
     14 -> 28  32 ->   1 4 100    0.20      -   1.56      -      -   3.98   0.71   0.19      -   0.15   0.11
     64 -> 32   3 ->  32 4 64     2.70      -   2.73      -   3.19   4.11   4.26   1.90      -   1.68   0.58
     32 -> 16  32 ->  32 4 64     9.53      -   5.09      -   4.72   5.97   2.14   4.93      -   2.16   1.30
     16 ->  8  32 ->  64 4 64     1.87      -   1.43      -   0.89   1.48   1.07   2.11      -   0.86   0.68
      8 ->  4  64 ->  64 4 64     0.66      -   0.67      -   0.32   0.54      -      -      -   0.33   0.40
      4 ->  8  64 ->  64 4 64     0.72      -   0.59      -      -   0.70   0.49   0.85      -   0.71   0.40
      8 -> 16  64 ->  32 4 64     1.81      -   1.87      -      -   2.02   1.77   3.07      -   1.75   0.80
     16 -> 32  32 ->  32 4 64     7.09      -   3.95      -      -   5.07   2.17   4.99      -   2.25   1.47
     32 -> 64  32 ->   3 4 64     3.40      -  13.07      -      -  24.55   5.08   1.58      -   1.33   0.55
     28 -> 14   1 ->  64 4 64     0.24      -   0.43      -   0.40   0.48   0.77   0.21      -   0.22   0.11
     14 ->  7  64 -> 128 4 64     2.85      -   2.84      -   2.59   2.76      -      -      -   2.51   2.09
      7 -> 14 128 ->  64 4 64     2.92      -   3.33      -      -   4.11   2.46   3.48      -   2.46   2.14
     14 -> 28  64 ->   1 4 64     0.26      -   2.10      -      -   4.40   0.72   0.12      -   0.10   0.12
     32 -> 32   2 ->  64 3 64     2.61   2.06      -      -   3.08      -  11.90   4.60   2.88   2.20   0.47
     32 -> 32  64 ->  64 3 64    39.14  20.22      -      -  36.53      -  25.30  17.66  14.88  15.38  12.13
     32 -> 32  64 ->   1 3 64    11.39   9.53      -      -  14.93      -   3.20   6.07   2.62   2.97   3.45
     16 -> 16  64 ->  64 3 16     2.07   0.93      -      -   1.04      -   1.11   1.08   0.89   0.80   0.63
      8 ->  8 256 -> 256 3 64    22.99  13.88      -  20.74  15.32      -  16.22  13.99  11.88  11.74  10.46
      4 ->  4 256 -> 256 3 128    8.34   7.81      -  12.00   7.11      -      -      -      -   7.07   5.89
     32 -> 16   3 ->  32 5 128    1.27      -   1.55      -   1.13   1.87   2.83   1.53      -   1.63   0.38
     16 -> 32  32 ->  32 5 16     1.22      -   1.16      -      -   1.36   0.98   2.36      -   0.91   0.53

Outputs and derivatives in the image are mostly oneDNN's, as PyTorch's are: in the median 0.98 x and 0.99 x PyTorch's
speed (0.69 to 2.43 x and 0.68 to 2.38 x). The slower ones are mostly phases: a copy interleaves their outputs. The
derivative in the kernel is 0.72 x in the median (0.21 to 1.21 x): jaxlib calls oneDNN's forward convolution and its
products, not its kernel derivative. Row products and patch products copy the image once or twice first. For 32 -> 16
pixels with 32 -> 32 channels the four products alone take 1.4 to 2.0 ms, and PyTorch 1.25 ms: no form of products can
be as fast. Of 72 operations, 38 are slower than PyTorch's by more than 5%. A single call of an operation maps its
memory anew, and took up to twice as long, for ours and PyTorch's.

Patches are copied for chunks of examples, which stay in the cache. In a loop that takes 0.65 to 0.8 x the time of one
copy of all patches for 3 channels, and the step of 64 pixels is 1.01 x as fast (89 turns). With strides, one channel in
is by a product of patches: 1.02 and 1.03 x for the step of 28 pixels (51 and 50 turns). Two forms were dropped. With
patches for kernels of 3 x 3 and few channels, the step of the LAPGAN was 0.975 x as fast (74 and 42 turns). With a sum
of phases with zeros between their pixels, in place of interleaving, that of 64 pixels was 0.91 x as fast (33 turns):
all that reads an output computes it again.

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

oneDNN's own library (the package onednn-cpu-gomp 2023.2.0, its last release) has the kernel derivative and the
transposed convolution. We called it by `jax.ffi` from Python. By itself it is at least as fast as PyTorch: for 32 -> 16
pixels with 32 -> 32 channels 1.12 ms in the kernel and 1.41 ms in the image, for 64 -> 32 pixels 0.50 ms in the kernel.
With its own threads the step of 64 pixels was 1.12 x as fast (0.97 to 1.26), that of the DCGAN 0.95 x and that of
BigGAN 0.82 x: its threads and XLA's share the cores. With one thread per chunk of examples, in XLA's pool, the steps of
64 and 32 pixels, the DCGAN and BigGAN were 1.12, 1.02, 0.99 and 1.00 x as fast (16 to 43 turns). It was not taken. Each
call waits for Python's interpreter lock: beside a busy thread of Python the step of 64 pixels took 581 ms, and 55 ms as
it is. A program that was running when Python ended never ended. Without Python, the call would need a compiler as one
more package.

For 48 x 32 numbers, sums of 65,536 products take 0.67 ms with the narrower matrix first, and 0.91 ms otherwise; chunks
and halves take longer (0.97 and 1.57 ms).
"""

from __future__ import annotations

import dataclasses
import sys
import time
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
PAUSE = 0.02  # seconds after which the threads of PyTorch's last operation no longer wait by computing


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
    seconds: float = 0.03
    """Seconds for which each contestant repeats its operation in each round."""
    limit: float = 3.0
    """Multiple of the shortest time above which a form is not timed again."""

    def __post_init__(self):
        whole(1, turns=self.turns, first=self.first)
        positive(seconds=self.seconds, limit=self.limit)


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


def our_operation(case: Case, operation: Operation, form: Form | None) -> Callable[[int], np.ndarray] | None:
    """Returns a compiled loop of the operation in one form, or by the rule if `form` is None.

    Returns None if the form cannot compute the operation.
    """
    import jax
    import jax.numpy as jnp

    from genjax_models.networks.convolution import convolve, convolve_transposed

    settings = {"strides": (case.stride, case.stride), "padding": (case.padding, case.padding)}
    layer = partial(convolve_transposed if case.transposed else convolve, **settings)
    changing = arguments(case)
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

    def repeat(times, *changing):
        """Computes it `times` times and returns the last result. XLA would compute once what does not change."""

        def once(_, carry):
            *changing, last = carry
            tiny = 1e-30 * last[:1, :1, :1, :1]
            changing = [jax.lax.dynamic_update_slice(array, tiny, (0, 0, 0, 0)) for array in changing]
            return *changing, compute(*changing)

        zeros = jnp.zeros(jax.eval_shape(compute, *changing).shape, jnp.float32)
        return jax.lax.fori_loop(0, times, once, (*changing, zeros))[-1]

    jax.clear_caches()
    with mock.patch.object(forms, "fastest", fastest):
        compiled = jax.jit(repeat).lower(1, *changing).compile()
    # The last ones are the derivatives in the kernel and in the image. XLA drops those that are not asked for.
    asked = used[-2 if operation == "kernel" else -1]
    if form not in (None, asked):
        return None
    on_device = jax.device_put(changing)
    return lambda times: jax.block_until_ready(compiled(times, *on_device))


def torch_operation(case: Case, operation: Operation, channels_last: bool) -> Callable[[int], np.ndarray]:
    """Returns a loop of PyTorch's operation, on the same numbers, with the result in our axes."""
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

    def repeat(times):
        with torch.no_grad():
            for _ in range(times):
                y = run()
        if operation != "kernel":
            return y.permute(0, 2, 3, 1).numpy()
        y = y.permute(*axes).numpy()
        return y[::-1, ::-1] if case.transposed else y

    return repeat


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
    for array in (x, kernel, dy):
        array[0, 0, 0, 0] = 0  # the loop replaces it
    return x, kernel / 10, dy


def measure(case: Case, operation: Operation, options: Benchmark) -> dict[str, float]:
    """Returns the milliseconds of each form, of the rule and of PyTorch's faster memory format: medians of turns."""
    contestants = {name: our_operation(case, operation, form) for name, form in FORMS.items()}
    contestants[RULE] = our_operation(case, operation, None)
    runs = {name: run for name, run in contestants.items() if run}
    expected = np.asarray(runs["as it is"](1))
    for name, run in runs.items():
        check(name, np.asarray(run(1)), expected)
    if find_spec("torch"):
        for last in (False, True):
            runs[f"{TORCH}, {last}"] = run = torch_operation(case, operation, last)
            check(TORCH, run(1), expected)
    about = {name: timeit.timeit(partial(run, 4), number=1) / 4 for name, run in runs.items()}
    times = {name: [] for name in runs}
    for turn in range(options.turns):
        for name, run in runs.items():
            if turn == 0 or about[name] < options.limit * min(about.values()):
                times[name].append(seconds(run, max(4, int(options.seconds / about[name]))))
    milliseconds = {name: 1e3 * float(np.median(each)) for name, each in times.items()}
    theirs = [milliseconds.pop(name) for name in list(milliseconds) if name.startswith(TORCH)]
    return {**milliseconds, **({TORCH: min(theirs)} if theirs else {})}


def seconds(run: Callable[[int], np.ndarray], times: int) -> float:
    """Returns the seconds of one operation in a loop of `times`, without the cost of a call and of its fresh memory."""
    time.sleep(PAUSE)
    run(times)  # wakes the threads
    first, all_of_them = (timeit.timeit(partial(run, count), number=1) for count in (1, 1 + times))
    return (all_of_them - first) / times


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
