"""The estimators against enumerated samples and closed forms between Gaussians, blocks against whole matrices."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genjax_models.estimators.kernels import (
    gaussian_kernel,
    kernel_on_features,
    laplace_kernel,
    polynomial_kernel,
)
from genjax_models.estimators.mmd import (
    mmd_squared_biased,
    mmd_squared_linear,
    mmd_squared_unbiased,
    safe_sqrt,
    witness_function,
)
from tests.statistics import assert_mean

ESTIMATORS = {"U": mmd_squared_unbiased, "V": mmd_squared_biased, "linear": mmd_squared_linear}
UNIT = gaussian_kernel(1.0)

X = np.array([[0.0], [1.0], [2.0], [-1.0]], np.float32)
Y = np.array([[0.5], [1.5], [4.0], [0.0]], np.float32)
VALUES = {"U": -0.22013084235692415, "V": 0.11480618017747413, "linear": -0.058991300620659104}
GRADIENTS = {
    "U": [0.028823071229755467, -0.08934187505360568, 0.018363021059286666, 0.1210943463336722],
    "V": [0.02161730341674698, -0.04835574894944955, 0.02331470454770676, 0.08236230454602586],
}


COMPILED = {name: jax.jit(estimator, static_argnums=2) for name, estimator in ESTIMATORS.items()}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_estimator_has_the_exact_value(name):
    np.testing.assert_allclose(COMPILED[name](X, Y, UNIT), VALUES[name], atol=2e-7)


@pytest.mark.parametrize(("name", "block_size"), [("U", 3), ("V", None)])
def test_gradients_in_both_samples_are_exact(name, block_size):
    gradient = jax.jit(jax.grad(lambda x, y: ESTIMATORS[name](x, y, UNIT, block_size=block_size), (0, 1)))
    np.testing.assert_allclose(gradient(X, Y)[1][:, 0], GRADIENTS[name], atol=2e-7)
    np.testing.assert_allclose(gradient(Y, X)[0][:, 0], GRADIENTS[name], atol=2e-7)  # MMD is symmetric


def test_sizes_may_differ():
    x, y = jnp.array([[0.0, 1.0], [1.0, -1.0], [0.5, 0.5]]), jnp.array([[1.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(COMPILED["U"](x, y, UNIT), -0.28783012941633074, atol=2e-7)
    np.testing.assert_allclose(COMPILED["V"](x, y, UNIT), 0.37697286254333173, atol=2e-7)


def test_equal_samples_have_no_biased_and_a_negative_unbiased_mmd():
    x = jnp.array([[0.0], [1.0]])
    np.testing.assert_allclose(COMPILED["U"](x, x, UNIT), -0.3934693402873666, atol=2e-7)
    np.testing.assert_allclose(COMPILED["V"](x, x, UNIT), 0, atol=2e-7)
    np.testing.assert_allclose(COMPILED["linear"](x, x, UNIT), 0, atol=2e-7)


def enumerated_mean(estimator):
    """The expectation over all 6^3 samples of three points of P and three of Q: no sampling error."""
    p, q = {0.0: 0.5, 1.0: 0.3, 3.0: 0.2}, {0.0: 0.6, 2.0: 0.4}
    pairs = list(itertools.product(itertools.product(p, repeat=3), itertools.product(q, repeat=3)))
    x, y = (jnp.array([pair[i] for pair in pairs])[..., None] for i in (0, 1))
    chances = [np.prod([p[a] for a in x]) * np.prod([q[b] for b in y]) for x, y in pairs]
    values = jax.jit(jax.vmap(lambda x, y: estimator(x, y, UNIT)))(x, y)
    return np.average(np.asarray(values, np.float64), weights=chances)


MMD_SQUARED, BIAS = 0.04761859331798135, 0.2782059442788647


@pytest.mark.parametrize("name", ["U", "linear"])
def test_what_says_unbiased_is_over_all_samples(name):
    np.testing.assert_allclose(enumerated_mean(ESTIMATORS[name]), MMD_SQUARED, atol=1e-7)


def test_the_biased_form_has_the_exact_bias():
    np.testing.assert_allclose(enumerated_mean(mmd_squared_biased), MMD_SQUARED + BIAS, atol=1e-7)


def test_a_diagonal_that_is_kept_or_scaled_wrongly_is_seen():
    """Mutants of U: the diagonal left in, which is V above, or taken out of sums that are divided by n^2."""
    scaled = lambda x, y, k: mmd_squared_biased(x, y, k) - 1 / len(x) - 1 / len(y)
    assert abs(enumerated_mean(scaled) - MMD_SQUARED) > 0.01


POPULATION = {  # N(0, 1) and N(mean, scale^2): MMD^2 by bandwidth
    ((1.0, 1.0), 0.5): 0.13284173138879463,
    ((1.0, 1.0), 1.0): 0.17726763491986186,
    ((1.0, 1.0), 2.0): 0.13056692416246496,
    ((0.0, 2.0), 0.5): 0.07097520881704644,
    ((0.0, 2.0), 1.0): 0.09418702159523296,
    ((0.0, 2.0), 2.0): 0.060513516784018506,
}


def normal_pairs(dimensions=1, n=12, repeats=6_000):
    return jax.random.normal(jax.random.key(0), (2, repeats, n, dimensions))


@partial(jax.jit, static_argnums=(0, 4))
def over_gaussians(estimator, bandwidths, mean, scale, n=12):
    """The estimator on 6,000 pairs of samples of N(0, 1) and N(mean, scale^2)."""
    kernel = gaussian_kernel(bandwidths)
    return jax.vmap(lambda x, noise: estimator(x, mean + scale * noise, kernel))(*normal_pairs(n=n))


@pytest.mark.parametrize("name", ["U", "linear"])
def test_means_are_the_closed_form_between_gaussians(name):
    for ((mean, scale), bandwidth), expected in POPULATION.items():
        assert_mean(over_gaussians(ESTIMATORS[name], jnp.array([bandwidth]), mean, scale), expected)


def test_a_sum_of_kernels_has_the_sum_of_their_mmds():
    values = over_gaussians(mmd_squared_unbiased, jnp.array([0.5, 1.0, 2.0]), 1.0, 1.0)
    assert_mean(values, 0.44067629047112145)


@pytest.mark.parametrize("mistake", [0.5**0.5, 2.0])
def test_a_bandwidth_misread_is_seen(mistake):
    """exp(-d^2 / s^2) has 0.16213, and another bandwidth is as far off."""
    values = over_gaussians(mmd_squared_unbiased, jnp.array([mistake]), 1.0, 1.0)
    with pytest.raises(AssertionError):
        assert_mean(values, 0.17726763491986186)


def test_correlated_gaussians_in_three_dimensions_have_the_closed_form():
    of_x = jnp.linalg.cholesky(jnp.diag(jnp.array([1.0, 0.5, 2.0])))
    of_y = jnp.linalg.cholesky(jnp.array([[1.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 0.7]]))
    mean, kernel = jnp.array([0.5, -0.5, 1.0]), gaussian_kernel(1.5)
    estimate = jax.vmap(lambda x, y: mmd_squared_unbiased(x @ of_x.T, mean + y @ of_y.T, kernel))
    assert_mean(jax.jit(estimate)(*normal_pairs(3)), 0.13736279737793533)


def test_the_gradient_in_a_location_is_that_of_the_closed_form():
    gradient = jax.grad(lambda theta, x, y: mmd_squared_unbiased(x, theta + y, UNIT))
    gradients = jax.jit(jax.vmap(gradient, (None, 0, 0)))
    for theta, expected in {0.0: 0.0, 0.5: 0.18459609708860397, 2.0: 0.3952286825067055}.items():
        assert_mean(gradients(theta, *normal_pairs()), expected)


def test_the_bias_of_equal_gaussians_is_exact():
    assert_mean(over_gaussians(mmd_squared_biased, jnp.array([1.0]), 0.0, 1.0, 8), 0.10566243270259354)


def whole(name, x, y, kernel):
    """What blocks must equal: the three whole matrices, differentiated by jax."""
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    if name == "V":
        return jnp.mean(xx) + jnp.mean(yy) - 2 * jnp.mean(xy)
    off = lambda gram: jnp.sum(jnp.where(np.eye(len(gram), dtype=bool), 0, gram)) / (len(gram) * (len(gram) - 1))
    return off(xx) + off(yy) - 2 * jnp.mean(xy)


KERNELS = {  # of a parameter, learned: a bandwidth, an offset, the weights of features
    "gaussians": (lambda p: gaussian_kernel([p, 2 * p]), 1.3),
    "laplace": (laplace_kernel, 0.8),
    "polynomial, whose diagonal is not constant": (lambda p: polynomial_kernel(3, 0.5, p), 0.8),
    "any function of two samples": (lambda p: lambda x, y: UNIT(jnp.tanh(x @ p), jnp.tanh(y @ p)), np.eye(3)[:, 1:]),
}
RANDOM_X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
RANDOM_Y = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32) + 0.5


@pytest.mark.parametrize("kernel", KERNELS)
def test_blocks_have_the_value_and_gradients_of_the_whole_matrix(kernel):
    """In both samples and in what the kernel is made of; blocks of 4 do not fit 7 and 10 points."""
    kernel, parameter = KERNELS[kernel]
    arguments = (RANDOM_X, RANDOM_Y, jnp.asarray(parameter, jnp.float32))
    gradients = lambda of: jax.jit(jax.value_and_grad(of, (0, 1, 2)))(*arguments)
    exact = gradients(lambda x, y, p: whole("V", x, y, kernel(p)))
    blocked = gradients(lambda x, y, p: mmd_squared_biased(x, y, kernel(p), block_size=4))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), blocked, exact)


def test_the_unbiased_form_leaves_out_a_diagonal_that_is_not_constant():
    kernel = polynomial_kernel(3, 0.5, 0.8)
    exact = jax.jit(lambda x, y: whole("U", x, y, kernel))(RANDOM_X, RANDOM_Y)
    for block_size in (None, 4):
        value = jax.jit(lambda x, y, size=block_size: mmd_squared_unbiased(x, y, kernel, block_size=size))
        np.testing.assert_allclose(value(RANDOM_X, RANDOM_Y), exact, rtol=1e-5)


def test_features_are_computed_once_for_each_sample():
    calls = []

    def features(x):
        calls.append(len(x))
        return jnp.tanh(x)

    of = lambda x, y: mmd_squared_biased(x, y, kernel_on_features(UNIT, features), block_size=4)
    value = jax.jit(of)(RANDOM_X, RANDOM_Y)
    assert calls == [7, 10]
    np.testing.assert_allclose(value, whole("V", np.tanh(RANDOM_X), np.tanh(RANDOM_Y), UNIT), atol=1e-6)


@pytest.mark.parametrize("block_size", [1, 10, 1000])
def test_every_size_of_block_is_the_same(block_size):
    blocked = jax.jit(lambda x, y: mmd_squared_biased(x, y, UNIT, block_size=block_size))(RANDOM_X, RANDOM_Y)
    np.testing.assert_allclose(blocked, COMPILED["V"](RANDOM_X, RANDOM_Y, UNIT), atol=5e-7)


def test_the_default_cuts_large_samples():
    x = np.random.default_rng(0).normal(size=(2_100, 2)).astype(np.float32)
    by_default = jax.jit(lambda x: mmd_squared_unbiased(x, x[:300] + 1, UNIT))(x)
    np.testing.assert_allclose(by_default, jax.jit(lambda x: whole("U", x, x[:300] + 1, UNIT))(x), atol=2e-6)


def test_memory_is_linear_in_the_number_of_points():
    """Of the compiled value and gradient: 16,384 points twice have matrices of 1 GiB each."""

    def bytes_for(n, block_size):
        points = jax.ShapeDtypeStruct((n, 16), jnp.float32)
        of = lambda x, y: mmd_squared_unbiased(x, y, gaussian_kernel([1.0, 2.0, 4.0]), block_size=block_size)
        compiled = jax.jit(jax.value_and_grad(of, (0, 1))).lower(points, points).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert bytes_for(16_384, None) < 2**26  # 64 MiB
    assert bytes_for(2_048, 2_048) > 2**25  # one block is a whole matrix, and the measure sees it


def test_what_needs_no_gradient_costs_none():
    """A real batch is not differentiated: 5 products of matrices in place of 7."""

    def work(arguments):
        points = jax.ShapeDtypeStruct((256, 512), jnp.float32)
        of = jax.value_and_grad(lambda x, y: mmd_squared_biased(x, y, UNIT), arguments)
        return jax.jit(of).lower(points, points).compile().cost_analysis()["flops"]

    product = 2 * 256 * 256 * 512
    assert work((0, 1)) < 7.5 * product
    assert work(1) < 5.5 * product


def test_a_second_derivative_is_that_of_the_whole_matrix():
    def curvature(of):
        shifted = lambda t: of(RANDOM_X, t * RANDOM_Y)
        return jax.jit(jax.grad(jax.grad(shifted)))(1.2)

    exact = curvature(lambda x, y: whole("U", x, y, UNIT))
    blocked = curvature(lambda x, y: mmd_squared_unbiased(x, y, UNIT, block_size=4))
    np.testing.assert_allclose(blocked, exact, rtol=1e-4)


SHARDED_X = np.arange(0, 2, 0.25, dtype=np.float32)[:, None]
SHARDED_Y = SHARDED_X + np.float32(0.3)


@pytest.mark.slow
@pytest.mark.four_devices
def test_samples_spread_over_devices_have_the_mmd_of_the_whole():
    """The mean over shards is another estimator, 0.0704 in two shards."""
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    x, y = jax.device_put((SHARDED_X, SHARDED_Y), NamedSharding(mesh, PartitionSpec("data")))
    assert len(x.sharding.device_set) == 4
    of = jax.jit(jax.value_and_grad(lambda x, y: mmd_squared_biased(x, y, UNIT, block_size=3)))
    value, gradient = of(x, y)
    np.testing.assert_allclose(value, 0.038764870093885406, atol=2e-7)
    np.testing.assert_allclose(gradient, of(SHARDED_X, SHARDED_Y)[1], atol=2e-7)
    shards = [of(SHARDED_X[i : i + 4], SHARDED_Y[i : i + 4])[0] for i in (0, 4)]
    np.testing.assert_allclose(np.mean(shards), 0.07041176099435043, atol=2e-7)


def test_data_far_from_the_origin_or_of_few_bits_has_the_same_mmd():
    near = COMPILED["U"](SHARDED_X, SHARDED_X + 0.5, UNIT)
    far = COMPILED["U"](SHARDED_X + 4096, SHARDED_X + 4096.5, UNIT)  # exact in float32
    np.testing.assert_allclose(far, near, atol=1e-6)
    halves = COMPILED["U"](*(jnp.asarray(z, jnp.bfloat16) for z in (SHARDED_X, SHARDED_X + 0.5)), UNIT)
    assert halves.dtype == jnp.float32
    np.testing.assert_allclose(halves, near, atol=1e-6)
    integers = COMPILED["U"](np.arange(4)[:, None], np.arange(4)[:, None] + 1, UNIT)
    np.testing.assert_allclose(integers, COMPILED["U"](*(np.arange(4.0)[:, None] + i for i in (0, 1)), UNIT))


@pytest.mark.parametrize(("kernel", "block_size"), [(UNIT, None), (kernel_on_features(UNIT, jnp.sin), 2)])
def test_the_witness_is_the_difference_of_mean_kernels(kernel, block_size):
    y, t = Y[:3], np.float32([[-2.0], [0.3], [0.301], [4.0]])
    witness = jax.jit(lambda t: witness_function(t, X, y, kernel, block_size=block_size))
    of_t, of_x, of_y = witness(t), witness(X), witness(y)
    np.testing.assert_allclose(
        of_t, jax.jit(lambda: jnp.mean(kernel(t, X), 1) - jnp.mean(kernel(t, y), 1))(), atol=1e-6
    )
    np.testing.assert_allclose(np.mean(of_x) - np.mean(of_y), COMPILED["V"](X, y, kernel), atol=1e-6)
    slope = jax.jit(jax.grad(lambda t: witness(t)[1]))(t)[1, 0]
    np.testing.assert_allclose(slope, (of_t[2] - of_t[1]) / 0.001, atol=2e-3)


def test_fault_17_the_root_of_an_mmd_has_a_safe_gradient():
    """The plain root has NaN where the unbiased form is negative, and where samples are equal."""
    squares = jnp.array([-0.2, 0.0, 0.25])
    np.testing.assert_allclose(safe_sqrt(squares), [0, 0, 0.5])
    np.testing.assert_allclose(jax.vmap(jax.grad(safe_sqrt))(squares), [0, 0, 1.0])

    def slope(root, square, x, y):
        return jax.jit(jax.grad(lambda y: root(square(x, y, UNIT))))(y)[:, 0]

    x = jnp.zeros((2, 1))
    for square in (mmd_squared_biased, mmd_squared_unbiased):
        np.testing.assert_array_equal(slope(safe_sqrt, square, x, x), np.zeros(2))
    assert np.isnan(slope(jnp.sqrt, mmd_squared_biased, x, x)).all()
    np.testing.assert_allclose(
        slope(safe_sqrt, mmd_squared_biased, X, Y), np.array(GRADIENTS["V"]) / (2 * VALUES["V"] ** 0.5), rtol=1e-5
    )


@pytest.mark.parametrize("estimator", [mmd_squared_unbiased, mmd_squared_linear])
def test_fault_18_a_sample_of_one_point_has_no_unbiased_mmd(estimator):
    for x, y, name in [(X[:1], Y, "x"), (X, Y[:1], "y")]:
        with pytest.raises(ValueError, match=f"{name} must have at least 2 points, got 1"):
            estimator(x, y, UNIT)
        with pytest.raises(ValueError, match=f"{name} must have at least 2 points, got 1"):
            jax.jit(lambda x, y: estimator(x, y, UNIT))(x, y)


NAN = np.where(np.arange(4)[:, None] == 2, np.nan, X)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda of: of(NAN, Y, UNIT), "x must be finite: 1 of 4 rows are not, the first is row 2"),
        (lambda of: of(X, Y + np.inf, UNIT), "y must be finite: 4 of 4 rows are not"),
        (lambda of: of(X, np.ones((4, 2)), UNIT), r"the same features, got \(1,\) and \(2,\)"),
        (lambda of: of(X[:, 0], Y[:, 0], UNIT), r"x must be points \[n, ...\] .*got \(4,\)"),
        (lambda of: of(X[:0], Y, UNIT), "x must have at least . points, got 0"),
    ],
)
@pytest.mark.parametrize("estimator", [*ESTIMATORS.values(), lambda x, y, k: witness_function(x, x, y, k)])
def test_samples_that_have_no_mmd_are_refused(estimator, wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        wrong(estimator)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("estimator", [mmd_squared_biased, mmd_squared_unbiased])
@pytest.mark.parametrize("block_size", [0, -1, 1.5, True])
def test_blocks_of_less_than_one_point_are_refused(estimator, block_size):
    with pytest.raises(ValueError, match=f"block_size must be an integer of at least 1, got {block_size}"):
        estimator(X, Y, UNIT, block_size=block_size)


def test_the_linear_form_pairs_equal_sizes():
    with pytest.raises(ValueError, match="must have the same size, got 4 and 3"):
        mmd_squared_linear(X, Y[:3], UNIT)
    odd = mmd_squared_linear(np.vstack([X, [[9.0]]]), np.vstack([Y, [[-9.0]]]), UNIT)
    np.testing.assert_allclose(odd, VALUES["linear"], atol=2e-7)  # the last has no partner
