"""One step on many devices is the step on one."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.models.implicit import ImplicitModel
from genjax_models.objectives.gmmn import mmd
from genjax_models.training.parallel import check_divides, data_mesh, data_parallel, pmapped
from genjax_models.types import Aux, Batch, Objective

pytestmark = pytest.mark.four_devices

KEY = jax.random.key(3)
DATA = Batch(jax.random.normal(jax.random.key(1), (24, 3)), jnp.arange(24) % 3)


def mixture():
    """Draws nothing, and its loss is a mean over examples."""
    return gx.mixture(gx.gaussian_mixture((3,), 2))


def mean_of(network, loss):
    """One player that lowers loss(outputs); batch statistics move on."""

    def init(key, batch):
        return {"one": dict(network.init(key, batch.x[:1]))}

    def value(players, key, batch, step):
        outputs, moved = network.apply(players["one"], batch.x, mutable=["batch_stats"])
        return loss(outputs), Aux(variables={"one": {**players["one"], **moved}})

    return Objective(init, {"one": value}, lambda *_, **__: None)


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(4, use_bias=False)(x))


def steps(train, state, batch, n=5):
    step = jax.jit(train.step) if not isinstance(train.step, jax.stages.Wrapped) else train.step
    for _ in range(n):
        state, metrics = step(state, batch)
        jax.block_until_ready(metrics)
    return state, metrics


def by_sgd(objective):
    return gx.trainer(objective(), dict.fromkeys(objective().losses, optax.sgd(0.05, momentum=0.9)))


@pytest.mark.parametrize("shard_optimizer", [False, True])
@pytest.mark.parametrize("devices", [1, 2, 4])
def test_split_over_devices_it_is_the_step_of_one(devices, shard_optimizer):
    alone = by_sgd(mixture)
    spread = data_parallel(alone, data_mesh(devices), shard_optimizer=shard_optimizer)
    one, seen_one = steps(alone, jax.jit(alone.init)(KEY, DATA), DATA)
    many, seen_many = steps(spread, jax.jit(spread.init)(KEY, DATA), DATA)
    chex.assert_trees_all_close(one.variables, many.variables, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(seen_one, seen_many, rtol=1e-5, atol=1e-6)
    for leaf in jax.tree.leaves(many.variables):
        assert len(leaf.sharding.device_set) == devices
        assert leaf.sharding.is_fully_replicated


def test_a_loss_that_does_not_separate_is_that_of_the_whole_batch():
    """The variance over the batch: a mean of the variances of shards is another loss."""
    network = nn.Dense(2)
    objective = lambda: mean_of(network, lambda y: -jnp.var(y, axis=0).sum())
    alone, spread = by_sgd(objective), data_parallel(by_sgd(objective), data_mesh(4))
    _, seen_one = steps(alone, jax.jit(alone.init)(KEY, DATA), DATA, 1)
    _, seen_many = steps(spread, jax.jit(spread.init)(KEY, DATA), DATA, 1)
    np.testing.assert_allclose(seen_one["one/loss"], seen_many["one/loss"], rtol=1e-6)
    outputs = network.apply(jax.jit(alone.init)(KEY, DATA).variables["one"], DATA.x)
    of_shards = -jnp.var(outputs.reshape(4, 6, 2), axis=1).sum(-1).mean()
    assert abs(of_shards - seen_one["one/loss"]) > 0.01 * abs(seen_one["one/loss"])


def test_batch_statistics_are_those_of_the_whole_batch():
    objective = lambda: mean_of(Normalised(), lambda y: jnp.mean((y - 1) ** 2))
    alone, spread = by_sgd(objective), data_parallel(by_sgd(objective), data_mesh(4))
    one, _ = steps(alone, jax.jit(alone.init)(KEY, DATA), DATA)
    many, _ = steps(spread, jax.jit(spread.init)(KEY, DATA), DATA)
    chex.assert_trees_all_close(one.variables, many.variables, rtol=1e-5, atol=1e-6)


def test_each_device_keeps_a_share_of_the_optimizers_state():
    spread = data_parallel(
        gx.trainer(mean_of(nn.Dense(8), lambda y: jnp.mean(y**2)), {"one": optax.adam(1e-3)}),
        data_mesh(4),
        shard_optimizer=True,
    )
    state, _ = steps(spread, jax.jit(spread.init)(KEY, DATA), DATA, 2)
    kernel = state.opt_state["one"][0].mu["kernel"]
    assert kernel.shape == (3, 8)
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(3, 2)}


def test_it_is_a_trainer_for_the_compiled_loop():
    alone = by_sgd(mixture)
    spread = data_parallel(alone, data_mesh(2))
    ended = {}
    for name, train in (("alone", alone), ("spread", spread)):
        run = gx.loop_over_data(train, batch_size=8, chunk=10)
        state = jax.jit(train.init)(KEY, DATA)
        data = jax.device_put(DATA, state.step.sharding)
        ended[name] = run(state, data, 10)[0].variables
    chex.assert_trees_all_close(ended["alone"], ended["spread"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_fault_88_pmapped_is_the_jitted_way_where_nothing_is_drawn(devices):
    """In variables, state of the optimizer and metrics: the norm is that of the mean gradient."""
    options = {"optimizers": {"mixture": optax.sgd(0.05, momentum=0.9)}, "gradient_norm": True}
    alone, spread = gx.trainer(mixture(), **options), pmapped(mixture(), **options, devices=devices)
    one, seen_one = steps(alone, jax.jit(alone.init)(KEY, DATA), DATA)
    state = spread.init(KEY, DATA)
    for _ in range(5):
        state, seen = spread.step(state, DATA)
        jax.block_until_ready(seen)
    for i in range(devices):
        device = jax.tree.map(lambda a, i=i: a[i], (state.variables, state.opt_state, seen))
        chex.assert_trees_all_close((one.variables, one.opt_state, seen_one), device, rtol=1e-5, atol=1e-6)


def test_pmapped_devices_draw_apart_and_stay_together():
    """A loss that is its own noise: the mean over devices has a quarter of the variance if they draw apart."""

    def noise(players, key, batch, step):
        drawn = jax.random.normal(key)
        return players["one"]["params"]["w"] * drawn, Aux()

    objective = Objective(lambda key, batch: {"one": {"params": {"w": jnp.float32(0)}}}, {"one": noise}, None)
    train = pmapped(objective, {"one": optax.sgd(1.0)}, devices=4)
    state, moved = train.init(KEY, DATA), []
    for _ in range(200):
        before = np.asarray(state.variables["one"]["params"]["w"])
        state, _ = train.step(state, DATA)
        after = np.asarray(state.variables["one"]["params"]["w"])
        assert len(set(after.tolist())) == 1
        moved.append(after[0] - before[0])
    # 200 draws: the variance of a sample variance is 2 s^4 / 199, and five standard errors are half of s^2.
    assert abs(np.var(moved, ddof=1) - 1 / 4) < 5 * (1 / 4) * np.sqrt(2 / 199)


def test_pmapped_averages_batch_statistics():
    objective = mean_of(Normalised(), lambda y: jnp.mean((y - 1) ** 2))
    train = pmapped(objective, {"one": optax.sgd(0.05)}, devices=4)
    before = train.init(KEY, DATA)
    kernel = before.variables["one"]["params"]["Dense_0"]["kernel"][0]
    after, _ = train.step(before, DATA)
    found = after.variables["one"]["batch_stats"]["BatchNorm_0"]
    outputs = (DATA.x @ kernel).reshape(4, 6, 4)
    expected = 0.01 * outputs.var(axis=1).mean(axis=0) + 0.99  # flax's momentum is 0.99
    for i in range(4):
        np.testing.assert_allclose(found["var"][i], expected, rtol=1e-4)


@pytest.mark.parametrize("distance", [pytest.param("biased_root", marks=pytest.mark.slow), "unbiased_squared"])
def test_pmapped_a_loss_that_gathers_is_that_of_the_whole_batch(distance):
    """Each device draws the same six points about w; the mean of the shards' own MMDs is another number."""
    points, kernel = jnp.array([[-2.0], [-1.0], [-0.3], [0.4], [0.9], [2.0]]), gx.gaussian_kernel(1.0)
    x = jax.random.normal(jax.random.key(5), (24, 1)) * jnp.linspace(0.5, 3.0, 24)[:, None]
    model = ImplicitModel(
        latent=1,
        classes=None,
        init=lambda key, batch: {"params": {"w": jnp.float32(0.5)}},
        noise=lambda key, n: points,
        generate=None,
        generate_in_learning=lambda variables, key, z, label=None: (z + variables["params"]["w"], variables),
    )

    def of_whole(w):
        return mmd(kernel, distance)(x, jnp.tile(points, (4, 1)) + w)[0]

    def of_shards(w):
        return jnp.mean(jnp.stack([mmd(kernel, distance)(share, points + w)[0] for share in x.reshape(4, 6, 1)]))

    train = pmapped(gx.objectives.gmmn(model, kernel, distance=distance, axis="data"), {"generator": optax.sgd(1.0)})
    state, metrics = train.step(train.init(KEY, Batch(x)), Batch(x))
    gradient = 0.5 - state.variables["generator"]["params"]["w"]
    np.testing.assert_allclose(gradient, jnp.full(4, jax.grad(of_whole)(0.5)), rtol=1e-4)
    np.testing.assert_allclose(metrics["generator/loss"], jnp.full(4, of_whole(0.5)), rtol=1e-5)
    assert abs(of_shards(0.5) - of_whole(0.5)) > 0.05 * of_whole(0.5)


def test_fault_8_a_batch_that_devices_do_not_divide():
    with pytest.raises(ValueError, match="a batch of 10 cannot be split over 4 devices; 8 or 12 can"):
        check_divides(10, 4)
    with pytest.raises(ValueError, match="a batch of 3 cannot be split over 4 devices; 4 can"):
        check_divides(3, 4)
    ten = jax.tree.map(lambda a: a[:10], DATA)
    train = data_parallel(by_sgd(mixture), data_mesh(4))
    with pytest.raises(ValueError, match="8 or 12 can"):
        jax.jit(train.step)(jax.jit(train.init)(KEY, DATA), ten)
    by_pmap = pmapped(mixture(), {"mixture": optax.sgd(0.1)}, devices=4)
    with pytest.raises(ValueError, match="8 or 12 can"):
        by_pmap.step(by_pmap.init(KEY, DATA), ten)


@pytest.mark.parametrize("devices", [0, -1, 5])
def test_a_mesh_larger_than_the_machine(devices):
    with pytest.raises(ValueError, match=f"between 1 and 4, which this machine has, got {devices}"):
        data_mesh(devices)
