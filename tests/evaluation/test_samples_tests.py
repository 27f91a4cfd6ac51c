"""The classifier two-sample test and the test of data copying: false alarms are counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from genjax_models.estimators.kernels import median_bandwidth
from genjax_models.evaluation.classifier_test import classifier_two_sample_test
from genjax_models.evaluation.estimates import Estimate, Share, estimate, limited, share
from genjax_models.evaluation.features import PIXELS
from genjax_models.evaluation.frechet_distance import frechet_distance
from genjax_models.evaluation.labels import class_accuracy, classifier_score
from genjax_models.evaluation.manifold_coverage import manifold_coverage
from genjax_models.evaluation.modes import mode_coverage
from genjax_models.evaluation.neighbours import data_copying, nearest_in_parts, nearest_neighbours
from genjax_models.evaluation.parzen_window import parzen_log_density
from genjax_models.evaluation.samples import sample_quality
from tests.statistics import STANDARD_ERRORS, assert_mean


def normal(seed, n, d=2, shift=0.0):
    return (shift + np.random.RandomState(seed).normal(size=(n, d))).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("classifier", [None, LogisticRegression()])
def test_false_alarms_are_as_rare_as_the_p_value_says(classifier):
    """200 pairs of one distribution; the p-value is discrete, so that alarms may be rarer than it says."""
    p = np.array(
        [
            classifier_two_sample_test(normal(2 * i, 60), normal(2 * i + 1, 80), classifier=classifier).p_value
            for i in range(200)
        ]
    )
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p <= level) <= level + STANDARD_ERRORS * np.sqrt(level * (1 - level) / len(p))
    assert np.mean(p <= 0.2) > 0.05  # the test has power


def test_scoring_on_training_points_would_be_detected():
    """A nearest neighbour recognises all training points: every pair would be an alarm."""

    class Cheat(KNeighborsClassifier):
        def fit(self, x, label):
            both = np.concatenate([normal(0, 60), normal(1, 60)])
            return super().fit(both, np.repeat([1, 0], 60))

    assert classifier_two_sample_test(normal(0, 60), normal(1, 60), classifier=Cheat(1)).p_value < 1e-10


def test_distributions_that_differ_only_in_shape_are_detected():
    x, y = normal(0, 300), 1.8 * normal(1, 300)  # the means are equal: no line separates them
    result = classifier_two_sample_test(x, y)
    assert result.p_value < 1e-4
    assert result.accuracy.value > 0.58
    assert classifier_two_sample_test(x, y, classifier=LogisticRegression()).p_value > 0.01


def test_accuracy_and_p_value_are_scikit_learns_and_fishers():
    x, y = normal(0, 90), normal(1, 90, shift=0.7)
    result = classifier_two_sample_test(x, y)
    votes = 9  # odd, the root of 90 training points
    learned, label = np.concatenate([x[::2], y[::2]]), np.repeat([1, 0], 45)
    predicted = KNeighborsClassifier(votes).fit(learned, label).predict(np.concatenate([x[1::2], y[1::2]]))
    assert result.accuracy.value == pytest.approx(np.mean(predicted == label))
    assert result.accuracy.standard_error == pytest.approx(
        np.sqrt(result.accuracy.value * (1 - result.accuracy.value) / 90)
    )
    table = [[np.sum((predicted == i) & (label == j)) for j in (1, 0)] for i in (1, 0)]
    assert result.p_value == pytest.approx(scipy.stats.fisher_exact(table, alternative="greater").pvalue)


def test_a_larger_set_is_thinned_evenly():
    x, y = normal(0, 40), normal(1, 400)
    chosen = y[np.linspace(0, 399, 40).astype(int)]
    assert classifier_two_sample_test(x, y) == classifier_two_sample_test(x, chosen)


def test_fault_18_too_few_to_learn_from_are_refused():
    with pytest.raises(ValueError, match="samples must be at least 8, got 7"):
        classifier_two_sample_test(normal(0, 7), normal(1, 40))


def test_the_nearest_neighbours_are_the_nearest():
    x, train = normal(0, 600, d=5), normal(1, 70, d=5)
    apart = np.linalg.norm(x[:, None].astype(np.float64) - train, axis=-1)
    order = np.argsort(apart, axis=1)[:, :3]
    result = nearest_neighbours(x.reshape(600, 5, 1), train.reshape(70, 5, 1), neighbours=3)
    np.testing.assert_array_equal(result.indices, order)
    np.testing.assert_allclose(result.distances, np.take_along_axis(apart, order, axis=1), rtol=1e-5)


def test_a_copy_is_found_at_no_distance():
    train = normal(0, 300, d=50, shift=10.0)
    result = nearest_neighbours(train[[7, 250]], train)
    np.testing.assert_array_equal(result.indices[:, 0], [7, 250])
    np.testing.assert_array_equal(result.distances[:, 0], 0)


def test_the_nearest_of_parts_is_the_nearest_of_all():
    """Ties between parts go to the lower index, as within a part."""
    x, train = normal(0, 30), normal(1, 50)
    train[40] = train[3] = x[0]
    whole = nearest_neighbours(x, train)
    result = nearest_in_parts(x, iter([train[:20], train[20:21], train[21:]]))
    assert whole.indices[0, 0] == 3
    np.testing.assert_array_equal(result.indices, whole.indices)
    np.testing.assert_array_equal(result.distances, whole.distances)


def test_no_parts_have_no_nearest():
    with pytest.raises(ValueError, match="at least 1 training example, got no part"):
        nearest_in_parts(normal(0, 3), [])


def test_data_copying_counts_pairs_with_ties_for_half():
    train = jnp.zeros((1, 1))
    samples, test = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[2.0], [4.0]])
    share, error, n, m = data_copying(samples, train, test)
    assert share == pytest.approx((2 + 1.5 + 1) / 6)
    assert error == pytest.approx(np.sqrt(np.var([1, 0.75, 0.5], ddof=1) / 3 + np.var([0.5, 1], ddof=1) / 2))
    assert (n, m) == (3, 2)


def test_new_draws_are_as_far_from_training_data_as_test_data_are_and_copies_are_not():
    result = [data_copying(normal(3 * i, 80), normal(3 * i + 1, 60), normal(3 * i + 2, 70)) for i in range(200)]
    values, errors = (np.array([getattr(f, name) for f in result]) for name in ("value", "standard_error"))
    assert_mean(values, 0.5)
    assert_mean(((values - 0.5) / errors) ** 2, 1, float_error=0.1)
    train, test = normal(0, 100), normal(1, 100)
    assert data_copying(train + 1e-6, train, test).value > 0.99
    assert data_copying(normal(2, 100, shift=30.0), train, test).value == 0


BAD = [
    ({"neighbours": 0}, "integer of at least 1, got 0"),
    ({"neighbours": 6}, "`neighbours` must be 1 to 5 training examples, got 6"),
    ({"train": np.zeros((5, 2, 2), np.uint8)}, "prepared alike"),
    ({"train": np.zeros((5, 3), np.float32)}, "features must have one size"),
    ({"train": np.full((5, 4), np.nan, np.float32)}, "must be finite"),
    ({"x": np.zeros((0, 4), np.float32)}, r"features \[n, d\]|at least 1"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD)
def test_wrong_neighbours_are_refused(wrong, message):
    arguments = {"x": np.zeros((3, 2, 2), np.float32), "train": np.zeros((5, 2, 2), np.float32), **wrong}
    with pytest.raises(ValueError, match=message):
        nearest_neighbours(**arguments)


def test_an_estimate_in_full_has_its_interval_and_numbers():
    text = "0.1235 +- 0.023, 95% from 0.0767 to 0.17 (1,000 samples, 900 data)"
    assert Estimate(0.123456, 0.0234, 1000, 900).in_full() == text
    assert Estimate(0.5, float("nan"), 10).in_full() == "0.5 (10 samples)"
    assert Estimate(1.0, 0.25, 4).interval == (0.5, 1.5)


def test_the_neighbours_are_found_inside_jit():
    x, train = normal(0, 20), normal(1, 30)
    inside = jax.jit(lambda x, train: nearest_neighbours(x, train).distances)(x, train)
    np.testing.assert_allclose(inside, nearest_neighbours(x, train).distances, rtol=1e-6)


def exact_neighbours(x, train, k):
    apart = np.linalg.norm(x[:, None].astype(np.float64) - train, axis=-1)
    order = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(apart, order, axis=1)


@pytest.mark.parametrize("k", [1, 3])
def test_fault_84_near_copies_among_far_data_are_ranked_by_differences(k):
    """60 near copies of each of two examples that are far apart: expanded squares lose their distances."""
    for far in (100.0, 1e4):
        train = np.concatenate([normal(0, 60, d=4) * 1e-2 + far, normal(1, 60, d=4) * 1e-2 - far])
        x = np.concatenate([normal(2, 20, d=4) * 1e-2 + far, normal(3, 20, d=4) * 1e-2 - far])
        indices, distances = exact_neighbours(x, train, k)
        result = nearest_neighbours(x, train, neighbours=k)
        np.testing.assert_allclose(result.distances, distances, rtol=1e-5)
        np.testing.assert_array_equal(result.indices, indices)


@pytest.mark.parametrize("diverged", [1e6, 1e15])
def test_fault_84_a_diverged_example_or_sample_spoils_no_neighbour(diverged):
    x, train = normal(0, 40, d=4), normal(1, 90, d=4)
    x[5], train[8] = diverged, -diverged
    indices, distances = exact_neighbours(np.delete(x, 5, axis=0), train, 2)
    result = nearest_neighbours(x, train, neighbours=2)
    np.testing.assert_array_equal(np.delete(result.indices, 5, axis=0), indices)
    np.testing.assert_allclose(np.delete(result.distances, 5, axis=0), distances, rtol=1e-5)


def test_fault_84_a_diverged_sample_spoils_no_density_and_no_bandwidth():
    samples, test = normal(0, 30), normal(1, 20)
    plain, bandwidth = parzen_log_density(test, samples, [0.3]), median_bandwidth(samples, test)
    diverged = np.concatenate([samples, np.full((1, samples.shape[1]), 1e8, np.float32)])
    np.testing.assert_allclose(parzen_log_density(test, diverged, [0.3]), plain + np.log(30 / 31), rtol=1e-4)
    assert median_bandwidth(diverged, test) == pytest.approx(float(bandwidth), rel=0.1)


def test_fault_84_copies_with_little_noise_are_copies_among_far_data():
    clusters = np.repeat(np.float32([[-1e3, 0], [1e3, 0], [0, 1e3]]), 40, axis=0)
    train, test = clusters + 0.01 * normal(0, 120), clusters + 0.01 * normal(1, 120)
    assert data_copying(train + 1e-4 * normal(2, 120), train, test).value > 0.9
    assert abs(data_copying(clusters + 0.01 * normal(3, 120), train, test).value - 0.5) < 0.2


@pytest.mark.parametrize("n", [1, 20, 1_000])
@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 1.0])
def test_fault_87_the_interval_of_a_share_is_wilsons(n, p):
    k = round(n * p)
    result = share(k / n, np.sqrt(k / n * (1 - k / n) / n), n)
    level = scipy.stats.norm.cdf(2) - scipy.stats.norm.cdf(-2)
    expected = scipy.stats.binomtest(k, n).proportion_ci(level, method="wilson")
    np.testing.assert_allclose(result.interval, (expected.low, expected.high), atol=1e-9)
    assert 0 <= result.interval[0] < result.interval[1] <= 1
    assert result.standard_error > 0


def test_fault_87_no_figure_leaves_its_range_or_claims_certainty():
    x, far = normal(0, 60), normal(1, 60, shift=1e3)
    figures = [
        data_copying(x, x, far),
        data_copying(far, x, normal(2, 60)),
        classifier_two_sample_test(x, far).accuracy,
    ]
    coverage = manifold_coverage(x, far)
    figures += [coverage[name] for name in ("precision", "recall", "coverage")]
    assert {figure.value for figure in figures} == {0.0, 1.0}
    for figure in figures:
        assert isinstance(figure, Share)
        low, high = figure.interval
        assert 0 <= low < high <= 1
        assert figure.standard_error > 0
    assert coverage["density"].interval[0] == 0
    density = limited(Estimate(0.4, 0.79, 60, 60), 0)
    assert density.interval == (0, 0.4 + 2 * 0.79)
    assert "from 0 to" in density.in_full()
    assert limited(Estimate(0.4, float("nan"), 60), 0).in_full() == "0.4 (60 samples)"
    assert share(0.5, float("nan"), 10).in_full() == "0.5 (10 samples)"
    assert share(1.0, 0.1, 1_000).interval == pytest.approx((0.8, 1))  # a jackknife's error may be the larger one


def test_fault_87_trials_have_a_share_and_other_numbers_have_none():
    trials = estimate(np.ones(50, bool))
    assert isinstance(trials, Share)
    assert trials.standard_error == pytest.approx(np.sqrt(50.5 / 51 * 0.5 / 51 / 50))
    assert estimate(np.array([True, True, True, False]))[:2] == pytest.approx((0.75, np.sqrt(0.75 * 0.25 / 4)))
    assert estimate(np.zeros(50)).standard_error == 0  # a KL of 0 is 0
    assert mode_coverage(np.zeros((50, 2), np.float32), np.zeros((1, 2)), 1.0)["high_quality"].dtype == bool
    assert class_accuracy(np.log(np.full((3, 2), 0.5)), np.zeros(3, int)).dtype == bool


def test_fault_87_scores_and_distances_stay_within_their_range():
    same = np.log(np.tile([[0.9, 0.1]], (30, 1)))
    sure = np.where(np.eye(2)[np.arange(30) % 2] == 1, 0.0, -80.0)
    for log_p in (same, sure, same + 1e-9 * np.random.RandomState(0).normal(size=same.shape)):
        score = classifier_score(log_p)
        assert 1 <= score.interval[0] <= score.value <= score.interval[1] <= 2
    x = normal(0, 30)
    assert frechet_distance(x, x)[0] >= 0
    assert jax.jit(frechet_distance)(x, x)[0] >= 0
    quality = sample_quality(PIXELS, x, x)
    assert all(quality[f"{name}_on_pixels"].interval[0] >= 0 for name in ("frechet_distance", "diversity", "density"))
