"""Imports point one way, and asking for help costs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import genjax_models
from genjax_models.commands import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "genjax_models"
FILES = sorted(PACKAGE.rglob("*.py"))

# Lower rooms first. A room imports its own and those below it, never its neighbour on the same floor or one above.
FLOORS = [
    {"types", "errors"},
    {"estimators", "networks"},
    {"models"},
    {"objectives"},
    {"training"},
    {"evaluation"},
    {"data"},
    {"figures"},
    {"runs"},
    {"systems", "reports"},
    {"commands"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FORBIDDEN = {
    "types": {"flax", "optax", "distrax", "chex", "numpy"},
    "estimators": {"flax", "optax", "orbax", "tensorflow_datasets", "matplotlib"},
    "training": {"flax", "distrax", "orbax", "tensorflow_datasets", "matplotlib"},
}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    room = room_of(path)
    for name in imports_of(path):
        top, *rest = name.split(".")
        assert top != "experiments", f"{path} imports experiments"
        assert top not in FORBIDDEN.get(room, ()), f"{path} imports {name}"
        if top == "genjax_models" and rest and room != "__init__":
            theirs = rest[0]
            assert theirs == room or FLOOR[theirs] < FLOOR[room], f"{path}: {room} imports {theirs}"


def test_training_knows_no_objective():
    names = [name for path in FILES if room_of(path) == "training" for name in imports_of(path)]
    assert {name.split(".")[1] for name in names if name.startswith("genjax_models.")} == {"types", "training"}


def modules_after(code):
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import sys\n{code}\nprint(' '.join(sys.modules))"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return set(answer.stdout.splitlines()[-1].split())


HEAVY = {"jax", "distrax", "flax", "optax", "numpy", "tensorflow_datasets", "matplotlib", "orbax"}


EXPERIMENTS = sorted(
    path.stem for path in (ROOT / "experiments").glob("*.py") if "main(EXPERIMENT)" in path.read_text()
)
STUDIES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "experiments" / "studies").rglob("*.py")
    if "\ndef main(" in path.read_text()
)
CALLS = {
    **{name: f"from genjax_models.commands import main; main(['{name}', '--help'])" for name in COMMANDS},
    **{name: f"from experiments import {name} as m; m.main(m.EXPERIMENT, ['--help'])" for name in EXPERIMENTS},
    **{name: f"from {name} import main; main(['--help'])" for name in STUDIES},
}


@pytest.mark.parametrize("name", CALLS)
def test_help_imports_nothing_heavy(name):
    code = f"""
try:
    {CALLS[name]}
except SystemExit as stop:
    assert stop.code == 0, stop.code
else:
    raise AssertionError("no help")
"""
    assert not HEAVY & modules_after(code)


def test_the_package_opens_without_jax_and_brings_all_that_it_lists():
    assert not HEAVY & modules_after("import genjax_models")
    for name in genjax_models.__all__:
        assert getattr(genjax_models, name) is not None


def test_tensorflow_is_never_imported():
    loaded = modules_after("import genjax_models as gx; gx.vae, gx.fit, gx.prepare(gx.load('mnist10k'))")
    assert not {"tensorflow", "tensorflow_datasets"} & loaded
