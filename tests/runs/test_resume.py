"""A run that was stopped, at whatever moment, and resumed is the run that was not."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import rbm, self_supervised_boosting, vae
from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.reports import final_evaluation
from genjax_models.runs import checkpoints, directory, engine, resuming
from genjax_models.runs.configuration import Training
from genjax_models.systems.groups import Optimizer

ROOT = Path(__file__).parent.parent.parent
STEPS = 13


@pytest.fixture(scope="module")
def base_flags(tmp_path_factory):
    """Arguments of a short run on small images: evaluations at 0, 5, 10, 13; rows every 4 steps."""
    folder = tmp_path_factory.mktemp("data")
    random_ = np.random.RandomState(0)
    np.savez(folder / "small.npz", x=random_.randint(0, 256, (60, 6, 6, 1), np.uint8), y=random_.randint(0, 3, 60))
    return [
        *("--data", str(folder / "small.npz"), "--hidden", "8", "--batch-size", "12", "--steps", str(STEPS)),
        *("--evaluate-every", "5", "--log-every", "4", "--schedule", "constant"),
    ]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One compilation cache for all the children."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def child(name, moment, count, arguments, cache):
    command = [sys.executable, "-W", "ignore", "-m", "tests.runs.interrupted", name, moment, str(count), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | cache, timeout=300)


@pytest.fixture(scope="module")
def whole(base_flags, cache, tmp_path_factory):
    """The run that nobody stopped."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    done = child("SIGUSR1", "never", 0, [*base_flags, "--run-dir", str(run)], cache)
    assert done.returncode == 0, done.stderr
    return run


def state_of(run, which="last"):
    return gx.load_run(run, which).state


def assert_same_run(run, whole):
    for name in ("metrics.jsonl", "metrics.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    for which in ("last", "best"):
        one, other = state_of(run, which), state_of(whole, which)
        chex.assert_trees_all_equal(
            one._replace(key=jax.random.key_data(one.key)), other._replace(key=jax.random.key_data(other.key))
        )
    samples = sorted(path.name for path in (whole / "figures").glob("samples_*"))
    assert samples == sorted(path.name for path in (run / "figures").glob("samples_*"))
    for name in [*samples, "samples.png", "learning.png", "learning.gif"]:
        assert (run / "figures" / name).read_bytes() == (whole / "figures" / name).read_bytes(), name
    results = [json.loads((folder / "result.json").read_text()) for folder in (run, whole)]
    assert results[0]["test"] == results[1]["test"]


def stop_and_go(stops, base_flags, cache, run):
    """Runs, is stopped as `stops` say (signal, moment, count, exit status), and is resumed after each until it ends."""
    arguments = [*base_flags, "--run-dir", str(run)]
    for name, moment, count, status in stops:
        ended = child(name, moment, count, arguments, cache)
        assert ended.returncode == status, (name, moment, count, ended.stderr[-2000:])
        arguments = ["--resume", str(run)]
    ended = child("SIGUSR1", "never", 0, arguments, cache)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended


@pytest.mark.parametrize(
    ("name", "status", "times"), [("SIGTERM", 143, 1), pytest.param("SIGINT", 130, 3, marks=pytest.mark.slow)]
)
def test_fault_39_stopped_after_a_chunk_the_run_is_the_same(name, status, times, base_flags, cache, whole, tmp_path):
    """Each call makes one chunk and is stopped."""
    stops = [(name, "chunk", 1, status)] * times
    stop_and_go(stops, base_flags, cache, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.slow
def test_fault_41_killed_at_chunks_the_run_is_the_same(base_flags, cache, whole, tmp_path):
    """SIGKILL leaves the last evaluation's checkpoint: after 5 steps come those up to 10 again, and so on."""
    stops = [("SIGKILL", "chunk", count, -signal.SIGKILL) for count in (4, 2)]
    stop_and_go(stops, base_flags, cache, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize(
    "moments",
    [
        [("arrays", 2), ("prune", 1)],
        [("arrays", 1), ("rename", 2), ("arrays", 2), ("prune", 1)],
    ],
    ids=["two", "four"],
)
@pytest.mark.slow
def test_fault_38_killed_within_saves_the_run_is_the_same(moments, base_flags, cache, whole, tmp_path):
    stops = [("SIGKILL", moment, count, -signal.SIGKILL) for moment, count in moments]
    stop_and_go(stops, base_flags, cache, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)
    assert not list((tmp_path / "run" / "checkpoints").glob("*.partial"))


@pytest.mark.slow
def test_killed_two_hundred_times_at_random_moments_the_run_is_the_same(base_flags, cache, whole, tmp_path):
    """200 kills at random times after the start, spread over runs that each go on until they end."""
    started = time.monotonic()
    assert child("SIGUSR1", "never", 0, [*base_flags, "--run-dir", str(tmp_path / "timed")], cache).returncode == 0
    seconds = time.monotonic() - started
    random_, kills, runs = random.Random(0), 0, 0
    outcomes = {"before the first checkpoint": 0, "later": 0, "ended first": 0}
    while kills < 200:
        run = tmp_path / f"run{runs}"
        arguments = [*base_flags, "--run-dir", str(run)]
        while True:
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "tests.runs.interrupted",
                "SIGUSR1",
                "never",
                "0",
                *arguments,
            ]
            process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | cache, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(random_.uniform(0.2, 1.1) * seconds)
            process.kill()
            status = process.wait()
            if status == 0:
                outcomes["ended first"] += 1
                break
            kills += 1
            if list((run / "checkpoints").glob("????????/manifest.json")):
                outcomes["later"] += 1
                arguments = ["--resume", str(run)]
            else:
                outcomes["before the first checkpoint"] += 1
                arguments = [
                    *base_flags,
                    "--run-dir",
                    str(run),
                    *(["--overwrite"] if (run / "config.json").exists() else []),
                ]
                if run.exists() and not (run / "config.json").exists():
                    run = tmp_path / f"run{runs}-{kills}"
                    arguments = [*base_flags, "--run-dir", str(run)]
        assert_same_run(run, whole)
        runs += 1
    minutes = (time.monotonic() - started) / 60
    print(f"{kills} kills over {runs} runs in {minutes:.0f} minutes, all the same run at the end: {outcomes}")


@pytest.mark.slow
def test_a_run_that_ended_resumes_to_nothing_more(whole, base_flags, cache, tmp_path):
    run = tmp_path / "run"
    subprocess.run(["cp", "-r", str(whole), str(run)], check=True)
    assert main(vae.EXPERIMENT, ["--resume", str(run)]) == 0
    assert_same_run(run, whole)


@pytest.mark.slow
def test_a_lengthened_run_is_the_run_that_was_as_long_from_its_start(whole, base_flags, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(final_evaluation, "report", lambda trained: None)
    run, longer = tmp_path / "run", tmp_path / "longer"
    shutil.copytree(whole, run)
    assert main(vae.EXPERIMENT, ["--resume", str(run), "--steps", "20"]) == 0
    assert directory.read_config(run, vae.Config).training.steps == 20
    assert main(vae.EXPERIMENT, [*base_flags, "--steps", "20", "--run-dir", str(longer)]) == 0
    one, other = (state_of(folder)._replace(key=jax.random.key_data(state_of(folder).key)) for folder in (run, longer))
    assert int(one.step) == 20
    chex.assert_trees_all_equal(one, other)
    rows = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()] for folder in (run, longer)
    ]
    at = lambda rows: [row for row in rows if row["step"] in (0, 5, 10, 15, 20) and row["split"] == "validation"]
    assert at(rows[0]) == at(rows[1])
    samples = [{p.name: p.read_bytes() for p in (folder / "figures").glob("samples_*")} for folder in (run, longer)]
    kept = [{name: content for name, content in files.items() if name.endswith("16.npy")} for files in samples]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 1
    with pytest.raises(SystemExit, match="2"):
        main(vae.EXPERIMENT, ["--resume", str(run), "--steps", "12"])
    assert capsys.readouterr().err.endswith(": steps must be at least 20, which the run has made, got 12\n")


@pytest.mark.parametrize("schedule", ["linear", "cosine", "stages"])
def test_a_run_whose_schedule_depends_on_its_steps_is_not_lengthened(schedule):
    config = vae.Config(training=Training(steps=20), optimizer=Optimizer(schedule=schedule))
    message = (
        f"run: steps cannot change from 10 to 20: the {schedule} schedule .* began with --schedule constant can be"
    )
    with pytest.raises(InputError, match=f"^{message}"):
        resuming._check_steps("run", config, 10, 5)
    resuming._check_steps("run", config, 20, 5)


@pytest.mark.parametrize(
    ("experiment", "what"),
    [(rbm, "the learning rate, which falls to 0,"), (self_supervised_boosting, "the length of a stage")],
)
def test_a_run_that_depends_on_its_steps_in_another_way_is_not_lengthened(experiment, what):
    config = experiment.Config(training=Training(steps=480))
    with pytest.raises(InputError, match=f"^run: steps cannot change from 240 to 480: {what} depends on them$"):
        resuming._check_steps("run", config, 240, 5)
    resuming._check_steps("run", config, 480, 5)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--latent", "3"], "latent is 2, the flag says 3"),
        (
            ["--seed", "1", "--learning-rate", "0.5"],
            "seed is 0, the flag says 1; optimizer.learning_rate is 0.002, the flag says 0.5",
        ),
        (["--image-size", "16"], "data.image_size is 32, the flag says 16"),
        (["--run-dir", "elsewhere"], "--resume excludes --run-dir and --overwrite"),
        (["--overwrite"], "--resume excludes --run-dir and --overwrite"),
    ],
)
def test_fault_42_resuming_as_something_else_is_refused(flags, words, whole, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(vae.EXPERIMENT, ["--resume", str(whole), *flags])
    assert words in capsys.readouterr().err


def test_fault_46_a_run_that_cannot_be_written_to_is_not_resumed(whole, tmp_path, capsys, monkeypatch):
    """Permission bits do not bind root; a limit on the size of files stands for them, before anything is computed."""
    run = tmp_path / "run"
    subprocess.run(["cp", "-r", str(whole), str(run)], check=True)
    monkeypatch.setattr(engine, "fit_members", lambda *_, **__: pytest.fail("it was computed"))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(SystemExit, match="2"):
            main(vae.EXPERIMENT, ["--resume", str(run), "--steps", "15"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capsys.readouterr() == ("", f"error: --resume {run}: cannot be written to (File too large)\n")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_resuming_on_other_data_is_refused(whole, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    subprocess.run(["cp", "-r", str(whole), str(run)], check=True)
    monkeypatch.setattr(engine, "fingerprint", lambda dataset: "of other examples")
    with pytest.raises(SystemExit, match="2"):
        main(vae.EXPERIMENT, ["--resume", str(run)])
    assert "has changed since the run began" in capsys.readouterr().err


def test_fault_30_a_damaged_checkpoint_is_reported_and_an_older_one_is_used(whole, tmp_path, capsys):
    run = tmp_path / "run"
    subprocess.run(["cp", "-r", str(whole), str(run)], check=True)
    newest = sorted((run / "checkpoints").glob("????????"))[-1]
    victim = max((path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    damaged = bytearray(victim.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    victim.write_bytes(damaged)
    assert main(vae.EXPERIMENT, ["--resume", str(run)]) == 0
    stderr = capsys.readouterr().err
    assert f"warning: {victim} is damaged" in stderr
    assert "another checkpoint is used" in stderr
    assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


@pytest.fixture
def endless(base_flags, cache, tmp_path):
    """A process in the midst of a run that would take hours, and the run's directory."""
    run = tmp_path / "run"
    flags = ["--steps", "1000000", "--evaluate-every", "1000000", "--run-dir", str(run)]
    command = [sys.executable, "-W", "ignore", "-m", "experiments.vae", *base_flags, *flags]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | cache, **silent)
    deadline = time.monotonic() + 120
    while not list(run.glob("checkpoints/????????/manifest.json")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield process, run
    process.kill()
    process.wait()


@pytest.mark.slow
def test_fault_44_a_run_in_use_is_refused_and_a_killed_one_frees_it(endless, base_flags, cache):
    process, run = endless
    for flags in (["--resume", str(run)], [*base_flags, "--run-dir", str(run), "--overwrite"]):
        refused = child("SIGUSR1", "never", 0, flags, cache)
        assert refused.returncode == 2
        assert f"is in use by process {process.pid} on " in refused.stderr
    process.kill()
    process.wait()
    assert child("SIGTERM", "chunk", 1, ["--resume", str(run)], cache).returncode == 143


@pytest.mark.slow
def test_fault_39_a_second_interrupt_exits_at_once(endless):
    process, _ = endless
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) in (-signal.SIGINT, 130)


@pytest.mark.slow
def test_fault_37_fault_40_a_full_disk_ends_the_run_at_once_and_leaves_the_checkpoint_before(
    base_flags, cache, tmp_path, whole
):
    """A file size limit stands for a full disk: the write fails, the exit status says so, resuming works."""
    run = tmp_path / "run"
    code = (
        "import resource, signal, sys\n"
        "from genjax_models.runs import checkpoints\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "save, calls = checkpoints.save, [0]\n"
        "def limited(*args, **kwargs):\n"
        "    calls[0] += 1\n"
        "    if calls[0] == 2:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))\n"
        "    return save(*args, **kwargs)\n"
        "checkpoints.save = limited\n"
        "from tests.runs.interrupted import main\n"
        "sys.exit(main('SIGUSR1', 'never', '0', *sys.argv[1:]))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, *base_flags, "--run-dir", str(run)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | cache, timeout=300)
    assert ended.returncode == 1, ended.stderr[-2000:]
    # Writes of orbax that were under way may complain after it, from threads of their own and in the midst of a line.
    message = f"error: {run}/checkpoints/00000005 cannot be written; earlier checkpoints are kept"
    assert ended.stderr.count(message) == 1, ended.stderr[-2000:]
    assert ended.stderr.count("error: ") == 1, ended.stderr[-2000:]
    assert json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 5  # not a step later
    assert [path.name for path in (run / "checkpoints").glob("????????")] == ["00000000"]
    assert checkpoints.read_manifest(run / "checkpoints" / "00000000")["step"] == 0
    resumed = child("SIGUSR1", "never", 0, ["--resume", str(run)], cache)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert_same_run(run, whole)
