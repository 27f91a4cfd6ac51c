"""Files that commands write where the user says: no other file is lost."""

import ast
import importlib
import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from genjax_models import commands
from genjax_models.errors import CheckpointError, InputError
from genjax_models.runs.command_line import exit_on_error
from genjax_models.runs.output_files import check_output, write_output
from genjax_models.runs.streams import best_effort_output

ROOT = Path(__file__).parent.parent.parent
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("notes.txt", r"--to .*notes\.txt: must end in \.png"),
        ("notes", r"notes: must end in \.png"),
        ("picture.jpeg", r"picture\.jpeg: must end in \.png"),
        ("text.png", "exists, and is not a PNG file; name another"),
        ("folder.png", "is a directory; name a file"),
        ("link.png", "is a symbolic link; name the file itself"),
        ("pipe.png", "is a device; name a file"),
        ("text.png/picture.png", None),
        ("absent.PNG", None),
        ("picture.png", None),
        ("empty.png", None),
    ],
)
def test_fault_91_only_pictures_are_overwritten_by_pictures(name, message, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "text.png").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "notes.txt")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "picture.png").write_bytes(PNG + b"old")
    (tmp_path / "empty.png").touch()
    if message is None:
        check_output(tmp_path / name, ".png")
        return
    with pytest.raises(InputError, match=message):
        check_output(tmp_path / name, ".png")


def test_fault_37_a_full_disk_keeps_no_part_of_a_file(tmp_path):
    """A limit on the size of files stands for a full disk."""
    (tmp_path / "a.html").write_text("<!doctype html>")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(InputError, match=r"--to .*a\.html: cannot be written \(File too large\)"):
            write_output(tmp_path / "a.html", bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_text() == "<!doctype html>"


def test_only_archives_are_overwritten_by_archives(tmp_path):
    np.savez(tmp_path / "old.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("mine")
    check_output(tmp_path / "old.npz", ".npz")
    with pytest.raises(InputError, match=r"--to .*text\.npz: exists, and is not a NPZ file; name another"):
        check_output(tmp_path / "text.npz", ".npz", "--to")


def test_a_file_that_may_not_be_replaced_is_refused(tmp_path):
    (tmp_path / "old.png").write_bytes(PNG)
    check_output(tmp_path / "new.png", ".png", overwrite=False)
    with pytest.raises(InputError, match=r"old\.png: exists already; name another, or replace it with --overwrite$"):
        check_output(tmp_path / "old.png", ".png", overwrite=False)


def test_fault_91_a_file_that_cannot_be_written_is_one_line(tmp_path):
    write_output(tmp_path / "deep" / "er.png", PNG)
    assert (tmp_path / "deep" / "er.png").read_bytes() == PNG
    with pytest.raises(InputError, match=r"^--to .*more\.png: cannot be written \("):
        write_output(tmp_path / "deep" / "er.png" / "more.png", PNG, "--to")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["er.png"]


STUDIES = "bilinear_game", "gradient_signal", "importance_sampling", "mmd_batch_size", "moment_matching", "payoffs"


@pytest.mark.parametrize("study", STUDIES)
def test_fault_91_studies_refuse_files_that_are_no_pictures(study, tmp_path, capsys):
    place = ROOT / "experiments" / "studies" / study / "__main__.py"
    main = importlib.import_module(f"experiments.studies.{study}{'.__main__' * place.exists()}").main
    with pytest.raises(SystemExit, match="2"):
        main([*(["run"] if study in ("gradient_signal", "importance_sampling") else []), "--to", "notes.txt"])
    assert capsys.readouterr().err.startswith("error: --to notes.txt: must end in .png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sample run --to notes.txt", "--to notes.txt: must end in .png"),
        ("data mnist10k --to notes.txt", "--to notes.txt: must end in .png"),
        ("compare run --to notes.txt", "--to notes.txt: must end in .html"),
        ("compare run --overwrite --to notes.html", "--to notes.html: exists, and is not a HTML file"),
    ],
)
def test_fault_91_commands_overwrite_no_notes(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name in ("notes.txt", "notes.html"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        commands.main(arguments.split())
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert {(tmp_path / name).read_text() for name in ("notes.txt", "notes.html")} == {"mine"}


@pytest.mark.parametrize("best_effort", [False, True])
def test_fault_91_what_an_ascii_terminal_does_not_have_is_printed_as_escapes(best_effort, monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    if best_effort:
        with best_effort_output(), exit_on_error():
            print("report: bild\u00e9/\udcc3.html")
    else:
        with exit_on_error():
            print("report: bild\u00e9/\udcc3.html")
    assert output.getvalue() == b"report: bild\\xe9/\\udcc3.html\n"


def test_fault_62_commands_take_closed_streams(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)  # as of `>&-`
    with exit_on_error():
        print("done")
    monkeypatch.undo()
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit, match="2"), exit_on_error():
        raise InputError("refused")
    assert capsys.readouterr() == ("", "")  # nor is an error taken for output


def test_fault_91_a_name_that_the_locale_cannot_write_is_one_line(capsys):
    with pytest.raises(SystemExit, match="2"), exit_on_error():
        "bild\u00e9.npz".encode("ascii")
    assert capsys.readouterr().err == "error: 'bild\\xe9.npz' cannot be written in ascii: set PYTHONUTF8=1\n"


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize backend 'cuda': no driver")])
def test_fault_91_a_device_that_is_not_there_is_one_line(error, monkeypatch, capsys):
    def missing():
        raise error

    monkeypatch.setattr(jax, "devices", missing)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(SystemExit, match="2"), exit_on_error():
        jax.devices()
    reason = str(error) or "JAX has no such backend"
    assert capsys.readouterr().err == (
        f"error: JAX_PLATFORMS is 'cuda', and this machine has no such device ({reason}). Unset it, or use cpu\n"
    )
    monkeypatch.undo()
    for other in (RuntimeError("a fault of our own"), AssertionError("another")):
        with pytest.raises(type(other)) as caught, exit_on_error():
            raise other
        assert caught.value is other
    with pytest.raises(SystemExit, match="2"), exit_on_error():
        raise CheckpointError("is absent")


def text_without_encoding(path):
    """Yields the lines that read or write text in the encoding of the locale."""
    for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        named = any(keyword.arg == "encoding" for keyword in call.keywords)
        modes = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        opens = name == "open" and modes and modes[-1] in ("r", "w", "x", "a", "r+") and not named
        reads = name == "read_text" and not call.args and not named
        writes = name == "write_text" and len(call.args) < 2 and not named
        if opens or reads or writes:
            yield f"{path.relative_to(ROOT)}:{call.lineno}"


@pytest.mark.slow
def test_fault_91_text_is_utf_8_in_every_locale():
    files = [path for folder in ("genjax_models", "experiments") for path in (ROOT / folder).rglob("*.py")]
    assert [line for path in files for line in text_without_encoding(path)] == []
    assert (ROOT / "genjax_models" / "__init__.pyi").read_bytes().isascii()  # read in the encoding of the locale


@pytest.mark.slow
def test_fault_91_a_run_in_an_ascii_locale_has_its_report_and_a_missing_device_is_one_line(tmp_path):
    np.savez(tmp_path / "b\u00e9.npz", x=np.random.RandomState(0).randint(0, 256, (60, 8, 8), np.uint8))
    flags = "--hidden 8 --steps 2 --batch-size 10 --warmup 0 --run-dir".split()
    command = [sys.executable, "-W", "ignore", "-m", "experiments.vae", "--data", "b\u00e9.npz", *flags]
    ascii_ = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}

    def ended(*more, **environment):
        return subprocess.run(
            [*command, *more], cwd=tmp_path, capture_output=True, env=os.environ | ascii_ | environment, timeout=300
        )

    done = ended("run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"report: {tmp_path}/run/report.html".encode()
    assert "b\\udcc3\\udca9.npz" in (tmp_path / "run" / "report.html").read_text("utf-8")
    for more in (["other"], ["other", "--dry-run"]):
        refused = ended(*more, JAX_PLATFORMS="nonsense")
        assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)
        assert refused.stderr.startswith(b"error: JAX_PLATFORMS is 'nonsense', and this machine has no such device (")
    assert not (tmp_path / "other").exists()
