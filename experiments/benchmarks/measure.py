"""Measurement in turns: contestants alternate in one run, so that other load on the machine slows all of them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from genjax_models.errors import InputError


class Contestant(NamedTuple):
    """`run(n)` makes n steps and returns after the last; `compiling` is the time to the first step, in seconds."""

    run: Callable[[int], None]
    compiling: float


class Timing(NamedTuple):
    """Seconds per step in each turn, `[turns]`, and seconds until the first step."""

    seconds: np.ndarray
    compiling: float

    @property
    def rate(self) -> float:
        """Median of steps per second."""
        return float(1 / np.median(self.seconds))


def contestant(make: Callable[[], Callable[[int], None]]) -> Contestant:
    """Builds a contestant and makes one step; times both, as the wait before training."""
    started = time.perf_counter()
    run = make()
    run(1)
    return Contestant(run, time.perf_counter() - started)


def by_turns(
    contestants: Mapping[str, Contestant], *, turns: int = 7, seconds: float = 2.0, warm: int = 20
) -> dict[str, Timing]:
    """Times each contestant for about `seconds` in each of `turns` rounds, after at least `warm` untimed steps."""
    counts = {}
    for name, (run, _) in contestants.items():
        run(warm)
        count, took = warm, _seconds(run, warm)
        while took < seconds / 10:  # enough steps that the cost of a call is negligible
            count *= 2
            took = _seconds(run, count)
        counts[name] = max(1, int(count * seconds / took))
    times = {name: [] for name in contestants}
    for _ in range(turns):
        for name, (run, _) in contestants.items():
            times[name].append(_seconds(run, counts[name]) / counts[name])
    return {name: Timing(np.array(seconds), contestants[name].compiling) for name, seconds in times.items()}


def ratio(ours: Timing, peer: Timing) -> tuple[float, float, float]:
    """Returns the peer's time of a step divided by ours: median, least and greatest over turns."""
    ratios = peer.seconds / ours.seconds
    return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


def table(timings: Mapping[str, Timing], *, ours: str) -> str:
    """Returns steps per second of each contestant, and how many times as fast `ours` is."""
    lines = [f"{'':34} steps/s   ready in   {ours} is faster by"]
    for name, timing in timings.items():
        median, least, most = ratio(timings[ours], timing)
        by = "" if name == ours else f"{median:5.2f} x  ({least:.2f} to {most:.2f})"
        lines.append(f"{name:34} {timing.rate:7.1f}   {timing.compiling:6.1f} s   {by}")
    return "\n".join(lines)


def machine(*packages: str) -> str:
    """Returns the processor, its cores and the versions of `packages`."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores; {versions}"


def torch_with(threads: int | None) -> Any:
    """Returns PyTorch with this number of threads; None keeps its own number.

    Raises:
      InputError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError("the benchmark needs torch; pip install 'genjax_models[bench]'") from error
    if threads:
        torch.set_num_threads(threads)
    return torch


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _seconds(run: Callable[[int], None], count: int) -> float:
    started = time.perf_counter()
    run(count)
    return time.perf_counter() - started
