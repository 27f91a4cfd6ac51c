"""The networks of DRAW, one step at a time: Gregor, Danihelka, Graves, Rezende and Wierstra, 2015, Eq. (3) to (8)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from genjax_models.networks.outputs import Emitted, Output
from genjax_models.networks.recurrent import CellState, Recurrent
from genjax_models.types import Array, Shape


class DrawState(NamedTuple):
    """The state between two steps: of the encoder, of the decoder, and the canvas `[..., pixels]`."""

    encoder: CellState
    decoder: CellState
    canvas: Array


class Attention(NamedTuple):
    """A window of `size` x `size` filters, given by five numbers (`estimators.attention`).

    Attributes:
      size: filters per side.
      apply: (five numbers `[..., 5]`, images or patches) -> patches or images.
      start: the five numbers with which learning starts.
    """

    size: int
    apply: Callable[[Array, Array], Array]
    start: tuple[float, ...]


class DrawNetwork(nn.Module):
    """An encoder that reads an image and what the canvas lacks of it, and a decoder that adds to the canvas.

    Images are vectors of pixels here, prod(shape) numbers.

    Attributes:
      shape: shape of one example; `(height, width, 1)` with attention.
      latent: numbers of z per step.
      hidden: width of both LSTMs.
      outputs: parameters of p(x | z): one of `shape`, which is the canvas, and learned constants.
      mean: these parameters -> E[x | z] `[..., *shape]`.
      read: the encoder's window, from images `[..., height, width]` to patches; None: it reads all pixels.
      write: the decoder's window, from a patch to an image `[..., height, width]`; None: it writes to all pixels.
    """

    shape: Shape
    latent: int
    hidden: int
    outputs: dict[str, Output]
    mean: Callable[[Emitted], Array]
    read: Attention | None = None
    write: Attention | None = None

    def setup(self) -> None:
        """Makes the layers. The canvas starts at 0: at the mean of the data, attention learned nothing."""
        pixels = math.prod(self.shape)
        self.constants = {
            name: self.param(name, nn.initializers.zeros, pixels if output.of_input else output.shape, jnp.float32)
            for name, output in self.outputs.items()
        }
        self.encoder, self.decoder = Recurrent(self.hidden), Recurrent(self.hidden)
        self.posterior = nn.Dense(2 * self.latent)
        self.patch = nn.Dense(pixels if self.write is None else self.write.size**2)
        if self.read is None:
            self.image = nn.Dense(4 * self.hidden, use_bias=False)
        else:
            self.read_window = _window(self.read)
        if self.write is not None:
            self.write_window = _window(self.write)

    def __call__(self, x: Array) -> Array:
        """Takes one step, as `init` needs."""
        state = self.start(x.shape[:-1])
        _, mean, _ = self.look(state, x, self.context(x))
        return self.paint(self.decode(state.decoder, mean)[0])

    def start(self, lead: Shape) -> DrawState:
        """Returns the state before the first step, leaves `[*lead, ...]`."""
        (canvas,) = (self.constants[name] for name, output in self.outputs.items() if output.of_input)
        lstm = self.encoder.unit.start(lead)
        return DrawState(lstm, lstm, jnp.broadcast_to(canvas, (*lead, *canvas.shape)))

    def emitted(self, canvas: Array) -> Emitted:
        """Returns the parameters of p(x | z) after a canvas `[..., pixels]`."""
        lead = canvas.shape[:-1]
        return {
            name: canvas.reshape(*lead, *self.shape) if output.of_input else self.constants[name]
            for name, output in self.outputs.items()
        }

    def context(self, x: Array) -> Array:
        """Returns what x `[batch, pixels]` adds to the gates of the encoder at every step; with attention, x itself."""
        return self.image(x) if self.read is None else x

    def look(self, state: DrawState, x: Array, context: Array) -> tuple[CellState, Array, Array]:
        """Returns the encoder after it has read, Eq. (3) to (5), and mean and raw scale `[..., latent]` of z_t."""
        h, lead = state.decoder[0], x.shape[:-1]
        error = x - self.mean(self.emitted(state.canvas)).reshape(x.shape)
        if self.read is None:
            product = context + self.encoder.of_input(jnp.concatenate([error, h], -1))
        else:
            window, image = self.read_window(h), (*lead, *self.shape[:2])
            patches = [self.read.apply(window, seen.reshape(image)).reshape(*lead, -1) for seen in (x, error)]
            product = self.encoder.of_input(jnp.concatenate([*patches, h], -1))
        encoder = _moved(self.encoder, state.encoder, product)
        mean, raw_scale = jnp.split(self.posterior(encoder[0]), 2, -1)
        return encoder, mean, raw_scale

    def decode(self, decoder: CellState, z: Array) -> CellState:
        """Returns the decoder after z_t `[..., latent]`, Eq. (7)."""
        return self.decoder.move(decoder, z)

    def paint(self, h: Array) -> Array:
        """Returns what the decoder adds to the canvas `[..., pixels]`, Eq. (8)."""
        patch = self.patch(h)
        if self.write is None:
            return patch
        lead, n = patch.shape[:-1], self.write.size
        return self.write.apply(self.write_window(h), patch.reshape(*lead, n, n)).reshape(*lead, -1)

    def decoded(self, z: Array) -> Array:
        """Returns the decoder's output after each step `[steps, ..., hidden]`, for z `[..., steps, latent]`."""
        products = self.decoder.of_input(jnp.moveaxis(z, -2, 0))  # of all steps in one product

        def step(network, state, product):
            state = _moved(network.decoder, state, product)
            return state, state[0]

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False})
        return scan(self, self.start(z.shape[:-2]).decoder, products)[1]

    def last_canvas(self, z: Array) -> Array:
        """Returns the canvas after all steps `[..., pixels]`, for z `[..., steps, latent]`."""
        return self.start(z.shape[:-2]).canvas + jnp.sum(self.paint(self.decoded(z)), axis=0)

    def canvases(self, z: Array) -> Array:
        """Returns the canvas after each step `[..., steps, pixels]`, for z `[..., steps, latent]`."""
        painted = jnp.cumsum(self.paint(self.decoded(z)), axis=0)
        return jnp.moveaxis(self.start(painted.shape[:-1]).canvas + painted, 0, -2)

    def windows(self, z: Array) -> tuple[Array | None, Array | None]:
        """Returns the five numbers of the windows of each step `[..., steps, 5]`, to read and to write; None if none.

        A step reads where the decoder looked after the step before, and writes where it looks after z_t.
        """
        h = self.decoded(z)
        before = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]])
        return (
            None if self.read is None else jnp.moveaxis(self.read_window(before), 0, -2),
            None if self.write is None else jnp.moveaxis(self.write_window(h), 0, -2),
        )


def _moved(network: Recurrent, state: CellState, product: Array) -> CellState:
    """Returns the next state of an LSTM, from the product with its input."""
    return network.unit.move(product, state[0] @ network.of_hidden, state)


def _window(attention: Attention) -> nn.Dense:
    """Returns the layer that emits the five numbers of a window."""
    start = jnp.array(attention.start)
    return nn.Dense(5, bias_init=lambda key, shape, dtype: start.astype(dtype))
