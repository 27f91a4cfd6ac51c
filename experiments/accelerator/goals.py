"""Whether the goals on a GPU were met, from the measured facts."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.accelerator.part import Facts, Outcome
from experiments.benchmarks.contests import CONTESTS, GRAPHS

SMALL = ("vae", "iwae_1", "iwae_5", "iwae_50", "iwae_1_batch_100", "iwae_5_batch_100", "gmmn")
LARGE = "dcgan_colours_bfloat16"
FASTER, SHARE = 3.0, 0.5

Outcomes = Mapping[str, Outcome]


def facts_of(outcomes: Outcomes, name: str) -> Facts:
    """Returns the facts of a part; {} if there are none."""
    return (outcomes[name].facts if name in outcomes else None) or {}


def share_of_ceiling(step: Facts, ceilings: Facts) -> float | None:
    """Returns our speed as a fraction of the largest measured product at the same precision; None if one is unknown."""
    ceiling = ceilings.get("products_in_tflops", {}).get(step.get("products"))
    return step["flops"] * step["steps_per_second"] / 1e12 / ceiling if ceiling and step["flops"] else None


def goals(outcomes: Outcomes) -> list[tuple[str, str]]:
    """Returns each goal, and its verdict with the numbers: "met", "not met" or "not measured"."""
    return [
        (f"At least {FASTER:g} x the speed of torch.compile with CUDA graphs on small models", _small_models(outcomes)),
        (f"At least {SHARE:.0%} of the bfloat16 ceiling: {CONTESTS[LARGE].what}", _large_model(outcomes)),
        ("Every estimator right at the precision that is stated for it", _estimators(outcomes)),
    ]


def _small_models(outcomes: Outcomes) -> str:
    ratios = {}
    for name in SMALL:
        if faster := facts_of(outcomes, f"torch:{name}").get("faster_by", {}).get(GRAPHS):
            ratios[CONTESTS[name].what] = faster[0]
    numbers = [f"{what} {ratio:.2f} x" for what, ratio in ratios.items()]
    if len(ratios) < len(SMALL):
        numbers.append(f"{len(SMALL) - len(ratios)} of {len(SMALL)} not measured")
    return _verdict(bool(ratios), all(ratio >= FASTER for ratio in ratios.values()), "; ".join(numbers))


def _large_model(outcomes: Outcomes) -> str:
    step = facts_of(outcomes, f"steps:{LARGE}")
    share = share_of_ceiling(step, facts_of(outcomes, "ceilings")) if step else None
    return _verdict(share is not None, (share or 0) >= SHARE, f"{share or 0:.0%}")


def _estimators(outcomes: Outcomes) -> str:
    rows = facts_of(outcomes, "estimators").get("precisions", {})
    numbers = ", ".join(
        f"{precision}: as {row['same_as']}" if row["same_as"] else f"{precision}: {row['right']} of {row['of']}"
        for precision, row in rows.items()
    )
    right = all(row["bits"] is not None and row["right"] == row["of"] for row in rows.values())
    if right and rows and outcomes["estimators"].status != "measured":
        return f"not measured: the check did not end ({numbers})"
    if right and rows and not facts_of(outcomes, "estimators")["all"]:
        return f"not measured: few estimators were checked ({numbers})"
    return _verdict(bool(rows), right, numbers)


def _verdict(measured: bool, met: bool, numbers: str) -> str:
    return f"{'met' if met else 'not met'}: {numbers}" if measured else "not measured"
