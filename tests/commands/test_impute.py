"""`impute` fills in what is missing, and leaves what is observed."""

import numpy as np
import pytest
from PIL import Image

import genjax_models as gx
from experiments import multi_prediction, rbm
from genjax_models.commands import impute
from genjax_models.models import conditionals
from genjax_models.systems.settings import Data


@pytest.fixture(scope="module")
def machines(files, store, tmp_path_factory):
    """Runs of two Boltzmann machines on binary images."""
    data, folder = Data(name=str(files / "images.npz")), tmp_path_factory.mktemp("machines")
    configs = {
        "deep": (multi_prediction, multi_prediction.Config(hidden=(4, 3), data=data)),
        "restricted": (rbm, rbm.Config(hidden=4, chains=3, data=data)),
    }
    return {
        kind: store(folder / kind, module.EXPERIMENT, config.load()[0]).path
        for kind, (module, config) in configs.items()
    }


@pytest.mark.parametrize(
    ("kind", "arguments", "method"),
    [
        ("deep", "--mask half", "mean_field"),
        ("restricted", "--mask block --samples 3", "gibbs"),
        ("restricted", "--by mean_field --samples 2", "mean_field"),
        ("vae", "--mask random --share 0.9 --samples 3", "pseudo_gibbs"),
        ("vae", "--by importance --samples 3 --n 4", "importance"),
        ("conditional", "--samples 3", "pseudo_gibbs"),
    ],
)
def test_observed_pixels_stay_and_the_rest_are_probabilities(kind, arguments, method, runs, machines, tmp_path, capsys):
    run = machines[kind] if kind in machines else runs[kind].path
    out = tmp_path / "filled.npz"
    assert impute.main([str(run), *arguments.split(), "--to", str(out)]) == 0
    first, *effective, picture, path = capsys.readouterr().out.splitlines()
    assert len(effective) == (method == "importance")
    for line in effective:
        assert line.endswith(" effective samples of 3 in the median")
        assert 1 <= float(line.split()[0]) <= 3
    assert f"by {method}: " in first
    assert path == str(out)
    with Image.open(picture) as image:
        assert image.size[0] > 100
    with np.load(out) as arrays:
        x, observed, filled = (arrays[name] for name in ("x", "observed", "filled"))
        assert len(arrays["y"]) == len(x) == (4 if "--n" in arguments else 6)
    np.testing.assert_array_equal(filled[observed], x[observed])
    assert 0 < np.mean(~observed) < 1
    assert ((filled[~observed] > 0) & (filled[~observed] < 1)).all()
    nats = -np.mean(np.log(np.where(x > 0.5, filled, 1 - filled)[~observed]))
    assert f": {nats:.4f} nats per missing pixel" in first


def test_other_data_are_filled_in_in_their_order(machines, files, tmp_path):
    to = tmp_path / "filled.npz"
    assert impute.main([str(machines["deep"]), "--data", str(files / "images.npz"), "--to", str(to)]) == 0
    with np.load(files / "images.npz") as given, np.load(to) as arrays:
        bright = given["x"][..., None] > 127
        assert np.mean(arrays["x"] == bright) > 0.97  # binary, drawn
        np.testing.assert_array_equal(arrays["y"], given["y"])


def test_samples_are_the_sweeps_of_mean_field_of_a_restricted_machine(machines, monkeypatch):
    monkeypatch.setattr(conditionals, "mean_field", lambda machine, *, sweeps: sweeps)
    path = machines["restricted"]
    for samples, sweeps in ((7, 7), (None, 100)):
        options = impute.Impute(path, by="mean_field", samples=samples)
        by, conditional = impute.conditional_of(gx.load_run(path), options)
        assert (by, conditional(None)) == ("mean_field", sweeps)


def test_a_conditional_vae_is_told_the_class_of_each_example(runs, files, tmp_path):
    """Other classes, other answers: the files differ in their labels alone."""
    with np.load(files / "images.npz") as stored:
        arrays = dict(stored)
    filled = []
    for turn in (0, 1):
        labels = {name: (a + turn) % (a.max() + 1) if name.startswith("y") else a for name, a in arrays.items()}
        np.savez(tmp_path / f"{turn}.npz", **labels)
        out = tmp_path / f"filled{turn}.npz"
        arguments = ("--by", "importance", "--data", tmp_path / f"{turn}.npz", "--to", out)
        assert impute.main([str(runs["conditional"].path), *map(str, arguments)]) == 0
        with np.load(out) as result:
            filled.append({name: result[name] for name in ("x", "filled")})
    np.testing.assert_array_equal(filled[0]["x"], filled[1]["x"])
    assert np.abs(filled[0]["filled"] - filled[1]["filled"]).max() > 1e-3


def test_a_mask_comes_from_a_file(machines, tmp_path, capsys):
    """One of half the columns for all examples, and the masks that another call has written."""
    mask = np.zeros((8, 8, 1), bool)
    mask[:, :4] = True
    np.save(tmp_path / "left.npy", mask)
    out = tmp_path / "filled.npz"
    assert impute.main([str(machines["deep"]), "--mask", str(tmp_path / "left.npy"), "--to", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("figures/impute_left.png")
    with np.load(out) as arrays:
        np.testing.assert_array_equal(arrays["observed"], np.broadcast_to(mask, (6, 8, 8, 1)))
        np.testing.assert_array_equal(arrays["filled"][:, :, :4], arrays["x"][:, :, :4])
    assert impute.main([str(machines["deep"]), "--mask", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[0].split("by")[1] == lines[0].split("by")[1]


def test_a_bad_file_of_masks_is_one_line(machines, tmp_path, refused):
    path, npz = tmp_path / "mask.npy", tmp_path / "mask.npz"
    for mask, message in [
        (np.ones((8, 8, 1), bool), "nothing is missing from examples of shape (8, 8, 1)"),
        (np.zeros((6, 8, 8, 1), bool), "nothing is observed of examples of shape (8, 8, 1)"),
        (np.ones((8, 8), bool), "must have the shape (6, 8, 8, 1), or (8, 8, 1) for all, got (8, 8)"),
        (np.ones((8, 8, 1), np.uint8), "must be bool, true where x is observed, got uint8"),
    ]:
        np.save(path, mask)
        assert refused(impute, machines["deep"], "--mask", path) == f"--mask {path}: {message}"
    np.savez(npz, seen=np.ones((8, 8, 1), bool))
    assert refused(impute, machines["deep"], "--mask", npz) == f"--mask {npz}: needs the key observed, got ['seen']"
    path.write_bytes(b"no array")
    assert refused(impute, machines["deep"], "--mask", path).startswith(f"{path}: is truncated, or not a .npy file")
    absent = tmp_path / "absent.npy"
    message = f"--mask {absent}: cannot be read (No such file or directory)"
    assert refused(impute, machines["deep"], "--mask", absent) == message
    message = "mask must be random, half, block, or a .npy or .npz file, got stripes"
    assert refused(impute, machines["deep"], "--mask", "stripes").startswith(message)


def test_bad_input_is_one_line(runs, machines, files, refused, tmp_path):
    deep, conditional, autoencoder = machines["deep"], runs["conditional"].path, runs["autoencoder"].path
    vectors = runs["vectors"].path
    words = f"{vectors}: examples of shape (8,) have no picture. Name a .npz file by --to"
    assert refused(impute, vectors) == words
    needs = "impute needs a Boltzmann machine, or a model with q(z | x) and E[x | z]"
    np.savez(tmp_path / "x.npz", **{name: a for name, a in np.load(files / "images.npz").items() if name[0] == "x"})
    assert "label" in refused(impute, conditional, "--data", tmp_path / "x.npz")
    assert refused(impute, autoencoder).startswith(f"{autoencoder}: {needs}")
    words = f"{deep}: --by must be auto or one of mean_field, gibbs for this model, got importance"
    assert refused(impute, deep, "--by", "importance") == words
    words = f"{deep}: --samples is not read by mean_field of a deep machine, which has the 5 sweeps of its training"
    assert refused(impute, deep, "--samples", "7") == words
    for share in ("0", "1"):
        words = f"share must be in (0, 1), got {share}.0. With 0 nothing is missing, with 1 nothing observed"
        assert refused(impute, deep, "--share", share).startswith(words)
    words = "--share 0.0001: nothing is missing from examples of shape (8, 8, 1)"
    assert refused(impute, deep, "--mask", "block", "--share", "0.0001") == words
    words = "--share 0.999999: nothing is observed of examples of shape (8, 8, 1)"
    assert refused(impute, deep, "--mask", "block", "--share", "0.999999") == words
    assert "n must be at most 6" in refused(impute, deep, "--n", "99")
    assert "examples must have the shape (8, 8, 1)" in refused(impute, deep, "--data", str(files / "colours.npz"))
