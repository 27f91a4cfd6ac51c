"""The model whose latents are known: a picture is a function of its style and its factors (20.10.2)."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_count
from genjax_models.models.learning import apply_in_learning
from genjax_models.types import Array, Batch, PRNGKey, Tracer, Variables


class SupervisedModel(NamedTuple):
    """Pure functions of the model's variables.

    Attributes:
      styles: number of styles.
      init: (key, batch) -> variables.
      generate: (variables, style `[..., styles]`, factors `[..., f]`) -> pictures `[..., *shape]` in [0, 1], for
        judging. A style is a sum of styles by weights: `one_hot` for a style as it is, a convex sum for a mixture.
      generate_in_learning: (variables, key, style, factors) -> pictures, not clipped, in learning mode
        (`models.learning`), and the variables as they moved. `MeanOfGenerators` has a leading axis of pictures here.
      draw_factors: (key, n) -> factors `[n, f]`, for `sample`.
    """

    styles: int
    init: Callable[[PRNGKey, Batch], Variables]
    generate: Callable[[Variables, Array, Array], Array]
    generate_in_learning: Callable[[Variables, PRNGKey, Array, Array], tuple[Array, Variables]]
    draw_factors: Callable[[PRNGKey, int], Array]

    def one_hot(self, label: Array) -> Array:
        """Returns the weights `[..., styles]` of styles by number.

        Raises:
          ValueError: a number outside 0 to styles - 1. Numbers that jax traces are not checked.
        """
        if not isinstance(label, Tracer) and np.size(label):
            lowest, highest = np.min(label), np.max(label)  # of numpy, which `jit` does not trace
            if not 0 <= lowest <= highest < self.styles:
                raise ValueError(f"a style must be 0 to {self.styles - 1}, got {lowest} to {highest}")
        return jax.nn.one_hot(label, self.styles)

    def sample(self, variables: Variables, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        """Returns n pictures `[n, *shape]` of these styles `[n]`, by default drawn evenly, and of drawn factors."""
        check_count("n", n)
        style_key, factors_key = jax.random.split(key)
        if label is None:
            label = jax.random.randint(style_key, (n,), 0, self.styles)
        style = jnp.broadcast_to(self.one_hot(label), (n, self.styles))
        return self.generate(variables, style, self.draw_factors(factors_key, n))


def supervised_model(
    generator: nn.Module, styles: int, factors: int, *, draw_factors: Callable[[PRNGKey, int], Array] | None = None
) -> SupervisedModel:
    """Wires a network (style `[n, styles]`, factors `[n, factors]`) -> pictures `[n, *shape]`.

    Args:
      generator: as `networks.supervised`. It may have dropout and batch normalisation, by the convention of
        `models.learning`.
      styles: number of styles.
      factors: number of factors.
      draw_factors: (key, n) -> factors of samples `[n, factors]`; by default uniform in [-1, 1].

    Returns:
      A model. Its `init` raises ValueError if the generator makes pictures of another shape than the data's.
    """

    def init(key: PRNGKey, batch: Batch) -> Variables:
        made, variables = generator.init_with_output(key, jnp.zeros((1, styles)), jnp.zeros((1, factors)))
        if made.shape[1:] != batch.x.shape[1:]:
            raise ValueError(f"the generator must make examples of shape {batch.x.shape[1:]}, got {made.shape[1:]}")
        return dict(variables)

    def generate(variables: Variables, style: Array, factors: Array) -> Array:
        made: Array = generator.apply(variables, style, factors)
        return jnp.clip(made, 0, 1)

    return SupervisedModel(
        styles=styles,
        init=init,
        generate=generate,
        generate_in_learning=lambda variables, key, *inputs: apply_in_learning(generator, variables, key, *inputs),
        draw_factors=draw_factors or (lambda key, n: jax.random.uniform(key, (n, factors), minval=-1.0)),
    )
