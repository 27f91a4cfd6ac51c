"""Small runs: one is trained, and the others are written with random numbers as parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import autoencoder, biggan, draw, iwae, vae
from genjax_models.commands.train import main
from genjax_models.runs import checkpoints, directory
from genjax_models.runs.protocol import Experiment, System
from genjax_models.runs.shapes import state_shape
from genjax_models.systems.groups import Likelihood, Networks
from genjax_models.systems.residual_networks import ResidualNetworks
from genjax_models.systems.settings import Data
from genjax_models.types import Players
from tests.experiments.conftest import files  # noqa: F401 - a fixture

BEST, LAST = 3, 7
NO_POSTERIOR = "{run}: needs a model with a posterior q(z | x), such as a run of experiments.vae or experiments.iwae"


class Stored(NamedTuple):
    """A run on disk, with its players at the best step and at the last step."""

    path: Any
    experiment: Experiment
    config: Any
    system: System
    players: Players
    last: Players


@pytest.fixture(scope="session")
def store():
    """Returns (folder, experiment, config) -> a run with two checkpoints, the earlier one better."""

    def stored(folder, experiment, config):
        system = experiment.build(config)
        shapes = state_shape(system.trainer, config.data.shape)
        about = directory.config_as_json(experiment.module, config)
        folder.mkdir()
        directory.write_json(folder / "config.json", about)
        states = {}
        for step, score in ((BEST, 2.0), (LAST, 1.0)):
            random = np.random.RandomState(step)

            def fill(path, leaf, random=random):
                values = random.normal(0, 0.3, leaf.shape).astype(leaf.dtype)
                return jnp.asarray(np.abs(values) if getattr(path[-1], "key", None) == "var" else values)

            state = jax.tree.map_with_path(fill, shapes._replace(key=None))
            states[step] = state._replace(key=jax.random.key(1), step=jnp.int32(step))
            checkpoints.save(folder / "checkpoints", states[step], score=score, about=about)
        return Stored(folder, experiment, config, system, states[BEST].variables, states[LAST].variables)

    return stored


@pytest.fixture(scope="session")
def runs(files, store, tmp_path_factory):  # noqa: F811
    """Runs by kind. The data of each can be loaded."""
    small = Networks(hidden=(8,))
    images, vectors = (Data(name=str(files / f"{name}.npz")) for name in ("images", "vectors"))
    configs = {
        "vae": (vae, vae.Config(latent=3, data=images, networks=small)),
        "conditional": (vae, vae.Config(latent=3, conditional=True, data=images, networks=small)),
        "two layers": (iwae, iwae.Config(layers=2, latent=(4, 2), hidden=(6, 5), data=images)),
        "draw": (draw, draw.Config(glimpses=3, latent=2, hidden=4, attention=(2, 3), data=images)),
        "autoencoder": (autoencoder, autoencoder.Config(latent=3, data=images, networks=small)),
        "vectors": (vae, vae.Config(likelihood=Likelihood("gaussian"), data=vectors, networks=small)),
    }
    folder = tmp_path_factory.mktemp("runs")
    return {
        kind: store(folder / kind.replace(" ", "_"), module.EXPERIMENT, config.load()[0])
        for kind, (module, config) in configs.items()
    }


@pytest.fixture(scope="session")
def of_floats(tmp_path_factory, store):
    """A run of a Gaussian VAE of images in [0, 16], which did not record their type."""
    folder = tmp_path_factory.mktemp("of_floats")
    x = np.random.RandomState(0).uniform(0, 16, (60, 8, 8, 1)).astype(np.float32)
    np.savez(folder / "x.npz", x=x)
    data = Data(str(folder / "x.npz"), range=(0, 16))
    config = vae.Config(latent=3, likelihood=Likelihood("gaussian"), data=data, networks=Networks(hidden=(8,)))
    return store(folder / "run", vae.EXPERIMENT, config.load()[0])


@pytest.fixture(scope="session")
def small_biggan(files, store, tmp_path_factory):  # noqa: F811
    """A run of a BigGAN of two blocks, on images of two classes: z has a chunk of 2 per level."""
    networks = ResidualNetworks((4, 4), (4, 4), shared=3, attention="none")
    config = biggan.Config(latent=6, data=Data(name=str(files / "images.npz")), networks=networks)
    return store(tmp_path_factory.mktemp("runs") / "biggan", biggan.EXPERIMENT, config.load()[0])


@pytest.fixture(scope="session")
def trained(files, tmp_path_factory):  # noqa: F811
    """A finished run of a conditional VAE. Class 0 is bright above, class 1 below."""
    folder = tmp_path_factory.mktemp("trained") / "conditional"
    options = "--steps 200 --conditional --hidden 16 --batch-size 10 --evaluate-every 100 --warmup 0"
    flags = ["--learning-rate", "0.03", "--data", str(files / "images.npz"), "--run-dir", str(folder)]
    assert main(vae.EXPERIMENT, [*options.split(), *flags]) == 0
    return folder


@pytest.fixture
def refused(capsys):
    """Returns (command, arguments) -> the one line with which the command stops with exit status 2."""

    def message(command, *arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            command.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("error: ")
        return err.removeprefix("error: ").removesuffix("\n")

    return message
