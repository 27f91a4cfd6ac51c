"""A bound of many samples, evaluated some at a time: the same value and gradient, in memory that is bounded."""

from functools import partial

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.estimators.distributions import Bernoulli
from genjax_models.estimators.importance import iwae_bound
from tests.estimators.test_importance import GRADIENTS, ONE, PARAMETERS, ZEROS, diagonal
from tests.training.test_contract import SHAPE, data_for, model_of, two_layers

KEY = jax.random.key(3)
MIB = 2**20


def value_and_gradient(model, variables, batch, **options):
    objective = gx.iwae(model, **options)

    def loss(variables):
        value, aux = objective.losses["iwae"](variables, KEY, batch, jnp.int32(0))
        return value, aux.metrics["bound"]

    (value, bound), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables)
    assert value == -bound
    return bound, gradient


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gradient", "zero_weights"),
    [
        *(pytest.param(gradient, False, marks=pytest.mark.slow) for gradient in GRADIENTS),
        ("doubly_reparameterized", True),
    ],
)
def test_value_and_gradient_are_those_of_all_samples_at_once(gradient, zero_weights):
    model, batch = model_of(gx.diagonal_gaussian, gx.bernoulli), data_for("iwae", 6)
    variables = gx.iwae(model, num_samples=1).init(jax.random.key(0), batch)
    of = partial(value_and_gradient, model, variables, batch, num_samples=12, gradient=gradient)
    whole, slopes = of(zero_weights=zero_weights)
    for chunk in (1, 5):  # one by one, and with a rest
        bound, in_chunks = of(zero_weights=zero_weights, chunk=chunk)
        np.testing.assert_allclose(bound, whole, rtol=1e-6)
        for a, b in zip(jax.tree.leaves(in_chunks), jax.tree.leaves(slopes), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


@pytest.mark.slow
def test_z_may_be_of_several_layers():
    model, batch = two_layers(), data_for("iwae", 6)
    variables = gx.iwae(model, num_samples=1).init(jax.random.key(0), batch)
    of = partial(value_and_gradient, model, variables, batch, num_samples=5, gradient="doubly_reparameterized")
    (whole, slopes), (bound, in_chunks) = of(), of(chunk=2)
    np.testing.assert_allclose(bound, whole, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), in_chunks, slopes)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_weights_of_zero_do_no_harm(gradient):
    """Some samples, and for some keys all, are outside the prior."""

    def bound(p, key, chunk):
        return iwae_bound(
            key, ONE, diagonal(p), *ZEROS["outside the prior"](p), num_samples=3, gradient=gradient, chunk=chunk
        )[0]

    estimates = jax.jit(
        lambda keys: [
            jax.vmap(jax.value_and_grad(partial(bound, chunk=chunk)), (None, 0))(PARAMETERS, keys)
            for chunk in (None, 2)
        ]
    )
    whole, in_chunks = estimates(jax.random.split(KEY, 200))
    assert np.isneginf(whole[0]).any()
    some = np.isfinite(whole[0])
    assert some.sum() > 100
    for a, b in zip(jax.tree.leaves(in_chunks), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a[some], b[some], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(a[~some], b[~some])


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_each_sample_is_evaluated_once_and_once_more_for_the_gradient(gradient):
    calls = []

    def counted(z):
        calls.append(z.shape[0])
        return np.zeros(z.shape, np.float32)

    def loss(p):
        def likelihood(z):
            count = jax.pure_callback(counted, jax.ShapeDtypeStruct(z.shape, z.dtype), jax.lax.stop_gradient(z))
            return distrax.Independent(Bernoulli(p["w"] * z + count), 1)

        options = {"num_samples": 12, "gradient": gradient, "zero_weights": False, "chunk": 4}
        return iwae_bound(KEY, ONE, diagonal(p), ZEROS["p(x | z) saturated"](p)[0], likelihood, **options)[0]

    jax.block_until_ready(jax.jit(loss)(PARAMETERS))
    assert calls == [4] * 3
    calls.clear()
    jax.block_until_ready(jax.jit(jax.grad(loss))(PARAMETERS))
    assert calls == [4] * 6


def memory_of_a_step(**options):
    """Returns the bytes of a step of the paper's IWAE without state and batch of 20: 784-200-200-50, tanh."""
    shape, hidden = (28, 28, 1), (200, 200)
    q, p = gx.diagonal_gaussian(50), gx.bernoulli(shape)
    encoder, generator = gx.MLPEncoder(shape, q.outputs, hidden, jnp.tanh), gx.MLPGenerator(p.outputs, hidden, jnp.tanh)
    batch = gx.Batch(jax.ShapeDtypeStruct((20, *shape), jnp.float32))
    model = gx.latent_variable_model(encoder, q, generator, p)
    train = gx.trainer(gx.iwae(model, **options), {"iwae": optax.adam(1e-3)})
    state = jax.eval_shape(train.init, jax.eval_shape(lambda: KEY), batch)
    return jax.jit(train.step, donate_argnums=0).lower(state, batch).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_step_of_5000_samples_fits_in_150_mib(gradient):
    """z alone, 5000 x 20 x 50 numbers, is 19 MiB; all logits at once would be 299 MiB, and their slopes as many."""
    assert memory_of_a_step(num_samples=5_000, gradient=gradient, chunk=50) < 150 * MIB


@pytest.mark.slow
def test_memory_goes_with_the_chunk_and_without_one_with_the_samples():
    whole = [memory_of_a_step(num_samples=k) for k in (50, 500)]
    assert whole[1] > 8 * whole[0]
    in_chunks = [memory_of_a_step(num_samples=500, chunk=chunk) for chunk in (10, 50)]
    assert in_chunks[0] < in_chunks[1] < whole[1] / 4


@pytest.mark.slow
def test_it_trains():
    model, data = model_of(gx.diagonal_gaussian, gx.bernoulli), data_for("iwae", 12)
    made = []
    for chunk in (None, 3):
        train = gx.trainer(gx.iwae(model, num_samples=8, chunk=chunk), {"iwae": optax.adam(1e-2)})
        state, metrics = gx.loop_over_data(train, batch_size=6, chunk=4)(train.init(KEY, data), data, 4)
        made.append((state.variables, metrics["iwae/bound"]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *made)
    assert data.x.shape[1:] == SHAPE


@pytest.mark.parametrize("chunk", [0, -1, 2.0, True])
def test_a_chunk_that_is_none_is_refused(chunk):
    with pytest.raises(ValueError, match=f"chunk must be an integer of at least 1, got {chunk}"):
        iwae_bound(KEY, ONE, diagonal(PARAMETERS), *ZEROS["outside the prior"](PARAMETERS), num_samples=3, chunk=chunk)
