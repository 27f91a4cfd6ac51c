"""What the README shows, runs."""

import re
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_are_examples():
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_an_example_runs(index, tmp_path, monkeypatch):
    """Each block by itself, in an empty folder, on a tenth of the steps that it names or fewer."""
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    code = re.sub(r"steps=([\d_]+)", "steps=20", BLOCKS[index])
    names = {}
    exec(compile(code, f"README block {index}", "exec"), names)
    assert names


def test_the_quickstart_is_short():
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 20


def test_every_path_that_the_readme_names_is_there():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path


def test_every_command_that_the_readme_names_is_there():
    for module in re.findall(r"python -m (experiments\.[a-z_.]+)", README):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists(), module
