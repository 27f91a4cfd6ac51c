"""L_k, log p(x), their gradients and diagnostics, against exact integrals of linear-Gaussian and mixture models."""

from functools import cache, partial

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax_models.estimators.distributions import FullCovarianceNormal, diagonal_normal
from genjax_models.estimators.importance import (
    importance_weights,
    iwae_bound,
    log_likelihood,
    log_likelihood_from_prior,
    log_mean_exp,
    log_weights,
)
from genjax_models.estimators.importance_diagnostics import (
    check_weights,
    effective_sample_size,
    pareto_k_hat,
    pareto_k_threshold,
)
from tests.estimators import test_elbo as two_dimensional
from tests.estimators.test_elbo import TreeNormal, likelihood_of, standard_normal
from tests.statistics import assert_mean

GRADIENTS = ("standard", "sticking_the_landing", "doubly_reparameterized")
UNBIASED = ("standard", "doubly_reparameterized")

# z ~ N(0, 1), x | z ~ N(w z + b, s2), q = N(m, v); exact values by k.
PARAMETERS = {"m": 0.3, "log_v": np.log(0.6), "w": 1.5, "b": -0.25, "log_s2": np.log(0.5)}
PARAMETERS = {name: jnp.float32(value) for name, value in PARAMETERS.items()}
X = np.full((1, 1), 1.7, np.float32)
LOG_P = -2.116102625407549
POSTERIOR_MEAN, POSTERIOR_VARIANCE = 1.0636363636363635, 0.18181818181818182
BOUND = {1: -4.272777754807393, 2: -2.943733337621063, 5: -2.332555603401037}
GRADIENT = {
    1: {"m": 4.2, "log_v": -1.15, "w": -0.9, "b": 3.0, "log_s2": 3.1},
    2: {"m": 2.143968993563095, "log_v": -0.14407897705896885, "w": 0.12600202315020598,
        "b": 1.878528541943332, "log_s2": 1.2370638110322172},
    5: {"m": 0.6577164590472013, "log_v": 0.06602684502457841, "w": 0.3036194435639642,
        "b": 1.0678453412983913, "log_s2": 0.3134346250930162},
}  # fmt: skip
STICKING_THE_LANDING = {"m": 2.7671443903078354, "log_v": -0.21114350389646586}  # its mean at k = 2, +- 0.0004, 0.0002
# L_k of the first row of the two-dimensional model of test_elbo.
BOUND_2D = {1: -10.959934050377118, 5: -8.501107991864666, 10: -8.114614202320992}


# There is more to compile here than to compute.
compiled = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def repeat(function, repeats):
    keys = jax.random.split(jax.random.key(0), repeats)
    return jax.device_get(compiled(lambda keys: jax.lax.map(function, keys, batch_size=min(repeats, 2_000)))(keys))


def model(p):
    return standard_normal(1), likelihood_of(p["w"][None, None], p["b"], jnp.exp(p["log_s2"] / 2))


def diagonal(p):
    return diagonal_normal(p["m"][None, None], jnp.exp(p["log_v"] / 2)[None, None])


def full_covariance(p):
    return FullCovarianceNormal(p["m"][None, None], jnp.exp(p["log_v"] / 2)[None, None, None])


def multivariate_normal_diag(p):  # stop_gradient of this one stops nothing
    return distrax.MultivariateNormalDiag(p["m"][None, None], jnp.exp(p["log_v"] / 2)[None, None])


def flow(p):
    base = diagonal_normal(jnp.zeros((1, 1)), jnp.ones((1, 1)))
    steps = [distrax.ScalarAffine(p["m"][None], 1.0), distrax.ScalarAffine(0.0, jnp.exp(p["log_v"] / 2)[None])]
    return distrax.Transformed(base, distrax.Block(distrax.Chain(steps), 1))


def squashed(p):
    return distrax.Transformed(diagonal(p), distrax.Block(distrax.Tanh(), 1))


def bound(p, key, k, gradient="standard", posterior=diagonal):
    return iwae_bound(key, X, posterior(p), *model(p), num_samples=k, gradient=gradient)[0]


@cache
def draws(k, repeats=40_000, posterior=diagonal, gradients=GRADIENTS):
    """gradient -> (values, gradients by parameter), of one set of keys."""
    estimates = {g: jax.value_and_grad(lambda p, key, g=g: bound(p, key, k, g, posterior)) for g in gradients}
    return repeat(lambda key: {g: estimate(PARAMETERS, key) for g, estimate in estimates.items()}, repeats)


# The bound


@pytest.mark.parametrize("k", BOUND)
@pytest.mark.parametrize("gradient", UNBIASED)
def test_value_and_gradient_of_every_parameter_are_those_of_the_integral(k, gradient):
    values, gradients = draws(k)[gradient]
    assert_mean(values, BOUND[k])
    for name, exact in GRADIENT[k].items():
        assert_mean(gradients[name], exact)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_without_zero_weights_nothing_changes_but_the_work(gradient):
    """One evaluation of the networks in compiled code, where two are needed to step aside for a zero."""
    V, W = (jax.random.normal(jax.random.key(1), shape) for shape in ((1, 100), (200, 100)))

    def loss(p, key, zero_weights):
        linear = likelihood_of(W * p["w"], p["b"], jnp.exp(p["log_s2"] / 2))
        likelihood = lambda z: linear(jnp.tanh(z @ V))
        options = {"num_samples": 20, "gradient": gradient, "zero_weights": zero_weights}
        return iwae_bound(key, np.ones((1, 200)), diagonal(p), standard_normal(1), likelihood, **options)[0]

    evaluated = [jax.jit(jax.value_and_grad(partial(loss, zero_weights=zero))) for zero in (True, False)]
    key = jax.random.key(0)
    two, one = (function(PARAMETERS, key) for function in evaluated)
    for a, b in zip(jax.tree.leaves(two), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)
    two, one = (function.lower(PARAMETERS, key).compile().cost_analysis()["flops"] for function in evaluated)
    assert one < 0.85 * two


@pytest.mark.slow
@pytest.mark.parametrize("posterior", [full_covariance, multivariate_normal_diag, flow])
def test_any_reparameterized_posterior_has_the_same_bound_and_gradient(posterior):
    for values, gradients in draws(5, 20_000, posterior, UNBIASED).values():
        assert_mean(values, BOUND[5])
        for name, exact in GRADIENT[5].items():
            assert_mean(gradients[name], exact)


def test_the_gradients_of_a_curved_flow_agree():
    (_, standard), (_, doubly) = (draws(5, 20_000, squashed, UNBIASED)[gradient] for gradient in UNBIASED)
    for name in PARAMETERS:
        assert_mean(standard[name] - doubly[name], 0)
    assert np.std(standard["m"]) > 1.2 * np.std(doubly["m"])


def test_sticking_the_landing_is_unbiased_for_one_sample_and_always_for_the_model():
    _, gradients = draws(1)["sticking_the_landing"]
    for name, exact in GRADIENT[1].items():
        assert_mean(gradients[name], exact)
    _, gradients = draws(2)["sticking_the_landing"]
    for name in ("w", "b", "log_s2"):
        assert_mean(gradients[name], GRADIENT[2][name])
    for name, biased in STICKING_THE_LANDING.items():
        assert_mean(gradients[name], biased, float_error=2e-3)
        with pytest.raises(AssertionError):  # as if it were unbiased
            assert_mean(gradients[name], GRADIENT[2][name])


@pytest.mark.slow
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_fault_88_signal_to_noise_goes_with_the_root_of_k(gradient):
    """Slopes between k = 64 and 1024, of known means: 2,000 draws put 0.012 on a slope, and 0.06 is five of it.

    The mean of sticking the landing is measured: at k = 1024 it is the gradient of -KL(p(z | x) || q), to 3%.
    """
    exact = {
        64: {"m": 0.030067755460039765, "log_v": 0.0052385814702879145, "w": 0.21551882088437066},
        1024: {"m": 0.0018150321224687108, "log_v": 0.00031958188473973383, "w": 0.20917196647686762},
    }
    found = {k: draws(k, 2_000)[gradient][1] for k in exact}
    if gradient == "sticking_the_landing":
        exact = {k: {**exact[k], **{name: np.mean(found[k][name]) for name in ("m", "log_v")}} for k in exact}
        off, variance = POSTERIOR_MEAN - 0.3, 0.6
        limit = {"m": off / variance, "log_v": ((POSTERIOR_VARIANCE + off**2) / variance - 1) / 2}
        for name, slope in limit.items():
            np.testing.assert_allclose(exact[1024][name], slope, rtol=0.03)
    ratio = {k: {name: exact[k][name] / np.std(found[k][name]) for name in exact[k]} for k in exact}
    slope = {name: np.log(ratio[1024][name] / ratio[64][name]) / np.log(16) for name in exact[64]}
    of_q = -0.5 if gradient == "standard" else 0.5
    row = next(line.split() for line in iwae_bound.__doc__.splitlines() if line.split()[:1] == [gradient])
    assert f"k^{'+' if of_q > 0 else '-'}1/2" in row
    np.testing.assert_allclose(slope["m"], of_q, atol=0.06)
    np.testing.assert_allclose(slope["log_v"], of_q, atol=0.06)
    np.testing.assert_allclose(slope["w"], 0.5, atol=0.06)


def test_the_bound_in_two_dimensions():
    p, x = two_dimensional.PARAMETERS, two_dimensional.X[:1]
    values = repeat(lambda key: jnp.stack([two_dimensional_bound(p, key, x, k)[0] for k in BOUND_2D]), 20_000)
    assert_mean(values, list(BOUND_2D.values()))


def two_dimensional_bound(p, key, x, k, gradient="standard", tree=False):
    n, scale = len(x), jnp.exp(p["log_v"] / 2)
    flat = likelihood_of(p["W"], p["b"], jnp.exp(p["log_s2"] / 2))
    if tree:
        part = lambda i: diagonal_normal(jnp.full((n, 1), p["m"][i]), jnp.full((n, 1), scale[i]))
        posterior, prior = TreeNormal(part(0), part(1)), TreeNormal(standard_normal(1), standard_normal(1))
        likelihood = lambda z: flat(jnp.concatenate([z["top"], z["bottom"]], axis=-1))
    else:
        posterior, prior = diagonal_normal(jnp.tile(p["m"], (n, 1)), jnp.tile(scale, (n, 1))), standard_normal(2)
        likelihood = flat
    return iwae_bound(key, x, posterior, prior, likelihood, num_samples=k, gradient=gradient)


@pytest.mark.slow
def test_z_may_be_any_pytree():
    p, x = two_dimensional.PARAMETERS, two_dimensional.X
    estimates = [
        jax.value_and_grad(lambda p, key, g=g: two_dimensional_bound(p, key, x, 5, g, tree=True)[0]) for g in UNBIASED
    ]
    (values, standard), (_, doubly) = repeat(lambda key: [estimate(p, key) for estimate in estimates], 10_000)
    assert_mean(values, BOUND_2D[5])
    for name in p:
        assert_mean(standard[name] - doubly[name], 0, float_error=1e-3)
    assert not np.allclose(standard["m"], doubly["m"], atol=0.1)


def test_examples_keep_apart():
    p, key = two_dimensional.PARAMETERS, jax.random.key(0)
    bounds = lambda x: [two_dimensional_bound(p, key, x, 5, gradient) for gradient in GRADIENTS]
    for slopes in compiled(jax.jacobian(bounds))(two_dimensional.X):
        assert np.all((np.abs(slopes).sum(-1) > 0) == np.eye(3))


def test_the_value_never_depends_on_the_gradient_and_the_sample_axis_leads():
    p, x = two_dimensional.PARAMETERS, two_dimensional.X
    seen = []

    def likelihood(z):
        seen.append(z.shape)
        return likelihood_of(p["W"], p["b"], 0.5)(z)

    posterior = diagonal_normal(jnp.zeros((3, 2)), jnp.ones((3, 2)))
    values = compiled(
        lambda key: [
            iwae_bound(key, x, posterior, standard_normal(2), likelihood, num_samples=7, gradient=gradient)
            for gradient in GRADIENTS
        ]
    )(jax.random.key(0))
    assert set(seen) == {(7, 3, 2)}
    assert values[0].shape == (3,)
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])


def test_one_sample_makes_the_elbo():
    p, x = two_dimensional.PARAMETERS, two_dimensional.X

    def values_and_gradients(bound):
        estimate = lambda p, key: (bound(p, key), jax.jacrev(bound)(p, key))
        return compiled(jax.vmap(estimate, (None, 0)))(p, jax.random.split(jax.random.key(0), 3))

    ours = values_and_gradients(lambda p, key: two_dimensional_bound(p, key, x, 1))
    theirs = values_and_gradients(lambda p, key: two_dimensional.bound(p, key, x, "monte_carlo"))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4), ours, theirs)


def test_at_the_exact_posterior_neither_value_nor_path_gradients_vary():
    p = PARAMETERS | {"m": jnp.float32(POSTERIOR_MEAN), "log_v": jnp.log(POSTERIOR_VARIANCE)}
    estimate = lambda key: {g: jax.value_and_grad(bound)(p, key, 8, g) for g in GRADIENTS}
    for gradient, (values, slopes) in repeat(estimate, 200).items():
        np.testing.assert_allclose(values, LOG_P, atol=1e-5)
        noise = np.array([np.std(slopes[name]) for name in ("m", "log_v")])
        assert np.all(noise > 0.1) if gradient == "standard" else np.all(noise < 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", UNBIASED)
def test_compiled_and_vmapped_over_seeds_it_is_the_same(gradient):
    keys = jax.random.split(jax.random.key(1), 3)
    estimate = lambda p, key: jax.value_and_grad(bound)(p, key, 5, gradient)
    together = jax.device_get(compiled(jax.vmap(estimate, in_axes=(None, 0)))(PARAMETERS, keys))
    alone = estimate(PARAMETERS, keys[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[1], rtol=2e-5, atol=2e-5), alone, together)


def test_compiled_without_a_gradient_the_weights_are_evaluated_once():
    flops = lambda f: jax.jit(f).lower(PARAMETERS, jax.random.key(0)).compile().cost_analysis()["flops"]
    once = flops(lambda p, key: plain_bound(p, key, X, *model(p), k=100)[0])
    for gradient in GRADIENTS:
        assert flops(lambda p, key, g=gradient: bound(p, key, 100, g)) < 1.1 * once


def plain_bound(p, key, x, prior, likelihood, k):
    """The bound as one would write it first, and how many weights are zero."""
    z = diagonal(p).sample(seed=key, sample_shape=k)
    log_w = log_weights(z, x, diagonal(p), prior, likelihood)[:, 0]
    return jax.nn.logsumexp(log_w) - jnp.log(k), jnp.sum(log_w == -jnp.inf)


def test_the_standard_gradient_can_be_differentiated_again():
    key, at = jax.random.key(2), lambda m: PARAMETERS | {"m": m}
    ours = jax.hessian(lambda m: bound(at(m), key, 5))
    plain = jax.hessian(lambda m: plain_bound(at(m), key, X, *model(PARAMETERS), k=5)[0])
    values = compiled(lambda m: (ours(m), plain(m)))(PARAMETERS["m"])
    np.testing.assert_allclose(*values, rtol=1e-4)


# Weights of zero

UNIFORM = distrax.Independent(distrax.Uniform(-jnp.ones(1), jnp.ones(1)), 1)
ZEROS = {  # p -> prior, likelihood; some of q's draws have probability zero under each
    "outside the prior": lambda p: (UNIFORM, model(p)[1]),
    "outside p(x | z)": lambda p: (
        standard_normal(1), lambda z: distrax.Independent(distrax.Uniform(p["w"] * z - 2, p["w"] * z + 2), 1),
    ),
    "p(x | z) saturated": lambda p: (
        standard_normal(1), lambda z: distrax.Independent(distrax.Bernoulli(probs=jnp.clip(p["w"] * z / 8, 0, 1)), 1),
    ),
}  # fmt: skip
ONE = jnp.ones((1, 1))


@pytest.mark.parametrize("zeros", ZEROS)
def test_weights_of_zero_do_no_harm(zeros):
    keys = jax.random.split(jax.random.key(4), 300)
    over_keys = lambda f: compiled(jax.vmap(f, (None, 0)))
    over_all = over_keys(lambda p, key: plain_bound(p, key, ONE, *ZEROS[zeros](p), k=6))
    plain = lambda p: jax.device_get(over_all(p, keys))
    expected, count = plain(PARAMETERS)
    some = (count > 0) & (count < 6)
    assert some.sum() > 20

    def bound(p, key, gradient):
        return iwae_bound(key, ONE, diagonal(p), *ZEROS[zeros](p), num_samples=6, gradient=gradient)[0]

    estimates = over_keys(lambda p, key: {g: jax.value_and_grad(bound)(p, key, g) for g in GRADIENTS})
    estimates = jax.device_get(estimates(PARAMETERS, keys))
    for values, slopes in estimates.values():
        np.testing.assert_allclose(values, expected, rtol=1e-5)
        assert all(np.isfinite(slope[some]).all() for slope in slopes.values())

    # The standard gradient is the slope of the value at fixed noise, wherever no weight appears or goes.
    step = np.float32(2e-3)
    for name, slope in estimates["standard"][1].items():
        low, high = (plain(PARAMETERS | {name: PARAMETERS[name] + shift}) for shift in (-step, step))
        smooth = some & (low[1] == count) & (high[1] == count) & (np.abs(slope) < 20)
        assert smooth.sum() > 0.8 * some.sum()
        differences = (high[0] - low[0])[smooth] / (2 * step)
        np.testing.assert_allclose(slope[smooth], differences, rtol=0.02, atol=0.02)


def test_a_weight_of_zero_in_a_plain_gradient_would_be_seen():
    keys = jax.random.split(jax.random.key(4), 50)
    zeros = ZEROS["p(x | z) saturated"]
    slope = jax.grad(lambda p, key: plain_bound(p, key, ONE, *zeros(p), k=6)[0])
    assert np.isnan(compiled(jax.vmap(slope, (None, 0)))(PARAMETERS, keys)["m"]).any()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_all_weights_zero_is_minus_infinity_with_no_gradient(gradient):
    x = jnp.array([[0.5], [9.0]])
    likelihood = lambda scale: lambda z: distrax.Independent(Cut(scale * z, jnp.ones_like(z)), 1)

    def total(mean):
        posterior = diagonal_normal(jnp.full((2, 1), mean), jnp.full((2, 1), 0.1))
        values = iwae_bound(
            jax.random.key(0), x, posterior, standard_normal(1), likelihood(mean), num_samples=5, gradient=gradient
        )
        return jnp.where(jnp.isfinite(values), values, 0).sum(), values

    slope, values = compiled(jax.grad(total, has_aux=True))(jnp.float32(0.3))
    assert np.isfinite(values[0])
    assert values[1] == -np.inf
    assert np.isfinite(slope)
    assert slope != 0


class Cut(distrax.Normal):
    """A normal density with a range of five, and zero beyond."""

    def log_prob(self, value):
        return jnp.where(jnp.abs(value - self.loc) < 5, super().log_prob(value), -jnp.inf)


# Mistakes: each is seen by the tests above

MISTAKES = {
    "the mean of the logs": (lambda log_w, z: jnp.mean(log_w, axis=0), -4.272777754807393),
    "no - log k": (lambda log_w, z: jax.nn.logsumexp(log_w, axis=0), -0.7231176909669366),
    "weighted logs": (lambda log_w, z: jnp.sum(jax.nn.softmax(log_w, 0) * log_w, axis=0), -1.663096414889104),
    "no prior": (lambda log_w, z: log_mean_exp(log_w - standard_normal(1).log_prob(z)), None),
}


@cache
def mistaken_draws():
    def estimates(key):
        z = diagonal(PARAMETERS).sample(seed=key, sample_shape=5)
        log_w = log_weights(z, X, diagonal(PARAMETERS), *model(PARAMETERS))
        return {name: mistake(log_w, z)[0] for name, (mistake, _) in MISTAKES.items()}

    return repeat(estimates, 40_000)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_plausible_mistakes_are_seen(mistake):
    values, known = mistaken_draws()[mistake], MISTAKES[mistake][1]
    with pytest.raises(AssertionError):
        assert_mean(values, BOUND[5])
    if known:
        assert_mean(values, known, float_error=3e-3)


# log p(x)


@pytest.mark.parametrize(
    ("k", "expected"), [(1, -6.62486494292461), (10, -2.2648280843111497), (100, -2.127537720298862)]
)
def test_from_the_prior_the_log_likelihood_has_its_exact_bias(k, expected):
    estimate = lambda key: log_likelihood_from_prior(key, X, *model(PARAMETERS), num_samples=k)
    assert_mean(repeat(estimate, 40_000)[:, 0], expected)


def test_from_the_exact_posterior_it_has_no_variance():
    p = two_dimensional.PARAMETERS
    factor = jnp.tile(jnp.linalg.cholesky(two_dimensional.POSTERIOR_COVARIANCE), (3, 1, 1))
    posterior = FullCovarianceNormal(jnp.asarray(two_dimensional.POSTERIOR_MEAN, jnp.float32), factor)
    likelihood = likelihood_of(p["W"], p["b"], 0.5)
    for k in (1, 7):
        estimate = lambda key, k=k: log_likelihood(
            key, two_dimensional.X, posterior, standard_normal(2), likelihood, num_samples=k
        )
        np.testing.assert_allclose(compiled(estimate)(jax.random.key(k)), two_dimensional.LOG_P, atol=2e-5)


# z in {0, 1, 2} with probabilities PI, x | z ~ N(MEANS[z], VARIANCES[z]): exact, and with discrete z.
PI, MEANS, VARIANCES = np.array([0.2, 0.5, 0.3]), jnp.array([-2.0, 0.0, 3.0]), jnp.array([0.25, 1.0, 0.5])
X_MIXTURE = jnp.array([-2.0, -1.0, 0.0, 1.5, 3.0, 100.0])
LOG_P_MIXTURE = np.array(
    [-1.6789359360, -1.9478396339, -1.6117126966, -2.4937656807, -1.7633306298, -5001.612085713765]
)
RESPONSIBILITIES = np.array([
    [0.8553082668084745, 0.15146667713205922, 0.00026827001432256774, 4.4236822548377424e-11, 1.79e-22, 0.0],
    [0.14469173317892647, 0.8485331892789674, 0.9996270523483198, 0.7840205611435744, 0.012922890484081968, 1.0],
    [1.2599023421268126e-11, 1.33589e-07, 0.00010467763735743797, 0.21597943881218862, 0.9870771095159182, 0.0],
])  # fmt: skip
RELATIVE_VARIANCE = {  # of one weight, for the first five x
    "prior": [2.699632551655227, 0.5547279180230686, 0.9985088839418774, 0.38486687389053076, 2.24807140263126],
    "uniform": [1.2574637867637155, 1.228852182768144, 1.9977629801383978, 0.9840060748565405, 1.92346466368629],
    "posterior": [0.0] * 5,
}
MIXTURE = distrax.Categorical(probs=jnp.asarray(PI))


def component(z):
    return distrax.Normal(MEANS[z], jnp.sqrt(VARIANCES[z]))


@pytest.mark.slow
@pytest.mark.parametrize("proposal", RELATIVE_VARIANCE)
def test_of_a_discrete_z_the_estimate_is_unbiased_with_the_exact_variance(proposal):
    x, log_p = X_MIXTURE[:5], LOG_P_MIXTURE[:5]
    q = {
        "prior": MIXTURE,
        "uniform": distrax.Categorical(probs=jnp.ones(3) / 3),
        "posterior": distrax.Categorical(probs=jnp.asarray(RESPONSIBILITIES[:, :5].T)),
    }[proposal]
    estimate = lambda key: log_likelihood(key, x, q, MIXTURE, component, num_samples=4)
    ratio = np.exp(repeat(estimate, 40_000) - log_p)
    assert_mean(ratio, np.ones(5))
    assert_mean(4 * (ratio - 1) ** 2, RELATIVE_VARIANCE[proposal])


def test_given_every_z_once_weights_are_the_responsibilities():
    z = jnp.tile(jnp.arange(3)[:, None], (1, 6))
    log_w = log_weights(z, X_MIXTURE, distrax.Categorical(probs=jnp.ones(3) / 3), MIXTURE, component)
    np.testing.assert_allclose(importance_weights(log_w), RESPONSIBILITIES, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(log_mean_exp(log_w), LOG_P_MIXTURE, rtol=1e-6)  # exp of it underflows at x = 100


def test_one_proposal_for_all_examples_draws_for_each():
    x = jnp.full((4, 1), 1.7)
    values = log_likelihood_from_prior(jax.random.key(0), x, *model(PARAMETERS), num_samples=3)
    assert values.shape == (4,)
    assert len(set(values.tolist())) == 4


def test_shares_of_the_samples_are_joined():
    log_w = (50 * np.random.RandomState(0).normal(size=(12, 3))).astype(np.float32)
    exact = np.logaddexp.reduce(log_w, axis=0) - np.log(12)
    shares = lambda log_w: log_mean_exp(log_mean_exp(log_w.reshape(4, 3, 3), axis=1))
    for estimate in (log_mean_exp, shares, lambda log_w: log_mean_exp(log_w.T, axis=-1)):
        np.testing.assert_allclose(compiled(estimate)(log_w), exact, rtol=1e-6)


def test_log_mean_exp_of_nothing_has_no_gradient():
    log_w = jnp.array([[-jnp.inf, -jnp.inf], [-jnp.inf, 1.0]])
    values, slopes = compiled(lambda log_w: (log_mean_exp(log_w), jax.jacobian(log_mean_exp)(log_w).sum(0)))(log_w)
    np.testing.assert_allclose(values, [-np.inf, 1 - np.log(2)], rtol=1e-6)
    np.testing.assert_array_equal(slopes, [[0, 0], [0, 1]])
    assert np.isnan(compiled(jax.grad(lambda log_w: jax.nn.logsumexp(log_w[:, 0])))(log_w)).any()


# Diagnostics


def test_the_effective_sample_size_is_that_of_its_definition():
    weights = np.array([[1, 1, 1, 0, 1], [1, 2, 0, 0, 1], [1, 3, 0, 0, 0], [1, 0, 0, 0, 0]])
    with np.errstate(divide="ignore"):
        log_w = np.log(weights) + np.array([0, 1e4, -1e4, 0, 3])
    np.testing.assert_allclose(effective_sample_size(jnp.asarray(log_w, jnp.float32)), [4, 36 / 14, 1, 0, 2], rtol=2e-3)
    for shift in (0, -1_000, 5_000):  # a common factor changes nothing, and no size is below 1
        sizes = effective_sample_size(jnp.float32([[0, 0], [-40, -0.5]]) + shift)
        np.testing.assert_allclose(sizes, [1, (1 + np.exp(-0.5)) ** 2 / (1 + np.exp(-1))], rtol=1e-6)
        assert sizes[0] >= 1
    normalised = importance_weights(jnp.asarray(log_w, jnp.float32))
    np.testing.assert_allclose(normalised[:, 1], [1 / 6, 1 / 3, 1 / 2, 0], rtol=2e-3)
    np.testing.assert_allclose(normalised.sum(axis=0), [1, 1, 1, np.nan, 1], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("proposal", "fraction"), [("prior", 0.3086081843608734), ("q", 0.40443411237915683)])
def test_the_effective_fraction_tends_to_the_exact_one(proposal, fraction):
    k = 10_000
    prior, likelihood = model(PARAMETERS)
    q = {"prior": diagonal_normal(jnp.zeros((1, 1)), jnp.ones((1, 1))), "q": diagonal(PARAMETERS)}[proposal]

    def size(key):
        return effective_sample_size(log_weights(q.sample(seed=key, sample_shape=k), X, q, prior, likelihood))[0]

    samples = repeat(size, 300) / k
    assert_mean(samples, fraction, float_error=3 / k)  # its bias is of the order of 1 / k


def test_self_normalised_weights_give_posterior_means():
    q, (prior, likelihood) = diagonal(PARAMETERS), model(PARAMETERS)

    def moments(key):
        z = q.sample(seed=key, sample_shape=10_000)
        weights = importance_weights(log_weights(z, X, q, prior, likelihood))
        mean = jnp.sum(weights * z[..., 0], axis=0)[0]
        return jnp.stack([mean, jnp.sum(weights * (z[..., 0] - POSTERIOR_MEAN) ** 2, axis=0)[0]])

    samples = repeat(moments, 300)
    assert_mean(samples, [POSTERIOR_MEAN, POSTERIOR_VARIANCE], float_error=3e-4)


# The fit of arviz-stats 0.8.0, in float64, to tails of ceil(min(k / 5, 3 sqrt(k))) weights (it takes the floor): of
# weights 1 + y, y the quantiles at (i + 1/2) / k of a generalised Pareto distribution, by k and shape; and of the 1,000
# such quantiles of a log-normal distribution, by scale.
K_HAT_OF_QUANTILES = {
    (25, 0): 0.37512615451927317, (25, 0.7): 0.5532443137866411,
    (100, -0.5): -0.09648093851373574, (100, 0.7): 0.6062891118970051,
    (1000, -0.5): -0.37810124653193333, (1000, 0.3): 0.32356064382606825, (1000, 1.5): 1.365035898702986,
    (10000, 0): 0.0214580407728264, (10000, 0.7): 0.6899820348989792,
}  # fmt: skip
K_HAT_OF_LOG_NORMAL = {1: 0.29075302447559587, 10: 3.888264930731632, 30: 9.8420134155689}
k_hat = compiled(pareto_k_hat)


@pytest.mark.parametrize(("k", "shape"), K_HAT_OF_QUANTILES)
def test_k_hat_is_that_of_arviz(k, shape):
    p = (np.arange(k) + 0.5) / k
    y = -np.log1p(-p) if shape == 0 else np.expm1(-shape * np.log1p(-p)) / shape
    log_w = np.random.RandomState(0).permutation(np.log1p(y)).astype(np.float32)
    np.testing.assert_allclose(k_hat(log_w[:, None])[0], K_HAT_OF_QUANTILES[k, shape], atol=1e-4)


def test_k_hat_of_log_normal_weights_is_that_of_arviz():
    log_w = special.ndtri((np.arange(1000) + 0.5) / 1000)[:, None] * np.array(list(K_HAT_OF_LOG_NORMAL))
    np.testing.assert_allclose(k_hat(log_w.astype(np.float32)), list(K_HAT_OF_LOG_NORMAL.values()), rtol=1e-4)


@pytest.mark.parametrize("shape", [-0.3, 0.5, 1.2])
def test_k_hat_recovers_the_shape_of_known_tails(shape):
    """The tail has 600 weights: the estimate's deviation is about (1 + shape) / sqrt(600), its bias below 0.01."""
    u = jax.random.uniform(jax.random.key(0), (40_000, 60), minval=1e-7)
    estimates = k_hat(jnp.log1p(jnp.expm1(-shape * jnp.log(u)) / shape))
    assert_mean(estimates, (600 * shape + 5) / 610, float_error=0.01)
    np.testing.assert_allclose(np.std(estimates), (1 + shape) / np.sqrt(600), rtol=0.5)


def test_k_hat_sees_a_proposal_that_is_too_narrow():
    """Under N(mean, v), v < S, the shape of the weights is 1 - v / S: for v = 0.08 0.56, whose variance is infinite."""
    prior, likelihood = model(PARAMETERS)

    @compiled
    def estimates(mean, variance):
        q = diagonal_normal(jnp.full((50, 1), mean), jnp.full((50, 1), jnp.sqrt(variance)))
        z = q.sample(seed=jax.random.key(0), sample_shape=20_000)
        return pareto_k_hat(log_weights(z, jnp.full((50, 1), 1.7), q, prior, likelihood))

    assert np.all(estimates(0.3, 0.6) < 0.2)
    off_the_mean = estimates(0.3, 0.08)  # heavier still, before the limit
    assert np.all(off_the_mean > 0.5)
    assert np.mean(off_the_mean) > pareto_k_threshold(20_000)
    for variance in (0.08, 0.02):
        np.testing.assert_allclose(
            np.mean(estimates(POSTERIOR_MEAN, variance)), 1 - variance / POSTERIOR_VARIANCE, atol=0.1
        )


def test_k_hat_reads_each_column_alone_and_no_constant_matters():
    log_w = (np.random.RandomState(0).normal(size=(400, 5)) * [0.1, 1, 3, 30, 1000]).astype(np.float32)
    together = k_hat(log_w)
    assert together.shape == (5,)
    assert np.isfinite(together).all()
    assert np.all(np.diff(together) > 0)
    for i in range(5):
        np.testing.assert_allclose(k_hat(log_w[::-1, i : i + 1])[0], together[i], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(k_hat(log_w + 64), together, rtol=1e-3, atol=1e-3)
    zeros = np.where(np.arange(400)[:, None] < 360, -np.float32(np.inf), log_w)  # the tail has sixty
    assert np.isfinite(k_hat(zeros)).all()


def test_k_hat_is_nan_where_there_is_no_tail():
    log_w = np.stack([np.zeros(100), np.full(100, -np.inf), np.where(np.arange(100) < 4, 1, -np.inf)], axis=1)
    assert np.isnan(k_hat(log_w)).all()
    assert np.isfinite(k_hat(jax.random.normal(jax.random.key(0), (25, 1)))).all()


def test_the_threshold_grows_with_the_samples():
    np.testing.assert_allclose([pareto_k_threshold(k) for k in (100, 1000, 2000)], [0.5, 2 / 3, 0.69707], atol=1e-4)
    assert pareto_k_threshold(10_000) == 0.7


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "integer of at least 1, got 0"),
        ({"k": True}, "integer of at least 1, got True"),
        ({"k": 2.0}, "integer of at least 1, got 2.0"),
        ({"gradient": "dreg"}, "one of .*standard.* got 'dreg'"),
    ],
)
def test_what_makes_no_bound_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bound(PARAMETERS, jax.random.key(0), **{"k": 2, **arguments})


TWO = diagonal_normal(jnp.zeros((2, 1)), jnp.ones((2, 1)))


def tree(top):
    q = TreeNormal(standard_normal(top), standard_normal(1))
    q.event_shape = {"top": (top,), "bottom": (1,)}
    return q


@pytest.mark.parametrize(
    ("proposal", "prior", "message"),
    [
        (standard_normal(3), standard_normal(2), r"shapes \(3,\) and \(2,\)"),
        (distrax.Normal(0.0, 1.0), standard_normal(1), r"shapes \(\) and \(1,\)"),
        (tree(2), tree(1), r"\{'top': \(2,\), 'bottom': \(1,\)\} and \{'top': \(1,\)"),
        (tree(1), standard_normal(2), r"'top'.* and \(2,\)"),
        (MIXTURE, distrax.Normal(0.0, 1.0), "the same z, got int32 and float32"),
        (TWO, standard_normal(1), r"must be \(3,\) or \(\) for 3 examples, got \(2,\)"),
    ],
)  # fmt: skip
def test_a_proposal_that_does_not_fit_is_refused(proposal, prior, message):
    with pytest.raises(ValueError, match=message):
        log_likelihood(jax.random.key(0), jnp.zeros((3, 1)), proposal, prior, lambda z: None, num_samples=2)


@pytest.mark.parametrize("gradient", GRADIENTS[1:])
def test_a_discrete_z_has_no_path(gradient):
    with pytest.raises(ValueError, match=f'gradient="{gradient}" .*got a discrete z: use "standard"'):
        iwae_bound(jax.random.key(0), X_MIXTURE, MIXTURE, MIXTURE, component, num_samples=2, gradient=gradient)


def test_log_probabilities_of_another_shape_are_refused():
    elementwise = lambda z: distrax.Normal(jnp.concatenate([z, z], axis=-1), 1.0)  # not summed over dimensions
    with pytest.raises(AssertionError):
        log_likelihood(
            jax.random.key(0), jnp.zeros((3, 2)), standard_normal(1), standard_normal(1), elementwise, num_samples=4
        )


def test_fault_22_examples_without_a_weight_are_named():
    log_w = np.zeros((3, 20))
    assert check_weights(jnp.asarray(log_w)) is None
    log_w[0, 5] = -np.inf
    assert check_weights(log_w) is None
    log_w[:, [2, 7]] = -np.inf
    with pytest.raises(ValueError, match=r"all 3 weights are zero for 2 of 20 examples: 2, 7$"):
        check_weights(log_w)
    log_w[:, 3:15] = -np.inf
    with pytest.raises(ValueError, match=r"for 13 of 20 examples: 2, 3, .*, 11, \.\.\.$"):
        check_weights(log_w)
    with pytest.raises(ValueError, match="NaN or inf for 2 of 4 examples: 1, 3"):
        check_weights(np.array([[0, np.nan, 0, 1], [0, 0, -np.inf, np.inf]]))


@pytest.mark.parametrize("k", [1, 24])
def test_too_few_samples_for_a_tail_are_refused(k):
    with pytest.raises(ValueError, match=f"at least 25 samples, got {k}"):
        pareto_k_hat(jnp.zeros((k, 3)))
    with pytest.raises(ValueError, match=f"at least 25 samples, got {k}"):
        pareto_k_threshold(k)
