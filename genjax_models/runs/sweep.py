"""Checks whether members that differ in fields of their config can share one compiled program."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.interpreters.partial_eval import dce_jaxpr

from genjax_models.errors import InputError
from genjax_models.types import Batch, Trainer

TrainerOf = Callable[[Mapping[str, Any]], Trainer]


def check(trainer_of: TrainerOf, batch: Batch, names: Sequence[str], others: Sequence[str]) -> None:
    """Refuses fields that do not enter the step as numbers: it must read them, and they must not select computations.

    Args:
      trainer_of: values by name -> trainer.
      batch: shapes of a step's batch; nothing is computed.
      names: fields to sweep.
      others: candidates for the error message, which lists the fields that can be swept.

    Raises:
      InputError: names the field, and the fields that can be swept.
    """
    for name in names:
        if reason := _fault(trainer_of, batch, name):
            accepted = [other for other in others if not _fault(trainer_of, batch, other)]
            listed = ", ".join(accepted) or "none"
            raise InputError(f"--sweep {name}: {reason}; fields that can be swept here: {listed}")


def _fault(trainer_of: TrainerOf, batch: Batch, name: str) -> str | None:
    def step(value: Any, batch: Batch):
        train = trainer_of({name: value})
        return train.step(train.init(jax.random.key(0), batch), batch)

    try:
        traced = jax.make_jaxpr(step)(1.0, batch)
    except (TypeError, ValueError):  # raised by code that needs the number of a tracer, such as a check
        return "it selects what is computed, and is not only a number in the step"
    _, used = dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    return None if used[0] else "the step does not read it"
