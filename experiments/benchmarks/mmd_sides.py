"""Both sides of the benchmark of the MMD: the MMD of many points with its gradient, and a step of a GMMN."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import genjax_models as gx
from experiments import gmmn
from experiments.benchmarks import matching, sides
from experiments.benchmarks.sides import PIXELS, CompileWith, Run
from genjax_models.systems.kernels import kernel_of_variances

VARIANCES = gmmn.Config().kernel_variances  # the six variances of Li et al.
ROWS = 1_000  # rows per block in PyTorch


def samples(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns two samples `[points, 784]` in [0, 1]; a fifth of the numbers is nonzero, as in images of digits."""
    random = np.random.default_rng(0)
    return tuple(
        random.uniform(size=(points, PIXELS)).astype(np.float32) * (random.uniform(size=(points, PIXELS)) < 0.2)
        for _ in range(2)
    )


def our_mmd(points: int) -> Run:
    """Returns repeated evaluations of the biased MMD^2 and its gradient in y."""
    import jax

    x, y = (jax.device_put(sample) for sample in samples(points))
    kernel = kernel_of_variances(VARIANCES)
    estimate = jax.jit(jax.value_and_grad(lambda y, x: gx.mmd_squared_biased(x, y, kernel)))

    def run(n: int) -> None:
        for _ in range(n):
            jax.block_until_ready(estimate(y, x))

    return run


def our_gmmn() -> Run:
    """Returns the loop that `fit` runs."""
    return matching.our_gmmn().run


def torch_mmd(points: int, estimate: Callable, compile_with: CompileWith) -> Run:
    """Returns PyTorch's side of `our_mmd`, with the given `estimate(x, y)`."""
    import torch

    x, y = (torch.tensor(sample) for sample in samples(points))
    y.requires_grad_()
    estimate = estimate if compile_with is None else torch.compile(estimate, **compile_with)

    def run(n: int) -> None:
        for _ in range(n):
            y.grad = None
            estimate(x, y).backward()

    return run


def mmd_of_matrices(x, y):
    """Returns the biased MMD^2 from whole Gram matrices."""
    return matching.torch_mmd_squared(x, y, VARIANCES)


def mmd_of_rows(x, y):
    """Returns the biased MMD^2 from `ROWS` rows at a time, recomputed for the gradient to save memory in PyTorch."""
    from torch.utils.checkpoint import checkpoint

    def total(a, b):
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clamp(min=0)
        return sum((squared * (-0.5 / variance)).exp().sum() for variance in VARIANCES)

    def mean(a, b):
        return sum(checkpoint(total, rows, b, use_reentrant=False) for rows in a.split(ROWS)) / (len(a) * len(b))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def root_and_gradient(x, y):
    """Returns the root of the biased MMD^2, and its gradient in y, by hand.

    The gradient of k(|y_i - t|^2) in y_i is 2 k' (y_i - t).
    """

    def sums(a, b):
        squared = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clamp(min=0)
        kernels = [(squared * (-0.5 / variance)).exp() for variance in VARIANCES]
        return sum(kernels), sum(k * (-0.5 / variance) for k, variance in zip(kernels, VARIANCES, strict=True))

    def gradient(slopes, b):
        return 2 * (slopes.sum(1, keepdim=True) * y - slopes @ b)

    (of_x, _), (of_y, slopes_in_y), (between, slopes_between) = sums(x, x), sums(y, y), sums(y, x)
    root = (of_x.mean() + of_y.mean() - 2 * between.mean()).clamp(min=1e-12).sqrt()
    slope = 2 * (gradient(slopes_in_y, y) / len(y) ** 2 - gradient(slopes_between, x) / (len(y) * len(x)))
    return root, slope / (2 * root)


def torch_gmmn_by_hand(compile_with: CompileWith) -> Run:
    """Returns the same steps as `matching.torch_gmmn`, with the gradient of `root_and_gradient`.

    Each Gram matrix and each exponential is computed once. The real-real term contributes only to the value.
    """
    import torch

    compiled = root_and_gradient if compile_with is None else torch.compile(root_and_gradient, **compile_with)

    class Root(torch.autograd.Function):
        @staticmethod
        def forward(context, x, y):
            root, slope = compiled(x, y)
            context.save_for_backward(slope)
            return root

        @staticmethod
        def backward(context, cotangent):
            return None, cotangent * context.saved_tensors[0]

    generator = matching.torch_generator()
    forward = generator if compile_with is None else torch.compile(generator, **compile_with)

    def loss(x):
        return Root.apply(x, forward(2 * torch.rand(len(x), matching.GMMN_SIZES[0]) - 1))

    players = [(loss, list(generator.parameters()))]
    return sides.torch_training(players, None, matching.GMMN_BATCH, sides.torch_digits("none"))
