"""Recurrent cells, and networks that read a sequence in either direction.

LSTM (Hochreiter and Schmidhuber, 1997; Gers et al., 2000), with one product for all gates:

    [i f g o] = x W + h U + b,   c' = sigmoid(f) c + sigmoid(i) tanh(g),   h' = sigmoid(o) tanh(c')

GRU (Cho et al., 2014), with the reset gate after the product, so that one product with h gives all gates:

    r, u = sigmoid(x W + h U + b),   n = tanh(x W_n + b_n + r (h U_n)),   h' = u h + (1 - u) n
"""

from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.networks.shapes import on_rows
from genjax_models.types import Array, Shape

CellName = Literal["lstm", "gru"]
CellState = tuple[Array, ...]  # the output h first, then the memory c of an LSTM; each [..., hidden]


class Cell(NamedTuple):
    """A cell as a function of its products with the input and with h; it owns no parameters.

    Attributes:
      hidden: number of units.
      name: "lstm" or "gru".
    """

    hidden: int
    name: CellName = "lstm"

    @property
    def width(self) -> int:
        """Returns the number of outputs that the products need: four gates per unit, or three."""
        return self.hidden * {"lstm": 4, "gru": 3}[self.name]

    def start(self, lead: Shape = ()) -> CellState:
        """Returns the state before the first step, zeros `[*lead, hidden]`."""
        return (jnp.zeros((*lead, self.hidden), jnp.float32),) * {"lstm": 2, "gru": 1}[self.name]

    def bias(self) -> Array:
        """Returns the initial bias `[width]`: 1 at the forget gates of an LSTM, else 0 (Jozefowicz et al., 2015)."""
        bias = jnp.zeros(self.width, jnp.float32)
        return bias.at[self.hidden : 2 * self.hidden].set(1) if self.name == "lstm" else bias

    def move(self, of_input: Array, of_hidden: Array, state: CellState) -> CellState:
        """Returns the next state.

        Args:
          of_input: x W + b, `[..., width]`.
          of_hidden: h U, `[..., width]`.
          state: leaves `[..., hidden]`.
        """
        if self.name == "lstm":
            i, f, g, o = jnp.split(of_input + of_hidden, 4, axis=-1)
            c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            return jax.nn.sigmoid(o) * jnp.tanh(c), c
        split = 2 * self.hidden
        r, u = jnp.split(jax.nn.sigmoid(of_input[..., :split] + of_hidden[..., :split]), 2, axis=-1)
        n = jnp.tanh(of_input[..., split:] + r * of_hidden[..., split:])
        return (n + u * (state[0] - n),)


def cell_of(name: CellName, hidden: int) -> Cell:
    """Returns a cell.

    Raises:
      ValueError: the name is unknown, or `hidden` is below 1.
    """
    if name not in get_args(CellName):
        raise ValueError(f"cell must be one of {get_args(CellName)}, got {name!r}")
    if hidden < 1:
        raise ValueError(f"hidden must be at least 1, got {hidden!r}")
    return Cell(hidden, name)


class Recurrent(nn.Module):
    """A sequence -> what a cell has read of it at each step, in either direction.

    The products with the inputs are computed for all time at once, outside the scan.

    Attributes:
      hidden: number of units.
      cell: "lstm" or "gru".
      backwards: whether to read from the end: the output of a step has then seen this step and all later ones.
    """

    hidden: int
    cell: CellName = "lstm"
    backwards: bool = False

    def setup(self) -> None:
        """Makes the products with inputs and with h."""
        self.unit = cell_of(self.cell, self.hidden)
        self.of_input = nn.Dense(self.unit.width, bias_init=lambda *_: self.unit.bias())
        self.of_hidden = self.param(
            "of_hidden", nn.initializers.lecun_normal(), (self.hidden, self.unit.width), jnp.float32
        )

    def __call__(self, x: Array, mask: Array) -> tuple[Array, CellState]:
        """Returns the outputs `[time, batch, hidden]`, and the state after the last step, leaves `[batch, hidden]`.

        The state stands still at the padding. A network that reads backwards therefore starts at each sequence's own
        end.

        Args:
          x: inputs without NaN, `[time, batch, d]`.
          mask: true at the steps of a sequence, false at its padding, `[time, batch]`.
        """
        products = on_rows(self.of_input, x)
        kernel = self.of_hidden

        def read(state: CellState, inputs: tuple[Array, Array]) -> tuple[CellState, Array]:
            product, on = inputs
            moved = self.unit.move(product, state[0] @ kernel, state)
            state = jax.tree.map(lambda new, old: jnp.where(on[:, None], new, old), moved, state)
            return state, state[0]

        start = self.unit.start(x.shape[1:-1])
        state, outputs = jax.lax.scan(read, start, (products, mask), reverse=self.backwards)
        return outputs, state

    def move(self, state: CellState, x: Array) -> CellState:
        """Returns the state after one more input x `[..., d]`; leaves `[..., hidden]`."""
        return self.unit.move(on_rows(self.of_input, x), state[0] @ self.of_hidden, state)
