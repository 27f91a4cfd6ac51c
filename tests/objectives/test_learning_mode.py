"""Dropout and batch normalisation act while an objective learns; statistics move, and judging is deterministic."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.models.gaussian_noise import with_gaussian_noise
from genjax_models.models.implicit import implicit_model
from genjax_models.models.laplacian_pyramid_gan import laplacian_pyramid_gan, refining_pair
from genjax_models.models.latent_variable import LatentVariableModel, standard_normal
from genjax_models.networks.classifier import ConvolutionalClassifier
from genjax_models.networks.outputs import dense_output, emit
from genjax_models.objectives.classifier import classifier
from genjax_models.objectives.lapgan import lapgan
from genjax_models.types import Batch, Objective

SHAPE, LATENT = (4, 4, 1), 2
KEY = jax.random.key(3)
X = jax.random.bernoulli(jax.random.key(1), 0.3, (12, *SHAPE)).astype(jnp.float32)
BATCH = Batch(X, jnp.arange(12) % 3)


class Network(nn.Module):
    """One hidden layer; `mode` is what differs while it learns."""

    emits: object
    mode: str
    axes: int = 1  # of one input

    @nn.compact
    def __call__(self, x):
        lead = x.shape[: x.ndim - self.axes]
        h = nn.Dense(8, use_bias=self.mode != "batch normalisation")(x.reshape(*lead, -1))
        if self.mode == "batch normalisation":
            h = nn.BatchNorm(use_running_average=not self.is_mutable_collection("batch_stats"), momentum=0.5)(h)
        h = nn.relu(h)
        if self.mode == "dropout":
            h = nn.Dropout(0.5, deterministic=not self.has_rng("dropout"))(h)
        return emit(self, self.emits, lambda name, shape: dense_output(h, name, shape))


def encoder(emits, mode, axes=3):
    return Network(emits, mode, axes)


def latent_variable(where, mode):
    q, p = gx.diagonal_gaussian(LATENT), gx.bernoulli(SHAPE)
    modes = [mode if where == part else "plain" for part in ("encoder", "generator")]
    return gx.latent_variable_model(encoder(q.outputs, modes[0]), q, Network(p.outputs, modes[1]), p)


def two_layers(where, mode):
    """The upper encoder, and the generator of z_1: the networks within the chains."""
    lower, upper, p = gx.diagonal_gaussian(3), gx.diagonal_gaussian(LATENT), gx.bernoulli(SHAPE)
    modes = [mode if where == part else "plain" for part in ("encoder", "generator")]
    encoders = encoder(lower.outputs, "plain"), Network(upper.outputs, modes[0])
    generators = Network(p.outputs, "plain"), Network(lower.outputs, modes[1])
    return gx.hierarchical_model(encoders, (lower, upper), generators, (p, lower))


def generator_only(where, mode):
    p = gx.gaussian(SHAPE, "isotropic")
    return gx.generator_model(Network(p.outputs, mode), p, LATENT)


def coder(where, mode):
    modes = [mode if where == part else "plain" for part in ("encoder", "generator")]
    return gx.autoencoder_model(encoder((LATENT,), modes[0]), Network(SHAPE, modes[1]), LATENT)


def implicit(where, mode, shape=SHAPE):
    return implicit_model(Network(shape, mode), LATENT)


def pair(where, mode):
    modes = [mode if where == part else "plain" for part in ("discriminator", "generator")]
    return gx.adversarial_pair(Network(SHAPE, modes[1]), encoder((), modes[0]), LATENT)


def pyramid(where, mode):
    fine = refining_pair(Network(SHAPE, mode, 3), encoder((), "plain"))
    coarse = gx.adversarial_pair(Network((2, 2, 1), mode), encoder((), "plain"), LATENT)
    return lapgan(laplacian_pyramid_gan([fine, coarse]))


class Row(NamedTuple):
    objective: Callable[[str, str], Objective]
    places: tuple[str, ...]
    player: str | None = None


KERNEL = gx.gaussian_kernel(1.0)
BOTH, GENERATOR = ("encoder", "generator"), ("generator",)
TABLE = {
    "vae": Row(lambda *a: gx.vae(latent_variable(*a)), BOTH, "vae"),
    "vae, two layers": Row(lambda *a: gx.vae(two_layers(*a), form="monte_carlo"), BOTH, "vae"),
    "iwae": Row(lambda *a: gx.iwae(latent_variable(*a), num_samples=3), BOTH, "iwae"),
    "iwae, two layers": Row(lambda *a: gx.iwae(two_layers(*a), num_samples=3), BOTH, "iwae"),
    "info vae": Row(lambda *a: gx.objectives.info_vae(latent_variable(*a), KERNEL), BOTH, "info_vae"),
    "autoencoder": Row(lambda *a: gx.autoencoder(coder(*a)), BOTH, "autoencoder"),
    "infinite mixture": Row(
        lambda *a: gx.infinite_mixture(generator_only(*a), num_samples=9), GENERATOR, "infinite_mixture"
    ),
    "infinite mixture, noise on an output": Row(
        lambda *a: gx.infinite_mixture(with_gaussian_noise(implicit(*a), 0.5), num_samples=9),
        GENERATOR,
        "infinite_mixture",
    ),
    "gmmn": Row(lambda *a: gx.objectives.gmmn(implicit(*a), KERNEL), GENERATOR, "generator"),
    "gmmn on codes": Row(
        lambda *a: gx.objectives.gmmn_autoencoder(
            coder(*a), implicit(None, "plain", (LATENT,)), KERNEL, autoencoder_steps=9
        ),
        BOTH,
        "autoencoder",
    ),
    "gan": Row(lambda *a: gx.gan(pair(*a)), ("discriminator", "generator")),
    "mmd gan": Row(
        lambda *a: gx.objectives.mmd_gan(
            gx.adversarial_pair(Network(SHAPE, a[1]), encoder((3,), "plain"), LATENT), KERNEL
        ),
        GENERATOR,
        "generator",
    ),
    "lapgan": Row(pyramid, GENERATOR, "generator_0"),
    "classifier": Row(
        lambda where, mode: classifier(encoder((3,), mode)),
        ("classifier",),
        "classifier",
    ),
}
ALIKE = (
    "vae, two layers",
    "iwae",
    "iwae, two layers",
    "infinite mixture",
    "infinite mixture, noise on an output",
    "gmmn",
    "info vae",
    "gmmn on codes",
    "mmd gan",
    "lapgan",
)
CASES = [
    pytest.param(name, place, marks=pytest.mark.slow if name in ALIKE else ())
    for name, row in TABLE.items()
    for place in row.places
]


def one_loss(objective, player, variables, key=KEY):
    return jax.jit(lambda v: objective.losses[player](v, key, BATCH, jnp.int32(0)))(variables)


@pytest.mark.parametrize(("name", "place"), CASES)
def test_fault_79_dropout_acts_while_learning(name, place):
    row = TABLE[name]
    objective, plain = row.objective(place, "dropout"), row.objective(place, "plain")
    player = row.player or place
    variables = objective.init(jax.random.key(0), BATCH)
    chex.assert_trees_all_equal(variables, plain.init(jax.random.key(0), BATCH))
    with_dropout, _ = one_loss(objective, player, variables)
    assert abs(with_dropout - one_loss(plain, player, variables)[0]) > 1e-4
    assert with_dropout == one_loss(objective, player, variables)[0]  # a function of its key
    assert np.isfinite(with_dropout)


@pytest.mark.parametrize(("name", "place"), CASES)
def test_fault_79_batch_normalisation_is_by_the_batch_and_its_statistics_move(name, place):
    row = TABLE[name]
    objective = row.objective(place, "batch normalisation")
    player = row.player or place
    train = gx.trainer(objective, dict.fromkeys(objective.losses, optax.sgd(0.01)))
    state, step = train.init(KEY, BATCH), jax.jit(train.step)
    before = state.variables[player]
    after, metrics = step(state, BATCH)
    moved = jax.tree.map(np.array_equal, before["batch_stats"], after.variables[player]["batch_stats"])
    assert not any(jax.tree.leaves(moved))
    chex.assert_tree_all_finite((after.variables, metrics))
    # The moments are the batch's: running averages do not enter the loss.
    other = {**before, "batch_stats": jax.tree.map(lambda a: a + 3.0, before["batch_stats"])}
    _, same = step(state._replace(variables={**state.variables, player: other}), BATCH)
    np.testing.assert_allclose(same[f"{player}/loss"], metrics[f"{player}/loss"], rtol=1e-5)


@pytest.mark.parametrize("mode", ["dropout", "batch normalisation"])
@pytest.mark.parametrize(("name", "place"), CASES)
def test_judging_is_deterministic_and_by_running_averages(name, place, mode):
    if name == "classifier":
        return
    objective = TABLE[name].objective(place, mode)
    variables = objective.init(jax.random.key(0), BATCH)
    draw = lambda variables: objective.sample(variables, KEY, 5)
    if mode == "dropout":
        chex.assert_trees_all_equal(draw(variables), TABLE[name].objective(place, "plain").sample(variables, KEY, 5))
        return
    five, one = draw(variables), objective.sample(variables, KEY, 1)
    chex.assert_tree_all_finite((five, one))
    chex.assert_trees_all_equal(five, draw(variables))


@pytest.mark.parametrize("mode", ["dropout", "batch normalisation"])
def test_evaluation_of_a_vae_judges_each_example_by_itself(mode):
    model = latent_variable("encoder", mode)
    variables = model.init(jax.random.key(0), BATCH)
    whole, first = model.posterior(variables, X).mean(), model.posterior(variables, X[:3]).mean()
    np.testing.assert_allclose(whole[:3], first, rtol=1e-5)
    learned = model.learning(variables, KEY, BATCH)
    assert np.abs(learned.posterior.mean() - whole).max() > 1e-2


def test_fault_79_the_statistics_of_a_vae_are_the_moments_of_the_batch():
    """The generator's: over three samples of twelve examples as one batch, by hand."""
    model = latent_variable("generator", "batch normalisation")
    objective = gx.vae(model, num_samples=3)
    variables = objective.init(jax.random.key(0), BATCH)
    _, aux = one_loss(objective, "vae", variables)
    z = model.posterior(variables["vae"], X).sample(seed=KEY, sample_shape=3)
    h = z.reshape(36, LATENT) @ variables["vae"]["params"]["generator"]["Dense_0"]["kernel"]
    moved = aux.variables["vae"]["batch_stats"]["generator"]["BatchNorm_0"]
    np.testing.assert_allclose(moved["mean"], 0.5 * h.mean(0), atol=1e-5)
    np.testing.assert_allclose(moved["var"], 0.5 + 0.5 * h.var(0), rtol=1e-4)


def test_another_key_drops_other_units():
    model = latent_variable("encoder", "dropout")
    variables = model.init(jax.random.key(0), BATCH)
    means = [model.learning(variables, jax.random.key(seed), BATCH).posterior.mean() for seed in (0, 1)]
    assert np.abs(means[0] - means[1]).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["standard", "doubly_reparameterized"])
def test_iwae_in_chunks_learns_with_dropout(gradient):
    """One chunk of all samples drops the units that no chunk drops; smaller chunks are finite and learn."""
    model = latent_variable("generator", "dropout")
    variables = gx.iwae(model, num_samples=1).init(jax.random.key(0), BATCH)
    values = {
        chunk: one_loss(gx.iwae(model, num_samples=6, gradient=gradient, chunk=chunk), "iwae", variables)[0]
        for chunk in (None, 6, 2)
    }
    np.testing.assert_allclose(values[6], values[None], rtol=1e-5)
    assert values[2] != values[None]
    train = gx.trainer(gx.iwae(model, num_samples=6, gradient=gradient, chunk=2), {"iwae": optax.adam(0.01)})
    state, metrics = gx.loop_over_data(train, batch_size=12, chunk=5)(train.init(KEY, BATCH), BATCH, 5)
    chex.assert_tree_all_finite((state.variables, metrics))


@pytest.mark.parametrize(
    ("model", "where", "mode"),
    [
        (latent_variable, "generator", "batch normalisation"),
        (two_layers, "encoder", "batch normalisation"),
        (two_layers, "encoder", "dropout"),
    ],
)
def test_chunks_that_would_change_the_network_are_refused(model, where, mode):
    objective = gx.iwae(model(where, mode), num_samples=4, chunk=2)
    with pytest.raises(ValueError, match=r"chunk must be None for batch normalisation.* got 2"):
        one_loss(objective, "iwae", objective.init(KEY, BATCH))


def test_dropout_of_a_generator_within_a_chain_does_not_refuse_chunks():
    objective = gx.iwae(two_layers("generator", "dropout"), num_samples=4, chunk=2)
    assert np.isfinite(one_loss(objective, "iwae", objective.init(KEY, BATCH))[0])


def hand_made(state):
    """A model without networks, that has no `learning`."""
    start = {"params": {"w": jnp.zeros((LATENT, 16))}, **state}

    def likelihood(variables, z, label=None):
        return distrax.Independent(distrax.Bernoulli((z @ variables["params"]["w"]).reshape(*z.shape[:-1], *SHAPE)), 3)

    def posterior(variables, x, label=None):
        return distrax.Independent(distrax.Normal(jnp.zeros((len(x), LATENT)), 1.0), 1)

    return LatentVariableModel(
        lambda key, batch: start, posterior, lambda variables, label=None: standard_normal(LATENT), likelihood
    )


def test_a_model_without_a_learning_mode_learns_as_it_is_judged():
    objective = gx.vae(hand_made({}))
    loss, _ = one_loss(objective, "vae", objective.init(KEY, BATCH))
    np.testing.assert_allclose(loss, 16 * np.log(2), rtol=1e-5)


def test_fault_79_a_model_with_batch_statistics_and_no_learning_mode_is_refused():
    objective = gx.vae(hand_made({"batch_stats": {"mean": jnp.zeros(2)}}))
    with pytest.raises(ValueError, match=r"a model with the state \['batch_stats'\] needs `learning`"):
        one_loss(objective, "vae", objective.init(KEY, BATCH))


@pytest.mark.parametrize("of", [gx.vae, gx.dip_vae, lambda model: gx.iwae(model, num_samples=2)])
def test_models_without_p_z_are_named(of):
    sequential = gx.linear_gaussian_model(steps=2)
    density = gx.made_model((2,), gx.bernoulli, (4,), dropout=0.1)
    for model, batch in ((sequential, Batch(np.zeros((1, 2, 1)))), (density, Batch(np.zeros((1, 2))))):
        ((player, loss),) = of(model).losses.items()
        with pytest.raises(ValueError, match=f"needs a model with a prior p.z., got {type(model).__name__}. Use seq"):
            loss({player: {"params": {}}}, KEY, batch, 0)


def test_a_classifier_with_dropout_is_in_learning_mode():
    network = ConvolutionalClassifier(SHAPE, 3, (4,), 8, dropout=0.5)
    objective = classifier(network)
    variables = objective.init(KEY, BATCH)
    one, other = (one_loss(objective, "classifier", variables, jax.random.key(seed))[0] for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize("name", ["gan", "lapgan", "mmd gan", "vae", "gmmn"])
def test_adversaries_are_named_by_the_objective(name):
    objective = TABLE[name].objective("generator", "plain")
    expected = {"lapgan": ("discriminator_0", "discriminator_1"), "vae": (), "gmmn": ()}
    assert objective.adversaries == expected.get(name, ("discriminator",))
    assert set(objective.adversaries) <= set(objective.losses)
    train = gx.trainer(objective, dict.fromkeys(objective.losses, optax.sgd(0.1)))
    assert train.adversaries == objective.adversaries
