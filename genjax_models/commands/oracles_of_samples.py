"""Exact values of adversarial losses, MMD, moments and densities, in closed form or by quadrature in float64."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from genjax_models.commands.checks import Check, as_float32, repeated
from genjax_models.estimators import adversarial, kernels, mmd, moments
from genjax_models.estimators.distributions import Bernoulli
from genjax_models.estimators.laplacian_pyramid import laplacian_pyramid, reconstruct
from genjax_models.estimators.logistic import DiscretisedLogistic
from genjax_models.evaluation.parzen_window import parzen_log_density
from genjax_models.types import Array, PRNGKey


def loss_checks() -> Iterator[Check]:
    """Yields the adversarial losses with their gradients, and the R1 penalty."""
    logits = np.linspace(-20, 20, 41)
    softplus, sigmoid = partial(np.logaddexp, 0), special.expit
    for loss, value, derivative in (
        (adversarial.minimax_generator_loss, -softplus(logits), -sigmoid(logits)),
        (adversarial.non_saturating_generator_loss, softplus(-logits), -sigmoid(-logits)),
        (adversarial.maximum_likelihood_generator_loss, -np.exp(logits), -np.exp(logits)),
        (adversarial.least_squares_generator_loss, (logits - 1) ** 2 / 2, logits - 1),
    ):
        value_and_gradient = lambda draws, loss=loss: jnp.stack(
            [loss(as_float32(logits)), jax.grad(lambda a: jnp.sum(loss(a)))(as_float32(logits))]
        )[None]
        yield Check(f"{loss.__name__}, and gradient", value_and_gradient, np.stack([value, derivative]))

    # p = N(0, 1) and q = N(1, 1): d = p / (p + q) has the logit 1/2 - x, and the loss is log 4 - 2 JSD(p, q).
    x, logit = np.linspace(-12, 13, 5_001), lambda x: 0.5 - x
    density = lambda mean: stats.norm.pdf(x, mean)
    exact = np.sum(density(0) * softplus(-logit(x)) + density(1) * softplus(logit(x))) * (x[1] - x[0])

    def best_loss(key: PRNGKey) -> Array:
        real, fake = jax.random.normal(key, (2, 1)) + jnp.array([[0.0], [1.0]])
        return adversarial.discriminator_loss(logit(real), logit(fake))[0]

    yield Check("discriminator_loss, log 4 - 2 JSD", repeated(best_loss), exact)

    random = np.random.RandomState(0)
    matrix, points = random.randn(16, 16) / 4, random.randn(32, 16)
    critic = lambda x: 0.5 * jnp.sum((x @ as_float32(matrix)) ** 2, axis=1)  # Its gradient at x is x A A'.
    penalty = lambda draws: adversarial.r1_penalty(critic, as_float32(points))[None]
    exact = 0.5 * np.sum((points @ matrix @ matrix.T) ** 2, axis=1)
    yield Check("r1_penalty", penalty, exact, 10 * exact.max())


def mmd_checks() -> Iterator[Check]:
    """Yields kernels and MMD far from the origin, where distances from an imprecise matrix product would be lost."""
    random = np.random.RandomState(0)
    x, y = ((100 + shift + random.randn(n, 8)).astype(np.float32) for shift, n in ((0, 300), (0.3, 200)))
    u, v = x.astype(np.float64), y.astype(np.float64)
    squares = lambda a, b: np.sum((a[:, None] - b) ** 2, axis=-1)
    d2 = squares(u, v)
    centre = lambda a: a - 100  # An offset would cost the polynomial kernel its digits.
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
    minus_gradient = lambda a, b: gram(a, b)[..., None] * (a[:, None] - b) / 4  # Of k(a, b) in a.
    gradient = 2 * (np.mean(minus_gradient(v, u), axis=1) - np.mean(minus_gradient(v, v), axis=1)) / m
    kernel = kernels.gaussian_kernel(2.0)
    for name, estimator, exact in (
        ("mmd_squared_biased", mmd.mmd_squared_biased, biased),
        ("mmd_squared_unbiased", mmd.mmd_squared_unbiased, unbiased),
    ):
        estimator = partial(estimator, kernel=kernel, block_size=128)
        yield Check(name, lambda draws, estimator=estimator: jax.jit(estimator)(x, y)[None], exact)
    gradient_in_y = lambda draws: jax.jit(jax.grad(partial(mmd.mmd_squared_biased, kernel=kernel, block_size=128), 1))(
        x, y
    )
    yield Check("mmd_squared_biased, 100 x gradient", lambda draws: 100 * gradient_in_y(draws)[None], 100 * gradient)


def moment_checks() -> Iterator[Check]:
    """Yields third moments, and the squared difference of three orders of moments."""
    random = np.random.RandomState(1)
    x, y = random.randn(300, 4), random.randn(200, 4) + 0.5
    third = lambda a: np.einsum("ni,nj,nk->ijk", a, a, a) / len(a)
    second = lambda a: a.T @ a / len(a)
    yield Check("raw_moments", lambda draws: moments.raw_moments(as_float32(x), 3)[2][None], third(x))
    yield Check(
        "central_moments", lambda draws: moments.central_moments(as_float32(x), 3)[2][None], third(x - x.mean(0))
    )
    exact = sum(np.sum((moment(x) - moment(y)) ** 2) for moment in (lambda a: a.mean(0), second, third))
    yield Check(
        "moment_difference", lambda draws: moments.moment_difference(as_float32(x), as_float32(y), 3)[None], exact
    )


def density_checks() -> Iterator[Check]:
    """Yields log densities with extreme arguments, the Parzen window, and the Laplacian pyramid's inverse."""
    logits = np.array([-1_000.0, -50, -1, 0, 1, 50, 1_000])
    exact = -np.logaddexp(0, [-logits, logits])
    log_density = lambda draws: jnp.stack([Bernoulli(as_float32(logits)).log_prob(x) for x in (1.0, 0.0)])[None]
    yield Check("Bernoulli", log_density, exact)

    levels, mean, scale = np.arange(256) / 255, 0.4, 0.05
    edges = (levels[:-1] + 0.5 / 255 - mean) / scale
    exact = np.log(np.diff(special.expit(edges), prepend=0, append=1))
    log_density = lambda draws: DiscretisedLogistic(*as_float32((mean, scale))).log_prob(as_float32(levels))[None]
    yield Check("DiscretisedLogistic", log_density, exact)

    random, bandwidths = np.random.RandomState(2), (0.1, 0.5)
    x, samples = random.rand(50, 20), random.rand(200, 20)
    d2 = np.sum((x[:, None] - samples) ** 2, axis=-1)
    exact = [special.logsumexp(-d2 / (2 * h**2), axis=1) - 10 * np.log(2 * np.pi * h**2) for h in bandwidths]
    log_density = lambda draws: parzen_log_density(as_float32(x), as_float32(samples), bandwidths)[None]
    yield Check("parzen_log_density", log_density, np.array(exact) - np.log(len(samples)))

    image = random.rand(2, 16, 16, 3)
    yield Check(
        "reconstruct of laplacian_pyramid",
        lambda draws: reconstruct(laplacian_pyramid(as_float32(image), 3))[None],
        image,
    )
