"""The command `data` says what a data set is, and exits with 2 where training would refuse it."""

import contextlib
import os
import shlex
import warnings

import numpy as np
import pytest
from PIL import Image

from experiments import vae
from genjax_models.commands import data
from genjax_models.runs.command_line import exit_on_error, parse_run

X = np.random.RandomState(0).randint(0, 200, (40, 5, 4, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def images(folder, names, x=X):
    for name, image in zip(names, x, strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)
    return folder


def rows(capsys, *arguments, status=0):
    """The printed rows by name; an error is a row too."""
    with pytest.raises(SystemExit) if status else contextlib.nullcontext() as stop:
        data.main([str(argument) for argument in arguments])
    assert stop is None or stop.value.code == status
    out, err = capsys.readouterr()
    printed = {line[:12].strip(): line[12:] for line in out.splitlines()}
    lines = [line.rpartition("\r")[2].strip() for line in err.splitlines()]
    return printed | dict(line.split(": ", 1) for line in lines if line.startswith("error: "))


def test_a_folder_of_classes_is_described(here, capsys):
    names = [f"{'bee' if i % 4 else 'ant'}/{i}.{'png' if i % 2 else 'bmp'}" for i in range(40)]
    folder = images(here / "insects", names, [*X[:39], X[0]])
    for name in ("a.heic", "b.heic", "notes.txt"):
        (folder / "ant" / name).write_bytes(b"")
    with pytest.warns(UserWarning, match="3 of 43 files are left out"):
        found = rows(capsys, "insects", "--image-size", "5", "4")
    assert found["files"] == ".bmp (20), .png (20)"
    assert found["left out"] == ".heic (2), .txt (1)"
    assert found["folders"] == "bee (30), ant (10)"
    assert (found["sizes"], found["modes"]) == ("4 x 5 (40)", "RGB (40)")
    assert found["data"].startswith("insects: 32 training, 4 validation, 4 test examples of shape (5, 4, 3)")
    assert found["kind"] == "colour images of 5 x 4, uint8 in [0, 255]"
    assert found["classes"] == "2, with training examples: ant (9), bee (23)"
    assert "1 of 40 examples are copies" in found["source"]
    expected = "1 in training, 0 in validation, 0 in test, 0 of validation in training, 0 of test in training"
    assert found["copies"] == expected
    assert found["values"].count(", mean ") == 3
    assert list(found)[-2:] == ["sheet", "next"]
    assert found["sheet"] == "insects-contact-sheet.png"
    assert found["next"] == "python -m experiments.vae --data insects --image-size 5 4"
    with Image.open(here / found["sheet"]) as sheet:
        assert sheet.width > 300


def test_a_folder_that_training_refuses_shows_its_files_and_exits_with_2(here, capsys):
    images(here / "a", [f"{name}/{i}.png" for name in ("ant", "bee", "test") for i in range(10)])
    found = rows(capsys, "a", status=2)
    assert found["folders"] == "ant (10), bee (10), test (10)"
    assert "test is the name of a split, but ant is not" in found["error"]
    assert "sheet" not in found


def test_arrays_without_images_have_no_sheet(here, capsys):
    np.savez("a.npz", x=np.random.RandomState(0).rand(30, 3))
    found = rows(capsys, "a.npz")
    assert found["kind"] == "vectors of 3 numbers, float32 in [0, 1]"
    assert found["classes"] == "none, the data have no labels"
    assert sorted(path.name for path in here.iterdir()) == ["a.npz"]
    assert found["next"] == "python -m experiments.vae --data a.npz"


@pytest.mark.parametrize("to", [["--to", "my sheet.png"], ["--to=my sheet.png"]])
def test_the_next_command_trains_on_the_same_data(to, here, capsys):
    np.savez("my a.npz", x=X / np.float32(255), pixels=X[..., 0] / np.float32(255))
    found = rows(capsys, "my a.npz", "--data-kind", "images", *to, "--data-keys", "x=pixels")
    assert (found["kind"], found["sheet"]) == ("grey images of 5 x 4, float32 in [0, 1]", "my sheet.png")
    program, *arguments = shlex.split(found["next"].removeprefix("python -m "))
    assert program == vae.EXPERIMENT.module
    config, _ = parse_run(vae.Config, arguments, program)
    assert (config.data.name, config.data.kind, config.data.keys) == ("my a.npz", "images", ("x=pixels",))
    sequences = rows(capsys, "my a.npz", "--data-kind", "sequences", "--data-keys", "x=pixels")
    assert (
        sequences["next"] == "python -m experiments.vrnn --data 'my a.npz' --data-kind sequences --data-keys x=pixels"
    )


def test_a_warning_of_a_command_is_one_line():
    before = warnings.formatwarning
    with exit_on_error():
        assert warnings.formatwarning("two\n lines", UserWarning, "a.py", 1) == "warning: two lines\n"
    assert warnings.formatwarning is before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no data set 'nothing'"),
        (["mnist10k", "--to", "notes.txt"], "--to notes.txt: must end in .png"),
        (["mnist10k", "--data-keys", "x"], "data-keys must be pairs such as x=pixels, got 'x'"),
        (["a.npz"], "may be grey images or sequences"),
    ],
)
def test_bad_input_is_one_line(arguments, message, here, capsys):
    np.savez("a.npz", x=np.random.RandomState(0).rand(30, 3, 4))
    assert message in rows(capsys, *arguments, status=2)["error"]
    assert sorted(path.name for path in here.iterdir()) == ["a.npz"]


def test_fault_11_a_pipe_among_images_is_named_without_waiting(here, capsys):
    folder = images(here / "some", [f"{i}.png" for i in range(12)])
    os.mkfifo(folder / "x.png")
    printed = rows(capsys, "some", status=2)
    assert printed["sizes"] == "4 x 5 (12), unreadable (1)"
    assert "x.png: cannot be read as an image (not a regular file)" in printed["error"]
