"""Exact values of likelihoods: the ELBO, the IWAE bound, importance sampling and annealing, with their gradients.

Values are closed forms or quadrature in float64.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, get_args

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from genjax_models.commands.checks import Check, Parameters, as_float32, exact_gradient, flat_numbers, repeated
from genjax_models.estimators.annealing import annealed_importance_sampling, reverse_annealed_importance_sampling
from genjax_models.estimators.annealing_path import sigmoidal_schedule
from genjax_models.estimators.distributions import FullCovarianceNormal, diagonal_normal
from genjax_models.estimators.elbo import Form, elbo, kl_by_dimension
from genjax_models.estimators.importance import Gradient, iwae_bound, log_likelihood, log_likelihood_from_prior
from genjax_models.estimators.importance_diagnostics import effective_sample_size
from genjax_models.types import Array, PRNGKey

# z ~ N(0, I_2), x | z ~ N(W z + b, s2 I_3) and q = N(m, diag(v)).
PLANE = {
    "m": np.array([0.2, -0.4]),
    "log_v": np.log([0.3, 0.5]),
    "W": np.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]]),
    "b": np.array([0.1, -0.2, 0.3]),
    "log_s2": np.log(0.25),
}
X_PLANE = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -0.75]])

# z ~ N(0, 1), x | z ~ N(w z + b, s2) and q = N(m, v).
LINE = {"m": 0.3, "log_v": np.log(0.6), "w": 1.5, "b": -0.25, "log_s2": np.log(0.5)}
X_LINE = 1.7
DIRECTION = (lambda r: r / np.linalg.norm(r))(
    np.random.RandomState(0).randn(16)
)  # Direction of the line in 16 dimensions.


def elbo_checks() -> Iterator[Check]:
    """Yields the bound and its gradient per form on the plane, and the KL between Gaussians."""

    def exact(p: Parameters) -> np.ndarray:
        s2, v, mean = np.exp(p["log_s2"]), np.exp(p["log_v"]), p["W"] @ p["m"] + p["b"]
        reconstruction = np.sum(_log_normal(X_PLANE, mean, s2), axis=1) - np.sum(p["W"] ** 2 * v) / (2 * s2)
        return reconstruction - 0.5 * np.sum(v + p["m"] ** 2 - 1 - p["log_v"])

    def estimate(form: Form, p: Parameters, key: PRNGKey) -> Array:
        mean, scale = (jnp.tile(value, (3, 1)) for value in (p["m"], jnp.exp(p["log_v"] / 2)))
        return elbo(key, as_float32(X_PLANE), diagonal_normal(mean, scale), _standard(2), _linear(p), form=form)

    def with_gradient(form: Form, key: PRNGKey):
        bounds, vjp = jax.vjp(lambda p: estimate(form, p, key), as_float32(PLANE))
        return bounds, vjp(jnp.array([1.0, 0.0, 0.0]))

    expected = flat_numbers((exact(PLANE), exact_gradient(lambda p: exact(p)[0], PLANE)))
    for form in get_args(Form):
        yield Check(f"elbo, {form} form, and gradient", repeated(partial(with_gradient, form)), expected, 30)

    mean, scale = np.array([[0.0, 0.5, -1.0, 2.0]]), np.array([[1.0, 0.5, 2**0.5, 0.1]])
    kl = lambda draws: kl_by_dimension(diagonal_normal(*as_float32((mean, scale))), _standard(4))
    yield Check("kl_by_dimension", kl, 0.5 * (scale**2 + mean**2 - 1 - 2 * np.log(scale))[0])


@cache
def _exact_iwae_bound(k: int) -> tuple[float, dict[str, np.ndarray]]:
    """Returns L_k on the line, and its derivatives.

    Frullani's integral is E log sum_i w_i = int exp(-e^u) - (E exp(-e^u w))^k du. L_k is E log sum_i w_i - log k.
    """
    nodes, u = np.linspace(-10, 10, 801), np.arange(-35, 30, 0.02)

    def bound(p: Parameters) -> float:
        z, s2, v = p["m"] + np.exp(p["log_v"] / 2) * nodes, np.exp(p["log_s2"]), np.exp(p["log_v"])
        log_w = _log_normal(X_LINE, p["w"] * z + p["b"], s2) + _log_normal(z, 0, 1) - _log_normal(z, p["m"], v)
        laplace = np.exp(-np.exp(u)[:, None] * np.exp(log_w)) @ special.softmax(-(nodes**2) / 2)
        return 0.02 * np.sum(np.exp(-np.exp(u)) - laplace**k) - math.log(k)

    return bound(LINE), exact_gradient(bound, LINE)


def iwae_checks() -> Iterator[Check]:
    """Yields L_5 and its gradient on the line, and along a random direction of 16 dimensions with a full covariance."""
    k = 5
    bound, derivatives = _exact_iwae_bound(k)

    def on_the_line(gradient: Gradient, p: Parameters, key: PRNGKey, chunk: int | None = None) -> Array:
        q = diagonal_normal(p["m"][None, None], jnp.exp(p["log_v"] / 2)[None, None])
        scale = jnp.exp(p["log_s2"] / 2)
        likelihood = lambda z: diagonal_normal(p["w"] * z + p["b"], jnp.broadcast_to(scale, z.shape))
        options = {"num_samples": k, "gradient": gradient, "chunk": chunk}
        return iwae_bound(key, _x_line(), q, _standard(1), likelihood, **options)[0]

    def along_a_direction(gradient: Gradient, p: Parameters, key: PRNGKey) -> Array:
        r = as_float32(DIRECTION)
        root = jnp.eye(len(r)) + (jnp.exp(p["log_v"] / 2) - 1) * jnp.outer(r, r)  # Square root of q's covariance.
        factor = jnp.linalg.cholesky(jnp.matmul(root, root, precision="highest"))
        q = FullCovarianceNormal((p["m"] * r)[None], factor[None])
        likelihood = _linear({**p, "W": p["w"] * r[None], "b": p["b"][None]})
        return iwae_bound(key, _x_line(), q, _standard(len(r)), likelihood, num_samples=k, gradient=gradient)[0]

    def check(name: str, estimate: Callable, gradient: str, products: float) -> Check:
        biased = ("m", "log_v") if gradient == "sticking_the_landing" else ()
        kept = sorted(set(LINE) - set(biased))

        def with_gradient(key: PRNGKey):
            value, gradients = jax.value_and_grad(partial(estimate, gradient))(as_float32(LINE), key)
            return value, [gradients[name] for name in kept]

        expected = flat_numbers((bound, [derivatives[name] for name in kept]))
        return Check(f"iwae_bound, {name}, and gradient", repeated(with_gradient), expected, products)

    for gradient in get_args(Gradient):
        yield check(gradient, on_the_line, gradient, 0)
    yield check("in chunks", partial(on_the_line, chunk=2), "doubly_reparameterized", 0)
    yield check("full covariance", along_a_direction, "standard", 100)
    yield check("full covariance, doubly", along_a_direction, "doubly_reparameterized", 100)


def importance_sampling_checks() -> Iterator[Check]:
    """Yields estimates of p(x) on the plane and of a discrete mixture, and the effective sample size."""
    log_p, mean, covariance = _exact_posterior()
    factor = as_float32(np.tile(np.linalg.cholesky(covariance), (3, 1, 1)))
    posterior, x, likelihood = (
        FullCovarianceNormal(as_float32(mean), factor),
        as_float32(X_PLANE),
        _linear(as_float32(PLANE)),
    )
    at_posterior = lambda key: log_likelihood(key, x, posterior, _standard(2), likelihood, num_samples=4)
    yield Check("log_likelihood at p(z | x)", repeated(at_posterior), log_p, 15)
    from_prior = lambda key: log_likelihood_from_prior(key, x, _standard(2), likelihood, num_samples=64)
    yield Check("log_likelihood_from_prior, E[p / p(x)]", repeated(_ratio(from_prior, log_p)), np.ones(3), 15)

    weights, mean, scale = np.array([0.2, 0.5, 0.3]), np.array([-2.0, 0.0, 3.0]), np.array([0.5, 1.0, 0.5**0.5])
    points = np.array([-2.0, -1.0, 0.0, 1.5, 3.0])
    exact = special.logsumexp(stats.norm.logpdf(points[:, None], mean, scale), b=weights, axis=1)
    component = lambda z: distrax.Normal(as_float32(mean)[z], as_float32(scale)[z])
    prior, q = distrax.Categorical(probs=as_float32(weights)), distrax.Categorical(probs=jnp.ones(3) / 3)
    of_mixture = lambda key: log_likelihood(key, as_float32(points), q, prior, component, num_samples=4)
    yield Check("log_likelihood, discrete z, E[p / p(x)]", repeated(_ratio(of_mixture, exact)), np.ones(5))

    log_w = np.random.RandomState(0).randn(1_000, 4) * np.array([0.1, 1, 3, 10])
    w = np.exp(log_w)
    size = lambda draws: effective_sample_size(as_float32(log_w))[None]
    yield Check("effective_sample_size", size, w.sum(0) ** 2 / (w**2).sum(0))


def annealing_checks() -> Iterator[Check]:
    """Yields weights of both directions, whose means are 1 for any schedule and any mixing of the transitions."""
    log_p, mean, covariance = _exact_posterior()
    factor = as_float32(np.linalg.cholesky(covariance))
    options = {"schedule": sigmoidal_schedule(16), "step_size": 0.4, "num_leapfrog": 3}
    x, likelihood = as_float32(X_PLANE), _linear(as_float32(PLANE))

    def forward(draws: int) -> Array:
        key = jax.random.key(0)
        sampler = partial(annealed_importance_sampling, num_chains=draws, **options)
        return jnp.exp(sampler(key, x, _standard(2), likelihood).log_weights - log_p)

    def reverse(draws: int) -> Array:
        key, posterior_key = jax.random.split(jax.random.key(1))
        z = as_float32(mean) + jnp.matmul(
            jax.random.normal(posterior_key, (draws, 3, 2)), factor.T, precision="highest"
        )
        sampler = partial(reverse_annealed_importance_sampling, **options)
        return jnp.exp(log_p - sampler(key, x, z, _standard(2), likelihood).log_weights)

    for name, run in (("", forward), ("reverse_", reverse)):
        yield Check(f"{name}annealed_importance_sampling", jax.jit(run, static_argnums=0), np.ones(3), 15)


def _exact_posterior() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns log p(x) `[3]` on the plane, and the posterior's mean `[3, 2]` and covariance `[2, 2]`."""
    W, b, s2 = PLANE["W"], PLANE["b"], np.exp(PLANE["log_s2"])
    log_p = stats.multivariate_normal.logpdf(X_PLANE, b, W @ W.T + s2 * np.eye(3))
    covariance = np.linalg.inv(np.eye(2) + W.T @ W / s2)
    return log_p, (X_PLANE - b) @ W @ covariance / s2, covariance


def _linear(p: Parameters) -> Callable[[Array], distrax.Distribution]:
    """Returns z `[..., d]` -> N(W z + b, s2 I)."""

    def likelihood(z: Array) -> distrax.Distribution:
        mean = jnp.matmul(z, p["W"].T) + p["b"]
        return diagonal_normal(mean, jnp.broadcast_to(jnp.exp(p["log_s2"] / 2), mean.shape))

    return likelihood


def _standard(size: int) -> distrax.Distribution:
    return diagonal_normal(jnp.zeros(size), jnp.ones(size))


def _log_normal(x, mean, variance):
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))


def _x_line() -> Array:
    return jnp.full((1, 1), X_LINE, jnp.float32)


def _ratio(estimate: Callable[[PRNGKey], Array], log_p: Any) -> Callable[[PRNGKey], Array]:
    """Returns key -> estimate of p(x) / exact p(x), whose mean is 1."""
    return lambda key: jnp.exp(estimate(key) - log_p)
