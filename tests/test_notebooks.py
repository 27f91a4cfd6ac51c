"""Every notebook runs from top to bottom, on a small budget."""

import base64
import io
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from tests.colours import matplotlib_colours

SHORTER = {
    r"\bsteps=[\d_]+": "steps=30",
    r"\brepeats=[\d_]+": "repeats=4",
    r"\bnum_permutations=[\d_]+": "num_permutations=19",
    r"\bannealed\(x, 100\b": "annealed(x, 10",
    r"\(10, 100\)": "(5, 10)",
    r"\bnodes=301": "nodes=61",
    r"\btest\.x\[:16\]": "test.x[:4]",
    r"\bsample_shape=1_024": "sample_shape=256",
    r"jax\.random\.key\(3\), 200\)": "jax.random.key(3), 9)",
    r"RandomState\(0\), 5_000\)": "RandomState(0), 300)",
    r"\bsizes = \[[\d, ]+\]": "sizes = [10, 20]",
}
NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.slow  # over 12 seconds of processor time each
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# The kernel's own machinery, not the notebook: zmq's sockets are closed by the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning")
def test_a_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].source.splitlines()[0].endswith("?"), "a notebook opens with a question"
    for cell in notebook.cells:
        for long, short in SHORTER.items():
            cell.source = re.sub(long, short, cell.source)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs), "a notebook plots its answer"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_executed(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_progress_bars_and_no_standard_error(path):
    notebook = nbformat.read(path, as_version=4)
    assert "widgets" not in notebook.metadata
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        assert output.get("name") != "stderr", output
        assert not any("widget" in kind for kind in output.get("data", {})), output


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_pictures_of_a_notebook_have_no_colour_of_matplotlib(path):
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for picture in [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert matplotlib_colours(image) == []
