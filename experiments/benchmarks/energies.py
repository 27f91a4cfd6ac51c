"""Steps of energy models in turns with their peers, and implicit against unrolled gradients.

python -m experiments.benchmarks.energies --turns 3

Nothing else running (jax 0.10.2, torch 2.13.0, scikit-learn 1.9.1), 2026-11-29, on 2 cores of two kinds of AMD EPYC; on
the first --turns 7, on the second --turns 3:

                                     steps/s    genjax_models is faster by        steps/s    faster by
                                     with AVX-512                                 slower
PCD, 500 hidden units, batch 100
    genjax_models                      515.6                                        238.9
    torch eager                        275.0    1.87 x (1.83 to 1.89)               202.8    1.18 x (1.15 to 1.48)
    torch.compile                      296.7    1.72 x (1.68 to 1.78)               197.8    1.19 x (1.08 to 1.36)
    scikit-learn's BernoulliRBM        140.0    3.71 x (3.56 to 3.74)               110.5    2.12 x (2.12 to 3.38)
multi-prediction, 500 and 1,000 units, 5 sweeps, batch 100
    genjax_models                       48.2                                         24.4
    torch eager                         24.5    1.99 x (1.94 to 1.99)                18.9    1.28 x (1.27 to 1.44)
    torch.compile                       26.1    1.86 x (1.83 to 1.92)                20.7    1.18 x (1.13 to 1.27)

On the second, the gradient as at a fixed point ("implicit") makes 26.3 steps/s where the unrolled one makes 21.7, and
its temporary arrays take 10.9 MiB in place of 27.5. PyTorch's PCD is in closed form, without automatic differentiation.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

import genjax_models as gx
from experiments.benchmarks.contests import COMPILED, EAGER, OURS
from experiments.benchmarks.measure import by_turns, contestant, machine, table
from experiments.benchmarks.sides import PIXELS, CompileWith, Ours, Run, digits, torch_training, training
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    from genjax_models.models.boltzmann import BoltzmannMachine
    from genjax_models.types import Objective

Part = Literal["pcd", "multi_prediction", "gradients"]
SHAPE, HIDDEN, TOP, CLASSES, BATCH, SWEEPS, RATE = (28, 28, 1), 500, 1000, 10, 100, 5, 0.05
SCIKIT_LEARN = "scikit-learn's BernoulliRBM"
TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time steps of energy models, in turns with PyTorch and scikit-learn."""

    only: tuple[Part, ...] = get_args(Part)
    """What to measure. Default: everything."""
    turns: int = 5
    """Rounds in which all contestants are timed."""
    seconds: float = 2.0
    """Time of each contestant per round."""

    def __post_init__(self):
        whole(1, turns=self.turns)
        positive(seconds=self.seconds)


def rbm() -> BoltzmannMachine:
    """Returns the restricted machine of the contest."""
    return gx.restricted_boltzmann_machine(SHAPE, HIDDEN)


def deep() -> BoltzmannMachine:
    """Returns the deep machine of the contest, with classes."""
    return gx.deep_boltzmann_machine(SHAPE, (HIDDEN, TOP), classes=CLASSES)


def predicting(gradient: Literal["unrolled", "implicit"] = "unrolled") -> Objective:
    """Returns the objective of multi-prediction with five sweeps."""
    return gx.multi_prediction(deep(), sweeps=SWEEPS, gradient=gradient)


def our_pcd() -> Ours:
    """Returns our loop of persistent contrastive divergence, by gradient descent."""
    import optax

    objective = gx.persistent_contrastive_divergence(rbm(), num_chains=BATCH)
    return training(objective, BATCH, optimizers={"machine": optax.sgd(RATE)})


def our_multi_prediction() -> Ours:
    """Returns our loop of multi-prediction, by Adam."""
    return training(predicting(), BATCH)


def pcd() -> dict[str, Callable[[], Run]]:
    """Returns what makes the contestants of a step of persistent contrastive divergence."""
    return {
        OURS: lambda: our_pcd().run,
        EAGER: lambda: torch_pcd(None),
        COMPILED: lambda: torch_pcd({}),
        SCIKIT_LEARN: _scikit_learn,
    }


def multi_prediction() -> dict[str, Callable[[], Run]]:
    """Returns what makes the contestants of a step of multi-prediction."""
    return {
        OURS: lambda: our_multi_prediction().run,
        EAGER: lambda: torch_multi_prediction(None),
        COMPILED: lambda: torch_multi_prediction({}),
    }


def gradients() -> dict[str, Callable[[], Run]]:
    """Returns what makes the contestants of both gradients of multi-prediction."""
    return {
        name: partial(lambda name: training(predicting(name), BATCH).run, name) for name in ("unrolled", "implicit")
    }


def _first(machine: BoltzmannMachine) -> dict[str, np.ndarray]:
    """Returns the params of a machine before training."""
    import jax

    return jax.tree.map(np.asarray, machine.init(jax.random.key(0), digits().example))["params"]


def _bits() -> np.ndarray:
    return np.asarray(digits().train.x, np.float32).reshape(-1, PIXELS)


def pcd_gradient(p: Mapping[str, Any], x: Any, v: Any) -> dict[str, Any]:
    """Returns the gradient of mean F(x) - mean F(v) in closed form, by PyTorch."""
    import torch

    on_data, on_chains = (torch.sigmoid(torch.addmm(p["hidden_bias"], units, p["weights"])) for units in (x, v))
    return {
        "weights": (v.T @ on_chains) / len(v) - (x.T @ on_data) / len(x),
        "visible_bias": v.mean(0) - x.mean(0),
        "hidden_bias": on_chains.mean(0) - on_data.mean(0),
    }


def torch_pcd(compile_with: CompileWith) -> Run:
    """Returns PyTorch's loop: a Gibbs sweep of the chains, and a gradient step in closed form."""
    import torch

    p, x = {name: torch.tensor(value) for name, value in _first(rbm()).items()}, torch.tensor(_bits())

    def step(batch, v):
        h = torch.bernoulli(torch.sigmoid(torch.addmm(p["hidden_bias"], v, p["weights"])))
        v = torch.bernoulli(torch.sigmoid(torch.addmm(p["visible_bias"], h, p["weights"].T)))
        for name, gradient in pcd_gradient(p, batch, v).items():
            p[name].sub_(RATE * gradient)
        return v

    if compile_with is not None:
        step = torch.compile(step, **compile_with)
    v = torch.bernoulli(torch.full((BATCH, PIXELS), 0.1))

    @torch.no_grad()
    def run(n: int) -> None:
        nonlocal v
        for rows in torch.randint(len(x), (n, BATCH)):
            v = step(x[rows], v)

    return run


def _scikit_learn() -> Run:
    from sklearn.neural_network import BernoulliRBM

    machine, x, random = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=BATCH), _bits(), np.random.RandomState(0)

    def run(n: int) -> None:
        for _ in range(n):
            machine.partial_fit(x[random.randint(len(x), size=BATCH)])

    return run


def torch_prediction_loss(p: Mapping[str, Any], x: Any, y: Any, seen: Any, y_seen: Any) -> Any:
    """Returns the loss of multi-prediction, mean over the batch, by PyTorch.

    Args:
      p: the params, as tensors.
      x, y: bits `[batch, 784]`, and one-hot classes `[batch, 10]`.
      seen, y_seen: whether they are observed, bool of the same shape, and `[batch, 1]`.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    b, c, top, of_class = (p[f"{name}_bias"] for name in ("visible", "hidden", "top", "class"))
    w, u, s = p["weights"], p["top_weights"], p["class_weights"]
    v = torch.where(seen, x, torch.sigmoid(b))
    y_mean = torch.where(y_seen, y, torch.softmax(of_class, -1))
    g = torch.sigmoid(top + torch.sigmoid(c + 2 * (v @ w)) @ u + y_mean @ s.T)
    for _ in range(SWEEPS):
        h = torch.sigmoid(c + v @ w + g @ u.T)
        v_logits = b + h @ w.T
        v = torch.where(seen, x, torch.sigmoid(v_logits))
        g = torch.sigmoid(top + h @ u + y_mean @ s.T)
        y_logits = of_class + g @ s
        y_mean = torch.where(y_seen, y, torch.softmax(y_logits, -1))
    pixels = (cross_entropy(v_logits, x, reduction="none") * ~seen).sum()
    classes = -(torch.log_softmax(y_logits, -1) * y * ~y_seen).sum()
    return (pixels + classes) / len(x)


def torch_multi_prediction(compile_with: CompileWith) -> Run:
    """Returns PyTorch's loop of multi-prediction, by Adam."""
    import torch

    p = {name: torch.tensor(value, requires_grad=True) for name, value in _first(deep()).items()}
    label = np.eye(CLASSES, dtype=np.float32)[np.asarray(digits().train.label)]
    both = torch.tensor(np.concatenate([_bits(), label], axis=1))

    def loss(batch):
        x, y = batch[:, :PIXELS], batch[:, PIXELS:]
        seen = torch.rand_like(x) >= torch.rand(len(x), 1)
        return torch_prediction_loss(p, x, y, seen, torch.rand(len(x), 1) >= 0.8)

    return torch_training([(loss, list(p.values()))], compile_with, BATCH, both)


def check() -> None:
    """Checks that both sides compute the same gradient of PCD and the same loss of multi-prediction.

    Raises:
      AssertionError: they differ.
    """
    import jax
    import jax.numpy as jnp
    import torch

    from genjax_models.objectives.multi_prediction import prediction_losses

    random, x = np.random.RandomState(0), _bits()[:BATCH]
    v = (random.rand(BATCH, PIXELS) < 0.2).astype(np.float32)
    energy = lambda p, units: jnp.mean(rbm().free_energy({"params": p}, units.reshape(-1, *SHAPE)))
    p = {name: value + 0.1 for name, value in _first(rbm()).items()}
    ours = jax.grad(lambda p: energy(p, x) - energy(p, v))(p)
    theirs = pcd_gradient({name: torch.tensor(value) for name, value in p.items()}, torch.tensor(x), torch.tensor(v))
    for name, gradient in theirs.items():
        np.testing.assert_allclose(ours[name], gradient.numpy(), atol=TOLERANCE, err_msg=name)

    p, seen = _first(deep()), random.rand(BATCH, PIXELS) < 0.5
    label, label_seen = np.asarray(digits().train.label)[:BATCH], random.rand(BATCH) < 0.2
    images, masks = x.reshape(-1, *SHAPE), seen.reshape(-1, *SHAPE)
    pixels, labels, _ = prediction_losses(deep(), {"params": p}, images, masks, label, label_seen, sweeps=SWEEPS)
    tensors = [torch.tensor(a) for a in (x, np.eye(CLASSES, dtype=np.float32)[label], seen, label_seen[:, None])]
    loss = torch_prediction_loss({name: torch.tensor(value) for name, value in p.items()}, *tensors)
    np.testing.assert_allclose(np.mean(pixels + labels), loss.numpy(), rtol=TOLERANCE)


def megabytes(gradient: Literal["unrolled", "implicit"]) -> float:
    """Returns the memory that XLA needs for the temporary arrays of a step, in MiB."""
    return training(predicting(gradient), BATCH).one().memory_analysis().temp_size_in_bytes / 2**20


def benchmark(options: Benchmark) -> None:
    """Checks, measures, and prints a table after each comparison."""
    try:
        import sklearn  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the benchmark needs torch and scikit-learn; pip install 'genjax_models[bench,test]'"
        ) from error
    print(machine("jax", "torch", "scikit-learn"))
    check()
    for name in options.only:
        makers = {"pcd": pcd, "multi_prediction": multi_prediction, "gradients": gradients}[name]()
        contestants = {side: contestant(make) for side, make in makers.items()}
        timings = by_turns(contestants, turns=options.turns, seconds=options.seconds, warm=2)
        print(f"\n{name}\n{table(timings, ours=next(iter(makers)))}", flush=True)
        if name == "gradients":
            print("temporary arrays: " + ", ".join(f"{side} {megabytes(side):.1f} MiB" for side in makers))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.energies", Benchmark.__doc__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
