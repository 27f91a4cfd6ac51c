"""The generator without a likelihood: x = g(z) for z ~ p(z), an implicit model (Mohamed and Lakshminarayanan, 2016).

One can draw from its p(x), but not evaluate it (20.10.2).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_count
from genjax_models.models.condition import Condition, condition_of, drawn_for, first_inputs, inputs_of
from genjax_models.models.learning import apply_in_learning, dropout_key
from genjax_models.types import Array, Batch, PRNGKey, Tracer, Variables

Noise = Literal["normal", "uniform"]
_RANGES = {jnp.tanh: (-1, 1), jax.nn.tanh: (-1, 1), jax.nn.sigmoid: (0, 1)}  # nn.tanh and nn.sigmoid are jax's
_NOISE = {"normal": jax.random.normal, "uniform": partial(jax.random.uniform, minval=-1.0, maxval=1.0)}


class ImplicitModel(NamedTuple):
    """Pure functions of the model's variables.

    A conditional model needs a `label` in `generate`, `generate_in_learning` and `draw`: classes `[n]`, or the value of
    its condition `[n, ...]`.

    Attributes:
      latent: dimensions of z.
      classes: number of classes of a model that is conditional on a class, or None.
      init: (key, batch) -> variables.
      noise: (key, n, truncation=None) -> z `[n, latent]`. With a truncation c, numbers outside [-c, c] are drawn again
        (Brock et al., 2019): neither clipped nor scaled. It needs z ~ N(0, I).
      generate: (variables, z, label=None) -> g(z) `[n, *shape]`, for judging.
      generate_in_learning: (variables, key, z, label=None) -> g(z) in learning mode (`models.learning`), and the
        variables as they moved.
      range: lowest and highest value of the last layer (`output_range`); None if unbounded.
      condition: what the network sees besides z; None if nothing.
    """

    latent: int
    classes: int | None
    init: Callable[[PRNGKey, Batch], Variables]
    noise: Callable[..., Array]
    generate: Callable[..., Array]
    generate_in_learning: Callable[..., tuple[Array, Variables]]
    range: tuple[float, float] | None = None
    condition: Condition | None = None

    def draw(self, variables: Variables, key: PRNGKey, n: int, label: Array | None = None) -> tuple[Array, Variables]:
        """Returns n draws in learning mode, `[n, *shape]`, and the variables as they moved."""
        return self.generate_in_learning(variables, key, self.noise(key, n), label)

    def sample(
        self,
        variables: Variables,
        key: PRNGKey,
        n: int,
        *,
        label: Array | None = None,
        truncation: float | None = None,
    ) -> Array:
        """Returns n draws, `[n, *shape]`; the label, of a conditional model, is `[n, ...]` or one for all draws."""
        return self.generate(variables, self.noise(key, n, truncation), drawn_for(self.condition, label, n))


def implicit_model(
    generator: nn.Module,
    latent: int,
    *,
    noise: Noise = "normal",
    classes: int | None = None,
    condition: Condition | None = None,
) -> ImplicitModel:
    """Wires a network z `[n, latent]` -> x `[n, *shape]`.

    Args:
      generator: ends in a sigmoid for data in [0, 1], in tanh for data in [-1, 1], as
        `nn.Sequential([network, nn.sigmoid])` does. It may have dropout and batch normalisation, by the convention of
        `models.learning`.
      latent: dimensions of z.
      noise: z ~ N(0, I), or uniform in [-1, 1]^latent.
      classes: number of classes, if the network sees the class as `[n, classes]`, one-hot.
      condition: any other function of the batch that the network sees.

    Returns:
      A model. If it is conditional, its functions raise ValueError without a label. `init` raises ValueError if the
      generator makes examples of another shape than the data's.

    Raises:
      ValueError: an unknown noise, or both `classes` and a `condition`.
    """
    given = condition_of(classes, condition)
    if noise not in get_args(Noise):
        raise ValueError(f"noise must be one of {get_args(Noise)}, got {noise!r}")

    def init(key: PRNGKey, batch: Batch) -> Variables:
        made, variables = generator.init_with_output(key, jnp.zeros((1, latent)), *first_inputs(given))
        if jnp.shape(made) != (1, *batch.x.shape[1:]):
            shape = jax.tree.map(lambda a: a.shape[1:], made)
            raise ValueError(f"the generator must make examples of shape {batch.x.shape[1:]}, got {shape}")
        return dict(variables)

    def draw_noise(key: PRNGKey, n: int, truncation: float | None = None) -> Array:
        check_count("n", n)
        if truncation is None:
            return _NOISE[noise](key, (n, latent))
        check_truncation(truncation, noise)
        return jax.random.truncated_normal(key, -truncation, truncation, (n, latent))

    def generate(variables: Variables, z: Array, label: Array | None = None) -> Array:
        return generator.apply(variables, z, *inputs_of(given, label))

    def generate_in_learning(
        variables: Variables, key: PRNGKey, z: Array, label: Array | None = None
    ) -> tuple[Array, Variables]:
        return apply_in_learning(generator, variables, dropout_key(key), z, *inputs_of(given, label))

    values = output_range(generator)
    return ImplicitModel(latent, classes, init, draw_noise, generate, generate_in_learning, values, given)


def check_truncation(truncation: float | Array, noise: Noise) -> None:
    """Raises ValueError unless the truncation is above 0 (tracers are not checked) and the noise is normal."""
    if noise != "normal":
        raise ValueError(f'truncation needs noise "normal", got {noise!r}')
    if not isinstance(truncation, Tracer) and not truncation > 0:
        raise ValueError(f"truncation must be above 0, got {truncation!r}")


def output_range(generator: nn.Module) -> tuple[float, float] | None:
    """Returns the lowest and the highest value that a network can make; None if unknown.

    The range is the network's attribute `range`, or follows from a tanh or a sigmoid at the end of an `nn.Sequential`.
    """
    last = generator.layers[-1] if isinstance(generator, nn.Sequential) and generator.layers else generator
    return _RANGES.get(last) if not isinstance(last, nn.Module) else getattr(last, "range", None)
