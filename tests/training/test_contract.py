"""What every objective must keep: one table, one set of promises. A new objective adds one row."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import genjax_models as gx
from genjax_models.models.laplacian_pyramid_gan import laplacian_pyramid_gan, refining_pair
from genjax_models.networks.classifier import ConvolutionalClassifier
from genjax_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genjax_models.networks.outputs import dense_output, emit
from genjax_models.networks.refining import RefiningGenerator
from genjax_models.objectives.classifier import classifier
from genjax_models.objectives.lapgan import lapgan
from genjax_models.types import Batch, Objective
from tests.training.games import adversarial, bilinear

SHAPE, CLASSES = (4, 4, 1), 3
KEY = jax.random.key(7)


def networks(posterior, likelihood):
    return (
        gx.MLPEncoder(SHAPE, posterior.outputs, (8,)),
        posterior,
        gx.MLPGenerator(likelihood.outputs, (8,)),
        likelihood,
    )


def residual_gan() -> Objective:
    generator = gx.BigGANGenerator(SHAPE, (8,), CLASSES, shared=3, attention=4, chunk=2)
    pair = gx.adversarial_pair(generator, gx.BigGANDiscriminator(SHAPE, (8,)), 4, classes=CLASSES)
    return gx.gan(pair, orthogonal=1e-2, translation=1)


def model_of(posterior, likelihood):
    return gx.latent_variable_model(*networks(posterior(2), likelihood(SHAPE)))


def vae_of(posterior, likelihood, **options) -> Callable[[], Objective]:
    return lambda: gx.vae(model_of(posterior, likelihood), **options)


def convolutional_vae() -> Objective:
    posterior, likelihood = gx.diagonal_gaussian(2), gx.bernoulli(SHAPE)
    encoder = gx.ConvolutionalEncoder(SHAPE, posterior.outputs, channels=(4,), hidden=())
    generator = gx.ConvolutionalGenerator(likelihood.outputs, channels=(4,), hidden=())
    return gx.vae(gx.latent_variable_model(encoder, posterior, generator, likelihood))


def draw(**options):
    return gx.draw_model(SHAPE, 3, 2, 8, gx.bernoulli(SHAPE), **options)


def generator_alone():
    likelihood = gx.gaussian(SHAPE, "isotropic")
    return gx.generator_model(gx.MLPGenerator(likelihood.outputs, (8,)), likelihood, 2)


def mixture_of_mixtures() -> Objective:
    bits = [gx.bernoulli(SHAPE)] * 2
    return gx.maximum_likelihood(gx.mixture_model([gx.mixture_model(bits), *bits]))


def pair_of(**options):
    discriminator = gx.MLPDiscriminator(SHAPE, (8,), dropout=0.2)
    return gx.adversarial_pair(gx.MLPGenerator(SHAPE, (8,)), discriminator, 2, **options)


def deep_pair(channels, **options):
    discriminator = DCGANDiscriminator(SHAPE, channels, **options)
    return gx.adversarial_pair(DCGANGenerator(SHAPE, (3,)), discriminator, 2, output_noise=0.05)


def two_layers():
    lower, upper, x = gx.diagonal_gaussian(3), gx.diagonal_gaussian(2), gx.bernoulli(SHAPE)
    encoders = gx.MLPEncoder(SHAPE, lower.outputs, (8,)), gx.MLPEncoder((3,), upper.outputs, (8,))
    generators = gx.MLPGenerator(x.outputs, (8,)), gx.MLPGenerator(lower.outputs, (8,))
    return gx.hierarchical_model(encoders, (lower, upper), generators, (x, lower))


def plain_autoencoder() -> Objective:
    encoder, generator = gx.MLPEncoder(SHAPE, (2,), (8,)), gx.MLPGenerator(SHAPE, (8,))
    return gx.autoencoder(gx.autoencoder_model(encoder, generator, latent=2))


def factor_vae() -> Objective:
    discriminator = gx.MLPDiscriminator((2,), (8,), dropout=0.2)
    return gx.factor_vae(model_of(gx.diagonal_gaussian, gx.bernoulli), discriminator)


def supervised() -> Objective:
    generator = gx.SupervisedGenerator(SHAPE, CLASSES, 2, hidden=8, joint=8, channels=(4,), kernel=3)
    return gx.supervised(gx.supervised_model(generator, CLASSES, 2))


def supervised_from_poses() -> Objective:
    joined = gx.SupervisedGenerator(SHAPE, CLASSES, 2, hidden=8, joint=8, channels=(4,), kernel=3)
    still = lambda factors: gx.networks.Pose(factors, factors, jnp.tile(jnp.eye(2), (len(factors), 1, 1)), factors)
    turned = gx.TurnedGenerator(SHAPE, still, grid=4, features=2, hidden=8, channels=(4,), kernel=3)
    return gx.supervised(gx.supervised_model(gx.MeanOfGenerators({"joined": joined, "turned": turned}), CLASSES, 2))


def implicit(shape=SHAPE, **options):
    return gx.models.implicit_model(gx.MLPGenerator(shape, (8,)), 2, **options)


def lapgan_of(*, classes=None, **options) -> Callable[[], Objective]:
    fine, coarse = gx.MLPDiscriminator((4, 4, 2), (8,)), gx.MLPDiscriminator((2, 2, 1), (8,), dropout=0.2)
    refining = refining_pair(RefiningGenerator(SHAPE, (4,)), fine, classes=classes)
    coarsest = gx.adversarial_pair(gx.MLPGenerator((2, 2, 1), (8,)), coarse, 2, classes=classes)
    return lambda: lapgan(laplacian_pyramid_gan([refining, coarsest]), **options)


def latent_directions() -> Objective:
    model = implicit()
    variables = model.init(KEY, Batch(jnp.zeros((1, *SHAPE))))
    reconstructor = gx.MLPEncoder((*SHAPE[:2], 2 * SHAPE[2]), (4,), (8,), dropout=0.2)
    return gx.objectives.latent_directions(model, variables, reconstructor, 3)


def gmmn_of(**options) -> Callable[[], Objective]:
    return lambda: gx.objectives.gmmn(implicit(noise="uniform"), gx.gaussian_kernel([1.0, 2.0]), **options)


def mmd_gan() -> Objective:
    features = nn.Sequential([gx.MLPEncoder(SHAPE, (8,), ()), nn.relu, nn.Dense(3, use_bias=False)])
    pair = gx.adversarial_pair(gx.MLPGenerator(SHAPE, (8,)), features, 2)
    return gx.objectives.mmd_gan(pair, gx.gaussian_kernel(1.0))


def gmmn_on_codes() -> Objective:
    encoder, generator = gx.MLPEncoder(SHAPE, (2,), (8,), dropout=0.2), gx.MLPGenerator(SHAPE, (8,))
    coder, kernel = gx.autoencoder_model(encoder, generator, latent=2), gx.gaussian_kernel(1.0)
    return gx.objectives.gmmn_autoencoder(coder, implicit((2,)), kernel, autoencoder_steps=3)


def made() -> Objective:
    return gx.maximum_likelihood(gx.made_model(SHAPE, gx.bernoulli, (8,), dropout=0.2))


def pixel_vae() -> Objective:
    q, outputs = gx.diagonal_gaussian(2), gx.bernoulli(SHAPE).outputs
    encoder, generator = gx.MLPEncoder(SHAPE, q.outputs, (8,)), gx.MLPGenerator((4, 4, 2), (8,))
    decoder = gx.GatedPixelCNN(SHAPE, outputs, features=2, layers=1, first_kernel_size=3)
    return gx.vae(gx.autoregressive_model(encoder, q, generator, decoder, gx.bernoulli))


def boosting() -> Objective:
    options = {"steps_per_stage": 4, "num_negatives": 16, "sweeps": 2, "sample_sweeps": 2}
    return gx.self_supervised_boosting(gx.additive_energy_model(SHAPE, 3), **options)


def multi_prediction_of(**options) -> Callable[[], Objective]:
    return lambda: gx.multi_prediction(gx.deep_boltzmann_machine(SHAPE, (5, 4), classes=CLASSES), **options)


class Learned(nn.Module):
    """A network that learns otherwise than it is judged, by dropout and by batch statistics."""

    emits: object
    axes: int = 1  # of one input

    @nn.compact
    def __call__(self, x):
        lead = x.shape[: x.ndim - self.axes]
        h = nn.Dense(8, use_bias=False)(x.reshape(*lead, -1))
        h = nn.relu(nn.BatchNorm(use_running_average=not self.is_mutable_collection("batch_stats"))(h))
        h = nn.Dropout(0.2, deterministic=not self.has_rng("dropout"))(h)
        return emit(self, self.emits, lambda name, shape: dense_output(h, name, shape))


def learned_vae() -> Objective:
    q, p = gx.diagonal_gaussian(2), gx.bernoulli(SHAPE)
    return gx.vae(gx.latent_variable_model(Learned(q.outputs, 3), q, Learned(p.outputs), p), num_samples=2)


def vrnn_of(**options) -> Callable[[], Objective]:
    model = gx.variational_rnn(gx.bernoulli(SHAPE[1:]), steps=SHAPE[0], latent=2, hidden=6)
    return lambda: gx.sequential_vae(model, **options)


def dmm() -> Objective:
    return gx.sequential_vae(gx.deep_markov_model(gx.bernoulli(SHAPE[1:]), steps=SHAPE[0], latent=2, hidden=6))


class Row(NamedTuple):
    """`options` are the trainer's; where nothing is drawn, shards agree with one device in every bit that counts."""

    objective: Callable[[], Objective]
    options: dict = {}  # noqa: RUF012
    optimizer: optax.GradientTransformation = optax.adam(1e-2)


TABLE = {
    "vae": Row(vae_of(gx.diagonal_gaussian, gx.bernoulli)),
    "vae, entropy form, three samples": Row(
        vae_of(gx.diagonal_gaussian, gx.bernoulli, form="entropy", num_samples=3, kl_weight=lambda step: step / 10)
    ),
    "vae, full covariance, isotropic": Row(
        vae_of(gx.full_covariance_gaussian, lambda shape: gx.gaussian(shape, "isotropic"), form="monte_carlo")
    ),
    "vae, discretised logistic": Row(vae_of(gx.diagonal_gaussian, gx.discretised_logistic)),
    "vae, logistic mixture": Row(vae_of(gx.diagonal_gaussian, lambda shape: gx.logistic_mixture(shape, 3))),
    "vae, convolutional": Row(convolutional_vae),
    "vae, dropout and batch statistics, an average": Row(learned_vae, {"average": {"vae": 0.9}}),
    "iwae": Row(lambda: gx.iwae(model_of(gx.diagonal_gaussian, gx.bernoulli), num_samples=3)),
    "iwae, doubly reparameterized": Row(
        lambda: gx.iwae(
            model_of(gx.full_covariance_gaussian, gx.bernoulli), num_samples=4, gradient="doubly_reparameterized"
        )
    ),
    "iwae, two stochastic layers": Row(lambda: gx.iwae(two_layers(), num_samples=3)),
    "vae, two stochastic layers": Row(lambda: gx.vae(two_layers(), num_samples=2, form="monte_carlo")),
    "vae, draw": Row(lambda: gx.vae(draw(read_size=2, write_size=3))),
    "iwae, draw": Row(lambda: gx.iwae(draw(read_size=2, write_size=3), num_samples=3)),
    "vae, draw without attention": Row(lambda: gx.vae(draw())),
    "vae, conditional, free bits": Row(
        lambda: gx.vae(
            gx.latent_variable_model(*networks(gx.diagonal_gaussian(2), gx.bernoulli(SHAPE)), classes=CLASSES),
            free_bits=0.1,
        )
    ),
    "mixture": Row(lambda: gx.mixture(gx.gaussian_mixture(SHAPE, 3))),
    "mixture of mixtures": Row(mixture_of_mixtures),
    "made": Row(made),
    "vae, pixel by pixel": Row(pixel_vae),
    "infinite mixture": Row(lambda: gx.infinite_mixture(generator_alone(), num_samples=20)),
    "gan": Row(lambda: gx.gan(pair_of())),
    "gan, conditional, three moves, an average": Row(
        lambda: gx.gan(pair_of(classes=CLASSES), loss="hinge", penalty="r1"),
        {"updates": {"discriminator": 3}, "average": {"generator": 0.9}},
    ),
    "gan, deep convolutional": Row(lambda: gx.gan(deep_pair((2, 3)))),
    "gan, deep convolutional, spectral normalisation, an average": Row(
        lambda: gx.gan(deep_pair((3,), normalisation="spectral", dropout=0.2), loss="hinge"),
        {"average": {"discriminator": 0.9, "generator": 0.9}},
    ),
    # Biases before a normalisation have no gradient. Adam would divide the rounding of 0 by itself.
    "gan, residual, projection, an average": Row(residual_gan, {"average": {"generator": 0.9}}, optax.sgd(1e-2)),
    "lapgan": Row(lapgan_of()),
    "lapgan, conditional, hinge, two moves, an average": Row(
        lapgan_of(classes=CLASSES, loss="hinge", penalty="r1"),
        {
            "updates": dict.fromkeys(("discriminator_0", "discriminator_1"), 2),
            "average": dict.fromkeys(("generator_0", "generator_1"), 0.9),
        },
    ),
    "gmmn": Row(gmmn_of()),
    "gmmn, unbiased": Row(gmmn_of(distance="unbiased_squared")),
    "gmmn on codes": Row(gmmn_on_codes),
    "mmd gan": Row(
        mmd_gan,
        {"updates": {"discriminator": 2}, "average": {"generator": 0.9}},
    ),
    "info vae": Row(
        lambda: gx.objectives.info_vae(model_of(gx.diagonal_gaussian, gx.bernoulli), gx.rational_quadratic_kernel(2.0))
    ),
    "beta tcvae": Row(lambda: gx.beta_tcvae(model_of(gx.diagonal_gaussian, gx.bernoulli), dataset_size=30)),
    "factor vae": Row(factor_vae),
    "dip vae": Row(lambda: gx.dip_vae(model_of(gx.diagonal_gaussian, gx.bernoulli))),
    "dip vae, of means": Row(lambda: gx.dip_vae(model_of(gx.diagonal_gaussian, gx.bernoulli), kind="i")),
    "latent directions": Row(latent_directions),
    "moment matching": Row(lambda: gx.objectives.moment_matching(implicit())),
    "autoencoder": Row(plain_autoencoder),
    "supervised, an average": Row(supervised, {"average": {"generator": 0.9}}),
    "supervised, from poses": Row(supervised_from_poses),
    "classifier": Row(lambda: classifier(ConvolutionalClassifier(SHAPE, CLASSES, (4,), 8, dropout=0.2))),
    "vrnn": Row(vrnn_of()),
    "vrnn, fivo": Row(vrnn_of(bound="fivo", num_particles=3)),
    "vrnn, fivo, always": Row(vrnn_of(bound="fivo", num_particles=3, criterion="always", score=True)),
    "dmm": Row(dmm),
    "persistent contrastive divergence, an average": Row(
        lambda: gx.persistent_contrastive_divergence(
            gx.restricted_boltzmann_machine(SHAPE, 5), num_chains=8, sample_sweeps=5
        ),
        {"average": {"machine": 0.9}},
    ),
    "persistent contrastive divergence, deep": Row(
        lambda: gx.persistent_contrastive_divergence(
            gx.deep_boltzmann_machine(SHAPE, (5, 4), classes=CLASSES), num_chains=8, sample_sweeps=5
        )
    ),
    "multi prediction": Row(multi_prediction_of()),
    "multi prediction, implicit": Row(multi_prediction_of(gradient="implicit", missing=0.5)),
    "self-supervised boosting": Row(boosting),
    "adversarial game": Row(lambda: adversarial(size=16)),
    "adversarial game, three moves, an average": Row(
        lambda: adversarial(size=16), {"updates": {"discriminator": 3}, "average": {"generator": 0.9}}
    ),
    "adversarial game, simultaneous": Row(lambda: adversarial(size=16), {"simultaneous": True}),
    "bilinear game": Row(bilinear),
}


def data_for(name: str, n: int) -> Batch:
    x = jax.random.bernoulli(jax.random.key(1), 0.3, (n, *SHAPE)).astype(jnp.float32)
    factors = jax.random.normal(jax.random.key(2), (n, 2)) if "supervised" in name else None
    length = 1 + jnp.arange(n) % SHAPE[0] if "vrnn" in name else None
    return Batch(
        x.reshape(n, -1) if "adversarial" in name else x, jnp.arange(n) % CLASSES, length=length, factors=factors
    )


def train_of(name: str, optimizer=None):
    row = TABLE[name]
    objective = row.objective()
    optimizer = optimizer or row.optimizer
    return gx.trainer(objective, dict.fromkeys(objective.losses, optimizer), **row.options)


# Rows that differ from others in what a test of their own estimator or network covers.
VARIATIONS = {
    *("vae, entropy form, three samples", "vae, discretised logistic", "vae, two stochastic layers", "gmmn, unbiased"),
    *("vae, logistic mixture", "mixture of mixtures", "vae, pixel by pixel"),
    *("vae, full covariance, isotropic", "vae, convolutional", "iwae", "adversarial game, three moves, an average"),
    *("gan, deep convolutional, spectral normalisation, an average", "gan, residual, projection, an average"),
    *("beta tcvae", "dip vae", "dip vae, of means", "latent directions", "supervised, an average"),
    *("gan", "gan, deep convolutional", "adversarial game", "adversarial game, simultaneous", "mmd gan"),
    *("vae, draw", "iwae, draw", "vae, draw without attention"),
    *("vrnn", "vrnn, fivo", "vrnn, fivo, always", "dmm", "made"),
    *("vae", "vae, conditional, free bits", "infinite mixture", "autoencoder", "moment matching"),
    *("multi prediction", "multi prediction, implicit", "self-supervised boosting"),
    *("persistent contrastive divergence, an average", "persistent contrastive divergence, deep"),
    *("lapgan", "gmmn on codes", "factor vae", "info vae", "classifier"),
    *("iwae, two stochastic layers", "lapgan, conditional, hinge, two moves, an average"),
}


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow if name in VARIATIONS else ()) for name in TABLE], scope="module"
)
def name(request):
    return request.param


class Programs(NamedTuple):
    """A trainer compiled once for all tests of a row, and 30 examples."""

    data: Batch
    init: Callable
    step: Callable  # refuses to be traced twice
    run: Callable  # a loop over the data


@pytest.fixture(scope="module")
def programs(name):
    train = train_of(name)
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(train.step, n=1))
    return Programs(data_for(name, 30), jax.jit(train.init), step, gx.loop_over_data(train, batch_size=12, chunk=6))


def test_fault_29_a_python_loop_traces_the_step_once_and_agrees_with_the_compiled_one(programs):
    data, init, step, run = programs
    state = by_hand = init(KEY, data)
    rows = gx.training.batch_rows(state.key, state.step, 6, 30, 12)
    for i in range(6):
        by_hand, last = step(by_hand, jax.tree.map(lambda a, i=i: a[rows[i]], data))
    ended, metrics = run(state, data, 6)
    assert int(ended.step) == int(by_hand.step) == 6
    chex.assert_trees_all_close(ended.variables, by_hand.variables, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(ended.average, by_hand.average, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[5], metrics), last, rtol=1e-4, atol=1e-5)


def test_after_many_steps_all_is_finite_and_samples_have_the_shape_of_data(name, programs):
    data, init, _, run = programs
    state = init(KEY, data)
    for _ in range(8):
        state, metrics = run(state, data, 6)
    assert int(state.step) == 48
    chex.assert_tree_all_finite((state.variables, metrics))
    if name == "classifier":
        return  # it draws nothing
    samples = TABLE[name].objective().sample(state.variables, KEY, 5, label=jnp.arange(5) % CLASSES)
    if "bilinear" not in name:
        chex.assert_shape(samples, (5, *data.x.shape[1:]))
    chex.assert_tree_all_finite(samples)


def test_seeds_vmap(name, programs):
    """Three steps of three members at once."""
    data, init, step, _ = programs
    train, batch = train_of(name), data_for(name, 12)
    members = [init(key, data) for key in jax.random.split(KEY, 3)]
    together, all_at_once = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *members),
        jax.jit(jax.vmap(train.step, (0, None))),
    )
    for _ in range(3):
        together, _ = all_at_once(together, batch)
        members = [step(member, batch)[0] for member in members]
    for i, member in enumerate(members):
        one_of_them = jax.tree.map(lambda a, i=i: a[i], together.variables)
        chex.assert_trees_all_close(one_of_them, member.variables, rtol=1e-4, atol=1e-5)


@pytest.mark.four_devices
def test_fault_51_two_and_four_devices_are_one(name):
    """With SGD, since Adam hides the scale of a gradient: after 20 steps, to 1e-6 of each player's parameter norm."""
    train, batch = train_of(name, optax.sgd(0.01)), data_for(name, 12)
    start = jax.jit(train.init)(KEY, batch)

    def after_20_steps(train, state):
        step = jax.jit(train.step)
        for _ in range(20):
            state, metrics = step(state, batch)
            jax.block_until_ready(metrics)
        return state.variables

    alone = after_20_steps(train, start)
    for devices in (2, 4):
        mesh = gx.data_mesh(devices)
        everywhere = jax.device_put(start, NamedSharding(mesh, PartitionSpec()))
        spread = after_20_steps(gx.data_parallel(train, mesh), everywhere)
        assert len(jax.tree.leaves(spread)[0].sharding.device_set) == devices
        for player in alone:
            one, many = (variables[player]["params"] for variables in (alone, spread))
            apart = optax.tree.norm(jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), one, many))
            assert apart <= 1e-6 * optax.tree.norm(one)
        chex.assert_trees_all_equal(*(discrete_state(variables) for variables in (alone, spread)))


def discrete_state(variables):
    """Returns what players hold beside params in whole numbers: chains and negatives, the same bits everywhere."""
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.integer)}


SETTINGS = {"jax_enable_x64": True, "jax_numpy_rank_promotion": "raise", "jax_debug_nans": True}
QUICK = (
    "mixture", "info vae", "gmmn on codes", "classifier", "vae, dropout and batch statistics, an average",
    "latent directions", "vrnn, fivo", "supervised, from poses",
)  # fmt: skip


@pytest.fixture
def setting(request):
    before = getattr(jax.config, request.param)
    jax.config.update(request.param, SETTINGS[request.param])
    yield request.param
    jax.config.update(request.param, before)


def loop_of(name):
    train, data = train_of(name), data_for(name, 24)
    return train, gx.loop_over_data(train, batch_size=12, chunk=2), data


@pytest.mark.parametrize("setting", ["jax_enable_x64", "jax_numpy_rank_promotion"], indirect=True)
@pytest.mark.parametrize("name", QUICK)
def test_fault_81_a_loop_is_traced_under_a_setting_of_jax(name, setting):
    train, run, data = loop_of(name)
    state = jax.eval_shape(train.init, KEY, data)
    ended, _ = jax.eval_shape(lambda state, data: run(state, data, jnp.int32(2)), state, data)
    assert jax.tree.map(lambda a: a.dtype, ended) == jax.tree.map(lambda a: a.dtype, state)
    assert not [a for a in jax.tree.leaves(state.variables) if a.dtype == jnp.float64]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("setting", SETTINGS, indirect=True)
@pytest.mark.parametrize("name", TABLE)
def test_fault_81_all_train_under_all_settings_of_jax(name, setting, dtype):
    if dtype == jnp.float64 and setting != "jax_enable_x64":
        pytest.skip("there is no float64 without x64")
    train, run, data = loop_of(name)
    data = data._replace(x=data.x.astype(dtype))
    ended, metrics = run(train.init(KEY, data), data, 2)
    chex.assert_tree_all_finite((ended.variables, metrics))
    assert {str(a.dtype) for a in jax.tree.leaves(ended.variables)} <= {"float32", "int8"}  # int8: chains
    if name != "classifier":
        chex.assert_tree_all_finite(
            TABLE[name].objective().sample(ended.variables, KEY, 5, label=jnp.arange(5) % CLASSES)
        )


# Probabilistic PCA: eight points in three dimensions, one latent. The maximum of the mean bound is that of the mean
# log-likelihood, known from the eigenvalues of the data's covariance.
POINTS = jnp.array([
    [0.0, 0.0, 1.0], [1.0, 2.0, 0.0], [2.0, 1.0, -1.0], [-1.0, 0.5, 2.0],
    [0.5, -1.5, 0.5], [3.0, 2.5, -2.0], [-2.0, -1.0, 1.5], [0.5, 0.5, 0.0],
])  # fmt: skip
BEST_BOUND = -4.051220440915058


@pytest.mark.parametrize(
    ("form", "posterior"),
    [
        ("kl", gx.diagonal_gaussian),
        pytest.param("monte_carlo", gx.full_covariance_gaussian, marks=pytest.mark.slow),
        pytest.param("kl", gx.full_covariance_gaussian, marks=pytest.mark.slow),
        pytest.param("entropy", gx.diagonal_gaussian, marks=pytest.mark.slow),
        pytest.param("entropy", gx.full_covariance_gaussian, marks=pytest.mark.slow),
        pytest.param("monte_carlo", gx.diagonal_gaussian, marks=pytest.mark.slow),
    ],
)
def test_a_linear_vae_learns_the_known_answer(form, posterior):
    q, p = posterior(1), gx.gaussian((3,), "global")
    model = gx.latent_variable_model(gx.MLPEncoder((3,), q.outputs, ()), q, gx.MLPGenerator(p.outputs, ()), p)
    objective = gx.vae(model, form=form, num_samples=64)
    train = gx.trainer(objective, {"vae": optax.adam(optax.cosine_decay_schedule(0.03, 3_000))})
    data = Batch(POINTS)
    run = gx.loop_over_data(train, batch_size=8, chunk=3_000)
    state, _ = run(train.init(KEY, data), data)
    bound = gx.held_out_bound(model, state.variables["vae"], KEY, POINTS, num_samples=20_000)["bound"].mean()
    assert BEST_BOUND - 0.01 < bound < BEST_BOUND + 0.01  # 20,000 samples for each: a standard error below 0.002


@pytest.mark.parametrize("gradient", ["standard", pytest.param("doubly_reparameterized", marks=pytest.mark.slow)])
def test_a_linear_iwae_learns_the_known_answer(gradient):
    """Its bound is tight at the maximum likelihood, where q is the posterior."""
    q, p = gx.diagonal_gaussian(1), gx.gaussian((3,), "global")
    model = gx.latent_variable_model(gx.MLPEncoder((3,), q.outputs, ()), q, gx.MLPGenerator(p.outputs, ()), p)
    objective = gx.iwae(model, num_samples=16, gradient=gradient)
    train = gx.trainer(objective, {"iwae": optax.adam(optax.cosine_decay_schedule(0.03, 3_000))})
    data = Batch(POINTS)
    state, _ = gx.loop_over_data(train, batch_size=8, chunk=3_000)(train.init(KEY, data), data)
    nll = gx.negative_log_likelihood(model, state.variables["iwae"], KEY, POINTS, num_samples=2_000)
    assert abs(float(nll["negative_log_likelihood"].mean()) + BEST_BOUND) < 0.02


def test_an_autoencoder_with_room_enough_learns_the_identity():
    model = gx.autoencoder_model(gx.MLPEncoder((3,), (3,), ()), gx.MLPGenerator((3,), ()), latent=3)
    train = gx.trainer(gx.autoencoder(model), {"autoencoder": optax.adam(optax.cosine_decay_schedule(0.03, 2_000))})
    data = Batch(POINTS)
    state, _ = gx.loop_over_data(train, batch_size=8, chunk=2_000)(train.init(KEY, data), data)
    assert float(gx.held_out_error(model, state.variables["autoencoder"], KEY, POINTS)["squared_error"].max()) < 1e-3


def test_an_autoencoder_of_one_code_keeps_the_first_principal_component():
    """The least squared error of a linear code is the sum of the other eigenvalues of the covariance."""
    model = gx.autoencoder_model(gx.MLPEncoder((3,), (1,), ()), gx.MLPGenerator((3,), ()), latent=1)
    train = gx.trainer(gx.autoencoder(model), {"autoencoder": optax.adam(optax.cosine_decay_schedule(0.03, 3_000))})
    data = Batch(POINTS)
    state, _ = gx.loop_over_data(train, batch_size=8, chunk=3_000)(train.init(KEY, data), data)
    error = gx.held_out_error(model, state.variables["autoencoder"], KEY, POINTS)["squared_error"].mean()
    np.testing.assert_allclose(error, 0.6741027843642421 + 0.0893475958550171, rtol=1e-3)
