"""The forms of a compiled loop make the same steps, bit for bit, and only a block's length is known to the compiler."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.training import first_failure, loop
from genjax_models.types import Aux, Batch
from tests.training.games import batch_of, quadratic

KEY = jax.random.key(3)
CHUNK, BLOCK = 10, 3  # three blocks of at most four steps, and a remainder of one
NEVER = -1


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(loop, "_BLOCK", 4)


def examples(fails_at=NEVER):
    """Returns 23 examples, and in the place of labels the step whose loss is infinite."""
    return Batch(np.arange(23, dtype=np.float32), np.full(23, fails_at, np.int32))


@functools.cache
def game(members=False):
    original = quadratic().losses["point"]

    def loss(variables, key, batch, step):
        value, _ = original(variables, key, batch, step)
        return value + jnp.where(step == batch.label[0], jnp.inf, 0.0), Aux({"noise": jax.random.normal(key)})

    train = gx.trainer(quadratic()._replace(losses={"point": loss}), {"point": optax.adam(0.1)})
    return gx.training.vmapped(lambda _: train, {}) if members else train


@functools.cache
def compiled(form, members=False):
    return gx.loop_over_data(game(members), batch_size=4, chunk=CHUNK, form=form)


def run_in(form, lengths, *, members=False, fails_at=NEVER):
    """Returns the state after calls of these lengths, and their metrics."""
    state = game(members).init(jax.random.split(KEY, 2) if members else KEY, batch_of([0.0]))
    rows = []
    for length in lengths:
        state, metrics = compiled(form, members)(state, examples(fails_at), length)
        rows.append(metrics)
    return state, rows


@pytest.mark.parametrize("form", ["blocks", "graph"])
@pytest.mark.parametrize("members", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_calls_of_every_length_are_the_same_in_every_form(form, members):
    """A whole chunk, blocks without a remainder, a remainder without a block, no step, and both."""
    lengths = [CHUNK, 2 * BLOCK, BLOCK - 1, 0, 2 * BLOCK + 1]
    chex.assert_trees_all_equal(run_in(form, lengths, members=members), run_in("steps", lengths, members=members))


@pytest.mark.parametrize("form", ["blocks", "graph"])
def test_streamed_chunks_are_the_same_in_every_form(form):
    stream = Batch(jax.random.normal(KEY, (CHUNK, 4)), np.full((CHUNK, 4), NEVER))

    def states(form):
        run = gx.training.loop_over_chunk(game(), form=form)
        return [run(game().init(KEY, batch_of([0.0])), stream, count) for count in (None, 2 * BLOCK + 1)]

    chex.assert_trees_all_equal(states(form), states("steps"))


@pytest.mark.parametrize("at", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 1, CHUNK - 1])
def test_blocks_end_with_the_state_before_the_failed_step(at):
    """First of all steps, last of a block, first of a block, inside one, and in the remainder."""
    state, (metrics,) = run_in("blocks", [CHUNK], fails_at=at)
    healthy, _ = run_in("blocks", [at])
    assert int(state.step) == at
    chex.assert_trees_all_equal(state, healthy)
    assert first_failure(jax.tree.map(np.asarray, metrics)) == (at, ["point/loss"])
    chex.assert_trees_all_equal((state, [metrics]), run_in("steps", [CHUNK], fails_at=at))


def test_one_trace_of_blocks_serves_calls_of_every_length():
    traced = []
    run = gx.loop_over_data(
        game(), batch_size=4, chunk=CHUNK, form="blocks", prepare=lambda key, batch: traced.append(1) or batch
    )
    state, _ = run(game().init(KEY, batch_of([0.0])), examples(), 0)
    assert int(state.step) == 0
    once = len(traced)
    for length in (1, BLOCK, CHUNK, BLOCK + 1):
        state, _ = run(state, examples(), length)
    assert int(state.step) == 18
    assert len(traced) == once


@pytest.mark.parametrize(("form", "lengths"), [("steps", []), ("blocks", [str(BLOCK)]), ("graph", [])])
def test_the_compiler_knows_the_length_of_a_block(form, lengths, monkeypatch):
    jit, programs = jax.jit, []
    monkeypatch.setattr(jax, "jit", lambda f, **options: programs.append(jit(f, **options)) or programs[-1])
    gx.training.loop_over_chunk(game(), form=form)
    stream = Batch(np.zeros((CHUNK, 4), np.float32), np.zeros((CHUNK, 4), np.int32))
    text = programs[0].lower(game().init(KEY, batch_of([0.0])), stream, CHUNK).compile().as_text()
    loops = [line for line in text.splitlines() if re.search(rf"f32\[{CHUNK}\].* while\(", line)]
    assert len(loops) > 1
    assert [n for line in loops for n in re.findall(r'"known_trip_count":\{"n":"(\d+)"', line)] == lengths


@pytest.mark.parametrize(("platform", "form"), [("cpu", "steps"), ("tpu", "steps"), ("gpu", "blocks")])
def test_the_platform_chooses_the_form(platform, form, monkeypatch):
    forms = []
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(loop, "_compiled", lambda function, form: forms.append(form))
    gx.loop_over_data(game(), batch_size=4)
    gx.training.loop_over_chunk(game())
    assert forms == [form, form]


def test_another_form_is_refused():
    with pytest.raises(ValueError, match="form must be one of steps, blocks, graph, got 'rolled'"):
        gx.loop_over_data(game(), batch_size=4, form="rolled")
    with pytest.raises(ValueError, match="got 'rolled'"):
        gx.training.loop_over_chunk(game(), form="rolled")
