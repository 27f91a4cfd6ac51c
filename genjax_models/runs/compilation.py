"""The persistent compilation cache: the second start of an experiment loads its compiled programs from disk."""

import importlib
import os
import tempfile
import zlib
from pathlib import Path

import jax

from genjax_models.data.private_folder import is_own_file, make_private

_MOST_BYTES = 2**28  # a VAE's run keeps 3 MB


def keep_compiled(*, convolves: bool = False) -> None:
    """Turns on JAX's persistent compilation cache, in `genjax_models/compiled` in `$XDG_CACHE_HOME` or `~/.cache`.

    Each start deletes the oldest files until 256 MiB remain. JAX's own settings take precedence:
    `JAX_ENABLE_COMPILATION_CACHE=false` turns the cache off, `JAX_COMPILATION_CACHE_DIR` sets its folder, and
    `JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS` sets the shortest compilation that is kept. If the folder cannot be
    written to, there is no cache.

    Programs that convolve on a CPU are not kept. They call oneDNN, and steps in half the time are worth more than the
    seconds of compilation (`networks.onednn`).

    Args:
      convolves: whether the networks are convolutional.

    Raises:
      InputError: another user owns the folder or may write to it; the error names the permission to set.
    """
    if not jax.config.jax_enable_compilation_cache or jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    if convolves and jax.default_backend() == "cpu":
        return
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genjax_models" / "compiled"
        make_private(folder)
        folder.chmod(0o700)  # this process runs the code that it loads from there
        tempfile.TemporaryFile(dir=folder).close()
        delete_oldest(folder)
    except (OSError, RuntimeError):  # RuntimeError: no home
        return
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def delete_oldest(folder: Path) -> None:
    """Deletes the oldest files of a cache above `_MOST_BYTES`, and files that a killed process left incomplete.

    Links are deleted too, and files that belong to other users.
    JAX would warn about an incomplete file at every start. JAX's own bound (`jax_compilation_cache_max_size`) takes a
    lock for each file that is read or written, and a process that was stopped while it held it costs all others 10 s a
    time. This function takes no lock: if another process is writing or has deleted a file, its program is compiled
    again. Complete files become read-only and are not checked again.
    """
    bytes_left = _MOST_BYTES
    files = [(file.lstat(), file) for file in folder.glob("*-cache")]
    for stat, file in sorted(files, key=lambda pair: pair[0].st_mtime_ns, reverse=True):
        bytes_left -= stat.st_size
        if bytes_left < 0 or not is_own_file(stat) or not (stat.st_mode & 0o200 == 0 or _complete(file)):
            file.unlink(missing_ok=True)
        else:
            file.chmod(0o400)


def _complete(file: Path) -> bool:
    """Returns whether the file can be decompressed: JAX compresses by zstandard if Python has it, else by zlib."""
    data = file.read_bytes()
    try:
        if data[:4] != b"\x28\xb5\x2f\xfd":
            zlib.decompress(data)
            return True
        for name in ("compression.zstd", "zstandard"):
            try:
                importlib.import_module(name).decompress(data)
                return True
            except ImportError:
                continue
    except Exception:  # each library has its own types of errors
        return False
    return False
