"""The mixture of any distributions over one space, p(x) = sum_m pi_m p_m(x)."""

from collections.abc import Sequence

import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.distributions import same_rank
from genjax_models.types import Array, PRNGKey, Shape


class Mixture(distrax.Distribution):
    """Mixes distributions of one event shape and one batch shape; they may be of different families.

    All components are evaluated, and all draw: a draw costs as much as a draw of each component.
    """

    def __init__(self, logits: Array, components: Sequence[distrax.Distribution]):
        """Takes logits of the weights, `[..., M]`, and M distributions of batch shape `[...]`.

        Raises:
          ValueError: there are no components, the number of logits is another, or event shapes differ.
        """
        super().__init__()
        if not components or jnp.shape(logits)[-1:] != (len(components),):
            raise ValueError(f"logits must be [..., {len(components)}], one per component, got {jnp.shape(logits)}")
        if len(shapes := {component.event_shape for component in components}) > 1:
            raise ValueError(f"components must have one event shape, got {sorted(shapes)}")
        self.logits = logits
        self.components = tuple(components)

    @property
    def event_shape(self) -> Shape:
        """Returns the event shape of the components."""
        return self.components[0].event_shape

    @property
    def batch_shape(self) -> Shape:
        """Returns the batch shape of the components."""
        return self.components[0].batch_shape

    @property
    def weights(self) -> Array:
        """Probabilities of the components, `[..., M]`."""
        return jax.nn.softmax(self.logits)

    def log_prob(self, value: Array) -> Array:
        """Returns the log-density of `value`, `[...]` in nats: the log of a sum, computed without underflow."""
        return jax.nn.logsumexp(self._joint(value), axis=-1)

    def responsibilities(self, value: Array) -> Array:
        """Returns the probability of each component given `value`, `[..., M]`."""
        return jax.nn.softmax(self._joint(value), axis=-1)

    def mean(self) -> Array:
        """Returns sum_m pi_m E_m[x]; of components without a mean, raises NotImplementedError as they do."""
        means = jnp.stack([component.mean() for component in self.components])
        weights = jnp.moveaxis(self.weights, -1, 0)
        return jnp.sum(_over_events(weights, means) * means, axis=0)

    def _joint(self, value: Array) -> Array:
        """Returns log pi_m + log p_m(value), `[..., M]`."""
        log_probs = jnp.stack([component.log_prob(value) for component in self.components], axis=-1)
        return sum(same_rank(jax.nn.log_softmax(self.logits), log_probs))

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        choice_key, draw_key = jax.random.split(key)
        chosen = jax.random.categorical(choice_key, self.logits, shape=(n, *jnp.shape(self.logits)[:-1]))
        keys = jax.random.split(draw_key, len(self.components))
        x, *others = [
            component.sample(seed=key, sample_shape=n) for component, key in zip(self.components, keys, strict=True)
        ]
        chosen = jnp.broadcast_to(_over_events(chosen, x), x.shape)
        for m, draws in enumerate(others, start=1):
            x = jnp.where(chosen == m, draws, x)
        return x


def _over_events(a: Array, events: Array) -> Array:
    """Returns `a` `[lead]` with axes of one, so that it has the rank of `events` `[lead, ...]`."""
    return a.reshape(*a.shape, *[1] * (events.ndim - a.ndim))
