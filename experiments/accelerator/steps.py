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
from experiments.benchmarks.contests import COMPILED, CONTESTS, EAGER, GRAPHS, OURS, PEERS, waiting
from experiments.benchmarks.measure import by_turns, contestant, ratio
from experiments.benchmarks.objectives import memory_of, torch_memory
from experiments.benchmarks.sides import Contest

MOST_ON_CPU = 6e9  # operations of a step


def contest_of(name: str) -> Contest:
    """Returns the contest.

    Raises:
      LeftOutError: this is a CPU, and a step takes too long there.
    """
    contest = CONTESTS[name]
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
    return [GRAPHS, EAGER, COMPILED]


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
    """Yields, for each form of our loop: steps per second, and kernels and copies to the host per step.

    All forms first make the same steps; "largest_difference" is of numbers of the states that they end with.
    """
    from genjax_models.training import loop

    contest = contest_of(name)
    facts: Facts = {"what": contest.what, "forms": {}}
    contestants, states, steps = {}, {}, 20 if on_cpu() else 250
    for form in get_args(loop.Form):
        with mock.patch.object(loop, "_chosen", lambda _, form=form: form):
            ours = contest.ours()
        contestants[form] = contestant(lambda ours=ours: ours.run)
        ours.run(steps - 1)
        states[form] = [np.asarray(leaf) for leaf in _numbers(ours.state())]
        facts["forms"][form] = {"ready_in_seconds": contestants[form].compiling}
    pairs = [pair for state in states.values() for pair in zip(states["steps"], state, strict=True)]
    facts["largest_difference"] = max(float(np.max(np.abs(a.astype(np.float64) - b), initial=0.0)) for a, b in pairs)
    yield facts
    timings = by_turns(contestants, **turns())
    for form, timing in timings.items():
        facts["forms"][form] |= {
            "steps_per_second": timing.rate,
            "faster_than_steps": ratio(timing, timings["steps"]),
        }
    yield facts
    for form, (run, _) in contestants.items():
        facts["forms"][form] |= per_step(run, 5 if on_cpu() else 100)._asdict()
        yield facts


def _numbers(state) -> list:
    """Returns the arrays of a state but its key."""
    import jax

    return jax.tree.leaves(state._replace(key=()))
