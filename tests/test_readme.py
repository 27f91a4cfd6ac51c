"""What the README shows, runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_are_examples():
    assert len(BLOCKS) >= 3


EXPERIMENTS = [index for index, block in enumerate(BLOCKS) if "EXPERIMENT = " in block]


@pytest.mark.parametrize("index", [index for index in range(len(BLOCKS)) if index not in EXPERIMENTS])
def test_an_example_runs(index, tmp_path, monkeypatch):
    """Each block by itself, in an empty folder, on a tenth of the steps that it names or fewer."""
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    code = re.sub(r"steps=([\d_]+)", "steps=20", BLOCKS[index])
    names = {}
    exec(compile(code, f"README block {index}", "exec"), names)
    assert names


@pytest.mark.parametrize("index", EXPERIMENTS)
def test_an_experiment_is_a_script_of_at_most_60_lines_whose_run_is_brought_back(index, tmp_path):
    assert BLOCKS[index].count("\n") <= 60
    (tmp_path / "toy.py").write_text(BLOCKS[index])
    flags = ["--steps", "20", "--evaluate-every", "20", "--seeds", "0:2", "--run-dir", "run"]
    load = "import genjax_models as gx; print(gx.load_run('run/seed_1').config.seed)"
    for arguments, printed in ((["toy.py", *flags], "report: "), (["-c", load], "1")):
        command = [sys.executable, "-W", "ignore", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        assert printed in done.stdout


def test_the_quickstart_is_short():
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 20


def test_every_path_that_the_readme_names_is_there():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path


def test_every_command_that_the_readme_names_is_there():
    for module in re.findall(r"python -m (experiments\.[a-z_.]+)", README):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
