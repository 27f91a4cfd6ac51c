"""The loss of a GMMN against exact values, on one device and on four, and what it learns where the answer is known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import genjax_models as gx
from genjax_models.estimators.mmd import mmd_squared_biased
from genjax_models.models.implicit import implicit_model
from genjax_models.objectives.gmmn import gmmn, mmd
from genjax_models.objectives.matching import matching
from genjax_models.types import Batch

KEY, STEP = jax.random.key(0), jnp.int32(0)
UNIT = gx.gaussian_kernel(1.0)

# Four points each of x and of samples, and the exact gradient in the samples.
X = np.float32([[0.0], [1.0], [2.0], [-1.0]])
Y = np.float32([[0.5], [1.5], [4.0], [0.0]])
BIASED, UNBIASED = 0.11480618017747413, -0.22013084235692415
OF_BIASED = [0.02161730341674698, -0.04835574894944955, 0.02331470454770676, 0.08236230454602586]
OF_UNBIASED = [0.028823071229755467, -0.08934187505360568, 0.018363021059286666, 0.1210943463336722]
EXACT = {
    "biased_root": (BIASED**0.5, np.array(OF_BIASED) / (2 * BIASED**0.5), "mmd_squared_biased", BIASED),
    "unbiased_squared": (UNBIASED, np.array(OF_UNBIASED), "mmd_squared_unbiased", UNBIASED),
}

# Eight points each, whose biased squared MMD is that of the whole, and not the mean of two shards'.
WHOLE_X = np.arange(0, 2, 0.25, dtype=np.float32)[:, None]
WHOLE_Y = WHOLE_X + np.float32(0.3)
OF_WHOLE, MEAN_OF_SHARDS = 0.038764870093885406, 0.07041176099435043


class Points(nn.Module):
    """A generator of fixed points, its parameters, whatever z is."""

    points: tuple

    @nn.compact
    def __call__(self, z):
        x = self.param("x", lambda _: jnp.asarray(self.points))
        return x[: len(z)]


def model_of(points):
    return implicit_model(Points(tuple(map(tuple, points.tolist()))), 1)


def value_and_gradient(objective, variables, batch):
    """Of the loss in the points."""

    def loss(points):
        value, aux = objective.losses["generator"]({"generator": {"params": {"x": points}}}, KEY, batch, STEP)
        return value, aux.metrics

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["generator"]["params"]["x"])


@pytest.mark.parametrize("distance", EXACT)
def test_value_and_gradient_are_exact(distance):
    objective = gmmn(model_of(Y), UNIT, distance=distance)
    loss, gradient, name, squared = EXACT[distance]
    (value, metrics), found = value_and_gradient(objective, objective.init(KEY, Batch(X)), Batch(X))
    np.testing.assert_allclose(value, loss, rtol=1e-6)
    np.testing.assert_allclose(found[:, 0], gradient, rtol=2e-5)
    assert set(metrics) == {name}
    np.testing.assert_allclose(metrics[name], squared, rtol=1e-6)


def test_fault_17_the_root_is_safe_where_samples_are_the_data():
    objective = gmmn(model_of(X), UNIT)
    (value, _), gradient = value_and_gradient(objective, objective.init(KEY, Batch(X)), Batch(X))
    assert float(value) < 1e-3
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4])
def test_fault_88_the_gradient_of_the_root_points_to_data_that_are_near(distance):
    """Its direction is that of float64; its length too, where MMD^2 is above the rounding of float32."""
    random = np.random.RandomState(0)
    x = random.normal(size=(16, 8, 1)).astype(np.float32)
    y = (x + distance * random.normal(size=x.shape)).astype(np.float32)
    root = jax.vmap(jax.value_and_grad(lambda y, x: mmd(UNIT, "biased_root")(x, y)[0]))
    gradient = np.asarray(jax.jit(root)(y, x)[1], np.float64)[..., 0]
    x, y = x.astype(np.float64), y.astype(np.float64)
    gram = lambda a, b: np.exp(-((a - b.swapaxes(1, 2)) ** 2) / 2)
    squared = (gram(x, x) + gram(y, y) - 2 * gram(x, y)).mean((1, 2))
    pull = (y - x.swapaxes(1, 2)) * gram(y, x) - (y - y.swapaxes(1, 2)) * gram(y, y)
    exact = pull.sum(2) / 64 / np.sqrt(squared)[:, None]
    length, right = (np.linalg.norm(values, axis=1) for values in (gradient, exact))
    cosine, ratio = (gradient * exact).sum(1) / length / right, length / right
    assert np.all(cosine > (0.9 if distance > 1e-4 else 0)), cosine  # at 1e-4 the gradient of MMD^2 is rounded too
    assert np.mean(cosine) > 0.8
    assert np.all(ratio < 1.5), ratio
    assert np.all(abs(ratio[squared > 1e-5] - 1) < 0.02)


def on_four(objective, batch):
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    spread = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
    assert len(spread.x.sharding.device_set) == 4
    whole = jax.device_put(objective.init(KEY, batch), NamedSharding(mesh, PartitionSpec()))
    return value_and_gradient(objective, whole, spread)


@pytest.mark.four_devices
def test_a_batch_on_four_devices_has_the_loss_of_the_whole():
    objective = gmmn(model_of(WHOLE_Y), UNIT)
    (value, metrics), gradient = on_four(objective, Batch(WHOLE_X))
    np.testing.assert_allclose(metrics["mmd_squared_biased"], OF_WHOLE, atol=2e-7)
    np.testing.assert_allclose(value, OF_WHOLE**0.5, rtol=1e-5)
    _, of_one = value_and_gradient(objective, objective.init(KEY, Batch(WHOLE_X)), Batch(WHOLE_X))
    np.testing.assert_allclose(gradient, of_one, atol=1e-6)


@pytest.mark.four_devices
def test_the_mean_of_shards_is_another_loss():
    """The mistake that the test above is to find: each of two shards compared alone."""

    def mean_of_shards(x, samples):
        shards = zip(jnp.split(x, 2), jnp.split(samples, 2), strict=True)
        squared = sum(mmd_squared_biased(a, b, UNIT) for a, b in shards) / 2
        return jnp.sqrt(squared), {"mmd_squared_biased": squared}

    (_, metrics), gradient = on_four(matching(model_of(WHOLE_Y), mean_of_shards), Batch(WHOLE_X))
    np.testing.assert_allclose(metrics["mmd_squared_biased"], MEAN_OF_SHARDS, atol=2e-7)
    objective = gmmn(model_of(WHOLE_Y), UNIT)
    _, of_whole = value_and_gradient(objective, objective.init(KEY, Batch(WHOLE_X)), Batch(WHOLE_X))
    assert np.abs(gradient - of_whole).max() > 0.01


@pytest.mark.parametrize("distance", EXACT)
def test_the_data_are_compared_among_themselves_without_a_gradient(distance):
    """A step is two products of matrices more than its value: the three Gram matrices, and those of two gradients."""
    n, d = 256, 512
    objective = gmmn(implicit_model(Wide(n, d), 1), UNIT, distance=distance)
    batch = Batch(jax.ShapeDtypeStruct((n, d), jnp.float32))
    train = gx.trainer(objective, {"generator": optax.sgd(0.1)})
    state = jax.eval_shape(train.init, KEY, batch)
    flops = jax.jit(train.step).lower(state, batch).compile().cost_analysis()["flops"]
    product = 2 * n * n * d
    assert 4.5 * product < flops < 5.5 * product


class Wide(nn.Module):
    """As `Points`, of many."""

    n: int
    d: int

    @nn.compact
    def __call__(self, z):
        return self.param("x", nn.initializers.normal(), (self.n, self.d))[: len(z)]


@pytest.mark.parametrize("distance", ["biased_root", "unbiased_squared"])
@pytest.mark.slow
def test_a_linear_generator_learns_mean_and_covariance(distance):
    """Of a Gaussian in the plane; 20,000 points leave standard errors of about 0.01."""
    mean, factor = np.array([1.0, -2.0]), np.array([[1.0, 0.0], [0.6, 0.8]])
    data = Batch(jnp.asarray(mean + jax.random.normal(KEY, (20_000, 2)) @ factor.T, jnp.float32))
    model = implicit_model(gx.MLPGenerator((2,), ()), 2)
    objective = gmmn(model, gx.gaussian_kernel([0.5, 1.0, 2.0, 4.0]), distance=distance)
    train = gx.trainer(objective, {"generator": optax.adam(optax.cosine_decay_schedule(0.05, 400))})
    run = gx.loop_over_data(train, batch_size=250, chunk=400)
    state, _ = run(train.init(jax.random.key(1), data), data, 400)
    layer = state.variables["generator"]["params"]["x"]
    np.testing.assert_allclose(layer["bias"], mean, atol=0.1)
    np.testing.assert_allclose(layer["kernel"].T @ layer["kernel"], factor @ factor.T, atol=0.15)


def test_what_is_no_gmmn_is_refused():
    with pytest.raises(ValueError, match=r"one of \('biased_root', 'unbiased_squared'\), got 'root'"):
        gmmn(model_of(Y), UNIT, distance="root")
    with pytest.raises(ValueError, match="without labels, and the model is conditional on 3 classes"):
        gmmn(implicit_model(gx.MLPGenerator((1,), ()), 1, classes=3), UNIT)
