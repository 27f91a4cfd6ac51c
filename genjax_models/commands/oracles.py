"""What estimators must give, in closed form or by quadrature in float64: the table of `genjax_models.commands.check_device`.

Random estimates are judged by their mean over independent draws and its standard error; the others by rounding alone.
Derivatives of exact values are complex steps, f'(p) = Im f(p + ih) / h, exact to the last digit (Squire and Trapp,
1998).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import NamedTuple, get_args

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from genjax_models.estimators import adversarial, kernels, mmd, moments
from genjax_models.estimators.annealing import (
    annealed_importance_sampling,
    reverse_annealed_importance_sampling,
    sigmoidal_schedule,
)
from genjax_models.estimators.distributions import (
    Bernoulli,
    DiscretisedLogistic,
    FullCovarianceNormal,
    diagonal_normal,
)
from genjax_models.estimators.elbo import Form, elbo, kl_by_dimension
from genjax_models.estimators.importance import (
    Gradient,
    effective_sample_size,
    iwae_bound,
    log_likelihood,
    log_likelihood_from_prior,
)
from genjax_models.estimators.laplacian_pyramid import laplacian_pyramid, reconstruct
from genjax_models.evaluation.parzen_window import parzen_log_density
from genjax_models.types import Array, PRNGKey

Parameters = Mapping[str, np.ndarray]


class Check(NamedTuple):
    """An estimate and what it must be.

    `estimate(draws)` gives `draws` independent estimates `[draws, ...]` of `exact` `[...]`, or one, `[1, ...]`, where
    nothing is drawn. `products` is how far a relative error of 1 in every product of matrices may move it: 0 where the
    estimator computes none, or asks for float32 in those that it does.
    """

    name: str
    estimate: Callable[[int], Array]
    exact: np.ndarray
    products: float = 0.0


def checks() -> Iterator[Check]:
    """All of them; estimates are compiled when they are called."""
    for part in PARTS.values():
        yield from part()


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
DIRECTION = (lambda r: r / np.linalg.norm(r))(np.random.RandomState(0).randn(16))  # of the line, in 16 dimensions


def _elbo() -> Iterator[Check]:
    def exact(p: Parameters) -> np.ndarray:
        s2, v, mean = np.exp(p["log_s2"]), np.exp(p["log_v"]), p["W"] @ p["m"] + p["b"]
        reconstruction = np.sum(_log_normal(X_PLANE, mean, s2), axis=1) - np.sum(p["W"] ** 2 * v) / (2 * s2)
        return reconstruction - 0.5 * np.sum(v + p["m"] ** 2 - 1 - p["log_v"])

    def estimate(form: str, p: Parameters, key: PRNGKey) -> Array:
        mean, scale = (jnp.tile(value, (3, 1)) for value in (p["m"], jnp.exp(p["log_v"] / 2)))
        return elbo(key, _float32(X_PLANE), diagonal_normal(mean, scale), _standard(2), _linear(p), form=form)

    def with_slopes(form: str, key: PRNGKey):
        bounds, pull = jax.vjp(lambda p: estimate(form, p, key), _float32(PLANE))
        return bounds, pull(jnp.array([1.0, 0.0, 0.0]))

    both = _numbers((exact(PLANE), _slopes(lambda p: exact(p)[0], PLANE)))
    for form in get_args(Form):
        yield Check(f"elbo, {form} form, and gradient", _repeated(partial(with_slopes, form)), both, 30)

    mean, scale = np.array([[0.0, 0.5, -1.0, 2.0]]), np.array([[1.0, 0.5, 2**0.5, 0.1]])
    kl = lambda draws: kl_by_dimension(diagonal_normal(*_float32((mean, scale))), _standard(4))
    yield Check("kl_by_dimension", kl, 0.5 * (scale**2 + mean**2 - 1 - 2 * np.log(scale))[0])


@cache
def _iwae_exactly(k: int) -> tuple[float, dict[str, np.ndarray]]:
    """L_k on the line, and its slopes.

    E log sum_i w_i = int exp(-e^u) - (E exp(-e^u w))^k du, which is Frullani's integral; -log k makes it L_k.
    """
    nodes, u = np.linspace(-10, 10, 801), np.arange(-35, 30, 0.02)

    def bound(p: Parameters) -> float:
        z, s2, v = p["m"] + np.exp(p["log_v"] / 2) * nodes, np.exp(p["log_s2"]), np.exp(p["log_v"])
        log_w = _log_normal(X_LINE, p["w"] * z + p["b"], s2) + _log_normal(z, 0, 1) - _log_normal(z, p["m"], v)
        laplace = np.exp(-np.exp(u)[:, None] * np.exp(log_w)) @ special.softmax(-(nodes**2) / 2)
        return 0.02 * np.sum(np.exp(-np.exp(u)) - laplace**k) - math.log(k)

    return bound(LINE), _slopes(bound, LINE)


def _iwae() -> Iterator[Check]:
    """L_5 on a line, and the same line along a random direction of 16 dimensions, where q has a full covariance."""
    k = 5
    bound, slopes = _iwae_exactly(k)

    def on_the_line(gradient: str, p: Parameters, key: PRNGKey, chunk: int | None = None) -> Array:
        q = diagonal_normal(p["m"][None, None], jnp.exp(p["log_v"] / 2)[None, None])
        scale = jnp.exp(p["log_s2"] / 2)
        likelihood = lambda z: diagonal_normal(p["w"] * z + p["b"], jnp.broadcast_to(scale, z.shape))
        options = {"num_samples": k, "gradient": gradient, "chunk": chunk}
        return iwae_bound(key, _x_line(), q, _standard(1), likelihood, **options)[0]

    def along_a_direction(gradient: str, p: Parameters, key: PRNGKey) -> Array:
        r = _float32(DIRECTION)
        root = jnp.eye(len(r)) + (jnp.exp(p["log_v"] / 2) - 1) * jnp.outer(r, r)  # of q's covariance
        factor = jnp.linalg.cholesky(jnp.matmul(root, root, precision="highest"))
        q = FullCovarianceNormal((p["m"] * r)[None], factor[None])
        likelihood = _linear({**p, "W": p["w"] * r[None], "b": p["b"][None]})
        return iwae_bound(key, _x_line(), q, _standard(len(r)), likelihood, num_samples=k, gradient=gradient)[0]

    def check(name: str, estimate: Callable, gradient: str, products: float) -> Check:
        biased = ("m", "log_v") if gradient == "sticking_the_landing" else ()
        kept = sorted(set(LINE) - set(biased))

        def with_slopes(key: PRNGKey):
            value, slopes = jax.value_and_grad(partial(estimate, gradient))(_float32(LINE), key)
            return value, [slopes[name] for name in kept]

        both = _numbers((bound, [slopes[name] for name in kept]))
        return Check(f"iwae_bound, {name}, and gradient", _repeated(with_slopes), both, products)

    for gradient in get_args(Gradient):
        yield check(gradient, on_the_line, gradient, 0)
    yield check("in chunks", partial(on_the_line, chunk=2), "doubly_reparameterized", 0)
    yield check("full covariance", along_a_direction, "standard", 100)
    yield check("full covariance, doubly", along_a_direction, "doubly_reparameterized", 100)


def _importance_sampling() -> Iterator[Check]:
    log_p, mean, covariance = _plane_exactly()
    factor = _float32(np.tile(np.linalg.cholesky(covariance), (3, 1, 1)))
    posterior, x, likelihood = FullCovarianceNormal(_float32(mean), factor), _float32(X_PLANE), _linear(_float32(PLANE))
    at_posterior = lambda key: log_likelihood(key, x, posterior, _standard(2), likelihood, num_samples=4)
    yield Check("log_likelihood at p(z | x)", _repeated(at_posterior), log_p, 15)
    from_prior = lambda key: log_likelihood_from_prior(key, x, _standard(2), likelihood, num_samples=64)
    yield Check("log_likelihood_from_prior, E[p / p(x)]", _repeated(_ratio(from_prior, log_p)), np.ones(3), 15)

    share, mean, scale = np.array([0.2, 0.5, 0.3]), np.array([-2.0, 0.0, 3.0]), np.array([0.5, 1.0, 0.5**0.5])
    points = np.array([-2.0, -1.0, 0.0, 1.5, 3.0])
    exact = special.logsumexp(stats.norm.logpdf(points[:, None], mean, scale), b=share, axis=1)
    component = lambda z: distrax.Normal(_float32(mean)[z], _float32(scale)[z])
    prior, q = distrax.Categorical(probs=_float32(share)), distrax.Categorical(probs=jnp.ones(3) / 3)
    of_mixture = lambda key: log_likelihood(key, _float32(points), q, prior, component, num_samples=4)
    yield Check("log_likelihood, discrete z, E[p / p(x)]", _repeated(_ratio(of_mixture, exact)), np.ones(5))

    log_w = np.random.RandomState(0).randn(1_000, 4) * np.array([0.1, 1, 3, 10])
    w = np.exp(log_w)
    size = lambda draws: effective_sample_size(_float32(log_w))[None]
    yield Check("effective_sample_size", size, w.sum(0) ** 2 / (w**2).sum(0))


def _annealing() -> Iterator[Check]:
    """Weights are unbiased both ways, whatever the schedule and however badly the transitions mix."""
    log_p, mean, covariance = _plane_exactly()
    factor = _float32(np.linalg.cholesky(covariance))
    options = {"schedule": sigmoidal_schedule(16), "step_size": 0.4, "num_leapfrog": 3}
    x, likelihood = _float32(X_PLANE), _linear(_float32(PLANE))

    def forward(draws: int) -> Array:
        key = jax.random.key(0)
        run = partial(annealed_importance_sampling, num_chains=draws, **options)
        return jnp.exp(run(key, x, _standard(2), likelihood).log_weights - log_p)

    def reverse(draws: int) -> Array:
        key, posterior_key = jax.random.split(jax.random.key(1))
        z = _float32(mean) + jnp.matmul(jax.random.normal(posterior_key, (draws, 3, 2)), factor.T, precision="highest")
        run = partial(reverse_annealed_importance_sampling, **options)
        return jnp.exp(log_p - run(key, x, z, _standard(2), likelihood).log_weights)

    for name, run in (("", forward), ("reverse_", reverse)):
        yield Check(f"{name}annealed_importance_sampling", jax.jit(run, static_argnums=0), np.ones(3), 15)


def _payoffs() -> Iterator[Check]:
    logits = np.linspace(-20, 20, 41)
    softplus, sigmoid = partial(np.logaddexp, 0), special.expit
    for loss, value, slope in (
        (adversarial.minimax_generator_loss, -softplus(logits), -sigmoid(logits)),
        (adversarial.non_saturating_generator_loss, softplus(-logits), -sigmoid(-logits)),
        (adversarial.maximum_likelihood_generator_loss, -np.exp(logits), -np.exp(logits)),
        (adversarial.least_squares_generator_loss, (logits - 1) ** 2 / 2, logits - 1),
    ):
        both = lambda draws, loss=loss: jnp.stack(
            [loss(_float32(logits)), jax.grad(lambda a: jnp.sum(loss(a)))(_float32(logits))]
        )[None]
        yield Check(f"{loss.__name__}, and gradient", both, np.stack([value, slope]))

    # p = N(0, 1) and q = N(1, 1): d = p / (p + q) has the logit 1/2 - x, and the loss is log 4 - 2 JSD(p, q).
    x, logit = np.linspace(-12, 13, 5_001), lambda x: 0.5 - x
    density = lambda mean: stats.norm.pdf(x, mean)
    exact = np.sum(density(0) * softplus(-logit(x)) + density(1) * softplus(logit(x))) * (x[1] - x[0])

    def at_the_best(key: PRNGKey) -> Array:
        real, fake = jax.random.normal(key, (2, 1)) + jnp.array([[0.0], [1.0]])
        return adversarial.discriminator_loss(logit(real), logit(fake))[0]

    yield Check("discriminator_loss, log 4 - 2 JSD", _repeated(at_the_best), exact)

    random = np.random.RandomState(0)
    matrix, points = random.randn(16, 16) / 4, random.randn(32, 16)
    critic = lambda x: 0.5 * jnp.sum((x @ _float32(matrix)) ** 2, axis=1)  # its slope at x is x A A'
    penalty = lambda draws: adversarial.r1_penalty(critic, _float32(points))[None]
    exact = 0.5 * np.sum((points @ matrix @ matrix.T) ** 2, axis=1)
    yield Check("r1_penalty", penalty, exact, 10 * exact.max())


def _mmd() -> Iterator[Check]:
    """Far from the origin, where a product of matrices that keeps few digits would leave no distance."""
    random = np.random.RandomState(0)
    x, y = (np.float32(100 + shift + random.randn(n, 8)) for shift, n in ((0, 300), (0.3, 200)))
    u, v = x.astype(np.float64), y.astype(np.float64)
    squares = lambda a, b: np.sum((a[:, None] - b) ** 2, axis=-1)
    d2 = squares(u, v)
    centre = lambda a: a - 100  # of a polynomial, whose digits an offset would eat
    for name, kernel, exact in (
        ("gaussian_kernel", kernels.gaussian_kernel([1.0, 2.0, 4.0]), sum(np.exp(-d2 / (2 * s**2)) for s in (1, 2, 4))),
        ("laplace_kernel", kernels.laplace_kernel(2.0), np.exp(-np.sqrt(d2) / 2)),
        ("rational_quadratic_kernel", kernels.rational_quadratic_kernel(2.0, 0.5), (1 + d2 / 4) ** -0.5),
        (
            "polynomial_kernel",
            kernels.kernel_on_features(kernels.polynomial_kernel(3, 1 / 8), centre),
            (centre(u) @ centre(v).T / 8 + 1) ** 3,
        ),
    ):
        yield Check(name, lambda draws, kernel=kernel: kernel(jnp.asarray(x), jnp.asarray(y))[None], exact)

    gram = lambda a, b: np.exp(-squares(a, b) / 8)
    means = [np.mean(gram(u, u)), np.mean(gram(v, v)), np.mean(gram(u, v))]
    n, m = len(x), len(y)
    biased = means[0] + means[1] - 2 * means[2]
    unbiased = (n * means[0] - 1) / (n - 1) + (m * means[1] - 1) / (m - 1) - 2 * means[2]
    pull = lambda a, b: gram(a, b)[..., None] * (a[:, None] - b) / 4  # minus the slope of k(a, b) in a
    slope = 2 * (np.mean(pull(v, u), axis=1) - np.mean(pull(v, v), axis=1)) / m
    kernel = kernels.gaussian_kernel(2.0)
    for name, estimator, exact in (
        ("mmd_squared_biased", mmd.mmd_squared_biased, biased),
        ("mmd_squared_unbiased", mmd.mmd_squared_unbiased, unbiased),
    ):
        estimator = partial(estimator, kernel=kernel, block_size=128)
        yield Check(name, lambda draws, estimator=estimator: jax.jit(estimator)(x, y)[None], exact)
    in_y = lambda draws: jax.jit(jax.grad(partial(mmd.mmd_squared_biased, kernel=kernel, block_size=128), 1))(x, y)
    yield Check("mmd_squared_biased, 100 x gradient", lambda draws: 100 * in_y(draws)[None], 100 * slope)


def _moments() -> Iterator[Check]:
    random = np.random.RandomState(1)
    x, y = random.randn(300, 4), random.randn(200, 4) + 0.5
    third = lambda a: np.einsum("ni,nj,nk->ijk", a, a, a) / len(a)
    second = lambda a: a.T @ a / len(a)
    yield Check("raw_moments", lambda draws: moments.raw_moments(_float32(x), 3)[2][None], third(x))
    yield Check("central_moments", lambda draws: moments.central_moments(_float32(x), 3)[2][None], third(x - x.mean(0)))
    exact = sum(np.sum((of(x) - of(y)) ** 2) for of in (lambda a: a.mean(0), second, third))
    yield Check("moment_difference", lambda draws: moments.moment_difference(_float32(x), _float32(y), 3)[None], exact)


def _densities() -> Iterator[Check]:
    logits = np.array([-1_000.0, -50, -1, 0, 1, 50, 1_000])
    exact = -np.logaddexp(0, [-logits, logits])
    of_x = lambda draws: jnp.stack([Bernoulli(_float32(logits)).log_prob(x) for x in (1.0, 0.0)])[None]
    yield Check("Bernoulli", of_x, exact)

    levels, mean, scale = np.arange(256) / 255, 0.4, 0.05
    edges = (levels[:-1] + 0.5 / 255 - mean) / scale
    exact = np.log(np.diff(special.expit(edges), prepend=0, append=1))
    of_x = lambda draws: DiscretisedLogistic(*_float32((mean, scale))).log_prob(_float32(levels))[None]
    yield Check("DiscretisedLogistic", of_x, exact)

    random, bandwidths = np.random.RandomState(2), (0.1, 0.5)
    x, samples = random.rand(50, 20), random.rand(200, 20)
    d2 = np.sum((x[:, None] - samples) ** 2, axis=-1)
    exact = [special.logsumexp(-d2 / (2 * h**2), axis=1) - 10 * np.log(2 * np.pi * h**2) for h in bandwidths]
    of_x = lambda draws: parzen_log_density(_float32(x), _float32(samples), bandwidths)[None]
    yield Check("parzen_log_density", of_x, np.array(exact) - np.log(len(samples)))

    image = random.rand(2, 16, 16, 3)
    yield Check(
        "reconstruct of laplacian_pyramid",
        lambda draws: reconstruct(laplacian_pyramid(_float32(image), 3))[None],
        image,
    )


def _plane_exactly() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log p(x) `[3]`, and the posterior's mean `[3, 2]` and covariance `[2, 2]`."""
    W, b, s2 = PLANE["W"], PLANE["b"], np.exp(PLANE["log_s2"])
    log_p = stats.multivariate_normal.logpdf(X_PLANE, b, W @ W.T + s2 * np.eye(3))
    covariance = np.linalg.inv(np.eye(2) + W.T @ W / s2)
    return log_p, (X_PLANE - b) @ W @ covariance / s2, covariance


def _linear(p: Parameters) -> Callable[[Array], distrax.Distribution]:
    """z `[..., d]` -> N(W z + b, s2 I)."""

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


def _float32(tree):
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)


def _ratio(estimate: Callable[[PRNGKey], Array], log_p: np.ndarray) -> Callable[[PRNGKey], Array]:
    return lambda key: jnp.exp(estimate(key) - log_p)


def _repeated(estimate: Callable[[PRNGKey], Array]) -> Callable[[int], Array]:
    """`estimate(key)`, a pytree, of many keys: `[draws, numbers]`."""

    def one(key: PRNGKey) -> Array:
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(estimate(key))])

    def run(draws: int) -> Array:
        return jax.lax.map(one, jax.random.split(jax.random.key(0), draws), batch_size=min(draws, 2_000))

    return jax.jit(run, static_argnums=0)


def _slopes(function: Callable[[Parameters], np.ndarray], p: Parameters) -> dict[str, np.ndarray]:
    """The derivative of a number in every parameter."""

    def slope(name: str, index: tuple[int, ...]) -> float:
        nudged = np.array(p[name], complex)
        nudged[index] += 1e-30j
        return np.imag(function({**p, name: nudged})) / 1e-30

    return {
        name: np.reshape([slope(name, index) for index in np.ndindex(np.shape(p[name]))], np.shape(p[name]))
        for name in p
    }


def _numbers(tree) -> np.ndarray:
    """All of a pytree's in one row, as `_repeated` has them."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


PARTS = {
    "elbo": _elbo,
    "iwae": _iwae,
    "importance sampling": _importance_sampling,
    "annealing": _annealing,
    "payoffs": _payoffs,
    "mmd": _mmd,
    "moments": _moments,
    "densities": _densities,
}
