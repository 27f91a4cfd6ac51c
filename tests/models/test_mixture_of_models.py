"""Mixtures of any model: sums over all x, nested mixtures against flat ones, draws, and gradients of each component."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators.distributions import Shaped
from genjax_models.estimators.mixture import Mixture
from genjax_models.models.density import DensityModel
from genjax_models.networks.masked import MADE
from genjax_models.types import Batch
from tests.statistics import assert_mean

SHAPE = (2, 2, 1)
BITS = np.array([[i >> k & 1 for k in range(4)] for i in range(16)], np.float32).reshape(16, *SHAPE)
KEY = jax.random.key(0)


def made() -> DensityModel:
    """p(x_d | x_<d) of a small network, with the log-density alone."""
    family = gx.bernoulli(SHAPE)
    network = MADE(SHAPE, family.outputs, hidden=(5,))

    class Density(distrax.Distribution):
        def __init__(self, variables):
            super().__init__()
            self.variables = variables

        event_shape = property(lambda self: SHAPE)
        batch_shape = property(lambda self: ())

        def log_prob(self, value):
            return family.distribution(network.apply(self.variables, value)).log_prob(value)

        def _sample_n(self, key, n):
            raise NotImplementedError

    return DensityModel(lambda key, batch: network.init(key, batch.x[:1]), Density, support=(0, 1), shape=SHAPE)


def started(model, seed=0):
    """Variables with random weights."""
    variables = model.init(jax.random.key(seed), Batch(jnp.asarray(BITS)))
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    return tree.unflatten([2 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)])


def log_probs(model, variables):
    return np.float64(jax.jit(lambda v: model.distribution(v).log_prob(BITS))(variables))


def assert_sums_to_one(log_p):
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-5)


def test_a_mixture_of_mades_and_a_family_sums_to_one():
    model = gx.mixture_model([made(), made(), gx.bernoulli(SHAPE)])
    variables = started(model)
    log_p = log_probs(model, variables)
    assert_sums_to_one(log_p)
    parts = [{"params": variables["params"][f"component_{m}"]} for m in range(3)]
    each = np.stack([log_probs(component, part) for component, part in zip((made(), made()), parts, strict=False)])
    assert np.abs(each[0] - each[1]).max() > 0.1  # one model twice has variables of its own each time
    for wrong in (np.asarray(variables["params"]["logits"])[:2] @ each, each.sum(0)):
        with pytest.raises(AssertionError):  # logits for log-weights, or a product of experts
            assert_sums_to_one(wrong)


def test_a_mixture_of_mixtures_is_the_flat_mixture_with_products_of_weights():
    bits = gx.bernoulli(SHAPE)
    nested = gx.mixture_model([gx.mixture_model([bits] * 2), gx.mixture_model([made(), bits, bits])])
    v = started(nested)
    inner = [v["params"][f"component_{m}"] for m in range(2)]
    outer = jax.nn.log_softmax(v["params"]["logits"])
    weights = [outer[m] + jax.nn.log_softmax(part["logits"]) for m, part in enumerate(inner)]
    parts = [part[f"component_{i}"] for part, size in zip(inner, (2, 3), strict=True) for i in range(size)]
    flat = gx.mixture_model([bits, bits, made(), bits, bits])
    params = {f"component_{i}": part for i, part in enumerate(parts)}
    expected = log_probs(nested, v)
    assert_sums_to_one(expected)
    same = {"params": {"logits": jnp.concatenate(weights), **params}}
    np.testing.assert_allclose(log_probs(flat, same), expected, rtol=1e-5)
    sums = [v["params"]["logits"][m] + part["logits"] for m, part in enumerate(inner)]  # of logits, unnormalised inside
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(
            log_probs(flat, {"params": {"logits": jnp.concatenate(sums), **params}}), expected, rtol=1e-2
        )


def test_gradients_are_responsibilities_times_those_of_the_components():
    model = gx.mixture_model([gx.bernoulli(SHAPE)] * 2)
    v, x = started(model), BITS[5]
    gradient = jax.jit(jax.grad(lambda v: model.distribution(v).log_prob(x)))(v)["params"]
    r = np.asarray(model.distribution(v).responsibilities(x))
    np.testing.assert_allclose(r.sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(gradient["logits"], r - jax.nn.softmax(v["params"]["logits"]), rtol=1e-4, atol=1e-6)
    for m in range(2):
        logits = v["params"][f"component_{m}"]["logits"]
        np.testing.assert_allclose(
            gradient[f"component_{m}"]["logits"], r[m] * (x - jax.nn.sigmoid(logits)), rtol=1e-4, atol=1e-6
        )


def test_draws_and_mean_are_those_of_the_mixture():
    model = gx.mixture_model([gx.bernoulli(SHAPE)] * 3)
    v = started(model)
    p = np.exp(log_probs(model, v))
    draws = np.asarray(jax.jit(lambda v: model.sample(v, KEY, 20_000))(v))
    assert draws.shape == (20_000, *SHAPE)
    which = draws.reshape(-1, 4) @ (2 ** np.arange(4))
    assert_mean(which[:, None] == np.arange(16), p)
    np.testing.assert_allclose(model.distribution(v).mean(), np.tensordot(p, BITS, 1), rtol=1e-4)


def test_batches_of_mixtures_mix_by_their_own_weights():
    """The axes of samples lead, those of the batch follow."""
    logits = jnp.array([[0.0, 1.0], [3.0, -2.0], [0.5, 0.5]])
    each = [Shaped(distrax.Independent(distrax.Normal(jnp.full((3, 2), mean), 0.1), 1), (2, 1)) for mean in (-1.0, 2.0)]
    p = Mixture(logits, each)
    x = p.sample(seed=KEY, sample_shape=5)
    assert (x.shape, p.log_prob(x).shape, p.mean().shape) == ((5, 3, 2, 1), (5, 3), (3, 2, 1))
    weights = np.asarray(jax.nn.softmax(logits))
    np.testing.assert_allclose(p.mean()[..., 0], (weights @ [-1, 2])[:, None].repeat(2, 1), rtol=1e-5)
    assert np.all(x.std(axis=(2, 3)) < 0.5)  # one component for a whole event


def test_components_of_one_model_start_close_to_each_other():
    """Far apart, one would win all examples before the others have learned."""
    one, other = gx.bernoulli((200,)), gx.family_model(gx.bernoulli((200,)))
    starts = {}
    for apart in (0.1, 1.0):
        model = gx.mixture_model([one, one, other], apart=apart)
        params = model.init(KEY, Batch(jnp.zeros((1, 200))))["params"]
        starts[apart] = [np.asarray(params[f"component_{m}"]["logits"]) for m in range(3)]
    (a, near, alone), (b, far, same) = starts.values()
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(alone, same)
    np.testing.assert_allclose(near - a, 0.1 * (far - a), atol=1e-6)
    assert 1.2 < np.std(far - a) < 1.7


def test_what_makes_no_mixture_is_refused():
    with pytest.raises(ValueError, match="`components` must have at least one model, got none"):
        gx.mixture_model([])
    with pytest.raises(ValueError, match=r"`apart` must be in \(0, 1\], got 0"):
        gx.mixture_model([gx.bernoulli((2,))], apart=0)
    with pytest.raises(ValueError, match="`components` must have one shape"):
        gx.mixture_model([gx.bernoulli((2,)), gx.bernoulli((3,))])
    draw = gx.draw_model((2,), 1, 1, 1, gx.bernoulli((2,)))
    with pytest.raises(ValueError, match="`components` must be density models or families, got LatentVariableModel"):
        gx.mixture_model([gx.bernoulli((2,)), draw])
    with pytest.raises(ValueError, match="`spread` must be positive and finite, got 0"):
        gx.family_model(gx.bernoulli((2,)), spread=0)
    with pytest.raises(ValueError, match=r"logits must be \[..., 1\], one per component"):
        Mixture(jnp.zeros(2), [distrax.Normal(0.0, 1.0)])
    with pytest.raises(ValueError, match="components must have one event shape"):
        Mixture(jnp.zeros(2), [distrax.Normal(0.0, 1.0), distrax.MultivariateNormalDiag(jnp.zeros(2))])
    moving = DensityModel(lambda key, batch: {"params": {}, "batch_stats": {}}, lambda v: distrax.Normal(0.0, 1.0))
    with pytest.raises(ValueError, match="must have only params, got"):
        gx.mixture_model([moving]).init(KEY, Batch(jnp.zeros(2)))
