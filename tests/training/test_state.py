"""Players that hold state in place of parameters, and batches whose every field travels."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.training import data_mesh, data_parallel, pmapped, vmapped
from genjax_models.types import Aux, Batch, Objective

KEY = jax.random.key(5)
DATA = Batch(
    x=jnp.arange(24.0).reshape(24, 1),
    label=jnp.arange(24) % 3,
    length=jnp.arange(24, dtype=jnp.int32) + 1,
    factors=jnp.arange(48.0).reshape(24, 2),
)


def flipped(key, chains):
    """A Gibbs-like move: each int8 spin flips with probability one half."""
    return jnp.where(jax.random.bernoulli(key, 0.5, chains.shape), -chains, chains)


def spins(with_params=False):
    """A player "energy" with params, and "chains" that its own loss moves and that `energy` reads."""

    def init(key, batch):
        chains = {"chains": jax.random.rademacher(key, (8, 3), jnp.int8)}
        if with_params:
            chains["params"] = {"w": jnp.ones(3)}
        return {
            "sampler": chains,
            "energy": {"params": {"b": jnp.zeros(3)}},
            "frozen": {"table": jnp.arange(4, dtype=jnp.int32)},
        }

    def sampler(players, key, batch, step):
        chains = flipped(key, players["sampler"]["chains"])
        value = jnp.mean(chains.astype(jnp.float32))
        return value, Aux({"up": value}, {"sampler": {"chains": chains}})

    def energy(players, key, batch, step):
        b = players["energy"]["params"]["b"]
        return jnp.mean(batch.x) * jnp.sum(b**2) - jnp.mean(players["sampler"]["chains"] @ b), Aux()

    return Objective(init, {"sampler": sampler, "energy": energy}, lambda players, key, n, *, label=None: jnp.zeros(n))


def trained(objective, **options):
    return gx.trainer(objective, dict.fromkeys(objective.losses, optax.adam(0.01)), **options)


def test_chains_move_under_scan_and_stay_int8():
    train = trained(spins(), average={"sampler": 0.9, "energy": 0.9})
    state = train.init(KEY, DATA)
    start = jax.tree.map(np.asarray, state.variables)
    assert set(jax.tree.leaves(state.opt_state["sampler"])[0].shape) == set()  # only Adam's counter
    run = gx.loop_over_data(train, batch_size=6, chunk=5)
    ended, metrics = run(state, DATA, 5)
    chains = np.asarray(ended.variables["sampler"]["chains"])
    assert chains.dtype == np.int8
    assert set(np.unique(chains)) == {-1, 1}
    assert not np.array_equal(chains, start["sampler"]["chains"])
    assert "params" not in ended.variables["sampler"]
    np.testing.assert_array_equal(ended.variables["frozen"]["table"], np.arange(4))
    np.testing.assert_array_equal(ended.average["sampler"]["chains"], chains)  # bit for bit
    assert "sampler/gradient_norm" not in metrics
    assert "energy/gradient_norm" in metrics
    one_by_one = train.init(KEY, DATA)
    for _ in range(5):
        one_by_one, _ = run(one_by_one, DATA, 1)
    chex.assert_trees_all_equal(ended.variables, one_by_one.variables)


@pytest.mark.parametrize("simultaneous", [False, True])
def test_chains_move_at_every_one_of_several_moves(simultaneous):
    train = trained(spins(), updates={"sampler": 3}, simultaneous=simultaneous)
    state = train.init(KEY, DATA)
    after, _ = jax.jit(train.step)(state, DATA)
    chains, key = state.variables["sampler"]["chains"], jax.random.fold_in(state.key, 0)
    for move in jax.random.split(jax.random.fold_in(key, 0), 3):
        chains = flipped(move, chains)
    np.testing.assert_array_equal(after.variables["sampler"]["chains"], chains)


def test_chains_beside_params_keep_both():
    train = trained(spins(with_params=True))
    state = train.init(KEY, DATA)
    after, _ = jax.jit(train.step)(state, DATA)
    np.testing.assert_array_equal(after.variables["sampler"]["params"]["w"], np.ones(3))
    assert not np.array_equal(after.variables["sampler"]["chains"], state.variables["sampler"]["chains"])


def scalar_chain():
    """One int8 per member: no counter, though it is an integer `[members]` as counters are."""

    def loss(players, key, batch, step):
        chain = players["one"]["chain"]
        return chain.astype(jnp.float32) + jnp.mean(batch.x), Aux(variables={"one": {"chain": -chain}})

    def init(key, batch):
        return {"one": {"chain": jax.random.rademacher(key, (), jnp.int8)}}

    return Objective(init, {"one": loss}, lambda players, key, n, *, label=None: jnp.zeros(n))


@pytest.mark.parametrize("objective", [spins, scalar_chain])
def test_members_have_chains_of_their_own(objective):
    train, alone = vmapped(lambda _: trained(objective()), {}), trained(objective())
    keys = jax.random.split(KEY, 6)
    batch = jax.tree.map(lambda a: jnp.broadcast_to(a, (6, *a.shape)), DATA)
    state = jax.jit(lambda keys: jax.vmap(lambda k: alone.init(k, DATA))(keys))(keys)
    for _ in range(3):
        state, _ = jax.jit(train.step)(state, batch)
    for i, key in enumerate(keys):
        mine = alone.init(key, DATA)
        for _ in range(3):
            mine, _ = jax.jit(alone.step)(mine, DATA)
        member = jax.tree.map(lambda a, i=i: a[i], state.variables)
        chex.assert_trees_all_close(member, mine.variables, rtol=1e-6)


@pytest.mark.four_devices
@pytest.mark.parametrize("devices", [2, 4])
def test_chains_on_many_devices_are_the_chains_of_one(devices):
    alone = trained(spins())
    spread = data_parallel(alone, data_mesh(devices))
    one, many = jax.jit(alone.init)(KEY, DATA), jax.jit(spread.init)(KEY, DATA)
    for _ in range(3):
        one, _ = jax.jit(alone.step)(one, DATA)
        many, metrics = jax.jit(spread.step)(many, DATA)
        jax.block_until_ready(metrics)
    np.testing.assert_array_equal(one.variables["sampler"]["chains"], many.variables["sampler"]["chains"])
    assert many.variables["sampler"]["chains"].sharding.is_fully_replicated


@pytest.mark.four_devices
@pytest.mark.parametrize("with_params", [False, True])
def test_pmapped_refuses_chains(with_params):
    objective = spins(with_params)
    objective = objective._replace(
        init=lambda key, batch: {k: v for k, v in spins(with_params).init(key, batch).items() if k != "frozen"}
    )
    train = pmapped(objective, dict.fromkeys(objective.losses, optax.sgd(0.1)), devices=2)
    with pytest.raises(ValueError, match=r"cannot average the state 'chains' of player 'sampler'.*int8.*data_parallel"):
        train.init(KEY, DATA)


def recorder():
    """A loss that records the sums of every field of its batch, and learns nothing."""

    def loss(players, key, batch, step):
        metrics = {
            "x": jnp.sum(batch.x),
            "label": jnp.sum(batch.label * batch.x[:, 0]),  # which label stands beside which x
            "length": jnp.sum((batch.length - 1) * batch.x[:, 0]),
            "factors": jnp.sum(batch.factors[:, 0] * batch.x[:, 0]),
        }
        return 0.0 * players["point"]["params"]["theta"], Aux(metrics)

    return Objective(
        lambda key, batch: {"point": {"params": {"theta": jnp.float32(0)}}},
        {"point": loss},
        lambda players, key, n, *, label=None: jnp.zeros(n),
    )


def assert_recorded(metrics, rows):
    """`rows` `[..., batch]`: each field of an example is a function of its row."""
    rows = np.asarray(rows, np.float64)
    for name, value in {
        "x": rows.sum(-1),
        "label": (rows % 3 * rows).sum(-1),
        "length": (rows * rows).sum(-1),
        "factors": (2 * rows * rows).sum(-1),
    }.items():
        np.testing.assert_allclose(metrics[f"point/{name}"], value, rtol=1e-6, err_msg=name)


def test_fields_travel_through_shares():
    train = gx.trainer(recorder(), {"point": optax.sgd(0.1)}, updates={"point": 3})
    _, metrics = jax.jit(train.step)(train.init(KEY, DATA), DATA)
    assert_recorded({name: 3 * value for name, value in metrics.items()}, np.arange(24))


def test_fields_travel_through_loops():
    train = gx.trainer(recorder(), {"point": optax.sgd(0.1)})
    state = train.init(KEY, DATA)
    rows = gx.training.batch_rows(state.key, state.step, 4, 24, 6)
    prepare = lambda key, batch: batch._replace(x=batch.x + 0.0)
    _, metrics = gx.loop_over_data(train, batch_size=6, chunk=4, prepare=prepare)(state, DATA, 4)
    assert_recorded(metrics, rows)
    stream = jax.tree.map(lambda a: a[rows], DATA)
    _, metrics = gx.training.loop_over_chunk(train, prepare=prepare)(train.init(KEY, DATA), stream)
    assert_recorded(metrics, rows)


def test_fields_travel_to_members():
    train = vmapped(lambda _: gx.trainer(recorder(), {"point": optax.sgd(0.1)}), {})
    state = train.init(jax.random.split(KEY, 3), DATA)
    run = gx.loop_over_data(train, batch_size=6, chunk=2)
    rows = jax.vmap(lambda key: gx.training.batch_rows(key, jnp.int32(0), 2, 24, 6))(state.key)
    _, metrics = run(state, DATA, 2)
    assert_recorded(metrics, np.asarray(rows).swapaxes(0, 1))


@pytest.mark.four_devices
@pytest.mark.parametrize("devices", [2, 4])
def test_fields_travel_to_devices(devices):
    mesh = data_mesh(devices)
    train = data_parallel(gx.trainer(recorder(), {"point": optax.sgd(0.1)}), mesh)
    _, metrics = jax.jit(train.step)(jax.jit(train.init)(KEY, DATA), DATA)
    assert_recorded(metrics, np.arange(24))
    by_pmap = pmapped(recorder(), {"point": optax.sgd(0.1)}, devices=devices)
    _, metrics = by_pmap.step(by_pmap.init(KEY, DATA), DATA)
    assert_recorded({name: devices * value[0] for name, value in metrics.items()}, np.arange(24))


def test_the_fields_that_a_batch_lacks_stay_none():
    batch = Batch(DATA.x)
    assert batch == (DATA.x, None, None, None)
    train = gx.trainer(
        recorder()._replace(
            losses={"point": lambda p, key, b, step: (0.0 * p["point"]["params"]["theta"], Aux({"x": jnp.sum(b.x)}))}
        ),
        {"point": optax.sgd(0.1)},
    )
    _, metrics = jax.jit(train.step)(train.init(KEY, batch), batch)
    np.testing.assert_allclose(metrics["point/x"], 276.0)
