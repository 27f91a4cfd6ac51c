"""Parts that need no device, for processes that import nothing heavy."""

import os
import signal
import time


def works(*facts):
    yield from facts


def fails():
    yield {"so far": 1}
    raise ValueError("no such\ncode")


def crashes():
    yield {"so far": 2}
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(path):
    """Starts a child that writes its number into a file; then neither ends."""
    import subprocess
    import sys

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    path.write_text(str(child.pid))
    yield {"so far": 3}
    time.sleep(60)


def cannot():
    from experiments.accelerator.part import LeftOutError

    raise LeftOutError("there is no such thing here")
    yield


def tells_its_process():
    yield {"process": os.getpid(), "variable": os.environ.get("OF_THE_PROCESS")}


def cannot_prepare():
    raise RuntimeError("no device")
