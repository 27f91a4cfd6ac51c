"""What fills in missing values, against exact conditionals: enumeration (oracle o16), and a linear-Gaussian model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators.distributions import FullCovarianceNormal, Shaped, diagonal_normal
from genjax_models.models import conditionals
from tests import energies as exact
from tests.models.test_boltzmann import DBM, DBM_VARIABLES, RBM, RBM_VARIABLES, SEEN, X
from tests.statistics import assert_mean

KEY = jax.random.key(11)

# x = A z + noise of scale S, z ~ N(0, I): the exact posterior is Gaussian, and so is p(missing | observed).
A, S = np.array([[1.0, 0.3], [-0.5, 0.8], [0.7, -0.6]]), 0.6
COVARIANCE = A @ A.T + S**2 * np.eye(3)
SEEN_NUMBERS = np.array([True, False, True])
NUMBERS = np.array([0.8, np.nan, -1.1])
EXPECTED = COVARIANCE[1, [0, 2]] @ np.linalg.solve(COVARIANCE[np.ix_([0, 2], [0, 2])], NUMBERS[[0, 2]])
POSTERIOR = np.linalg.inv(np.eye(2) + A.T @ A / S**2)  # covariance of z given all of x


def posterior(variables, x, label=None):
    mean = x @ jnp.asarray(POSTERIOR @ A.T / S**2, jnp.float32).T
    factor = jnp.asarray(np.linalg.cholesky(POSTERIOR), jnp.float32)
    return FullCovarianceNormal(mean, jnp.broadcast_to(factor, (*mean.shape, 2)))


def likelihood(variables, z, label=None):
    mean = z @ jnp.asarray(A, jnp.float32).T
    return Shaped(diagonal_normal(mean, jnp.full_like(mean, S)), (3,))


LINEAR = gx.models.LatentVariableModel(
    init=lambda key, batch: {},
    posterior=posterior,
    prior=lambda variables, label=None: diagonal_normal(jnp.zeros(2), jnp.ones(2)),
    likelihood=likelihood,
)


def copies(n):
    """Returns the same example n times: n independent answers."""
    return jnp.tile(jnp.asarray(NUMBERS, jnp.float32), (n, 1)), jnp.tile(jnp.asarray(SEEN_NUMBERS), (n, 1))


def test_pseudo_gibbs_of_the_exact_posterior_is_exact():
    answers = jax.jit(conditionals.pseudo_gibbs(LINEAR, sweeps=20, burn_in=30))({}, KEY, *copies(2_000))
    assert_mean(answers[:, 1], EXPECTED)
    np.testing.assert_array_equal(answers[:, [0, 2]], np.tile(NUMBERS[[0, 2]].astype(np.float32), (2_000, 1)))


def test_given_a_class_the_answer_is_exact():
    """Class 1 adds 3 to all numbers; the model is told that class, and the functions of the answer need no label."""
    moved = LINEAR._replace(
        posterior=lambda variables, x, label: posterior(variables, x - 3 * label[:, None]),
        likelihood=lambda variables, z, label: Shaped(
            diagonal_normal(z @ jnp.asarray(A, jnp.float32).T + 3 * label[:, None], jnp.full((*z.shape[:-1], 3), S)),
            (3,),
        ),
    )
    x, seen = copies(2_000)
    for label in (0, 1):
        of_class = moved.given(jnp.full(len(x), label))
        answers = jax.jit(conditionals.pseudo_gibbs(of_class, sweeps=20, burn_in=30))({}, KEY, x + 3 * label, seen)
        assert_mean(answers[:, 1], EXPECTED + 3 * label)


def test_all_functions_of_a_model_are_given_the_label():
    told = LINEAR._replace(
        posterior=lambda variables, x, label: ("q", label),
        prior=lambda variables, label: ("prior", label),
        likelihood=lambda variables, z, label: ("p", label),
    ).given(jnp.arange(2))
    answers = told.posterior({}, None), told.prior({}), told.likelihood({}, None)
    assert [name for name, _ in answers] == ["q", "prior", "p"]
    for _, label in answers:
        np.testing.assert_array_equal(label, [0, 1])


def test_importance_sampling_is_exact_and_reports_its_effective_samples():
    estimate = lambda x, seen: conditionals.importance_estimate(LINEAR, {}, KEY, x, seen, num_samples=400)
    answers, effective = jax.jit(estimate)(*copies(500))
    assert_mean(answers[:, 1], EXPECTED, float_error=3e-3)  # self-normalised: a bias of about 1/k
    assert ((effective > 1) & (effective < 400)).all()
    x = jnp.zeros((3, 3))  # all seen, and q exact: all weights are equal
    _, effective = jax.jit(estimate)(x, jnp.ones((3, 3), bool))
    np.testing.assert_allclose(effective, 400, rtol=1e-3)


def test_importance_sampling_with_one_sample_is_the_answer_of_the_encoder():
    x, seen = copies(4)
    answers = conditionals.importance_sampling(LINEAR, num_samples=1, fill=0.3)({}, KEY, x, seen)
    z = posterior({}, jnp.where(seen, x, 0.3)).sample(seed=jax.random.fold_in(KEY, 0))
    np.testing.assert_allclose(answers, jnp.where(seen, x, likelihood({}, z).mean()), rtol=1e-5)


def test_clamped_gibbs_has_the_exact_marginals():
    """Of a restricted machine, of a deep one, and not those of mean field."""
    x, seen = jnp.tile(X, (2_000, 1)), jnp.tile(SEEN, (2_000, 1))
    marginals = np.array(exact.PAIRS)[[2, 1]] + exact.PAIRS[3]
    answers = jax.jit(conditionals.clamped_gibbs(RBM, sweeps=20, burn_in=10))(RBM_VARIABLES, KEY, x, seen)
    assert_mean(answers[:, jnp.array([1, 3])], marginals)
    answers = jax.jit(conditionals.clamped_gibbs(DBM, sweeps=20, burn_in=15))(DBM_VARIABLES, KEY, x, seen)
    assert_mean(answers, exact.SUBSET["exact_v"])
    with pytest.raises(AssertionError):
        assert_mean(answers, exact.SUBSET["mean_field_v"])


def test_mean_field_answers_with_the_sweeps_that_it_is_asked_for():
    for sweeps in (2, 5):
        answers = jax.jit(conditionals.mean_field(DBM, sweeps=sweeps))(DBM_VARIABLES, KEY, X, SEEN)
        np.testing.assert_allclose(answers[0], exact.MULTI_PREDICTION[f"K={sweeps}"]["v"], rtol=1e-5)


def test_the_mean_pixel_stands_where_x_is_missing():
    answers = conditionals.mean_pixel(jnp.array([0.1, 0.2, 0.3, 0.4]))({}, KEY, X, SEEN)
    np.testing.assert_allclose(answers[0], [1, 0.2, 1, 0.4])


WAYS = {
    "mean_field": (conditionals.mean_field(DBM), DBM_VARIABLES),
    "clamped_gibbs": (conditionals.clamped_gibbs(DBM, sweeps=2, burn_in=0), DBM_VARIABLES),
    "pseudo_gibbs": (conditionals.pseudo_gibbs(LINEAR, sweeps=2, burn_in=0), {}),
    "importance_sampling": (conditionals.importance_sampling(LINEAR, num_samples=2), {}),
    "mean_pixel": (conditionals.mean_pixel(jnp.float32(0.5)), {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_missing_is_never_read_and_all_or_nothing_may_be_seen(way):
    conditional, variables = WAYS[way]
    conditional, x = jax.jit(conditional), X if variables else X[:, :3]
    seen = SEEN[:, : x.shape[1]]
    behind = jnp.where(seen, x, jnp.nan)
    np.testing.assert_array_equal(conditional(variables, KEY, x, seen), conditional(variables, KEY, behind, seen))
    np.testing.assert_array_equal(conditional(variables, KEY, x, jnp.ones_like(seen)), x)
    assert np.isfinite(conditional(variables, KEY, x * jnp.nan, jnp.zeros_like(seen))).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_mask_that_does_not_fit_is_refused(way):
    conditional, variables = WAYS[way]
    x = X if variables else X[:, :3]
    with pytest.raises(ValueError, match="observed must be bool of the shape"):
        conditional(variables, KEY, x, jnp.ones(x.shape))


def test_importance_sampling_needs_independent_numbers():
    dependent = LINEAR._replace(
        likelihood=lambda variables, z, label=None: FullCovarianceNormal(z, jnp.eye(2) * jnp.ones((len(z), 1, 1)))
    )

    model = dependent._replace(posterior=lambda variables, x, label=None: posterior({}, jnp.zeros((len(x), 3))))
    with pytest.raises(ValueError, match="needs independent numbers"):
        conditionals.importance_sampling(model, num_samples=1)({}, KEY, jnp.zeros((2, 2)), jnp.ones((2, 2), bool))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: conditionals.mean_field(DBM, sweeps=0),
        lambda: conditionals.clamped_gibbs(DBM, sweeps=0),
        lambda: conditionals.pseudo_gibbs(LINEAR, burn_in=-1),
        lambda: conditionals.importance_sampling(LINEAR, num_samples=0),
    ],
)
def test_counts_are_checked(wrong):
    with pytest.raises(ValueError, match="must be an integer of at least"):
        wrong()
