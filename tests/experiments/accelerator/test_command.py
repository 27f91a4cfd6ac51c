"""The whole command on a CPU, in calls of a minute; and what it refuses."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

from experiments.accelerator import __main__ as command
from experiments.accelerator.part import Outcome, Part
from genjax_models.training.loop import Form

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.mark.slow
def test_in_minutes_a_cpu_is_measured_in_parts_of_every_kind_and_each_call_goes_on(tmp_path):
    def call(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "experiments.accelerator", "--minutes", "1", "--to", str(tmp_path), *arguments],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout, json.loads((tmp_path / "accelerator.json").read_text())["parts"]

    output, parts = call()
    assert output.endswith(f"\n{tmp_path / 'accelerator.md'}\n")
    assert "not run" in {part["status"] for part in parts.values()} <= set(STATUSES)
    assert all(part["note"] for part in parts.values() if part["status"] != "measured")
    page = (tmp_path / "accelerator.md").read_text()
    assert "\n## Goals\n" in page
    assert "\nNot run, because too little time was left: " in page

    kinds = KINDS if find_spec("torch") else KINDS - {"torch"}
    for _ in range(4):  # other programs may slow a part down until it is stopped
        earlier = measured(parts)
        _, parts = call("--only", *(earlier.keys() & {"ceilings"}), *(kinds - kinds_of(earlier)))
        assert earlier.items() <= measured(parts).items()
        if kinds_of(measured(parts)) == kinds:
            break
    assert kinds_of(measured(parts)) == kinds
    assert parts["ceilings"]["facts"]["products_in_tflops"]["float32"] > 0.001
    forms = parts["forms:vae"]["facts"]["forms"]
    assert {form: row["largest_difference"] for form, row in forms.items()} == dict.fromkeys(get_args(Form), 0.0)
    assert parts["contract:float32"]["facts"]["failed"] == []
    assert parts["seeds:VAE, 784-16-2, batch 16"]["facts"]["throughput"]
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


KINDS = {"ceilings", "estimators", "steps", "forms", "seeds", "contract", "torch"}  # presets are left out on a CPU


def measured(parts):
    return {name: part for name, part in parts.items() if part["status"] == "measured"}


def kinds_of(parts):
    return {name.partition(":")[0] for name in parts}


STATUSES = ("measured", "stopped", "left out", "not run")


class FakeWorker:
    """Measures nothing: a failure for the part named "bad", else the part's facts."""

    stopped = 0

    def __init__(self, *arguments):
        self.parts = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def stop(self):
        FakeWorker.stopped += 1

    def measure(self, part, latest):
        if part.name == "seeds:bad":
            return Outcome("failed", "ValueError: no code")
        return Outcome("measured", facts=list(part.measure())[-1])


def fake_device():
    yield {
        "device": "a toy", "platform": "cpu", "rocm": False, "devices": 1, "memory_in_gib": None,
        "runtime": "none", "host": "a host", "python": "3", "versions": {},
    }  # fmt: skip


def contract(apart):
    facts = {"passed": 2, "skipped": 0, "failed": [], "status": 0}
    return Part("contract:float32", "a table", 1, lambda: iter([facts]), apart)


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(command, "Worker", FakeWorker)
    monkeypatch.setattr(command, "DEVICE", Part("device", "", 1, fake_device))
    monkeypatch.setattr(FakeWorker, "stopped", 0)
    parts = [Part("seeds:bad", "bad seeds", 1, fake_device), contract(apart=True)]
    monkeypatch.setattr("experiments.accelerator.plan.parts", lambda about: parts)


@pytest.mark.usefixtures("fakes")
def test_a_failed_part_is_said_the_next_is_measured_and_the_exit_status_is_1(tmp_path, capsys):
    assert command.main(["--to", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"a toy (cpu); results in {tmp_path}"
    assert lines[1].endswith(" s  seeds:bad: failed: ValueError: no code")
    assert lines[2].endswith(" s  contract:float32: float32 2 passed 0 skipped 0 failed")
    assert lines[3] == str(tmp_path / "accelerator.md")
    assert FakeWorker.stopped == 1  # the device is free for the process of the tests


@pytest.mark.usefixtures("fakes")
def test_parts_are_chosen_by_kind_or_name(tmp_path, capsys):
    assert command.main(["--to", str(tmp_path), "--only", "contract"]) == 0
    assert "bad" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        command.main(["--to", str(tmp_path), "--only", "contr", "seeds:ba"])
    assert capsys.readouterr().err == "error: only must name parts or kinds (seeds, contract), got contr, seeds:ba\n"


@pytest.mark.usefixtures("fakes")
def test_parts_that_no_longer_fit_are_said_at_the_end(tmp_path, capsys):
    assert command.main(["--to", str(tmp_path), "--minutes", "1e-9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:2] == ["not run, because too little time was left: seeds:bad, contract:float32"]
