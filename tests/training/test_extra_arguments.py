"""Optimizers that need the loss get it: its value, its gradient, and the function itself, in every way of training."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax_models.data.prepare import Prepared
from genjax_models.runs import checkpoints
from genjax_models.runs.configuration import Training
from genjax_models.runs.fit import fit
from genjax_models.runs.history import Progress
from genjax_models.training import data_mesh, data_parallel, loop_in_turn, loop_over_data, pmapped, trainer, vmapped
from genjax_models.types import Aux, Batch, Objective

KEY = jax.random.key(4)
CURVATURE = jnp.array([1.0, 10.0, 100.0])
DATA = Batch(jax.random.normal(jax.random.key(1), (24, 3)) + jnp.array([2.0, -1.0, 0.5]))
MEMBERS = jnp.array([0.5, 1.0, 2.0])


def bowl(scale=1.0, noise=0.0):
    """One player in a bowl whose minimum is the mean of the batch, moved by a draw of size `noise`."""

    def loss(players, key, batch, step):
        far = players["one"]["params"]["w"] - batch.x - noise * jax.random.normal(key, batch.x.shape)
        return scale * jnp.mean(jnp.sum(CURVATURE * far**2, axis=-1)) / 2, Aux()

    return Objective(lambda key, batch: {"one": {"params": {"w": jnp.zeros(3)}}}, {"one": loss}, lambda *_: None)


def spy():
    """Descends, and keeps the arguments that it was given beside the value and the gradient of `value_fn`."""

    def update(gradient, state, params, *, value, grad, value_fn):
        again, slope = jax.value_and_grad(value_fn)(params)
        forward = jax.linearize(value_fn, params)[1](params)
        seen = {
            "value": (value, value_fn(params), again),
            "gradient": (gradient, grad, slope),
            "slope": (forward, optax.tree.vdot(grad, params)),
        }
        return jax.tree.map(lambda g: -0.01 * g, gradient), seen

    def init(params):
        numbers, trees = (jnp.float32(0),) * 3, (jax.tree.map(jnp.zeros_like, params),) * 3
        return {"value": numbers, "gradient": trees, "slope": numbers[:2]}

    return optax.GradientTransformationExtraArgs(init, update)


def jitted(train, batch=DATA, steps=3):
    state = jax.jit(train.init)(KEY, batch)
    for _ in range(steps):
        state, metrics = jax.jit(train.step)(state, batch)
        jax.block_until_ready(metrics)
    return state, metrics


def on_two_devices(objective, optimizer, steps, **options):
    train = pmapped(objective, {"one": optimizer}, devices=2, **options)
    state = train.init(KEY, DATA)
    for _ in range(steps):
        state, metrics = train.step(state, DATA)
        jax.block_until_ready(metrics)
    for leaf in jax.tree.leaves((state.variables, state.opt_state)):
        np.testing.assert_array_equal(leaf[0], leaf[1])  # the devices have not moved apart
    return jax.tree.map(lambda a: a[0], (state, metrics))


def in_loop(objective, optimizer, steps):
    run = loop_over_data(trainer(objective, optimizer), batch_size=len(DATA.x), chunk=steps)
    return run(jax.jit(trainer(objective, optimizer).init)(KEY, DATA), DATA, steps)


WAYS = {
    "jitted": lambda objective, optimizer, steps: jitted(trainer(objective, optimizer), steps=steps),
    "two moves": lambda objective, optimizer, steps: jitted(
        trainer(objective, optimizer, updates={"one": 2}), steps=steps
    ),
    "in parts": lambda objective, optimizer, steps: jitted(
        trainer(objective, optimizer, accumulate={"one": 4}), steps=steps
    ),
    "in a loop": in_loop,
    "data parallel": lambda objective, optimizer, steps: jitted(
        data_parallel(trainer(objective, optimizer), data_mesh(2), shard_optimizer=True), steps=steps
    ),
    "pmapped": on_two_devices,
    "pmapped in parts": lambda *way: on_two_devices(*way, accumulate={"one": 4}),
}


def ways(*, quick, without=()):
    """The ways; those that are not quick are slow."""
    rows = []
    for name, way in WAYS.items():
        marks = [] if name in quick else [pytest.mark.slow]
        marks += [pytest.mark.four_devices] if "pmapped" in name or "parallel" in name else []
        rows += [] if name in without else [pytest.param(way, marks=marks, id=name)]
    return pytest.mark.parametrize("way", rows)


@ways(quick=("jitted", "in parts", "pmapped"))
def test_the_function_has_the_value_and_the_gradient_of_the_move(way):
    """Of the same key and share, whose noise another key would change."""
    state, metrics = way(bowl(noise=1.0), spy(), 3)
    for name, (first, *others) in state.opt_state["one"].items():
        for other in others:
            chex.assert_trees_all_close(first, other, rtol=1e-5, custom_message=name)
    if way is not WAYS["two moves"]:  # whose metric is the mean of both
        loss = metrics["one/loss"]
        np.testing.assert_allclose(state.opt_state["one"]["value"][0], loss[-1] if loss.ndim else loss, rtol=1e-6)


@ways(quick=("jitted",), without=("two moves",))  # two shares have two minima
def test_l_bfgs_reaches_the_minimum_of_a_quadratic(way):
    """The curvatures differ a hundredfold: plain descent would need hundreds of steps."""
    state, _ = way(bowl(), optax.lbfgs(), 12)
    np.testing.assert_allclose(state.variables["one"]["params"]["w"], jnp.mean(DATA.x, axis=0), atol=1e-4)


@pytest.mark.slow
def test_l_bfgs_is_that_of_optax():
    def loss(params):
        return bowl().losses["one"]({"one": {"params": params}}, KEY, DATA, 0)[0]

    @jax.jit
    def by_hand(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        change, state = optimizer.update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
        return optax.apply_updates(params, change), state

    optimizer, params = optax.lbfgs(), {"w": jnp.zeros(3)}
    state = optimizer.init(params)
    for _ in range(5):
        params, state = by_hand(params, state)
    ended, _ = jitted(trainer(bowl(), optax.lbfgs()), steps=5)
    np.testing.assert_allclose(ended.variables["one"]["params"]["w"], params["w"], rtol=1e-5)


@pytest.mark.slow
def test_members_search_on_their_own():
    """As each would alone, together and in turn: the search ends after another number of trials in each."""
    train_of = lambda scale: trainer(bowl(scale), optax.lbfgs())
    together = vmapped(train_of, MEMBERS)
    keys, batches = jax.random.split(KEY, 3), jax.tree.map(lambda a: jnp.stack([a] * 3), DATA)
    start = jax.jit(together.init)(keys, DATA)
    state, rows = start, jnp.broadcast_to(jnp.arange(24), (3, 4, 24))
    step = jax.jit(together.step)
    for _ in range(4):
        state, _ = step(state, batches)
    in_turn, _ = loop_in_turn(train_of, MEMBERS)(start, DATA, rows, 4)
    for i, scale in enumerate(MEMBERS):
        alone, _ = jitted(train_of(scale), steps=4)
        for members in (state, in_turn):
            found = members.variables["one"]["params"]["w"][i]
            np.testing.assert_allclose(found, alone.variables["one"]["params"]["w"], rtol=1e-4)


def hill(slope=0.0):
    """The gradient is one and the loss is the mean of x times the step, plus `slope` per step."""

    def loss(players, key, batch, step):
        w = players["one"]["params"]["w"]
        return w - jax.lax.stop_gradient(w) + (jnp.mean(batch.x) + slope) * step, Aux()

    return Objective(lambda key, batch: {"one": {"params": {"w": jnp.float32(0)}}}, {"one": loss}, lambda *_: None)


def halving():
    return optax.chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau(0.5, patience=2))


def test_a_plateau_halves_the_rate():
    """The first loss is the best. Every second one after it that is no better halves the rate, from that step on."""
    train = trainer(hill(), halving())
    level = Batch(jnp.zeros(4))
    state, at = jax.jit(train.init)(KEY, level), []
    for _ in range(6):
        state, _ = jax.jit(train.step)(state, level)
        at.append(float(state.variables["one"]["params"]["w"]))
    assert at == [-1, -2, -2.5, -3, -3.25, -3.5]


@pytest.mark.four_devices
def test_devices_see_the_mean_of_their_losses():
    """One falls and one rises; the mean is level. On its own the first would never halve its rate."""
    level = Batch(jnp.repeat(jnp.array([-1.0, 1.0]), 12))
    train = pmapped(hill(), {"one": halving()}, devices=2)
    state = train.init(KEY, level)
    for _ in range(6):
        state, _ = jax.block_until_ready(train.step(state, level))
    assert state.variables["one"]["params"]["w"].tolist() == [-3.5, -3.5]


def test_members_have_plateaus_of_their_own():
    train = vmapped(lambda slope: trainer(hill(slope), halving()), jnp.array([0.0, -1.0]))
    level = Batch(jnp.zeros(4))
    state = jax.jit(train.init)(jax.random.split(KEY, 2), level)
    for _ in range(6):
        state, _ = jax.jit(train.step)(state, jax.tree.map(lambda a: jnp.stack([a] * 2), level))
    assert state.variables["one"]["params"]["w"].tolist() == [-3.5, -6]


@pytest.mark.parametrize("optimizer", [pytest.param(optax.lbfgs, marks=pytest.mark.slow), halving])
def test_a_resumed_run_is_the_run_that_did_not_stop(optimizer, tmp_path):
    data = Prepared(DATA, DATA, DATA, lambda key, batch: batch, (0, 1))
    train = trainer(bowl(noise=0.1), optimizer())
    whole = fit(train, data, Training(6, 8, 3, 1), seed=3).state
    half = fit(train, data, Training(3, 8, 3, 1), seed=3)
    checkpoints.save(tmp_path, half.state, score=None, about={})
    stored = checkpoints.restore(tmp_path, jax.eval_shape(train.init, KEY, DATA), "last")
    resumed = fit(train, data, Training(6, 8, 3, 1), start=Progress(stored, half.history, {})).state
    assert jax.tree.all(jax.tree.map(np.array_equal, resumed._replace(key=0), whole._replace(key=0)))


@pytest.mark.parametrize("search", [pytest.param(optax.lbfgs, marks=pytest.mark.slow), optax.polyak_sgd, halving])
def test_a_search_is_traced_once_and_in_float64_too(search):
    train = trainer(bowl(), search())
    state, step = jax.jit(train.init)(KEY, DATA), jax.jit(train.step)
    for _ in range(2):
        state, _ = step(state, DATA)
    assert step._cache_size() == 1
    with jax.enable_x64(True):
        wide = Batch(np.asarray(DATA.x, np.float64))
        state = jax.eval_shape(train.init, KEY, wide)
        ended, _ = jax.eval_shape(train.step, state, wide)
        assert jax.tree.map(lambda a: a.dtype, ended) == jax.tree.map(lambda a: a.dtype, state)


def test_an_ordinary_optimizer_moves_as_if_there_were_no_arguments():
    """Bit for bit."""
    adam = optax.adam(0.1)
    plain = optax.GradientTransformation(adam.init, lambda gradient, state, params=None: adam.update(gradient, state))
    programs = [jax.jit(trainer(bowl(noise=1.0), one).step) for one in (adam, plain)]
    state = trainer(bowl(), plain).init(KEY, DATA)
    ends = [program(state, DATA) for program in programs]
    assert jax.tree.all(jax.tree.map(np.array_equal, ends[0][0]._replace(key=0), ends[1][0]._replace(key=0)))


def test_a_search_for_a_player_without_parameters_is_refused():
    def loss(players, key, batch, step):
        return jnp.mean(batch.x), Aux(variables={"one": {"chain": -players["one"]["chain"]}})

    game = Objective(lambda key, batch: {"one": {"chain": jnp.int8(1)}}, {"one": loss}, lambda *_: None)
    with pytest.raises(ValueError, match=r"optimizers\['one'\] needs a player with parameters, and 'one' has none"):
        trainer(game, optax.lbfgs()).init(KEY, DATA)
    assert jitted(trainer(game, halving()))[0].variables["one"]["chain"] == -1  # three moves of 1
