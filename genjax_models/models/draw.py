"""DRAW, a model that paints in steps: Gregor, Danihelka, Graves, Rezende and Wierstra, 2015.

    p(z) = N(0, I),      z = (z_1, ..., z_T)
    p(x | z):            c_t = c_{t-1} + write(h_t),   h_t = decoder(h_{t-1}, z_t);   x ~ p(x | c_T)
    q(z_t | z_<t, x) = N(mu_t, diag(sigma_t^2)),       of encoder(read(x, x - E[x | c_{t-1}], h_{t-1}), h_{t-1})

So q reads the canvas that z_<t have made: it has all parameters of the decoder. KL(q || p) is a sum over steps
(`estimators.autoregressive`).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.attention import Place, Window, attention_window, place_of, read, write
from genjax_models.estimators.autoregressive import Autoregressive
from genjax_models.estimators.checks import check_count, check_prepared
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.models.families import Family
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.learning import Learning
from genjax_models.models.posteriors import diagonal_gaussian
from genjax_models.networks.draw import Attention, DrawNetwork, DrawState
from genjax_models.types import Array, Batch, PRNGKey, Shape, Variables


def draw_model(
    shape: Shape,
    steps: int,
    latent: int,
    hidden: int,
    likelihood: Family,
    *,
    read_size: int | None = None,
    write_size: int | None = None,
) -> LatentVariableModel:
    """Returns DRAW over z `[steps, latent]`.

    While the model learns, p(x | z) of a draw of q is of the canvas that q painted on the way: one scan, not two.

    Args:
      shape: shape of one example; images `(height, width, 1)` with attention.
      steps: T, the number of glimpses.
      latent: numbers of z per step.
      hidden: width of the encoder's and the decoder's LSTM.
      likelihood: family of p(x | z), with one parameter per number of x, and no other that depends on z.
      read_size: filters per side of the window that the encoder reads through, from 2 to the shorter side of an image.
        None reads all numbers of x.
      write_size: filters per side of the window that the decoder writes through; None writes to all.

    Raises:
      ValueError: a count is no integer of at least 1, a window does not fit into one grey image, or the likelihood has
        other parameters.
    """
    shape = tuple(shape)
    for name, count in (("steps", steps), ("latent", latent), ("hidden", hidden)):
        check_count(name, count)
    for name, size in (("read_size", read_size), ("write_size", write_size)):
        _check_window(name, size, shape)
    emitted = [output.shape for output in likelihood.outputs.values() if output.of_input]
    if emitted != [shape]:
        raise ValueError(f"`likelihood` must have one parameter that depends on z, of shape {shape}, got {emitted}")
    mean = lambda parameters: likelihood.distribution(parameters).mean()
    windows = [_attention(apply, size, shape) for apply, size in ((read, read_size), (write, write_size))]
    network = DrawNetwork(shape, latent, hidden, dict(likelihood.outputs), mean, *windows)
    family = diagonal_gaussian(latent)

    def init(key: PRNGKey, batch: Batch) -> Variables:
        return network.init(key, batch.x[:1].reshape(1, -1))

    def posterior(variables: Variables, x: Array, label: Array | None = None, drawn=None) -> Autoregressive:
        check_prepared("x", x, likelihood.support)
        x = x.reshape(len(x), -1).astype(jnp.float32)  # the type of the state, with x64 too
        context = network.apply(variables, x, method="context")

        def step(state: DrawState):
            seen: Any = network.apply(variables, state, x, context, method="look")
            encoder, mean, raw_scale = seen

            def advance(z: Array) -> DrawState:
                decoder = network.apply(variables, state.decoder, z, method="decode")
                painted = network.apply(variables, decoder[0], method="paint")
                return DrawState(encoder, decoder, state.canvas + painted)

            return family.distribution({"mean": mean, "raw_scale": raw_scale}), advance

        start = network.apply(variables, (len(x),), method="start")
        return Autoregressive(start, step, (steps, latent), drawn=drawn)

    def prior(variables: Variables, label: Array | None = None) -> distrax.Independent:
        zeros = jnp.zeros((steps, latent), jnp.float32)
        return distrax.Independent(diagonal_normal(zeros, jnp.ones_like(zeros)), 1)

    def of_canvas(variables: Variables, canvas: Array) -> distrax.Distribution:
        return likelihood.distribution(network.apply(variables, canvas, method="emitted"))

    def generate(variables: Variables, z: Array, label: Array | None = None) -> distrax.Distribution:
        return of_canvas(variables, network.apply(variables, z, method="last_canvas"))

    def learning(variables: Variables, key: PRNGKey, batch: Batch) -> Learning:
        kept = {}  # of the last draw

        def keep(z: Array, state: DrawState) -> None:
            kept.update(z=z, canvas=state.canvas)

        def likelihood_of(z: Array) -> distrax.Distribution:
            return of_canvas(variables, kept["canvas"]) if z is kept.get("z") else generate(variables, z)

        return Learning(posterior(variables, batch.x, drawn=keep), prior(variables), likelihood_of, lambda z: variables)

    def canvases(variables: Variables, z: Array) -> Array:
        return of_canvas(variables, network.apply(variables, z, method="canvases")).mean()

    def places(variables: Variables, z: Array) -> tuple[Place | None, Place | None]:
        height, width, _ = shape
        place = partial(place_of, height=height, width=width)
        return jax.tree.map(place, network.apply(variables, z, method="windows"))

    return LatentVariableModel(
        init=init,
        posterior=posterior,
        prior=prior,
        likelihood=generate,
        learning=learning,
        support=likelihood.support,
        shape=shape,
        shared=True,
        canvases=canvases,
        windows=None if read_size is write_size is None else places,
    )


def _attention(apply: Callable[[Window, Array], Array], size: int | None, shape: Shape) -> Attention | None:
    """Returns a window of `size` x `size` filters on images `(height, width, 1)`; None for no attention.

    Windows start in the middle, over half of the longer side and without gaps; a patch of ones writes ones. With five
    zeros, the filters of a read window of 2 x 2 would start in the corners of the image, and see nothing.
    """
    if size is None:
        return None
    height, width, _ = shape
    stride = 0.5 * (max(height, width) - 1) / (size - 1)
    log_gamma = -2 * math.log(stride) if apply is write else 0.0
    start = (0.0, 0.0, 2 * math.log(stride / 2), math.log(0.5), log_gamma)

    def through_window(parameters: Array, x: Array) -> Array:
        return apply(attention_window(parameters, size=size, height=height, width=width), x)

    return Attention(size, through_window, start)


def _check_window(name: str, size: int | None, shape: Shape) -> None:
    """Raises ValueError unless a window of `size` x `size` filters fits into one grey image."""
    if size is None:
        return
    if len(shape) != 3 or shape[2] != 1:
        raise ValueError(
            f"attention needs images of one channel, (height, width, 1), got {shape}: `{name}` must be None"
        )
    check_count(name, size, at_least=2)
    if size > min(shape[:2]):
        raise ValueError(f"`{name}` must be at most {min(shape[:2])} for images of {shape[0]} x {shape[1]}, got {size}")
