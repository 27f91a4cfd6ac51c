"""Evaluation during training: the players that are evaluated, the key, and the row of the history."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from genjax_models.evaluation.estimates import estimate
from genjax_models.runs.history import Row
from genjax_models.types import Array, Batch, Players, PRNGKey, TrainState

# Every evaluation of every run draws the same noise, so that a curve changes only if the model changes.
# Runs split the key of their seed, so no key of a run equals a root key folded with a large number.
_EVALUATION = 2**32 - 1

Evaluate = Callable[[Players, PRNGKey, Batch], Mapping[str, Array]]


def evaluation_key() -> PRNGKey:
    """Returns the key of every evaluation."""
    return jax.random.fold_in(jax.random.key(0), np.uint32(_EVALUATION))


def players_for_sampling(state: TrainState) -> Players:
    """Returns the players for pictures, evaluation and `load_run`: moving averages replace their players."""
    return {**state.variables, **state.average}


def block_until_ready(values: Any) -> Any:
    """Returns the tree of arrays after they are computed.

    It raises if memory is exhausted, whereas `np.asarray` and `int` wait for ever (jax 0.10.2 on the CPU).
    """
    return jax.block_until_ready(values)


def summarised(step: int, split: str, values: Mapping[str, Array]) -> Row:
    """Returns a row of the history: means of per-example values `[n]` with their standard errors, and scalars."""
    row: Row = {"step": step, "split": split}
    for name, value in values.items():
        if np.ndim(value):
            row[name], error, n, *_ = estimate(value)
            if n > 1:
                row[f"{name}_se"] = error
        else:
            row[name] = int(value) if np.issubdtype(np.asarray(value).dtype, np.integer) else float(value)
    return row


def validator(evaluate: Evaluate | None, validation: Batch) -> Callable[[TrainState], Row]:
    """Returns the compiled evaluation on the validation split: state -> row."""
    compiled = jax.jit(evaluate) if evaluate else lambda *_: {}

    def validate(state: TrainState) -> Row:
        values = block_until_ready(compiled(players_for_sampling(state), evaluation_key(), validation))
        return summarised(int(state.step), "validation", values)

    return validate
