"""What a run settles before anything compiles: members, data, devices, way and start. What does not fit is refused."""

from typing import Any

import jax
from jax.sharding import Mesh

from genjax_models.data.dataset import Dataset
from genjax_models.errors import InputError
from genjax_models.runs import directory, memory, processes, resuming, starting, sweep
from genjax_models.runs.command_line import Options
from genjax_models.runs.evaluation import evaluation_key, players_for_sampling
from genjax_models.runs.fields import float_fields
from genjax_models.runs.members import Members, named_members, values_of
from genjax_models.runs.protocol import System
from genjax_models.runs.run import Systems
from genjax_models.runs.shapes import batch_shape, num_bytes, state_shape
from genjax_models.runs.sharing import check_shares, check_streamed
from genjax_models.runs.ways import Way
from genjax_models.training import data_mesh
from genjax_models.types import Players, Trainer

_ENOUGH = 10  # examples, for any figure of a split


def members_of(config: Any, options: Options) -> Members:
    """Returns the members that the options name; for a resumed run, the members in its directory."""
    if options.resume:
        run = options.resume
        return processes.from_process_zero(lambda: dict(directory.read_members(run)))
    return named_members(config, options.seeds, options.sweep)


def load_data(config: Any) -> tuple[Any, Dataset]:
    """Returns the data, and the config completed by their shape.

    Raises:
      InputError: the data cannot be loaded, or have fewer examples than a batch.
    """
    config, dataset = config.load()
    if config.training.batch_size > len(dataset.train.x):
        raise InputError(
            f"batch_size must be at most {len(dataset.train.x)}, the training split of {config.data},"
            f" got {config.training.batch_size}"
        )
    return config, dataset


def mesh_of(devices: int | None, members: int, batch_size: int) -> Mesh | None:
    """Returns the mesh of these devices; None for one device of one process.

    Raises:
      InputError: there are fewer devices, or they do not divide the members or the batch.
    """
    if devices in (None, 1) and jax.process_count() == 1:
        return None
    try:
        mesh = data_mesh(devices)
    except ValueError as error:
        raise InputError(str(error)) from None
    check_shares(members, batch_size, mesh)
    return mesh


def way_of(options: Options, mesh: Mesh | None) -> Way | None:
    """Returns whether members train together or in turn by the devices, the flag or the run that resumes; else None.

    Raises:
      InputError: members cannot train in turn on several devices.
    """
    if mesh is not None:
        if options.members == "in-turn":
            raise InputError(f"--members in-turn needs one device, got {mesh.size}; several devices share the members")
        return Way(True, f"{mesh.size} devices share them")
    if options.members != "auto":
        return Way(options.members == "together", f"--members {options.members}")
    return resuming.stored_way(options.resume) if options.resume else None


def check_members(systems: Systems, dataset: Dataset, members: Members) -> None:
    """Refuses members that cannot be one program, and a config that does not fit the data or the device's memory.

    Raises:
      InputError: names the field, the bytes of the state, or a split that is too small for the figures.
    """
    check_streamed(dataset.train, len(members))
    first = values_of(next(iter(members.values())))
    config, system = systems.config, systems(first)
    state = state_shape(system.trainer, config.data.shape)
    memory.check_state(num_bytes(state))
    _check_held_out(system, players_for_sampling(state), dataset)
    batch = batch_shape(dataset.train, config.training.batch_size)
    others = [field.name for field in float_fields(config)] if first else []
    sweep.check(systems.trainer, batch, list(first), others)


def _check_held_out(system: System, players: Players, dataset: Dataset) -> None:
    """Refuses held-out splits that the figures of the system do not take: they are traced on few examples.

    Raises:
      InputError: names the split and its size.
    """
    of_test = (system.evaluate, system.test_metrics) if system.test_metrics else (system.evaluate,)
    for name, figures in {"validation": (system.evaluate,), "test": of_test}.items():
        split = getattr(dataset, name)
        n = len(split.x)
        if n >= _ENOUGH:
            continue
        try:
            for figure in figures:
                jax.eval_shape(figure, players, jax.eval_shape(evaluation_key), batch_shape(split, n))
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{dataset.name}: the {name} split, of size {n}, cannot be evaluated ({reason}). Give more examples, or"
                " splits of your own"
            ) from error


def start_of(systems: Systems, members: Members, options: Options) -> starting.Start | None:
    """Returns the players with which all members begin; None without --start-from.

    Raises:
      InputError: as `starting.start_of`.
    """
    if options.start_from is None:
        return None
    replaces = options.run_dir if options.overwrite else None
    return starting.start_of(options.start_from, *first_players(systems, members), replaces)


def first_players(systems: Systems, members: Members) -> tuple[Trainer, Players]:
    """Returns the trainer of the first member, and the shapes of the players, which all members share."""
    trainer = systems(values_of(next(iter(members.values())))).trainer
    return trainer, state_shape(trainer, systems.config.data.shape).variables


def stored_start(options: Options) -> dict[str, Any] | None:
    """Returns the record of the run that a resumed run started from; None if there is none."""
    run = options.resume
    if run is None:
        return None

    def read() -> dict[str, Any] | None:
        file = directory.MEMBERS if (run / directory.MEMBERS).exists() else "config.json"
        return directory.read_config_json(run, file).get("start_from")

    return processes.from_process_zero(read)
