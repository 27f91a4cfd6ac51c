"""Networks in bfloat16: the same parameters, products in bfloat16, and bounds that hardly change."""

from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genjax_models.networks.precision import InBfloat16
from tests.jaxprs import equations
from tests.statistics import STANDARD_ERRORS

KEY, SHAPE = jax.random.key(0), (8, 8, 1)
IMAGES, LATENTS, CLASSES = jnp.ones((3, *SHAPE)), jnp.ones((3, 4)), jnp.eye(3)
NETWORKS = {
    "MLP encoder": (gx.MLPEncoder(SHAPE, gx.diagonal_gaussian(2).outputs, (5,)), IMAGES),
    "MLP generator with a scale": (gx.MLPGenerator(gx.gaussian(SHAPE, "global").outputs, (5,)), LATENTS),
    "MLP generator, conditional": (gx.MLPGenerator(SHAPE, (5,)), LATENTS, CLASSES),
    "convolutional encoder": (gx.ConvolutionalEncoder(SHAPE, (2,), (4, 5), (6,)), IMAGES),
    "convolutional generator": (gx.ConvolutionalGenerator(SHAPE, (5, 4), (6,)), LATENTS),
    "MLP discriminator": (gx.MLPDiscriminator(SHAPE, (5,)), IMAGES),
    "DCGAN generator": (DCGANGenerator(SHAPE, (5, 4)), LATENTS),
    "DCGAN discriminator": (DCGANDiscriminator(SHAPE, (4, 5)), IMAGES),
}
FAST = ("MLP generator with a scale", "convolutional encoder", "DCGAN generator")
MUTABLE = ["batch_stats"]


def products(jaxpr):
    """The types of what matrix products and convolutions multiply, wherever they are."""
    for equation in equations(jaxpr):
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield from (variable.aval.dtype for variable in equation.invars)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in NETWORKS]
)
def test_parameters_are_those_of_the_network_and_its_layers_are_in_bfloat16(name):
    network, *inputs = NETWORKS[name]
    wrapped = InBfloat16(network)
    variables = network.init(KEY, *inputs)
    jax.tree.map(np.testing.assert_array_equal, wrapped.init(KEY, *inputs), variables)

    def loss(params, network):
        emitted, moved = network.apply({**variables, "params": params}, *inputs, mutable=MUTABLE)
        assert {leaf.dtype for leaf in jax.tree.leaves((emitted, moved))} == {jnp.dtype("float32")}
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(emitted)), (emitted, moved)

    gradient = jax.grad(loss, has_aux=True)
    traced = jax.make_jaxpr(lambda params: gradient(params, wrapped))(variables["params"])
    assert set(products(traced.jaxpr)) == {jnp.dtype("bfloat16")}

    (slopes, made), (exact_slopes, exact) = (
        jax.jit(lambda params, network=network: gradient(params, network))(variables["params"])
        for network in (wrapped, network)
    )
    for a, b in zip(jax.tree.leaves((slopes, made)), jax.tree.leaves((exact_slopes, exact)), strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=0.1, atol=0.05 * max(1, np.abs(b).max()))


def test_what_a_network_learns_beside_its_layers_is_not_rounded():
    network, z = NETWORKS["MLP generator with a scale"]
    variables = network.init(KEY, z)
    params = variables["params"] | {"raw_scale": jnp.float32(0.7001)}
    emitted = InBfloat16(network).apply({"params": params}, z)
    np.testing.assert_array_equal(emitted["raw_scale"], np.full(3, 0.7001, np.float32))


def test_keys_reach_dropout_and_numbers_that_are_no_float32_are_passed_on():
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x, index, scale=1):
            assert (x.dtype, index.dtype, scale) == (jnp.bfloat16, jnp.int32, 2)
            h = nn.Dense(50)(x)[index] * scale
            return nn.Dropout(0.5, deterministic=not self.has_rng("dropout"))(h), index

    network, index = InBfloat16(Network()), jnp.array([0, 2])
    params = {"params": {"Dense_0": {"kernel": jnp.ones((4, 50)), "bias": jnp.zeros(50)}}}
    whole, same = network.apply(params, LATENTS, index, scale=2)
    np.testing.assert_array_equal(whole, np.full((2, 50), 8))
    np.testing.assert_array_equal(same, index)
    assert same.dtype == jnp.int32
    dropped, _ = network.apply(params, LATENTS, index, scale=2, rngs={"dropout": KEY})
    assert 0.2 < np.mean(np.asarray(dropped) == 0) < 0.8


BOUNDS = {
    "elbo, kl": lambda *q: gx.elbo(KEY, *q, form="kl"),
    "elbo, entropy": lambda *q: gx.elbo(KEY, *q, form="entropy"),
    "elbo, monte_carlo": lambda *q: gx.elbo(KEY, *q, form="monte_carlo"),
    "iwae, k = 5": lambda *q: gx.iwae_bound(KEY, *q, num_samples=5),
    "iwae, k = 50": lambda *q: gx.iwae_bound(KEY, *q, num_samples=50, chunk=10),
}
LIKELIHOODS = {
    "bernoulli": (gx.bernoulli, "fixed"),
    "gaussian": (lambda shape: gx.gaussian(shape, "global"), "none"),
}


def model_of(likelihood, wrap=lambda network: network, shape=(28, 28, 1)):
    posterior, likelihood = gx.diagonal_gaussian(8), likelihood(shape)
    encoder = wrap(gx.MLPEncoder(shape, posterior.outputs, (64,)))
    return gx.latent_variable_model(encoder, posterior, wrap(gx.MLPGenerator(likelihood.outputs, (64,))), likelihood)


@cache
def trained(name):
    """A model of digits, its variables after some steps in float32, and images that it did not see."""
    likelihood, binarise = LIKELIHOODS[name]
    data, model = gx.prepare(gx.load("mnist10k"), binarise=binarise), model_of(likelihood)
    train = gx.trainer(gx.vae(model), {"vae": optax.adam(3e-3)})
    state = jax.jit(train.init)(KEY, data.example)
    state, _ = gx.loop_over_data(train, batch_size=50, prepare=data.each_step, chunk=200)(state, data.train, 200)
    return state.variables["vae"], data.test.x[:400]


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", [pytest.param("bernoulli", marks=pytest.mark.slow), "gaussian"])
def test_no_bound_changes_by_a_tenth_of_a_nat(likelihood):
    """In the mean; those of single images go up and down by a few."""
    variables, x = trained(likelihood)

    def bounds(wrap):
        model = model_of(LIKELIHOODS[likelihood][0], wrap)

        @jax.jit
        def of(variables, x):
            q = x, model.posterior(variables, x), model.prior(variables), lambda z: model.likelihood(variables, z)
            return {name: bound(*q) for name, bound in BOUNDS.items()}

        return of(variables, x)

    exact, rounded = bounds(lambda network: network), bounds(InBfloat16)
    for name in BOUNDS:
        change = np.asarray(rounded[name]) - np.asarray(exact[name])
        assert np.all(np.isfinite(change))
        assert np.abs(change).max() > 0
        assert np.abs(change).max() < 5
        assert np.abs(change.mean()) < 0.1 + STANDARD_ERRORS * change.std() / np.sqrt(len(x)), name
        assert change.std() < 0.02 * np.std(exact[name]), name


@pytest.mark.slow
def test_a_scale_that_is_rounded_would_be_seen(monkeypatch):
    monkeypatch.setattr(
        "genjax_models.networks.precision._layers_in_bfloat16",
        lambda params: jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params),
    )
    with pytest.raises(AssertionError):
        test_no_bound_changes_by_a_tenth_of_a_nat("gaussian")


@pytest.mark.slow
def test_it_trains_as_in_float32():
    """Sixty steps of both from the same parameters, on the same images with the same noise."""
    data, ended = gx.prepare(gx.load("mnist10k"), binarise="fixed"), []
    for wrap in (lambda network: network, InBfloat16):
        train = gx.trainer(gx.vae(model_of(gx.bernoulli, wrap)), {"vae": optax.adam(3e-3)})
        state = jax.jit(train.init)(KEY, data.example)
        state, metrics = gx.loop_over_data(train, batch_size=50, prepare=data.each_step, chunk=60)(
            state, data.train, 60
        )
        assert {leaf.dtype for leaf in jax.tree.leaves((state.variables, state.opt_state["vae"][0].mu))} == {
            jnp.dtype("float32")
        }
        ended.append(np.mean(metrics["vae/bound"][-20:]))
    assert ended[0] > -260
    np.testing.assert_allclose(*ended, atol=2)
