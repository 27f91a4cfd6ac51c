"""The command `genjax-models`: `genjax-models COMMAND ...` or `python -m genjax_models COMMAND ...`.

Each command is a module of this room, imported when the command is called. `--help` imports none, and no jax.
"""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "data": "Say what a data set is: kind, sizes, ranges, classes, copies, files left out.",
    "sample": "Draw from a finished run into a PNG file.",
    "draw": "Draw many examples from a finished run into a .npz file or PNG files.",
    "encode": "Encode data by a finished run: means and standard deviations of q(z | x).",
    "reconstruct": "Reconstruct data by a finished run: a .npz file or PNG files, and a picture.",
    "impute": "Fill in missing pixels of test data by a finished run.",
    "judge": "Judge one set of images by another: runs, files or folders.",
    "check": "List the damage of a run: files that were lost or changed.",
    "compare": "Write one page that compares runs: settings, curves, results and pictures.",
    "export": "Write a finished run as safetensors and StableHLO files.",
    "likelihood": "Estimate the log-likelihood of test data under a finished run.",
    "latent-walk": "Draw walks through the latent space of a finished run.",
    "representations": "Predict classes of test data from the latents of a finished run.",
    "check-device": "Compare every estimator with exact values on this device.",
}


def usage() -> str:
    """Returns the help: each command with one line."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        (
            "usage: genjax-models COMMAND ...",
            "",
            *(f"  {name:{width}}  {line}" for name, line in COMMANDS.items()),
            "",
            "Options of a command: genjax-models COMMAND --help. Version: genjax-models --version.",
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
      arguments: of the command line: a name of `COMMANDS`, then the command's own arguments. Default: `sys.argv[1:]`.

    Returns:
      The exit status.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        _write(usage())
        return 0
    if name == "--version":
        from genjax_models.runs.versions import version_of

        _write(version_of("genjax_models") or "unknown: genjax_models is not installed")
        return 0
    if name not in COMMANDS:
        nearest = difflib.get_close_matches(name, COMMANDS, n=1)
        suggestion = f" (did you mean {nearest[0]}?)" if nearest else ""
        print(f"error: command must be one of {', '.join(COMMANDS)}, got {name!r}{suggestion}", file=sys.stderr)
        return 2
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").main(rest)


def _write(text: str) -> None:
    """Writes to standard output, which the reader may have closed."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
