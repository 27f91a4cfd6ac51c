"""The device, the versions, and the two ceilings: a large copy and a large matrix product."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from experiments.accelerator.part import Facts, line_of

PACKAGES = ("jax", "jaxlib", "flax", "optax", "distrax", "numpy", "torch")


def find() -> None:
    """Finds the device. A new process does this first, so that its time is apart from the time of the parts."""
    import jax

    jax.devices()


def describe() -> Iterator[Facts]:
    """Yields the device, its memory, and the versions of what measures it."""
    import jax

    device = jax.devices()[0]
    memory = (device.memory_stats() or {}).get("bytes_limit")
    yield {
        "device": processor() if device.platform == "cpu" else device.device_kind,
        "platform": device.platform,
        "rocm": "rocm" in device.client.platform_version.lower(),
        "devices": jax.device_count(),
        "memory_in_gib": None if memory is None else round(memory / 2**30, 1),
        "runtime": " ".join(device.client.platform_version.split()),
        "host": f"{processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def processor() -> str:
    """Returns the name of the host's processor."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def on_cpu() -> bool:
    """Returns whether this process computes on a CPU, where cases are small."""
    import jax

    return jax.default_backend() == "cpu"


def ceilings() -> Iterator[Facts]:
    """Yields the bytes per second of a large copy, and the operations per second of large products, by precision.

    "default" is the precision of products for which none is asked.
    """
    import jax
    import jax.numpy as jnp

    numbers, side = (2**24, 2_048) if on_cpu() else (2**28, 8_192)
    x = jnp.arange(numbers, dtype=jnp.float32)
    negative = jax.jit(lambda x: -x)  # reads and writes every number once
    facts: Facts = {"copy_in_gb_per_second": 8 * numbers / seconds(lambda: negative(x)) / 1e9}
    facts |= {"products_in_tflops": {}, "faults": {}}
    yield facts
    a = jax.random.normal(jax.random.key(0), (side, side))
    precisions = {"float32": "highest", "TF32": "TF32_TF32_F32", "default": "default", "bfloat16": None}
    for name, precision in precisions.items():
        operand = a if precision else a.astype(jnp.bfloat16)
        product = jax.jit(lambda a, precision=precision: jnp.matmul(a, a, precision=precision))
        try:
            taken = seconds(lambda operand=operand, product=product: product(operand))
            facts["products_in_tflops"][name] = 2 * side**3 / taken / 1e12
        except Exception as error:  # the device has no such products
            facts["faults"][name] = line_of(error)
        yield facts


def seconds(call: Callable[[], object], least: float = 0.05, repeats: int = 5) -> float:
    """Returns the least time of a call: the host starts several calls, and waits for the last.

    Args:
      call: starts work on the device, and returns its arrays.
      least: time of each measurement, at least.
      repeats: number of measurements.
    """
    import jax

    def taken(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            result = call()
        jax.block_until_ready(result)
        return time.perf_counter() - started

    taken(2)
    count = 1
    while taken(count) < least:
        count *= 2
    return min(taken(count) for _ in range(repeats)) / count
