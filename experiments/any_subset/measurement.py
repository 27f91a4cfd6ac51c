"""What finished runs fill in, and classes with missing pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import genjax_models as gx
from experiments.any_subset.options import AnySubset
from genjax_models.data.prepare import Prepared
from genjax_models.errors import InputError
from genjax_models.evaluation.estimates import Estimate, estimate
from genjax_models.evaluation.examples import map_examples
from genjax_models.evaluation.missing import class_probabilities, masks, predict_missing
from genjax_models.models import LatentVariableModel, conditionals
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.models.conditionals import Conditional
from genjax_models.networks.mlp import MLP
from genjax_models.objectives.classifier import classifier
from genjax_models.runs.loading import LoadedRun, load_run
from genjax_models.types import Array, Batch, PRNGKey, Variables


class Study(NamedTuple):
    """All results. A figure is an array `[shares, runs, images]`, whose mean over runs and images is reported.

    Attributes:
      passes: passes through the network for one answer, by way to fill in.
      nats: nats per missing pixel, by way to fill in: an image counts by how many of its pixels are missing.
      right: whether the class is right without missing pixels and at each share, by classifier.
      effective: median effective sample size of importance sampling over runs and images, by share.
    """

    passes: dict[str, int]
    nats: dict[str, Array]
    right: dict[str, Array]
    effective: Array


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


def over_runs_and_images(figure: Array) -> Estimate:
    """Returns the mean of a figure `[runs, images]`. Its error has a part for images, and one for runs if several."""
    of_images, of_runs = estimate(figure.mean(axis=0)), estimate(figure.mean(axis=1))
    error = of_images.standard_error if of_runs.n == 1 else math.hypot(of_images.standard_error, of_runs.standard_error)
    return of_images._replace(standard_error=error)


def measure(options: AnySubset) -> Study:
    """Returns the results on all test images. All runs and all ways see the same masks.

    Raises:
      InputError: a run is of another experiment or of other data, or the deep machines learned with unequal sweeps.
    """
    runs = [_runs(*paths) for paths in zip(options.rbm, options.multi_prediction, options.vae, strict=True)]
    expected, *others = (f"{_data(of.deep)}, {of.deep.config.sweeps} sweeps" for of in runs)
    for path, found in zip(options.multi_prediction[1:], others, strict=True):
        if found != expected:
            raise InputError(f"{path}: must be of {expected}, as the first run, got {found}")
    mask_key, key = jax.random.split(jax.random.key(options.seed))
    test = runs[0].deep.data.test
    observed = [masks(mask_key, test.x, "random", share=share) for share in options.shares]
    ways = [_ways(options, of) for of in runs]
    right = [_right(options, n, of, observed) for n, of in enumerate(runs)]
    return Study(
        {name: way.passes for name, way in ways[0].items()},
        {name: _stack(_nats(of[name], key, test.x, observed) for of in ways) for name in ways[0]},
        {name: _stack(of[name] for of in right) for name in right[0]},
        np.median(_stack(_effective(options, of.vae, key, test.x, observed) for of in runs), axis=(1, 2)),
    )


def _stack(runs: Iterable[list[Array]]) -> Array:
    """Returns `[shares, runs, images]` of the lists of the runs."""
    return np.stack([np.asarray(run, np.float64) for run in runs], axis=1)


def _nats(way: Way, key: PRNGKey, x: Array, observed: list[Array]) -> list[Array]:
    """Returns nats over the mean number of missing pixels, of each image, for each mask."""

    @jax.jit
    def nats(variables, seen):
        missing = predict_missing(way.conditional, variables, key, x, seen)
        return missing["nats"] / jnp.mean(missing["missing"])

    return [nats(way.variables, seen) for seen in observed]


def _effective(options: AnySubset, vae: LoadedRun, key: PRNGKey, x: Array, observed: list[Array]) -> list[Array]:
    """Returns the effective sample size of importance sampling, of each image, for each mask."""

    def one(key: PRNGKey, example: tuple[Array, Array]) -> Array:
        x, seen = (a[None] for a in example)
        of = conditionals.importance_estimate
        return of(vae.model, vae.variables, key, x, seen, num_samples=options.sweeps)[1][0]

    sizes = jax.jit(lambda seen: map_examples(one, key, (x, seen), batch_size=100))
    return [sizes(seen) for seen in observed]


def _right(options: AnySubset, n: int, runs: Runs, observed: list[Array]) -> dict[str, list[Array]]:
    """Returns where each classifier is right: on all pixels, then for each mask."""
    deep, seed, classes = runs.deep, options.seed + n, runs.deep.model.classes
    test = deep.data.test
    of_machine = {"sweeps": deep.config.sweeps, "batch_size": len(test.x)}
    classifiers = {
        "MP-DBM": lambda x, seen: class_probabilities(deep.model, deep.variables, x, seen, **of_machine),
        "MLP, trained with missing pixels": _classifier(options, classes, deep.data, seed, missing=True),
        "MLP, trained without": _classifier(options, classes, deep.data, seed, missing=False),
    }
    results = {}
    for name, probabilities in classifiers.items():
        right = jax.jit(lambda seen, of=probabilities: jnp.argmax(of(test.x, seen), axis=1) == test.label)
        results[name] = [right(seen) for seen in (jnp.ones_like(observed[0]), *observed)]
    return results


def _ways(options: AnySubset, runs: Runs) -> dict[str, Way]:
    """Returns each way to fill in, by name."""
    rbm, deep, vae = runs
    sweeps, burn_in, learned = options.sweeps, options.sweeps // 2, deep.config.sweeps
    averaged = {"sweeps": sweeps, "burn_in": burn_in}
    mean = jnp.mean(deep.data.training_examples(slice(None)).x, axis=0)
    return {
        "RBM, Gibbs": Way(sweeps + burn_in, conditionals.clamped_gibbs(rbm.model, **averaged), rbm.variables),
        "RBM, mean field": Way(sweeps, conditionals.mean_field(rbm.model, sweeps=sweeps), rbm.variables),
        "MP-DBM, mean field": Way(learned, conditionals.mean_field(deep.model, sweeps=learned), deep.variables),
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
        if _data(run) != _data(deep):
            raise InputError(f"{path}: must be of the data {_data(deep)}, got {_data(run)}")
    return Runs(*runs)


def _data(run: LoadedRun) -> str:
    return f"{run.config.data.name} with binarise {run.system.binarise}"


def _classifier(
    options: AnySubset, classes: int, data: Prepared, seed: int, *, missing: bool
) -> Callable[[Array, Array], Array]:
    """Trains an MLP on observed pixels and their mask, prepared anew at each step. Returns (x, observed) -> logits."""
    layers = MLP(options.hidden), nn.Dense(classes)
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
    settings = {"batch_size": options.batch_size, "prepare": data.each_step, "chunk": options.steps}
    start = jax.jit(trainer.init)(jax.random.key(seed), data.example)
    state, _ = gx.loop_over_data(trainer, **settings)(start, data.train, options.steps)
    return lambda x, seen: network.apply(state.variables["classifier"], seen_by(x, seen))
