"""Draws from networks whose output for a place sees only the places before it, each draw in one scan.

Place d of a draw takes its randomness from `fold_in(key, d)`, with d in the network's order.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.networks.masked import MADE
from genjax_models.networks.outputs import with_batch_axes
from genjax_models.networks.pixel_cnn import GatedPixelCNN
from genjax_models.types import Array, PRNGKey, Shape, Variables

# (key, parameters of one place by name, `[n, ...]`) -> its numbers, `[n, numbers]`
Choose = Callable[[PRNGKey, dict[str, Array]], Array]


def draw_by_numbers(
    network: MADE, variables: Variables, key: PRNGKey, choose: Choose, lead: Shape, condition: Array | None = None
) -> Array:
    """Returns draws of a MADE, `[*lead, *shape]`: one scan of D passes of the network, for D numbers.

    Args:
      network: a MADE whose outputs have names.
      variables: variables of the network.
      key: randomness.
      choose: draws a number from its parameters.
      lead: batch axes of the draws.
      condition: `[..., c]`, with axes that broadcast to `lead`; or None.
    """
    size, rows = math.prod(network.shape), math.prod(lead)
    condition = None if condition is None else jnp.broadcast_to(condition, (*lead, condition.shape[-1]))
    condition = None if condition is None else condition.reshape(rows, -1)
    order = np.arange(size) if network.order is None else np.argsort(network.order)

    def one(x: Array, given: tuple[Array, Array]) -> tuple[Array, None]:
        d, place = given
        emitted: Any = network.apply(variables, x.reshape(rows, *network.shape), condition)
        emitted = with_batch_axes(emitted, network.emits, (rows,))
        chosen = choose(jax.random.fold_in(key, d), _at(place, emitted, network.shape))
        return x.at[:, place].set(chosen[:, 0].astype(x.dtype)), None

    x = jax.lax.scan(one, jnp.zeros((rows, size), jnp.float32), (jnp.arange(size), jnp.asarray(order)))[0]
    return x.reshape(*lead, *network.shape)


def draw_by_pixels(
    network: GatedPixelCNN,
    variables: Variables,
    key: PRNGKey,
    choose: Choose,
    lead: Shape,
    condition: Array | None = None,
) -> Array:
    """Returns draws of a gated PixelCNN, `[*lead, *shape]`: a scan of pixels inside a scan of rows.

    The draw computes each feature once, the vertical stack row by row and the horizontal stack pixel by pixel. It
    keeps the rows and pixels that the kernels reach. So it has the multiplications of one pass over finished images.

    Args:
      network: a gated PixelCNN whose outputs have names.
      variables: variables of the network.
      key: randomness.
      choose: draws the channels of a pixel from their parameters.
      lead: batch axes of the draws.
      condition: as in a call of the network, with axes that broadcast to `lead`; or None.
    """
    (height, width, channels), n, layers = network.shape, math.prod(lead), network.layers - 1
    reaches = [network.first_kernel_size // 2, *[network.kernel_size // 2] * layers]
    features = [channels, *[network.features] * layers]

    def by_row(bias: Array | None) -> Any:
        if bias is None:
            return None
        return jnp.moveaxis(jnp.broadcast_to(bias, (n, height, *bias.shape[2:])), 1, 0)[:, :, None]

    apply: Any = partial(network.apply, variables)

    def pixel(left: list[Array], given: Any) -> tuple[list[Array], Array]:
        place, acrosses = given
        left, emitted = apply(left, acrosses, method="pixel")
        emitted = with_batch_axes(emitted, network.emits, (n,))
        x = choose(jax.random.fold_in(key, place), _at(place, emitted, network.shape[:2]))
        x = x.astype(left[0].dtype)
        return [_later(left[0], x[:, None, None], 2), *left[1:]], x

    def row(above: list[Array], given: Any) -> tuple[list[Array], Array]:
        places, biases = given
        above, acrosses = apply(above, biases, method="row")
        acrosses = [jnp.moveaxis(across, 2, 0)[:, :, :, None] for across in acrosses]
        left = [jnp.zeros((n, 1, reach, size), jnp.float32) for reach, size in zip(reaches, features, strict=True)]
        x = jnp.moveaxis(jax.lax.scan(pixel, left, (places, acrosses))[1], 0, 1)
        return [_later(above[0], x[:, None], 1), *above[1:]], x

    biases = [by_row(bias) for bias in apply(condition, lead, method="biases")]
    above = [jnp.zeros((n, reach, width, size), jnp.float32) for reach, size in zip(reaches, features, strict=True)]
    places = jnp.arange(height * width).reshape(height, width)
    return jnp.moveaxis(jax.lax.scan(row, above, (places, biases))[1], 0, 1).reshape(*lead, *network.shape)


def _later(window: Array, last: Array, axis: int) -> Array:
    """Returns the window one place further: without its first entry on `axis`, and with `last` at its end."""
    return jnp.concatenate([jax.lax.slice_in_dim(window, 1, None, axis=axis), last], axis=axis)


def _at(place: Array, emitted: dict[str, Array], places: Shape) -> dict[str, Array]:
    """Returns the parameters of one place, `[n, numbers]`. Arrays over neither all places nor one remain whole."""
    at = {}
    for name, array in emitted.items():
        over, n = array.shape[1 : 1 + len(places)], array.shape[0]
        if over == tuple(places):
            at[name] = array.reshape(n, math.prod(places), -1)[:, place]
        else:
            at[name] = array.reshape(n, -1) if over == (1,) * len(places) else array
    return at
