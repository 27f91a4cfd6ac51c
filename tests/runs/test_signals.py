"""Signals and closed streams before, in and after training."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import vae
from genjax_models.commands.example_files import Examples, write_examples
from genjax_models.commands.train import main
from genjax_models.reports import final_evaluation
from genjax_models.runs import planning, signals
from genjax_models.runs.command_line import exit_on_error
from tests.experiments.conftest import files  # noqa: F401 - a fixture

ROOT = Path(__file__).parent.parent.parent
FLAGS = "--hidden 8 --batch-size 10 --steps 5 --evaluate-every 5"


@pytest.fixture
def arguments(files, tmp_path):  # noqa: F811
    return ["--data", str(files / "images.npz"), *FLAGS.split(), "--run-dir", str(tmp_path / "run")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("place", ["before", "after"])
def test_fault_61_a_signal_outside_of_training_ends_with_one_line(place, number, arguments, capsys, monkeypatch):
    end = lambda *_: os.kill(os.getpid(), number)
    monkeypatch.setattr(*((planning, "load_data", end) if place == "before" else (final_evaluation, "report", end)))
    before = signal.getsignal(number)
    with pytest.raises(SystemExit, match=str(128 + number)):
        main(vae.EXPERIMENT, arguments)
    assert capsys.readouterr().err.splitlines()[-1] == f"stopped by {signal.Signals(number).name}"
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_fault_61_a_signal_ends_a_command_with_one_line_and_leaves_no_part_of_its_files(number, tmp_path, capsys):
    def blocks():
        yield np.zeros((1, 2, 2, 1), np.uint8)
        os.kill(os.getpid(), number)
        time.sleep(1)

    with pytest.raises(SystemExit, match=str(128 + number)), exit_on_error():
        write_examples(tmp_path / "draws.npz", {"": Examples(2, blocks())})
    assert capsys.readouterr().err == f"stopped by {signal.Signals(number).name}\n"
    assert list(tmp_path.iterdir()) == []


def test_fault_61_a_second_signal_within_a_second_is_ignored():
    with signals.listening() as received:
        assert received() == 0
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert received() == signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_compiled_step_is_answered_before_the_step_ends(number, monkeypatch):
    """Python runs its handlers only after the compiled code has returned."""
    answered, output = [], io.StringIO()
    monkeypatch.setattr(output, "flush", lambda: answered.append(time.monotonic()))
    monkeypatch.setattr(sys, "stderr", output)
    slow = jax.jit(lambda n: jax.lax.fori_loop(0, n, lambda i, x: jnp.sin(x @ x), jnp.ones((100, 100)) / 100))
    jax.block_until_ready(slow(1))
    started = time.monotonic()
    jax.block_until_ready(slow(500))
    steps = int(500 * 1.5 / (time.monotonic() - started))  # about 1.5 seconds
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with signals.listening() as received:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), number))
        timer.start()
        jax.block_until_ready(slow(steps))
        ended = time.monotonic()
        timer.join()
        assert received() == number
    assert output.getvalue() == f"{signal.Signals(number).name}: saves after the steps under way, then ends\n"
    assert answered[0] < ended - 0.3
    assert signal.set_wakeup_fd(before) == before


def test_fault_61_a_later_second_signal_ends_at_once():
    code = (
        "import os, signal, time; from genjax_models.runs import signals\n"
        "with signals.listening():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); time.sleep(1.2); os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)"
    )
    started = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == -signal.SIGTERM
    assert time.monotonic() - started < 50


@pytest.mark.parametrize(
    "redirection",
    [
        ">/dev/full 2>&-",
        *(pytest.param(other, marks=pytest.mark.slow) for other in (">&- 2>/dev/full", "<&- >&- 2>&-")),
    ],
)
def test_fault_62_a_stream_that_takes_nothing_stops_nothing(redirection, arguments, tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "experiments.vae", *arguments]
    done = subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", *command], cwd=ROOT, timeout=300)
    assert done.returncode == 0
    assert (tmp_path / "run" / "report.html").is_file()
