"""Commands that take other data have the flags that errors of the loader recommend."""

from pathlib import Path

import numpy as np
import pytest

from genjax_models.commands import data, draw, encode, impute, judge, reconstruct, sample
from genjax_models.commands.encoders import data_of
from genjax_models.runs.loading import load_run
from genjax_models.systems.file_options import FileOptions

FLAGS = "--data-keys x=pixels y=digit --data-range 0 2 --data-kind images".split()


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Folder of images in [0, 2], by other names of the arrays: of the shape of the runs, and wider."""
    folder = tmp_path_factory.mktemp("named")
    for name, shape in (("named", (60, 8, 8)), ("wide", (60, 8, 9))):
        x = np.random.RandomState(0).uniform(0, 2, shape).astype(np.float32)
        np.savez(folder / f"{name}.npz", pixels=x, digit=np.arange(60) % 2)
    return folder


@pytest.mark.parametrize("command", [encode, reconstruct, impute])
def test_the_flags_that_the_loader_names_reach_it(command, named, runs, refused, tmp_path):
    run, to = runs["vae"].path, ("--to", tmp_path / "a.npz")
    assert "(--data-keys x=digit y=pixels)" in refused(command, run, "--data", named / "wide.npz", *to)
    line = refused(command, run, "--data", named / "wide.npz", *to, *FLAGS)
    assert line.endswith("examples must have the shape (8, 8, 1) of the run, got (8, 9, 1)")
    line = refused(command, run, *to, *FLAGS)
    assert line.startswith(
        "--data-range, --data-kind, --data-keys: give --data too, since the data of the run are read"
    )


def test_other_data_in_another_range_are_scaled_as_in_training(named, runs, tmp_path):
    run = load_run(runs["vae"].path)
    with np.load(named / "named.npz") as arrays:
        np.savez(tmp_path / "unit.npz", x=arrays["pixels"][..., None] / 2, y=arrays["digit"])
    files = FileOptions((0, 2), "images", ("x=pixels", "y=digit"))
    by_flags = data_of(run, str(named / "named.npz"), files)[0].test
    plain = data_of(run, str(tmp_path / "unit.npz"))[0].test
    np.testing.assert_array_equal(by_flags.x, plain.x)
    np.testing.assert_array_equal(by_flags.label, plain.label)


@pytest.mark.parametrize("command", [data, draw, encode, impute, judge, reconstruct, sample])
def test_a_file_is_replaced_only_if_the_user_says_so(command, runs, files, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a long path would be wrapped
    run, end = runs["conditional"].path, {data: ".png", judge: ".html", sample: ".png"}.get(command, ".npz")
    arguments = {data: [files / "images.npz"], judge: [run, run]}.get(command, [run])
    path, content = (
        Path(f"a{end}"),
        {".html": b"<!doctype html>", ".png": b"\x89PNG\r\n\x1a\n", ".npz": b"PK"}[end],
    )
    path.write_bytes(content)
    line = refused(command, *arguments, "--to", path)
    assert line.startswith(f"--to {path}: exists already; name another, or replace it with --overwrite")
    assert path.read_bytes() == content


@pytest.mark.parametrize("command", [encode, reconstruct])
def test_a_picture_is_replaced_only_if_the_user_says_so(command, runs, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, picture = runs["vae"].path, Path("a_pairs.png")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert refused(command, run, "--to", "a.npz").startswith(f"--picture {picture}: exists already; name")
    assert command.main([str(run), "--to", "a.npz", "--overwrite"]) == 0
    assert picture.stat().st_size > 1000
    assert command.main([str(run), "--to", "a.npz", "--overwrite"]) == 0
