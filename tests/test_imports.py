"""Imports point one way and in no circle, and --help imports nothing heavy."""

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

# The order of DESIGN: a room imports its own files and lower floors, never a neighbour on its floor or a floor above.
ORDER = (
    "types, errors <- estimators, networks <- models <- objectives <- training <- evaluation <- data <- figures"
    " <- runs <- systems, reports <- commands, trained <- __main__"
)
FLOORS = [set(floor.split(", ")) for floor in ORDER.split(" <- ")]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FORBIDDEN = {
    "types": {"flax", "optax", "distrax", "chex", "numpy"},
    "estimators": {"flax", "optax", "orbax", "tensorflow_datasets", "matplotlib"},
    "training": {"flax", "distrax", "orbax", "tensorflow_datasets", "matplotlib"},
}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def without_type_checking(node):
    """Yields all nodes, those in functions too, except the bodies of `if TYPE_CHECKING`."""
    yield node
    typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    for child in node.orelse if typing_only else ast.iter_child_nodes(node):
        yield from without_type_checking(child)


def imports_of(path, nodes=ast.walk):
    for node in nodes(ast.parse(path.read_text())):
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


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms == set(FLOOR)
    assert sum(map(len, FLOORS)) == len(FLOOR)  # no room has two floors


def graph_of(modules, nodes=without_type_checking):
    """Returns, for each module of `modules` (name -> path), the modules that it imports anywhere in its file."""

    def edges(name, path):
        for imported in imports_of(path, nodes):
            module = imported if imported in modules else imported.rpartition(".")[0]
            if module in modules and module != name:
                yield module

    return {name: sorted(set(edges(name, path))) for name, path in modules.items()}


def circle_in(graph):
    """Returns the modules of one circle of imports, the first also at the end; None if there is no circle."""
    finished = set()

    def search(trail):
        for module in graph[trail[-1]]:
            if module in trail:
                return [*trail[trail.index(module) :], module]
            if module not in finished and (circle := search([*trail, module])):
                return circle
        finished.add(trail[-1])
        return None

    return next((circle for name in graph if name not in finished and (circle := search([name]))), None)


def test_no_files_import_each_other_in_a_circle_of_any_length():
    paths = [path for top in (PACKAGE, ROOT / "experiments") for path in sorted(top.rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    graph = graph_of(dict(zip(names, paths, strict=True)))
    assert "genjax_models.types" in graph["genjax_models.runs.fit"]
    assert circle_in(graph) is None


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_circle_is_found_also_through_a_function_but_not_through_type_checking(length, tmp_path):
    modules = {f"m{i}": tmp_path / f"m{i}.py" for i in range(length)}
    for i in range(1, length):
        modules[f"m{i}"].write_text(f"import m{(i + 1) % length}\n")
    modules["m0"].write_text("def later():\n    from m1 import name\n")
    assert circle_in(graph_of(modules)) == [*modules, "m0"]
    modules["m0"].write_text("from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from m1 import name\n")
    assert circle_in(graph_of(modules)) is None


def test_training_knows_no_objective():
    names = [name for path in FILES if room_of(path) == "training" for name in imports_of(path)]
    assert {name.split(".")[1] for name in names if name.startswith("genjax_models.")} <= {
        "types",
        "training",
        "estimators",
    }


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


def test_help_imports_nothing_heavy():
    """All in one process, which names the first that imports more."""
    code = f"""
import sys
for name, call in {CALLS!r}.items():
    try:
        exec(call)
    except SystemExit as stop:
        assert stop.code == 0, name
    else:
        raise AssertionError(name)
    assert not {HEAVY!r} & set(sys.modules), name
"""
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr


def test_the_package_opens_without_jax_and_brings_all_that_it_lists():
    assert not HEAVY & modules_after("import genjax_models")
    for name in genjax_models.__all__:
        assert getattr(genjax_models, name) is not None


def test_training_imports_neither_tensorflow_nor_scipys_statistics():
    code = "import genjax_models as gx; gx.vae, gx.fit, gx.prepare(gx.load('mnist10k'))"
    loaded = modules_after(f"{code}; import genjax_models.reports.final_evaluation, genjax_models.systems.sampler")
    assert not {"tensorflow", "tensorflow_datasets", "scipy.stats"} & loaded  # half a second each
