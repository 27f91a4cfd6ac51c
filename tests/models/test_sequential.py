"""Models that unfold: each is one p(x), whether it filters, draws or forecasts; padding changes nothing."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators.filtering import elbo_by_step, filtering_bound
from genjax_models.models import kalman_log_likelihood, starting_at_data_mean, time_first
from genjax_models.types import Batch
from tests.statistics import assert_mean

KEY = jax.random.key(3)
BIT = gx.bernoulli((1,))
MODELS = {
    "vrnn": partial(gx.variational_rnn, features=5),
    "vrnn, gru, two layers": partial(gx.variational_rnn, cell="gru", layers=2),
    "dmm": gx.deep_markov_model,
    "srnn": partial(gx.stochastic_rnn, cell="lstm"),
}


def each(*slow):
    marks = {name: [pytest.mark.slow] * (name in slow) for name in MODELS}
    return pytest.mark.parametrize(
        "make", [pytest.param(MODELS[name], marks=marks[name]) for name in MODELS], ids=MODELS
    )


def of_bits(make, steps=3, scale=3.0, spread=0.5):
    """A model of one bit a step, with variables so large that all that p depends on shows; its q is far off.

    Smaller `scale` and `spread` make a q that is near, and gradients that rounding does not spoil.
    """
    model = make(BIT, steps=steps, latent=2, hidden=4)
    variables = jax.jit(model.init)(KEY, Batch(jnp.zeros((1, steps, 1))))
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(5), len(leaves))
    noise = [jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return model, jax.tree.unflatten(
        tree, [scale * leaf + spread * eps for leaf, eps in zip(leaves, noise, strict=True)]
    )


def bound_of(model, variables, x, length=None, estimate=filtering_bound, key=KEY, **settings):
    x, mask = time_first(x, length)
    state, context = model.start(variables, x, mask)
    return estimate(key, x, mask, state, partial(model.step, variables), context, **settings)


def bootstrap(key, x, mask, start, step, context, **settings):
    """The filtering bound with q = p(z_t | z_<t, x_<t), whose weights are bounded."""

    def of_prior(state, context):
        now = step(state, context)
        return now._replace(posterior=now.prior)

    return filtering_bound(key, x, mask, start, of_prior, context, **settings)


@pytest.mark.slow
@each("vrnn, gru, two layers", "srnn", "dmm")
def test_the_model_that_filters_is_the_model_that_draws_and_forecasts(make, monkeypatch):
    """The probabilities of the 8 sequences of 3 bits sum to 1, and draws and forecasts have these frequencies."""
    monkeypatch.setattr("genjax_models.models.sequential.filtering_bound", bootstrap)  # for the forecast
    gru = getattr(make, "keywords", {}).get("cell") == "gru"
    sizes = {"scale": 2.5, "spread": 0.3} if gru else {}  # larger ones always draw one sequence
    n, (model, variables) = 2_000, of_bits(make, **sizes)
    every = np.array(list(product([0, 1], repeat=3)), np.float32)[..., None]

    @jax.jit
    def run(key):
        x = jnp.repeat(every, n, axis=0)
        bound = bound_of(model, variables, x, estimate=bootstrap, key=key, num_particles=8, criterion="always").bound
        draws = model.sample(variables, key, 5 * n)
        prefix = jnp.ones((5 * n, 2, 1)).at[:, 1].set(jnp.nan)
        after = model.forecast(variables, key, prefix, jnp.ones(5 * n, jnp.int32), steps=2, num_particles=32)
        return bound.reshape(8, n), draws, after

    bound, draws, after = run(jax.random.key(11))
    p = np.exp(np.asarray(bound, np.float64))
    assert_mean(p.sum(axis=0), 1.0, float_error=1e-6)
    p = p.mean(axis=1)

    def frequencies(bits):
        steps = bits.shape[1]
        numbers = np.asarray(bits[..., 0] @ (2 ** np.arange(steps)[::-1]), int)
        return np.bincount(numbers, minlength=2**steps) / len(bits)

    error = lambda p: 6 * np.sqrt(p * (1 - p) / (5 * n))  # 5 for the draws, and one for p
    assert np.all(np.abs(frequencies(draws) - p) <= error(p) + 1e-300)  # p may be 0
    conditional = p[4:] / p[4:].sum()
    assert np.abs(conditional - p[:4] / p[:4].sum()).max() > 0.015  # the first bit matters
    assert np.all(np.abs(frequencies(after) - conditional) <= error(conditional) + 1e-300)


@each("vrnn", "vrnn, gru, two layers", "srnn")
def test_padding_changes_neither_value_nor_gradient_nor_draw(make):
    model, variables = of_bits(make, scale=1.0, spread=0.1)
    x = jax.random.bernoulli(jax.random.key(1), 0.5, (4, 5, 1)).astype(jnp.float32)
    lengths = jnp.array([3, 1, 2, 3])

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def run(variables, x, lengths):
        terms = bound_of(model, variables, x, lengths, num_particles=3, criterion="always", score=True)
        return jnp.sum(terms.bound[:3]), terms.bound

    with jax.numpy_rank_promotion("raise"):
        cut = run(variables, x[:, :3], lengths)
    padding = jnp.arange(5)[None, :, None] >= lengths[:, None, None]
    with_nan = run(variables, jnp.where(padding, jnp.nan, x), lengths)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), with_nan, cut)
    others = run(variables, x, jnp.array([3, 1, 2, 5]))[0][1]  # another sequence of the batch is longer
    np.testing.assert_allclose(others[:3], cut[0][1][:3], rtol=1e-5)
    assert abs(others[3] - cut[0][1][3]) > 0.1


@pytest.mark.slow
@each("vrnn, gru, two layers", "dmm", "srnn")
def test_draws_have_the_shape_of_the_data_zeros_after_the_end_and_longer_ones_the_same_start(make):
    likelihood = gx.gaussian((3, 2), "global")
    model = make(likelihood, steps=4, latent=2, hidden=4)
    variables = jax.jit(model.init)(KEY, Batch(jnp.zeros((2, 4, 3, 2))))
    draw = partial(model.sample, variables, KEY, 3)
    x = draw()
    assert x.shape == (3, 4, 3, 2)
    some = draw(length=np.array([2, 1, 5], np.int32))
    assert some.shape == (3, 5, 3, 2)
    np.testing.assert_array_equal(np.abs(some).sum((2, 3)) > 0, np.arange(5) < np.array([2, 1, 5])[:, None])
    np.testing.assert_allclose(some[2, :4], x[2], rtol=1e-6)
    assert jax.eval_shape(lambda length: draw(length=length), jnp.ones(3, jnp.int32)).shape == x.shape
    assert (model.shape, model.support, model.steps) == ((3, 2), None, 4)


TWO, LOG_P_TWO = [0.8, -0.3], -2.721178633522672
UNEQUAL = np.array([[0.8, -0.3, 1.5, 0.2, -1.1], [-0.8, 0.3, -1.5, np.nan, np.nan]], np.float32)[..., None]
LOG_P_UNEQUAL = [-7.7496026921472705, -4.635304478626413]
NUMBERS = {"transition": 0.9, "emission": 1.2, "transition_scale": 0.3**0.5, "emission_scale": 0.5**0.5}


def linear_gaussian(**options):
    model = gx.linear_gaussian_model(steps=2, **NUMBERS, **options)
    return model, model.init(KEY, Batch(jnp.zeros((1, 2, 1))))


def test_with_the_smoothing_posterior_every_draw_and_gradient_of_the_linear_gaussian_model_is_exact():
    model, variables = linear_gaussian(proposal="smoothing")
    lengths = jnp.array([5, 3])

    def value(variables):
        terms = bound_of(model, variables, UNEQUAL, lengths, num_particles=3, criterion="never")
        return jnp.sum(terms.bound), terms

    (_, terms), gradient = jax.jit(jax.value_and_grad(value, has_aux=True))(variables)
    np.testing.assert_allclose(terms.bound, LOG_P_UNEQUAL, rtol=1e-6)
    np.testing.assert_allclose(terms.log_weights[-1], np.tile(LOG_P_UNEQUAL, (3, 1)), rtol=1e-6)
    exact = lambda variables: kalman_log_likelihood(variables, UNEQUAL, lengths)
    np.testing.assert_allclose(exact(variables)[:, -1], LOG_P_UNEQUAL, rtol=1e-6)
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
        gradient,
        jax.grad(lambda variables: jnp.sum(exact(variables)[:, -1]))(variables),
    )


# The second sequence, padded with two zeros: the exact value for all five steps, and the ELBO of a q that saw them.
PADDING = {"padding observed as zeros": -6.931083926285764, "smoothing q that read the padding": -4.721149499513938}


@pytest.mark.parametrize("mistake", PADDING)
def test_plausible_mistakes_with_the_padding_are_seen(mistake):
    model, variables = linear_gaussian(proposal="smoothing")
    x, mask = time_first(jnp.nan_to_num(jnp.tile(UNEQUAL[1], (20_000, 1, 1))), jnp.full(20_000, 3))
    seen = jnp.ones_like(mask)
    on = seen if mistake == "padding observed as zeros" else mask

    @jax.jit
    def bound():
        state, context = model.start(variables, x, seen)
        return filtering_bound(KEY, x, on, state, partial(model.step, variables), context, num_particles=1).bound

    wrong = bound()
    assert_mean(wrong, PADDING[mistake])
    with pytest.raises(AssertionError):
        assert_mean(wrong, LOG_P_UNEQUAL[1])


@pytest.mark.parametrize(
    ("proposal", "elbo", "iwae"),
    [
        ("filter", -2.8337742459655364, -2.767101098702217),
        ("prior", -4.913129885849401, -3.464778960113919),
        ("smoothing", LOG_P_TWO, LOG_P_TWO),
    ],
)
def test_the_bounds_of_the_linear_gaussian_model_are_exact(proposal, elbo, iwae):
    model, variables = linear_gaussian(proposal=proposal)
    x = jnp.tile(jnp.array(TWO)[None, :, None], (20_000, 1, 1))
    terms = bound_of(model, variables, x, estimate=elbo_by_step)
    assert_mean(jnp.sum(terms.reconstruction - terms.kl, axis=0), elbo, float_error=1e-5)
    weights = bound_of(model, variables, x, num_particles=2, criterion="never").bound
    assert_mean(weights, iwae, float_error=1e-5)


def test_draws_of_the_linear_gaussian_model_have_its_covariance():
    model, variables = linear_gaussian(first_scale=2.0)
    x = model.sample(variables, KEY, 40_000)[..., 0]
    of_z = np.array([[4.0, 3.6], [3.6, 0.81 * 4 + 0.3]])
    covariance = 1.44 * of_z + 0.5 * np.eye(2)
    assert_mean(x[:, :, None] * x[:, None], covariance)


def test_a_sequential_model_starts_at_the_data_mean_of_the_true_steps():
    x = jnp.array([[[1.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [jnp.nan, jnp.nan]]])
    model = starting_at_data_mean(gx.variational_rnn(gx.bernoulli((2,)), steps=2, latent=2, hidden=3))
    mean_of = jax.jit(lambda batch: jax.nn.sigmoid(model.init(KEY, batch)["params"]["generator"]["logits"]["bias"]))
    np.testing.assert_allclose(mean_of(Batch(x, length=jnp.array([2, 1]))), [2 / 3, 2 / 3], rtol=1e-5)
    np.testing.assert_allclose(mean_of(Batch(x, length=jnp.array([1, 1]))), [0.5, 0.5], rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gx.variational_rnn(BIT, steps=0), "steps must be an integer of at least 1, got 0"),
        (lambda: gx.variational_rnn(BIT, steps=2, latent=0), "latent must be an integer of at least 1, got 0"),
        (lambda: gx.variational_rnn(BIT, steps=2, cell="rnn"), "cell must be one of .*, got 'rnn'"),
        (lambda: gx.stochastic_rnn(BIT, steps=2, hidden=0, features=3), "hidden must be at least 1, got 0"),
        (lambda: gx.deep_markov_model(BIT, steps=2, cell="rnn"), "cell must be one of .*, got 'rnn'"),
        (lambda: gx.linear_gaussian_model(steps=2, emission_scale=0.0), "emission_scale must be positive and finite"),
        (lambda: gx.linear_gaussian_model(steps=2, proposal="wide"), "proposal must be one of .*, got 'wide'"),
    ],
)
def test_settings_of_models_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("x", "length", "message"),
    [
        (np.zeros((2, 3, 1), np.float32), np.array([0, 3]), "length must be from 1 to 3, got 0 in row 0"),
        (np.zeros((2, 3, 1), np.float32), np.array([3, 4]), "length must be from 1 to 3, got 4 in row 1"),
        (np.zeros((2, 3, 1), np.float32), np.array([1.0, 3.0]), "length must be 2 integers, got float"),
        (np.zeros((2, 3, 1), np.float32), np.array([1]), r"length must be 2 integers, got int.* of shape \(1,\)"),
        (np.zeros((2, 3, 1), int), None, "x must be floating point"),
        (np.zeros(2, np.float32), None, r"x must be sequences \[batch, time, ...\], got shape \(2,\)"),
    ],
)
def test_sequences_are_checked(x, length, message):
    with pytest.raises(ValueError, match=message):
        time_first(x, length)


@pytest.mark.parametrize(
    ("bits", "x", "message"),
    [
        (True, [[1, 0.3]], "x must be 0 or 1, got 0.3"),
        (True, [[1, 7]], r"x must be in \[0, 1\], got 7.0 in row 0"),
        (False, [[1, np.nan]], "x must be finite, got nan in row 0"),
        (False, [[1, 1e30]], "all weights are zero, or one is NaN, at step 1 of example 0"),
    ],
)
def test_no_forecast_goes_on_from_what_the_model_cannot_explain(bits, x, message):
    model, variables = (gx.variational_rnn(BIT, steps=2), {}) if bits else linear_gaussian()
    x = np.array(x, np.float32)[..., None]
    with pytest.raises(ValueError, match=message):
        model.forecast(variables, KEY, x, None, steps=1, num_particles=2)


def test_other_features_and_draws_of_no_length_are_refused():
    model = gx.deep_markov_model(BIT, steps=2, latent=2, hidden=3)
    with pytest.raises(ValueError, match=r"steps of shape \(1,\), got an array of shape \(1, 2, 4\)"):
        model.init(KEY, Batch(jnp.zeros((1, 2, 4))))
    for length, message in [
        (0, "length must be an integer of at least 1"),
        (np.array([1, 0]), "length must be at lea"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.sample({}, KEY, 2, length=length)
