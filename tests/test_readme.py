"""What the README and the pages show, runs; every picture and every experiment is on a page."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import tyro
from PIL import Image

from genjax_models import commands
from genjax_models.commands import train
from tests.colours import matplotlib_colours

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SYSTEMS = sorted(ROOT.glob("docs/systems/*.md"))
PAGES = {
    path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *SYSTEMS]
}
GALLERY = ROOT / "docs" / "gallery.md"
PICTURES = {path.name for path in (ROOT / "experiments" / "pictures").iterdir()}
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
    exec(compile(code, f"README block {index}", "exec"), {})


@pytest.mark.parametrize("index", EXPERIMENTS)
def test_an_experiment_is_a_script_of_at_most_60_lines_whose_run_is_brought_back(index, tmp_path):
    assert BLOCKS[index].count("\n") <= 60
    (tmp_path / "toy.py").write_text(BLOCKS[index])
    flags = ["--steps", "20", "--evaluate-every", "20", "--seeds", "0:2", "--run-dir", "run"]
    load = "import genjax_models as gx; print(gx.load_run('run/seed_1').config.seed)"
    (verb,) = re.findall("`genjax-models ([a-z]+)`", PAGES[ROOT / "docs/new_experiment.md"])
    then = ["-m", "genjax_models", verb, "run/seed_1", "--to", "x.npz"]
    for arguments, printed in ((["toy.py", *flags], "report: "), (["-c", load], "1"), (then, "x.npz")):
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
    for path in re.findall(r"\]\((?!http)([^)#]+)\)|```{(?:image|figure)} (\S+)", text):
        assert (page.parent / "".join(path)).exists(), path
    for module in re.findall(r"python -m (experiments\.[a-z_.]+)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", "\n".join(PAGES.values()), flags=re.DOTALL)).replace("\\\n", " ")
INLINE = re.findall(r"`((?:python -m experiments|genjax-models [a-z])[^`]* [^`]+)`", "\n".join(PAGES.values()))
LINES = sorted(set(re.findall(r"(?:python -m experiments\.|genjax-models [a-z]).*", "\n".join([SHELL, *INLINE]))))


class Parsed(BaseException):
    """The arguments fit, and nothing has run."""


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_pages_is_accepted(line, monkeypatch, tmp_path):
    """Up to the end of its command line; `--resume RUN`, which needs a run, is read as `--run-dir RUN`."""
    parse = tyro.cli

    def stop(*arguments, **settings):
        parsed = parse(*arguments, **settings)
        if settings.get("return_unknown_args"):
            return parsed
        raise Parsed

    monkeypatch.setattr(tyro, "cli", stop)
    monkeypatch.chdir(tmp_path)
    line = re.sub(r"\|[\w.-]+", "", line.replace(" --resume ", " --run-dir ").rstrip('"'))  # of a|b: a
    words = [word for word in shlex.split(line, comments=True) if word not in ("&", "$run", "...")]
    main, flags = (commands.main, words[1:]) if words[0] == "genjax-models" else (main_of(words[2]), words[3:])
    with pytest.raises(Parsed):
        main(flags)


def test_no_two_commands_of_the_pages_write_to_one_place():
    """The second would stop with an error: no command replaces a file."""
    stems = {}
    for line in LINES:
        if match := re.match(r"genjax-models (?:draw|encode|reconstruct) .*--to ([\w/]+)", line):
            stems.setdefault(match[1].strip("/"), set()).add(line.partition("#")[0].strip())
    assert len(stems) > 4
    assert [lines for lines in stems.values() if len(lines) > 1] == []


def main_of(name):
    """Returns the command line of an experiment or a study."""
    is_package = (ROOT / name.replace(".", "/")).is_dir()
    module = importlib.import_module(f"{name}.__main__" if is_package else name)
    return partial(train.main, module.EXPERIMENT) if hasattr(module, "EXPERIMENT") else module.main


def pictures_of(page):
    """The names of the pictures on a page, in order."""
    return re.findall(r"```{(?:image|figure)} \S*/experiments/pictures/(\S+)", PAGES[page])


def shown(page):
    return set(pictures_of(page))


def test_every_picture_is_in_the_gallery_and_on_a_page_that_explains_it():
    assert shown(GALLERY) == PICTURES
    on_pages = [pictures_of(page) for page in PAGES if page != GALLERY]
    assert set().union(*on_pages) == PICTURES
    assert all(len(set(names)) == len(names) for names in on_pages)  # a page shows a picture once


def test_a_picture_of_the_gallery_has_a_caption_its_command_and_a_page_that_shows_it():
    figures = re.findall(r"```{figure} (\S+)\n.*?\n\n(.*?)\n```", PAGES[GALLERY], flags=re.DOTALL)
    assert len(figures) == len(PICTURES)
    for picture, caption in figures:
        parts = re.fullmatch(r"\S.*[.?] `(make|python -m|genjax-models) [^`]+`; \[.+\]\((.+)\)", caption)
        assert parts, caption
        assert "..." not in caption
        assert Path(picture).name in shown(GALLERY.parent / parts[2]), caption


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_opens_and_has_no_colour_of_matplotlib(name):
    with Image.open(ROOT / "experiments" / "pictures" / name) as picture:
        picture.load()
        assert min(picture.size) > 100
        assert name.endswith(".png") or getattr(picture, "n_frames", 1) >= 2
        assert matplotlib_colours(picture) == []


def test_every_picture_of_the_readme_is_there():
    pictures = re.findall(r'<img src="([^"]+)"', README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file(), picture


def test_the_readme_has_a_line_per_system():
    linked = re.findall(r"^\| \[[^]]+\]\(docs/systems/(\w+)\.md\) \|", README, flags=re.MULTILINE)
    assert sorted(linked) == sorted(page.stem for page in SYSTEMS)


def test_every_experiment_is_on_a_page():
    for path in ROOT.glob("experiments/[!_]*.py"):
        name = rf"\bexperiments\.{path.stem}\b"
        assert any(re.search(name, text) for page, text in PAGES.items() if page.parent != ROOT), path.name


@pytest.mark.parametrize("page", SYSTEMS, ids=lambda page: page.stem)
def test_the_page_of_a_system_has_its_parts(page):
    for part in ("Equation", "Command", "What to expect", "Reference"):
        assert f"\n## {part}\n" in PAGES[page], part
    assert "```{image}" in PAGES[page]
    assert re.search(r"\d (?:s|minutes)\b|minutes", PAGES[page])  # how long it takes


@pytest.fixture(scope="module")
def records():
    """The docstrings of experiments by module, on one line, with mean +- deviation of each list of seeds."""
    texts = {}
    for path in ROOT.glob("experiments/**/*.py"):
        _, *docstring = path.read_text(encoding="utf-8").split('"""', 2)
        text = re.sub(r"\s+", " ", docstring[0]) if docstring else ""
        lists = [np.array(found.split(", "), float) for found in re.findall(r"\d+\.\d+(?:, \d+\.\d+)+", text)]
        seeds = [f"{values.mean():.2f} +- {values.std(ddof=1):.2f}" for values in lists]
        texts[".".join(path.relative_to(ROOT).with_suffix("").parts)] = " ".join([text, *seeds])
    return texts


MEASURED_ELSEWHERE = {"judging.md"}  # by a command that the page shows


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_no_figure_that_is_in_no_record(page, records):
    """The page of a system has figures of the experiments that it names."""
    named = re.findall(r"experiments\.[a-z_.]*[a-z_]", PAGES[page]) if page in SYSTEMS else ["experiments"]
    own = " ".join(text for name, text in records.items() if any(f"{name}.".startswith(f"{part}.") for part in named))
    for figure in re.findall(r"[\u2212\d][\d,.]* ± [\d.]*\d", PAGES[page]):
        recorded = figure.replace("\u2212", "-").replace("±", "+-") in own
        assert recorded or page.name in MEASURED_ELSEWHERE, figure


def test_the_pages_build_without_a_warning(tmp_path):
    """Offline, with the notebooks as they are."""
    command = [sys.executable, "-m", "sphinx", "-qW", "--keep-going", "-c", "docs", ".", str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "html" / "docs" / "energies.html").exists()
