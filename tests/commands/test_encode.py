"""`encode` writes means and standard deviations of q(z | x) of every split, and a picture of reconstructions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genjax_models as gx
from experiments import vae
from genjax_models.commands import encode
from genjax_models.commands.encoders import blocks_of
from genjax_models.data.records import Records
from genjax_models.data.splits import Split
from genjax_models.runs.loading import load_run
from genjax_models.systems.groups import Likelihood, Networks
from genjax_models.systems.settings import Data
from genjax_models.types import Batch
from tests.commands.conftest import NO_POSTERIOR


@pytest.mark.parametrize(("kind", "latent"), [("vae", 3), ("conditional", 3), ("two layers", 6)])
def test_codes_of_a_run_are_data(kind, latent, runs, files, capsys, tmp_path):
    run, out, picture = runs[kind].path, tmp_path / "codes.npz", tmp_path / "pairs.png"
    assert encode.main([str(run), "--to", str(out), "--picture", str(picture)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{out}: x_train [48, {latent}], ")
    assert second == str(picture)
    with Image.open(picture) as image:
        assert image.size[0] > 100
    with np.load(out) as arrays:
        codes = arrays["x_test"]
        assert codes.shape == (6, latent)
        splits = ("train", "validation", "test")
        assert set(arrays) == {f"{name}_{split}" for name in ("x", "sd", "y") for split in splits}
        deviations = arrays["sd_test"]
        assert deviations.shape == codes.shape
        assert (deviations > 0).all()
        assert arrays["sd_train"].shape == (48, latent)
    if kind == "vae":
        loaded = load_run(run, data=True)
        posterior = loaded.model.posterior(loaded.variables, loaded.data.test.x)
        np.testing.assert_allclose(codes, posterior.mean(), rtol=1e-5)
        np.testing.assert_allclose(deviations, posterior.stddev(), rtol=1e-5)
    assert encode.main([str(run), "--data", str(files / "images.npz"), "--to", str(tmp_path / "whole.npz")]) == 0
    with Image.open(tmp_path / "whole_pairs.png") as image:
        assert image.size[0] > 100
    with np.load(files / "images.npz") as given, np.load(tmp_path / "whole.npz") as arrays:
        assert set(arrays) == {"x", "sd", "y"}
        assert arrays["x"].shape == arrays["sd"].shape == (60, latent)
        np.testing.assert_array_equal(arrays["y"], given["y"])
    assert gx.load(tmp_path / "whole.npz", range=(-99, 99)).shape == (latent,)


def test_photos_are_encoded_in_the_order_of_their_names(store, tmp_path):
    """All of them, not a tenth; a folder with splits keeps them."""
    images = np.random.RandomState(0).randint(0, 256, (30, 6, 6), np.uint8)
    for folder in ("train", "test"):
        (tmp_path / "split" / folder).mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "photos" / f"{i:03}.png")
        Image.fromarray(image).save(tmp_path / "split" / ("train" if i < 20 else "test") / f"{i:03}.png")
    data = Data(name=str(tmp_path / "photos"), image_size=6)
    config = vae.Config(likelihood=Likelihood("gaussian"), data=data, networks=Networks(hidden=(4,)))
    run = store(tmp_path / "run", vae.EXPERIMENT, config.load()[0])
    codes = {}
    for name in ("photos", "split"):
        encode.encode(encode.Encode(run.path, data=str(tmp_path / name), to=tmp_path / f"{name}.npz"))
        with np.load(tmp_path / f"{name}.npz") as arrays:
            codes[name] = dict(arrays)
    loaded = load_run(run.path)
    means = loaded.model.posterior(loaded.variables, images[..., None] / np.float32(255)).mean()
    np.testing.assert_allclose(codes["photos"]["x"], means, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(codes["split"]["x_test"], means[20:], rtol=1e-4, atol=1e-5)


def test_streamed_data_have_the_codes_of_data_in_memory(store, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(encode, "_BLOCK", 7)
    images, random = tmp_path / "images", np.random.RandomState(0)
    images.mkdir()
    for i in range(30):
        Image.fromarray(random.randint(0, 256, (6, 6), np.uint8)).save(images / f"{i:03}.png")
    codes = []
    for stream in (False, True):
        data = Data(name=f"images:{images}", image_size=6, stream=stream)
        config = vae.Config(likelihood=Likelihood("gaussian"), data=data, networks=Networks(hidden=(4,)))
        run = store(tmp_path / str(stream), vae.EXPERIMENT, config.load()[0])
        assert encode.main([str(run.path), "--to", str(tmp_path / f"{stream}.npz")]) == 0
        with np.load(tmp_path / f"{stream}.npz") as arrays:
            codes.append(dict(arrays))
    assert codes[0]["x_train"].shape == (24, 2)
    for name, values in codes[0].items():
        np.testing.assert_allclose(codes[1][name], values, rtol=1e-5, atol=1e-6)


def test_binary_pixels_of_streamed_blocks_are_drawn_anew(monkeypatch):
    """Blocks that share a key would have equal draws."""
    half = np.full((6, 4, 4, 1), 128, np.uint8)
    data = gx.prepare(gx.from_splits(*(Split(half + np.uint8(i)) for i in range(3))), binarise="dynamic")
    records = Records(Path("x"), half.shape[1:], *[np.zeros(6, np.uint8)] * 3, rows=np.arange(6))
    monkeypatch.setattr(Records, "read", lambda self, rows: half[self.rows[rows]])
    first, second = (np.asarray(batch.x) for *_, batch in blocks_of(data._replace(train=Batch(records)), "train", 3))
    assert first.shape == second.shape == (3, 4, 4, 1)
    assert (first != second).any()


def test_bad_input_is_one_line(runs, files, refused, tmp_path):
    out = tmp_path / "codes.npz"
    run = runs["autoencoder"].path
    assert refused(encode, run, "--to", out) == NO_POSTERIOR.format(run=run)
    line = refused(encode, runs["vae"].path, "--data", files / "colours.npz", "--to", out)
    assert "examples must have the shape (8, 8, 1) of the run, got" in line
    assert "needs images" in refused(encode, runs["vectors"].path, "--to", out, "--picture", tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
