"""The page of all results in Markdown, and a line per part for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from experiments.accelerator.goals import Outcomes, facts_of, goals, share_of_ceiling
from experiments.accelerator.part import Facts, Outcome
from experiments.benchmarks.contests import IWAES, PEERS
from experiments.benchmarks.objectives_report import PAPER_EXAMPLES

NOTE_ON_FORMS = (
    "Kernels and copies are those of a step in a profile. XLA runs no CUDA graphs while it is profiled: the form graph"
    " has the copies of the form steps there, and none outside."
)


def page(about: Facts, outcomes: Outcomes, whats: Mapping[str, str]) -> str:
    """Returns the page: goals first, then a table per kind of part, then the parts that are not whole.

    Args:
      about: the device, as `device.describe` describes it.
      outcomes: outcome of each part, by name.
      whats: description of each part, by name.
    """
    versions = ", ".join(f"{name} {number or 'absent'}" for name, number in about["versions"].items())
    memory = "" if about["memory_in_gib"] is None else f", {about['memory_in_gib']:g} GiB for jax"
    lines = [
        f"# {about['device']}",
        "",
        f"{about['devices']} x {about['device']} ({about['platform']}){memory}. Host: {about['host']}.",
        f"{versions}, Python {about['python']}. {about['runtime']}.",
    ]
    lines += _table("Goals", ["goal", "verdict"], goals(outcomes))
    for title, head, rows in (
        ("Ceilings", ["", "", ""], _ceilings(facts_of(outcomes, "ceilings"))),
        ("Estimators", ["products", "bits kept", "right", "wrong"], _estimators(facts_of(outcomes, "estimators"))),
        ("Steps", ["step of", "steps/s", "of the ceiling", "memory, MiB", "ready in, s"], _steps(outcomes)),
        ("Schedule of Burda et al.", ["k", "batch", "hours"], _hours(outcomes)),
        ("In turns with PyTorch", ["step of", *(f"faster than {s}" for s in PEERS)], _torch(outcomes)),
        ("Contract table", ["products", "passed", "skipped", "failed"], _contract(outcomes)),
        ("Presets", ["", "steps/s", "hours of the schedule", "numbers"], _presets(outcomes)),
        ("Eight seeds", ["", "one seed, steps/s", "eight seeds, in sum", "throughput"], _seeds(outcomes)),
        (
            "Forms of the loop",
            ["step of", "form", "steps/s", "faster than steps", "states differ by", "kernels", "copies to host"],
            _forms(outcomes),
        ),
    ):
        lines += _table(title, head, list(rows))
    if facts_of(outcomes, "forms:vae"):
        lines += ["", NOTE_ON_FORMS]
    rows = [(whats[name], o.status, o.note) for name, o in outcomes.items() if o.status not in ("measured", "not run")]
    lines += _table("Parts that are not whole", ["part", "", "reason"], rows)
    if waiting := [whats[name] for name, outcome in outcomes.items() if outcome.status == "not run"]:
        lines += ["", f"Not run, because too little time was left: {'; '.join(waiting)}."]
    return "\n".join(lines) + "\n"


def summary(name: str, outcome: Outcome, ceilings: Facts) -> str:
    """Returns one line about an outcome, for the terminal."""
    outcomes, kind = {name: outcome, "ceilings": Outcome("measured", facts=ceilings)}, name.partition(":")[0]
    rows = {
        "ceilings": lambda _: _ceilings(ceilings),
        "estimators": lambda _: _estimators(outcome.facts or {}),
        "steps": _steps,
        "torch": _torch,
        "contract": _contract,
        "preset": _presets,
        "seeds": _seeds,
        "forms": _forms,
    }[kind](outcomes)
    found = "; ".join(" ".join(str(cell) for cell in row if cell != "") for row in rows)
    noted = f"{outcome.status}: {outcome.note}".removesuffix(": ")
    return found if outcome.status == "measured" else f"{noted}{' | ' if found else ''}{found}"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    if not rows:
        return []
    cells = [head, ["---"] * len(head), *rows]
    return ["", f"## {title}", "", *("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in cells)]


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _of_kind(outcomes: Outcomes, kind: str) -> Iterator[tuple[str, Facts]]:
    """Yields the case and the facts of the parts of a kind that have facts."""
    for name, outcome in outcomes.items():
        if name.startswith(f"{kind}:") and outcome.facts:
            yield name.partition(":")[2], outcome.facts


def _ceilings(facts: Facts) -> Iterator[tuple]:
    if facts:
        yield "copy", f"{facts['copy_in_gb_per_second']:,.0f} GB/s", "bytes read and written"
        for precision, tflops in facts["products_in_tflops"].items():
            yield f"product, {precision}", f"{tflops:,.4g} TFLOP/s", ""
        for precision, fault in facts["faults"].items():
            yield f"product, {precision}", "", fault


def _estimators(facts: Facts) -> Iterator[tuple]:
    for precision, row in facts.get("precisions", {}).items():
        wrong = "; ".join(f"{w['name']} ({w['value']:.6g}, exact {w['exact']:.6g}) {w['fault']}" for w in row["wrong"])
        right = f"as {row['same_as']}" if row["same_as"] else f"{row['right']} of {row['of']}"
        yield precision, f"{row['bits']} ({row['like']})", right, wrong.strip()


def _steps(outcomes: Outcomes) -> Iterator[tuple]:
    for _, facts in _of_kind(outcomes, "steps"):
        share = share_of_ceiling(facts, facts_of(outcomes, "ceilings"))
        share = "" if share is None else f"{share:.1%} of {facts['products']}"
        memory = f"{facts['memory_in_mib']:.3g}" if "memory_in_mib" in facts else ""
        yield facts["what"], f"{facts['steps_per_second']:,.4g}", share, memory, f"{facts['ready_in_seconds']:.1f}"


def _presets(outcomes: Outcomes) -> Iterator[tuple]:
    for _, facts in _of_kind(outcomes, "preset"):
        numbers = "finite" if facts["finite"] else "not finite"
        yield facts["what"], f"{facts['steps_per_second']:,.4g}", f"{facts['hours_of_the_schedule']:.1f}", numbers


def _hours(outcomes: Outcomes) -> Iterator[tuple]:
    for name, k, batch in IWAES:
        if facts := facts_of(outcomes, f"steps:{name}"):
            yield str(k), f"{batch:,}", f"{PAPER_EXAMPLES / batch / facts['steps_per_second'] / 3600:,.1f}"


def _torch(outcomes: Outcomes) -> Iterator[tuple]:
    for _, facts in _of_kind(outcomes, "torch"):
        cells = []
        for side in PEERS:
            faster = facts["faster_by"].get(side)
            measured = "" if faster is None else "{:.2f} x ({:.2f} to {:.2f})".format(*faster)
            memory = f", {facts['memory_in_mib'][side]:.3g} MiB" if side in facts["memory_in_mib"] else ""
            cells.append(f"{measured}{memory}" or facts["faults"].get(side, ""))
        yield facts["what"], *cells


def _contract(outcomes: Outcomes) -> Iterator[tuple]:
    for precision, facts in _of_kind(outcomes, "contract"):
        yield precision, f"{facts['passed']} passed", f"{facts['skipped']} skipped", _some(facts["failed"])


def _some(names: Sequence[str], most: int = 5) -> str:
    listed = ", ".join(name.rpartition("::")[2] for name in names[:most])
    return f"{len(names)} failed: {listed}{', ...' if len(names) > most else ''}" if names else "0 failed"


def _seeds(outcomes: Outcomes) -> Iterator[tuple]:
    for _, facts in _of_kind(outcomes, "seeds"):
        one, every = facts["steps_per_second_of_one"], facts["steps_per_second_of_all"]
        yield facts["what"], f"{one:,.4g}", f"{every:,.4g}", "{:.2f} x ({:.2f} to {:.2f})".format(*facts["throughput"])


def _forms(outcomes: Outcomes) -> Iterator[tuple]:
    for _, facts in _of_kind(outcomes, "forms"):
        for form, row in facts["forms"].items():
            rate = f"{row['steps_per_second']:,.4g}"
            than = "{:.2f} x ({:.2f} to {:.2f})".format(*row["faster_than_steps"])
            counts = ["" if row.get(key) is None else f"{row[key]:.1f}" for key in ("kernels", "copies_to_host")]
            yield facts["what"], form, rate, than, f"{row['largest_difference']:.2g}", *counts
        for form, fault in facts["faults"].items():
            yield facts["what"], form, "", fault, "", "", ""
