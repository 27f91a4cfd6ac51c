"""The error of a step that is not finite: it names the member, the step, what failed, and rows of the batch."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.data.prepare import Prepared
from genjax_models.errors import NonFiniteError
from genjax_models.runs.evaluation import Evaluate, evaluation_key, players_for_sampling
from genjax_models.runs.feed import replicated
from genjax_models.runs.history import Progress, prefix
from genjax_models.runs.logs import Member, split_metrics
from genjax_models.runs.ways import TrainerOf
from genjax_models.training import first_failure, loop_over_data
from genjax_models.types import Metrics, TrainState

_LISTED = 8  # rows in a message


def non_finite_error(
    trainer_of: TrainerOf,
    data: Prepared,
    batch_size: int,
    members: Sequence[Member],
    progress: Sequence[Progress],
    rows_of: Callable[[TrainState], np.ndarray],
    metrics: Metrics,
) -> NonFiniteError:
    """Returns the error, which names the first member whose metrics, else whose own next step, are not finite.

    It judges the batch again, and names the rows whose held-out metrics are not finite, unless all are of this kind.

    Args:
      trainer_of: values -> trainer.
      data: as `fit_members`.
      batch_size: examples per step.
      members: all members.
      progress: of each member, before the step that failed.
      rows_of: state -> rows of the training split in the next batch.
      metrics: of the chunk that ended in the failure.
    """
    failures = [first_failure(values) for values in split_metrics(metrics, len(members))]

    def fails(member: Member, state: TrainState) -> bool:
        run = loop_over_data(trainer_of(member.values), batch_size=batch_size, prepare=data.each_step, chunk=1)
        return int(run(jax.tree.map(jnp.copy, state), replicated(state, data.train), 1)[0].step) == int(state.step)

    index = next((i for i, failure in enumerate(failures) if failure), None if len(members) > 1 else 0)
    if index is None:
        index = next((i for i, member in enumerate(members) if fails(member, progress[i].state)), None)
    if index is None:
        return NonFiniteError(
            f"one of the members, step {int(progress[0].state.step)}: an updated variable is not finite, but is finite"
            " if each member takes the step on its own",
            list(progress),
        )
    state, failure = progress[index].state, failures[index]
    names = failure[1] if failure else ["one of the updated variables"]
    rows = np.asarray(rows_of(state))
    judged = _not_finite_alone(members[index].evaluate, data, state, rows)
    return NonFiniteError(
        f"{prefix(members[index].name)}step {int(state.step)}: {', '.join(names)} {'is' if len(names) == 1 else 'are'}"
        f" not finite; the batch was rows {_listed(rows)} of the training split"
        + (f"; not finite by themselves: {_listed(judged)}" if judged.size else "")
        + "; the state before that step is kept",
        list(progress),
    )


def _not_finite_alone(evaluate: Evaluate | None, data: Prepared, state: TrainState, rows: np.ndarray) -> np.ndarray:
    """Returns the rows whose held-out metrics are not finite; none if all are, or if no metric is per example."""
    failed = np.zeros(rows.shape, bool)
    if evaluate is not None:
        try:
            values = jax.jit(evaluate)(players_for_sampling(state), evaluation_key(), data.training_examples(rows))
        except ValueError:  # a metric may need more examples than a batch has
            values = {}
        for value in values.values():
            if np.shape(value) == rows.shape:
                failed |= ~np.isfinite(value)
    return rows[:0] if failed.all() else rows[failed]


def _listed(rows: np.ndarray) -> str:
    return ", ".join(map(str, rows[:_LISTED])) + (", ..." if len(rows) > _LISTED else "")
