"""Fréchet distance, kernel distance and diversity: exact values, other libraries' values, and correct errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.kernels import polynomial_kernel
from genjax_models.estimators.mmd import mmd_squared_biased, mmd_squared_unbiased
from genjax_models.evaluation import frechet_distance as module
from genjax_models.evaluation.classifier_test import classifier_two_sample_test
from genjax_models.evaluation.diversity import diversity
from genjax_models.evaluation.frechet_distance import frechet_distance
from genjax_models.evaluation.kernel_distance import kernel_distance
from genjax_models.evaluation.manifold_coverage import manifold_coverage
from genjax_models.evaluation.neighbours import data_copying, nearest_neighbours
from genjax_models.evaluation.parzen_window import parzen_log_density
from tests.statistics import assert_mean

FIGURES = [frechet_distance, kernel_distance, diversity]


def features():
    """60 and 50 points in 8 dimensions, float64, the same on every machine."""
    random = np.random.RandomState(0)
    a, b = (random.normal(size=(8, 8)) / np.sqrt(8) for _ in range(2))
    return random.normal(size=(60, 8)) @ a, 0.3 + random.normal(size=(50, 8)) @ b


# torch-fidelity 0.4.0 (with torch 2.13.0, float64 features): fid_features_to_statistics, fid_statistics_to_metric, and
# kid_features_to_metric with one subset of all of 50 points, its kernel's degree 3, gamma 1/d, coef0 1.
TORCH_FIDELITY_FID = 7.251023551866028
TORCH_FIDELITY_FID_OF_6_AND_5_POINTS = 6.450088993755348
TORCH_FIDELITY_KID = 1.1799164890899974


def points_with(mean, covariance):
    """Four points whose mean and covariance (of 1 / (n - 1)) are exactly these."""
    unit = np.sqrt(1.5) * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    return np.asarray(mean) + unit @ np.linalg.cholesky(covariance).T


EXACT = 2.874628111371253  # |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)
FIRST = points_with([0.0, 1.0], [[1.0, 0.2], [0.2, 0.5]])
SECOND = points_with([0.5, -0.5], [[2.0, -0.3], [-0.3, 1.0]])


def test_the_frechet_distance_has_the_exact_value_of_two_gaussians():
    np.testing.assert_allclose(frechet_distance(FIRST, SECOND)[0], EXACT, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(frechet_distance)(FIRST, SECOND)[0], EXACT, rtol=1e-5)


def test_the_frechet_distance_is_torch_fidelitys():
    x, y = features()
    np.testing.assert_allclose(frechet_distance(x, y)[0], TORCH_FIDELITY_FID, rtol=1e-10)
    np.testing.assert_allclose(jax.jit(frechet_distance)(x, y)[0], TORCH_FIDELITY_FID, rtol=1e-5)


def test_fewer_points_than_features_have_a_frechet_distance():
    x, y = features()
    assert frechet_distance(x[:6], y[:5])[0] == pytest.approx(TORCH_FIDELITY_FID_OF_6_AND_5_POINTS, rel=1e-7)
    np.testing.assert_allclose(frechet_distance(x, x)[0], 0, atol=1e-12)


@pytest.mark.parametrize("rows", [7, 2_048])
def test_covariances_and_qr_agree_down_to_small_eigenvalues(rows, monkeypatch):
    x, y = (z * np.logspace(0, -2, 8) + 1e3 for z in features())
    monkeypatch.setattr(module, "_LEAST_SQUARE", np.inf)
    value_by_qr, error_by_qr = frechet_distance(x, y)
    monkeypatch.undo()
    monkeypatch.setattr(module, "_ROWS", rows)
    monkeypatch.delattr(module, "_by_qr")
    value, error = frechet_distance(x, y)
    np.testing.assert_allclose(value, value_by_qr, rtol=1e-9)
    np.testing.assert_allclose(error, error_by_qr, rtol=1e-6)  # its products are in float32


def test_the_error_of_skewed_features_is_that_of_the_jackknife():
    """Only of skewed features do the signs of the linear and of the quadratic part matter."""
    random = np.random.RandomState(0)
    x, y = random.exponential(size=(400, 3)), 1.5 * random.exponential(size=(300, 3))
    _, error = frechet_distance(x, y)
    without = lambda z: (np.delete(z, i, axis=0) for i in range(len(z)))
    of_x = [frechet_distance(fewer, y)[0] for fewer in without(x)]
    of_y = [frechet_distance(x, fewer)[0] for fewer in without(y)]
    jackknife = np.sqrt(sum((len(values) - 1) * np.var(values) for values in (of_x, of_y)))
    np.testing.assert_allclose(error, jackknife, rtol=0.05)


def test_covariances_of_1_over_n_would_be_detected():
    x, y = features()
    shrunk = [z.mean(0) + (z - z.mean(0)) * np.sqrt((len(z) - 1) / len(z)) for z in (x, y)]
    assert abs(frechet_distance(*shrunk)[0] / TORCH_FIDELITY_FID - 1) > 1e-3


def test_the_kernel_distance_is_torch_fidelitys():
    x, y = features()
    np.testing.assert_allclose(kernel_distance(x[:50], y)[0], TORCH_FIDELITY_KID, rtol=1e-5)
    np.testing.assert_allclose(kernel_distance(x[:50], y, block_size=7)[0], TORCH_FIDELITY_KID, rtol=1e-5)


def test_the_kernel_distance_is_the_unbiased_mmd_and_the_biased_one_would_be_detected():
    x, y = features()
    kernel = polynomial_kernel(3, scale=1 / 8, offset=1.0)
    np.testing.assert_allclose(kernel_distance(x, y)[0], mmd_squared_unbiased(x, y, kernel), rtol=1e-5)
    assert abs(mmd_squared_biased(x[:50], y, kernel) / TORCH_FIDELITY_KID - 1) > 0.1


def repeated(figure, n, shift, scale, dimensions, repeats=400):
    """Values and standard errors of many pairs of samples: N(shift, scale^2) against N(0, 1)."""

    def once(key):
        x_key, y_key = jax.random.split(key)
        x = shift + scale * jax.random.normal(x_key, (n, dimensions))
        return figure(x, jax.random.normal(y_key, (n, dimensions)))

    return jax.jit(lambda keys: jax.lax.map(once, keys, batch_size=50))(jax.random.split(jax.random.key(0), repeats))


@pytest.mark.slow
def test_the_kernel_distance_is_unbiased_with_a_true_error():
    # In one dimension k = (x y + 1)^3 compares three raw moments, with weights 3, 3 and 1. The moments of
    # N(1/2, 1) are 1/2, 5/4 and 13/8; the moments of N(0, 1) are 0, 1 and 0.
    exact = 3 * 0.5**2 + 3 * 0.25**2 + 1.625**2
    values, errors = repeated(kernel_distance, 300, 0.5, 1.0, 1)
    assert_mean(values, exact)
    assert_mean(((values - exact) / errors) ** 2, 1, float_error=0.1)
    values, errors = repeated(kernel_distance, 100, 0.0, 1.0, 1)
    assert_mean(values, 0)
    assert 1 < np.mean(errors**2) / np.var(values) < 3  # cautious if the distributions are equal


def test_the_frechet_distance_has_a_true_error():
    exact = 2 * 0.5**2 + 2 * 0.5**2  # in two dimensions |m - m'|^2 + tr (S^1/2 - S'^1/2)^2
    values, errors = repeated(frechet_distance, 500, 0.5, 1.5, 2)
    assert_mean(values, exact, float_error=0.02)  # biased, by some 1/n
    assert_mean(((values - np.mean(values)) / errors) ** 2, 1, float_error=0.1)


def test_the_frechet_distance_is_biased_upwards_by_1_over_n():
    few, many = (float(np.mean(repeated(frechet_distance, n, 0.0, 1.0, 4)[0])) for n in (50, 200))
    assert 3 < few / many < 5.5


def test_diversity_is_the_ratio_of_mean_distances_with_a_true_error():
    x, y = features()
    apart = [np.linalg.norm(z[:, None] - z, axis=-1)[np.triu_indices(len(z), 1)].mean() for z in (x, y)]
    np.testing.assert_allclose(diversity(x, y)[0], apart[0] / apart[1], rtol=1e-5)
    values, errors = repeated(diversity, 200, 0.5, 1.5, 2)
    assert_mean(((values - 1.5) / errors) ** 2, 1, float_error=0.1)


def test_copies_of_one_image_have_no_diversity():
    x = np.tile(np.random.RandomState(0).normal(size=(1, 5)), (40, 1))
    value, error = diversity(x, features()[0][:, :5])
    assert value < 1e-4
    assert error < 1e-4


@pytest.mark.parametrize("figure", FIGURES)
def test_traced_and_concrete_figures_are_the_same(figure):
    x, y = features()
    np.testing.assert_allclose(jax.jit(figure)(x, y), figure(x, y), rtol=1e-4)


BAD = {
    "at least 2, got 1": lambda x: x[:1],
    "features must have one size": lambda x: x[:, :3],
    "1 of 60 rows are not, the first is row 7": lambda x: np.where(np.arange(60)[:, None] == 7, np.nan, x),
    r"must be features \[n, d\]": lambda x: x[:, 0],
    "prepared alike": lambda x: x.astype(np.uint8),
}


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("message", BAD)
def test_fault_18_samples_that_have_no_figure_are_refused(figure, message):
    x, y = features()
    with pytest.raises(ValueError, match=message):
        figure(BAD[message](x), y)


def test_data_that_are_all_equal_are_refused():
    with pytest.raises(ValueError, match="got 9 that are all equal"):
        diversity(features()[0], jnp.ones((9, 8)))


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e4])
@pytest.mark.parametrize("compiled", [False, True])
def test_fault_84_the_kernel_distance_of_features_far_from_the_origin(mean, compiled):
    """Against float64, of the kernel about a mean: k(x, y) - k(x, p) - k(p, y) + k(p, p) has the same distance."""
    random = np.random.RandomState(0)
    x = (mean + random.normal(size=(200, 16))).astype(np.float32)
    y = (mean + 0.3 + random.normal(size=(150, 16))).astype(np.float32)
    p = np.full(16, mean, np.longdouble)
    of = lambda a, b: (np.asarray(a, np.longdouble) @ np.asarray(b, np.longdouble).T / 16 + 1) ** 3
    about = lambda a, b: of(a, b) - of(a, p)[:, None] - of(p, b) + of(p, p)
    own = lambda z: (about(z, z).sum(axis=1) - np.diag(about(z, z))) / (len(z) - 1)
    xx, yy, xy, yx = own(x), own(y), about(x, y).mean(axis=1), about(x, y).mean(axis=0)
    expected = xx.mean() + yy.mean() - xy.mean() - yx.mean()
    variance = 4 * np.var(xx - xy, ddof=1) / len(x) + 4 * np.var(yy - yx, ddof=1) / len(y)
    value, error = (jax.jit(kernel_distance) if compiled else kernel_distance)(x, y)
    np.testing.assert_allclose(value, float(expected), rtol=1e-4)
    np.testing.assert_allclose(error, float(np.sqrt(variance)), rtol=0.02)


EXTREMES = [(np.float32, 1e20), (np.float32, 1e-25), (np.float64, 1e20), (np.float64, 1e-25)]


def scaled(dtype, scale, n=40):
    x, y = (z[:n].astype(np.float32) for z in features())
    return dtype(scale) * x.astype(dtype), dtype(scale) * y.astype(dtype), (x, y)


@pytest.mark.parametrize(("dtype", "scale"), EXTREMES)
def test_fault_90_figures_of_huge_and_tiny_features_are_right(dtype, scale):
    x, y, plain = scaled(dtype, scale)
    np.testing.assert_allclose(diversity(x, y), diversity(*plain), rtol=1e-4)
    np.testing.assert_allclose(frechet_distance(x, y), np.array(frechet_distance(*plain)) * scale**2, rtol=1e-4)
    for (_, figure), expected in zip(manifold_coverage(x, y).items(), manifold_coverage(*plain).values(), strict=True):
        np.testing.assert_allclose(figure, expected)


def test_fault_90_traced_figures_of_large_features_are_right():
    x, y, plain = scaled(np.float32, 1e15)
    figures = jax.jit(lambda x, y: (diversity(x, y), frechet_distance(x, y)))
    right, expected = figures(x, y), figures(*plain)
    np.testing.assert_allclose(right[0], expected[0], rtol=1e-4)
    np.testing.assert_allclose(right[1], np.array(expected[1]) * 1e30, rtol=1e-2)


@pytest.mark.parametrize(
    "figure", [nearest_neighbours, parzen_log_density, classifier_two_sample_test, kernel_distance]
)
def test_fault_90_features_whose_squares_float32_cannot_hold_are_refused(figure):
    for dtype, scale in [*EXTREMES, (np.float64, 1e-60), (np.float64, 1e200)]:
        x, y, _ = scaled(dtype, scale)
        message = "must be finite" if scale > 1e38 else "Scale all features by one number"
        with pytest.raises(ValueError, match=message) as error:
            figure(x, y)
        assert "\n" not in str(error.value)


def test_fault_90_samples_near_zero_are_no_tiny_features():
    x, y, _ = scaled(np.float32, 1.0)
    assert np.isfinite(nearest_neighbours(1e-25 * x, y).distances).all()
    assert data_copying(np.zeros_like(x), y, y).value == 0
    assert np.isfinite(parzen_log_density(y, np.zeros_like(x), [1e-30, 1.0])[1]).all()
    assert not np.isnan(parzen_log_density(x, x, [1e-30])).any()
