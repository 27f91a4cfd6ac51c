"""What finished runs fill in, and classes with missing pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import genjax_models as gx
from experiments.any_subset.options import AnySubset
from genjax_models.errors import InputError
from genjax_models.evaluation.estimates import OfRuns, over_runs
from genjax_models.evaluation.missing import class_probabilities, masks, predict_missing
from genjax_models.models import LatentVariableModel, conditionals
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.models.conditionals import Conditional
from genjax_models.networks.mlp import MLP
from genjax_models.objectives.classifier import classifier
from genjax_models.runs.loading import LoadedRun, load_run
from genjax_models.types import Array, Batch, PRNGKey, Variables


class Study(NamedTuple):
    """All results, as means over the runs.

    Attributes:
      passes: passes through the network for one answer, by way to fill in.
      nats: nats per missing pixel at each share, by way to fill in.
      accuracy: class accuracy without missing pixels and at each share, by classifier.
    """

    passes: dict[str, int]
    nats: dict[str, list[OfRuns]]
    accuracy: dict[str, list[OfRuns]]


class Runs(NamedTuple):
    """A run of each model; the data are with the Boltzmann machine of two layers."""

    rbm: LoadedRun
    deep: LoadedRun
    vae: LoadedRun


class Way(NamedTuple):
    """A way to fill in, and the passes through the network for one answer."""

    passes: int
    conditional: Conditional
    variables: Variables


def measure(options: AnySubset) -> Study:
    """Returns the results on all test images. All runs and all ways see the same masks."""
    runs = [_runs(*paths) for paths in zip(options.rbm, options.multi_prediction, options.vae, strict=True)]
    key = jax.random.key(options.seed)
    test = runs[0].deep.data.test
    observed = [masks(key, test.x, "random", share=share) for share in options.shares]
    ways = [_ways(options, of) for of in runs]
    nats = [{name: _nats(way, key, test.x, observed) for name, way in of.items()} for of in ways]
    accuracy = [_accuracy(options, of.deep, options.seed + n, observed) for n, of in enumerate(runs)]
    return Study({name: way.passes for name, way in ways[0].items()}, _over_runs(nats), _over_runs(accuracy))


def _over_runs(results: list[dict[str, list[float]]]) -> dict[str, list[OfRuns]]:
    """Returns the mean over the runs, of each name and share."""
    return {
        name: [over_runs(values) for values in zip(*(of[name] for of in results), strict=True)] for name in results[0]
    }


def _nats(way: Way, key: PRNGKey, x: Array, observed: list[Array]) -> list[float]:
    """Returns nats per missing pixel, for each mask."""

    @jax.jit
    def nats(variables, seen):
        missing = predict_missing(way.conditional, variables, key, x, seen)
        return jnp.sum(missing["nats"]) / jnp.sum(missing["missing"])

    return [float(nats(way.variables, seen)) for seen in observed]


def _accuracy(options: AnySubset, deep: LoadedRun, seed: int, observed: list[Array]) -> dict[str, list[float]]:
    """Returns the accuracy of each classifier on all pixels, then for each mask."""
    test, train = deep.data.test, deep.data.training_examples(slice(None))
    of_machine = {"sweeps": deep.config.sweeps, "batch_size": len(test.x)}
    classes = {
        "MP-DBM": lambda x, seen: class_probabilities(deep.model, deep.variables, x, seen, **of_machine),
        "MLP, trained with missing pixels": _classifier(options, train, seed, missing=True),
        "MLP, trained without": _classifier(options, train, seed, missing=False),
    }
    accuracy = {}
    for name, probabilities in classes.items():
        right = jax.jit(lambda x, seen, of=probabilities: jnp.mean(jnp.argmax(of(x, seen), axis=1) == test.label))
        accuracy[name] = [float(right(test.x, seen)) for seen in (jnp.ones_like(observed[0]), *observed)]
    return accuracy


def _ways(options: AnySubset, runs: Runs) -> dict[str, Way]:
    """Returns each way to fill in, by name."""
    rbm, deep, vae = runs
    mean = jnp.mean(deep.data.training_examples(slice(None)).x, axis=0)
    sweeps, burn_in = options.sweeps, options.sweeps // 2
    averaged = {"sweeps": sweeps, "burn_in": burn_in}
    return {
        "RBM, Gibbs": Way(sweeps + burn_in, conditionals.clamped_gibbs(rbm.model, **averaged), rbm.variables),
        "RBM, mean field": Way(sweeps, conditionals.mean_field(rbm.model, sweeps=sweeps), rbm.variables),
        "MP-DBM, mean field": Way(
            deep.config.sweeps,
            conditionals.mean_field(deep.model, sweeps=deep.config.sweeps),
            deep.variables,
        ),
        "VAE, pseudo-Gibbs": Way(sweeps + burn_in, conditionals.pseudo_gibbs(vae.model, **averaged), vae.variables),
        "VAE, importance": Way(sweeps, conditionals.importance_sampling(vae.model, num_samples=sweeps), vae.variables),
        "mean pixel": Way(0, conditionals.mean_pixel(mean), {}),
    }


def _runs(*paths: Path) -> Runs:
    """Loads the three runs, and the data once.

    Raises:
      InputError: a run is of another experiment, or of other data.
    """
    runs = [load_run(path, data=n == 1) for n, path in enumerate(paths)]
    rbm, deep, vae = runs
    if not isinstance(rbm.model, BoltzmannMachine) or len(rbm.model.hidden) > 1:
        raise InputError(f"{paths[0]}: must be a run of experiments.rbm")
    if not isinstance(deep.model, BoltzmannMachine) or deep.model.classes is None:
        raise InputError(f"{paths[1]}: must be a run of experiments.multi_prediction with classes")
    if not isinstance(vae.model, LatentVariableModel) or vae.config.data.classes:
        raise InputError(f"{paths[2]}: must be a run of experiments.vae without classes")
    for path, run in zip(paths, runs, strict=True):
        if run.config.data.name != deep.config.data.name:
            raise InputError(f"{path}: must be of the data {deep.config.data.name}, got {run.config.data.name}")
    return Runs(*runs)


def _classifier(options: AnySubset, train: Batch, seed: int, *, missing: bool) -> Callable[[Array, Array], Array]:
    """Trains an MLP on observed pixels and their mask, and returns (x, observed) -> logits."""
    layers = MLP(options.hidden), nn.Dense(int(jnp.max(train.label)) + 1)
    network, objective = nn.Sequential(layers), classifier(nn.Sequential(layers))
    seen_by = lambda x, seen: jnp.concatenate([jnp.where(seen, x, 0), seen], axis=-1).reshape(len(x), -1)

    def hidden(key: PRNGKey, batch: Batch) -> Batch:
        share_key, pixel_key = jax.random.split(key)
        share = jax.random.uniform(share_key, (len(batch.x), *[1] * (batch.x.ndim - 1))) if missing else 0.0
        return batch._replace(x=seen_by(batch.x, jax.random.uniform(pixel_key, batch.x.shape) >= share))

    loss = lambda variables, key, batch, step: objective.losses["classifier"](variables, key, hidden(key, batch), step)
    masked = objective._replace(
        init=lambda key, batch: objective.init(key, hidden(key, batch)), losses={"classifier": loss}
    )
    trainer = gx.trainer(masked, optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.steps)))
    loop = gx.loop_over_data(trainer, batch_size=options.batch_size, chunk=options.steps)
    state, _ = loop(jax.jit(trainer.init)(jax.random.key(seed), train), train)
    return lambda x, seen: network.apply(state.variables["classifier"], seen_by(x, seen))
