"""Probabilities of all images sum to one, draws have these probabilities, and z acts on both."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.types import Batch

KEY, SHAPE = jax.random.key(0), (2, 2, 1)
IMAGES = np.array(list(itertools.product([0, 1], repeat=4)), np.float32).reshape(16, *SHAPE)
FALSE_ALARMS = 6e-7  # that of five standard errors


def with_noise(variables):
    """Far from independent pixels: mistakes in the order of a draw are seen."""
    noise = lambda path, leaf: leaf + 1.5 * jax.random.normal(jax.random.key(len(str(path))), leaf.shape)
    return jax.tree_util.tree_map_with_path(noise, variables)


MODELS = {
    "made": lambda: gx.made_model(SHAPE, gx.bernoulli, (9,), order=(3, 1, 4, 2), dropout=0.5),
    "pixel cnn": lambda: gx.pixel_cnn_model(SHAPE, gx.bernoulli, features=3, layers=2, dropout=0.5),
}


def started(model):
    return with_noise(jax.jit(model.init)(KEY, Batch(jnp.asarray(IMAGES))))


def with_z(decoder="pixel cnn", latent=2):
    outputs, q = gx.bernoulli(SHAPE).outputs, gx.diagonal_gaussian(latent)
    if decoder == "made":
        generator, network = gx.MLPGenerator((3,), (4,)), gx.MADE(SHAPE, outputs, (5,), dropout=0.5)
    else:
        generator, network = gx.MLPGenerator((2, 2, 3), (4,)), gx.GatedPixelCNN(SHAPE, outputs, 3, 2)
    return gx.autoregressive_model(gx.MLPEncoder(SHAPE, q.outputs, (4,)), q, generator, network, gx.bernoulli)


def p_value(draws, probabilities):
    codes = np.asarray(draws).reshape(-1, 4) @ np.array([8, 4, 2, 1])
    counts = np.bincount(codes.astype(int), minlength=16)
    return stats.chisquare(counts, len(codes) * probabilities / probabilities.sum()).pvalue


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_sum_to_one_and_draws_have_them(name):
    model = MODELS[name]()
    variables = started(model)
    log_p, draws = jax.jit(
        lambda v: (model.distribution(v).log_prob(IMAGES), model.sample(v, jax.random.key(1), 4_000))
    )(variables)
    probabilities = np.exp(np.float64(log_p))
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert p_value(draws, probabilities) > FALSE_ALARMS
    assert p_value(draws, probabilities.reshape(2, 2, 2, 2).swapaxes(1, 2).ravel()) < FALSE_ALARMS  # two pixels swapped
    assert (model.support, model.shape) == ((0, 1), SHAPE)


@pytest.mark.parametrize("name", MODELS)
def test_dropout_acts_only_while_learning(name):
    model = MODELS[name]()
    assert model.learning is not None
    learning, variables, key = model.learning, started(model), jax.random.key(1)
    one, other, judged = jax.jit(
        lambda v: [p.log_prob(IMAGES) for p in (learning(v, key), learning(v, KEY), model.distribution(v))]
    )(variables)
    assert not np.allclose(one, other)
    assert not np.allclose(one, judged)


@pytest.mark.slow
def test_z_changes_both_probabilities_and_draws():
    model, z = with_z(), jnp.array([[[1.0, -1.0], [-2.0, 0.5]]])  # [1, 2, latent]
    variables = started(model)
    likelihood = model.likelihood(variables, z)
    assert (likelihood.batch_shape, likelihood.event_shape) == ((1, 2), SHAPE)
    log_p = jax.jit(lambda v: model.likelihood(v, z).log_prob(IMAGES[:, None, None]))(variables)
    draws = jax.jit(lambda v: model.likelihood(v, z).sample(seed=KEY, sample_shape=4_000))(variables)
    assert draws.shape == (4_000, 1, 2, *SHAPE)
    probabilities = np.exp(np.float64(log_p))[:, 0]
    np.testing.assert_allclose(probabilities.sum(axis=0), [1, 1], atol=1e-5)
    for i, other in ((0, 1), (1, 0)):
        assert p_value(draws[:, :, i], probabilities[:, i]) > FALSE_ALARMS
        assert p_value(draws[:, :, i], probabilities[:, other]) < FALSE_ALARMS


@pytest.mark.slow
def test_x_without_the_sample_axis_of_z_is_broadcast():
    model, z = with_z("made"), jax.random.normal(KEY, (3, 16, 2))
    variables = started(model)
    log_p = jax.jit(lambda v: model.likelihood(v, z).log_prob(jnp.asarray(IMAGES)))(variables)
    one = jax.jit(lambda v: model.likelihood(v, z[2, 5]).log_prob(jnp.asarray(IMAGES[5])))(variables)
    assert log_p.shape == (3, 16)
    assert log_p[2, 5] == pytest.approx(float(one), rel=1e-5)


@pytest.mark.slow
def test_log_p_by_quadrature_and_by_importance_sampling_agree():
    """With a z of one dimension, the probabilities of all images by quadrature sum to one."""
    model, x = with_z("made", latent=1), jnp.asarray(IMAGES)
    variables = started(model)
    exact = jax.jit(lambda v: gx.quadrature_log_likelihood(model, v, x, nodes=201))(variables)["log_likelihood"]
    nll = jax.jit(lambda v: gx.negative_log_likelihood(model, v, KEY, x, num_samples=4_000))(variables)
    assert np.exp(np.float64(exact)).sum() == pytest.approx(1, abs=1e-4)
    error = 5 / np.sqrt(nll["effective_sample_size"])  # of log of a mean of weights, to first order
    assert (np.abs(exact + nll["negative_log_likelihood"]) < error).all()
    assert error.max() < 0.6


@pytest.mark.slow
def test_annealing_agrees_with_quadrature():
    model, x = with_z(latent=1), jnp.asarray(IMAGES)
    variables, options = started(model), {"num_temperatures": 50, "num_chains": 64, "num_leapfrog": 2}
    exact = jax.jit(lambda v: gx.quadrature_log_likelihood(model, v, x, nodes=201))(variables)["log_likelihood"]
    bound = jax.jit(lambda v: gx.annealed_log_likelihood(model, v, KEY, x, start="prior", **options))(variables)
    np.testing.assert_allclose(bound["lower_bound"], exact, atol=0.3)


def test_a_mean_is_refused_in_one_line():
    model = with_z("made")
    variables, z = started(model), jnp.zeros((1, 2))
    with pytest.raises(InputError, match="this model has none"):
        model.generate(variables, z)
    with pytest.raises(InputError, match="this model has none"):
        model.sample(variables, KEY, 3, mean=True)
    with pytest.raises(NotImplementedError, match=r"^an autoregressive distribution has no closed mean E\[x\]"):
        model.likelihood(variables, z).mean()


def test_bad_input_is_refused():
    model = MODELS["made"]()
    variables = model.init(KEY, Batch(jnp.asarray(IMAGES)))
    with pytest.raises(ValueError, match=r"`value` must end in \(2, 2, 1\), got \(16, 4\)"):
        model.distribution(variables).log_prob(IMAGES.reshape(16, 4))
    with pytest.raises(ValueError, match=r"value must be in \[0, 1\], got 2.0 in row 0"):
        model.distribution(variables).log_prob(IMAGES + 2)
    with pytest.raises(ValueError, match="n must be an integer of at least 1, got 0"):
        model.sample(variables, KEY, 0)
    with pytest.raises(ValueError, match=r"`emits` must start with \(2, 2, 1\), got \(\) for 'raw_scale'"):
        gx.made_model(SHAPE, lambda shape: gx.gaussian(shape, "isotropic")).init(KEY, Batch(jnp.asarray(IMAGES)))
