"""Systems around energy models of x in {0, 1}: Boltzmann machines, and sums of features."""

import math
from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
import optax

import genjax_models as gx
from genjax_models.estimators.boltzmann import bernoulli_of
from genjax_models.evaluation.boosting_stages import MOST_UNITS, additive_partition, boosting_stages
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.missing import Mask, class_probabilities, masks, predict_missing
from genjax_models.evaluation.partition import estimate_partition
from genjax_models.figures import energy_pictures, pictures
from genjax_models.models.additive_energy import AdditiveEnergyModel
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.models.conditionals import mean_field
from genjax_models.runs.evaluation import evaluation_key
from genjax_models.runs.protocol import System
from genjax_models.types import Array, Objective, PRNGKey, Trainer, Variables

_FILTERS = 100  # hidden units in a picture
_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95)  # missing shares
_SWEEPS = (1, 2, 3, 5, 10, 20, 50)
_REPORTED = (1, 5, 50)  # of the sweeps, in the table of results
_COLUMNS = 12  # of the picture of imputations


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


def multi_prediction_system(config: Any, objective: Objective, machine: BoltzmannMachine) -> System:
    """Wires `multi_prediction`: judged by nats per missing pixel at half of the pixels missing, and by classes.

    Args:
      config: with `sweeps`, and the groups data, bits, training and optimizer.
      objective: has the player "machine".
      machine: with classes if the data have labels.
    """
    conditional = mean_field(machine, sweeps=config.sweeps)

    def evaluate(players, key, batch):
        variables, observed = players["machine"], masks(key, batch.x, "random")
        missing = predict_missing(conditional, variables, key, batch.x, observed)
        values = {"nats_per_missing_pixel": jnp.sum(missing["nats"]) / jnp.sum(missing["missing"])}
        if machine.classes is not None:
            values["class_accuracy"] = correct(variables, batch, jnp.ones_like(observed))
        return values

    def correct(variables, batch, observed):
        classes = class_probabilities(machine, variables, batch.x, observed, sweeps=config.sweeps)
        return jnp.argmax(classes, axis=1) == batch.label

    def draw(players, key, n, label=None):
        return objective.sample(players, key, n, label=label)

    @partial(jax.jit, static_argnums=3)
    def nats(variables, x, observed, sweeps):
        missing = predict_missing(mean_field(machine, sweeps=sweeps), variables, jax.random.key(0), x, observed)
        return jnp.sum(missing["nats"]) / jnp.sum(missing["missing"])

    def figures(players, data):
        variables, test, key = players["machine"], data.test, jax.random.key(0)
        by_share = [masks(key, test.x, "random", share=share) for share in _SHARES]
        losses = [nats(variables, test.x, observed, config.sweeps) for observed in by_share[1:]]
        by_sweeps = {sweeps: nats(variables, test.x, masks(key, test.x, "random"), sweeps) for sweeps in _SWEEPS}
        accuracy = None
        if machine.classes is not None:
            judged = jax.jit(correct)
            accuracy = [jnp.mean(judged(variables, test, observed)) for observed in by_share]
        of_sweeps = _SWEEPS, list(by_sweeps.values()), config.sweeps
        shown = [energy_pictures.missing(_SHARES, losses, accuracy, *of_sweeps)]
        if pictures.drawable(config.data.shape):
            x, fill = test.x[:_COLUMNS], jax.jit(conditional)
            seen = {kind: masks(key, x, kind) for kind in get_args(Mask)}
            filled = {kind: fill(variables, key, x, observed) for kind, observed in seen.items()}
            shown.insert(0, energy_pictures.imputations(x, seen, filled))
        further = {
            f"nats_per_missing_pixel_after_{sweeps}_sweep{'s' * (sweeps > 1)}": Estimate(
                float(by_sweeps[sweeps]), math.nan, len(test.x)
            )
            for sweeps in _REPORTED
        }
        return Facts(values=data.validation.x, further=further), shown

    trainer = gx.trainer(objective, config.optimizer.build(config.training.steps))
    system = System(objective, trainer, config.bits.prepare, evaluate, draw, figures, model=machine)
    return system._replace(likelihood="bernoulli, given all other units", binarise=config.bits.binarise)


def boosting_system(config: Any, objective: Objective, model: AdditiveEnergyModel) -> System:
    """Wires `self_supervised_boosting`: judged by log p(x), exact up to 16 units; the stages are shown.

    Args:
      config: with the groups data, bits, training and optimizer.
      objective: has the player "energy".
      model: with a feature per stage.
    """

    def evaluate(players, key, batch):
        variables = players["energy"]
        log_z = additive_partition(model, variables, key)
        return {
            "log_likelihood": model.log_density(variables, batch.x) - log_z.log_partition,
            "log_partition": log_z.log_partition,
            "log_partition_se": log_z.standard_error,
        }

    def draw(players, key, n, label=None):
        return objective.sample(players, key, n)

    def figures(players, data):
        variables, shown, stages = players["energy"], [], None
        features = variables["features"]
        log_z = jax.jit(lambda key: additive_partition(model, variables, key))(evaluation_key())
        if math.prod(model.shape) <= MOST_UNITS:
            stages = boosting_stages(model, variables, data.test.x)
        shown.append(energy_pictures.stages(features, stages))
        if pictures.drawable(config.data.shape):
            filters = features["weights"].T.reshape(-1, *model.shape)
            shown.append(energy_pictures.filters(filters, "features, in the order of their stages"))
        return Facts(partition=log_z, values=data.validation.x), shown

    trainer = gx.trainer(objective, config.optimizer.build(config.training.steps))
    system = System(objective, trainer, config.bits.prepare, evaluate, draw, figures, model=model)
    return system._replace(
        likelihood="exact up to 16 units, else with log Z by annealing", binarise=config.bits.binarise
    )
