"""The generator without a likelihood: x = g(z) for z ~ p(z), an implicit model (Mohamed and Lakshminarayanan, 2016).

Its p(x) can be drawn from, and has no value that could be asked for (20.10.2).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.models.latent_variable import condition
from genjax_models.types import Array, Batch, PRNGKey, Variables

MUTABLE = ["batch_stats"]  # what a network may change while it learns

Noise = Literal["normal", "uniform"]
_RANGES = {jnp.tanh: (-1, 1), jax.nn.tanh: (-1, 1), jax.nn.sigmoid: (0, 1)}  # nn.tanh and nn.sigmoid are jax's
_NOISE = {"normal": jax.random.normal, "uniform": partial(jax.random.uniform, minval=-1.0, maxval=1.0)}


class ImplicitModel(NamedTuple):
    """Pure functions of the model's variables.

    `noise(key, n)` draws z `[n, latent]`. `generate(variables, z, label=None)` is g(z) `[n, *shape]`, by running
    averages where there are batch statistics. `draw(variables, key, n, label=None)` is for learning: x `[n, *shape]`,
    and the variables with batch statistics moved on. A model with `classes` wants a label `[n]` in both. `range` is
    what its last layer is confined to, where it is (`output_range`).
    """

    latent: int
    classes: int | None
    init: Callable[[PRNGKey, Batch], Variables]
    noise: Callable[[PRNGKey, int], Array]
    generate: Callable[..., Array]
    draw: Callable[..., tuple[Array, Variables]]
    range: tuple[float, float] | None = None

    def sample(self, variables: Variables, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        """n draws, `[n, *shape]`; the label, of a conditional model, is `[n]` or one for all."""
        label = None if label is None else jnp.broadcast_to(label, (n,))
        return self.generate(variables, self.noise(key, n), label)


def implicit_model(
    generator: nn.Module, latent: int, *, noise: Noise = "normal", classes: int | None = None
) -> ImplicitModel:
    """Wires a network z `[n, latent]` -> x `[n, *shape]`.

    Args:
      generator: for data in [0, 1] it ends in a sigmoid, for data in [-1, 1] in tanh: `nn.Sequential([network,
        nn.sigmoid])`. It normalises by the statistics of the batch where its collection "batch_stats" is mutable, as
        `nn.BatchNorm(use_running_average=not self.is_mutable_collection("batch_stats"))` does.
      latent: dimensions of z.
      noise: z ~ N(0, I), or uniform in [-1, 1]^latent.
      classes: their number, where the network sees the class as `[n, classes]` zeros and a one.

    Returns:
      A model, whose functions raise ValueError where it is conditional and has no label; `init` where the generator
      makes no examples of the data's shape.

    Raises:
      ValueError: a noise that is neither.
    """
    if noise not in get_args(Noise):
        raise ValueError(f"noise must be one of {get_args(Noise)}, got {noise!r}")

    def init(key: PRNGKey, batch: Batch) -> Variables:
        label = condition(classes, jnp.zeros(1, jnp.int32))
        made, variables = generator.init_with_output(key, jnp.zeros((1, latent)), *label)
        if jnp.shape(made) != (1, *batch.x.shape[1:]):
            found = jax.tree.map(lambda a: a.shape[1:], made)
            raise ValueError(f"the generator must make examples of shape {batch.x.shape[1:]}, got {found}")
        return dict(variables)

    def draw_noise(key: PRNGKey, n: int) -> Array:
        return _NOISE[noise](key, (n, latent))

    def generate(variables: Variables, z: Array, label: Array | None = None) -> Array:
        return generator.apply(variables, z, *condition(classes, label))

    def draw(variables: Variables, key: PRNGKey, n: int, label: Array | None = None) -> tuple[Array, Variables]:
        x, moved = generator.apply(variables, draw_noise(key, n), *condition(classes, label), mutable=MUTABLE)
        return x, {**variables, **moved}

    return ImplicitModel(latent, classes, init, draw_noise, generate, draw, output_range(generator))


def output_range(generator: nn.Module) -> tuple[float, float] | None:
    """What the values that a network makes are confined to: by its own word (`range`), or by a tanh or a sigmoid at the
    end of an `nn.Sequential`. None where nothing is known to confine them."""
    last = generator.layers[-1] if isinstance(generator, nn.Sequential) and generator.layers else generator
    return _RANGES.get(last) if not isinstance(last, nn.Module) else getattr(last, "range", None)
