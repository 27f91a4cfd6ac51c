"""Forms of a convolution and of its two derivatives on the CPU, compared with each other and with PyTorch.

python -m experiments.benchmarks.convolutions

Milliseconds of the layer, of its derivative in the image and in the kernel; each as it is, by the rule (`fastest`), and
in PyTorch (the better of its two memory formats). On 2 cores of an AMD EPYC with AVX-512, measured alone (jax 0.10.2,
torch 2.13.0), 2026-11-28. The machine is shared: a number may be 20% off.

    pixels    channels    kernel, batch     forward                image                 kernel
     28 -> 14    1 ->  32  4   100    0.50   0.49   0.34    1.18   1.42   2.41    0.53   0.58   0.18
     14 ->  7   32 ->  64  4   100    3.82   2.48   1.38    2.55   2.28   1.70    5.30   4.71   1.58
      7 -> 14   64 ->  32  4   100    4.45   2.39   1.88    4.06   2.56   1.38    5.77   3.65   1.86
     14 -> 28   32 ->   1  4   100    0.98   1.01   2.45    0.36   0.44   0.31    0.69   0.77   0.24
     64 -> 32    3 ->  32  4    64   10.73   2.24   1.26    4.84   5.13   6.41    5.00   4.61   1.21
     32 -> 16   32 ->  32  4    64    6.55   4.99   3.13   33.20   9.98   3.83   10.16  10.28   3.04
     16 ->  8   32 ->  64  4    64    2.71   2.12   1.14    2.48   1.97   1.43    4.07   3.50   1.35
      8 ->  4   64 ->  64  4    64    1.52   1.32   0.60    1.37   1.27   0.82    1.92   1.73   0.93
      4 ->  8   64 ->  64  4    64    1.81   2.12   0.86    1.66   1.38   0.59    2.10   1.53   0.92
      8 -> 16   64 ->  32  4    64    3.47   2.14   1.62    3.24   2.45   1.37    3.90   3.78   1.43
     16 -> 32   32 ->  32  4    64   29.70   4.61   3.67    6.42   5.87   3.09   13.99   7.66   3.80
     32 -> 64   32 ->   3  4    64    6.28   5.56   7.51   13.48   2.40   1.11    5.68   5.58   1.83
     28 -> 14    1 ->  64  4    64    1.00   0.49   0.40    1.29   1.17   2.13    0.96   1.03   0.39
     14 ->  7   64 -> 128  4    64    5.84   5.55   3.63    7.10   6.25   3.43    7.86   7.01   4.74
      7 -> 14  128 ->  64  4    64    8.83   7.29   4.65    7.20   6.24   3.88    7.44   9.67   4.40
     14 -> 28   64 ->   1  4    64    0.89   0.85   1.88    0.66   0.46   0.28    1.17   0.93   0.24
     32 -> 32    2 ->  64  3    64    3.97   2.63   0.88    6.96   7.34   6.46    4.07   3.28   1.01
     32 -> 32   64 ->  64  3    64   50.45  29.78  21.63   50.38  29.70  21.96   77.53  38.54  24.25
     32 -> 32   64 ->   1  3    64    7.42   9.67   6.45    3.34   1.83   0.92   15.30  13.35   7.02
     16 -> 16   64 ->  64  3    16    3.19   2.05   1.42    3.14   3.51   2.55    4.06   2.70   1.83
      8 ->  8  256 -> 256  3    64   27.62  29.72  20.25   26.30  28.76  19.10   42.15  34.17  23.98
      4 ->  4  256 -> 256  3   128   13.55  15.53   8.93   14.60  16.67   9.10   18.67  18.90  13.80
     32 -> 16    3 ->  32  5   128   12.39   5.01   1.24    5.78   5.61   5.95    3.66   3.95   1.16
     16 -> 32   32 ->  32  5    16    4.26   2.06   1.33    2.71   2.02   1.16    2.55   3.27   1.34

PyTorch's convolutions (oneDNN) reach 170 to 230 GFLOP/s, where products of 2,048 x 2,048 reach 200 in jax: they are as
fast as this machine multiplies, or faster. XLA's libraries copy patches in each convolution. So only layers with few
channels out are faster here. Whole steps are closer (`experiments.benchmarks.objectives`).

The rule takes 0.16 to 1.3 x the time of the layer as it is. The steps of convolutional VAEs took 0.72 (64 pixels), 0.86
(32) and 0.83 x (28) their earlier time, the DCGAN's 1.0 and the LAPGAN's 0.95 x.
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
