"""Distributions that distrax lacks, and faster or safer versions of some that it has.

Gaussians over vectors are always `Vector(distrax.Normal(mean, scale))`: `distrax.MultivariateNormal*` cannot leave jit
or vmap, and `stop_gradient` does not stop its scale.
"""

import math
from collections.abc import Callable, Sequence

import chex
import distrax
import jax
import jax.numpy as jnp
from jax.scipy.special import logit
from tensorflow_probability.substrates import jax as tfp

from genjax_models.estimators.autoregressive import Autoregressive as Autoregressive
from genjax_models.estimators.checks import check_floating, check_prepared
from genjax_models.types import Array, PRNGKey, Shape

_LOG_2_PI = 1.8378770664093453
_INSIDE = 1e-3  # the least distance of a mean from 0 and 1
_MAX_WRITTEN_OUT = 4  # numbers of a vector whose density is written out as a sum


def same_rank(*arrays: Array) -> list[Array]:
    """Returns the arrays with leading axes of one, so that all have one rank (see `jax_numpy_rank_promotion`)."""
    rank = max(map(jnp.ndim, arrays))
    return [jnp.reshape(a, (1,) * (rank - jnp.ndim(a)) + jnp.shape(a)) for a in arrays]


class Vector(distrax.Independent):
    """Vectors of independent numbers, `[..., d]`.

    The log-density of a Gaussian of at most 4 numbers is written out as a sum. With XLA's reductions of arrays
    `[..., 2]`, the densities of a mixture and their gradient take more than five times as long on a CPU.
    """

    def __init__(self, each: distrax.Distribution):
        """Takes the distribution of the numbers, with batch shape `[..., d]`."""
        super().__init__(each, 1)

    def log_prob(self, value: Array) -> Array:
        """Returns the log-density of `value` `[..., d]`, `[...]` in nats."""
        check_floating("value", value)
        each, size = self.distribution, self.event_shape[0]
        if isinstance(each, distrax.Normal):
            loc, scale, value = same_rank(each.loc, each.scale, value)
            each = distrax.Normal(loc, scale)
        if size > _MAX_WRITTEN_OUT or not isinstance(each, distrax.Normal):
            return jnp.sum(each.log_prob(value), axis=-1)
        chex.assert_axis_dimension(value, -1, size)
        return sum(distrax.Normal(each.loc[..., i], each.scale[..., i]).log_prob(value[..., i]) for i in range(size))


def diagonal_normal(mean: Array, scale: Array) -> Vector:
    """Returns N(mean, diag(scale^2)) over vectors; `mean` and `scale` (standard deviations) are `[..., d]`."""
    chex.assert_equal_shape([mean, scale])
    return Vector(distrax.Normal(mean, scale))


class Shaped(distrax.Distribution):
    """A distribution over vectors, reshaped to a distribution over arrays.

    Likelihoods of images compute with vectors. In a compiled step on a CPU, a sum over (28, 28, 1) takes six times as
    long as a sum over 784.
    """

    def __init__(self, vectors: distrax.Distribution, shape: Shape, support: tuple[float, float] | None = None):
        """Takes a distribution over vectors with event shape `(prod(shape),)`, and the event shape of the arrays.

        `support` is the lowest and highest value of an event; None if unbounded.
        """
        super().__init__()
        if vectors.event_shape != (math.prod(shape),):
            raise ValueError(f"vectors of {vectors.event_shape} numbers cannot be reshaped to {tuple(shape)}")
        self.vectors = vectors
        self.shape = tuple(shape)
        self.support = support

    @property
    def event_shape(self) -> Shape:
        """Returns the shape of one array."""
        return self.shape

    def log_prob(self, value: Array) -> Array:
        """Returns the log-density of `value` `[..., *shape]`, `[...]` in nats.

        Raises:
          ValueError: `value` is not floating point; on the host, a value is not finite or not in the support.
        """
        check_prepared("value", value, self.support)
        with jax.numpy_rank_promotion("allow"):  # likelihoods promote ranks, those of distrax too
            return self.vectors.log_prob(as_vectors(value, self.shape))

    def mean(self) -> Array:
        """Returns the mean, `[..., *shape]`."""
        return self._shaped(self.vectors.mean())

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        with jax.numpy_rank_promotion("allow"):
            return self._shaped(self.vectors._sample_n(key, n))

    def _shaped(self, vectors: Array) -> Array:
        return vectors.reshape(*vectors.shape[:-1], *self.shape)


def log_prob_of_each(distribution: distrax.Distribution, value: Array) -> Array:
    """Returns the log-density of each of the independent numbers of `value` `[..., *shape]`, of its shape, in nats.

    Raises:
      ValueError: the numbers of the distribution are not independent.
    """
    check_floating("value", value)
    if isinstance(distribution, Shaped) and isinstance(distribution.vectors, distrax.Independent):
        with jax.numpy_rank_promotion("allow"):
            each = log_prob_of_each(distribution.vectors, as_vectors(value, distribution.shape))
        return each.reshape(*each.shape[:-1], *distribution.shape)
    if isinstance(distribution, distrax.Independent) and distribution.distribution.event_shape == ():
        return distribution.distribution.log_prob(value)
    raise ValueError(f"a log_prob of each number needs independent numbers, got {type(distribution).__name__}")


def logits_of_mean(mean: Array) -> Array:
    """Returns the logits `[size]` of a mean of data in [0, 1]. They are finite: -7 where a pixel is always off."""
    return logit(jnp.clip(mean, _INSIDE, 1 - _INSIDE)).ravel()


def as_vectors(x: Array, shape: Shape) -> Array:
    """Reshapes arrays `[..., *shape]` to vectors `[..., prod(shape)]`."""
    chex.assert_shape(x, (..., *shape))
    return x.reshape(*x.shape[: x.ndim - len(shape)], math.prod(shape))


class FullCovarianceNormal(distrax.Distribution):
    """N(mean, L L') over vectors; L is lower triangular with a positive diagonal.

    Reparameterized samples are mean + L eps. `kl_divergence` has a closed form to a diagonal Gaussian.
    """

    def __init__(self, mean: Array, factor: Array):
        """Takes the mean `[..., d]` and the factor L `[..., d, d]`; the part above the diagonal is ignored."""
        super().__init__()
        chex.assert_shape(factor, (..., mean.shape[-1], mean.shape[-1]))
        self.mean_ = mean
        self.factor = jnp.tril(factor)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Returns `(d,)`."""
        return self.mean_.shape[-1:]

    def mean(self) -> Array:
        """Returns the mean, `[..., d]`."""
        return self.mean_

    def stddev(self) -> Array:
        """Returns the standard deviation of each number, `[..., d]`."""
        return jnp.linalg.norm(self.factor, axis=-1)

    def covariance(self) -> Array:
        """Returns L L', `[..., d, d]`."""
        return self.factor @ jnp.swapaxes(self.factor, -1, -2)

    def log_prob(self, value: Array) -> Array:
        """Returns the log-density of `value` `[..., d]`, `[...]` in nats."""
        check_floating("value", value)
        chex.assert_axis_dimension(value, -1, self.mean_.shape[-1])
        value, mean = same_rank(value, self.mean_)
        centred = jnp.broadcast_arrays(value - mean, mean)[0]
        *lead, size = centred.shape
        factor_lead = lead[len(lead) - (self.mean_.ndim - 1) :]
        # One solve takes all values of a factor as columns: one solve per value takes many times as long.
        columns = jnp.moveaxis(centred.reshape(-1, *factor_lead, size), 0, -1)
        factor = jnp.broadcast_to(self.factor, (*factor_lead, size, size))
        eps = jax.scipy.linalg.solve_triangular(factor, columns, lower=True)
        square = jnp.moveaxis(jnp.sum(eps**2, axis=-2), -1, 0).reshape(lead)
        square, log_determinant = same_rank(square, self._log_determinant())
        return -0.5 * (square + size * _LOG_2_PI) - log_determinant

    def entropy(self) -> Array:
        """Returns the entropy, `[...]` in nats."""
        return 0.5 * self.mean_.shape[-1] * (1 + _LOG_2_PI) + self._log_determinant()

    def _log_determinant(self) -> Array:
        return jnp.sum(jnp.log(jnp.diagonal(self.factor, axis1=-2, axis2=-1)), axis=-1)

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        eps = jax.random.normal(key, (n, *self.mean_.shape), self.mean_.dtype)
        return self.mean_[None] + jnp.einsum("...ij,...j->...i", self.factor, eps)


@tfp.distributions.RegisterKL(FullCovarianceNormal, distrax.Independent)
def _kl_full_covariance_to_diagonal(q: FullCovarianceNormal, p: distrax.Independent, name: str | None = None) -> Array:
    """Returns sum_i [log s_i - log L_ii + (|L_i|^2 + (m_i - mu_i)^2) / (2 s_i^2) - 1/2] for N(m, L L'), N(mu, s^2)."""
    if not isinstance(p.distribution, distrax.Normal):
        raise NotImplementedError(f"no closed KL from a full-covariance Gaussian to {p.distribution.name}")
    if p.event_shape != q.event_shape:
        raise ValueError(f"a KL needs q and p of the same event shape, got {q.event_shape} and {p.event_shape}")
    mean, scale, _ = same_rank(p.distribution.loc, p.distribution.scale, q.mean_)
    second_moment = jnp.sum(q.factor**2, axis=-1) + (q.mean_ - mean) ** 2
    return jnp.sum(jnp.log(scale) + 0.5 * second_moment / scale**2 - 0.5, axis=-1) - q._log_determinant()


class Chain(distrax.Distribution):
    """A Markov chain of vectors, p(z_1) p(z_2 | z_1) ... p(z_L | z_{L-1}), over tuples (z_1, ..., z_L)."""

    def __init__(
        self,
        first: distrax.Distribution,
        conditionals: Sequence[Callable[[Array], distrax.Distribution]],
        *,
        downwards: bool = False,
    ):
        """Takes the distribution of the first vector, and maps from each vector to the distribution of the next.

        With `downwards`, the chain starts at the end of the tuple: p(z_L) p(z_{L-1} | z_L) ... p(z_1 | z_2).
        """
        super().__init__()
        self.first = first
        self.conditionals = tuple(conditionals)
        self.downwards = downwards

    @property
    def batch_shape(self) -> Shape:
        """Returns the batch shape of the first vector."""
        return self.first.batch_shape

    @property
    def event_shape(self) -> tuple[Shape, ...]:
        """Returns `((d_1,), ..., (d_L,))`."""
        z = jax.eval_shape(lambda: self.sample(seed=jax.random.key(0)))
        return tuple(vectors.shape[-1:] for vectors in z)

    def log_prob(self, value: tuple[Array, ...]) -> Array:
        """Returns the log-density of vectors `[..., d_l]`, `[...]` in nats."""
        z = self._ordered(value)
        later = [conditional(previous) for conditional, previous in zip(self.conditionals, z, strict=False)]
        return sum((p.log_prob(vectors) for p, vectors in zip(later, z[1:], strict=True)), self.first.log_prob(z[0]))

    def _sample_n(self, key: PRNGKey, n: int) -> tuple[Array, ...]:
        keys = jax.random.split(key, 1 + len(self.conditionals))
        z = [self.first.sample(seed=keys[0], sample_shape=n)]
        for conditional, key in zip(self.conditionals, keys[1:], strict=True):
            z.append(conditional(z[-1]).sample(seed=key))
        return self._ordered(tuple(z))

    def _ordered(self, z: tuple[Array, ...]) -> tuple[Array, ...]:
        return z[::-1] if self.downwards else z


class Bernoulli(distrax.Bernoulli):
    """`distrax.Bernoulli` of logits l, with the log-probability x l - softplus(l), which is cheaper to compute.

    For x in (0, 1) the value is the cross-entropy, which is not a log-probability: binarise the data, or say that they
    are not binary.
    """

    def __init__(self, logits: Array):
        """Takes logits of any shape."""
        super().__init__(logits=logits, dtype=logits.dtype)

    def log_prob(self, value: Array) -> Array:
        """Returns log-probabilities in nats, elementwise: finite, with an absolute error of about 1e-7 |logit|."""
        check_floating("value", value)
        return value * self.logits - _softplus(self.logits)


@jax.custom_jvp
def _softplus(x: Array) -> Array:
    """Returns log(1 + exp(x)), with one exponential for value and derivative.

    It takes half the time of `jax.nn.softplus` on a CPU.
    """
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@_softplus.defjvp
def _softplus_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    exponential = jnp.exp(-jnp.abs(x))
    derivative = jnp.where(x >= 0, 1.0, exponential) / (1 + exponential)
    return jnp.maximum(x, 0) + jnp.log1p(exponential), derivative * tangent


def draws_with_log_prob(distribution: distrax.Distribution) -> bool:
    """Returns whether the distribution defines its own `sample_and_log_prob`: one evaluation instead of two.

    Distributions of distrax gain nothing from it: compiled code merges the two calls, and rounding does not change.
    """
    methods = (getattr(type(distribution), name, None) for name in ("sample_and_log_prob", "_sample_n_and_log_prob"))
    return any(method is not None and not method.__module__.startswith("distrax.") for method in methods)
