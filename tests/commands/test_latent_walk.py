"""Walks of any run with a prior; class arithmetic if the package ships a classifier for the data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from genjax_models.commands import latent_walk
from genjax_models.commands.latent_decoder import Decoder, decoder_of
from genjax_models.commands.latent_walk import class_arithmetic


@pytest.mark.parametrize(("kind", "arguments"), [("vae", ""), ("conditional", "--label 1")])
def test_a_run_on_data_without_a_classifier_has_only_interpolations(kind, arguments, runs, capsys):
    run = runs[kind].path
    assert latent_walk.main([str(run), "--rows", "2", "--steps", "3", *arguments.split()]) == 0
    (path,) = capsys.readouterr().out.split()
    with Image.open(path) as picture:
        assert picture.size[0] > picture.size[1] > 50
    assert not (run / "figures" / "arithmetic.png").exists()


@pytest.mark.parametrize(
    ("kind", "along", "rows"),
    [("vae", "dimensions", 3), ("vae", "closed-form", 3), ("conditional", "principal", 3), ("vae", "file", 2)],
)
def test_walks_along_directions(kind, along, rows, runs, capsys, tmp_path):
    if along == "file":
        along = str(tmp_path / "two.npy")
        np.save(along, [[1.0, 0.0, 0.0], [0.0, 2.0, -2.0]])
    assert latent_walk.main([str(runs[kind].path), "--along", along, "--steps", "4", "--rows", "5"]) == 0
    (path,) = capsys.readouterr().out.split()
    assert path.endswith(f"along_{'two' if along.endswith('.npy') else along.replace('-', '_')}.png")
    with Image.open(path) as picture:
        assert picture.size[0] > 100


def test_walks_and_a_grid_in_the_chunks_of_a_biggan(small_biggan, capsys, monkeypatch):
    """z[0:2] goes to the first layer, z[2:4] and z[4:6] to the blocks; principal directions are of the first block."""
    run, found = small_biggan.path, []
    directions = latent_walk.directions
    monkeypatch.setattr(latent_walk, "directions", lambda *of: found.append(directions(*of)) or found[-1])
    assert latent_walk.main([str(run), *"--along principal --grid --label 1 --rows 3 --steps 3".split()]) == 0
    paths = capsys.readouterr().out.split()
    assert paths == [str(run / "figures" / f"along_principal{which}.png") for which in ("", "_grid")]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.size[0] > 100
    ((vectors, titles),) = found
    assert np.all(vectors[:, 4:] == 0)
    assert all(title.endswith(", z[0:4]") for title in titles)
    decoder = decoder_of(run, label=1)
    vectors, titles = directions(decoder, "closed-form", jax.random.key(0), 6)
    chunks = np.abs(vectors).reshape(6, 3, 2).max(axis=2) > 1e-6
    np.testing.assert_array_equal(chunks.sum(axis=1), 1)
    np.testing.assert_array_equal(chunks.sum(axis=0), 2)
    ends = [2 * int(chunk.argmax()) + 2 for chunk in chunks]
    assert [title.split(", ")[2] for title in titles] == [f"z[{end - 2}:{end}]" for end in ends]


@pytest.mark.parametrize("along", [(), ("--along", "dimensions")])
def test_walks_as_a_film(along, runs, capsys):
    """A cell per walk; 24 frames there, and 22 back."""
    assert latent_walk.main([str(runs["vae"].path), "--rows", "2", "--steps", "3", "--gif", *along]) == 0
    *_, path = capsys.readouterr().out.split()
    name = "along_dimensions" if along else "interpolations"
    assert path == str(runs["vae"].path / "figures" / f"{name}.gif")
    with Image.open(path) as film:
        assert (film.format, film.n_frames) == ("GIF", 46)


def test_a_grid_needs_two_directions(runs, refused, tmp_path):
    np.save(tmp_path / "one.npy", [[1.0, 0.0, 0.0]])
    message = refused(latent_walk, runs["vae"].path, "--grid", "--steps", "3", "--along", tmp_path / "one.npy")
    assert message.startswith("--grid needs two directions, got 1 of --along")


def test_a_z_of_several_steps_is_walked_as_one_vector(runs, capsys):
    run = runs["draw"].path
    for arguments in ("--rows 2 --steps 3", "--along dimensions --steps 3 --rows 2"):
        assert latent_walk.main([str(run), *arguments.split()]) == 0
    assert capsys.readouterr().out.split()[-1].endswith("along_dimensions.png")
    decoder = decoder_of(run)
    assert decoder.noise(jax.random.key(0), 5).shape == (5, 6)
    assert latent_walk.directions(decoder, "dimensions", jax.random.key(0), 6)[1][3] == "z[1, 1]"


def test_the_directions_of_a_decoder():
    """PLANE has no layer: single dimensions only."""
    vectors, titles = latent_walk.directions(PLANE, "dimensions", jax.random.key(0), 2)
    assert (vectors == np.eye(2)).all()
    assert titles == ["z[0]", "z[1]"]
    with pytest.raises(ValueError, match="--along closed-form: the generator must begin with dense layers"):
        latent_walk.directions(PLANE, "closed-form", jax.random.key(0), 2)


class Quadrants:
    """Predicts which of two coordinates of a 1x2 image is larger."""

    classes = 2

    @staticmethod
    def log_probabilities(x):
        return jax.nn.log_softmax(20 * x[:, 0, :, 0])


PLANE = Decoder(
    config=None,
    noise=lambda key, n: jax.random.normal(key, (n, 2)),
    generate=lambda z: z[:, None, :, None],
    range=(-3, 3),
    conditional=False,
    event=(2,),
)


def test_a_latent_moved_by_the_difference_of_the_means_changes_its_class():
    """Class means are +-(1, -1)/sqrt(pi) for N(0, I) in the plane; three such differences turn nearly all around."""
    images, accuracy = class_arithmetic(PLANE, Quadrants, jax.random.key(0), strength=3.0)
    assert images.shape == (4, 1, 2, 1)
    assert accuracy > 0.95
    accuracy_unmoved = class_arithmetic(PLANE, Quadrants, jax.random.key(0), strength=1e-6)[1]
    assert accuracy_unmoved < 0.05
    moved = np.asarray(images[1] - images[0]).ravel()  # the most certain latent of class 0, moved to class 1
    np.testing.assert_allclose(moved, 3 * np.array([-2, 2]) / np.sqrt(np.pi), rtol=0.05)


def test_a_class_without_draws():
    class Never(Quadrants):
        @staticmethod
        def log_probabilities(x):
            return jax.nn.log_softmax(jnp.stack([jnp.ones(len(x)), jnp.zeros(len(x))], axis=1))

    with pytest.raises(ValueError, match="none of 10,000 draws is of class 1"):
        class_arithmetic(PLANE, Never, jax.random.key(0), strength=1.0)


@pytest.mark.parametrize(
    ("kind", "flags", "message"),
    [
        ("vae", "--rows 0", "rows must be an integer of at least 1"),
        ("vae", "--steps 1", "steps must be an integer of at least 2"),
        ("vae", "--strength -1", "strength must be positive"),
        ("vae", "--reach 0", "reach must be positive"),
        ("vae", "--along nowhere", "along must be dimensions, closed-form, principal or a file .npy, got 'nowhere'"),
        ("vae", "--along absent.npy", "--along absent.npy: cannot be read as an array"),
        ("vae", "--grid", "--grid needs directions: use --along"),
        ("vae", "--seed -1", "seed must be an integer in"),
        ("vae", "--label 1", "its model is not conditional on a class"),
        ("conditional", "--label 2", "--label 2: its classes are 0 to 1"),
        ("two layers", "", "needs a model with one array z, got one with several stochastic layers"),
        ("vectors", "", "needs images, got examples of shape (8,)"),
        ("autoencoder", "", "needs a model with a prior over latents to walk in"),
    ],
)
def test_bad_input_is_one_line(kind, flags, message, runs, refused):
    assert message in refused(latent_walk, runs[kind].path, *flags.split())
