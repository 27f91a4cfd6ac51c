"""A run of two processes is that of one: its result, its end by SIGTERM, its resuming; and nobody waits for ever."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from PIL import Image

import genjax_models as gx
from experiments import vae
from genjax_models.commands.train import main
from genjax_models.errors import ProcessError
from genjax_models.reports import final_evaluation
from genjax_models.runs import processes

pytestmark = pytest.mark.skipif(os.environ["JAX_PLATFORMS"] != "cpu", reason="processes share fake devices of a CPU")

ROOT = Path(__file__).parent.parent.parent
FLAGS = "--hidden 8 --batch-size 12 --steps 8 --evaluate-every 5 --log-every 4 --schedule constant --warmup 0"
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}  # as where devices are of one process


@pytest.fixture(scope="module")
def base_flags(tmp_path_factory):
    """Arguments of a short run on small images, evaluated at 0, 5 and 8."""
    path, random = tmp_path_factory.mktemp("data") / "small.npz", np.random.RandomState(0)
    np.savez(path, x=random.randint(0, 256, (60, 6, 6, 1), np.uint8))
    return ["--data", str(path), *FLAGS.split()]


@pytest.fixture(scope="module")
def whole(base_flags, tmp_path_factory):
    """The run of one process with four devices, which nobody stopped."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(final_evaluation, "report", lambda trained: None)  # which takes longer than the run
        assert main(vae.EXPERIMENT, [*base_flags, "--devices", "4", "--run-dir", str(run)]) == 0
    return run


def free_port():
    with contextlib.closing(socket.socket()) as found:
        found.bind(("localhost", 0))
        return str(found.getsockname()[1])


def as_slurm_says(index, port):
    """What SLURM tells a task, and the port that jax would take from the job's number."""
    return {
        "SLURM_JOB_ID": "1",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
        "JAX_COORDINATOR_PORT": port,
    }


def two(*commands, port=None, slurm=False):
    """Two processes of two devices each, with these commands (None: it does not come); how they ended."""
    port = port or free_port()
    flags = {"XLA_FLAGS": os.environ["XLA_FLAGS"].replace("device_count=4", "device_count=2")}
    told = lambda index: ["--processes", "2", "--coordinator", f"localhost:{port}", "--process", str(index)]
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", *command, *(["--processes", "auto"] if slurm else told(index))],
            cwd=ROOT,
            env=os.environ | flags | (as_slurm_says(index, port) if slurm else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index, command in enumerate(commands)
        if command
    ]
    try:
        return [
            subprocess.CompletedProcess(one.args, one.returncode, *outputs)
            for outputs, one in [(one.communicate(timeout=300), one) for one in started]
        ]
    finally:
        for one in started:
            one.kill()


def interrupted(moment, count, base_flags):
    return ["-m", "tests.runs.interrupted", "SIGTERM", moment, str(count), *base_flags]


def last_line(ended):
    return ended.stderr.splitlines()[-1]


def state_of(run, which="last"):
    state = gx.load_run(run, which).state
    return state._replace(key=jax.random.key_data(state.key))


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_close(run, other):
    chex.assert_trees_all_close(state_of(run), state_of(other), **TOLERANCE)
    for one, another in zip(rows(run), rows(other), strict=True):
        assert one.keys() == another.keys()
        for name, value in one.items():
            assert value == (another[name] if isinstance(value, str) else pytest.approx(another[name], rel=1e-5))


def test_two_processes_have_the_result_of_one(base_flags, whole, tmp_path):
    mine, others = tmp_path / "mine", tmp_path / "others"
    first, second = two(*(["-m", "experiments.vae", *base_flags, "--run-dir", str(run)] for run in (mine, others)))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert_close(mine, whole)
    assert "held-out bound" in first.stdout
    assert (mine / "report.html").exists()
    assert not others.exists()  # only process 0 writes and prints
    assert "bound" not in second.stdout + second.stderr


@pytest.mark.slow
def test_two_processes_start_from_another_run_as_one_does(base_flags, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(final_evaluation, "report", lambda trained: None)
    one, mine, others = (tmp_path / name for name in ("one", "mine", "others"))
    flags = [*base_flags, "--start-from", str(whole), "--seed", "1"]
    assert main(vae.EXPERIMENT, [*flags, "--devices", "4", "--run-dir", str(one)]) == 0
    first, second = two(*(["-m", "experiments.vae", *flags, "--run-dir", str(run)] for run in (mine, others)))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert_close(mine, one)
    assert (mine / "config.json").read_bytes() == (one / "config.json").read_bytes()
    assert f"starts from {whole}" in first.stderr
    assert "starts from" not in second.stderr


@pytest.mark.slow
def test_each_process_streams_its_own_share_of_every_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(final_evaluation, "report", lambda trained: None)
    images, random = tmp_path / "images", np.random.RandomState(0)
    images.mkdir()
    for i in range(60):
        Image.fromarray(random.randint(0, 256, (6, 6), np.uint8)).save(images / f"{i}.png")
    base_flags = ["--data", str(images), "--image-size", "6", "--stream", *FLAGS.split()]
    assert main(vae.EXPERIMENT, [*base_flags, "--devices", "4", "--run-dir", str(tmp_path / "one")]) == 0
    command = ["-m", "experiments.vae", *base_flags, "--run-dir", str(tmp_path / "two")]
    for ended in two(command, command):
        assert ended.returncode == 0, ended.stderr
    assert_close(tmp_path / "one", tmp_path / "two")


@pytest.fixture(scope="module")
def stopped(base_flags, tmp_path_factory):
    """A run of two processes, of which only process 1 got SIGTERM, after four steps; and how both ended."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    arguments = [*base_flags, "--run-dir", str(run)]
    return run, two(interrupted("never", 0, arguments), interrupted("chunk", 2, arguments))


@pytest.mark.slow
def test_sigterm_to_one_of_them_stops_and_saves_both(stopped):
    run, ended = stopped
    for one in ended:
        assert one.returncode == 128 + signal.SIGTERM, one.stderr
        assert last_line(one).endswith(f"and saved; resume with: python -m experiments.vae --resume {run}")
    assert 0 < int(state_of(run).step) < 8


@pytest.mark.slow
def test_fault_43_two_processes_go_on_as_one_with_another_number_of_devices(stopped, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(final_evaluation, "report", lambda trained: None)
    run = shutil.copytree(stopped[0], tmp_path / "run")
    assert main(vae.EXPERIMENT, ["--resume", str(run), "--devices", "1"]) == 0
    assert int(state_of(run).step) == 8
    assert_close(run, whole)


@pytest.mark.slow
def test_two_processes_go_on_though_one_alone_has_the_run(stopped, whole, tmp_path):
    run = shutil.copytree(stopped[0], tmp_path / "run")
    ended = two(
        *(["-m", "experiments.vae", "--resume", str(place)] for place in (run, tmp_path / "nowhere")), slurm=True
    )
    assert [one.returncode for one in ended] == [0, 0], [one.stderr for one in ended]
    assert_close(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "slurm", "words"),
    [
        (0, False, "no process answers there"),
        pytest.param(1, True, "some are missing", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_does_not_come_is_waited_for_in_vain(missing, slurm, words, base_flags, tmp_path):
    command = ["-m", "experiments.vae", *base_flags, "--process-timeout", "2", "--run-dir", str(tmp_path / "run")]
    commands, port = [command, command], free_port()
    commands[missing] = None
    (ended,) = two(*commands, port=port, slurm=slurm)
    assert ended.returncode == 1
    at = f"localhost:{port}"
    assert ended.stderr == f"error: process {1 - missing} of 2 waited 2 s at {at} for the others: {words}\n"
    assert not list(tmp_path.iterdir())


# Calls of every function that communicates. At the end one process is killed, and the other must notice.
COMPANY = """
import os, signal, sys
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from genjax_models.data.prepare import Prepared
from genjax_models.errors import InputError, ProcessError
from genjax_models.runs import processes
from genjax_models.runs.configuration import Training
from genjax_models.runs.feed import InMemory
from genjax_models.training import data_mesh
from genjax_models.types import Batch, TrainState

def fail(which):
    if which == jax.process_index():
        raise InputError(f"shard {which} cannot be read")

def report(work, *arguments):
    try:
        with processes.lost_process_as_error():
            print(work(*arguments), flush=True)
    except (InputError, ProcessError, ValueError) as error:
        print(type(error).__name__, error, flush=True)

# The rows of 10 ... 19 on each device of this process.
def own_examples():
    rows = Batch(np.arange(10, 20))
    feed = InMemory(None, Prepared(rows, rows, rows, lambda key, batch: batch, (0, 1)), Training(1, 4, 1, 1))
    everywhere = NamedSharding(data_mesh(), PartitionSpec())
    step, key = (processes.spread(leaf, everywhere) for leaf in (jax.numpy.int32(0), jax.random.key(0)))
    feed.place(TrainState(step, key, {}, {}, {}))
    return [shard.data.tolist() for shard in feed(0)[0][0].x.addressable_shards]

with processes.joined(2, int(sys.argv[6]), sys.argv[4], 60):
    index = jax.process_index()
    report(processes.on_all, fail, 0)
    report(processes.on_all, fail, 1)
    report(own_examples)
    report(processes.on_process_zero, lambda: "on 0")
    report(processes.from_process_zero, lambda: {"process": index, "float": 0.1})
    report(processes.check_alike, ["the same"])
    report(processes.check_alike, ["batch_size", index])
    report(data_mesh, 3)
    report(data_mesh, 5)
    signs = {"key": jax.random.key(7), "x": jax.numpy.array([-0.0, jax.numpy.nan, 1e-40])}
    received = processes.arrays_from_process_zero(signs if index == 0 else None, jax.eval_shape(lambda: signs))
    trees = [(tree["x"], jax.random.key_data(tree["key"])) for tree in (signs, received)]
    bits = [[np.asarray(a).tobytes() for a in tree] for tree in trees]
    print(bits[0] == bits[1], flush=True)
    if index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    report(processes.gathered, 1)
"""


@pytest.mark.slow
def test_what_befalls_one_is_known_to_the_other():
    first, second = two(["-c", COMPANY], ["-c", COMPANY])
    assert (first.returncode, second.returncode) == (0, -signal.SIGKILL), first.stderr + second.stderr
    printed = [[line for line in one.stdout.splitlines() if not line.startswith("[Gloo]")] for one in (first, second)]
    stops = "ProcessError process {} of 2 stops because process {} failed; see the error of that process"
    same = [
        "{'process': 0, 'float': 0.1}",
        "None",
        "InputError process 1 of 2 has other flags or other data than process 0; start all processes with the same"
        " command",
        "ValueError devices must be a multiple of 2, the number of processes, got 3",
        "ValueError devices must be between 1 and 4, which the 2 processes have, got 5",
        "True",
    ]
    *before, lost = printed[0]
    shares = ["[[10, 11, 12], [13, 14, 15]]", "[[16, 17, 18], [19, 0, 0]]"]
    assert before == ["InputError shard 0 cannot be read", stops.format(0, 1), shares[0], "on 0", *same]
    assert printed[1] == [stops.format(1, 0), "InputError shard 1 cannot be read", shares[1], "None", *same]
    assert lost.startswith("ProcessError process 0 of 2 lost another process; continue with --resume (")


@pytest.mark.parametrize("error", [ValueError, jax.errors.JaxRuntimeError])
def test_fault_65_the_loss_of_another_process_is_one_line(error, monkeypatch):
    """Gloo's errors are ValueErrors; an error that says nothing of a connection stays as it is."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    lost = "UNKNOWN: [external/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:3456\nand more"
    words = r"process 0 of 2 lost another process; continue with --resume \(.*\)$"
    with pytest.raises(ProcessError, match=words), processes.lost_process_as_error():
        raise error(lost)
    with pytest.raises(error, match="shapes differ"), processes.lost_process_as_error():
        raise error("shapes differ")
