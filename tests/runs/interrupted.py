"""A child process that runs an experiment and sends itself a signal at a stated moment.

    python -m tests.runs.interrupted SIGNAL MOMENT COUNT ARGUMENTS...

MOMENT is "chunk" (after the COUNT-th chunk of steps), "arrays", "rename" or "prune" (within the COUNT-th save: when
arrays are written but no manifest, before the rename, after it). Chunks are short, so that a short run has several.
"""

import os
import signal
import sys

from genjax_models.commands import train
from genjax_models.runs import checkpoints, feed, fit


def at(count: int, function, number: int, *, before: bool):
    """`function`, which sends the signal at its COUNT-th call."""
    calls = [0]

    def wrapped(*args, **kwargs):
        calls[0] += 1
        if calls[0] == count and before:
            os.kill(os.getpid(), number)
        result = function(*args, **kwargs)
        if calls[0] == count and not before:
            os.kill(os.getpid(), number)
        return result

    return wrapped


def main(name: str, moment: str, count: str, *arguments: str) -> int:
    number, count = signal.Signals[name], int(count)
    feed.LONGEST_CHUNK = 3
    if moment == "chunk":
        fit._timed_chunk = at(count, fit._timed_chunk, number, before=False)
    elif moment == "arrays":
        checkpoints._leaves = at(count, checkpoints._leaves, number, before=True)
    elif moment == "rename":
        checkpoints.digest_of_manifest = at(count, checkpoints.digest_of_manifest, number, before=False)
    elif moment == "prune":
        checkpoints._best = at(count, checkpoints._best, number, before=True)
    from experiments.vae import EXPERIMENT

    return train.main(EXPERIMENT, list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
