"""Tests run on the CPU with four fake devices, so that what is said of sharding is tried everywhere.

TESTS_ON=cuda (or tpu) runs them there, as `make accelerator` does: at float32 unless JAX_DEFAULT_MATMUL_PRECISION says
otherwise, and without those that need four devices where there are not four.
"""

import gc
import os
import resource
import tempfile
from importlib.metadata import version
from pathlib import Path

PLATFORM = os.environ.get("TESTS_ON", "cpu")
if PLATFORM == "cpu":
    os.environ["JAX_PLATFORMS"] = "cpu"
    # Tests compile much and compute little. These flags make programs compile in a quarter of the time. To test the
    # programs of real runs: XLA_FLAGS="--xla_backend_optimization_level=3 --xla_cpu_use_fusion_emitters=true".
    flags = ["--xla_force_host_platform_device_count=4", "--xla_backend_optimization_level=0"]
    if version("jaxlib").startswith("0.10."):  # a newer XLA has no such flag
        flags += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
    os.environ["XLA_FLAGS"] = " ".join([*flags, os.environ.get("XLA_FLAGS", "")])  # the last of two that differ counts
else:
    os.environ["JAX_PLATFORMS"] = f"{PLATFORM},cpu"
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "float32")  # which oracles are met at
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the processes that tests start want memory too
os.environ["NPROC"] = "16"  # with fewer threads than fake devices wait for, jax can deadlock on two cores
os.environ.setdefault("MPLBACKEND", "agg")
# Compiled programs are kept for the next `make test`, and for the processes that tests start.
COMPILED = Path(__file__).parent.parent / ".pytest_cache" / "compiled"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers have that of whoever started them
    _CACHES = tempfile.TemporaryDirectory(prefix="genjax_models-tests-")  # not those of who runs the tests
    os.environ["XDG_CACHE_HOME"] = _CACHES.name

import jax  # noqa: E402 - it reads the environment
import pytest  # noqa: E402

from genjax_models.runs import compilation  # noqa: E402

gc.freeze()
gc.set_threshold(100_000, 50, 100)  # traces make many objects, and few of them die


def pytest_sessionstart():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        compilation.delete_oldest(COMPILED)


@pytest.fixture(scope="module", autouse=True)
def compiled_programs():
    """Drops the compiled programs after a module's tests, once they fill memory: modules share many of them."""
    yield
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 2 * 2**20:  # KiB
        jax.clear_caches()


def pytest_runtest_setup(item):
    """chex and pmap skip in silence where there are too few devices: say so instead."""
    if jax.device_count() != 4:
        assert PLATFORM != "cpu", f"tests need 4 fake devices, jax sees {jax.device_count()}"
        if item.get_closest_marker("four_devices"):
            pytest.skip(f"needs four devices, and {PLATFORM} has {jax.device_count()}")
