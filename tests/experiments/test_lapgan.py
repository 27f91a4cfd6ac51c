"""The pyramid of games: draws from coarse to fine, figures without the margin, and one optimizer per role."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments import lapgan
from genjax_models.data.padding import without_margin
from genjax_models.systems.games import Game
from genjax_models.systems.settings import PaddedImages
from tests.experiments.support import built

OPTIONS = (
    "--pad-to 12 --levels 2 --hidden 8 --latent 3 --channels 4 --discriminator-channels 4 4 --steps 4 --batch-size 8"
    " --evaluate-every 2 --log-every 2 --conditional --average 0.5"
)


@pytest.fixture(scope="module")
def system(files):
    return built(lapgan.EXPERIMENT, "--data", str(files / "images.npz"), *OPTIONS.split())


@pytest.mark.slow
def test_draws_are_of_the_class_that_is_asked_for_and_without_their_margin(system):
    config, dataset, system = system
    assert (config.data.shape, config.data.size, config.data.classes) == ((12, 12, 1), (8, 8), 2)
    data = system.prepare(dataset)
    assert np.all(np.asarray(data.test.x[:, :2]) == -1)
    assert np.abs(without_margin(data.test.x, 8, 8)).max() > 0.9
    players = jax.jit(system.objective.init)(jax.random.key(0), data.example)
    draws = system.draw(players, jax.random.key(0), 4)
    asked = system.draw(players, jax.random.key(0), 4, label=jnp.arange(4) % 2)
    np.testing.assert_array_equal(draws, asked)
    assert draws.shape == (4, 8, 8, 1)
    assert np.abs(draws).max() <= 1
    assert np.abs(draws - system.draw(players, jax.random.key(0), 4, label=jnp.ones(4, int))).max() > 1e-6
    values = jax.eval_shape(system.evaluate, players, jax.random.key(0), data.validation)
    assert {"kernel_distance", "kernel_distance_on_pixels"} <= set(values)


@pytest.mark.slow
def test_digits_are_judged_by_the_classifier_of_digits():
    config, dataset, system = built(lapgan.EXPERIMENT, *"--conditional --hidden 4 --channels --levels 3".split())
    assert (config.data.shape, config.data.size, config.data.classes) == ((32, 32, 1), (28, 28), 10)
    data = system.prepare(dataset)
    players = jax.eval_shape(system.objective.init, jax.random.key(0), data.example)
    values = jax.eval_shape(system.evaluate, players, jax.random.key(0), data.validation)
    assert values["class_accuracy"].shape == (1_000,)
    assert {"kernel_distance_on_pixels", "kernel_distance_on_mnist_classifier"} <= set(values)


@pytest.mark.slow
def test_one_optimizer_moves_all_discriminators_and_one_all_generators():
    config = lapgan.Config(
        levels=2,
        hidden=(4,),
        channels=(),
        discriminator_channels=(2,),
        data=PaddedImages(shape=(2, 2, 1), size=(2, 2)),
        game=Game(1, 1e-9, 0.0),
    )
    system = lapgan.build(config)
    assert system.objective.adversaries == ("discriminator_0", "discriminator_1")
    batch = gx.Batch(jax.random.uniform(jax.random.key(0), (8, 2, 2, 1)))
    state = jax.jit(system.trainer.init)(jax.random.key(1), batch)
    after, _ = jax.jit(system.trainer.step)(state, batch)
    for player, before in state.variables.items():
        change = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), after.variables[player]["params"], before["params"])
        assert (max(jax.tree.leaves(change)) > 1e-5) == player.startswith("discriminator")
