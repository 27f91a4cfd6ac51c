"""What is installed: the wheel, the command `genjax-models`, and types that resolve from any folder."""

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
import types
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from genjax_models import commands

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "genjax_models"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = archive.read(
            f"genjax_models-{PROJECT['project']['version']}.dist-info/entry_points.txt"
        ).decode()
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert names == {path.relative_to(ROOT).as_posix() for path in files}
    kinds = {Path(name).suffix or Path(name).name for name in names}
    assert kinds == {".py", ".pyi", ".typed", ".npz", ".jinja", ".css", ".md"}
    assert "genjax-models = genjax_models.commands:main" in entry_points


def test_the_build_needs_exactly_the_pinned_versions():
    pins = set((ROOT / "constraints.txt").read_text().splitlines())
    assert set(PROJECT["build-system"]["requires"]) <= pins
    assert set(PROJECT["project"]["optional-dependencies"]["lint"]) <= pins


def test_every_command_has_a_module_and_every_module_with_a_command_is_listed():
    modules = {path.stem for path in (PACKAGE / "commands").glob("*.py") if "\ndef main(arguments" in path.read_text()}
    assert {name.replace("-", "_") for name in commands.COMMANDS} == modules - {"__init__"}
    assert set(map(len, map(str.splitlines, commands.COMMANDS.values()))) == {1}


def run(*arguments, module=True):
    command = (
        [sys.executable, "-m", "genjax_models"] if module else [str(Path(sys.executable).parent / "genjax-models")]
    )
    return subprocess.run([*command, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("module", [True, False])
@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command_with_a_line(arguments, module):
    answer = run(*arguments, module=module)
    assert (answer.returncode, answer.stderr) == (0, "")
    for name, line in commands.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", answer.stdout, flags=re.MULTILINE)
    assert max(map(len, answer.stdout.splitlines())) <= 100


def test_help_takes_less_than_half_a_second_and_imports_only_the_list():
    def seconds():
        start = time.perf_counter()
        run("--help")
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.5
    code = "import sys; from genjax_models import commands; commands.main(['--help']); print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(answer.stdout.splitlines()[-1].split())
    assert not {"jax", "numpy", "tyro", "optax", "flax"} & modules
    assert {name for name in modules if name.startswith("genjax_models.")} == {"genjax_models.commands"}


def test_help_survives_a_closed_pipe():
    process = subprocess.Popen(
        [sys.executable, "-m", "genjax_models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 0


def test_the_version_is_that_of_the_project():
    assert run("--version").stdout == f"{PROJECT['project']['version']}\n"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("sampel", " (did you mean sample?)"), ("latent_walk", " (did you mean latent-walk?)"), ("--n", ""), ("zzz", "")],
)
def test_an_unknown_command_is_one_line_with_the_list_and_the_nearest_match(name, suggestion, capsys):
    assert commands.main([name]) == 2
    captured = capsys.readouterr()
    names = (
        "data, sample, draw, encode, reconstruct, impute, judge, check, compare, export, likelihood, latent-walk,"
        " representations, check-device"
    )
    assert captured.err == f"error: command must be one of {names}, got {name!r}{suggestion}\n"
    assert not captured.out


def test_a_command_gets_its_own_arguments_and_its_exit_status_is_returned(monkeypatch):
    calls = []
    module = types.ModuleType("genjax_models.commands.latent_walk")
    module.main = lambda arguments: calls.append(arguments) or 7
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert commands.main(["latent-walk", "runs/demo", "--help"]) == 7
    monkeypatch.setattr(sys, "argv", ["genjax-models", "latent-walk", "--n", "3"])
    assert commands.main() == 7
    assert calls == [["runs/demo", "--help"], ["--n", "3"]]


def test_types_resolve_from_any_folder(tmp_path):
    """An import hook, as setuptools installs, is invisible to type checkers: each name would be unresolved."""
    shutil.copy(ROOT / "tests" / "typing" / "user_script.py", tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "basic"}))
    answer = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "."],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout
