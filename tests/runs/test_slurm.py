"""The SLURM recipe of the pages, on a cluster of one node that the test makes: preempted, it ends as the same run."""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time

import chex
import numpy as np
import pytest

from tests.runs.test_hosts import wait_for
from tests.runs.test_processes import ROOT, free_port, state_of

STEPS = 900
FLAGS = (
    f"--hidden 8 --batch-size 12 --steps {STEPS} --evaluate-every 300 --log-every 100 --schedule constant --warmup 0"
)
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel")
# Read here: without the recipe, collection fails, even where SLURM is absent.
(SCRIPT,) = re.findall(
    r"```sh\n(#!/bin/sh\n#SBATCH.*?)```", (ROOT / "docs" / "devices.md").read_text(), flags=re.DOTALL
)
HOST = socket.gethostname().partition(".")[0]
CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL PriorityTier=2
"""  # a requeued job waits for `cred_expire` seconds, by default 120


def resolves(host):
    with contextlib.suppress(OSError):
        return bool(socket.gethostbyname(host))
    return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ["JAX_PLATFORMS"] != "cpu", reason="tasks have a device of a CPU each"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts SLURM's daemons"),
    pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason="needs SLURM (slurm-wlm) and munge"),
    pytest.mark.skipif(not resolves(HOST), reason="needs a host name with an address"),
]


class Cluster:
    """SLURM on this machine; its files are in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "key").write_bytes(secrets.token_bytes(128))
        (folder / "key").chmod(0o400)
        ports = [free_port() for _ in range(2)]
        (folder / "slurm.conf").write_text(CONFIG.format(folder=folder, host=HOST, ports=ports))
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        munge = {name: f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")}
        munge = [f"--key-file={folder}/key", f"--socket={folder}/munge.socket", *munge.values()]
        daemons = [["munged", "--foreground", "--force", *munge], ["slurmctld", "-D"], ["slurmd", "-D"]]
        self.daemons = []
        for daemon in daemons:
            self.daemons.append(subprocess.Popen(daemon, env=self.environment, stderr=subprocess.DEVNULL))
            time.sleep(1)
        try:
            self.wait(lambda: "idle" in self.tell("sinfo", "--noheader", "--format=%T"))
        except Exception:
            self.end_daemons()
            raise

    def tell(self, *command, **variables):
        """Returns what a command of SLURM prints."""
        environment = self.environment | variables
        return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    def submit(self, script, name, *flags, **variables):
        """Returns the number of the new job."""
        path = self.folder / f"{name}.sh"
        path.write_text(script)
        output = f"--output={self.folder}/{name}.out"
        return self.tell("sbatch", "--parsable", output, *flags, str(path), **variables).strip()

    def state(self, job):
        """Returns the state of a job, such as RUNNING."""
        return re.search(r"JobState=(\S+)", self.tell("scontrol", "show", "job", job))[1]

    def wait(self, condition, seconds=600):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, self.tell("scontrol", "show", "job")
            time.sleep(0.2)

    def end(self):
        """Ends the jobs, then the daemons."""
        self.tell("scancel", "--signal=KILL", "--full", "--user=root")
        self.tell("scancel", "--user=root")
        self.wait(lambda: not self.tell("squeue", "--noheader"))
        self.end_daemons()

    def end_daemons(self):
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(timeout=60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The pages' script for a machine with two CPU cores in place of nodes with GPUs, on small images."""
    path, random = tmp_path_factory.mktemp("data") / "small.npz", np.random.RandomState(0)
    np.savez(path, x=random.randint(0, 256, (60, 6, 6, 1), np.uint8))

    def here(run):
        changes = {
            "--nodes=2 --ntasks-per-node=4 --gpus-per-node=4": "--nodes=1 --ntasks-per-node=2",
            "python -m experiments.vae": f"{sys.executable} -W ignore -m experiments.vae --data {path} {FLAGS}",
            "runs/vae": str(run),
        }
        text = SCRIPT
        for before, after in changes.items():
            assert before in text
            text = text.replace(before, after)
        return text

    return here


@pytest.fixture(scope="module")
def of_one_device():
    return {"XLA_FLAGS": os.environ["XLA_FLAGS"].replace("device_count=4", "device_count=1")}


@pytest.fixture(scope="module")
def whole(cluster, recipe, of_one_device):
    """The run that was left alone."""
    run = cluster.folder / "whole"
    job = cluster.submit(recipe(run), "whole", **of_one_device)
    cluster.wait(lambda: cluster.state(job) not in ("PENDING", "RUNNING", "COMPLETING"))
    assert cluster.state(job) == "COMPLETED", (cluster.folder / "whole.out").read_text()
    return run


@pytest.mark.parametrize("by", ["scancel", "a job of higher priority"])
def test_a_run_that_is_preempted_and_requeued_ends_as_the_run_that_was_left_alone(
    by, cluster, recipe, of_one_device, whole
):
    name = by.split()[-1]
    run = cluster.folder / name
    job = cluster.submit(recipe(run), name, **of_one_device)
    wait_for(run, 300)
    if by == "scancel":
        cluster.tell("scancel", "--signal=TERM", job)
    else:
        cluster.submit("#!/bin/sh\nsleep 1\n", "urgent", "--partition=urgent", "--ntasks=2")
    cluster.wait(lambda: cluster.state(job) not in ("RUNNING", "PENDING", "COMPLETING", "REQUEUED"))
    output = (cluster.folder / f"{name}.out").read_text()
    assert cluster.state(job) == "COMPLETED", output
    assert "Restarts=1" in cluster.tell("scontrol", "show", "job", job)
    (stopped,) = set(re.findall(r"stopped at step (\d+) of", output))
    assert 300 <= int(stopped) < STEPS
    assert output.count(f"step 0 of {STEPS}:") == 1  # it resumed, and did not begin again
    assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    for which in ("last", "best"):
        chex.assert_trees_all_equal(state_of(run, which), state_of(whole, which))
