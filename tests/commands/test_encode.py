"""`encode` writes posterior means of every split, and a picture of reconstructions."""

import numpy as np
import pytest
from PIL import Image

from genjax_models.commands import encode
from genjax_models.runs.loading import load_run
from tests.commands.conftest import NO_POSTERIOR


@pytest.mark.parametrize(("kind", "latent"), [("vae", 3), ("conditional", 3), ("two layers", 6)])
def test_codes_of_a_run_are_data(kind, latent, runs, files, capsys, tmp_path):
    run, out, picture = runs[kind].path, tmp_path / "codes.npz", tmp_path / "pairs.png"
    assert encode.main([str(run), "--out", str(out), "--picture", str(picture)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{out}: x_train [48, {latent}], ")
    assert second == str(picture)
    with Image.open(picture) as image:
        assert image.size[0] > 100
    with np.load(out) as arrays:
        codes = arrays["x_test"]
        assert codes.shape == (6, latent)
        assert set(arrays) == {f"{name}_{split}" for name in "xy" for split in ("train", "validation", "test")}
    if kind == "vae":
        loaded = load_run(run, data=True)
        np.testing.assert_allclose(
            codes, loaded.model.posterior(loaded.variables, loaded.data.test.x).mean(), rtol=1e-5
        )
    assert encode.main([str(run), "--data", str(files / "images.npz"), "--out", str(tmp_path / "again.npz")]) == 0
    with np.load(tmp_path / "again.npz") as arrays:
        np.testing.assert_array_equal(arrays["x_test"], codes)


def test_bad_input_is_one_line(runs, files, refused, tmp_path):
    out = tmp_path / "codes.npz"
    run = runs["autoencoder"].path
    assert refused(encode, run, "--out", out) == NO_POSTERIOR.format(run=run)
    line = refused(encode, runs["vae"].path, "--data", files / "colours.npz", "--out", out)
    assert "examples must have the shape (8, 8, 1) of the run, got" in line
    assert "needs images" in refused(encode, runs["vectors"].path, "--out", out, "--picture", tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
