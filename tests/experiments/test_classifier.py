"""A whole small run of the classifier, what it makes of training images, and what it ships."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import classifier
from genjax_models.errors import InputError
from genjax_models.runs import directory
from genjax_models.runs.command_line import main

OPTIONS = (
    "--channels 4 --width 8 --dropout 0.1 --shift 1 --flip --steps 60 --batch-size 10 --evaluate-every 20"
    " --log-every 20 --learning-rate 0.01"
)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "run"
    data = ["--data", str(files / "images.npz"), "--run-dir", str(folder)]
    assert main(classifier.EXPERIMENT, [*data, *OPTIONS.split()]) == 0
    return folder


def test_a_run_tells_the_classes_apart_and_leaves_a_report(run):
    test = json.loads((run / "result.json").read_text())["test"]
    assert test["accuracy"] == 100  # percent; the best checkpoint on validation data, of bars above or below
    assert "100.00 ± 0.00" in (run / "report.html").read_text()
    drawn = {path.stem for path in (run / "figures").iterdir()}
    assert {"samples", "learning", "curves", "latent_space"} <= drawn


def test_a_loaded_run_is_as_right_as_its_result_says(run):
    _, players = classifier.load(run)
    config = directory.read_config(run, classifier.Config, "classifier")
    assert (config.shape, config.classes) == ((8, 8, 1), 2)
    test = classifier.prepare(*classifier.dataset(config)).test
    network = classifier.build_network(config)
    told = jnp.argmax(network.apply(players["classifier"], test.x), axis=1)
    assert np.mean(told == test.label) == 1


def test_the_hardest_images_come_first(run):
    _, players = classifier.load(run)
    config = directory.read_config(run, classifier.Config, "classifier")
    hardest = jax.jit(lambda players: classifier.images(config)(players, None, 4))(players)
    data = classifier.prepare(*classifier.dataset(config)).validation
    log_p = jax.nn.log_softmax(classifier.build_network(config).apply(players["classifier"], data.x))
    right = log_p[np.arange(len(data.x)), data.label]
    np.testing.assert_array_equal(hardest, data.x[jnp.argsort(right)[:4]])


def test_what_is_shipped_is_the_network_in_sixteen_bits(run, tmp_path):
    for name in ("one.npz", "two.npz"):
        classifier.ship(run, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    _, players = classifier.load(run)
    with np.load(tmp_path / "one.npz", allow_pickle=False) as shipped:
        assert "hidden/kernel" in shipped.files
        np.testing.assert_allclose(
            shipped["hidden/kernel"], players["classifier"]["params"]["hidden"]["kernel"], rtol=1e-3
        )
        assert {str(shipped[name].dtype) for name in shipped.files} == {"float16"}


def test_images_move_by_whole_pixels_to_every_place_alike():
    x = jnp.zeros((2_000, 5, 5, 1)).at[:, 2, 2].set(1)
    moved = np.asarray(jax.jit(lambda key: classifier.shifted(key, x, 1))(jax.random.key(0)))
    assert moved.shape == x.shape
    counts = moved[..., 0].sum(axis=0)
    assert counts[1:4, 1:4].sum() == 2_000
    assert np.all(np.abs(counts[1:4, 1:4] - 2_000 / 9) < 5 * np.sqrt(2_000 * 8 / 81))
    np.testing.assert_array_equal(classifier.shifted(jax.random.key(0), x, 0), x)


def test_what_moves_out_is_lost_and_zeros_come_in():
    x = jnp.ones((50, 4, 4, 2))
    moved = np.asarray(classifier.shifted(jax.random.key(1), x, 2))
    kept = moved.sum(axis=(1, 2, 3)) / 2
    assert set(kept) <= {rows * columns for rows in (2, 3, 4) for columns in (2, 3, 4)}
    assert len(set(kept)) > 2


def test_half_of_the_images_are_mirrored_left_and_right():
    x = jnp.tile(jnp.arange(6.0).reshape(1, 2, 3, 1), (400, 1, 1, 1))
    mirrored = np.asarray(classifier.mirrored(jax.random.key(0), x))
    as_it_was = (mirrored == np.asarray(x)).all(axis=(1, 2, 3))
    assert (mirrored[~as_it_was] == np.asarray(x)[~as_it_was][:, :, ::-1]).all()
    assert abs(as_it_was.mean() - 0.5) < 5 * np.sqrt(0.25 / 400)


def test_held_out_images_are_left_as_they_are(files):
    config, loaded = classifier.dataset(classifier.Config(data=str(files / "images.npz"), shift=3, flip=True))
    np.testing.assert_allclose(classifier.prepare(config, loaded).test.x, loaded.test.x / np.float32(255), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": "grey"}, "has no labels"),
        ({"data": "vectors"}, r"of images, got examples of shape \(8,\)"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"shift": -1}, "shift must be"),
        ({"width": 0}, "width must be"),
    ],
)
def test_what_is_no_classifier_is_refused(wrong, message, files):
    with pytest.raises(InputError, match=message):
        classifier.dataset(classifier.Config(**{**wrong, "data": str(files / f"{wrong.get('data', 'images')}.npz")}))


def test_a_dry_run_counts_its_parameters(capsys):
    assert main(classifier.EXPERIMENT, ["--dry-run"]) == 0
    assert "player      classifier: 231,466 parameters" in capsys.readouterr().out
