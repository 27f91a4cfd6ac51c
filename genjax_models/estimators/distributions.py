"""Distributions that distrax lacks, or has at a price.

Gaussians over vectors are `Vector(distrax.Normal(mean, scale))` throughout, since `distrax.MultivariateNormal*` cannot
leave jit or vmap and escapes `stop_gradient`.
"""

import math
from collections.abc import Callable, Sequence

import chex
import distrax
import jax
import jax.numpy as jnp
from tensorflow_probability.substrates import jax as tfp

from genjax_models.types import Array, PRNGKey, Shape

_LOG_2_PI = 1.8378770664093453
_FEW = 4


class Vector(distrax.Independent):
    """Independent numbers `[..., d]` as vectors.

    The density of a Gaussian of few numbers is written out as a sum over them: with XLA's reductions of arrays
    `[..., 2]` a mixture's densities and their gradient take more than five times as long on a CPU.
    """

    def __init__(self, each: distrax.Distribution):
        """`each` has the batch shape `[..., d]`."""
        super().__init__(each, 1)

    def log_prob(self, value: Array) -> Array:
        """Nats, `[...]`, for `value` `[..., d]`."""
        each, size = self.distribution, self.event_shape[0]
        if size > _FEW or not isinstance(each, distrax.Normal):
            return super().log_prob(value)
        chex.assert_axis_dimension(value, -1, size)
        return sum(distrax.Normal(each.loc[..., i], each.scale[..., i]).log_prob(value[..., i]) for i in range(size))


def diagonal_normal(mean: Array, scale: Array) -> Vector:
    """N(mean, diag(scale^2)) over vectors: `mean` and `scale` `[..., d]`; `scale` is a standard deviation."""
    chex.assert_equal_shape([mean, scale])
    return Vector(distrax.Normal(mean, scale))


class Shaped(distrax.Distribution):
    """A distribution over vectors, read as one over arrays of another shape.

    Images are likelihoods over vectors underneath: a sum over (28, 28, 1) takes six times as long as one over 784 in a
    compiled step on a CPU.
    """

    def __init__(self, vectors: distrax.Distribution, shape: Shape):
        """`vectors` has the event shape `(prod(shape),)`."""
        super().__init__()
        if vectors.event_shape != (math.prod(shape),):
            raise ValueError(
                f"vectors of {vectors.event_shape} numbers cannot be read as arrays of shape {tuple(shape)}"
            )
        self.vectors = vectors
        self.shape = tuple(shape)

    @property
    def event_shape(self) -> Shape:
        """`shape`."""
        return self.shape

    def log_prob(self, value: Array) -> Array:
        """Nats, `[...]`, for `value` `[..., *shape]`."""
        return self.vectors.log_prob(flat(value, self.shape))

    def mean(self) -> Array:
        """`[..., *shape]`."""
        return self._shaped(self.vectors.mean())

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        return self._shaped(self.vectors._sample_n(key, n))

    def _shaped(self, vectors: Array) -> Array:
        return vectors.reshape(*vectors.shape[:-1], *self.shape)


def flat(x: Array, shape: Shape) -> Array:
    """`[..., *shape]` -> `[..., prod(shape)]`."""
    chex.assert_shape(x, (..., *shape))
    return x.reshape(*x.shape[: x.ndim - len(shape)], math.prod(shape))


class FullCovarianceNormal(distrax.Distribution):
    """N(mean, L L') over vectors, with L lower triangular and a positive diagonal.

    Its KL to a diagonal Gaussian is closed (and registered, so that `kl_divergence` finds it), reparameterized samples
    are mean + L eps.
    """

    def __init__(self, mean: Array, factor: Array):
        """`mean` `[..., d]`, `factor` L `[..., d, d]`, of which the part above the diagonal is not read."""
        super().__init__()
        chex.assert_shape(factor, (..., mean.shape[-1], mean.shape[-1]))
        self.mean_ = mean
        self.factor = jnp.tril(factor)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """`(d,)`."""
        return self.mean_.shape[-1:]

    def mean(self) -> Array:
        """`[..., d]`."""
        return self.mean_

    def covariance(self) -> Array:
        """`[..., d, d]`."""
        return self.factor @ jnp.swapaxes(self.factor, -1, -2)

    def log_prob(self, value: Array) -> Array:
        """Nats, `[...]`."""
        chex.assert_axis_dimension(value, -1, self.mean_.shape[-1])
        centred = jnp.broadcast_arrays(value - self.mean_, self.mean_)[0]
        *lead, size = centred.shape
        of_factor = lead[len(lead) - (self.mean_.ndim - 1) :]
        # All values of one factor are columns of one solve: a solve for each of them takes many times as long.
        columns = jnp.moveaxis(centred.reshape(-1, *of_factor, size), 0, -1)
        factor = jnp.broadcast_to(self.factor, (*of_factor, size, size))
        eps = jax.scipy.linalg.solve_triangular(factor, columns, lower=True)
        square = jnp.moveaxis(jnp.sum(eps**2, axis=-2), -1, 0).reshape(lead)
        return -0.5 * (square + size * _LOG_2_PI) - self._log_determinant()

    def entropy(self) -> Array:
        """Nats, `[...]`."""
        return 0.5 * self.mean_.shape[-1] * (1 + _LOG_2_PI) + self._log_determinant()

    def _log_determinant(self) -> Array:
        return jnp.sum(jnp.log(jnp.diagonal(self.factor, axis1=-2, axis2=-1)), axis=-1)

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        eps = jax.random.normal(key, (n, *self.mean_.shape), self.mean_.dtype)
        return self.mean_ + jnp.einsum("...ij,...j->...i", self.factor, eps)


@tfp.distributions.RegisterKL(FullCovarianceNormal, distrax.Independent)
def _kl_full_covariance_to_diagonal(q: FullCovarianceNormal, p: distrax.Independent, name: str | None = None) -> Array:
    """sum_i [log s_i - log L_ii + (|L_i|^2 + (m_i - mu_i)^2) / (2 s_i^2) - 1/2]; q is N(m, L L'), p N(mu, s^2)."""
    if not isinstance(p.distribution, distrax.Normal):
        raise NotImplementedError(f"no closed KL from a full-covariance Gaussian to {p.distribution.name}")
    if p.event_shape != q.event_shape:
        raise ValueError(f"KL between events of shapes {q.event_shape} and {p.event_shape}")
    mean, scale = p.distribution.loc, p.distribution.scale
    second_moment = jnp.sum(q.factor**2, axis=-1) + (q.mean_ - mean) ** 2
    return jnp.sum(jnp.log(scale) + 0.5 * second_moment / scale**2 - 0.5, axis=-1) - q._log_determinant()


class Chain(distrax.Distribution):
    """Vectors drawn one given the other, p(z_1) p(z_2 | z_1) ... p(z_L | z_{L-1}), over tuples (z_1, ..., z_L)."""

    def __init__(
        self,
        first: distrax.Distribution,
        conditionals: Sequence[Callable[[Array], distrax.Distribution]],
        *,
        downwards: bool = False,
    ):
        """`conditionals` map the vector before to the distribution of the next.

        With `downwards` the chain begins at the tuple's end: p(z_L) p(z_{L-1} | z_L) ... p(z_1 | z_2).
        """
        super().__init__()
        self.first = first
        self.conditionals = tuple(conditionals)
        self.downwards = downwards

    @property
    def batch_shape(self) -> Shape:
        """That of the first vector."""
        return self.first.batch_shape

    @property
    def event_shape(self) -> tuple[Shape, ...]:
        """`((d_1,), ..., (d_L,))`."""
        z = jax.eval_shape(lambda: self.sample(seed=jax.random.key(0)))
        return tuple(vectors.shape[-1:] for vectors in z)

    def log_prob(self, value: tuple[Array, ...]) -> Array:
        """Nats, `[...]`, for vectors `[..., d_l]`."""
        z = self._ordered(value)
        given = [conditional(before) for conditional, before in zip(self.conditionals, z, strict=False)]
        return sum((p.log_prob(after) for p, after in zip(given, z[1:], strict=True)), self.first.log_prob(z[0]))

    def _sample_n(self, key: PRNGKey, n: int) -> tuple[Array, ...]:
        keys = jax.random.split(key, 1 + len(self.conditionals))
        z = [self.first.sample(seed=keys[0], sample_shape=n)]
        for conditional, key in zip(self.conditionals, keys[1:], strict=True):
            z.append(conditional(z[-1]).sample(seed=key))
        return self._ordered(tuple(z))

    def _ordered(self, z: tuple[Array, ...]) -> tuple[Array, ...]:
        return z[::-1] if self.downwards else z


class Bernoulli(distrax.Bernoulli):
    """`distrax.Bernoulli` of logits, whose log-probability is the direct x l - softplus(l), which takes less work.

    For x in (0, 1) this is the cross-entropy, which is no log-probability: binarise the data, or say that you do not.
    """

    def __init__(self, logits: Array):
        """`logits` of any shape."""
        super().__init__(logits=logits, dtype=logits.dtype)

    def log_prob(self, value: Array) -> Array:
        """Nats, elementwise, finite for logits of any size, with an absolute error of about 1e-7 times their size."""
        return value * self.logits - _softplus(self.logits)


@jax.custom_jvp
def _softplus(x: Array) -> Array:
    """log(1 + exp(x)), whose value and slope share one exponential: half the time of `jax.nn.softplus` on a CPU."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@_softplus.defjvp
def _softplus_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    small = jnp.exp(-jnp.abs(x))
    slope = jnp.where(x >= 0, 1.0, small) / (1 + small)
    return jnp.maximum(x, 0) + jnp.log1p(small), slope * tangent


class DiscretisedLogistic(distrax.Distribution):
    """A logistic distribution rounded to the 256 levels 0, 1/255, ..., 1, with its tails in the outer levels.

    A probability mass, so that -log2 p is a code length in bits (Kingma et al., 2016; Salimans et al., 2017).
    """

    def __init__(self, mean: Array, scale: Array):
        """`mean` and `scale` (> 0) of any one shape, in units of [0, 1]."""
        super().__init__()
        chex.assert_equal_shape([mean, scale])
        self.mean_ = mean
        self.scale = scale

    @property
    def event_shape(self) -> tuple[int, ...]:
        """`()`: one number."""
        return ()

    def mean(self) -> Array:
        """The logistic's own mean, within [0, 1]: what rounding (half a level) and the tails move is not in it."""
        return jnp.clip(self.mean_, 0, 1)

    def log_prob(self, value: Array) -> Array:
        """Nats, elementwise, for `value` on the levels.

        With upper and lower the standardised edges of a level, log(sigmoid(upper) - sigmoid(lower)) is written as
        log sigmoid(upper) + log sigmoid(-lower) + log(1 - exp(lower - upper)), which no size of scale cancels.
        """
        half = 0.5 / 255
        upper = (value + half - self.mean_) / self.scale
        lower = (value - half - self.mean_) / self.scale
        below = jax.nn.log_sigmoid(upper)
        above = jax.nn.log_sigmoid(-lower)
        inside = below + above + jnp.log(-jnp.expm1(-2 * half / self.scale))
        return jnp.where(value < half, below, jnp.where(value > 1 - half, above, inside))

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        x = self.mean_ + self.scale * jax.random.logistic(key, (n, *self.mean_.shape), self.mean_.dtype)
        return jnp.clip(jnp.round(255 * x), 0, 255) / 255


def draws_with_log_prob(distribution: distrax.Distribution) -> bool:
    """Returns whether `sample_and_log_prob` is the distribution's own, one evaluation in place of two.

    distrax's own distributions gain nothing: compiled code joins the two calls, and the numbers keep their rounding.
    """
    methods = (getattr(type(distribution), name, None) for name in ("sample_and_log_prob", "_sample_n_and_log_prob"))
    return any(method is not None and not method.__module__.startswith("distrax.") for method in methods)
