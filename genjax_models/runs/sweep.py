"""Whether members that differ in fields of their config can be one program."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.interpreters.partial_eval import dce_jaxpr

from genjax_models.errors import InputError
from genjax_models.types import Batch, Trainer

TrainerOf = Callable[[Mapping[str, Any]], Trainer]


def check(trainer_of: TrainerOf, batch: Batch, names: Sequence[str], others: Sequence[str]) -> None:
    """Refuses fields that do not enter the step as numbers: that choose what is computed, or are not read by it.

    Args:
      trainer_of: values by name -> trainer.
      batch: of the shapes of a step's; nothing is computed.
      names: of the fields that are to be swept.
      others: of those that might be: which of them can is found out by trial, where one must be told.

    Raises:
      InputError: names the field, and those that can be swept.
    """
    for name in names:
        if reason := _fault(trainer_of, batch, name):
            can = [other for other in others if not _fault(trainer_of, batch, other)]
            raise InputError(f"--sweep {name}: {reason}; fields that can be swept here: {', '.join(can) or 'none'}")


def _fault(trainer_of: TrainerOf, batch: Batch, name: str) -> str | None:
    def step(value: Any, batch: Batch):
        train = trainer_of({name: value})
        return train.step(train.init(jax.random.key(0), batch), batch)

    try:
        traced = jax.make_jaxpr(step)(1.0, batch)
    except (TypeError, ValueError):  # of code that asks a tracer for a number, and of a check that cannot read it
        return "it is no number of the step alone, but decides what is computed"
    _, used = dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    return None if used[0] else "the step does not read it"
