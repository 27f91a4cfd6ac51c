"""Parts of both sides of a contest: our training loop, PyTorch's training loop, and the operations of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

import genjax_models as gx

if TYPE_CHECKING:
    import jax

    from genjax_models.data import Prepared
    from genjax_models.types import Batch, Objective, TrainState

RATE, CHUNK, PIXELS = 1e-3, 500, 784
Run = Callable[[int], None]  # makes n steps, and returns after the last
CompileWith = dict[str, Any] | None  # arguments of torch.compile, or None for eager


class Ours(NamedTuple):
    """Our side of a contest.

    run: makes n steps.
    one: compiles a single step; XLA reports its memory and operations.
    counted: compiles a program without loops to count operations, because XLA counts the body of a loop only once. None
      if the step has no loop.
    state: returns the state after the steps so far. None if there is none.
    """

    run: Run
    one: Callable[[], jax.stages.Compiled]
    counted: Callable[[], jax.stages.Compiled] | None = None
    state: Callable[[], TrainState] | None = None


class Contest(NamedTuple):
    """Both sides of one objective, and the floating-point operations of a step's matrix products.

    `theirs` is None if PyTorch would need more memory than devices have. `flops` is 0 if nobody has counted them.
    `products` is the precision of our matrix products: the device's default, or one that the objective sets.
    """

    what: str
    ours: Callable[[], Ours]
    theirs: Callable[[CompileWith], Run] | None
    flops: float
    products: Literal["default", "float32", "bfloat16"] = "default"


def digits(binarise: str = "fixed", range: tuple[float, float] = (0, 1)) -> Prepared:
    """Returns mnist10k, binary or scaled to `range`."""
    return gx.prepare(gx.load("mnist10k"), binarise=binarise, range=range)


def in_chunks(
    loop: Callable[..., tuple[TrainState, Any]], state: TrainState, data: Batch, chunk: int
) -> tuple[Run, Callable[[], TrainState]]:
    """Returns a function that makes n steps of a compiled loop, and one that returns the state after them."""
    import jax

    def run(n: int) -> None:
        nonlocal state
        last = int(state.step) + n
        while n:
            state, _ = loop(state, data, min(n, chunk))
            n -= min(n, chunk)
        if int(state.step) != last:  # a loss was not finite; skipped steps must not count as fast
            raise ArithmeticError(f"the loop stopped at step {int(state.step)}, before step {last}")
        jax.block_until_ready(state)

    return run, lambda: state


def training(
    objective: Objective,
    batch_size: int,
    data: Prepared | None = None,
    *,
    optimizers: Mapping[str, Any] | None = None,
) -> Ours:
    """Returns a loop as in `fit`, as one compiled program: it permutes, gathers and prepares batches.

    Args:
      objective: an objective with one or more players.
      batch_size: examples per step.
      data: prepared data; binary digits by default.
      optimizers: optimizer of each player; Adam by default.
    """
    import jax
    import optax

    data = data or digits()
    train = gx.trainer(objective, optimizers or dict.fromkeys(objective.losses, optax.adam(RATE)))
    chunk = min(CHUNK, 10 * (len(data.train.x) // batch_size))
    loop = gx.loop_over_data(train, batch_size=batch_size, prepare=data.each_step, chunk=chunk)
    state = jax.jit(train.init)(jax.random.key(0), data.example)

    run, latest = in_chunks(loop, state, data.train, chunk)

    def one() -> jax.stages.Compiled:
        batch = jax.tree.map(lambda a: jax.ShapeDtypeStruct((batch_size, *a.shape[1:]), a.dtype), data.example)
        return jax.jit(train.step, donate_argnums=0).lower(state, batch).compile()

    return Ours(run, one, state=latest)


def torch_training(
    players: Sequence[tuple[Callable, Sequence]],
    compile_with: CompileWith,
    batch_size: int,
    x: Any = None,
    *,
    prepare: Callable | None = None,
    fused: bool | None = True,
    **adam: Any,
) -> Run:
    """Returns PyTorch's loop: Adam on the players' losses in turn, with shuffled batches.

    Args:
      players: pairs of a loss (batch -> scalar) and its parameters. While a player moves, the other players get no
        gradients.
      compile_with: arguments of torch.compile for the losses, or None for eager.
      batch_size: examples per step.
      x: data, tensor `[n, ...]`; binary digits by default.
      prepare: function from batch to batch, called before the loss.
      fused: whether Adam is fused. None is PyTorch's default; on a CPU this is one operation at a time.
      adam: other arguments of Adam.
    """
    import torch

    x = torch_digits() if x is None else x
    adam = {"lr": RATE, **adam}
    moves = [
        (
            loss if compile_with is None else torch.compile(loss, **compile_with),
            torch.optim.Adam(parameters, fused=fused, **adam),
            [other for _, others in players if others is not parameters for other in others],
        )
        for loss, parameters in players
    ]
    order, start = torch.randperm(len(x)), 0

    def run(n: int) -> None:
        nonlocal order, start
        for _ in range(n):
            if start + batch_size > len(x):
                order, start = torch.randperm(len(x)), 0
            batch = x[order[start : start + batch_size]]
            start += batch_size
            batch = prepare(batch) if prepare else batch
            for loss, optimizer, others in moves:
                optimizer.zero_grad(set_to_none=True)
                for parameter in others:
                    parameter.requires_grad_(False)
                loss(batch).backward()
                for parameter in others:
                    parameter.requires_grad_(True)
                optimizer.step()

    return run


def torch_digits(binarise: str = "fixed", range: tuple[float, float] = (0, 1)):
    """Returns mnist10k `[n, 784]` as `digits` does; grey if every step binarises it."""
    import torch

    pixels = np.asarray(digits(binarise).train.x, np.float32).reshape(-1, PIXELS)
    low, high = range
    return torch.tensor(low + (high - low) * (pixels / 255 if pixels.max() > 1 else pixels))


def torch_layers(*sizes: int, activation: Callable):
    """Returns linear layers, each followed by an activation."""
    from torch import nn

    return nn.Sequential(*(layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), activation())))


def torch_mlp(*sizes: int, activation: Callable, last: Callable | None = None):
    """Returns linear layers with an activation between them, and `last` after the last layer."""
    from torch import nn

    hidden = torch_layers(*sizes[:-1], activation=activation)
    return nn.Sequential(hidden, nn.Linear(*sizes[-2:]), *([last()] if last else []))


# Operations by hand: each product of two numbers in a matrix product counts as two operations


def dense(rows: float, *sizes: int, of_data: bool = False) -> float:
    """Returns the operations of dense layers: forward, and gradients of weights and inputs; data need no gradient."""
    layers = [inputs * outputs for inputs, outputs in pairwise(sizes)]
    return 2 * rows * (3 * sum(layers) - (layers[0] if of_data else 0))
