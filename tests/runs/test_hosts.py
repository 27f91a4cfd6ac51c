"""One run on two hosts: network namespaces joined by a pair of virtual Ethernet devices, which only root can make."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import genjax_models as gx
from experiments import vae
from genjax_models.commands.train import main
from genjax_models.reports import final_evaluation
from tests.runs.test_processes import FLAGS, assert_close

ROOT = Path(__file__).parent.parent.parent
SILENT = 15  # seconds after which a host counts as lost
LONG = "--steps 100000000 --evaluate-every 200 --log-every 200"
RUN = f"""
import sys
from genjax_models.runs import silence
silence.SECONDS = {SILENT}
from genjax_models.commands.train import main
from experiments.vae import EXPERIMENT
sys.exit(main(EXPERIMENT, sys.argv[1:]))
"""


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True)


def can_make_hosts():
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    made = ip("netns", "add", f"gx{os.getpid()}").returncode == 0
    return made and ip("netns", "del", f"gx{os.getpid()}").returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ["JAX_PLATFORMS"] != "cpu", reason="processes share fake devices of a CPU"),
    pytest.mark.skipif(not can_make_hosts(), reason="needs root, iproute2 and leave to make network namespaces"),
]


class Hosts:
    """Two hosts, 10.77.0.1 and 10.77.0.2."""

    def __init__(self):
        self.names = [f"gx{os.getpid()}{letter}" for letter in "ab"]
        for name in self.names:
            assert ip("netns", "add", name).returncode == 0
        ends = ["gxa", "netns", self.names[0], "type", "veth", "peer", "name", "gxb", "netns", self.names[1]]
        assert ip("link", "add", *ends).returncode == 0
        for number, (name, device) in enumerate(zip(self.names, ("gxa", "gxb"), strict=True), start=1):
            folder = Path("/etc/netns") / name  # `ip netns exec` mounts its files over those of /etc
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(f"127.0.0.1 localhost\n10.77.0.{number} {socket.gethostname()}\n")
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "link", "set", "lo", "up")

    def remove(self):
        for name in self.names:
            ip("netns", "del", name)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)

    def cut(self):
        """Takes the link down."""
        assert ip("-n", self.names[1], "link", "set", "gxb", "down").returncode == 0

    def start(self, index, arguments):
        """Starts process `index` of two, of two devices, on its host."""
        flags = os.environ["XLA_FLAGS"].replace("device_count=4", "device_count=2")
        joining = ["--processes", "2", "--process", str(index), "--coordinator", "10.77.0.1:29400"]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.names[index], sys.executable, "-W", "ignore", "-c", RUN, *arguments, *joining],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": flags},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def hosts():
    made = Hosts()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def base_flags(tmp_path_factory):
    path, random = tmp_path_factory.mktemp("data") / "small.npz", np.random.RandomState(0)
    np.savez(path, x=random.randint(0, 256, (60, 6, 6, 1), np.uint8))
    return ["--data", str(path), *FLAGS.split()]


def ended(*processes, seconds=240):
    """How the processes ended: exit status and last line on standard error."""
    results = []
    for process in processes:
        try:
            _, errors = process.communicate(timeout=seconds)
        finally:
            process.kill()
        results.append(
            (
                process.returncode,
                [line for line in errors.splitlines() if not line.startswith(("compiling; ", "step "))],
            )
        )
    return results


def wait_for(run, step, seconds=240):
    """Waits until the run has a checkpoint of at least this step."""
    until = time.monotonic() + seconds
    while not any(int(place.name) >= step for place in (run / "checkpoints").glob("[0-9]" * 8)):
        assert time.monotonic() < until, "no checkpoint"
        time.sleep(0.2)


def assert_resumes(run, monkeypatch):
    """The run goes on from its newest checkpoint, on one host."""
    monkeypatch.setattr(final_evaluation, "report", lambda trained: None)
    newest = max(int(place.name) for place in (run / "checkpoints").glob("[0-9]" * 8))
    assert main(vae.EXPERIMENT, ["--resume", str(run), "--steps", str(newest + 3)]) == 0
    assert int(gx.load_run(run, "last").state.step) == newest + 3


def test_two_hosts_have_the_result_of_one_process_and_one_may_come_late(hosts, base_flags, tmp_path, monkeypatch):
    monkeypatch.setattr(final_evaluation, "report", lambda trained: None)
    assert main(vae.EXPERIMENT, [*base_flags, "--devices", "4", "--run-dir", str(tmp_path / "one")]) == 0
    command = [*base_flags, "--run-dir", str(tmp_path / "two")]
    first = hosts.start(0, command)
    time.sleep(10)
    assert ended(first, hosts.start(1, command)) == [(0, []), (0, [])]
    assert_close(tmp_path / "two", tmp_path / "one")


def test_a_link_that_goes_down_ends_both_in_one_line(hosts, base_flags, tmp_path, monkeypatch):
    run, command = tmp_path / "run", [*base_flags, *LONG.split(), "--run-dir"]
    both = [hosts.start(0, [*command, str(run)]), hosts.start(1, [*command, str(run)])]
    wait_for(run, 200)
    hosts.cut()
    cut = time.monotonic()
    results = ended(*both)
    assert time.monotonic() - cut < 3 * SILENT
    words = f"error: process {{}} of 2 has not heard from process {{}} for {SILENT} s: its host or the network is down"
    for index, (status, lines) in enumerate(results):
        assert (status, len(lines)) == (1, 1), lines
        assert lines[0] == f"{words.format(index, 1 - index)}; continue with --resume"
    assert_resumes(run, monkeypatch)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_host_that_is_killed_ends_the_other_in_one_line(killed, hosts, base_flags, tmp_path, monkeypatch):
    run, command = tmp_path / "run", [*base_flags, *LONG.split(), "--run-dir"]
    both = [hosts.start(0, [*command, str(run)]), hosts.start(1, [*command, str(run)])]
    wait_for(run, 200)
    hosts.cut()  # so that the other host hears nothing of the end of the process
    both[killed].send_signal(signal.SIGKILL)
    (status, lines), _ = ended(both[1 - killed], both[killed])
    assert (status, len(lines)) == (1, 1), lines
    assert lines[0].startswith(f"error: process {1 - killed} of 2 has not heard from process {killed} for {SILENT} s")
    assert_resumes(run, monkeypatch)


def test_a_host_that_comes_too_late_and_the_one_that_waited_end_in_one_line(hosts, base_flags, tmp_path):
    command = [*base_flags, "--process-timeout", "4", "--run-dir", str(tmp_path / "run")]
    ((status, lines),) = ended(hosts.start(0, command))
    waited = "error: process {} of 2 waited 4 s at 10.77.0.1:29400 for the others: {}"
    assert (status, lines) == (1, [waited.format(0, "some are missing")])
    ((status, lines),) = ended(hosts.start(1, command))
    assert (status, lines) == (1, [waited.format(1, "no process answers there")])
    assert not (tmp_path / "run").exists()
