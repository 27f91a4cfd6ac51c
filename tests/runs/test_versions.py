"""Versions of packages, also of those that are read from a folder on the path."""

import importlib.metadata
import re
from pathlib import Path

import genjax_models
from genjax_models import commands
from genjax_models.runs.environment import environment
from genjax_models.runs.versions import version_of


def test_a_package_that_is_not_installed_has_no_version(monkeypatch, capsys):
    assert re.match(r"\d+\.\d+", version_of("jax") or "")
    assert version_of("no_such_package") is None
    found = importlib.metadata.version

    def version(package):
        if package == "genjax_models":
            raise importlib.metadata.PackageNotFoundError(package)
        return found(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert commands.main(["--version"]) == 0
    assert capsys.readouterr().out == "unknown: genjax_models is not installed\n"
    assert environment("x")["versions"]["genjax_models"] is None


def test_nothing_else_asks_for_versions():
    files = Path(genjax_models.__file__).parent.rglob("*.py")
    assert [file.name for file in files if "importlib.metadata" in file.read_text("utf-8")] == ["versions.py"]
