"""Walks of any run with a prior; class arithmetic where a classifier is shipped for its data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import autoencoder, latent_walk, vae
from genjax_models.commands.latent_walk import Generates, arithmetic
from genjax_models.runs.command_line import main

TRAINING = "--steps 20 --batch-size 20 --evaluate-every 20"


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latent_walk") / "run"
    data = ["--data", str(files / "images.npz"), "--hidden", "8", "--latent", "3", *TRAINING.split()]
    assert main(vae.EXPERIMENT, [*data, "--run-dir", str(folder)]) == 0
    return folder


def test_a_run_on_data_without_a_classifier_has_interpolations_alone(run, capsys):
    assert latent_walk.main([str(run), "--rows", "2", "--steps", "3"]) == 0
    (path,) = capsys.readouterr().out.split()
    with Image.open(path) as picture:
        assert picture.size[0] > picture.size[1] > 50
    assert not (run / "figures" / "arithmetic.png").exists()


class Quadrants:
    """Sees which of two coordinates of a 1x2 image is larger."""

    classes = 2

    @staticmethod
    def log_probabilities(x):
        return jax.nn.log_softmax(20 * x[:, 0, :, 0])


PLANE = Generates(
    config=None,
    noise=lambda key, n: jax.random.normal(key, (n, 2)),
    generate=lambda z: z[:, None, :, None],
    range=(-3, 3),
    conditional=False,
)


def test_moved_by_the_difference_of_the_means_a_latent_changes_its_class():
    """Class means are +-(1, -1)/sqrt(pi) for N(0, I) in the plane; three such differences turn nearly all around."""
    images, reached = arithmetic(PLANE, Quadrants, jax.random.key(0), strength=3.0)
    assert images.shape == (4, 1, 2, 1)
    assert reached > 0.95
    unmoved = arithmetic(PLANE, Quadrants, jax.random.key(0), strength=1e-6)[1]
    assert unmoved < 0.05
    moved = np.asarray(images[1] - images[0]).ravel()  # the most certain latent of class 0, moved to class 1
    np.testing.assert_allclose(moved, 3 * np.array([-2, 2]) / np.sqrt(np.pi), rtol=0.05)


def test_a_class_that_no_draw_has():
    class Never(Quadrants):
        @staticmethod
        def log_probabilities(x):
            return jax.nn.log_softmax(jnp.stack([jnp.ones(len(x)), jnp.zeros(len(x))], axis=1))

    with pytest.raises(ValueError, match="none of 10,000 draws looks like class 1"):
        arithmetic(PLANE, Never, jax.random.key(0), strength=1.0)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--rows 0", "rows must be an integer of at least 1"),
        ("--steps 1", "steps must be an integer of at least 2"),
        ("--strength -1", "strength must be positive"),
        ("--seed -1", "seed must be an integer in"),
        ("--label 1", "its model is not conditional on a class"),
    ],
)
def test_bad_input_is_one_line(run, capsys, flags, message):
    with pytest.raises(SystemExit) as stop:
        latent_walk.main([str(run), *flags.split()])
    said = capsys.readouterr().err
    assert (stop.value.code, said.count("\n")) == (2, 1)
    assert message in said


def test_a_run_without_a_prior(files, tmp_path, capsys):
    data = ["--data", str(files / "images.npz"), "--hidden", "8", "--latent", "3", *TRAINING.split()]
    assert main(autoencoder.EXPERIMENT, [*data, "--run-dir", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        latent_walk.main([str(tmp_path / "run")])
    assert "has no prior over latents to walk in" in capsys.readouterr().err
