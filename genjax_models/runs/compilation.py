"""What was compiled once is kept on disk: the second start of an experiment compiles next to nothing."""

import contextlib
import os
from pathlib import Path

import jax

_MOST_BYTES = 2**30  # a VAE's run fills 2 MB


def keep_compiled() -> None:
    """Turns on JAX's persistent compilation cache, in `genjax_models/compiled` in `$XDG_CACHE_HOME` or `~/.cache`.

    It holds 1 GiB and forgets what was not used for longest. JAX's own settings come first, each where it is made:
    `JAX_ENABLE_COMPILATION_CACHE=false` turns the cache off, `JAX_COMPILATION_CACHE_DIR` puts it elsewhere,
    `JAX_COMPILATION_CACHE_MAX_SIZE` and `JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS` say how much of what is kept.
    Where nothing can be written there is no cache, and runs take as long as they do without one.
    """
    if not jax.config.jax_enable_compilation_cache or jax.config.jax_compilation_cache_dir is not None:
        return
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genjax_models" / "compiled"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # whoever writes there has their code run by us
        _mend(folder)
    except (OSError, RuntimeError):  # RuntimeError: no home
        return
    _unless_set("jax_compilation_cache_max_size", _MOST_BYTES)
    _unless_set("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _mend(folder: Path) -> None:
    """Removes what a process left that was killed within a write, which jax would stumble over from then on.

    A file's time of use is written after the file.
    """
    import filelock  # which jax wants for a cache with a bound, and imports itself

    with filelock.FileLock(folder / ".lockfile", timeout=10):
        for file in folder.glob("*-cache"):
            if not file.with_name(file.name.removesuffix("-cache") + "-atime").exists():
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()


def _unless_set(name: str, value: float) -> None:
    if name.upper() not in os.environ:
        jax.config.update(name, value)
