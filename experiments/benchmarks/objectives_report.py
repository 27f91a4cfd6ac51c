"""Results of `experiments.benchmarks.objectives` as JSON, and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.benchmarks.contests import IWAES, OURS, PEERS
from experiments.benchmarks.measure import Timing, ratio

# Examples of MNIST in all epochs of the eight stages of Burda et al.
PAPER_EXAMPLES = 60_000 * sum(3**stage for stage in range(8))


class Result(NamedTuple):
    """Times and peak memory of a step (MiB) by contestant, and operations of a step, by hand and by XLA.

    `products` is the precision of our matrix products, as in `sides.Contest`.
    """

    what: str
    timings: dict[str, Timing]
    memory: dict[str, float]
    flops: float
    flops_of_xla: float
    products: str = "default"


def as_json(results: Mapping[str, Result], about: str, peak: Mapping[str, float]) -> dict[str, Any]:
    """Returns all numbers: seconds per step of each turn; ratios as median, least and greatest."""

    def one(result: Result) -> dict[str, Any]:
        ours = result.timings[OURS]
        return {
            "objective": result.what,
            "steps_per_second": {side: timing.rate for side, timing in result.timings.items()},
            "seconds_per_step": {side: timing.seconds.tolist() for side, timing in result.timings.items()},
            "faster_by": {side: ratio(ours, timing) for side, timing in result.timings.items() if side != OURS},
            "ready_in_seconds": {side: timing.compiling for side, timing in result.timings.items()},
            "memory_of_a_step_in_mib": result.memory,
            "flops_by_hand": result.flops,
            "flops_by_xla": result.flops_of_xla,
            "share_of_peak": share_of_peak(result, peak),
        }

    return {
        "machine": about,
        "peak_gflops": dict(peak),
        "results": {name: one(result) for name, result in results.items()},
    }


def share_of_peak(result: Result, peak: Mapping[str, float]) -> float | None:
    """Returns our speed as a share of the fastest float32 products of this machine; None for steps in bfloat16."""
    if result.products == "bfloat16":
        return None
    return result.flops * result.timings[OURS].rate / 1e9 / max(peak.values())


def as_markdown(results: Mapping[str, Result], about: str, peak: Mapping[str, float]) -> str:
    """Returns a table with a row per objective, and a line on the machine."""
    peers = [side for side in PEERS if any(side in result.timings for result in results.values())]
    head = ["step of", "steps/s", *(f"faster than {side}" for side in peers)]
    head += ["ready in, s", "memory, MiB", "MFLOP by hand (XLA)", "of the peak"]
    rows = [head, ["---"] * len(head)]
    for result in results.values():
        ours = result.timings[OURS]
        row = [result.what, f"{ours.rate:.4g}"]
        for side in peers:
            timing = result.timings.get(side)
            row.append("" if timing is None else "{:.2f} x ({:.2f} to {:.2f})".format(*ratio(ours, timing)))
        row.append(" / ".join(f"{timing.compiling:.1f}" for timing in result.timings.values()))
        row.append(" / ".join(f"{mib:.3g}" for mib in result.memory.values()))
        row.append(f"{result.flops / 1e6:,.4g} ({result.flops_of_xla / 1e6:,.4g})")
        share = share_of_peak(result, peak)
        row.append("" if share is None else f"{share:.0%}")
        rows.append(row)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    fastest = ", ".join(f"{name} {gflops:.0f}" for name, gflops in peak.items())
    order = " / ".join([OURS, *peers])
    hours = [
        f"batches of {batch:,} in {PAPER_EXAMPLES / batch / results[name].timings[OURS].rate / 3600:,.1f} hours"
        for name, k, batch in IWAES
        if k == 50 and name in results
    ]
    if hours:
        lines += ["", f"All {PAPER_EXAMPLES:,} examples of Burda et al.'s schedule, with k = 50: {', '.join(hours)}."]
    lines += ["", f"{about}. Times and memory are of {order}; products of 2048 x 2048 in GFLOP/s: {fastest}."]
    return "\n".join(lines)
