"""The plan has every contest; kernels and tests are counted; a part says why it cannot be measured here."""

import pickle
from typing import get_args

import pytest

from experiments.accelerator import contract, goals, plan, presets, steps
from experiments.accelerator.goals import share_of_ceiling
from experiments.accelerator.kernels import Counts, count, per_step
from experiments.accelerator.part import LeftOutError
from experiments.accelerator.systems import SYSTEMS
from experiments.benchmarks.contests import CONTESTS, Name

GPU, CPU, TPU = ({"platform": platform, "rocm": False} for platform in ("gpu", "cpu", "tpu"))


@pytest.mark.parametrize("about", [GPU, CPU, TPU])
def test_every_contest_is_in_the_plan_once_and_parts_travel_to_their_process(about):
    parts = plan.parts(about)
    names = [part.name for part in parts]
    assert len(set(names)) == len(names)
    of_each = {f"steps:{name}" for name in (*get_args(Name), *SYSTEMS)}
    assert of_each <= set(names)
    if about != CPU:
        assert {name.replace("steps", "torch") for name in of_each} <= set(names)
    assert {name.partition(":")[0] for name in names} == {
        "ceilings", "estimators", "steps", "torch", "forms", "contract", "seeds", "preset",
    }  # fmt: skip
    pickle.dumps(parts)


def test_what_the_goals_need_comes_first():
    first = {part.name for part in plan.parts(GPU)[:7]}
    assert {"ceilings", "estimators", f"steps:{goals.LARGE}", *(f"torch:{name}" for name in plan.PEERS_FIRST)} <= first
    assert set(plan.PEERS_FIRST) <= set(goals.SMALL)


def test_the_tests_run_on_the_platform_by_its_own_name():
    for about, on in ((GPU, "cuda"), ({**GPU, "rocm": True}, "rocm"), (TPU, "tpu"), (CPU, "cpu")):
        contracts = [part for part in plan.parts(about) if part.name.startswith("contract")]
        assert {part.measure.args[0] for part in contracts} == {on}
        assert all(part.apart for part in contracts)


def events(steps):
    """Returns a trace of a GPU: per step three kernels and a copy to the host, and the same under other names."""
    name = lambda kind, pid, tid, name: {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}
    lines = [
        name("process_name", 1, 0, "/device:GPU:0"),
        name("process_name", 7, 0, "/host:CPU"),
        name("thread_name", 1, 13, "Stream #13(MemcpyD2H,Memset,MemcpyD2D,Compute)"),
        name("thread_name", 1, 2, "XLA Ops"),
        name("thread_name", 7, 5, "python"),
    ]
    of_step = [
        (13, "loop_fusion"),
        (13, "gemm"),
        (13, "gemm"),
        (13, "MemcpyD2H"),
        (13, "MemcpyD2D"),
        (13, "Memset"),
        (2, "dot.1"),
    ]
    done = [{"ph": "X", "pid": 1, "tid": tid, "name": name} for tid, name in [(13, "sort"), *of_step * steps]]
    return [*lines, *done, {"ph": "X", "pid": 7, "tid": 5, "name": "loop_fusion"}, {"ph": "i", "pid": 1, "tid": 13}]


def test_kernels_are_counted_on_streams_alone_and_without_what_a_call_does_once(monkeypatch):
    assert count(events(4)) == Counts(1 + 3 * 4, 4)
    assert count([event for event in events(4) if event["pid"] != 1]) == Counts(None, None)
    monkeypatch.setattr("experiments.accelerator.kernels.profiled", lambda run, steps: count(events(steps)))
    assert per_step(lambda n: None, 10) == Counts(3.0, 1.0)


def test_results_of_tests_are_counted_with_and_without_xdist():
    facts = {"passed": 0, "skipped": 0, "failed": []}
    lines = """
tests/a/test_b.py::test_c PASSED                                       [ 10%]
tests/a/test_b.py::test_c[two words-jax] PASSED                        [ 20%]
tests/a/test_b.py::test_d[two words] FAILED                            [ 30%]
tests/a/test_b.py::test_e SKIPPED (needs four devices)                 [ 40%]
[gw3] [ 50%] PASSED tests/a/test_b.py::test_f[two words]
[gw11] [100%] ERROR tests/a/test_b.py::test_g[two words]
    assert "PASSED" in text
tests/a/test_b.py::test_h
=========================== short test summary info ============================
FAILED tests/a/test_b.py::test_d[two words] - assert 1 == 2
""".splitlines(keepends=True)
    assert [contract.count(line, facts) for line in lines].count(True) == 6
    assert facts == {
        "passed": 3,
        "skipped": 1,
        "failed": ["tests/a/test_b.py::test_d[two words]", "tests/a/test_b.py::test_g[two words]"],
    }


def test_what_is_absent_or_too_long_for_a_cpu_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setattr(contract, "find_spec", lambda name: None)
    monkeypatch.setattr(steps, "find_spec", lambda name: None)
    monkeypatch.setattr(steps, "on_cpu", lambda: True)
    for measure, reason in (
        (lambda: contract.contract("cpu", "float32"), "pytest is not installed"),
        (lambda: steps.beside_torch("vae"), "torch is not installed"),
        (presets.cifar, "a step of the preset cifar takes too long on a CPU"),
        (lambda: steps.ours_alone("mmd_50000"), "a step takes 1600 GFLOP, which is too long for a CPU"),
    ):
        with pytest.raises(LeftOutError, match=reason):
            next(measure())
    assert CONTESTS["mmd_50000"].flops == 1.6e12


@pytest.mark.slow
@pytest.mark.parametrize("name", ["made", "pcd"])
def test_a_step_of_a_system_has_its_speed_and_memory_and_no_fraction_of_the_ceiling(name):
    *_, facts = steps.ours_alone(name)
    assert facts["steps_per_second"] > 0
    assert 0.5 < facts["memory_in_mib"] < 500
    assert share_of_ceiling(facts, {"products_in_tflops": {"default": 1.0}}) is None


@pytest.mark.slow
def test_the_preset_of_cifar_makes_its_steps():
    """Smaller networks, 3 steps."""
    networks = {"networks.channels": (8, 8, 8), "networks.discriminator_channels": (8, 8, 8)}
    (facts,) = presets.cifar(3, latent=8, **networks, **{"training.batch_size": 8})
    assert facts["finite"]
    assert facts["hours_of_the_schedule"] == pytest.approx(100_000 / facts["steps_per_second"] / 3600)
