"""What both sides of a contest are made of: a training of ours, one of PyTorch's, and the operations of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import genjax_models as gx

if TYPE_CHECKING:
    import jax

    from genjax_models.data import Prepared
    from genjax_models.types import Objective

RATE, CHUNK, PIXELS = 1e-3, 500, 784
Run = Callable[[int], None]  # makes so many steps, and returns when they are done
CompileWith = dict[str, Any] | None  # arguments of torch.compile, or None for eager


class Ours(NamedTuple):
    """`run`, and `one()`: a single step compiled alone, to be asked what it takes.

    `counted()` is what XLA can count where that is not the step: it counts the operations of a loop's body once.
    """

    run: Run
    one: Callable[[], jax.stages.Compiled]
    counted: Callable[[], jax.stages.Compiled] | None = None


class Contest(NamedTuple):
    """Both sides of one objective, and the floating-point operations of its products of matrices in one step.

    PyTorch has none where it would need more memory than devices have.
    """

    what: str
    ours: Callable[[], Ours]
    theirs: Callable[[CompileWith], Run] | None
    flops: float


def digits(binarise: str = "fixed", range: tuple[float, float] = (0, 1)) -> Prepared:
    """mnist10k; its values stay in [0, 1] or are set in `range`, or are binary."""
    return gx.prepare(gx.load("mnist10k"), binarise=binarise, range=range)


def training(
    objective: Objective,
    batch_size: int,
    data: Prepared | None = None,
    *,
    devices: int | None = None,
    optimizers: Mapping[str, Any] | None = None,
) -> Ours:
    """What `fit` runs: batches gathered and prepared, all in one compiled loop; spread over `devices` where given.

    Data are binary digits and optimizers Adam, unless others are given.
    """
    import jax
    import optax

    data = data or digits()
    train = gx.trainer(objective, optimizers or dict.fromkeys(objective.losses, optax.adam(RATE)))
    if devices:
        train = gx.data_parallel(train, gx.data_mesh(devices))
    chunk = min(CHUNK, 10 * (len(data.train.x) // batch_size))
    loop = gx.loop_over_data(train, batch_size=batch_size, prepare=data.each_step, chunk=chunk)
    state = jax.jit(train.init)(jax.random.key(0), data.example)

    def run(n: int) -> None:
        nonlocal state
        wanted = int(state.step) + n
        while n:
            state, _ = loop(state, data.train, min(n, chunk))
            n -= min(n, chunk)
        if int(state.step) != wanted:  # the loop stops where something is not finite: what it skipped is not fast
            raise ArithmeticError(f"the loop made {int(state.step)} steps of {wanted}")
        jax.block_until_ready(state)

    def one() -> jax.stages.Compiled:
        batch = gx.Batch(jax.ShapeDtypeStruct((batch_size, *data.example.x.shape[1:]), np.float32))
        return jax.jit(train.step, donate_argnums=0).lower(state, batch).compile()

    return Ours(run, one)


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
    """Steps of Adam on the players' losses, in turn, of shuffled batches of `x` `[n, ...]`, by default binary digits.

    Args:
      players: (loss, its parameters): batch -> a scalar. While one moves, no other's gradient is computed.
      compile_with: of losses.
      batch_size: examples in a step.
      x: a tensor.
      prepare: batch -> batch, before the loss.
      fused: how Adam runs; None is what PyTorch takes by default on a CPU: an operation at a time.
      adam: its other arguments.
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
    order, at = torch.randperm(len(x)), 0

    def run(n: int) -> None:
        nonlocal order, at
        for _ in range(n):
            if at + batch_size > len(x):
                order, at = torch.randperm(len(x)), 0
            batch = x[order[at : at + batch_size]]
            at += batch_size
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
    """mnist10k `[n, 784]`, as `digits`; to be binarised at every step they are grey."""
    import torch

    pixels = np.asarray(digits(binarise).train.x, np.float32).reshape(-1, PIXELS)
    low, high = range
    return torch.tensor(low + (high - low) * (pixels / 255 if pixels.max() > 1 else pixels))


def torch_layers(*sizes: int, activation: Callable):
    """Linear layers with an activation behind each."""
    from torch import nn

    return nn.Sequential(*(layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), activation())))


def torch_mlp(*sizes: int, activation: Callable, last: Callable | None = None):
    """Linear layers with an activation between them, and behind the last what is given."""
    from torch import nn

    hidden = torch_layers(*sizes[:-1], activation=activation)
    return nn.Sequential(hidden, nn.Linear(*sizes[-2:]), *([last()] if last else []))


# Operations by hand: two for each product of two numbers within products of matrices


def dense(rows: float, *sizes: int, of_data: bool = False) -> float:
    """Forward, for the weights, and for the inputs but those of a network that starts at data."""
    layers = [inputs * outputs for inputs, outputs in pairwise(sizes)]
    return 2 * rows * (3 * sum(layers) - (layers[0] if of_data else 0))
