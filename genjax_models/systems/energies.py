"""Systems around energy models of x in {0, 1}: Boltzmann machines, and sums of features."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

import genjax_models as gx
from genjax_models.estimators.boltzmann import bernoulli_of
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.partition import estimate_partition
from genjax_models.figures import energy_pictures, pictures
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.runs.protocol import System
from genjax_models.types import Array, Objective, PRNGKey, Trainer, Variables

_FILTERS = 100  # hidden units in a picture


def falling_sgd(config: Any, objective: Objective) -> Trainer:
    """Returns a trainer by gradient descent, whose rate falls linearly to 0, with an average of the parameters.

    Args:
      config: with `learning_rate`, `average` (0 keeps none) and the group training.
      objective: has one player.
    """
    (player,) = objective.losses
    rate = optax.linear_schedule(config.learning_rate, 0.0, config.training.steps)
    return gx.trainer(objective, optax.sgd(rate), average={player: config.average} if config.average else {})


def restricted_system(config: Any, objective: Objective, machine: BoltzmannMachine) -> System:
    """Wires `persistent_contrastive_divergence`: judged by log p(x) with an estimate of log Z, shown by its chains.

    Args:
      config: with `temperatures`, `learning_rate` and `average`, and the groups data, bits and training.
      objective: has the player "machine", with chains.
      machine: of one hidden layer.
    """

    def partition(variables: Variables, key: PRNGKey, x: Array):
        rates = jnp.mean(x, axis=0)
        return estimate_partition(machine, variables, key, num_temperatures=config.temperatures, base_rates=rates)

    def evaluate(players, key, batch):
        variables = players["machine"]
        log_z = partition(variables, key, batch.x)
        return {
            "log_likelihood": -machine.free_energy(variables, batch.x) - log_z.log_partition,
            "log_partition": log_z.log_partition,
            "log_partition_se": log_z.standard_error,
        }

    def draw(players, key, n, label=None):
        draw_key, hidden_key = jax.random.split(key)
        v = objective.sample(players, draw_key, n).reshape(n, -1)
        weights, visible_bias, hidden_bias = machine.restricted(players["machine"])
        h = bernoulli_of(hidden_key, hidden_bias[None] + v @ weights, v.dtype)
        return jax.nn.sigmoid(visible_bias[None] + h @ weights.T).reshape(n, *machine.shape)

    def figures(players, data):
        variables = players["machine"]
        log_z = jax.jit(partition)(variables, jax.random.key(0), data.test.x)
        shown = []
        if pictures.drawable(config.data.shape):
            weights = machine.restricted(variables)[0]
            first = jnp.argsort(-jnp.sum(weights**2, axis=0))[:_FILTERS]
            filters = weights[:, first].T.reshape(-1, *machine.shape)
            shown.append(energy_pictures.filters(filters, "hidden units with the largest weights"))
        return Facts(partition=log_z, values=data.validation.x), shown

    trainer = falling_sgd(config, objective)
    system = System(objective, trainer, config.bits.prepare, evaluate, draw, figures, model=machine)
    return system._replace(likelihood="bernoulli, given the hidden units", binarise=config.bits.binarise)
