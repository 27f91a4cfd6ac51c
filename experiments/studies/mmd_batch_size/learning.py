"""Estimates of the MMD from samples, generators that learn by it, and the time of a step."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import genjax_models as gx
from experiments.studies.mmd_batch_size.theory import DIMENSIONS
from genjax_models.models.implicit import ImplicitModel, implicit_model
from genjax_models.objectives.matching import matching
from genjax_models.types import Objective, Trainer

if TYPE_CHECKING:
    from experiments.studies.mmd_batch_size.options import MMDBatchSize

Estimator = Literal["biased", "unbiased"]
_LEARNING_RATE = 0.05  # initial rate of Adam; a cosine takes it to 0
_TIMED = 20  # timed steps, in processor time, which other processes hardly change
_MMD_SQUARED = {"biased": gx.mmd_squared_biased, "unbiased": gx.mmd_squared_unbiased}


def affine_model() -> ImplicitModel:
    """Returns the generator x = A z + shift."""
    return implicit_model(nn.Dense(DIMENSIONS), DIMENSIONS)


def objective(options: MMDBatchSize, estimator: Estimator) -> Objective:
    """Returns the objective of one player, "generator": this estimate of the squared MMD."""
    distance, kernel = _MMD_SQUARED[estimator], gx.gaussian_kernel(options.bandwidth)
    return matching(affine_model(), lambda x, samples: (distance(x, samples, kernel), {}))


def trainer(options: MMDBatchSize, estimator: Estimator) -> Trainer:
    """Returns the trainer with Adam."""
    optimizer = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, options.steps))
    return gx.trainer(objective(options, estimator), {"generator": optimizer})


def estimates(options: MMDBatchSize, n: int) -> dict[Estimator, np.ndarray]:
    """Returns estimates `[repeats]` from n draws of N(0, I) and n draws of N(0, scale^2 I)."""
    kernel = gx.gaussian_kernel(options.bandwidth)

    @jax.jit
    def all_pairs(key):
        def one_pair(key):
            x, z = jax.random.normal(key, (2, n, DIMENSIONS))
            return {name: _MMD_SQUARED[name](x, options.scale * z, kernel) for name in get_args(Estimator)}

        return jax.lax.map(one_pair, jax.random.split(key, options.repeats))

    return jax.tree.map(np.asarray, all_pairs(jax.random.fold_in(jax.random.key(options.seed), n)))


def learn(options: MMDBatchSize, estimator: Estimator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns shift `[seeds, 2]` and covariance `[seeds, 2, 2]` of trained generators; every batch is new."""
    train, model = trainer(options, estimator), affine_model()

    def learn_from_seed(key):
        init_key, data_key = jax.random.split(key)

        def step(state, i):
            batch = gx.Batch(jax.random.normal(jax.random.fold_in(data_key, i), (n, DIMENSIONS)))
            return train.step(state, batch)[0], None

        state = train.init(init_key, gx.Batch(jnp.zeros((1, DIMENSIONS))))
        state, _ = jax.lax.scan(step, state, jnp.arange(options.steps))
        shift, *columns = model.generate(
            state.variables["generator"], jnp.concatenate([jnp.zeros((1, DIMENSIONS)), jnp.eye(DIMENSIONS)])
        )
        a = jnp.stack(columns) - shift
        return shift, a.T @ a

    keys = jax.random.split(jax.random.key(options.seed), options.seeds)
    shift, covariance = jax.jit(jax.vmap(learn_from_seed))(keys)
    return np.asarray(shift, np.float64), np.asarray(covariance, np.float64)


def seconds_of_a_step(options: MMDBatchSize, n: int) -> float:
    """Returns the median processor time of a compiled step with the unbiased estimator."""
    train, batch = trainer(options, "unbiased"), gx.Batch(jax.random.normal(jax.random.key(0), (n, DIMENSIONS)))
    state, step = train.init(jax.random.key(0), batch), jax.jit(train.step)
    jax.block_until_ready(step(state, batch))
    times = []
    for _ in range(_TIMED):
        started = time.process_time()
        jax.block_until_ready(step(state, batch))
        times.append(time.process_time() - started)
    return statistics.median(times)
