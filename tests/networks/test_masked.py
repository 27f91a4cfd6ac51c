"""Masks, exact dependencies and sums of probabilities; numbers from the oracle `o15_sequences` (made)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.networks.masked import MaskedDense
from genjax_models.networks.outputs import Output

DEGREES = (1, 2, 3, 1, 2, 3, 3)
BINARY = np.array(list(itertools.product([0, 1], repeat=4)), np.float32)  # in counting order
LOG_P = {
    (1, 2, 3, 4): [
        -2.967358693115463, -4.088508352532051, -3.0346329790168243, -2.287332990328469, -1.8698894857631592,
        -3.7024994804833637, -2.3044570489387715, -2.373731430100923, -7.0189075623130055, -5.557836643704816,
        -4.459880884389361, -1.0608174253551885, -7.564680614782374, -6.150574021268577, -6.185810270745758,
        -3.1414052986387246,
    ],
    (3, 1, 4, 2): [
        -3.0603126644013923, -2.5205971244587304, -2.2673978387124123, -4.110190565346762, -2.9863288590048525,
        -5.867942613132033, -7.327368995049699, -12.75654516971984, -5.557414371329735, -3.5263092544743038,
        -1.9760151244363764, -2.745830193197627, -1.125931809336394, -3.780676338427469, -2.16666026021033,
        -6.94477325293105,
    ],
}  # fmt: skip
SUM_IF_NOT_STRICT = {(1, 2, 3, 4): 0.5983829420178687, (3, 1, 4, 2): 1.0683420507788068}
ORDERS = list(LOG_P)


def wave(k, shape, scale):
    return jnp.float32(scale * np.sin(k + 1.3 * np.arange(np.prod(shape)))).reshape(shape)


def log_p_of_oracle(order, strict=True):
    first = {"params": {"kernel": wave(21, (4, 7), 1.6), "bias": wave(22, (7,), 0.4)}}
    last = {"params": {"kernel": wave(23, (7, 4), 1.6), "bias": wave(24, (4,), 0.4)}}
    a = MaskedDense(order, DEGREES).apply(first, BINARY)
    logits = MaskedDense(DEGREES, order, strict=strict).apply(last, jax.nn.relu(a) + 0.3 * a)
    return gx.bernoulli((4,)).distribution({"logits": logits}).log_prob(BINARY)


@pytest.mark.parametrize("order", ORDERS)
def test_masked_layers_have_the_log_probabilities_of_the_oracle(order):
    np.testing.assert_allclose(log_p_of_oracle(order), LOG_P[order], rtol=1e-5)
    assert np.exp(log_p_of_oracle(order)).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_an_output_that_sees_its_own_input_is_seen(order):
    assert np.exp(log_p_of_oracle(order, strict=False)).sum() == pytest.approx(SUM_IF_NOT_STRICT[order], abs=1e-5)


def made(order, hidden=(7, 9), shape=(2, 2), emits=None, condition=None, activation=jax.nn.relu):
    """Returns a MADE and variables with large biases, so that no unit is off for all inputs."""
    network = gx.MADE(shape, gx.bernoulli(shape).outputs if emits is None else emits, hidden, order, activation)
    lead = (1,) if condition is None else condition.shape[:-1]
    variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros((*lead, *shape)), condition)
    noise = lambda path, leaf: leaf + jax.random.normal(jax.random.key(len(str(path))), leaf.shape)
    return network, jax.tree_util.tree_map_with_path(noise, variables)


def seen(network, variables, size, shape, name):
    """Returns whether output j sees input i, `[in, out]`: the union over many inputs, as ReLU hides some."""
    x = jax.random.normal(jax.random.key(1), (64, *shape))
    jacobian = jax.jit(jax.vmap(jax.jacobian(lambda x: network.apply(variables, x)[name])))(x)
    return np.any(np.reshape(jacobian, (64, -1, size)) != 0, axis=0).T


@pytest.mark.parametrize(
    ("order", "hidden", "activation"),
    [
        ((1, 2, 3, 4), (), jax.nn.relu),
        ((3, 1, 4, 2), (7,), jax.nn.relu),
        ((1, 2, 3, 4), (7, 9), jax.nn.relu),
        ((3, 1, 4, 2), (5, 3, 6), jax.nn.tanh),  # a unit per degree, which ReLU may turn off for all inputs
    ],
)
def test_each_output_sees_all_numbers_before_it_and_no_other(order, hidden, activation):
    before = np.array(order)[:, None] < np.array(order)[None]
    np.testing.assert_array_equal(seen(*made(order, hidden, activation=activation), 4, (2, 2), "logits"), before)


def test_few_units_are_spread_over_all_places():
    """Degrees 1, 4 and 7: in turn they would be 1, 2 and 3, and no output would see the numbers after the third."""
    reach = seen(*made(None, (3,), (8,), activation=jax.nn.tanh), 8, (8,), "logits")
    np.testing.assert_array_equal(reach.sum(axis=0), [0, 1, 1, 1, 4, 4, 4, 7])


def test_several_parameters_per_number_see_the_same_numbers():
    emits = {"mean": Output((2, 2)), "logits": Output((2, 2, 3)), "scale": Output((), of_input=False)}
    network, variables = made((3, 1, 4, 2), emits=emits)
    before = np.array((3, 1, 4, 2))[:, None] < np.array((3, 1, 4, 2))[None]
    np.testing.assert_array_equal(seen(network, variables, 4, (2, 2), "logits"), np.repeat(before, 3, axis=1))
    out = jax.jit(network.apply)(variables, jnp.zeros((5, 6, 2, 2)))
    assert {name: array.shape for name, array in out.items()} == {
        "mean": (5, 6, 2, 2), "logits": (5, 6, 2, 2, 3), "scale": (),
    }  # fmt: skip


@pytest.mark.parametrize(("size", "conditional"), [(1, False), (5, False), (5, True)])
def test_probabilities_of_all_binary_vectors_sum_to_one(size, conditional):
    x = np.array(list(itertools.product([0, 1], repeat=size)), np.float32)
    condition = jax.random.normal(jax.random.key(2), (3, 1, 2)) if conditional else None
    network, variables = made(None, shape=(size,), condition=condition)
    x = np.broadcast_to(x, (3, *x.shape))
    logits = jax.jit(network.apply)(variables, x, condition)
    log_p = gx.bernoulli((size,)).distribution(logits).log_prob(x)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), np.ones(3), rtol=1e-5)
    assert conditional == (not np.allclose(log_p[0], log_p[1]))


def test_what_has_no_order_is_refused():
    with pytest.raises(ValueError, match=r"`order` must be a permutation of 1 to 4, got \(0, 1, 2, 3\)"):
        made((0, 1, 2, 3))
    with pytest.raises(ValueError, match=r"`emits` must start with \(2, 2\), got \(4,\) for 'mean'"):
        made(None, emits={"mean": Output((4,))})
    with pytest.raises(ValueError, match=r"`x` must have 2 numbers in its last axis, got \(1, 3\)"):
        MaskedDense((1, 2), (1,)).init(jax.random.key(0), jnp.zeros((1, 3)))
