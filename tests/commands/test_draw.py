"""`draw` writes as many examples as were asked for, in a form that `load` takes."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

import genjax_models as gx
from genjax_models.commands import draw
from genjax_models.commands.example_files import float_range
from genjax_models.errors import InputError
from genjax_models.evaluation import standing_statistics
from genjax_models.runs import loading


def written(run, capsys, to, *arguments):
    assert draw.main([str(run), "--to", str(to), "--block", "4", *map(str, arguments)]) == 0
    assert capsys.readouterr().out.strip() == str(to)
    assert not [path for path in to.parent.iterdir() if path.name.startswith("tmp")]
    return to


def test_images_with_their_classes_are_data(runs, capsys, tmp_path):
    run = runs["conditional"]
    with np.load(written(run.path, capsys, tmp_path / "new" / "x.npz", "--n", 30)) as arrays:
        x, y = arrays["x"], arrays["y"]
    assert (x.shape, x.dtype) == ((30, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(y, np.arange(30) % 2)
    assert gx.load(tmp_path / "new" / "x.npz").num_classes == 2
    with np.load(written(run.path, capsys, tmp_path / "one.npz", "--n", 5, "--label", 1)) as arrays:
        assert set(arrays["y"]) == {1}
    with np.load(written(run.path, capsys, tmp_path / "again.npz", "--n", 30)) as arrays:
        np.testing.assert_array_equal(arrays["x"], x)


def test_a_folder_holds_the_same_images(runs, capsys, tmp_path):
    run = runs["conditional"].path
    folder = written(run, capsys, tmp_path / "folder", "--n", 10)
    with np.load(written(run, capsys, tmp_path / "x.npz", "--n", 10)) as arrays:
        x = arrays["x"]
    names = sorted(path.name for path in folder.glob("*.png"))
    assert names == [f"{i}.png" for i in range(10)]
    assert (folder / "labels.csv").read_text(encoding="utf-8").splitlines()[3] == "3.png,1"
    for name, image in zip(names, x, strict=True):
        with Image.open(folder / name) as stored:
            np.testing.assert_array_equal(np.asarray(stored), image[..., 0])


def test_what_lies_beside_the_output_stays(runs, capsys, tmp_path):
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / "mine.txt").write_text("mine", encoding="utf-8")
    written(runs["vae"].path, capsys, tmp_path / "a", "--n", 2)
    assert (tmp_path / "a.partial" / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_a_truncation_draws_the_latents_again(small_biggan, capsys, tmp_path):
    """At a truncation near 0 all samples of a class are alike; without, they differ."""
    spread = {}
    for name, flags in (("narrow", ("--truncation", 1e-6)), ("wide", ())):
        path = written(small_biggan.path, capsys, tmp_path / f"{name}.npz", "--n", 6, *flags)
        with np.load(path) as arrays:
            x = arrays["x"].astype(int)
        spread[name] = max(np.ptp(x[c::2], axis=0).max() for c in (0, 1))
    assert spread["narrow"] <= 1
    assert spread["wide"] > 10


def test_at_a_truncation_samples_are_normalised_by_standing_statistics(small_biggan, capsys, tmp_path, monkeypatch):
    run = gx.load_run(small_biggan.path)
    other = gx.load_run(small_biggan.path, "last").variables["batch_stats"]

    def standing(model, variables, key, *, truncation):
        assert truncation == 0.5
        jax.tree.map(np.testing.assert_array_equal, variables, run.variables)
        return {**variables, "batch_stats": other}

    monkeypatch.setattr(standing_statistics, "standing_statistics", standing)
    key, players = jax.random.fold_in(jax.random.key(0), 0), {"generator": {**run.variables, "batch_stats": other}}
    x = 127.5 * (1 + run.system.draw(players, key, 4, truncation=0.5))
    assert np.ptp(x) > 5
    with np.load(written(small_biggan.path, capsys, tmp_path / "x.npz", "--n", 4, "--truncation", 0.5)) as arrays:
        np.testing.assert_allclose(arrays["x"], x, atol=0.6)


def test_vectors_keep_their_values(runs, capsys, tmp_path):
    with np.load(written(runs["vectors"].path, capsys, tmp_path / "x.npz", "--n", 6, "--show", "draws")) as arrays:
        assert list(arrays) == ["x"]
        assert arrays["x"].dtype == np.float32
        assert arrays["x"].shape[0] == 6


def test_images_of_floats_are_drawn_in_the_units_of_the_data(of_floats, capsys, tmp_path):
    """They are not clipped; PNG files are, and the command says so."""
    to, n = tmp_path / "x.npz", ["--n", "6", "--block", "4", "--show", "draws"]
    assert draw.main([str(of_floats.path), "--to", str(to), *n]) == 0
    note, path = capsys.readouterr().out.splitlines()
    assert note == "float32 in the units of the data, whose range is [0, 16]; values are not clipped"
    assert path == str(to)
    with np.load(to) as arrays:
        x = arrays["x"]
    assert x.dtype == np.float32
    drawn = of_floats.system.objective.sample(of_floats.players, jax.random.fold_in(jax.random.key(0), 0), 4)
    np.testing.assert_allclose(x[:4], 16 * drawn, rtol=1e-4, atol=1e-4)
    assert x.min() < 0
    assert draw.main([str(of_floats.path), "--to", str(tmp_path / "folder"), *n]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "PNG files have 8 bits: values are clipped to [0, 16]"
    for image, values in zip(sorted((tmp_path / "folder").glob("*.png")), x, strict=True):
        with Image.open(image) as stored:
            np.testing.assert_allclose(np.asarray(stored) / 255 * 16, np.clip(values[..., 0], 0, 16), atol=16 / 255)


@pytest.mark.parametrize(
    ("stored", "given", "floats"),
    [
        ({"type": "uint8", "range": [0, 255]}, None, None),
        ({"type": "uint8", "range": [0, 1]}, (0, 1), None),
        ({"type": "float32", "range": [0, 1]}, None, (0, 1)),
        ({"type": "float32", "range": [0, 16]}, (0, 16), (0, 16)),
        ({}, None, None),
        ({}, (0, 255), None),
        ({}, (-1, 1), (-1, 1)),
    ],
)
def test_the_range_of_floats_is_what_the_run_recorded(stored, given, floats, runs):
    run = loading.load_run(runs["vae"].path)
    config = dataclasses.replace(run.config, data=dataclasses.replace(run.config.data, range=given))
    assert float_range(run._replace(stored=stored, config=config)) == floats


def test_a_run_records_the_type_and_range_of_its_data(trained):
    assert loading.load_run(trained).stored == {"type": "uint8", "range": [0, 255]}


@pytest.mark.parametrize("place", ["x.npz", "folder"])
def test_a_model_that_makes_fewer_examples_writes_nothing(place, runs, monkeypatch, tmp_path):
    load_run = loading.load_run

    def of_fewer(*arguments):
        run = load_run(*arguments)
        return run._replace(system=run.system._replace(draw=lambda *given: run.system.draw(*given)[:3]))

    monkeypatch.setattr(loading, "load_run", of_fewer)
    to = tmp_path / place
    with pytest.raises(InputError, match=f"^--to {to}: needs 10 examples, and the model made 8$"):
        draw.draw(draw.Draw(runs["vae"].path, to, n=10, block=4))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("vectors", "--to {tmp}/folder", "PNG files need images, got examples of shape"),
        ("vae", "--to {tmp}", "is there already. Name a .npz file, or a folder that is not there yet"),
        ("vae", "--to {tmp}/x.png", "x.png: must end in .npz, or name a folder, without a suffix"),
        ("vae", "--n 3", "missing --to PATH: A .npz file (x, and y for classes), or a folder"),
        ("vae", "--to {tmp}/x.npz --label 1", "the model in {run} is not conditional on a class"),
        ("conditional", "--to {tmp}/x.npz --label 2", "the classes of {run} are 0 to 1"),
        ("vae", "--to {tmp}/x.npz --truncation 0.5", "the model in {run} has no truncation of z"),
        ("vae", "--to {tmp}/x.npz --n 0", "n must be an integer of at least 1, got 0"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(kind, arguments, words, runs, refused, tmp_path):
    run = runs[kind].path
    assert words.format(run=run) in refused(draw, run, *arguments.format(tmp=tmp_path).split())
    assert list(tmp_path.iterdir()) == []
