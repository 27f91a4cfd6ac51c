"""Checkpoints that are whole or absent: Orbax writes the arrays, and a manifest holds their shapes and digests.

A checkpoint is a folder named by its step. It is written as `<step>.partial`, its files are hashed into
`manifest.json`, and one rename gives it its name. Checkpoints are ordered by step, never by a clock.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax

from genjax_models.errors import CheckpointError, DamagedError
from genjax_models.runs import keys
from genjax_models.runs.directory import sync
from genjax_models.types import TrainState

if TYPE_CHECKING:
    import orbax.checkpoint

FORMAT = 1
_NEWEST = 2  # kept, so that an older one remains if the newest is damaged
_MANIFEST = "manifest.json"
_ARRAYS = "arrays"


def save(folder: Path, state: TrainState, *, score: float | None, about: Mapping[str, Any]) -> Path:
    """Writes `folder/<step>`, and deletes all checkpoints but the two newest and the best.

    The write is synchronous: the checkpoint is on disk when this returns, and an error stops the run here.
    (`experiments.benchmarks.runs` measures the cost, which is small.)

    Args:
      folder: the run's folder of checkpoints.
      state: the whole state of the run.
      score: selects the best checkpoint, higher is better; None if nothing was evaluated.
      about: further content of the manifest (experiment, config).

    Returns:
      The checkpoint's folder.

    Raises:
      OSError: the checkpoint cannot be written; earlier checkpoints are kept.
    """
    folder = folder.resolve()  # Orbax needs absolute paths
    folder.mkdir(parents=True, exist_ok=True)
    clean(folder)
    step = int(state.step)
    place, partial = folder / f"{step:08d}", folder / f"{step:08d}.partial"
    if place.exists():  # a step has one state, and the stored checkpoint may have a score
        return place
    try:
        import orbax.checkpoint  # half a second, which a model that is only loaded need not wait

        handler = orbax.checkpoint.PyTreeCheckpointHandler(
            use_compression=False,  # compression saves few bytes and doubles the time
            multiprocessing_options=_this_process(),
        )
        with orbax.checkpoint.Checkpointer(handler, multiprocessing_options=_this_process()) as checkpointer:
            # As numpy arrays: one of several processes may not save a jax array that only its own devices hold.
            checkpointer.save(partial / _ARRAYS, jax.tree.map(keys.as_numbers, state))
    except Exception as error:  # Orbax reports a full disk by errors of many types
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"{place} cannot be written; earlier checkpoints are kept ({reason} ...)") from error
    manifest = {
        "format": FORMAT,
        "step": step,
        "score": score if score is not None and math.isfinite(score) else None,
        "about": dict(about),
        "leaves": _leaves(state),
        "files": {name: digest_of_file(partial / name) for name in _files(partial)},
    }
    content = json.dumps({**manifest, "digest": digest_of_manifest(manifest)}, indent=1)
    (partial / _MANIFEST).write_text(content, encoding="utf-8")
    for path in (partial, *partial.rglob("*")):
        sync(path)
    os.rename(partial, place)
    sync(folder)
    kept = steps(folder)
    best = _best(folder, on_damage=lambda error: None)  # `restore` reports damage
    for other in kept:
        if other not in {*kept[-_NEWEST:], best}:
            _delete(folder / f"{other:08d}")
    return place


def _delete(place: Path) -> None:
    partial = place.with_name(f"{place.name}.partial")  # whole or absent, even if the process ends here
    os.rename(place, partial)
    shutil.rmtree(partial)


def restore(folder: Path, like: TrainState, which: Literal["best", "last"] = "best") -> TrainState:
    """Returns the state in the best or the last checkpoint of `folder`; verifies every byte and every shape.

    Args:
      folder: the run's folder of checkpoints.
      like: a state of the same structure, as arrays or shapes (`jax.eval_shape(trainer.init, ...)`).
      which: "best" by score, or "last" by step.

    Raises:
      CheckpointError: there is no checkpoint, its format is newer, a file is damaged or missing, or it holds another
        model.
    """
    folder = folder.resolve()
    place = folder / f"{_choose(folder, which):08d}"
    return _restored(place, verified_manifest(place), like)[0]


def restore_newest(
    folder: Path, like: TrainState, on_damage: Callable[[DamagedError], None]
) -> tuple[TrainState, dict[str, Any]]:
    """Returns the newest undamaged state, and "about" of its manifest.

    Damaged checkpoints are renamed to `<step>.damaged`, and `on_damage` gets their errors.

    Raises:
      DamagedError: all checkpoints are damaged; the error of the newest. Nothing is renamed then.
      CheckpointError: there is no checkpoint, or it has another model or a newer format. Nothing is renamed then.
    """
    (restored,) = restore_all([folder], like, on_damage)
    return restored


def restore_all(
    folders: Sequence[Path], like: TrainState, on_damage: Callable[[DamagedError], None]
) -> list[tuple[TrainState, dict[str, Any]]]:
    """Does as `restore_newest` for several folders, at the newest step whose checkpoints are undamaged in all of them.

    Newer checkpoints are deleted, so that all members resume from one step: a process may have been killed after it
    saved some members and before it saved the others.
    """
    folders = [folder.resolve() for folder in folders]
    manifests: dict[Path, dict[str, Any]] = {}
    errors: dict[Path, DamagedError] = {}
    for place in (folder / f"{step:08d}" for folder in folders for step in steps(folder)):
        try:
            manifests[place] = verified_manifest(place)
        except DamagedError as error:
            errors[place] = error
    common = set.intersection(*({int(place.name) for place in manifests if place.parent == f} for f in folders))
    if not common:
        reason = "holds no checkpoint" if len(folders) == 1 else "and the other members hold no checkpoint of one step"
        raise errors[max(errors)] if errors else CheckpointError(f"{folders[0]} {reason}")
    newest = max(common)
    restored = [_restored(place := folder / f"{newest:08d}", manifests[place], like) for folder in folders]
    for place, error in errors.items():
        on_damage(error)
        aside = place.with_name(f"{place.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        place.rename(aside)
    for folder in folders:
        for newer in (other for other in steps(folder) if other > newest):
            _delete(folder / f"{newer:08d}")
    return restored


def clean(folder: Path) -> None:
    """Deletes what an interrupted save has left: the process was killed, or the disk was full."""
    for leftover in folder.glob("*.partial"):
        if leftover.is_dir():
            shutil.rmtree(leftover)


def verified_manifest(place: Path) -> dict[str, Any]:
    """Returns the manifest of a checkpoint, whose files all have the bytes that were saved.

    Raises:
      CheckpointError: a file is absent or damaged (DamagedError), or its format is newer.
    """
    manifest = read_manifest(place)
    digests = {name: digest_of_file(place / name) for name in _files(place) if name != _MANIFEST}
    for name, digest in manifest["files"].items():
        if digests.get(name) != digest:
            fault = "is missing" if name not in digests else "is damaged: its sha256 differs from the manifest"
            raise DamagedError(f"{place / name} {fault}")
    return manifest


def _restored(place: Path, manifest: dict[str, Any], like: TrainState) -> tuple[TrainState, dict[str, Any]]:
    """Returns the state of a verified checkpoint, and "about" of its manifest."""
    expected = _leaves(like)
    if differences := [
        f"{name}: checkpoint has {manifest['leaves'].get(name, 'nothing')}, model has {expected.get(name, 'nothing')}"
        for name in sorted({*expected, *manifest["leaves"]})
        if manifest["leaves"].get(name) != expected.get(name)
    ]:
        raise CheckpointError(f"{place} holds another model: {'; '.join(differences[:3])} ({len(differences)} in all)")
    import orbax.checkpoint

    with orbax.checkpoint.StandardCheckpointer(multiprocessing_options=_this_process()) as checkpointer:
        state = checkpointer.restore(place / _ARRAYS, jax.tree.map(_abstract, like))
    return jax.tree.map(keys.from_numbers, state, like), manifest["about"]


def read_manifest(place: Path) -> dict[str, Any]:
    """Returns the content of `place/manifest.json`.

    Raises:
      CheckpointError: the file is absent or damaged, or its format is newer.
    """
    path = place / _MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        digest = manifest.pop("digest")
        version = int(manifest["format"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise DamagedError(f"{path} cannot be read ({type(error).__name__}: {error})") from error
    if version > FORMAT:
        raise CheckpointError(f"{path} has format {version}; this version reads up to {FORMAT}")
    if digest != digest_of_manifest(manifest):
        raise DamagedError(f"{path} is damaged: its sha256 differs from its content")
    for part in ("about", "leaves", "files"):
        if not isinstance(manifest.get(part), dict):
            raise DamagedError(f"{path} is damaged: {part} must be an object, got {manifest.get(part)!r}")
    if not isinstance(manifest.get("score"), float | int | None):
        raise DamagedError(f"{path} is damaged: score must be a number or null, got {manifest['score']!r}")
    return manifest


def manifest_of(folder: Path, which: Literal["best", "last"]) -> dict[str, Any]:
    """Returns the manifest of the best or the last checkpoint of `folder`; raises as `restore`."""
    return read_manifest(folder / f"{_choose(folder, which):08d}")


def steps(folder: Path) -> list[int]:
    """Returns the steps of the checkpoints in `folder`, in ascending order."""
    named = (path for path in folder.glob("[0-9]*") if re.fullmatch(r"[0-9]{8,}", path.name))
    return sorted(int(path.name) for path in named if path.is_dir() and f"{int(path.name):08d}" == path.name)


def _choose(folder: Path, which: str) -> int:
    stored = steps(folder)
    if not stored:
        raise CheckpointError(f"{folder} holds no checkpoint")
    return stored[-1] if which == "last" else _best(folder)


def _best(folder: Path, on_damage: Callable[[DamagedError], None] | None = None) -> int:
    """Returns the step of the highest score; the newest step if no checkpoint has a score."""
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
    return max(scores, key=scores.__getitem__) if scores else steps(folder)[-1]


def _leaves(state: TrainState) -> dict[str, str]:
    leaves, _ = jax.tree.flatten_with_path(state)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def _this_process() -> "orbax.checkpoint.options.MultiprocessingOptions":
    """Returns options by which this process reads and writes without waiting for others."""
    index = jax.process_index()
    import orbax.checkpoint

    return orbax.checkpoint.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process_{index}"
    )


def _abstract(leaf) -> jax.ShapeDtypeStruct:
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)


def _files(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def digest_of_file(path: Path) -> str:
    """Returns the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_manifest(manifest: Mapping[str, Any]) -> str:
    """Returns the sha256 of the content of a manifest, without its own digest."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
