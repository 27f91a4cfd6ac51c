"""Total correlation and its estimates against exact values, in value and gradient.

The exact values are expectations over the draws of z and over batches: quadrature, and all batches of three examples.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.distributions import FullCovarianceNormal, diagonal_normal
from genjax_models.estimators.total_correlation import (
    aggregate_log_densities,
    covariance_penalty,
    gaussian_parameters,
    gaussian_total_correlation,
    permuted,
)

# Three examples, and q(z | x) of each.
MEAN = np.array([[-1.0, -0.5], [0.25, 0.75], [1.0, 0.5]])
VARIANCE = np.array([[0.5, 0.3], [0.4, 0.6], [0.7, 0.35]])
EXACT = {"joint": -2.6073696865190463, "product": -2.7535768066936597, "total_correlation": 0.14620712017461335}
EXPECTED = {  # (weights, batch): E log q(z), E sum_j log q(z_j), and their difference
    ("stratified", 2): (-2.682861763654758, -2.8891365664360453, 0.2062748027812873),
    ("even", 2): (-2.682861763654758, -2.8891365664360453, 0.2062748027812873),
    ("weighted", 2): (-3.5372443683364785, -4.7530413444142185, 1.21579697607774),
    ("stratified", 3): (-2.621963384263948, -2.781830881620289, 0.1598674973563412),
    ("even", 3): (-2.6073696865190454, -2.75357680669366, 0.14620712017461468),
    ("weighted", 3): (-3.7059819751871554, -4.950801384029877, 1.2448194088427211),
}
COVARIANCE = np.array([[4.0, 0.5, 0.6], [0.5, 0.25, -0.225], [0.6, -0.225, 2.25]])


@pytest.mark.parametrize(
    ("covariance", "exact"),
    [(np.array([[1.0, 0.5], [0.5, 1.0]]), 0.1438410362259013), (COVARIANCE, 0.28990924762647113), (np.eye(2), 0.0)],
)
def test_the_total_correlation_of_a_gaussian_in_value_and_gradient(covariance, exact):
    value, gradient = jax.jit(jax.value_and_grad(gaussian_total_correlation))(jnp.float32(covariance))
    np.testing.assert_allclose(value, exact, rtol=1e-5, atol=1e-7)
    inverse = np.linalg.inv(covariance)
    np.testing.assert_allclose(gradient, (np.diag(1 / np.diag(covariance)) - inverse) / 2, atol=1e-5)


def test_covariances_with_leading_axes_and_scales():
    scales = np.diag([10.0, 0.1, 3.0])
    values = gaussian_total_correlation(np.stack([COVARIANCE, scales @ COVARIANCE @ scales]).astype(np.float32))
    np.testing.assert_allclose(values, 0.28990924762647113, rtol=1e-4)  # of the correlations alone
    assert np.isnan(gaussian_total_correlation(np.array([[1.0, 2.0], [2.0, 1.0]], np.float32)))


@pytest.mark.parametrize(("weights", "batch"), EXPECTED)
def test_the_expected_log_densities_are_the_exact_ones(weights, batch):
    """Over all ordered batches, and over z by Gauss-Hermite quadrature with 60 x 60 nodes."""
    nodes, masses = np.polynomial.hermite_e.hermegauss(60)
    noise = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 1, 2)
    probability = np.outer(masses, masses).ravel() / masses.sum() ** 2
    rows = np.array(list(itertools.permutations(range(3), batch)))
    mean, variance = MEAN[rows], VARIANCE[rows]  # [batches, batch, 2]

    def both(noise, mean, variance):
        return aggregate_log_densities(mean + jnp.sqrt(variance) * noise, mean, jnp.log(variance), 3, weights)

    with jax.enable_x64(True):
        each = jax.jit(jax.vmap(jax.vmap(both, (None, 0, 0)), (0, None, None)))(noise, mean, variance)
        total_correlation = jax.vmap(jax.vmap(lambda one: one.total_correlation))(each)
    joint, product = (np.einsum("n,nbm->", probability, np.asarray(a)) / rows.size for a in each)
    tolerance = {"rtol": 1e-6}
    np.testing.assert_allclose((joint, product, joint - product), EXPECTED[weights, batch], **tolerance)
    np.testing.assert_allclose(np.mean(probability @ np.asarray(total_correlation)), joint - product, rtol=1e-9)
    if (weights, batch) == ("even", 3):
        np.testing.assert_allclose((joint, product, joint - product), tuple(EXACT.values()), **tolerance)


def density(point, mean=MEAN, variance=VARIANCE):
    """Returns q(z) of the three examples, and the marginals of z."""
    each = np.exp(-0.5 * (point - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    return each.prod(1).mean(), each.mean(0)


def numerical_gradient(function, at, step=1e-5):
    moves = [np.reshape(row, at.shape) * step for row in np.eye(at.size)]
    return np.reshape([(function(at + move) - function(at - move)) / (2 * step) for move in moves], at.shape)


@pytest.mark.parametrize(("weights", "batch"), [("even", 2), ("stratified", 3)])
def test_the_weighted_sum_is_unbiased_in_value_and_gradient(weights, batch):
    """At one z, which example 0 drew, over all batches with example 0 in any row. The published weights are biased."""
    point = np.array([0.3, -0.2])
    batches = [rows for rows in itertools.permutations(range(3), batch) if 0 in rows]

    def expected(mean):
        sums = []
        for rows in batches:
            at, log_variance = mean[np.array(rows)], jnp.log(VARIANCE[np.array(rows)])
            estimate = aggregate_log_densities(jnp.broadcast_to(point, at.shape), at, log_variance, 3, weights)
            sums.append(jnp.exp(estimate.joint[rows.index(0)]))
        return sum(sums) / len(sums)

    with jax.enable_x64(True):
        value, gradient = jax.jit(jax.value_and_grad(expected))(MEAN)
    np.testing.assert_allclose(value, density(point)[0], rtol=1e-9)
    exact = numerical_gradient(lambda mean: density(point, mean)[0], MEAN)
    np.testing.assert_allclose(gradient, exact, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(("weights", "excess"), [("even", 0.0), ("weighted", np.log(3))])
def test_with_all_examples_the_gradient_is_exact_and_weighted_errs_by_a_constant(weights, excess):
    z = MEAN + 0.4

    def ours(z, mean, log_variance):
        return aggregate_log_densities(z, mean, log_variance, 3, weights).total_correlation

    def exact(z, mean, log_variance):
        pairs = [density(row, mean, np.exp(log_variance)) for row in z]
        return np.mean([np.log(joint) - np.log(marginals).sum() for joint, marginals in pairs])

    arguments = z, MEAN, np.log(VARIANCE)
    value, gradients = jax.jit(jax.value_and_grad(ours, (0, 1, 2)))(*map(jnp.float32, arguments))
    np.testing.assert_allclose(value, exact(*arguments) + excess, rtol=1e-5)  # (d - 1) log N, d = 2
    for i, gradient in enumerate(gradients):
        of_one = lambda a, i=i: exact(*arguments[:i], a, *arguments[i + 1 :])
        np.testing.assert_allclose(gradient, numerical_gradient(of_one, arguments[i]), atol=2e-6)


def test_stratified_weights_lie_on_diagonals():
    """The published code puts 1 / N and (N - M) / (N M) into columns 0 and 1 of all rows but one."""
    expected = [[1 / 3, 1 / 6, 1 / 2], [1 / 2, 1 / 3, 1 / 6], [1 / 6, 1 / 2, 1 / 3]]
    zeros, apart = np.zeros((3, 1), np.float32), np.array([[0.0], [100.0], [200.0]], np.float32)

    def at(mean):  # each row sees the density of one example, since the others are far
        return aggregate_log_densities(zeros + mean, apart, zeros, 3, "stratified").joint

    columns = jnp.exp(jax.jit(jax.vmap(at))(apart)) * np.sqrt(2 * np.pi)
    np.testing.assert_allclose(columns.T, expected, rtol=1e-5)


def test_every_dimension_has_a_permutation_of_its_own():
    z = np.arange(60, dtype=np.float32).reshape(20, 3)
    shuffled = np.asarray(permuted(jax.random.key(0), z))
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), z)
    orders = shuffled.T // 3
    assert not any((a == b).all() for a, b in itertools.combinations([*orders, np.arange(20)], 2))


def test_permuted_codes_are_independent():
    """Correlated draws lose their correlation, 0.5: the mean product has a standard error of 1 / sqrt(n)."""
    n, key = 20_000, jax.random.key(1)
    z = jax.random.normal(key, (n, 2)) @ np.linalg.cholesky([[1.0, 0.5], [0.5, 1.0]]).T.astype(np.float32)
    assert abs(np.mean(np.prod(z, 1)) - 0.5) < 5 * 1.12 / n**0.5
    assert abs(np.mean(np.prod(permuted(jax.random.fold_in(key, 1), z), 1))) < 5 / n**0.5


MU = np.array([[1.0, 0.5], [-1.0, 0.5], [0.0, -1.0]], np.float32)
SIGMA_SQUARED = np.array([[0.2, 0.4], [0.4, 0.4], [0.3, 0.1]], np.float32)


@pytest.mark.parametrize(("variance", "diagonal"), [(None, 0.36111111111111116), (SIGMA_SQUARED, 0.04111111111111109)])
def test_the_covariance_penalty_in_value_and_gradient(variance, diagonal):
    """Both kinds of DIP-VAE: dC_ii / dmu_ni = 2 (mu_ni - mean) / n, dC_ij / dmu_ni = (mu_nj - mean) / n."""
    penalty = covariance_penalty(MU, variance)
    np.testing.assert_allclose(penalty, (0, diagonal), rtol=1e-5, atol=1e-12)
    slanted = MU @ np.array([[1.0, 0.5], [0.0, 2.0]], np.float32)  # a covariance of 1/3 and variances 2/3 and 13/6
    spread = 0 if variance is None else np.mean(variance, axis=0)
    centred = slanted - slanted.mean(0)
    excess = np.diag(centred.T @ centred) / 3 + spread - 1
    np.testing.assert_allclose(covariance_penalty(slanted, variance), (2 / 9, np.sum(excess**2)), rtol=1e-5)
    off_diagonal, on_diagonal = jax.jit(jax.jacobian(covariance_penalty))(slanted, variance)
    np.testing.assert_allclose(on_diagonal, 4 * excess * centred / 3, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(off_diagonal, 4 * (1 / 3) * centred[:, ::-1] / 3, rtol=1e-5, atol=1e-6)
    if variance is not None:
        of_variance = jax.grad(lambda variance: covariance_penalty(slanted, variance).diagonal)(variance)
        np.testing.assert_allclose(of_variance, np.tile(2 * excess / 3, (3, 1)), rtol=1e-5)


def test_the_parameters_of_q_are_read_and_other_families_are_refused():
    mean, log_variance = gaussian_parameters(diagonal_normal(MU, np.sqrt(SIGMA_SQUARED)))
    np.testing.assert_allclose(mean, MU)
    np.testing.assert_allclose(np.exp(log_variance), SIGMA_SQUARED, rtol=1e-6)
    with pytest.raises(ValueError, match="independent Gaussian numbers, got FullCovarianceNormal"):
        gaussian_parameters(FullCovarianceNormal(MU, np.tile(np.eye(2, dtype=np.float32), (3, 1, 1))))


ONES = np.ones((3, 2), np.float32)
REFUSED = [
    (
        lambda: gaussian_total_correlation(np.ones((2, 3), np.float32)),
        r"covariance must be \[..., d, d\], got \(2, 3\)",
    ),
    (lambda: gaussian_total_correlation(np.eye(2, dtype=int)), "covariance must be floating point, got int"),
    (lambda: aggregate_log_densities(ONES, ONES, ONES[:2], 3), r"must be \[batch, d\] of one shape, got \(3, 2\), "),
    (lambda: aggregate_log_densities(ONES[:1], ONES[:1], ONES[:1], 3), "must have at least 2 rows, got 1"),
    (lambda: aggregate_log_densities(ONES, ONES, ONES, 2), "dataset_size must be an integer of at least 3, got 2"),
    (lambda: aggregate_log_densities(ONES, ONES, ONES, 3, "mss"), "weights must be one of .*, got 'mss'"),
    (lambda: permuted(jax.random.key(0), ONES[:1]), "z must have at least 2 rows, got 1"),
    (lambda: permuted(jax.random.key(0), ONES[0]), r"z must be \[batch, d\]"),
    (lambda: covariance_penalty(ONES, ONES[:, :1]), r"mean, variance must be \[batch, d\] of one shape"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
