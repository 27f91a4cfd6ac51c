"""`reconstruct` writes what the model makes of data, in a form that `load` takes, and a picture of pairs."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import genjax_models as gx
from experiments import colourise, gmmn, gmmn_autoencoder
from genjax_models.commands import encode, reconstruct
from genjax_models.commands.example_files import Examples, write_examples
from genjax_models.figures import plots
from genjax_models.runs.configuration import Training
from genjax_models.runs.loading import load_run
from genjax_models.systems.settings import Data

SIZES = {"train": 48, "validation": 6, "test": 6}


def written(run, capsys, to, *arguments):
    assert reconstruct.main([str(run), "--to", str(to), *map(str, arguments)]) == 0
    return capsys.readouterr().out.split()


def arrays_of(path):
    with np.load(path) as arrays:
        return dict(arrays)


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("conditional", "draw")]


@pytest.mark.parametrize("kind", ["vae", "two layers", "autoencoder", *SLOW])
def test_every_split_is_reconstructed_and_pairs_are_drawn(kind, runs, files, capsys, tmp_path):
    to, run = tmp_path / "new" / "x.npz", runs[kind].path
    assert written(run, capsys, to) == [str(to), str(to.with_name("x_pairs.png"))]
    arrays = arrays_of(to)
    assert {name: (a.shape, a.dtype) for name, a in arrays.items() if name.startswith("x")} == {
        f"x_{split}": ((n, 8, 8, 1), np.uint8) for split, n in SIZES.items()
    }
    assert {name for name in arrays if name.startswith("y")} == {f"y_{split}" for split in SIZES}
    with Image.open(to.with_name("x_pairs.png")) as image:
        assert image.size[0] > 2 * image.size[1]
    loaded = load_run(run, data=True)
    np.testing.assert_array_equal(arrays["y_test"], loaded.data.test.label)
    if kind in ("vae", "autoencoder"):
        model, x = loaded.model, loaded.data.test.x
        z = model.encode(loaded.variables, x) if kind == "autoencoder" else model.posterior(loaded.variables, x).mean()
        expected = np.clip(model.generate(loaded.variables, z), 0, 1) * 255
        np.testing.assert_allclose(arrays["x_test"], expected, atol=0.6)


def test_floats_keep_the_units_of_the_data_and_the_picture_the_range_of_the_model(
    of_floats, capsys, tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr(plots, "reconstructions", lambda x, made, **_: shown.append(made) or plots.image_grid(made))
    to = tmp_path / "x.npz"
    assert reconstruct.main([str(of_floats.path), "--to", str(to), "--split", "test"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[0].startswith("float32 in the units of the data, whose range is [0, 16]")
    )
    loaded = load_run(of_floats.path, data=True)
    model, x = loaded.model, loaded.data.test.x
    expected = model.generate(loaded.variables, model.posterior(loaded.variables, x).mean())
    np.testing.assert_allclose(arrays_of(to)["x"], 16 * expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(shown[0], expected, rtol=1e-4, atol=1e-5)


def test_a_draw_does_not_depend_on_the_block(runs, files, capsys, tmp_path):
    run, x = runs["vae"].path, []
    data = ("--data", files / "images.npz", "--split", "test", "--at", "draw")
    for block in (6, 4):
        written(run, capsys, tmp_path / f"{block}.npz", "--block", block, *data)
        x.append(arrays_of(tmp_path / f"{block}.npz"))
        assert set(x[-1]) == {"x", "y"}
    np.testing.assert_allclose(x[0]["x"].astype(int), x[1]["x"].astype(int), atol=1)
    loaded = load_run(run, data=True)
    means = loaded.model.posterior(loaded.variables, loaded.data.test.x).mean()
    assert np.abs(x[0]["x"] - 255 * loaded.model.generate(loaded.variables, means)).max() > 5


def test_a_folder_has_a_folder_for_each_split(runs, capsys, tmp_path):
    folder, picture = tmp_path / "folder", tmp_path / "mine.png"
    assert written(runs["vae"].path, capsys, folder, "--picture", picture) == [str(folder), str(picture)]
    for split, n in SIZES.items():
        assert len(list((folder / split).glob("*.png"))) == n
        assert len((folder / split / "labels.csv").read_text().splitlines()) == n


def test_other_data_without_splits_are_reconstructed_in_their_order(runs, files, capsys, tmp_path):
    """A split that is asked for is a split."""
    run = runs["vae"].path
    with np.load(files / "images.npz") as arrays:
        given = dict(arrays)
    written(run, capsys, tmp_path / "x.npz", "--data", files / "images.npz")
    whole = arrays_of(tmp_path / "x.npz")
    assert whole["x"].shape == (60, 8, 8, 1)
    np.testing.assert_array_equal(whole["y"], given["y"])
    written(run, capsys, tmp_path / "one.npz", "--data", files / "images.npz", "--split", "test")
    assert arrays_of(tmp_path / "one.npz")["x"].shape == (6, 8, 8, 1)
    written(run, capsys, tmp_path / "folder", "--data", files / "images.npz")
    assert len(list((tmp_path / "folder").glob("*.png"))) == 60
    assert (tmp_path / "folder" / "labels.csv").read_text().splitlines()[1] == "01.png,1"


def test_what_is_written_is_data(tmp_path):
    random = np.random.RandomState(0)
    x = {split: random.randint(0, 256, (n, 8, 8, 1), np.uint8) for split, n in SIZES.items()}
    for place in (tmp_path / "x.npz", tmp_path / "folder"):
        examples = {split: Examples(len(a), np.split(a, 2), np.arange(len(a)) % 2) for split, a in x.items()}
        write_examples(place, examples)
        data = gx.load(place) if place.suffix else gx.load(place, images={"size": None})
        for split, images in x.items():
            in_order = slice(None) if place.suffix else np.argsort(np.arange(len(images)) % 2, stable=True)
            np.testing.assert_array_equal(getattr(data, split).x, images[in_order])
            np.testing.assert_array_equal(getattr(data, split).label, (np.arange(len(images)) % 2)[in_order])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "x.npz"]


def test_vectors_keep_their_values_and_have_no_picture(runs, capsys, tmp_path):
    assert written(runs["vectors"].path, capsys, tmp_path / "x.npz") == [str(tmp_path / "x.npz")]
    arrays = arrays_of(tmp_path / "x.npz")
    assert {a.dtype for a in arrays.values()} == {np.dtype(np.float32)}
    assert arrays["x_train"].shape == (SIZES["train"], 8)


def test_another_player_may_have_the_encoder(store, files, capsys, tmp_path):
    data = Data(name=str(files / "images.npz"))
    sizes = {"hidden": (4,), "latent": 3, "code": 2, "autoencoder_hidden": (4,), "autoencoder_steps": 1}
    run = store(tmp_path / "run", gmmn_autoencoder.EXPERIMENT, gmmn_autoencoder.Config(**sizes, data=data).load()[0])
    to = tmp_path / "x.npz"
    written(run.path, capsys, to, "--split", "test")
    loaded = load_run(run.path, data=True)
    expected = loaded.system.reconstruct(loaded.players, loaded.data.test)
    np.testing.assert_allclose(arrays_of(to)["x"], np.clip(expected, 0, 1) * 255, atol=0.6)


@pytest.mark.slow
def test_a_condition_may_be_the_picture(store, files, capsys, tmp_path):
    data = dataclasses.replace(colourise.Config().data, name=str(files / "colours.npz"))
    config = colourise.Config(channels=(4,), hidden=(4,), latent=2, data=data, training=Training(batch_size=8))
    run = store(tmp_path / "run", colourise.EXPERIMENT, config.load()[0])
    written(run.path, capsys, tmp_path / "x.npz", "--split", "test")
    loaded, x = load_run(run.path, data=True), arrays_of(tmp_path / "x.npz")["x"]
    model, test, grey = loaded.model, loaded.data.test, loaded.model.condition.of(loaded.data.test)
    z = model.posterior(loaded.variables, test.x, grey).mean()
    np.testing.assert_allclose(x, np.clip(model.generate(loaded.variables, z, grey), 0, 1) * 255, atol=0.6)
    assert encode.main([str(run.path), "--to", str(tmp_path / "codes.npz")]) == 0
    np.testing.assert_allclose(arrays_of(tmp_path / "codes.npz")["x_test"], z, rtol=1e-4, atol=1e-5)


def test_bad_input_is_one_line_and_writes_nothing(runs, store, files, refused, tmp_path):
    config = gmmn.Config(hidden=(4,), latent=2, data=Data(name=str(files / "images.npz")))
    sampler = store(tmp_path / "sampler", gmmn.EXPERIMENT, config.load()[0]).path
    paths = {"sampler": sampler, **{kind: run.path for kind, run in runs.items()}}
    cases = [
        ("sampler", "", "{run}: needs a model with an encoder, such as a run of experiments.vae or"),
        ("autoencoder", "--at draw", "{run}: --at draw needs q(z | x), and this encoder is a function. Use --at mean"),
        ("vae", "--data {files}/colours.npz", "examples must have the shape (8, 8, 1) of the run, got (8, 8, 3)"),
        ("conditional", "--data {files}/grey.npz", "needs a label per example"),
        ("vectors", "--picture {tmp}/x.png", "--picture needs images, got examples of shape (8,)"),
        ("vae", "--block 0", "block must be an integer of at least 1, got 0"),
        ("vae", "--picture {tmp}/x.html", "must end in .png"),
    ]
    for kind, arguments, words in cases:
        flags = arguments.format(files=files, tmp=tmp_path).split()
        assert words.format(run=paths[kind]) in refused(reconstruct, paths[kind], "--to", tmp_path / "x.npz", *flags)
    assert "PNG files need images" in refused(reconstruct, paths["vectors"], "--to", tmp_path / "folder")
    assert "must end in .npz, or name a folder" in refused(reconstruct, paths["vae"], "--to", tmp_path / "x.npy")
    assert "is there already" in refused(reconstruct, paths["vae"], "--to", sampler)
    assert list(tmp_path.iterdir()) == [sampler]
