"""Exhausted memory is an error of one line with advice, and never an endless wait."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from genjax_models.runs import memory

ROOT = Path(__file__).parent.parent.parent
LIMIT = 64 * 2**30  # of address space, so that a terabyte is refused on every machine

# A run of the command line, in a process with limited address space.
RUN = f"""
import resource, sys
from experiments.vae import EXPERIMENT
from genjax_models.commands.train import main
resource.setrlimit(resource.RLIMIT_AS, ({LIMIT}, {LIMIT}))
sys.exit(main(EXPERIMENT, sys.argv[1:]))
"""

# Python, numpy, eager JAX and compiled JAX out of memory.
ALLOCATIONS = f"""
import resource
import jax, jax.numpy as jnp, numpy as np
from genjax_models.runs import memory
key = jax.random.key(0)
normal = jax.jit(lambda key: (key, jax.random.normal(key, (10**6, 10**6))))
resource.setrlimit(resource.RLIMIT_AS, ({LIMIT}, {LIMIT}))
for fail in (
    lambda: bytearray(10**13),
    lambda: np.ones((10**6, 10**6)),
    lambda: jnp.zeros((10**6, 10**6)),
    lambda: jax.block_until_ready(normal(key)),
):
    try:
        with memory.with_advice("buy less"):
            fail()
    except MemoryError as error:
        print(error)
"""


def child(code, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.slow
def test_fault_50_out_of_memory_is_one_line_with_the_batch_size_and_what_to_lower(tmp_path):
    """In a step; parameters that do not fit are refused before."""
    np.savez(tmp_path / "images.npz", x=np.random.RandomState(0).randint(0, 256, (60, 8, 8), np.uint8))
    flags = ["--data", str(tmp_path / "images.npz"), "--batch-size", "12", "--steps", "4"]
    sizes = ["--num-samples", "100000000", "--hidden", "1000"]
    ended = child(RUN, *flags, *sizes, "--run-dir", str(tmp_path / "run"))
    assert ended.returncode == 1, ended.stderr[-2000:]
    progress, line = ended.stderr.splitlines()
    assert progress.startswith("compiling;")
    assert line.startswith("error: out of memory (Out of memory allocating ")
    assert "batch_size is 12: lower it, or the sizes of the networks" in line
    assert ended.stdout == ""


@pytest.mark.slow
def test_fault_50_python_numpy_and_xla_have_the_same_message():
    ended = child(ALLOCATIONS)
    assert ended.returncode == 0, ended.stderr[-2000:]
    python, numpy, eager, compiled = ended.stdout.splitlines()
    assert python == "out of memory; buy less"
    assert numpy.startswith("out of memory (Unable to allocate 7.28 TiB")
    assert eager == "out of memory (Out of memory allocating 4000000000000 bytes); buy less"
    assert compiled == eager


def test_other_errors_of_xla_pass_unchanged():
    other = jax.errors.JaxRuntimeError("INTERNAL: a division by zero")
    with pytest.raises(jax.errors.JaxRuntimeError) as caught, memory.with_advice("buy less"):
        raise other
    assert caught.value is other
