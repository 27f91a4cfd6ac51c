"""The results of all calls with one folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from experiments.accelerator.page import page
from experiments.accelerator.part import Facts, Outcome, Part
from genjax_models.errors import InputError

NAME = "accelerator"
SAME = ("device", "devices", "platform", "versions")  # of two calls that share a folder


class Results:
    """The results in a folder: `accelerator.json`, and the page `accelerator.md`, written after each part.

    Args:
      folder: the folder, which may have results of an earlier call.
      about: the device, as `device.describe` describes it.

    Raises:
      InputError: the folder has results of another device, or of other versions.
    """

    def __init__(self, folder: Path, about: Facts):
        self.folder, self.about, self.whats = folder, about, {}
        self.outcomes: dict[str, Outcome] = {}
        path = folder / f"{NAME}.json"
        if path.exists():
            stored = json.loads(path.read_text("utf-8"))
            if any(stored["device"][key] != about[key] for key in SAME):
                raise InputError(f"{folder} has results of another device or other versions; use another --to")
            self.outcomes = {name: Outcome(**outcome) for name, outcome in stored["parts"].items()}
            self.whats = stored["whats"]

    def add(self, part: Part, outcome: Outcome) -> None:
        """Keeps the outcome, unless it has no facts and an earlier one has; writes both files."""
        earlier = self.outcomes.get(part.name)
        if earlier is None or outcome.facts or not earlier.facts:
            self.outcomes[part.name], self.whats[part.name] = outcome, part.what
        parts = {name: outcome._asdict() for name, outcome in self.outcomes.items()}
        self._write("json", json.dumps({"device": self.about, "whats": self.whats, "parts": parts}, indent=1))
        self._write("md", page(self.about, self.outcomes, self.whats))

    def _write(self, suffix: str, text: str) -> None:
        path = self.folder / f"{NAME}.{suffix}"
        partial = path.with_suffix(f".{suffix}.partial")
        partial.write_text(text, "utf-8")
        os.replace(partial, path)
