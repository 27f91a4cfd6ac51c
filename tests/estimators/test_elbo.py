"""The bound, its three forms and its gradients, against the exact values of linear-Gaussian and Bernoulli models."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.distributions import Bernoulli, FullCovarianceNormal, diagonal_normal
from genjax_models.estimators.elbo import elbo, elbo_terms
from genjax_models.estimators.importance import iwae_bound
from tests.statistics import assert_mean

FORMS = ("kl", "entropy", "monte_carlo")

# z ~ N(0, I_2), x | z ~ N(W z + b, s2 I_3), q = N(m, diag(v)): exact values by row of x.
PARAMETERS = {
    "m": jnp.array([0.2, -0.4]),
    "log_v": jnp.log(jnp.array([0.3, 0.5])),
    "W": jnp.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]]),
    "b": jnp.array([0.1, -0.2, 0.3]),
    "log_s2": jnp.log(0.25),
}
X = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -0.75]], np.float32)
ELBO = np.array([-10.959934050377123, -3.939934050377123, -6.724934050377123])
RECONSTRUCTION = np.array([-10.511374057934182, -3.4913740579341823, -6.2763740579341825])
KL = 0.4485599924429407
GRADIENT = {  # of the first row's bound
    "m": [-6.224, 0.208],
    "log_v": [-0.598, -0.68],
    "W": [[-1.2, 1.0], [-0.792, -0.736], [2.376, -3.472]],
    "b": [0.0, -2.16, 7.68],
    "log_s2": 8.334,
}
LOG_P = np.array([-7.668093387249674, -2.5943862751160305, -3.3264759020040966])
POSTERIOR_MEAN = np.array([[-0.7079123737, -0.6636991097], [0.1303391017, 0.1713013904], [1.0688706612, 0.2775832750]])
POSTERIOR_COVARIANCE = np.array([[0.14754426327898368, 0.0500150045013504], [0.0500150045013504, 0.2288186455936781]])


def bound(parameters, key, x, form, num_samples=1, estimator=elbo):
    p = parameters
    n = len(x)
    posterior = diagonal_normal(jnp.tile(p["m"], (n, 1)), jnp.tile(jnp.exp(p["log_v"] / 2), (n, 1)))
    return estimator(
        key, x, posterior, standard_normal(2), likelihood_of(p["W"], p["b"], jnp.exp(p["log_s2"] / 2)),
        num_samples=num_samples, form=form,
    )  # fmt: skip


def standard_normal(size):
    return diagonal_normal(jnp.zeros(size), jnp.ones(size))


def likelihood_of(W, b, scale):
    def likelihood(z):
        mean = z @ W.T + b
        return diagonal_normal(mean, jnp.broadcast_to(scale, mean.shape))

    return likelihood


def repeat(function, repeats, seed=0):
    return jax.lax.map(function, jax.random.split(jax.random.key(seed), repeats), batch_size=2_000)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_the_exact_bound_and_terms_as_its_mean(form):
    terms = repeat(lambda key: bound(PARAMETERS, key, X, form, estimator=elbo_terms), 40_000)
    assert_mean(terms.reconstruction - terms.kl, ELBO)
    assert_mean(terms.reconstruction, RECONSTRUCTION)
    assert_mean(terms.kl, KL)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_of_every_parameter_are_those_of_the_integral(form):
    gradient = jax.grad(lambda parameters, key: bound(parameters, key, X[:1], form)[0])
    gradients = repeat(lambda key: gradient(PARAMETERS, key), 40_000)
    for name, exact in GRADIENT.items():
        assert_mean(gradients[name], exact, float_error=1e-3)


def test_the_kl_form_has_a_closed_kl():
    terms = bound(PARAMETERS, jax.random.key(0), X, "kl", estimator=elbo_terms)
    np.testing.assert_allclose(terms.kl, KL, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_more_samples_leave_the_mean_and_lower_the_variance(form):
    one = repeat(lambda key: bound(PARAMETERS, key, X, form, 1), 20_000)
    many = repeat(lambda key: bound(PARAMETERS, key, X, form, 16), 5_000)
    assert_mean(many, ELBO)
    np.testing.assert_allclose(np.var(one, axis=0) / np.var(many, axis=0), 16, rtol=0.25)


def test_at_the_exact_posterior_the_bound_is_log_p_without_variance():
    factor = jnp.tile(jnp.linalg.cholesky(POSTERIOR_COVARIANCE), (3, 1, 1))
    posterior = FullCovarianceNormal(jnp.asarray(POSTERIOR_MEAN, jnp.float32), factor)
    likelihood = likelihood_of(PARAMETERS["W"], PARAMETERS["b"], 0.5)
    estimate = elbo(jax.random.key(0), X, posterior, standard_normal(2), likelihood, form="monte_carlo")
    np.testing.assert_allclose(estimate, LOG_P, atol=2e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_bernoulli_generator_has_the_exact_bound(form):
    w, b, x = jnp.array([2.0, -1.0, 0.5]), jnp.array([-0.5, 0.25, 0.0]), jnp.array([[1.0, 0.0, 1.0]])
    posterior = diagonal_normal(jnp.full((1, 1), 0.4), jnp.full((1, 1), 0.3**0.5))
    likelihood = lambda z: distrax.Independent(Bernoulli(z * w + b), 1)
    estimate = lambda key: elbo(key, x, posterior, standard_normal(1), likelihood, form=form)
    assert_mean(repeat(estimate, 40_000)[:, 0], -2.2817448313525737)


class TreeNormal(distrax.Distribution):
    """Two independent standard-shaped parts: z is a dictionary, and nothing has a closed form."""

    event_shape = {"top": (1,), "bottom": (1,)}  # noqa: RUF012

    def __init__(self, top, bottom):
        super().__init__()
        self.parts = {"top": top, "bottom": bottom}

    def log_prob(self, value):
        return sum(self.parts[name].log_prob(value[name]) for name in self.parts)

    def _sample_n(self, key, n):
        return {name: p._sample_n(jax.random.fold_in(key, i), n) for i, (name, p) in enumerate(self.parts.items())}


def test_z_may_be_any_pytree():
    v = jnp.exp(PARAMETERS["log_v"] / 2)
    part = lambda i: diagonal_normal(jnp.full((3, 1), PARAMETERS["m"][i]), jnp.full((3, 1), v[i]))
    posterior = TreeNormal(part(0), part(1))
    prior = TreeNormal(standard_normal(1), standard_normal(1))
    flat = likelihood_of(PARAMETERS["W"], PARAMETERS["b"], 0.5)
    likelihood = lambda z: flat(jnp.concatenate([z["top"], z["bottom"]], axis=-1))
    assert_mean(repeat(lambda key: elbo(key, X, posterior, prior, likelihood, form="monte_carlo"), 20_000), ELBO)
    for form in ("kl", "entropy"):
        with pytest.raises(ValueError, match=r'use form=.*"monte_carlo"'):
            elbo(jax.random.key(0), X, posterior, prior, likelihood, form=form)


class OneEvaluation(distrax.Distribution):
    """A diagonal Gaussian that draws and weighs in one evaluation, and counts all of them."""

    event_shape = (2,)

    def __init__(self, mean, scale):
        super().__init__()
        self.normal, self.calls = diagonal_normal(mean, scale), []

    def log_prob(self, value):
        self.calls.append("log_prob")
        return self.normal.log_prob(value)

    def _sample_n(self, key, n):
        self.calls.append("sample")
        return self.normal._sample_n(key, n)

    def _sample_n_and_log_prob(self, key, n):
        self.calls.append("both")
        z = self.normal._sample_n(key, n)
        return z, self.normal.log_prob(z)


@pytest.mark.parametrize("estimator", ["elbo", "iwae"])
def test_a_posterior_that_draws_and_weighs_at_once_is_evaluated_once(estimator):
    def estimate(posterior):
        arguments = (
            jax.random.key(0),
            X,
            posterior,
            standard_normal(2),
            likelihood_of(PARAMETERS["W"], PARAMETERS["b"], 0.5),
        )
        if estimator == "elbo":
            return elbo(*arguments, form="monte_carlo", num_samples=4)
        return iwae_bound(*arguments, num_samples=4, zero_weights=False)

    def value_and_gradient(make):
        made = []

        def total(p):
            made.append(make(jnp.tile(p["m"], (3, 1)), jnp.tile(jnp.exp(p["log_v"] / 2), (3, 1))))
            return jnp.sum(estimate(made[-1]))

        return jax.jit(jax.value_and_grad(total))(PARAMETERS), made[-1]

    fused, posterior = value_and_gradient(OneEvaluation)
    apart, _ = value_and_gradient(diagonal_normal)
    # Beside this evaluation, "sample" is only traced for shapes and types.
    assert [call for call in posterior.calls if call != "sample"] == ["both"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), fused, apart)


@pytest.mark.parametrize(
    "make", [diagonal_normal, lambda mean, scale: FullCovarianceNormal(mean, jax.vmap(jnp.diag)(scale))]
)
def test_distributions_of_two_evaluations_keep_their_numbers(make):
    """Bit for bit those of a draw and its log-density."""
    posterior = make(jnp.tile(PARAMETERS["m"], (3, 1)), jnp.tile(jnp.exp(PARAMETERS["log_v"] / 2), (3, 1)))
    likelihood = likelihood_of(PARAMETERS["W"], PARAMETERS["b"], 0.5)
    terms = elbo_terms(
        jax.random.key(0), X, posterior, standard_normal(2), likelihood, form="monte_carlo", num_samples=4
    )
    z = posterior.sample(seed=jax.random.key(0), sample_shape=4)
    expected = jnp.mean(posterior.log_prob(z) - standard_normal(2).log_prob(z), axis=0)
    np.testing.assert_array_equal(terms.kl, expected)


def test_where_there_is_no_closed_kl_the_error_says_what_there_is():
    uniform = distrax.Independent(distrax.Uniform(jnp.full(2, -9.0), jnp.full(2, 9.0)), 1)
    posterior = diagonal_normal(jnp.zeros((3, 2)), jnp.ones((3, 2)))
    likelihood = likelihood_of(PARAMETERS["W"], PARAMETERS["b"], 0.5)
    with pytest.raises(ValueError, match=r'needs a closed KL.*use form="entropy" or "monte_carlo"'):
        elbo(jax.random.key(0), X, posterior, uniform, likelihood, form="kl")
    assert np.isfinite(elbo(jax.random.key(0), X, posterior, uniform, likelihood, form="entropy")).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "integer of at least 1, got 0"),
        ({"num_samples": True}, "integer of at least 1, got True"),
        ({"num_samples": 2.0}, "integer of at least 1, got 2.0"),
        ({"form": "closed"}, "one of .* got 'closed'"),
    ],
)
def test_fault_15_what_makes_no_bound_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bound(PARAMETERS, jax.random.key(0), X, **{"form": "kl", "num_samples": 1, **arguments})


def test_fault_04_a_likelihood_of_another_shape_is_refused():
    posterior = diagonal_normal(jnp.zeros((3, 2)), jnp.ones((3, 2)))
    elementwise = lambda z: distrax.Normal(z @ PARAMETERS["W"].T, 1.0)  # not summed over dimensions
    with pytest.raises(AssertionError):
        elbo(jax.random.key(0), X, posterior, standard_normal(2), elementwise)


# Plausible mistakes, each in what is handed to the estimator: the checks above see every one of them.
MISTAKES = {
    "a log-variance read as a log-scale, in q": lambda p: {**p, "log_v": 2 * p["log_v"]},
    "the variance where the scale belongs, in p(x | z)": lambda p: {**p, "log_s2": 2 * p["log_s2"]},
    "W without its bias": lambda p: {**p, "b": jnp.zeros(3)},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_plausible_mistakes_are_seen(mistake):
    wrong = MISTAKES[mistake](PARAMETERS)
    with pytest.raises(AssertionError):
        assert_mean(repeat(lambda key: bound(wrong, key, X, "kl"), 40_000), ELBO)


def test_a_kl_averaged_over_dimensions_is_seen():
    terms = repeat(lambda key: bound(PARAMETERS, key, X, "monte_carlo", estimator=elbo_terms), 40_000)
    with pytest.raises(AssertionError):
        assert_mean(terms.reconstruction - terms.kl / 2, ELBO)
