"""Begins a run with the players of another run (--start-from).

An array is copied if the other run has one of the same path and shape; what does not fit keeps its own start.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax_models.errors import InputError
from genjax_models.runs import checkpoints, processes
from genjax_models.runs.loading import load_run
from genjax_models.types import Array, Batch, Players, PRNGKey, Trainer, TrainState

_LISTED = 20  # lines of the account on the screen; the record has all


class Start(NamedTuple):
    """The players of another run, as far as they fit.

    record: what `config.json` and `result.json` keep: the other run, its experiment, the step and the digest of its
      checkpoint, the numbers of arrays here and copied, and a line for each array that was not copied.
    arrays: path in `TrainState.variables` -> array.
    """

    record: Mapping[str, Any]
    arrays: Mapping[str, Array]


def start_of(source: Path, trainer: Trainer, players: Players, own: Path | None = None) -> Start:
    """Returns the players of a run's best checkpoint, moving averages where it kept them, as far as they fit.

    Players are matched by name. The only player of a run also starts the only player of another name.

    Args:
      source: directory of the other run.
      trainer: of this run.
      players: of this run, as shapes.
      own: directory that this run will replace, if any.

    Raises:
      InputError: no run is there, it would be replaced, no player is in common, or no array fits.
      CheckpointError: its checkpoint is absent or damaged.
    """
    if trainer.begin is None:
        raise InputError("--start-from needs a trainer that can begin with given players. Use gx.trainer")
    read = processes.on_process_zero(_read, source, players, own)
    record, paths = processes.from_process_zero(lambda: read and (read.record, list(read.arrays)))
    shapes = dict(_leaves(players))
    arrays = processes.arrays_from_process_zero(read and read.arrays, {path: shapes[path] for path in sorted(paths)})
    return Start(record, arrays)


def start_again(record: Mapping[str, Any], trainer: Trainer, players: Players, run: Path) -> Start:
    """Returns the same start for a run that was stopped before its first checkpoint; `record` is stored in it.

    Raises:
      InputError: the other run is gone, or has another best checkpoint now.
    """
    start = start_of(Path(record["run"]), trainer, players)
    if start.record["digest"] != record["digest"]:
        raise InputError(
            f"--resume {run}: has no checkpoint yet, and the best checkpoint of {record['run']} has changed. Start it"
            f" anew: --start-from {record['run']} --run-dir {run} --overwrite"
        )
    return start


def begun(trainer: Trainer, key: PRNGKey, example: Batch, arrays: Mapping[str, Array]) -> TrainState:
    """Returns the first state, with these arrays in place of the players' own; pure, and may be jitted."""
    state = trainer.init(key, example)
    if not arrays or trainer.begin is None:
        return state
    players = jax.tree.map_with_path(lambda path, leaf: arrays.get(_name(path), leaf), state.variables)
    return trainer.begin(state.key, players)


def account(record: Mapping[str, Any]) -> list[str]:
    """Returns the start in words: one line, and a line for each array that was not copied, up to 20."""
    left = record["not_copied"]
    more = [f"  and {len(left) - _LISTED} more, in config.json"] if len(left) > _LISTED else []
    return [in_words(record), *(f"  not copied: {line}" for line in left[:_LISTED]), *more]


def in_words(record: Mapping[str, Any]) -> str:
    """Returns the start in a line."""
    return (
        f"starts from {record['run']} ({record['experiment']}), step {record['step']:,}: {record['copied']} of"
        f" {record['arrays']} arrays are copied"
    )


def _read(source: Path, players: Players, own: Path | None) -> Start:
    if own is not None and source.resolve().is_relative_to(own.resolve()):
        raise InputError(f"--start-from {source}: is what --overwrite replaces. Use another --run-dir")
    run = load_run(source)
    names = _matched(source, players, run.players)
    arrays, not_copied = {}, []
    for player, other in names.items():
        here, there = (dict(_leaves(variables)) for variables in (players[player], run.players[other]))
        for path in sorted({*here, *there}):
            if path in here and path in there and _fits(there[path], here[path]):
                arrays[f"{player}/{path}"] = jnp.asarray(there[path], here[path].dtype)
            else:
                words = f"{_in_words(there.get(path))} there, {_in_words(here.get(path))} here"
                not_copied.append(f"{player}/{path}: {words}")
    absent = {"there": [player for player in players if player not in names]}
    absent["here"] = [player for player in run.players if player not in names.values()]
    not_copied += [f"{player}: no such player {where}" for where, names in absent.items() for player in names]
    if not arrays:
        more = f" ({len(not_copied)} in all)" if len(not_copied) > 1 else ""
        raise InputError(f"--start-from {source}: none of its arrays fits: {not_copied[0]}{more}")
    manifest = checkpoints.manifest_of(source / "checkpoints", "best")
    record = {
        "run": str(source.resolve()),
        "experiment": run.experiment.module,
        "step": manifest["step"],
        "digest": checkpoints.digest_of_manifest(manifest),
        "arrays": len(list(_leaves(players))),
        "copied": len(arrays),
        "not_copied": not_copied,
    }
    return Start(record, arrays)


def _matched(source: Path, players: Players, others: Players) -> dict[str, str]:
    """Returns player -> the player of the other run that starts it."""
    if common := [player for player in players if player in others]:
        return dict(zip(common, common, strict=True))
    if len(players) == len(others) == 1:
        return dict(zip(players, others, strict=True))
    raise InputError(
        f"--start-from {source}: is of another family, no player is in common: its players are"
        f" {', '.join(sorted(others))}, and here they are {', '.join(sorted(players))}"
    )


def _fits(there: Array, here: jax.ShapeDtypeStruct) -> bool:
    """Returns whether an array can be copied: one shape, and one type, or two floating-point types."""
    floats = jnp.issubdtype(there.dtype, jnp.floating) and jnp.issubdtype(here.dtype, jnp.floating)
    return there.shape == here.shape and (floats or there.dtype == here.dtype)


def _leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yields the arrays or shapes of a tree with their paths."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return ((_name(path), leaf) for path, leaf in leaves)


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _in_words(leaf: Any) -> str:
    return "absent" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"
