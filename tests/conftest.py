"""Tests run on the CPU with four fake devices, so that what is said of sharding is tried everywhere."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
os.environ["NPROC"] = "16"  # with fewer threads than fake devices wait for, jax can deadlock on two cores
os.environ.setdefault("MPLBACKEND", "agg")

import jax
import pytest


@pytest.fixture(scope="session", autouse=True)
def four_devices():
    """chex and pmap skip in silence where there is one device: say so instead."""
    assert jax.device_count() >= 4, f"tests need 4 fake devices, jax sees {jax.device_count()}"
