"""The networks of DRAW, one step at a time: Gregor, Danihelka, Graves, Rezende and Wierstra, 2015, Eq. (3) to (8)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from genjax_models.networks.outputs import Emitted, Output
from genjax_models.types import Array, Shape


class LSTMState(NamedTuple):
    """The state of an LSTM, `[..., hidden]`: its cells, and its output."""

    c: Array
    h: Array


class LSTMCell(nn.Module):
    """An LSTM of `hidden` units; its forget gates start open, with biases of 1."""

    hidden: int

    def setup(self) -> None:
        """Makes the layers."""
        gates, n = 4 * self.hidden, self.hidden
        bias = lambda key, shape, dtype: jnp.zeros(shape, dtype).at[n : 2 * n].set(1.0)
        self.inputs = nn.Dense(gates, use_bias=False)
        self.recurrent = nn.Dense(gates, bias_init=bias)

    def project(self, x: Array) -> Array:
        """Returns what inputs `[..., d]` add to the four gates."""
        return self.inputs(x)

    def __call__(self, state: LSTMState, projected: Array) -> LSTMState:
        """Returns the next state."""
        i, f, g, o = jnp.split(projected + self.recurrent(state.h), 4, -1)
        c = nn.sigmoid(f) * state.c + nn.sigmoid(i) * jnp.tanh(g)
        return LSTMState(c, nn.sigmoid(o) * jnp.tanh(c))


class DrawState(NamedTuple):
    """The state between two steps: of the encoder, of the decoder, and the canvas `[..., pixels]`."""

    encoder: LSTMState
    decoder: LSTMState
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
      read: the encoder's window, from images `[..., 2, height, width]` to patches; None: it reads all pixels.
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
        self.encoder, self.decoder = LSTMCell(self.hidden), LSTMCell(self.hidden)
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
        return self.paint(self.decode(state.decoder, mean).h)

    def start(self, lead: Shape) -> DrawState:
        """Returns the state before the first step, leaves `[*lead, ...]`."""
        (canvas,) = (self.constants[name] for name, output in self.outputs.items() if output.of_input)
        zeros = jnp.zeros((*lead, self.hidden))
        lstm = LSTMState(zeros, zeros)
        return DrawState(lstm, lstm, jnp.broadcast_to(canvas, (*lead, *canvas.shape)))

    def emitted(self, canvas: Array) -> Emitted:
        """Returns the parameters of p(x | z) after a canvas `[..., pixels]`."""
        lead = canvas.shape[:-1]
        return {
            name: canvas.reshape(*lead, *self.shape)
            if output.of_input
            else jnp.broadcast_to(self.constants[name], (*lead, *output.shape))
            for name, output in self.outputs.items()
        }

    def context(self, x: Array) -> Array | None:
        """Returns what x `[batch, pixels]` adds to the gates of the encoder at every step; None with attention."""
        return self.image(x) if self.read is None else None

    def look(self, state: DrawState, x: Array, context: Array | None) -> tuple[LSTMState, Array, Array]:
        """Returns the encoder after it has read, Eq. (3) to (5), and mean and raw scale `[..., latent]` of z_t."""
        h, lead = state.decoder.h, x.shape[:-1]
        error = x - self.mean(self.emitted(state.canvas)).reshape(x.shape)
        if self.read is None:
            projected = context + self.encoder.project(jnp.concatenate([error, h], -1))
        else:
            both = jnp.stack([x, error], -2).reshape(*lead, 2, *self.shape[:2])
            patches = self.read.apply(self.read_window(h)[..., None, :], both)
            projected = self.encoder.project(jnp.concatenate([patches.reshape(*lead, -1), h], -1))
        encoder = self.encoder(state.encoder, projected)
        mean, raw_scale = jnp.split(self.posterior(encoder.h), 2, -1)
        return encoder, mean, raw_scale

    def decode(self, decoder: LSTMState, z: Array) -> LSTMState:
        """Returns the decoder after z_t `[..., latent]`, Eq. (7)."""
        return self.decoder(decoder, self.decoder.project(z))

    def paint(self, h: Array) -> Array:
        """Returns what the decoder adds to the canvas `[..., pixels]`, Eq. (8)."""
        patch = self.patch(h)
        if self.write is None:
            return patch
        lead, n = patch.shape[:-1], self.write.size
        return self.write.apply(self.write_window(h), patch.reshape(*lead, n, n)).reshape(*lead, -1)

    def decoded(self, z: Array) -> Array:
        """Returns the decoder's output after each step `[steps, ..., hidden]`, for z `[..., steps, latent]`."""
        projected = self.decoder.project(jnp.moveaxis(z, -2, 0))  # of all steps in one product

        def step(network, state, projected):
            state = network.decoder(state, projected)
            return state, state.h

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False})
        return scan(self, self.start(z.shape[:-2]).decoder, projected)[1]

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


def _window(attention: Attention) -> nn.Dense:
    """Returns the layer that emits the five numbers of a window."""
    start = jnp.array(attention.start)
    return nn.Dense(5, bias_init=lambda key, shape, dtype: start.astype(dtype))
