"""The compiled loop: every epoch a permutation, every chunking the same run, a bad step the last one."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax_models.training import BatchRows, batch_rows, first_failure, loop_over_chunk, loop_over_data, trainer
from genjax_models.types import Aux, Batch
from tests.training.games import adversarial, batch_of, quadratic

KEY = jax.random.key(3)
DATA = Batch(np.arange(23, dtype=np.float32), np.arange(23, dtype=np.int32))


def point(**options):
    return trainer(quadratic(), {"point": optax.adam(0.1)}, **options)


def recorder():
    """A trainer that reports the batch it was given, and learns nothing."""

    def loss(variables, key, batch, step):
        value = 0.0 * variables["point"]["params"]["theta"]
        return value, Aux({"x": batch.x.astype(jnp.float32), "label": batch.label, "noise": jax.random.normal(key)})

    return trainer(quadratic()._replace(losses={"point": loss}), {"point": optax.sgd(0.1)})


def test_every_epoch_is_another_permutation_without_its_remainder():
    rows = np.asarray(batch_rows(KEY, jnp.int32(0), 15, 23, 4))
    epochs = rows.reshape(3, 20)
    for epoch in epochs:
        assert len(set(epoch)) == 20
        assert set(epoch) <= set(range(23))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[1], epochs[2])


compiled_rows = jax.jit(batch_rows, static_argnums=(2, 3, 4))


@pytest.mark.parametrize("start", [0, 1, 4, 5, 7, 23])
def test_rows_depend_on_the_step_alone(start):
    whole = np.asarray(compiled_rows(KEY, jnp.int32(0), 40, 23, 4))
    for length in (1, 2, 5, 6, 17):
        rows = compiled_rows(KEY, jnp.int32(start), length, 23, 4)
        np.testing.assert_array_equal(rows, whole[start : start + length])


def test_a_batch_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="batch of 24 does not fit into 23"):
        batch_rows(KEY, jnp.int32(0), 1, 23, 24)


def test_batches_are_those_rows_prepared_with_their_own_keys():
    seen = []

    def prepare(key, batch):
        assert batch.x.dtype == jnp.uint8  # stored values, until they are used
        return batch._replace(x=batch.x + 100.0 * jax.random.bernoulli(key, 0.5, batch.x.shape))

    train = recorder()
    run = loop_over_data(train, batch_size=4, prepare=prepare, chunk=8)
    state = train.init(KEY, batch_of([0.0]))
    rows = np.asarray(batch_rows(state.key, jnp.int32(0), 8, 23, 4))
    _, metrics = run(state, DATA._replace(x=DATA.x.astype(np.uint8)), 8)
    np.testing.assert_array_equal(metrics["point/label"], rows)
    np.testing.assert_array_equal(np.asarray(metrics["point/x"]) % 100, rows)
    drawn = np.asarray(metrics["point/x"]) >= 100
    assert len({tuple(row) for row in drawn}) > 3  # another draw in another step
    seen += list(np.asarray(metrics["point/noise"]))
    assert len(set(seen)) == 8


@pytest.mark.parametrize(
    "lengths", [[12], [7, 0, 5], *(pytest.param(n, marks=pytest.mark.slow) for n in ([1] * 12, [5, 7], [11, 1]))]
)
def test_every_chunking_is_the_same_run_bit_for_bit(lengths):
    train = trainer(adversarial(), {p: optax.adam(0.01) for p in ("discriminator", "generator")})
    data = Batch(jax.random.normal(KEY, (20, 3)))
    run = loop_over_data(train, batch_size=6, chunk=12)

    def whole(lengths):
        state, rows = train.init(KEY, data), []
        for length in lengths:
            state, metrics = run(state, data, length)
            rows.append(jax.tree.map(lambda a, n=length: np.asarray(a)[:n], metrics))
        return state, jax.tree.map(lambda *a: np.concatenate(a), *rows)

    chex.assert_trees_all_equal(whole(lengths), whole([12]))


def test_one_trace_serves_chunks_of_every_length():
    traced = []
    game = quadratic()

    def loss(*arguments):
        traced.append(1)
        return game.losses["point"](*arguments)

    train = trainer(game._replace(losses={"point": loss}), {"point": optax.sgd(0.1)})
    run = loop_over_data(train, batch_size=4, chunk=10)
    state, _ = run(train.init(KEY, batch_of([0.0])), DATA, 0)
    assert int(state.step) == 0
    once = len(traced)
    assert once == 1
    for length in (1, 2, 10, 3):
        state, _ = run(state, DATA, length)
    assert int(state.step) == 16
    assert len(traced) == once


@pytest.mark.parametrize("length", [-1, 11])
def test_a_chunk_that_the_loop_does_not_hold_is_refused(length):
    run = loop_over_data(point(), batch_size=4, chunk=10)
    with pytest.raises(ValueError, match="between 0 and the loop's chunk of 10"):
        run(point().init(KEY, batch_of([0.0])), DATA, length)


def test_a_stream_of_the_same_batches_is_the_same_run():
    train = point()
    state = train.init(KEY, batch_of([0.0]))
    rows = batch_rows(state.key, jnp.int32(0), 9, 23, 4)
    stream = jax.tree.map(lambda a: jnp.asarray(a)[rows], DATA)
    ended, metrics = loop_over_chunk(train)(train.init(KEY, batch_of([0.0])), stream)
    expected, same = loop_over_data(train, batch_size=4, chunk=9)(state, DATA, 9)
    chex.assert_trees_all_close((ended.variables, metrics), (expected.variables, same), rtol=1e-6)


def test_of_a_stacked_chunk_as_many_steps_are_made_as_are_asked_for_and_one_trace_serves_all():
    traced = []
    stream = Batch(jnp.arange(36.0).reshape(9, 4))
    prepare = lambda key, batch: traced.append(1) or batch
    run, train = loop_over_chunk(point(), prepare=prepare), point()
    whole, _ = run(train.init(KEY, batch_of([0.0])), stream)
    once = len(traced)
    state = train.init(KEY, batch_of([0.0]))
    for start, count in ((0, 0), (0, 4), (4, 1), (5, 4)):
        padded = jnp.concatenate(
            [stream.x[start:], jnp.full((start, 4), jnp.nan)]
        )  # behind what counts stands anything
        state, metrics = run(state, Batch(padded), count)
        assert np.isfinite(metrics["point/loss"][:count]).all()
    chex.assert_trees_all_equal(state._replace(key=0), whole._replace(key=0))
    assert len(traced) == once
    for count in (-1, 10):
        with pytest.raises(ValueError, match=f"between 0 and the chunk's 9, got {count}"):
            run(state, stream, count)


def test_fault_28_the_donated_state_is_gone_and_the_step_donates_nothing():
    train = point()
    state = train.init(KEY, batch_of([0.0]))
    jax.jit(train.step)(state, batch_of([1.0]))
    assert float(state.variables["point"]["params"]["theta"]) == pytest.approx(0.3)
    loop_over_data(train, batch_size=4)(state, DATA, 1)
    with pytest.raises(RuntimeError, match="deleted"):
        float(state.variables["point"]["params"]["theta"])


FAULTS = {
    "a loss": (lambda theta, bad: theta**2 + jnp.where(bad, jnp.inf, 0.0), ["point/loss"]),
    "a gradient": (
        lambda theta, bad: theta**2 + jnp.sqrt(jnp.where(bad, 0.0, 1.0) * theta**2),
        ["point/gradient_norm"],
    ),
    "both": (lambda theta, bad: jnp.where(bad, jnp.nan, 1.0) * theta**2, ["point/gradient_norm", "point/loss"]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [0, 3, pytest.param(6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("gradient_norm", [True, False])
def test_the_state_stays_as_it_was_before_the_first_step_that_is_not_finite(fault, at, gradient_norm):
    value, names = FAULTS[fault]
    names = [name for name in names if gradient_norm or name != "point/gradient_norm"]

    def game(at):
        def loss(variables, key, batch, step):
            return value(variables["point"]["params"]["theta"], step == at), Aux()

        objective = quadratic()._replace(losses={"point": loss})
        return trainer(objective, {"point": optax.adam(0.1)}, gradient_norm=gradient_norm)

    def run(at, length):
        train = game(at)
        return loop_over_data(train, batch_size=4, chunk=10)(train.init(KEY, batch_of([0.0])), DATA, length)

    state, metrics = run(at, 10)
    healthy, none = run(-1, at)
    chex.assert_trees_all_equal(state, healthy)
    # Where only the variables show it, no metric does: the losses of later steps are not the culprit.
    assert first_failure(jax.tree.map(np.asarray, metrics)) == ((at, names) if names else None)
    assert first_failure(jax.tree.map(np.asarray, none)) is None


@pytest.mark.parametrize("used", [0, 1, 3, 4, 11])
def test_used_rows_are_the_rows_of_the_whole_chunk(used):
    """Epochs of 4 steps from step 2 on: what lies in epochs behind the last used step is not permuted."""
    key = jax.random.key(5)
    whole = batch_rows(key, 2, 12, 17, 4)
    some = jax.jit(lambda used: batch_rows(key, 2, 12, 17, 4, used))(used)
    np.testing.assert_array_equal(some[:used], whole[:used])
    touched = 4 * ((2 + used - 1) // 4 + 1) - 2
    for rows, all_rows in zip(some[touched:], whole[touched:], strict=True):
        assert np.all(np.diff(rows) == 1)
        assert np.any(rows != all_rows)


@pytest.mark.parametrize(("size", "chunk"), [(17, 3), (17, 11), (4, 3)])
def test_the_rows_of_chunks_are_those_of_the_run_and_an_epoch_is_permuted_once(size, chunk):
    keys = jax.random.split(jax.random.key(5), 2)
    feed = BatchRows(keys, size=size, batch_size=4, chunk=chunk)
    permuted, batches = [], feed._batches
    feed._batches = lambda key, epoch: permuted.append(int(epoch)) or batches(key, epoch)
    step = 0
    for count in [0, 1, chunk, 2, chunk, 1, 2]:
        for _ in range(2):  # a chunk may be asked for again
            rows = feed(step, count)
            assert rows.shape == (2, chunk, 4)
            for key, own in zip(keys, rows, strict=True):
                np.testing.assert_array_equal(own[:count], compiled_rows(key, jnp.int32(step), chunk, size, 4)[:count])
        step += count
    assert permuted == list(range((step - 1) // (size // 4) + 1))
