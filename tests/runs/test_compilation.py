"""The compilation cache of experiments: its folder, its use, and runs without it."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import pytest

from genjax_models.errors import InputError
from genjax_models.runs import compilation

ROOT = Path(__file__).parent.parent.parent
NAMES = (
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_enable_compilation_cache",
)
CHILD = """
import jax
from genjax_models.runs.compilation import keep_compiled
keep_compiled()
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event.rsplit("/")[-1]))
jax.jit(lambda x: 3 * x + 1)(1.0)
print(events.count("cache_hits"), events.count("cache_misses"))
"""


@pytest.fixture
def settings():
    """JAX's default settings of the cache; the test's changes are undone afterwards."""
    before = {name: getattr(jax.config, name) for name in NAMES}
    for name, value in zip(NAMES, (None, -1, 1.0, True), strict=True):
        jax.config.update(name, value)
    yield lambda: tuple(getattr(jax.config, name) for name in NAMES)
    for name, value in before.items():
        jax.config.update(name, value)


def child(folder, **environment):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")} | environment
    environment |= {"XDG_CACHE_HOME": str(folder), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", CHILD],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return tuple(map(int, done.stdout.split()))


@pytest.mark.slow
def test_what_one_process_compiled_the_next_does_not_also_when_a_third_was_killed_within_a_write(tmp_path):
    hits, misses = child(tmp_path)
    assert hits == 0
    assert misses > 0
    assert child(tmp_path) == (misses, 0)
    folder = tmp_path / "genjax_models" / "compiled"
    assert len(list(folder.glob("*-cache"))) == misses
    largest = max(folder.glob("*-cache"), key=lambda path: path.stat().st_size)
    half = largest.read_bytes()[: largest.stat().st_size // 2]
    largest.unlink()
    largest.write_bytes(half)
    assert child(tmp_path) == (misses - 1, 1)
    assert child(tmp_path) == (misses, 0)


def test_it_is_in_the_users_cache_and_bounded(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    compilation.keep_compiled()
    assert settings() == (str(tmp_path / "genjax_models" / "compiled"), -1, 0.0, True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    compilation.keep_compiled()
    assert settings()[0] == str(tmp_path / "genjax_models" / "compiled")


def test_without_xdg_it_is_in_the_home(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    compilation.keep_compiled()
    assert settings()[0] == str(tmp_path / ".cache" / "genjax_models" / "compiled")


def test_jaxs_own_settings_come_first(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_enable_compilation_cache", False)
    compilation.keep_compiled()
    assert settings() == (None, -1, 1.0, False)
    jax.config.update("jax_enable_compilation_cache", True)
    compilation.keep_compiled(convolves=True)
    assert settings()[0] is None if jax.default_backend() == "cpu" else str(tmp_path)
    jax.config.update("jax_compilation_cache_dir", "elsewhere")
    compilation.keep_compiled()
    assert settings() == ("elsewhere", -1, 1.0, True)
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    compilation.keep_compiled()
    assert settings()[1:] == (-1, 1.0, True)
    assert list(tmp_path.iterdir())


def test_it_is_bounded_the_newest_stay_and_nobody_is_waited_for(settings, tmp_path, monkeypatch):
    folder = tmp_path / "genjax_models" / "compiled"
    folder.mkdir(parents=True)
    for age, size in enumerate((300, 200, 700)):
        (folder / f"{age}-cache").write_bytes(zlib.compress(os.urandom(size)))
        os.utime(folder / f"{age}-cache", (1e9 - age, 1e9 - age))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compilation, "_MOST_BYTES", 1000)
    for left in (["0-cache", "1-cache"], ["0-cache", "1-cache"]):
        jax.config.update("jax_compilation_cache_dir", None)
        compilation.keep_compiled()
        assert sorted(path.name for path in folder.iterdir()) == left
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o400}


def test_fault_64_a_cache_that_others_may_write_to_is_refused_and_links_are_deleted(settings, tmp_path, monkeypatch):
    folder = tmp_path / "genjax_models" / "compiled"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=f"^{folder}: other users may write to the cache. .*: chmod go-w {folder}$"):
        compilation.keep_compiled()
    assert settings()[0] is None
    folder.chmod(0o755)
    for name in ("own-cache", "target"):
        (folder / name).write_bytes(zlib.compress(b"program"))
    (folder / "linked-cache").symlink_to(folder / "target")
    compilation.keep_compiled()
    assert sorted(path.name for path in folder.iterdir()) == ["own-cache", "target"]
    assert (folder / "target").stat().st_mode & 0o200
    assert folder.stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_there_is_no_cache(settings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file is in its place")
    for place in (tmp_path / "file", Path("/proc/nowhere")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        compilation.keep_compiled()
        assert settings() == (None, -1, 1.0, True)
