"""What was compiled once is kept on disk: the second start of an experiment compiles next to nothing."""

import importlib
import os
import tempfile
import zlib
from pathlib import Path

import jax

_MOST_BYTES = 2**28  # a VAE's run keeps 3 MB


def keep_compiled() -> None:
    """Turns on JAX's persistent compilation cache, in `genjax_models/compiled` in `$XDG_CACHE_HOME` or `~/.cache`.

    Each start brings it back to 256 MiB, the newest files first. JAX's own settings come before these:
    `JAX_ENABLE_COMPILATION_CACHE=false` turns the cache off, `JAX_COMPILATION_CACHE_DIR` puts it elsewhere, and
    `JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS` says what is worth a file. Where nothing can be written there is no
    cache, and runs take as long as they do without one.
    """
    if not jax.config.jax_enable_compilation_cache or jax.config.jax_compilation_cache_dir is not None:
        return
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genjax_models" / "compiled"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # whoever writes there has their code run by us
        tempfile.TemporaryFile(dir=folder).close()
        _tidy(folder)
    except (OSError, RuntimeError):  # RuntimeError: no home
        return
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _tidy(folder: Path) -> None:
    """Removes what is too much, and what a process left that was killed within a write: JAX would stumble over it at
    every start.

    JAX's own bound (`jax_compilation_cache_max_size`) takes a lock for each file that is read or written, and a process
    that was stopped while it held it costs all others 10 s a time. Here nobody waits: a file that another process is
    writing, or has removed, is at worst compiled again. Files that were found whole are made read-only, and not looked
    at again.
    """
    room = _MOST_BYTES
    files = [(file.stat(), file) for file in folder.glob("*-cache")]
    for stat, file in sorted(files, key=lambda of: of[0].st_mtime_ns, reverse=True):
        room -= stat.st_size
        if room < 0 or not (stat.st_mode & 0o200 == 0 or _whole(file)):
            file.unlink(missing_ok=True)
        else:
            file.chmod(0o400)


def _whole(file: Path) -> bool:
    """Whether what JAX compressed, by zstandard where Python has it, can be had back."""
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
    except Exception:  # each has errors of its own
        return False
    return False
