"""Tests run on the CPU with four fake devices, so that what is said of sharding is tried everywhere."""

import os
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
# Tests compile much and compute little: machine code that is not optimised halves their time. To test the code that
# runs use, XLA_FLAGS=--xla_backend_optimization_level=3 make test.
os.environ["XLA_FLAGS"] = " ".join(  # the last of two that contradict each other counts
    (
        "--xla_force_host_platform_device_count=4",
        "--xla_backend_optimization_level=0",
        os.environ.get("XLA_FLAGS", ""),
    )
)
os.environ["NPROC"] = "16"  # with fewer threads than fake devices wait for, jax can deadlock on two cores
os.environ.setdefault("MPLBACKEND", "agg")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers have that of whoever started them
    _CACHES = tempfile.TemporaryDirectory(prefix="genjax_models-tests-")  # not those of who runs the tests
    os.environ["XDG_CACHE_HOME"] = _CACHES.name

import jax
import pytest


@pytest.fixture(scope="session", autouse=True)
def four_devices():
    """chex and pmap skip in silence where there is one device: say so instead."""
    assert jax.device_count() >= 4, f"tests need 4 fake devices, jax sees {jax.device_count()}"
