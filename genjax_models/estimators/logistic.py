"""Logistic distributions rounded to the 256 levels 0, 1/255, ..., 1 of 8-bit data, one or a mixture of several.

The level x has the probability between x - 1/510 and x + 1/510. The outer levels include the tails, so that the 256
probabilities sum to 1.
"""

import math

import chex
import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_floating
from genjax_models.types import Array, PRNGKey

_HALF = 0.5 / 255  # half the distance between levels


class DiscretisedLogistic(distrax.Distribution):
    """A logistic distribution rounded to the 256 levels 0, 1/255, ..., 1; the outer levels include the tails.

    It is a probability mass: -log2 p is a code length in bits (Kingma et al., 2016; Salimans et al., 2017).
    """

    def __init__(self, mean: Array, scale: Array):
        """Takes the mean and the scale (> 0) of the logistic distribution, in units of [0, 1].

        The scale has the shape of the mean, or the last axes of it.
        """
        super().__init__()
        chex.assert_shape(scale, jnp.shape(mean)[jnp.ndim(mean) - jnp.ndim(scale) :])
        self.mean_ = mean
        self.scale = scale

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Returns `()`: an event is one number."""
        return ()

    def mean(self) -> Array:
        """Returns the mean of the logistic, clipped to [0, 1]: it ignores rounding (half a level) and the tails."""
        return jnp.clip(self.mean_, 0, 1)

    def log_prob(self, value: Array) -> Array:
        """Returns log-probabilities of levels, elementwise, in nats."""
        check_floating("value", value)
        shape = jnp.broadcast_shapes(jnp.shape(value), self.mean_.shape)
        over = math.prod(shape[: len(shape) - self.scale.ndim])  # one axis: XLA:CPU sums gradients slowly over two
        value, mean = (jnp.broadcast_to(a, shape).reshape(over, *self.scale.shape) for a in (value, self.mean_))
        return _log_mass(value, mean, self.scale[None]).reshape(shape)

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        noise = jax.random.logistic(key, (n, *self.mean_.shape), self.mean_.dtype)
        return _nearest_level(self.mean_[None] + jnp.broadcast_to(self.scale, noise.shape) * noise)


class DiscretisedLogisticMixture(distrax.Distribution):
    """A mixture of logistic distributions, each rounded to the 256 levels (Salimans et al., 2017).

    With sigma the sigmoid, a level x inside the range has the probability

        p(x) = sum_m pi_m [sigma((x + 1/510 - mu_m) / s_m) - sigma((x - 1/510 - mu_m) / s_m)].

    Numbers are independent: colours of one pixel depend on each other only through the parameters.
    """

    def __init__(self, logits: Array, mean: Array, scale: Array):
        """Takes logits of the weights, means and scales (> 0), all `[..., components]`, in units of [0, 1]."""
        super().__init__()
        chex.assert_equal_shape([logits, mean, scale])
        self.logits = logits
        self.mean_ = mean
        self.scale = scale

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Returns `()`: an event is one number."""
        return ()

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Returns the shape of the parameters, without the axis of components."""
        return self.mean_.shape[:-1]

    def mean(self) -> Array:
        """Returns the mean of the unrounded mixture clipped to [0, 1], within half a level of the mean of the levels.

        It is the integral of P(x > t) over t in [0, 1]: s [softplus(mu / s) - softplus((mu - 1) / s)] per component.
        """
        softplus = lambda t: jax.nn.softplus((self.mean_ - t) / self.scale)
        means = self.scale * (softplus(0.0) - softplus(1.0))
        return jnp.sum(jax.nn.softmax(self.logits) * means, axis=-1)

    def log_prob(self, value: Array) -> Array:
        """Returns log-probabilities of levels, elementwise, in nats: finite, with a finite gradient, at every level."""
        check_floating("value", value)
        log_masses = _log_mass(value[..., None], self.mean_, self.scale)
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + log_masses, axis=-1)

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        component_key, noise_key = jax.random.split(key)
        component = jax.random.categorical(component_key, self.logits, shape=(n, *self.batch_shape))[..., None]
        mean, scale = (jnp.take_along_axis(a[None], component, axis=-1)[..., 0] for a in (self.mean_, self.scale))
        return _nearest_level(mean + scale * jax.random.logistic(noise_key, mean.shape, mean.dtype))


def _log_mass(value: Array, mean: Array, scale: Array) -> Array:
    """Returns the log-probability of levels under rounded logistics, elementwise, in nats.

    With a and -b the standardised upper and lower edges of a level, sigmoid(a) - sigmoid(-b) is

        sigmoid(a) sigmoid(b) (1 - exp(-(a + b))),

    without cancellation at any scale. The first factor is 1 at the last level, the second at level 0, and the third at
    both. One logarithm serves both sigmoids: with u = exp(-|a|) and v = exp(-|b|),

        log sigmoid(a) + log sigmoid(b) = min(a, 0) + min(b, 0) - log(1 + u + v + u v).
    """
    first, last = value < _HALF, value > 1 - _HALF
    a = jnp.where(last, jnp.inf, (value + _HALF - mean) / scale)
    b = jnp.where(first, jnp.inf, (mean + _HALF - value) / scale)
    minimum = lambda t: jnp.where(t < 0, t, 0)  # jnp.minimum halves the gradient at 0
    u, v = (jnp.exp(jnp.where(t < 0, t, -t)) for t in (a, b))
    log_third = jnp.where(first | last, 0, jnp.log(-jnp.expm1(-2 * _HALF / scale)))
    return minimum(a) + minimum(b) - jnp.log1p(u + v + u * v) + log_third


def _nearest_level(x: Array) -> Array:
    """Returns the level nearest to each number."""
    return jnp.clip(jnp.round(255 * x), 0, 255) / 255
