"""Steps of the contests: ours alone, ours in turns with PyTorch, and the forms of our loop."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from importlib.util import find_spec
from typing import get_args
from unittest import mock

import numpy as np

from experiments.accelerator.device import on_cpu
from experiments.accelerator.kernels import per_step
from experiments.accelerator.part import Facts, LeftOutError, line_of
from experiments.accelerator.systems import SYSTEMS
from experiments.benchmarks.contests import COMPILED, CONTESTS, EAGER, GRAPHS, OURS, PEERS, waiting
from experiments.benchmarks.measure import by_turns, contestant, ratio
from experiments.benchmarks.objectives import memory_of, torch_memory
from experiments.benchmarks.sides import Contest

ALL = CONTESTS | SYSTEMS
MOST_ON_CPU = 6e9  # operations of a step


def contest_of(name: str) -> Contest:
    """Returns the contest.

    Raises:
      LeftOutError: this is a CPU, and a step takes too long there.
    """
    contest = ALL[name]
    if on_cpu() and contest.flops > MOST_ON_CPU:
        raise LeftOutError(f"a step takes {contest.flops / 1e9:.0f} GFLOP, which is too long for a CPU")
    return contest


def turns() -> dict[str, float]:
    """Returns the arguments of `by_turns`."""
    return {"turns": 3 if on_cpu() else 5, "seconds": 0.3, "warm": 2}


def ours_alone(name: str) -> Iterator[Facts]:
    """Yields our steps per second, the memory of a step, its operations, and the seconds until the first step."""
    contest, made = contest_of(name), []
    one = contestant(lambda: made.append(contest.ours()) or made[0].run)
    timing = by_turns({OURS: one}, **turns())[OURS]
    facts = {
        "what": contest.what,
        "steps_per_second": timing.rate,
        "seconds_per_step": timing.seconds.tolist(),
        "flops": contest.flops,
        "products": contest.products,
        "ready_in_seconds": timing.compiling,
    }
    yield facts
    yield {**facts, "memory_in_mib": memory_of(made[0].one())}


def sides_on_this_device() -> list[str]:
    """Returns the ways to run PyTorch on the device that jax uses, and makes the device PyTorch's default.

    Raises:
      LeftOutError: PyTorch is absent, or does not see the device.
    """
    import jax

    if find_spec("torch") is None:
        raise LeftOutError("torch is not installed")
    import torch

    if on_cpu():
        return [EAGER, COMPILED]
    if jax.default_backend() != "gpu" or not torch.cuda.is_available():
        raise LeftOutError(f"torch {torch.__version__} has no {jax.default_backend()} here")
    torch.set_default_device("cuda")
    torch.set_float32_matmul_precision("high")  # TF32, as jax by default
    return [EAGER, GRAPHS, COMPILED]  # long scans compile for minutes


def beside_torch(name: str) -> Iterator[Facts]:
    """Yields how many times as fast ours is as each way to run PyTorch, each pair in turns."""
    contest, sides = contest_of(name), sides_on_this_device()
    if contest.theirs is None:
        raise LeftOutError("PyTorch would need more memory than devices have")
    ours = contestant(lambda: contest.ours().run)
    facts: Facts = {"what": contest.what, "faster_by": {}, "steps_per_second": {}, "ready_in_seconds": {}}
    facts |= {"memory_in_mib": {}, "faults": {}}
    for side in sides:
        try:
            theirs = contestant(lambda side=side: waiting(contest.theirs(PEERS[side])))
            timings = by_turns({OURS: ours, side: theirs}, **turns())
            facts["faster_by"][side] = ratio(timings[OURS], timings[side])
            facts["steps_per_second"] |= {who: timing.rate for who, timing in timings.items()}
            facts["ready_in_seconds"][side] = timings[side].compiling
            yield facts
            facts["memory_in_mib"][side] = torch_memory(theirs.run)
        except Exception as error:  # one way to run PyTorch may fail, and the next may work
            facts["faults"][side] = line_of(error)
        theirs = None
        forget_torch()
        yield facts


def forget_torch() -> None:
    """Frees what PyTorch compiled and its memory on the device."""
    import torch

    gc.collect()
    with contextlib.suppress(AttributeError, ImportError):  # versions without torch.compile
        torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def forms_of_the_loop(name: str) -> Iterator[Facts]:
    """Yields, for each form of our loop in turns with the form "steps": steps per second, kernels and copies per step.

    All forms first make the same steps. Each has the largest difference of its state from the state of "steps".
    """
    from genjax_models.training import loop

    contest = contest_of(name)
    facts: Facts = {"what": contest.what, "forms": {}, "faults": {}}
    contestants, states, steps = {}, {}, 20 if on_cpu() else 250
    for form in get_args(loop.Form):
        try:
            with mock.patch.object(loop, "_chosen", lambda _, form=form: form):
                ours = contest.ours()
            contestants[form] = contestant(lambda ours=ours: ours.run)
            ours.run(steps - 1)
            states[form] = _numbers(ours.state())
            pairs = zip(states["steps"], states[form], strict=True)
            timings = by_turns({key: contestants[key] for key in ("steps", form)}, **turns())
            facts["forms"][form] = {
                "steps_per_second": timings[form].rate,
                "faster_than_steps": ratio(timings[form], timings["steps"]),
                "ready_in_seconds": timings[form].compiling,
                "largest_difference": max(float(np.max(np.abs(a - b), initial=0.0)) for a, b in pairs),
            }
            yield facts
            facts["forms"][form] |= per_step(ours.run, 5 if on_cpu() else 100)._asdict()
        except Exception as error:  # a form may fail on a device, and the next may work
            facts["faults"][form] = line_of(error)
        yield facts


def _numbers(state) -> list[np.ndarray]:
    """Returns the arrays of a state but its key, in float64."""
    import jax

    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(state._replace(key=()))]
