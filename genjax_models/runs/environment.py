"""`environment.json`: where a run was made, and with which versions."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from genjax_models.errors import InputError
from genjax_models.runs.directory import read_object
from genjax_models.runs.versions import version_of

_PACKAGES = ("genjax_models", "jax", "jaxlib", "flax", "optax", "distrax", "chex", "orbax-checkpoint", "numpy")


def read_environment(run: Path | str) -> dict[str, Any]:
    """Returns the content of `environment.json`; {} if it is absent or damaged."""
    try:
        return read_object(Path(run) / "environment.json")
    except (FileNotFoundError, InputError):
        return {}


def environment(command: str) -> dict[str, Any]:
    """Returns the command, folder, versions, devices and git revision of this process, as the record of a run."""
    import jax

    return {
        "command": command,
        "folder": str(Path.cwd()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "versions": {name: version_of(name) for name in _PACKAGES},
        "git": _git_revision(),
    }


def _git_revision() -> str | None:
    package = Path(__file__).resolve().parent
    try:
        description = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=package,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return description.stdout.strip() or None
