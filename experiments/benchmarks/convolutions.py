"""Forms of a convolution and of its two derivatives on the CPU, compared with each other and with PyTorch.

python -m experiments.benchmarks.convolutions

Milliseconds of the layer, of its derivative in the image and in the kernel; each as it is, by the rule (`fastest`), and
in PyTorch (the better of its two memory formats). On 2 cores of an AMD EPYC with AVX-512, measured alone (jax 0.10.2,
torch 2.13.0), 2026-11-28. The machine is shared: a number may be 20% off.

    pixels    channels    kernel, batch     forward                image                 kernel
     28 -> 14    1 ->  32  4   100     0.37   0.32   0.27    0.91   1.04   2.11    0.68   0.70   0.18
     14 ->  7   32 ->  64  4   100     3.97   1.61   1.42    3.88   2.33   2.09    5.92   2.22   1.74
      7 -> 14   64 ->  32  4   100     4.68   1.94   1.74    3.66   1.41   1.33    4.40   3.39   1.51
     14 -> 28   32 ->   1  4   100     1.35   1.07   2.14    0.52   0.51   0.27    0.65   0.85   0.25
     64 -> 32    3 ->  32  4    64    10.58   2.55   2.34    6.08   5.99  10.64    4.55   4.16   1.31
     32 -> 16   32 ->  32  4    64     6.36   3.16   3.08   27.95   5.52   3.32   11.48  10.52   3.43
     16 ->  8   32 ->  64  4    64     3.04   2.63   1.30    3.02   1.68   1.39    3.89   1.76   1.41
      8 ->  4   64 ->  64  4    64     1.39   0.63   0.55    2.21   0.89   0.70    1.84   0.91   0.85
      4 ->  8   64 ->  64  4    64     1.49   0.96   0.69    1.60   0.70   0.57    2.09   1.32   0.85
      8 -> 16   64 ->  32  4    64     3.83   1.59   1.39    2.86   1.43   1.31    4.20   2.39   1.40
     16 -> 32   32 ->  32  4    64    28.16   5.69   3.57    6.60   3.34   3.32   12.15   8.89   3.06
     32 -> 64   32 ->   3  4    64     5.50   4.67   6.20   10.17   1.31   1.13    5.17   4.98   1.19
     28 -> 14    1 ->  64  4    64     0.70   0.32   0.26    0.71   0.70   1.81    0.59   0.74   0.20
     14 ->  7   64 -> 128  4    64     5.89   3.65   3.68    8.00   3.87   3.31   10.55   4.35   3.91
      7 -> 14  128 ->  64  4    64     6.21   3.79   3.36    5.75   3.89   3.63    9.80   5.49   3.92
     14 -> 28   64 ->   1  4    64     0.76   0.69   1.89    1.00   0.33   0.27    0.66   0.61   0.21
     32 -> 32    2 ->  64  3    64     3.85   0.98   1.07    7.29   6.68   6.32    5.16   3.51   0.97
     32 -> 32   64 ->  64  3    64    50.37  21.56  21.50   50.50  21.48  21.46   80.33  42.77  23.80
     32 -> 32   64 ->   1  3    64     7.61   4.46   6.40    3.29   0.81   0.93   17.44  16.13   6.60
     16 -> 16   64 ->  64  3    16     5.95   1.39   1.31    3.11   1.41   1.30    3.62   1.99   1.45
      8 ->  8  256 -> 256  3    64    25.28  18.83  18.82   25.75  19.41  18.82   36.54  21.98  20.95
      4 ->  4  256 -> 256  3   128    13.59   8.64   8.37   14.01   9.41   8.62   19.22  10.63  11.58
     32 -> 16    3 ->  32  5   128     7.30   1.02   0.84    3.26   3.32   4.93    3.03   3.24   0.76
     16 -> 32   32 ->  32  5    16     4.70   2.11   1.13    2.36   1.13   1.01    2.74   2.31   1.08

PyTorch's convolutions are oneDNN's, at 170 to 230 GFLOP/s: as fast as this machine multiplies. The outputs and the
derivative in the image are now oneDNN's too: 0.9 x PyTorch's speed in the median, 0.5 to 2.7 x. The derivative in the
kernel is 0.46 x in the median: jaxlib calls only oneDNN's forward convolution, which needs the images transposed.
The rule takes 0.13 to 1.3 x the time of the layer as it is.

The table is older than the form "rows, oneDNN". In turns with the form before, next to other work (2 cores of an AMD
EPYC with AVX-512, jax 0.10.2, CPU, 2026-11-29), it makes the derivative in the kernel 1.33 x as fast for 32 -> 16
pixels with 32 -> 32 channels, 1.33 x for 7 -> 14 with 128 -> 64, 1.06 x for 7 -> 14 with 64 -> 32 and 1.16 x for
16 -> 32 with a kernel of 5. With a stride of 1 it gains nothing (0.75 and 0.86 x), nor with few channels. The whole
step of the convolutional VAE of 64 pixels is 1.11 x as fast, that of 28 pixels 1.03 x. One convolution that emits
blocks of 2 x 2 outputs, in place of four phases, made the step of 64 pixels 0.94 x as fast: all that reads its outputs
reads blocks. In programs that are stored, and cannot call oneDNN, the form is 0.85 to 1.21 x as fast as before.
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
    # The last ones are the derivatives in the image and in the kernel. XLA drops those that are not asked for.
    asked = used[-2 if operation == "image" else -1]
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
