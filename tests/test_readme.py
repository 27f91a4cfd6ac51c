"""What the README and the pages show, runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]}
BLOCKS = list(dict.fromkeys(re.findall(r"```python\n(.*?)```", "\n".join(PAGES.values()), flags=re.DOTALL)))


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


def test_the_readme_is_short():
    assert README.count("\n") <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_and_command_that_a_page_names_is_there(page):
    text = PAGES[page]
    for path in re.findall(r"\]\((?!http)([^)#]+)\)|```{image} (\S+)", text):
        assert (page.parent / "".join(path)).exists(), path
    for module in re.findall(r"python -m (experiments\.[a-z_.]+)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_the_pages_build_without_a_warning(tmp_path):
    """Offline, with the notebooks as they are."""
    command = [sys.executable, "-m", "sphinx", "-qW", "--keep-going", "-c", "docs", ".", str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "html" / "docs" / "energies.html").exists()
