"""Recurrent cells by their formulas, and networks that read unequal sequences in either direction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.networks.recurrent import Recurrent, cell_of

KEY = jax.random.key(2)
MASK = np.arange(4)[:, None] < np.array([4, 2, 1])[None]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_hand(cell, x, h, c, of_input, kernel):
    """One step of both cells in numpy, gate by gate."""
    a = x @ np.asarray(of_input["kernel"]) + np.asarray(of_input["bias"])
    columns = np.split(np.asarray(kernel), kernel.shape[1] // len(kernel), axis=1)
    a = np.split(a, len(columns), axis=-1)
    if cell == "lstm":
        i, f, g, o = (part + h @ column for part, column in zip(a, columns, strict=True))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    r, u = (sigmoid(a[j] + h @ columns[j]) for j in range(2))
    return u * h + (1 - u) * np.tanh(a[2] + r * (h @ columns[2])), c


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("backwards", [False, True])
def test_each_sequence_is_read_from_its_own_start_by_the_formulas(cell, backwards):
    network = Recurrent(3, cell, backwards)
    x = jax.random.normal(KEY, (4, 3, 2))
    variables = jax.jit(network.init)(KEY, x, MASK)
    params = variables["params"]
    outputs, state = network.apply(variables, x, MASK)
    for row, length in enumerate([4, 2, 1]):
        h = c = np.zeros(3)
        for t in range(length)[:: -1 if backwards else 1]:
            h, c = by_hand(cell, np.asarray(x[t, row]), h, c, params["of_input"], params["of_hidden"])
            np.testing.assert_allclose(outputs[t, row], h, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(state[0][row], h, rtol=1e-5, atol=1e-6)
    one = network.apply(variables, cell_of(cell, 3).start((3,)), x[0], method="move")
    expected = by_hand(cell, np.asarray(x[0]), np.zeros((3, 3)), 0.0, params["of_input"], params["of_hidden"])
    np.testing.assert_allclose(one[0], expected[0], rtol=1e-5, atol=1e-6)


def test_forget_gates_start_open_and_unknown_cells_are_refused():
    np.testing.assert_array_equal(cell_of("lstm", 2).bias(), [0, 0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(cell_of("gru", 2).bias(), jnp.zeros(6))
    with pytest.raises(ValueError, match="cell must be one of .*, got 'rnn'"):
        cell_of("rnn", 2)
