"""These draws are independent: no key is drawn from twice, in any objective or evaluator. One table each."""

import importlib
import inspect
import pkgutil
from collections import Counter
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models import estimators, evaluation
from genjax_models.estimators import (
    adversarial,
    annealed_partition,
    annealing,
    annealing_path,
    augmentation,
    boltzmann,
    elbo,
    filtering,
    hamiltonian,
    importance,
    step_size_adaptation,
    total_correlation,
    two_sample_test,
)
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.evaluation import (
    annealed,
    boosting_stages,
    bounds,
    examples,
    gaps,
    information,
    latents,
    likelihood,
    missing,
    partition,
    reconstruction,
    sequential_bounds,
    standing_statistics,
)
from genjax_models.evaluation import kl_by_step as steps_of_kl
from genjax_models.models.conditionals import clamped_gibbs
from genjax_models.types import Batch
from tests.draws import draws, repeats
from tests.training.test_contract import KEY, SHAPE, TABLE, VARIATIONS, Learned, data_for, draw, two_layers

# Objectives

DROPOUT = {"hidden": (8,), "dropout": 0.2}


def with_dropout():
    """A model and a pair whose networks all drop units."""
    q, p = gx.diagonal_gaussian(2), gx.bernoulli(SHAPE)
    encoder, generator = gx.MLPEncoder(SHAPE, q.outputs, **DROPOUT), gx.MLPGenerator(p.outputs, **DROPOUT)
    features = nn.Sequential([gx.MLPEncoder(SHAPE, (8,), **DROPOUT), nn.Dense(3, use_bias=False)])
    noisy = partial(gx.adversarial_pair, gx.MLPGenerator(SHAPE, **DROPOUT), latent=2, output_noise=0.1)
    implicit = gx.models.implicit_model(gx.MLPGenerator(SHAPE, **DROPOUT), 2)
    generated = gx.generator_model(gx.MLPGenerator(p.outputs, **DROPOUT), p, 2)
    return {
        "model": gx.latent_variable_model(encoder, q, generator, p),
        "pair": noisy(discriminator=gx.MLPDiscriminator(SHAPE, **DROPOUT)),
        "features": noisy(discriminator=features),
        "implicit": implicit,
        "generated": generated,
    }


def learned_model():
    q, p = gx.diagonal_gaussian(2), gx.bernoulli(SHAPE)
    return gx.latent_variable_model(Learned(q.outputs, 3), q, Learned(p.outputs), p)


# Choices that the contract table leaves out, with dropout in all networks.
MORE = {
    "gan, dropout, noise, wasserstein": lambda: gx.gan(
        with_dropout()["pair"], loss="wasserstein", penalty="wasserstein"
    ),
    "gan, dropout, noise, r1": lambda: gx.gan(with_dropout()["pair"], penalty="r1"),
    "mmd gan, dropout, noise": lambda: gx.objectives.mmd_gan(with_dropout()["features"], gx.gaussian_kernel(1.0)),
    "gmmn, dropout": lambda: gx.objectives.gmmn(with_dropout()["implicit"], gx.gaussian_kernel(1.0)),
    "infinite mixture, dropout": lambda: gx.infinite_mixture(with_dropout()["generated"], num_samples=3),
    "iwae, dropout": lambda: gx.iwae(with_dropout()["model"], num_samples=3),
    "info vae, dropout and batch statistics": lambda: gx.objectives.info_vae(learned_model(), gx.gaussian_kernel(1.0)),
    "beta tcvae, dropout and batch statistics": lambda: gx.beta_tcvae(learned_model(), dataset_size=30),
    "dip vae, dropout and batch statistics": lambda: gx.dip_vae(learned_model()),
    "factor vae, dropout and batch statistics": lambda: gx.factor_vae(
        learned_model(), gx.MLPDiscriminator((2,), **DROPOUT)
    ),
}

# For batch statistics the z of the bound is computed again: two draws from one key for each stochastic layer. The
# generator then drops the same units again, by the same key.
OF_A_BOUND = ("vae", "iwae", "info vae", "beta tcvae", "factor vae", "dip vae")
REPEATED = {
    **{name: {2: 1} for name in (*TABLE, *MORE) if name.split(",")[0] in OF_A_BOUND},
    **{name: {2: 2} for name in TABLE if "two stochastic layers" in name},
    **{name: {2: 3} for name in TABLE if "draw" in name},  # a key per step
    "iwae, draw": {2: 9},  # and sample
    "vae, dropout and batch statistics, an average": {2: 2},
    **{name: {2: 2} for name in MORE if "dropout and batch statistics" in name},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in VARIATIONS else ()) for name in (*TABLE, *MORE)]
)
def test_fault_25_no_key_is_drawn_from_twice_in_training(name):
    """Over the initialisation and two steps."""
    objective, options = (TABLE[name].objective(), TABLE[name].options) if name in TABLE else (MORE[name](), {})
    train, data = gx.trainer(objective, dict.fromkeys(objective.losses, optax.sgd(0.1)), **options), data_for(name, 12)
    drawn = draws(jax.make_jaxpr(train.init)(KEY, data), KEY, data)
    assert not repeats(drawn)
    state = jax.eval_shape(train.init, KEY, data)._replace(key=jax.random.split(KEY)[1])
    step = jax.make_jaxpr(train.step)(state, data)
    for i in range(2):
        drawn += draws(step, state._replace(step=jnp.int32(i)), data)
    assert repeats(drawn) == {count: 2 * keys for count, keys in REPEATED.get(name, {}).items()}


# Evaluators and estimators: name -> a function of a key. Examples are two or three, and samples few.

X = np.array([[0.3], [-1.2]], np.float32)
MODEL = gx.models.LatentVariableModel(
    init=lambda key, batch: {},
    posterior=lambda variables, x, label=None: diagonal_normal(x, 0.5 * jnp.ones_like(x)),
    prior=lambda variables, label=None: diagonal_normal(jnp.zeros(1), jnp.ones(1)),
    likelihood=lambda variables, z, label=None: diagonal_normal(z, jnp.ones_like(z)),
)
PRIOR, Q, LIKELIHOOD = MODEL.prior({}), MODEL.posterior({}, X), partial(MODEL.likelihood, {})
BOUND = {"x": X, "posterior": Q, "prior": PRIOR, "likelihood": LIKELIHOOD}
TERMS = (lambda z: -jnp.sum(z**2, -1),)
PATH = {"x": X, "prior": PRIOR, "likelihood": LIKELIHOOD, "schedule": np.linspace(0, 1, 4), "num_leapfrog": 2}
CHAINS = {"num_temperatures": 4, "num_chains": 2, "num_leapfrog": 1}
IMAGES = data_for("", 4).x


def usage_by_layer(key):
    model = two_layers()
    return gx.latent_usage_by_layer(model, model.init(KEY, Batch(IMAGES)), key, IMAGES, num_samples=3)


def codes_by_layer(key):
    model = two_layers()
    return latents.codes_by_layer(model, model.init(KEY, Batch(IMAGES)), key, IMAGES, num_samples=3)


def kl_of_draw(key):
    model = draw()
    return gx.kl_by_step(model, model.init(KEY, Batch(IMAGES)), key, IMAGES, num_samples=3)


def error_of_an_autoencoder(key):
    model = gx.autoencoder_model(gx.MLPEncoder(SHAPE, (2,), (8,)), gx.MLPGenerator(SHAPE, (8,)), latent=2)
    return gx.held_out_error(model, model.init(KEY, Batch(IMAGES)), key, IMAGES)


def log_z_of_a_machine(key):
    machine = gx.restricted_boltzmann_machine((3,), 2)
    layers = dict(zip(("weights", "visible_bias", "hidden_bias"), RBM, strict=True))
    return gx.estimate_partition(machine, {"params": layers}, key, num_chains=2, num_temperatures=3, exact=False)[0]


def step_of_a_walk(state, context):
    """A random walk z_t, seen with noise."""
    normal = lambda mean: diagonal_normal(mean, jnp.ones_like(mean))
    return filtering.Step(normal(state), normal(state), normal, lambda z: z)


def statistics_of_a_generator(key):
    model = gx.models.implicit_model(Learned((3,)), 2)
    variables = model.init(KEY, Batch(jnp.zeros((1, 3))))
    return gx.standing_statistics(model, variables, key, batches=2, batch_size=3)


WALKING = gx.models.SequentialModel(
    init=lambda key, batch: {},
    start=lambda variables, x, mask: (jnp.zeros_like(x[0]), None),
    step=lambda variables, state, context: step_of_a_walk(state, context),
    sample=lambda *_: None,
    forecast=lambda *_: None,
    steps=4,
)
RBM = jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)
ADDITIVE = jnp.ones((3, 2)), jnp.zeros(2), jnp.ones(2), jnp.zeros(3)
UNITS = jnp.ones((4, 3))
WALK = {"x": jnp.ones((4, 2, 1)), "mask": jnp.ones((4, 2), bool), "start": jnp.zeros((2, 1)), "step": step_of_a_walk}
ENERGY = gx.additive_energy_model((17,), 2).init()
EVALUATORS = {
    annealed.annealed_log_likelihood: lambda key: gx.annealed_log_likelihood(MODEL, {}, key, X, **CHAINS),
    annealed.annealed_sandwich: lambda key: gx.annealed_sandwich(MODEL, {}, key, 2, **CHAINS),
    boosting_stages.additive_partition: lambda key: boosting_stages.additive_partition(
        gx.additive_energy_model((17,), 2), ENERGY, key, num_chains=2, num_temperatures=3
    ),
    bounds.held_out_bound: lambda key: gx.held_out_bound(MODEL, {}, key, X, num_samples=3),
    examples.map_examples: lambda key: examples.map_examples(
        lambda key, x: x * jax.random.normal(key), key, X, batch_size=1
    ),
    gaps.bound_gaps: lambda key: gx.bound_gaps(MODEL, {}, key, X, jnp.zeros(2), steps=2, num_samples=300),
    information.latent_information: lambda key: gx.latent_information(MODEL, {}, key, X, num_samples=3),
    latents.codes_by_layer: codes_by_layer,
    latents.latent_usage_by_layer: usage_by_layer,
    steps_of_kl.kl_by_step: kl_of_draw,
    likelihood.negative_log_likelihood: lambda key: gx.negative_log_likelihood(MODEL, {}, key, X, num_samples=300),
    missing.masks: lambda key: missing.masks(key, jnp.zeros((2, 3, 3)), "block"),
    missing.predict_missing: lambda key: gx.predict_missing(
        clamped_gibbs(gx.restricted_boltzmann_machine((3,), 2), sweeps=1, burn_in=1),
        {"params": dict(zip(("weights", "visible_bias", "hidden_bias"), RBM, strict=True))},
        key,
        UNITS,
        jnp.zeros(UNITS.shape, bool),
    ),
    partition.estimate_partition: log_z_of_a_machine,
    reconstruction.held_out_error: error_of_an_autoencoder,
    standing_statistics.standing_statistics: statistics_of_a_generator,
    adversarial.wasserstein_gradient_penalty: lambda key: adversarial.wasserstein_gradient_penalty(
        key, lambda x: x[:, 0] ** 2, X, X + 1
    ),
    annealed_partition.annealed_partition: lambda key: annealed_partition.annealed_partition(
        key, *annealed_partition.rbm_path(*RBM, jnp.zeros(3))[:3], num_chains=2, schedule=[0, 0.5, 1]
    ),
    annealing.annealed_importance_sampling: lambda key: annealing.annealed_importance_sampling(
        key, **PATH, num_chains=2, step_size=0.1
    ),
    annealing.reverse_annealed_importance_sampling: lambda key: annealing.reverse_annealed_importance_sampling(
        key, z=jnp.zeros((2, 2, 1)), **PATH, step_size=0.1
    ),
    annealing_path.make_transitions: lambda key: jax.vmap(jax.random.normal)(
        annealing_path.make_transitions(key, PATH["schedule"], 0.1, 2).key
    ),
    annealing_path.start_path: lambda key: annealing_path.start_path(key, X, PRIOR, LIKELIHOOD, Q, 2)[1],
    augmentation.mirrored: lambda key: augmentation.mirrored(key, jnp.ones((2, 3, 3, 1))),
    augmentation.shifted: lambda key: augmentation.shifted(key, jnp.ones((2, 3, 3, 1)), 1),
    boltzmann.additive_gibbs_sweep: lambda key: boltzmann.additive_gibbs_sweep(key, UNITS, *ADDITIVE),
    boltzmann.bernoulli_of: lambda key: boltzmann.bernoulli_of(key, jnp.zeros(3), jnp.int8),
    boltzmann.gibbs_sweep: lambda key: boltzmann.gibbs_sweep(key, UNITS, *RBM),
    elbo.elbo: lambda key: elbo.elbo(key, **BOUND, num_samples=3, form="monte_carlo"),
    elbo.elbo_terms: lambda key: elbo.elbo_terms(key, **BOUND, num_samples=3),
    filtering.elbo_by_step: lambda key: filtering.elbo_by_step(key, **WALK),
    filtering.filtering_bound: lambda key: filtering.filtering_bound(key, **WALK, num_particles=3, criterion="always"),
    hamiltonian.hamiltonian_transition: lambda key: hamiltonian.hamiltonian_transition(
        key, hamiltonian.position(jnp.zeros((2, 2, 1)), TERMS), TERMS, lambda value: value, 0.1 * jnp.ones(2), 2
    ),
    importance.iwae_bound: lambda key: importance.iwae_bound(key, **BOUND, num_samples=4, chunk=2),
    importance.log_likelihood: lambda key: importance.log_likelihood(key, X, Q, PRIOR, LIKELIHOOD, num_samples=3),
    importance.log_likelihood_from_prior: lambda key: importance.log_likelihood_from_prior(
        key, X, PRIOR, LIKELIHOOD, num_samples=3
    ),
    sequential_bounds.held_out_filtering: lambda key: gx.held_out_filtering(
        WALKING, {}, key, jnp.ones((2, 4, 1)), num_particles=3, bounds=("fivo",), criterion="always"
    )["fivo"],
    step_size_adaptation.adapt_step_size: lambda key: step_size_adaptation.adapt_step_size(
        key, **PATH, num_chains=2, num_updates=3
    ),
    total_correlation.permuted: lambda key: total_correlation.permuted(key, X),
    two_sample_test.two_sample_test: lambda key: gx.two_sample_test(
        key, X, X + 1, gx.gaussian_kernel(1.0), num_permutations=3
    ),
    two_sample_test.held_out_two_sample_test: lambda key: gx.held_out_two_sample_test(
        key, IMAGES[:4], 1 - IMAGES[:4], [1.0, 2.0], num_permutations=3
    ),
}
# L(q) and L(q*) have the same noise, so that their difference has little: three blocks for each of two examples. The
# search has two steps, so that a key shared with it changes the number.
COMMON = {gaps.bound_gaps: {2: 6}}


def test_every_evaluator_with_a_key_has_a_row():
    with_keys = set()
    for room in (evaluation, estimators):
        for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
            for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
                ours = function.__module__ == module.name and not name.startswith("_")
                if ours and "key" in inspect.signature(function).parameters:
                    with_keys.add(function)
    assert with_keys == set(EVALUATORS)


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda function: function.__name__)
def test_fault_25_no_key_is_drawn_from_twice_in_evaluation(evaluator):
    drawn = draws(jax.make_jaxpr(EVALUATORS[evaluator])(KEY), KEY)
    assert drawn
    assert repeats(drawn) == COMMON.get(evaluator, {})


CHEAP = {annealing.annealed_importance_sampling, importance.iwae_bound}


@pytest.mark.parametrize(
    "evaluator",
    [pytest.param(function, marks=() if function in CHEAP else pytest.mark.slow) for function in EVALUATORS],
    ids=lambda function: function.__name__,
)
def test_fault_81_an_evaluator_is_traced_with_float64(evaluator):
    with jax.enable_x64(True):
        jax.eval_shape(EVALUATORS[evaluator], KEY)


def test_a_key_used_twice_is_seen():
    """In a row, in a scan, under vmap, in a branch and after it, and by two names of one key."""
    twice = {
        "in a row": lambda key: jax.random.normal(key) + jax.random.uniform(key, (2,)),
        "in a scan": lambda key: jax.lax.scan(lambda c, _: (c + jax.random.normal(key), None), 0.0, jnp.arange(2))[0],
        "in a vmap": lambda key: jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i // 2)))(jnp.arange(2)),
        "in a branch": lambda key: jax.lax.cond(
            jnp.exp(0.0) > 1, lambda: jax.random.normal(key), lambda: 0.0
        ) + jax.random.normal(key),
        "by an index": lambda key: sum(map(jax.random.normal, (jax.random.split(key)[1], jax.random.fold_in(key, 1)))),
    }  # fmt: skip
    for name, function in twice.items():
        assert repeats(draws(jax.make_jaxpr(function)(KEY), KEY)) == {2: 1}, name
    split = lambda key: jax.random.normal(key) + jax.random.normal(jax.random.split(key)[0])
    with pytest.raises(AssertionError, match="that was split"):
        repeats(draws(jax.make_jaxpr(split)(KEY), KEY))
    assert isinstance(draws(jax.make_jaxpr(lambda key: 1.0)(KEY), KEY), Counter)
