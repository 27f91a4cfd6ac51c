"""Quadrature over z against exact likelihoods; its convergence, and its own error estimate."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import genjax_models as gx
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.evaluation.posterior_grid import posterior_grid
from genjax_models.evaluation.quadrature import quadrature_log_likelihood
from genjax_models.models.generator import GeneratorModel
from genjax_models.types import Batch

# z ~ N(0, 1), x | z ~ N(1.5 z - 0.25, 0.5), at x = 1.7; and z ~ N(0, I_2), x | z ~ N(W z + b, I_3 / 4), by row of x.
LOG_P_LINE = -2.116102625407549
W, B = np.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]]), np.array([0.1, -0.2, 0.3])
X = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -0.75]], np.float32)
LOG_P = [-7.668093387249674, -2.5943862751160305, -3.3264759020040966]


def model_of(latent, mean, scale, prior_scale=1.0):
    def likelihood(variables, z):
        loc = mean(z)
        return diagonal_normal(loc, jnp.broadcast_to(scale(z), loc.shape))

    prior = lambda variables: diagonal_normal(jnp.zeros(latent), jnp.full(latent, prior_scale))
    return GeneratorModel(lambda key, batch: {}, prior, likelihood)


LINE = model_of(1, lambda z: 1.5 * z - 0.25, lambda z: 0.5**0.5)
PLANE = model_of(2, lambda z: z @ W.T + B, lambda z: 0.5)
# A curve that crosses itself, of a width that varies: no closed form, posteriors with several modes.
CURVE = model_of(
    1, lambda z: jnp.concatenate([jnp.sin(3 * z), jnp.cos(2 * z)], axis=-1), lambda z: 0.1 + 0.05 * z**2
)  # fmt: skip
POINTS = np.array([[0.0, -0.4], [0.5, 0.5], [-0.9, 0.2], [2.0, 2.0], [0.1, 1.0]], np.float32)


def of_curve(x):
    """log p(x) in float64, by scipy's adaptive rule."""

    def joint(z):
        means, scale = [np.sin(3 * z), np.cos(2 * z)], 0.1 + 0.05 * z**2
        return stats.norm.pdf(z) * stats.norm.pdf(x, means, scale).prod()

    return np.log(sum(integrate.quad(joint, low, low + 0.5, epsabs=0, epsrel=1e-9)[0] for low in np.arange(-8, 8, 0.5)))


def test_one_latent_dimension_is_exact():
    quadrature = quadrature_log_likelihood(LINE, {}, jnp.array([[1.7]]), nodes=201)
    np.testing.assert_allclose(quadrature["log_likelihood"], LOG_P_LINE, atol=2e-6)


@pytest.mark.slow
def test_two_latent_dimensions_are_exact_and_too_few_nodes_have_a_large_error():
    quadrature = quadrature_log_likelihood(PLANE, {}, X, nodes=201)
    np.testing.assert_allclose(quadrature["log_likelihood"], LOG_P, atol=1e-5)
    assert np.all(quadrature["quadrature_error"] < 1e-5)
    few = quadrature_log_likelihood(PLANE, {}, X, nodes=15)
    errors = np.abs(few["log_likelihood"] - np.array(LOG_P))
    assert np.all(errors > 0.01)
    assert np.all(few["quadrature_error"] > errors)


def test_a_curve_has_the_likelihood_of_an_adaptive_rule():
    quadrature = quadrature_log_likelihood(CURVE, {}, POINTS, nodes=801)
    np.testing.assert_allclose(quadrature["log_likelihood"], [of_curve(x) for x in POINTS], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "x"), [(LINE, jnp.array([[1.7]])), pytest.param(CURVE, POINTS, marks=pytest.mark.slow)]
)
def test_it_converges_and_its_error_estimate_is_above_its_error(model, x):
    exact = quadrature_log_likelihood(model, {}, x, nodes=1_281)["log_likelihood"]
    errors, estimates = [], []
    for nodes in (21, 41, 81, 161, 321, 641):
        quadrature = quadrature_log_likelihood(model, {}, x, nodes=nodes)
        errors.append(np.abs(quadrature["log_likelihood"] - exact).max())
        estimates.append(quadrature["quadrature_error"].max())
    assert errors[-1] < 1e-5
    assert np.all(np.array(errors) <= np.array(estimates) + 1e-5)
    assert estimates[0] > 0.01  # too few nodes have a large error estimate
    assert estimates[-1] < 1e-3


@pytest.mark.parametrize(
    "model",
    [
        model_of(1, lambda z: 1.5 * z - 0.25, lambda z: 0.5),  # the variance in place of the scale
        model_of(1, lambda z: 1.5 * z - 0.25, lambda z: 0.5**0.5, prior_scale=1.1),
    ],
)
def test_plausible_mistakes_are_detected(model):
    quadrature = quadrature_log_likelihood(model, {}, jnp.array([[1.7]]), nodes=201)
    assert np.abs(quadrature["log_likelihood"] - LOG_P_LINE) > 0.01


@pytest.mark.slow
def test_no_figure_depends_on_the_batch_size():
    whole, parts = (quadrature_log_likelihood(CURVE, {}, POINTS, nodes=101, batch_size=size) for size in (5, 2))
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name], atol=1e-5)


@pytest.mark.slow
def test_it_takes_a_model_with_an_encoder_and_agrees_with_many_samples():
    posterior, likelihood = gx.diagonal_gaussian(1), gx.gaussian((2,), "isotropic")
    networks = gx.MLPEncoder((2,), posterior.outputs, (8,)), posterior, gx.MLPGenerator(likelihood.outputs, (8,))
    model = gx.latent_variable_model(*networks, likelihood)
    variables = jax.jit(model.init)(jax.random.key(0), Batch(jnp.zeros((1, 2))))
    exact = quadrature_log_likelihood(model, variables, POINTS, nodes=401)["log_likelihood"]
    sampled = gx.negative_log_likelihood(model, variables, jax.random.key(1), POINTS, num_samples=5_000)
    error = 5 * np.sqrt(1 / sampled["effective_sample_size"] - 1 / 5_000)
    assert np.all(np.abs(sampled["negative_log_likelihood"] + exact) < error + 1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes": 200}, "odd integer of at least 3, got 200"),
        ({"nodes": 1}, "got 1"),
        ({"nodes": 201.0}, "got 201.0"),
        ({"reach": 0.0}, "`reach` must be positive, got 0.0"),
        ({"batch_size": 0}, "`batch_size` of evaluation must be at least 1, got 0"),
        ({"x": POINTS[:0]}, "needs at least one example"),
        ({"model": model_of(3, lambda z: z[..., :2], lambda z: 1.0)}, r"one or two latent dimensions.*\(3,\)"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        quadrature_log_likelihood(**{"model": CURVE, "variables": {}, "x": POINTS, "nodes": 5, **arguments})


def with_uniform_prior(low, high):
    return lambda variables: distrax.Independent(distrax.Uniform(jnp.asarray(low), jnp.asarray(high)), 1)


def exact_with_uniform_prior(x, low, high):
    """log p(x) of x_i | z_i ~ N(1.5 z_i - 0.25, 0.5), z_i ~ U(low_i, high_i)."""
    of = lambda z: stats.norm.cdf((1.5 * z - 0.25 - x) / 0.5**0.5)
    return np.log((of(np.array(high)) - of(np.array(low))) / 1.5 / (np.array(high) - low)).sum(axis=-1)


LINES = model_of(2, lambda z: 1.5 * z - 0.25, lambda z: 0.5**0.5)
SUPPORTS = [([-1.0], [1.0]), ([-(3**0.5)], [3**0.5]), ([-10.0], [10.0]), ([0.3], [0.7]), ([-1.0, 0.0], [1.0, 20.0])]


@pytest.mark.parametrize(("low", "high"), SUPPORTS)
def test_fault_85_a_uniform_prior_is_integrated_over_its_support(low, high):
    """On [-8, 8] log p(x) was wrong by up to 1 nat, above the error that it claims."""
    model = (LINE if len(low) == 1 else LINES)._replace(prior=with_uniform_prior(low, high))
    x = np.float32([[1.7], [0.1], [-1.0]])[:, [0] * len(low)]
    expected = exact_with_uniform_prior(x, low, high)
    for traced in (False, True):
        of = lambda x: quadrature_log_likelihood(model, {}, x, nodes=101, reach=2.0)
        quadrature = (jax.jit(of) if traced else of)(x)
        error = np.abs(quadrature["log_likelihood"] - expected)
        assert np.all(error <= quadrature["quadrature_error"] + 1e-5)
        assert np.all(error < 0.03)
    grid = posterior_grid(model, {}, x[1], nodes=101)
    error = abs(grid.log_likelihood - expected[1])
    assert error <= grid.quadrature_error + 1e-5
    assert error < 0.01


def uniform_noise(variables, z):
    return distrax.Independent(distrax.Uniform(z - 0.5, z + 0.5), 1)


def test_fault_85_other_jumps_are_refused_or_have_no_claim():
    x = jnp.array([[1.7]])
    below_zero = distrax.Independent(distrax.Gamma(jnp.ones(1), jnp.ones(1)), 1)
    for change, message in (
        ({"likelihood": uniform_noise}, "a likelihood that is continuous in z, got uniform noise"),
        ({"prior": lambda variables: below_zero}, "a prior that is positive on the grid, or uniform, got Independent"),
    ):
        model = LINE._replace(**change)
        of = lambda x, model=model: quadrature_log_likelihood(model, {}, x, nodes=51)
        for refused in (of, jax.jit(of), lambda x, model=model: posterior_grid(model, {}, x[0], nodes=51)):
            with pytest.raises(ValueError, match=message) as error:
                refused(x)
            assert "\n" not in str(error.value)
    unknown = LINE._replace(prior=lambda edge: distrax.Independent(distrax.Gamma(edge, jnp.ones(1)), 1))
    traced = jax.jit(lambda edge: quadrature_log_likelihood(unknown, edge, x, nodes=51))(jnp.ones(1))
    assert np.isinf(traced["quadrature_error"]).all()
