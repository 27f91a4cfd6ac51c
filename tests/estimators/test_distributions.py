"""Values, gradients and draws against exact numbers: oracles o04 and o14, scipy in float64, and closed forms."""

from functools import partial

import chex
import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax_models.estimators.distributions import (
    Bernoulli,
    FullCovarianceNormal,
    Shaped,
    Vector,
    diagonal_normal,
    log_prob_of_each,
)
from genjax_models.estimators.logistic import DiscretisedLogistic, DiscretisedLogisticMixture
from tests.statistics import assert_mean

# o04, full_vs_full: m0, S0 and its entropy.
MEAN = np.array([0.2, -0.1, 0.4])
COVARIANCE = np.array([[1.0, 0.3, -0.2], [0.3, 0.8, 0.1], [-0.2, 0.1, 0.5]])
FACTOR = np.linalg.cholesky(COVARIANCE)
ENTROPY = 3.6564930924973877
# o04, diag_vs_diag and diag_vs_standard: means and variances.
M0, V0 = np.array([0.0, 0.5, -1.0, 2.0]), np.array([1.0, 0.25, 2.0, 0.01])
M1, V1 = np.array([0.1, 0.0, -0.5, 1.0]), np.array([0.5, 1.5, 1.0, 0.04])
KL_01, KL_10, KL_STANDARD, ENTROPY_0 = 13.822546401280695, 53.171620265385975, 4.904158683274018, 3.0265954495446725
# o14: the KL averaged over dimensions, without its 1/2, and with log-variances read as log-sigmas.
KL_MUTANTS = [1.2260396708185044, 9.808317366548035, 8.454617366548035]

TARGET_MEAN, TARGET_SCALE = np.array([0.5, 0.0, -0.3]), np.array([1.5, 0.7, 1.1])
VALUES = np.random.RandomState(0).normal(size=(6, 3))


def full(mean=MEAN, factor=FACTOR):
    return FullCovarianceNormal(jnp.asarray(mean, jnp.float32), jnp.asarray(factor, jnp.float32))


def diagonal(mean, scale):
    return diagonal_normal(jnp.asarray(mean, jnp.float32), jnp.asarray(scale, jnp.float32))


def assert_is_the_oracle(q):
    """Density, entropy and covariance of N(MEAN, COVARIANCE)."""
    np.testing.assert_allclose(
        q.log_prob(VALUES), stats.multivariate_normal.logpdf(VALUES, MEAN, COVARIANCE), rtol=1e-5
    )
    np.testing.assert_allclose(q.entropy(), ENTROPY, rtol=1e-6)
    np.testing.assert_allclose(q.covariance(), COVARIANCE, atol=1e-6)
    np.testing.assert_allclose(q.stddev(), np.sqrt(np.diag(COVARIANCE)), rtol=1e-6)
    np.testing.assert_allclose(q.mean(), MEAN, rtol=1e-6)


def test_full_covariance_is_that_of_scipy_and_of_the_oracle():
    assert_is_the_oracle(full())
    above = np.triu(np.full((3, 3), 9.0), 1)
    assert_is_the_oracle(full(factor=FACTOR + above))  # what lies above the diagonal is not read


@pytest.mark.parametrize("factor", [COVARIANCE, np.linalg.inv(FACTOR), np.sqrt(COVARIANCE.clip(0)), np.eye(3)])
def test_another_factor_is_seen(factor):
    with pytest.raises(AssertionError):
        assert_is_the_oracle(full(factor=factor))


@pytest.mark.parametrize(
    ("m0", "v0", "m1", "v1", "kl"),
    [(M0, V0, M1, V1, KL_01), (M1, V1, M0, V0, KL_10), (M0, V0, 0 * M0, 0 * V0 + 1, KL_STANDARD)],
)
def test_kl_between_gaussians_is_that_of_the_oracle(m0, v0, m1, v1, kl):
    target = diagonal(m1, np.sqrt(v1))
    for q in (full(m0, np.diag(np.sqrt(v0))), diagonal(m0, np.sqrt(v0))):
        value = float(q.kl_divergence(target))
        assert value == pytest.approx(kl, rel=1e-5)
        assert all(value != pytest.approx(mutant, rel=1e-2) for mutant in KL_MUTANTS)


def test_entropy_of_a_diagonal_gaussian_is_that_of_the_oracle():
    for q in (full(M0, np.diag(np.sqrt(V0))), diagonal(M0, np.sqrt(V0))):
        np.testing.assert_allclose(q.entropy(), ENTROPY_0, rtol=1e-6)


def test_kl_and_its_gradients_of_a_full_covariance_are_closed_forms():
    target = diagonal(TARGET_MEAN, TARGET_SCALE)
    precision = np.diag(TARGET_SCALE**-2)
    shift = MEAN - TARGET_MEAN
    log_ratio = np.log(np.linalg.det(precision) * np.linalg.det(COVARIANCE))
    kl = 0.5 * (np.trace(precision @ COVARIANCE) + shift @ precision @ shift - 3 - log_ratio)
    value_and_gradients = jax.value_and_grad(lambda m, L: full(m, L).kl_divergence(target), argnums=(0, 1))
    value, (by_mean, by_factor) = value_and_gradients(jnp.float32(MEAN), jnp.float32(FACTOR))
    np.testing.assert_allclose(value, kl, rtol=1e-5)
    np.testing.assert_allclose(by_mean, precision @ shift, rtol=1e-5)
    np.testing.assert_allclose(by_factor, precision @ FACTOR - np.diag(1 / np.diag(FACTOR)), rtol=1e-4, atol=1e-6)


def test_kl_is_the_mean_of_the_log_ratio():
    q, target = full(), diagonal(TARGET_MEAN, TARGET_SCALE)
    z = q.sample(seed=jax.random.key(0), sample_shape=20_000)
    assert_mean(q.log_prob(z) - target.log_prob(z), q.kl_divergence(target))


def test_draws_have_the_mean_and_covariance():
    z = np.asarray(full().sample(seed=jax.random.key(0), sample_shape=40_000), np.float64)
    products = (z - MEAN)[:, :, None] * (z - MEAN)[:, None, :]
    assert_mean(z, MEAN)
    assert_mean(products, COVARIANCE)
    with pytest.raises(AssertionError):
        assert_mean(products, FACTOR.T @ FACTOR)  # of the factor transposed


def test_draws_are_reparameterized():
    key = jax.random.key(3)
    by_mean, by_factor = jax.jacobian(lambda m, L: full(m, L).sample(seed=key), argnums=(0, 1))(
        jnp.float32(MEAN), jnp.float32(FACTOR)
    )
    eps = np.linalg.solve(FACTOR, full().sample(seed=key) - MEAN)
    np.testing.assert_allclose(by_mean, np.eye(3))
    np.testing.assert_allclose(by_factor, np.einsum("ij,k->ijk", np.eye(3), eps) * np.tri(3), atol=1e-5)


def gradients_through_a_stopped(make):
    """Of log q(x) by mean and by scale or factor, where the distribution object was stopped."""
    stopped = lambda mean, scale: jax.lax.stop_gradient(make(mean, scale)).log_prob(jnp.float32(VALUES[0]))
    return jax.grad(stopped, argnums=(0, 1))(jnp.float32(MEAN), jnp.float32(FACTOR))


@pytest.mark.parametrize("make", [FullCovarianceNormal, lambda m, L: diagonal_normal(m, jnp.diagonal(L))])
def test_stop_gradient_stops_every_parameter(make):
    by_mean, by_factor = gradients_through_a_stopped(make)
    np.testing.assert_array_equal(by_mean, 0)
    np.testing.assert_array_equal(by_factor, 0)
    flowing = jax.grad(lambda m, L: make(m, L).log_prob(jnp.float32(VALUES[0])), argnums=(0, 1))
    by_mean, by_factor = flowing(jnp.float32(MEAN), jnp.float32(FACTOR))
    assert jnp.all(by_mean != 0)
    assert jnp.all(jnp.diagonal(by_factor) != 0)


def test_the_leak_of_distrax_would_be_seen():
    _, by_scale = gradients_through_a_stopped(lambda m, L: distrax.MultivariateNormalDiag(m, jnp.diagonal(L)))
    assert jnp.any(by_scale != 0)


def test_a_distribution_crosses_jit_and_vmap():
    make, log_prob = jax.jit(FullCovarianceNormal), jax.jit(lambda q: q.log_prob(jnp.float32(VALUES)))
    other = make(jnp.zeros(3), jnp.eye(3))
    np.testing.assert_allclose(log_prob(other), stats.norm.logpdf(VALUES).sum(-1), rtol=1e-5)
    assert_is_the_oracle(make(jnp.float32(MEAN), jnp.float32(FACTOR)))  # no stale tracer of the first call
    expected = stats.multivariate_normal.logpdf(VALUES, MEAN, COVARIANCE)
    np.testing.assert_allclose(log_prob(full()), expected, rtol=1e-5)
    means, factors = jnp.stack([jnp.zeros(3), MEAN]), jnp.stack([jnp.eye(3), FACTOR])
    batch = jax.vmap(FullCovarianceNormal)(means, factors)
    assert (batch.batch_shape, batch.event_shape) == ((2,), (3,))
    np.testing.assert_allclose(batch.entropy(), [1.5 * np.log(2 * np.pi * np.e), ENTROPY], rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(lambda q: q.log_prob(jnp.float32(VALUES)))(batch)[1], expected, rtol=1e-5)


def test_sample_axes_lead():
    q = FullCovarianceNormal(jnp.zeros((4, 3)).at[2].set(MEAN), jnp.tile(jnp.eye(3), (4, 1, 1)).at[2].set(FACTOR))
    z = q.sample(seed=jax.random.key(0), sample_shape=5)
    assert z.shape == (5, 4, 3)
    assert q.log_prob(z).shape == (5, 4)
    np.testing.assert_allclose(
        q.log_prob(z)[:, 2], stats.multivariate_normal.logpdf(np.float64(z[:, 2]), MEAN, COVARIANCE), rtol=1e-4
    )
    assert q.kl_divergence(diagonal(np.zeros(3), np.ones(3))).shape == (4,)


def test_there_is_no_closed_kl_to_other_families():
    with pytest.raises(NotImplementedError, match="no closed KL from a full-covariance Gaussian to"):
        full().kl_divergence(distrax.Independent(distrax.Laplace(jnp.zeros(3), jnp.ones(3)), 1))


def test_kl_between_other_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"\(3,\).*\(1,\)"):
        full().kl_divergence(diagonal(np.zeros(1), np.ones(1)))


@pytest.mark.parametrize("factor", [np.eye(2), np.ones((2, 3)), np.ones((3, 2))])
def test_a_factor_that_does_not_fit_the_mean_is_refused(factor):
    with pytest.raises((AssertionError, ValueError)):
        full(factor=factor)


def test_a_scale_that_does_not_fit_the_mean_is_refused():
    with pytest.raises(AssertionError):
        diagonal(MEAN, np.ones(1))


# o04, bernoulli_logits_extremes.
LOGITS = jnp.array([-1000.0, -50.0, -1.0, 0.0, 1.0, 50.0, 1000.0])
LOG_P_1 = [-1000.0, -50.0, -1.3132616875182228, -0.6931471805599453, -0.31326168751822286, -1.9287498479639178e-22, 0.0]
GRADIENT_1 = [1.0, 1.0, 0.7310585786300049, 0.5, 0.2689414213699951, 0.0, 0.0]


def assert_bernoulli_is_the_oracle(log_prob):
    """`log_prob(logits, x)`, values and gradients, at logits of any size."""
    for x, log_p, gradient in ((1.0, LOG_P_1, GRADIENT_1), (0.0, LOG_P_1[::-1], [-g for g in GRADIENT_1[::-1]])):
        values, slopes = jax.vmap(jax.value_and_grad(lambda logit: log_prob(logit, x)))(LOGITS)  # noqa: B023
        np.testing.assert_allclose(values, log_p, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(slopes, gradient, rtol=1e-6, atol=1e-12)


def test_bernoulli_is_exact_for_logits_of_any_size():
    assert_bernoulli_is_the_oracle(lambda logit, x: Bernoulli(logit).log_prob(x))


def test_fault_20_bernoulli_by_probabilities_would_be_seen():
    with pytest.raises(AssertionError):
        assert_bernoulli_is_the_oracle(
            lambda logit, x: jnp.log(jnp.where(x == 1, jax.nn.sigmoid(logit), 1 - jax.nn.sigmoid(logit)))
        )


def test_bernoulli_draws_are_floats_with_its_mean():
    coin = Bernoulli(LOGITS)
    draws = coin.sample(seed=jax.random.key(0), sample_shape=10_000)
    assert draws.dtype == jnp.float32
    np.testing.assert_allclose(coin.mean(), GRADIENT_1[::-1], rtol=1e-6, atol=1e-6)
    assert_mean(draws, GRADIENT_1[::-1])


def test_an_image_is_a_vector_of_another_shape():
    mean, x = jnp.arange(12.0).reshape(2, 6), jnp.ones((2, 3, 2, 1))
    images = Shaped(diagonal_normal(mean, jnp.full((2, 6), 0.5)), (3, 2, 1))
    each = distrax.Independent(distrax.Normal(mean.reshape(2, 3, 2, 1), 0.5), 3)
    assert images.event_shape == each.event_shape
    np.testing.assert_allclose(images.log_prob(x), each.log_prob(x), rtol=1e-6)
    np.testing.assert_array_equal(images.mean(), each.mean())
    draws = images.sample(seed=jax.random.key(0), sample_shape=5)
    assert draws.shape == (5, 2, 3, 2, 1)
    np.testing.assert_array_equal(draws.reshape(5, 2, 6), images.vectors.sample(seed=jax.random.key(0), sample_shape=5))


def test_vectors_of_another_size_and_values_of_another_shape_are_refused():
    vectors = diagonal_normal(jnp.zeros(6), jnp.ones(6))
    with pytest.raises(ValueError, match=r"vectors of \(6,\) numbers cannot be reshaped to \(2, 2\)"):
        Shaped(vectors, (2, 2))
    with pytest.raises(AssertionError):
        Shaped(vectors, (2, 3)).log_prob(jnp.zeros((3, 2)))


def test_the_softplus_of_a_bernoulli_has_its_value_and_slope():
    """Against float64, at logits of every size, to what float32 can hold."""
    logits = np.array([-100.0, -30, -10, -1, -1e-4, 0, 1e-4, 1, 10, 30, 100])
    value, slope = jax.vmap(jax.value_and_grad(lambda logit: Bernoulli(logit).log_prob(0.0)))(
        jnp.asarray(logits, jnp.float32)
    )
    np.testing.assert_allclose(value, -np.logaddexp(0, logits), rtol=2e-6, atol=1e-30)
    np.testing.assert_allclose(slope, -1 / (1 + np.exp(-logits)), rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_vectors_of_few_numbers_are_independent_normals(size):
    """Value and gradient, where mean, scale and value have axes that the others lack."""
    keys = jax.random.split(jax.random.key(0), 3)
    mean, raw = jax.random.normal(keys[0], (7, 1, size)), jax.random.normal(keys[1], (7, 1, 1))
    value = jax.random.normal(keys[2], (3, size))

    def total(family, mean, raw, value):
        return jnp.sum(
            jnp.sin(family(distrax.Normal(mean, jnp.broadcast_to(jnp.exp(raw), mean.shape))).log_prob(value))
        )

    plain = jax.value_and_grad(partial(total, lambda each: distrax.Independent(each, 1)), (0, 1, 2))(mean, raw, value)
    written_out = jax.value_and_grad(partial(total, Vector), (0, 1, 2))(mean, raw, value)
    chex.assert_trees_all_close(written_out, plain, rtol=1e-5, atol=1e-6)
    assert Vector(distrax.Normal(mean, jnp.ones_like(mean))).log_prob(value).shape == (7, 3)


def test_a_vector_of_another_size_is_refused():
    with pytest.raises(AssertionError):
        Vector(distrax.Normal(jnp.zeros(2), jnp.ones(2))).log_prob(jnp.zeros((5, 1)))


def test_a_full_covariance_has_scipy_s_density_of_values_with_more_axes():
    """Values `[3, 4, 1, d]` beside components `[2, d]`, as a mixture asks."""
    random = np.random.RandomState(0)
    mean, factor = random.normal(size=(2, 3)), np.tril(random.normal(size=(2, 3, 3))) + 2 * np.eye(3)
    value = random.normal(size=(3, 4, 1, 3))
    found = FullCovarianceNormal(jnp.asarray(mean, jnp.float32), jnp.asarray(factor, jnp.float32)).log_prob(value)
    expected = np.stack(
        [stats.multivariate_normal(m, f @ f.T).logpdf(value[:, :, 0]) for m, f in zip(mean, factor, strict=True)],
        axis=-1,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


TABLE = jnp.linspace(-3, 2, 12).reshape(2, 6)
OF_EACH = {
    "Bernoulli": Bernoulli(TABLE),
    "Gaussian": distrax.Normal(TABLE, jnp.full_like(TABLE, 0.7)),
    "discretised logistic": DiscretisedLogistic(TABLE / 4, jnp.full_like(TABLE, 0.1)),
    "logistic mixture": DiscretisedLogisticMixture(
        *(
            jnp.stack(pair, axis=-1)
            for pair in [(TABLE, -TABLE), (TABLE / 4, 1 - TABLE), (jnp.exp(TABLE), 0.1 + TABLE**2)]
        )
    ),
}


@pytest.mark.parametrize("name", OF_EACH)
def test_the_log_prob_of_each_number_sums_to_the_log_prob(name):
    one, x = OF_EACH[name], jnp.round(jax.random.uniform(jax.random.key(0), (5, 2, 2, 3)))
    likelihood = Shaped(Vector(one), (2, 3))
    each = log_prob_of_each(likelihood, x)
    chex.assert_shape(each, x.shape)
    np.testing.assert_allclose(jnp.sum(each, axis=(-2, -1)), likelihood.log_prob(x), rtol=1e-5)
    np.testing.assert_allclose(each[:, 1, 0, 2], one.log_prob(x.reshape(5, 2, 6))[:, 1, 2])


def test_numbers_that_are_not_independent_have_no_log_prob_of_each():
    for dependent in (full(), Shaped(full(), (3,))):
        with pytest.raises(ValueError, match="needs independent numbers, got"):
            log_prob_of_each(dependent, jnp.zeros((2, 3)))
