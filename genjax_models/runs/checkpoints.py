"""Checkpoints that are whole or absent: Orbax writes the arrays, a manifest says what they must be.

A checkpoint is a folder named by its step. It is written beside its place, its files are hashed into
`manifest.json`, and one rename puts it there. Order is by step number, never by a clock.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint

from genjax_models.errors import CheckpointError, DamagedError
from genjax_models.runs import keys
from genjax_models.types import TrainState

FORMAT = 1
_NEWEST = 2  # kept, so that there is one to go back to
_MANIFEST = "manifest.json"
_ARRAYS = "arrays"


def save(folder: Path, state: TrainState, *, score: float | None, about: Mapping[str, Any]) -> Path:
    """Writes `folder/<step>` and forgets all but the two newest and the best.

    It is all done when this returns: nothing is left to fail behind the run's back, and what fails stops the run here.
    (That costs a run little: `experiments.benchmarks.runs`.)

    Args:
      folder: of the run's checkpoints.
      state: all that the run is.
      score: by which "best" is chosen, higher is better; None where nothing was evaluated.
      about: what the manifest says beside (experiment, config).

    Returns:
      The checkpoint's folder.

    Raises:
      OSError: it could not be written; the checkpoints before it stand.
    """
    folder = folder.resolve()  # Orbax wants absolute paths
    folder.mkdir(parents=True, exist_ok=True)
    clean(folder)
    step = int(state.step)
    place, partial = folder / f"{step:08d}", folder / f"{step:08d}.partial"
    if place.exists():  # a step is one state: what stands is as good, and may have a score
        return place
    try:
        handler = orbax.checkpoint.PyTreeCheckpointHandler(
            use_compression=False,  # little is gained, half the time lost
            multiprocessing_options=_this_process(),
        )
        with orbax.checkpoint.Checkpointer(handler, multiprocessing_options=_this_process()) as checkpointer:
            # As numpy's: of several processes, none may save an array that jax has on its devices alone.
            checkpointer.save(partial / _ARRAYS, jax.tree.map(keys.as_numbers, state))
    except Exception as error:  # a full disk has many faces in Orbax
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"{place} could not be written, the checkpoint before it stands ({reason} ...)") from error
    manifest = {
        "format": FORMAT,
        "step": step,
        "score": score if score is not None and math.isfinite(score) else None,
        "about": dict(about),
        "leaves": _leaves(state),
        "files": {name: _digest(partial / name) for name in _files(partial)},
    }
    (partial / _MANIFEST).write_text(json.dumps({**manifest, "digest": _digest_of(manifest)}, indent=1))
    for name in _files(partial):
        _sync(partial / name)
    _sync(partial)
    os.rename(partial, place)
    _sync(folder)
    kept = steps(folder)
    best = _best(folder, on_damage=lambda error: None)  # what is damaged is told when it is wanted, not when it is old
    for other in kept:
        if other not in {*kept[-_NEWEST:], best}:
            _forget(folder / f"{other:08d}")
    return place


def _forget(place: Path) -> None:
    forgotten = place.with_name(f"{place.name}.partial")  # whole or absent, also when this is the last thing done
    os.rename(place, forgotten)
    shutil.rmtree(forgotten)


def restore(folder: Path, like: TrainState, which: Literal["best", "last"] = "best") -> TrainState:
    """The state in the best or the last checkpoint of `folder`, every byte and every shape verified.

    Args:
      folder: of the run's checkpoints.
      like: the tree that is expected, arrays or their shapes (`jax.eval_shape(trainer.init, ...)`).
      which: "best" by score, or "last" by step.

    Raises:
      CheckpointError: none there, a newer format, a damaged or missing file, or a tree of something else.
    """
    folder = folder.resolve()
    return _verified(folder / f"{_choose(folder, which):08d}", like)[0]


def restore_newest(
    folder: Path, like: TrainState, on_damage: Callable[[DamagedError], None]
) -> tuple[TrainState, dict[str, Any]]:
    """The newest state that is whole, and its manifest's "about"; each newer one that is not is told to `on_damage`
    and put aside as `<step>.damaged`.

    Raises:
      DamagedError: none is whole; the newest one's error.
      CheckpointError: there is none, or it is of another model or of a newer format. Nothing is put aside then.
    """
    (found,) = restore_all([folder], like, on_damage)
    return found


def restore_all(
    folders: Sequence[Path], like: TrainState, on_damage: Callable[[DamagedError], None]
) -> list[tuple[TrainState, dict[str, Any]]]:
    """As `restore_newest`, from each of several folders: of the newest step that is whole in all.

    What is newer in some of them is forgotten, so that they go on as one: a process may have been killed when it had
    saved in some and not in others.
    """
    folders, errors = [folder.resolve() for folder in folders], []

    def whole(place: Path) -> tuple[TrainState, dict[str, Any]] | None:
        try:
            return _verified(place, like)
        except DamagedError as error:
            errors.append(error)
            on_damage(error)
            aside = place.with_name(f"{place.name}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            place.rename(aside)

    for step in sorted(set.intersection(*(set(steps(folder)) for folder in folders)), reverse=True):
        found = [whole(folder / f"{step:08d}") for folder in folders]
        if None not in found:
            for folder in folders:
                for newer in (other for other in steps(folder) if other > step):
                    _forget(folder / f"{newer:08d}")
            return found
    told = "holds no checkpoint" if len(folders) == 1 else "and those beside it hold no checkpoint of one step"
    raise errors[0] if errors else CheckpointError(f"{folders[0]} {told}")


def clean(folder: Path) -> None:
    """Removes what a process that was killed, or a full disk, left of a save."""
    for leftover in folder.glob("*.partial"):
        shutil.rmtree(leftover)


def _verified(place: Path, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
    manifest = read_manifest(place)
    found = {name: _digest(place / name) for name in _files(place) if name != _MANIFEST}
    for name, digest in manifest["files"].items():
        if found.get(name) != digest:
            state = "is missing" if name not in found else "is damaged: its sha256 is not the one that was written"
            raise DamagedError(f"{place / name} {state}")
    expected = _leaves(like)
    if differences := [
        f"{name}: checkpoint has {manifest['leaves'].get(name, 'nothing')}, wanted {expected.get(name, 'nothing')}"
        for name in sorted({*expected, *manifest["leaves"]})
        if manifest["leaves"].get(name) != expected.get(name)
    ]:
        raise CheckpointError(f"{place} holds another model: {'; '.join(differences[:3])} ({len(differences)} in all)")
    with orbax.checkpoint.StandardCheckpointer(multiprocessing_options=_this_process()) as checkpointer:
        found = checkpointer.restore(place / _ARRAYS, jax.tree.map(_abstract, like))
    return jax.tree.map(keys.as_before, found, like), manifest["about"]


def read_manifest(place: Path) -> dict[str, Any]:
    """What `place/manifest.json` says.

    Raises:
      CheckpointError: it is absent, damaged or of a newer format.
    """
    path = place / _MANIFEST
    try:
        manifest = json.loads(path.read_text())
        digest = manifest.pop("digest")
        version = int(manifest["format"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{path} cannot be read ({type(error).__name__}: {error})") from error
    if version > FORMAT:
        raise CheckpointError(f"{path} has format {version}; this version reads up to {FORMAT}")
    if digest != _digest_of(manifest):
        raise DamagedError(f"{path} is damaged: its sha256 is not the one that was written")
    return manifest


def steps(folder: Path) -> list[int]:
    """Of the checkpoints in `folder`, in their order."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit())


def _choose(folder: Path, which: str) -> int:
    found = steps(folder)
    if not found:
        raise CheckpointError(f"{folder} holds no checkpoint")
    return found[-1] if which == "last" else _best(folder)


def _best(folder: Path, on_damage: Callable[[DamagedError], None] | None = None) -> int:
    """The step of the highest score, the newest one where nothing has a score."""
    scores = {}
    for step in steps(folder):
        try:
            score = read_manifest(folder / f"{step:08d}")["score"]
        except DamagedError as error:
            if on_damage is None:
                raise
            on_damage(error)
            continue
        if score is not None:
            scores[step] = score
    return max(scores, key=scores.get) if scores else steps(folder)[-1]


def _leaves(state: TrainState) -> dict[str, str]:
    leaves, _ = jax.tree.flatten_with_path(state)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def _this_process() -> orbax.checkpoint.options.MultiprocessingOptions:
    """Of several, one alone reads and writes: nobody is waited for."""
    index = jax.process_index()
    return orbax.checkpoint.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process_{index}"
    )


def _abstract(leaf) -> jax.ShapeDtypeStruct:
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)


def _files(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
