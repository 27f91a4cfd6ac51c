"""The contract table of the tests on the device: every objective, in a process of pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from experiments.accelerator.part import Facts, LeftOutError

ROOT = Path(__file__).parent.parent.parent
TABLE = Path("tests") / "training" / "test_contract.py"
RESULTS = "(PASSED|FAILED|ERROR|SKIPPED)"
LINE = re.compile(rf"(tests/.+?::.+?) {RESULTS}\b")
LINE_OF_XDIST = re.compile(rf"\[gw\d+\] \[ *\d+%\] {RESULTS} (tests/.+)")


def contract(on: str, precision: str, only: str | None = None) -> Iterator[Facts]:
    """Yields how many tests passed, failed and were skipped, and the names of the failed ones.

    Args:
      on: platform of the tests, by its name in JAX_PLATFORMS.
      precision: precision of matrix products, by jax's name.
      only: pytest's -k; None for the whole table.

    Raises:
      LeftOutError: pytest or the folder tests/ is absent.
    """
    if find_spec("pytest") is None:
        raise LeftOutError("pytest is not installed")
    if not (ROOT / TABLE).exists():
        raise LeftOutError(f"there is no {TABLE} in {ROOT}")
    arguments = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", str(TABLE)]
    if only:
        arguments += ["-k", only]
    elif find_spec("xdist") is not None and on != "cpu":
        arguments += ["--numprocesses", str(min(8, os.cpu_count() or 1))]
    environment = {**os.environ, "TESTS_ON": on, "JAX_DEFAULT_MATMUL_PRECISION": precision}
    environment.pop("JAX_PLATFORMS", None)
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    facts: Facts = {"passed": 0, "skipped": 0, "failed": [], "status": None}
    yielded = time.monotonic()
    for line in process.stdout or ():
        print(line, end="", flush=True)
        if count(line, facts) and time.monotonic() > yielded + 1:
            yielded = time.monotonic()
            yield facts
    facts["status"] = process.wait()
    yield facts
    if facts["status"] not in (0, 1):  # 1: some tests failed
        raise RuntimeError(f"pytest ended with exit status {facts['status']}; its output is in log.txt")


def count(line: str, facts: Facts) -> bool:
    """Adds the result in a line of pytest's output; returns whether there is one."""
    if match := LINE.match(line):
        name, result = match.groups()
    elif match := LINE_OF_XDIST.match(line):
        result, name = match.groups()
    else:
        return False
    if result in ("PASSED", "SKIPPED"):
        facts[result.lower()] += 1
    else:
        facts["failed"].append(name.strip())
    return True
