"""The page: fractions of the ceiling, verdicts on the goals, and what is not whole."""

import json

import pytest

from experiments.accelerator.goals import goals, share_of_ceiling
from experiments.accelerator.page import page, summary
from experiments.accelerator.part import Outcome, Part
from experiments.accelerator.results import Results
from experiments.benchmarks.contests import COMPILED, EAGER, GRAPHS
from genjax_models.errors import InputError

ABOUT = {
    "device": "A GPU", "platform": "gpu", "rocm": False, "devices": 1, "memory_in_gib": 79.5, "runtime": "PJRT",
    "host": "A host, 16 cores", "python": "3.12.3", "versions": {"jax": "0.11.2", "torch": None},
}  # fmt: skip
CEILINGS = {
    "copy_in_gb_per_second": 3000.0,
    "products_in_tflops": {"float32": 50.0, "default": 400.0, "bfloat16": 800.0},
    "faults": {"TF32": "ValueError: none"},
}


def step(flops, rate, products="default"):
    facts = {"what": "it", "steps_per_second": rate, "flops": flops, "products": products, "ready_in_seconds": 3.0}
    return Outcome("measured", facts=facts)


def torch(**faster):
    faster = {side: [ratio, ratio, ratio] for side, ratio in faster.items()}
    return Outcome("measured", facts={"what": "it", "faster_by": faster, "memory_in_mib": {}, "faults": {}})


def precision(right, of=39, bits=24, same_as=None):
    wrong = [] if right == of else [{"name": "elbo", "value": 1.0, "exact": 2.0, "fault": ""}]
    return {"bits": bits, "like": "float32", "same_as": same_as, "right": right, "of": of, "wrong": wrong}


def verdicts(**outcomes):
    outcomes = {name.replace("__", ":"): outcome for name, outcome in outcomes.items()}
    return [verdict.partition(":")[0] for _, verdict in goals(outcomes)]


def test_the_fraction_is_of_the_ceiling_at_the_precision_of_the_products():
    for products, share in (("float32", 0.8), ("default", 0.1), ("bfloat16", 0.05)):
        assert share_of_ceiling(step(4e11, 100.0, products).facts, CEILINGS) == pytest.approx(share)
    assert share_of_ceiling(step(4e11, 100.0).facts, {}) is None


def test_goals_that_are_not_measured_are_not_met():
    assert verdicts() == ["not measured"] * 3


@pytest.mark.parametrize(("ratio", "verdict"), [(2.99, "not met"), (3.0, "met")])
def test_every_small_model_must_be_three_times_as_fast_as_cuda_graphs(ratio, verdict):
    outcomes = {"torch:vae": torch(**{GRAPHS: 9.0, EAGER: 1.0}), "torch:gmmn": torch(**{GRAPHS: ratio})}
    assert goals(outcomes)[0][1].startswith(f"{verdict}: ")
    assert goals(outcomes)[0][1].endswith(f" {ratio:.2f} x; 5 of 7 not measured")
    assert verdicts(torch__vae=torch(**{COMPILED: 9.0}))[0] == "not measured"


@pytest.mark.parametrize(("rate", "verdict"), [(990.0, "not met"), (1010.0, "met")])
def test_the_large_model_must_reach_half_of_the_bfloat16_ceiling(rate, verdict):
    ceilings = Outcome("measured", facts=CEILINGS)
    large = step(4e11, rate, "bfloat16")
    assert verdicts(steps__dcgan_colours_bfloat16=large, ceilings=ceilings)[1] == verdict
    assert verdicts(steps__dcgan_colours_bfloat16=large)[1] == "not measured"


@pytest.mark.parametrize(
    ("rows", "every", "status", "verdict"),
    [
        ({"float32": precision(39), "default": precision(0, 0, same_as="float32")}, True, "measured", "met"),
        ({"float32": precision(39), "default": precision(38)}, True, "measured", "not met"),
        ({"float32": precision(0, 0, bits=None)}, True, "measured", "not met"),
        ({"float32": precision(12, 12)}, True, "stopped", "not measured"),
        ({"float32": precision(12, 12)}, False, "measured", "not measured"),
        ({"float32": precision(11, 12)}, True, "stopped", "not met"),
    ],
)
def test_every_estimator_must_be_right_and_every_estimator_checked(rows, every, status, verdict):
    assert verdicts(estimators=Outcome(status, facts={"precisions": rows, "all": every}))[2] == verdict


def test_the_page_has_a_row_per_part_and_the_reason_of_each_that_is_not_whole():
    form = {"steps_per_second": 10.0, "faster_than_steps": [1, 1, 1], "largest_difference": 0.0}
    forms = {"steps": {**form, "kernels": 41.0, "copies_to_host": 1.0}, "blocks": form}
    outcomes = {
        "ceilings": Outcome("measured", facts=CEILINGS),
        "estimators": Outcome("measured", facts={"precisions": {"float32": precision(38)}, "all": True}),
        "steps:iwae_50": step(4e10, 1000.0),
        "torch:vae": torch(**{GRAPHS: 4.0}),
        "contract:float32": Outcome("stopped", "stopped after 9 s", {"passed": 7, "skipped": 1, "failed": ["t::one"]}),
        "seeds:VAE": Outcome("failed", "ValueError: a | b"),
        "forms:vae": Outcome("measured", facts={"what": "it", "forms": forms, "faults": {"graph": "ValueError: no"}}),
        "steps:gmmn": Outcome("not run", "3 s were left"),
    }
    text = page(ABOUT, outcomes, {name: f"what {name}" for name in outcomes})
    for line in (
        "# A GPU",
        "| copy | 3,000 GB/s | bytes read and written |",
        "| product, TF32 |  | ValueError: none |",
        "| float32 | 24 (float32) | 38 of 39 | elbo (1, exact 2) |",
        "| it | 1,000 | 10.0% of default |  | 3.0 |",
        "| 50 | 20 | 2.7 |",
        "| it |  |  | 4.00 x (4.00 to 4.00) |",
        "| float32 | 7 passed | 1 skipped | 1 failed: one |",
        "| it | steps | 10 | 1.00 x (1.00 to 1.00) | 0 | 41.0 | 1.0 |",
        "| it | blocks | 10 | 1.00 x (1.00 to 1.00) | 0 |  |  |",
        "| it | graph |  | ValueError: no |  |  |  |",
        "| what seeds:VAE | failed | ValueError: a \\| b |",
        "Not run, because too little time was left: what steps:gmmn.",
    ):
        assert line in text.splitlines()
    for name, outcome in outcomes.items():
        assert "\n" not in summary(name, outcome, CEILINGS)
    assert summary("seeds:VAE", outcomes["seeds:VAE"], {}) == "failed: ValueError: a | b"
    assert summary("contract:float32", outcomes["contract:float32"], {}).startswith(
        "stopped: stopped after 9 s | float32"
    )


def test_results_of_several_calls_are_kept_and_those_of_another_device_refused(tmp_path):
    part = Part("steps:vae", "a VAE", 1, lambda: iter([]))
    Results(tmp_path, ABOUT).add(part, step(1e9, 10.0))
    again = Results(tmp_path, {**ABOUT, "memory_in_gib": 70.0})
    again.add(part, Outcome("failed", "a reason"))
    assert again.outcomes["steps:vae"].status == "measured"
    again.add(part, step(1e9, 20.0))
    stored = json.loads((tmp_path / "accelerator.json").read_text())
    assert stored["parts"]["steps:vae"]["facts"]["steps_per_second"] == 20.0
    assert "| it | 20 |" in (tmp_path / "accelerator.md").read_text()
    with pytest.raises(InputError, match="has results of another device or other versions; use another --to"):
        Results(tmp_path, {**ABOUT, "device": "Another GPU"})
