"""The output of --dry-run: shapes, parameter counts, memory and steps of a run, without compute."""

import math
from typing import Any

from genjax_models.data.description import description
from genjax_models.data.records import Records
from genjax_models.runs.command_line import Options
from genjax_models.runs.members import ALONE, values_of
from genjax_models.runs.planning import check_members, load_data, members_of, mesh_of, start_of, way_of
from genjax_models.runs.protocol import Experiment, likelihood_in_words
from genjax_models.runs.run import Systems
from genjax_models.runs.shapes import count, num_bytes, state_shape
from genjax_models.runs.starting import account


def dry_run(experiment: Experiment, config: Any, options: Options = Options()) -> str:  # noqa: B008 - frozen
    """Returns the lines to print; the shapes come from `jax.eval_shape`.

    Raises:
      InputError: the run would raise it too.
    """
    members = members_of(config, options)
    config, data = load_data(config)
    way_of(options, mesh_of(options.devices, len(members), config.training.batch_size))
    systems = Systems(experiment, config)
    check_members(systems, data, members)
    start = start_of(systems, members, options)
    system = systems(values_of(next(iter(members.values()))))
    state = state_shape(system.trainer, config.data.shape)
    training, size = config.training, len(data.train.x)
    lines = [f"{name:12}{text}" for name, text in [*description(data), *likelihood_in_words(system, data)]]
    for player, variables in state.variables.items():
        params = variables.get("params", {})
        lines.append(f"player      {player}: {count(params):,} parameters")
        lines += [f"              {part}: {count(values):,}" for part, values in params.items()]
        lines += [
            f"              {name}: {count(values):,} numbers of state"
            for name, values in variables.items()
            if name != "params"
        ]
    batch = training.batch_size * math.prod(config.data.shape) * 4
    params = sum(num_bytes(variables.get("params", {})) for variables in state.variables.values())
    lines += [
        f"memory      {_size(num_bytes(state))} state (parameters, optimizer), {_size(params)} gradients,"
        f" {_size(data.train.x.nbytes)} training data{' on disk' if isinstance(data.train.x, Records) else ''},"
        f" {_size(batch)} a batch; activations come on top",
        f"steps       {training.steps:,} of {training.batch_size} examples:"
        f" {training.steps / (size // training.batch_size):.1f} epochs of {size // training.batch_size:,} steps",
    ]
    if start:
        first, *others = account(start.record)
        lines += [f"start       {first.removeprefix('starts ')}", *others]
    if members != ALONE:
        lines.append(f"members     {len(members)}, each with its own state and batches: {', '.join(members)}")
    return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
