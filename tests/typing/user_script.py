"""What a user writes, for type checkers only: `make lint` checks it, and nothing runs it."""

from pathlib import Path

import jax
import numpy as np
import optax

import genjax_models as gx
from genjax_models.figures import plots


def learn() -> gx.Objective:
    """Trains a VAE, as the README's quickstart does."""
    data = gx.prepare(gx.load("mnist10k"), binarise="dynamic")
    posterior, likelihood = gx.diagonal_gaussian(2), gx.bernoulli((28, 28, 1))
    encoder = gx.MLPEncoder((28, 28, 1), posterior.outputs, hidden=(500, 500))
    generator = gx.MLPGenerator(likelihood.outputs, hidden=(500, 500))
    model = gx.latent_variable_model(encoder, posterior, generator, likelihood)

    objective = gx.vae(model)
    trainer = gx.trainer(objective, {"vae": optax.adam(1e-3)})

    def evaluate(players, key, batch):
        return gx.held_out_bound(model, players["vae"], key, batch.x)

    result = gx.fit(trainer, data, gx.Training(steps=3_000), evaluate=evaluate)
    print(result.history[-1], int(result.state.step))
    images = model.sample(result.state.variables["vae"], jax.random.key(1), 64, mean=True)
    plots.image_grid(images).savefig("digits.png")
    return objective


def step_by_hand() -> float:
    """Trains an IWAE on arrays, one step at a time."""
    posterior, likelihood = gx.diagonal_gaussian(2), gx.bernoulli((8,))
    encoder = gx.MLPEncoder((8,), posterior.outputs, hidden=(16,))
    generator = gx.MLPGenerator(likelihood.outputs, hidden=(16,))
    model = gx.latent_variable_model(encoder, posterior, generator, likelihood)
    trainer = gx.trainer(gx.iwae(model, num_samples=5), {"iwae": optax.adam(1e-3)})
    batch = gx.Batch(jax.numpy.asarray(np.zeros((4, 8), np.float32)))
    state = trainer.init(jax.random.key(0), batch)
    state, metrics = jax.jit(trainer.step)(state, batch)
    return float(metrics["iwae/loss"])


def read_a_run(directory: Path) -> jax.Array:
    """Draws from a finished run."""
    run = gx.load_run(directory, checkpoint="best")
    print(run.config, run.system)
    return run.objective.sample(run.players, jax.random.key(2), 16)
