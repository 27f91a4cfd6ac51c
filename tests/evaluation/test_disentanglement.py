"""Figures by mutual information, R^2 and DCI: exact values of small tables, and of a rotated Gaussian."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import genjax_models as gx
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.evaluation.disentanglement import (
    modularity,
    mutual_information_gap,
    mutual_information_matrix,
    plug_in_bias,
)
from genjax_models.evaluation.factor_importance import dci, importance
from genjax_models.evaluation.known_factors import bootstrap_errors, bootstrapped, known_factors
from genjax_models.evaluation.predictability import (
    linear_readings,
    separated_attribute_predictability,
    squared_correlations,
)

# name -> (codes, factors, I in units of log 2 or log 3, MIG, modularity)
L2, L3 = math.log(2), math.log(3)
SIX = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
FOUR = [[0, 0], [0, 1], [1, 0], [1, 1]]
TABLES = {
    "perfect": ([[0, 0], [10, 0], [20, 0], [0, -3], [10, -3], [20, -3]], SIX, [[0, L3], [L2, 0]], 1.0, 1.0),
    "one factor twice, the other once": (
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [1, 1, 0], [1, 1, 1], [1, 1, 2]],
        SIX,
        [[L2, 0], [L2, 0], [0, L3]],
        0.5,
        1.0,
    ),
    "rotated by 45 degrees": ([[0, 0], [1, -1], [1, 1], [2, 0]], FOUR, [[L2 / 2, L2 / 2]] * 2, 0.0, 0.0),
    "both in one code, a constant beside": ([[0, 0], [1, 0], [2, 0], [3, 0]], FOUR, [[L2, L2], [0, 0]], 1.0, 0.0),
    "exclusive or beside the first": ([[0, 0], [1, 0], [1, 1], [0, 1]], FOUR, [[0, 0], [L2, 0]], 0.5, 0.5),
}


@pytest.mark.parametrize(("codes", "factors", "information", "mig", "modular"), TABLES.values(), ids=TABLES)
def test_exact_values_of_small_tables(codes, factors, information, mig, modular):
    np.testing.assert_allclose(mutual_information_matrix(codes, factors), information, atol=1e-12)
    gap = mutual_information_gap(codes, factors, resamples=3)
    assert gap.estimate.value == pytest.approx(mig, abs=1e-12)
    assert gap.by_factor.mean() == pytest.approx(mig, abs=1e-12)
    assert list(gap.active) == list(np.ptp(codes, axis=0) > 0)
    assert modularity(codes, factors, resamples=0).value == pytest.approx(modular, abs=1e-12)


def rotated(degrees, v):
    angle = math.radians(degrees)
    return v @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


# degrees -> (MIG of quartiles, SAP) of a rotated standard normal in the plane
ROTATED = {
    0.5: (0.9670971644277727, 0.9998476951563913),
    10.0: (0.654301692613254, 0.9396926207859083),
    22.5: (0.3964608464952504, 0.7071067811865475),
    40.0: (0.08469559234790432, 0.17364817766693041),
    45.0: (0.0, 0.0),
}
GRID = norm.ppf((np.arange(400) + 0.5) / 400)
PLANE = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)  # a standard normal by quantiles


@pytest.mark.parametrize("degrees", ROTATED)
def test_a_rotation_lowers_mig_and_sap_as_computed(degrees):
    """And leaves the bound: q(z | x) and p(z) = N(0, I) rotate together."""
    mig, sap = ROTATED[degrees]
    z, quartile = rotated(degrees, PLANE), lambda a: np.searchsorted(norm.ppf([0.25, 0.5, 0.75]), a)
    gap = mutual_information_gap(quartile(z), quartile(PLANE), resamples=0)
    assert gap.estimate.value == pytest.approx(mig, abs=0.01)
    assert separated_attribute_predictability(z, PLANE, resamples=0).value == pytest.approx(sap, abs=1e-6)


def test_a_rotation_of_z_leaves_the_bound_and_changes_mig():
    """x = v; q = N(v R, .1^2 I), p(x | z) = N(z R', I): the bound of each example is the same for every R."""
    x, bounds, gaps = jnp.asarray(PLANE[::97], jnp.float32), [], []
    for degrees in (0, 45):
        turned = jnp.asarray(rotated(degrees, np.eye(2)), jnp.float32)
        posterior = diagonal_normal(x @ turned, jnp.full(x.shape, 0.1))
        likelihood = lambda z, turned=turned: diagonal_normal(z @ turned.T, jnp.ones(z.shape))
        prior = diagonal_normal(jnp.zeros(2), jnp.ones(2))
        bounds.append(gx.elbo(jax.random.key(0), x, posterior, prior, likelihood))
        gaps.append(mutual_information_gap(posterior.mean(), x, resamples=0).estimate.value)
    np.testing.assert_allclose(bounds[1], bounds[0], rtol=1e-5)
    assert gaps[0] > 0.9
    assert gaps[1] < 0.1


def test_sap_is_of_squared_correlations():
    z, v = [[0.0, 1.0], [1.0, 3.0], [2.0, 2.0], [3.0, 0.0]], [[0.0], [1.0], [2.0], [4.0]]
    np.testing.assert_allclose(squared_correlations(z, v), [[0.9657142857142859], [0.28]], rtol=1e-12)
    assert separated_attribute_predictability(z, v).value == pytest.approx(0.6857142857142858, rel=1e-12)


@pytest.mark.parametrize(
    ("matrix", "disentanglement", "completeness"),
    [
        ([[1, 0], [0, 1], [0, 0]], 1.0, 1.0),
        ([[1, 0], [1, 0], [0, 1]], 1.0, 0.579380164285695),
        ([[1, 1, 0], [0, 0, 1]], 0.579380164285695, 1.0),
        ([[0.9, 0.1], [0.1, 0.9]], 0.5310044064107189, 0.5310044064107189),
        ([[1, 1], [1, 1]], 0.0, 0.0),
        ([[0.5, 0.25, 0.25], [0.0, 0.75, 0.25]], 0.27087293124994966, 0.3443609377704336),
        ([[3, 0], [1, 1]], 0.6, None),
    ],
)
def test_dci_of_a_matrix(matrix, disentanglement, completeness):
    result = dci(matrix)
    assert result.disentanglement == pytest.approx(disentanglement, abs=1e-12)
    assert completeness is None or result.completeness == pytest.approx(completeness, abs=1e-12)


def test_the_bias_of_counting_is_stated_and_seen():
    """Independent variables, 20 bins and 10 values: I by counts is .00855 nats too large; 5 standard errors."""
    assert plug_in_bias(10_000, 20, 10) == pytest.approx(0.00855)
    random = np.random.RandomState(0)
    codes, factors = random.uniform(size=(10_000, 4)), random.randint(10, size=(10_000, 5))
    information = mutual_information_matrix(codes, factors, discrete=[True] * 5)
    error = math.sqrt(19 * 9 / 2) / 10_000 / math.sqrt(20)  # 2 n I is chi-squared with 171 degrees of freedom
    assert abs(information.mean() - 0.00855) < 5 * error
    gap = mutual_information_gap(codes, factors, resamples=0)
    assert gap.bias == pytest.approx(0.00855 / math.log(10), rel=0.01)
    assert 0 < gap.estimate.value < gap.bias


def test_the_bias_is_of_the_code_with_most_bins():
    codes = np.stack([np.arange(100) % 2, np.arange(100) % 5], axis=1)
    factors = np.arange(100)[:, None] % 4
    assert mutual_information_gap(codes, factors, resamples=0).bias == pytest.approx(4 * 3 / 200 / math.log(4))


RANDOM = np.random.RandomState(1)
FACTORS = np.stack([RANDOM.uniform(size=600), RANDOM.randint(4, size=600)], axis=1)
CODES = np.stack(
    [FACTORS[:, 1] + RANDOM.normal(0, 0.1, 600), 0.05 * RANDOM.normal(size=600), 3 * FACTORS[:, 0]], axis=1
)


def test_an_inactive_dimension_is_left_out_and_counted():
    gap, weights = mutual_information_gap(CODES, FACTORS, resamples=0), importance(CODES, FACTORS)
    for active in (gap.active, weights.active, linear_readings(CODES, FACTORS, resamples=0).active):
        assert list(active) == [True, False, True]
    assert list(gap.best_code) == [2, 0]
    assert weights.matrix.shape == (2, 2)
    assert (mutual_information_matrix(CODES, FACTORS)[1] == 0).all()
    assert mutual_information_matrix(CODES, FACTORS, active=[True] * 3)[1, 0] > 0.1


@pytest.mark.parametrize("reader", ["random_forest", "boosted_trees"])
def test_readers_find_the_code_of_each_factor(reader):
    result = importance(CODES, FACTORS, reader)
    np.testing.assert_allclose(result.matrix, [[0, 1], [1, 0]], atol=0.02)
    assert (result.informativeness > 0.98).all()
    assert min(dci(result.matrix)) > 0.9


@pytest.mark.parametrize("factor", [RANDOM.randint(2, size=600), RANDOM.normal(size=600)])
def test_a_factor_that_no_code_knows_has_no_informativeness(factor):
    """A reader recites the rows that it was fitted to: 0.86 and 0.35 on them."""
    (informativeness,) = importance(CODES, factor[:, None]).informativeness
    assert informativeness < (0.5 + 5 * 0.5 / 300**0.5 if factor.dtype == int else 0)


def test_an_estimator_of_scikit_learn_is_a_reader():
    from sklearn.linear_model import Lasso

    reader = Lasso(alpha=0.01)
    np.testing.assert_allclose(importance(CODES, FACTORS, reader).matrix, [[0, 1], [1, 0]], atol=0.02)
    assert not hasattr(reader, "coef_")  # copies are fitted


def test_factors_that_no_code_has_alone_are_read_from_all():
    """Codes rotated by 45 degrees: R^2 of one code is 1/2, of both 1 minus the noise of .01."""
    v = np.random.RandomState(2).normal(size=(4_000, 2))
    readings = linear_readings(rotated(45, v) + np.random.RandomState(3).normal(0, 0.1, v.shape), v)
    assert (np.abs(readings.one_code - 0.5 / 1.01) < 5 * readings.one_code_error).all()
    assert (np.abs(readings.all_codes - 1 / 1.01) < 5 * readings.all_codes_error).all()
    # The delta method: the error of r^2 is 2 r (1 - r^2) / sqrt(n) for a Gaussian; the bootstrap's is known to 7%.
    r2 = 0.5 / 1.01
    np.testing.assert_allclose(readings.one_code_error, 2 * r2**0.5 * (1 - r2) / 4_000**0.5, rtol=0.35)


def test_all_codes_are_judged_on_rows_that_their_reader_did_not_see():
    """Six numbers read six rows without an error."""
    random = np.random.RandomState(4)
    z, v = random.normal(size=(12, 5)), random.normal(size=(12, 2))
    readings = linear_readings(z, v, resamples=0)
    assert (readings.all_codes < 0).all()
    np.testing.assert_allclose(linear_readings(z, v + 10, resamples=0).all_codes, readings.all_codes)


def test_the_error_of_the_bootstrap_is_the_standard_deviation_of_its_draws():
    means = []
    mean = lambda x: means.append(x.mean()) or means[-1]
    assert bootstrap_errors(mean, np.arange(5.0), resamples=3) == pytest.approx(np.std(means, ddof=1))


def test_the_error_of_the_bootstrap_is_that_of_a_mean():
    x = np.random.RandomState(0).normal(size=2_000)
    estimate = bootstrapped(np.mean, x)
    assert estimate.value == x.mean()
    assert estimate.standard_error == pytest.approx(x.std() / 2_000**0.5, rel=0.35)
    assert math.isnan(bootstrapped(np.mean, x, resamples=0).standard_error)


NAN, ONES = np.concatenate([CODES[:-1], [[np.nan] * 3]]), np.ones(600)
BAD = [
    ((CODES, FACTORS[:5]), r"factors must be \[600, f\], a row per code, got shape \(5, 2\)"),
    ((CODES, FACTORS[:, 0]), r"factors must be \[600, f\], a row per code, got shape \(600,\)"),
    ((NAN, FACTORS), "codes must be finite, got nan"),
    ((CODES, FACTORS * [np.inf, 1]), "factors must be finite, got inf"),
    ((CODES, np.stack([ONES, ONES], axis=1)), "factors must vary, got 1 in every row of factor 0: its entropy is 0"),
    ((CODES[:, :1], FACTORS), "codes must have at least 2 dimensions, got 1"),
    ((CODES[:, 0], FACTORS), r"codes must be \[n, d\] with n at least 1, got shape \(600,\)"),
    ((CODES[:0], FACTORS[:0]), r"codes must be \[n, d\] with n at least 1, got shape \(0, 3\)"),
    ((0.01 * CODES, FACTORS), "codes must have an active dimension, got 3 inactive dimensions"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
@pytest.mark.parametrize(
    "figure",
    [mutual_information_matrix, mutual_information_gap, modularity, importance, linear_readings,
     separated_attribute_predictability],
)  # fmt: skip
def test_bad_input_is_one_line(figure, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        figure(*arguments)
    assert "\n" not in str(error.value)


def test_bad_options_are_one_line():
    from sklearn.linear_model import LogisticRegression

    for call, message in {
        lambda: importance(CODES, FACTORS, LogisticRegression()): "factor 0 must be discrete for the classifier Logis",
        lambda: importance(
            CODES, FACTORS, "lasso"
        ): "reader must be one of random_forest, boosted_trees or an estimator",
        lambda: known_factors(
            CODES, FACTORS, discrete=[True, True]
        ): "factor 0 must be integers for a classifier, got c",
        lambda: known_factors(CODES, FACTORS, discrete=[True]): "discrete must have a value per factor, 2, got shape",
        lambda: known_factors(CODES, FACTORS, active=[True]): "active must have a value per dimension, 3, got shape",
        lambda: mutual_information_matrix(CODES, FACTORS, 1): "bins must be at least 2, got 1",
        lambda: modularity(CODES, FACTORS[:, :1]): "factors must have at least 2 columns for modularity, got 1",
        lambda: linear_readings(
            CODES[:7], FACTORS[:7], active=[1, 1, 1]
        ): "codes must have at least 8 rows for a linear",
        lambda: dci(
            [[1.0, 0.0]]
        ): r"importance must be \[d, f\] with at least 2 codes and 2 factors, got shape \(1, 2\)",
        lambda: dci([[0.0, 0.0], [0.0, 0.0]]): "importance must be finite and at least 0, and not all 0",
        lambda: dci([[1.0, -1.0], [0.0, 0.0]]): "importance must be finite and at least 0, and not all 0",
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
