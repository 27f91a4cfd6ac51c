"""Parzen windows, modes of a mixture, and figures of a classifier on samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.data.synthetic import GRID25, RING8
from genjax_models.evaluation.labels import class_accuracy, classifier_score
from genjax_models.evaluation.modes import mode_coverage
from genjax_models.evaluation.parzen_window import parzen_log_density, parzen_window
from tests.statistics import assert_mean

SAMPLES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], np.float32)
TEST = np.array([[0.5, 0.5], [0.0, 0.0], [3.0, -1.0]], np.float32)
LOG_DENSITY = {  # by bandwidth
    0.01: [-2493.033001802541, 6.2738510168987265, -24993.7261489831],
    0.2: [-5.274466349642365, 0.2823901964369735, -62.217613530209235],
    0.5: [-1.8479316725184693, -1.4229715520561586, -11.550149595053238],
    1.0: [-2.324494551019204, -2.3815324354354646, -5.3562111940635],
}


def test_the_parzen_window_has_the_exact_density():
    densities = parzen_log_density(TEST, SAMPLES, tuple(LOG_DENSITY))
    np.testing.assert_allclose(densities, list(LOG_DENSITY.values()), rtol=1e-6)
    np.testing.assert_allclose(
        parzen_log_density(TEST, SAMPLES, tuple(LOG_DENSITY), block_size=2), densities, rtol=1e-6
    )


def test_a_variance_in_place_of_the_bandwidth_would_be_detected():
    (density,) = parzen_log_density(TEST, SAMPLES, (0.5**2,))
    assert np.max(np.abs(density - np.array(LOG_DENSITY[0.5]))) > 1


def test_the_bandwidth_is_chosen_on_validation_data():
    result = parzen_window(SAMPLES, TEST, TEST[:2], bandwidths=tuple(LOG_DENSITY))
    assert result.bandwidth == 1.0  # the two test points would choose 0.5
    assert result.at_edge
    assert result.validation == pytest.approx({h: np.mean(of) for h, of in LOG_DENSITY.items()}, rel=1e-6)
    assert result.log_likelihood.value == pytest.approx(np.mean(LOG_DENSITY[1.0][:2]), rel=1e-6)
    assert result.log_likelihood.standard_error == pytest.approx(
        np.std(LOG_DENSITY[1.0][:2], ddof=1) / np.sqrt(2), rel=1e-4
    )
    assert not parzen_window(SAMPLES, TEST, TEST, bandwidths=(0.5, 1.0, 5.0)).at_edge


def test_many_samples_smooth_the_density_by_the_bandwidth():
    """For y ~ N(0, 1) the window tends to N(0, 1 + h^2): -1.4305103 nats on x ~ N(0, 1) at h = 0.5, not -1.4189385."""
    random = np.random.RandomState(0)
    samples, x = random.normal(size=(20_000, 1)), random.normal(size=(4_000, 1))
    (density,) = parzen_log_density(x.astype(np.float32), samples.astype(np.float32), (0.5,))
    smoothed = -0.5 * np.log(2 * np.pi * 1.25) - x[:, 0] ** 2 / 2.5
    assert_mean(density - smoothed, 0, float_error=1e-3)
    assert np.mean(smoothed) == pytest.approx(-1.4305103088617774, abs=0.02)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bandwidths": ()}, "positive numbers"),
        ({"bandwidths": (0.1, -0.2)}, "positive numbers"),
        ({"bandwidths": (float("nan"),)}, "positive numbers"),
        ({"samples": SAMPLES[:, :1]}, "features must have one size"),
        ({"samples": np.full((3, 2), np.inf, np.float32)}, "samples must be finite: 3 of 3 rows"),
        ({"validation": TEST[:0]}, "validation_examples must be"),
        ({"test": (255 * TEST).astype(np.uint8)}, "prepared alike"),
        ({"block_size": 0}, "integer of at least 1"),
    ],
)
def test_fault_16_wrong_windows_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        parzen_window(**{"samples": SAMPLES, "validation": TEST, "test": TEST, **wrong})


def drawn(modes, n):
    random = np.random.RandomState(3)
    centres, _ = modes.draw(random, n)
    return (centres + modes.scale * random.normal(size=centres.shape)).astype(np.float32)


@pytest.mark.parametrize("modes", [RING8, GRID25], ids=["ring8", "grid25"])
@pytest.mark.parametrize("within", [3.0, 4.0])
def test_draws_from_the_mixture_cover_it_with_the_expected_quality(modes, within):
    n, count = 20_000, len(modes.centres)
    result = jax.jit(lambda x: mode_coverage(x, modes.centres, modes.scale, within=within))(drawn(modes, n))
    assert result["modes_covered"] == count
    assert_mean(result["high_quality"], 1 - np.exp(-(within**2) / 2))
    # 2 n KL is chi^2 with count - 1 degrees of freedom, whose standard deviation is sqrt(2 (count - 1)).
    assert abs(2 * n * np.asarray(result["mode_divergence"], np.float64).mean() - (count - 1)) < 5 * np.sqrt(
        2 * (count - 1)
    )
    assert np.mean(result["total_variation"]) < 0.05


def test_a_collapsed_generator_covers_one_mode_at_the_largest_divergence():
    result = mode_coverage(jnp.tile(jnp.asarray(RING8.centres[:1], jnp.float32), (50, 1)), RING8.centres, RING8.scale)
    assert result["modes_covered"] == 1
    assert result["high_quality"].mean() == 1
    np.testing.assert_allclose(result["mode_divergence"], np.log(8), rtol=1e-6)
    np.testing.assert_allclose(np.mean(result["total_variation"]), 7 / 8, rtol=1e-6)


def test_modes_are_counted_by_samples_of_high_quality():
    centres, far = np.array([[0.0, 0.0], [10.0, 0.0]]), 3.2
    x = jnp.array([[0.0, 0.0], [2.9, 0.0], [10.0, far], [10.0, 0.5]])
    options = [{}, {"within": 4.0}, {"at_least": 2}]
    result = [mode_coverage(x, centres, 1.0, **option) for option in options]
    assert [int(f["modes_covered"]) for f in result] == [2, 2, 1]
    np.testing.assert_array_equal([f["high_quality"] for f in result], [[1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 0, 1]])
    assert [int(f["modes_missed"]) for f in result] == [0, 0, 1]
    np.testing.assert_allclose(np.mean(result[0]["mode_divergence"]), 0, atol=1e-6)
    # Half of the samples at the first mode, a quarter at the second and a quarter at none; the mixture has 1/2, 1/2.
    np.testing.assert_allclose(np.mean(result[0]["total_variation"]), 1 / 4, rtol=1e-6)
    skewed = mode_coverage(x[jnp.array([0, 0, 0, 3])], centres, 1.0)
    np.testing.assert_allclose(np.mean(skewed["mode_divergence"]), 0.75 * np.log(1.5) + 0.25 * np.log(0.5), rtol=1e-5)
    np.testing.assert_allclose(np.mean(skewed["total_variation"]), 1 / 4, rtol=1e-6)


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (np.zeros((3, 3), np.float32), {}, "features must have one size"),
        (np.zeros((0, 2), np.float32), {}, "samples must be"),
        (np.full((3, 2), np.nan, np.float32), {}, "samples must be finite"),
        (np.zeros((3, 2), np.float32), {"within": 0}, "`within` must be positive, got 0"),
        (np.zeros((3, 2), np.float32), {"at_least": 0}, "`at_least` must be positive, got 0"),
    ],
)
def test_modes_that_cannot_be_counted_are_refused(samples, options, message):
    with pytest.raises(ValueError, match=message):
        mode_coverage(samples, RING8.centres, RING8.scale, **options)
    with pytest.raises(ValueError, match="`scale` must be positive, got 0"):
        mode_coverage(np.zeros((3, 2), np.float32), RING8.centres, 0)


LOG_P = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6]]))


def test_class_accuracy_and_the_classifier_score():
    np.testing.assert_array_equal(class_accuracy(jnp.asarray(LOG_P), jnp.array([0, 1, 2, 2])), [1, 1, 0, 1])
    p = np.exp(LOG_P)
    by_hand = np.exp(np.mean(np.sum(p * np.log(p / p.mean(0)), axis=1)))
    assert classifier_score(LOG_P).value == pytest.approx(by_hand)
    assert classifier_score(np.log(np.full((6, 3), 1 / 3))).value == pytest.approx(1)
    sure = np.log(np.where(np.eye(5)[np.arange(50) % 5], 1 - 4e-9, 1e-9))
    assert classifier_score(sure).value == pytest.approx(5, rel=1e-6)


def test_the_error_of_the_classifier_score_is_correct():
    random = np.random.RandomState(0)
    result = [classifier_score(np.log(random.dirichlet(np.full(4, 0.3), 200).clip(1e-30))) for _ in range(200)]
    values, errors = (np.array([getattr(f, name) for f in result]) for name in ("value", "standard_error"))
    assert np.mean(errors**2) / np.var(values, ddof=1) == pytest.approx(1, abs=0.5)


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\[n, classes\] and labels \[n\], got \(4, 3\) and \(3,\)"):
        class_accuracy(jnp.asarray(LOG_P), jnp.zeros(3, int))
    with pytest.raises(ValueError, match=r"n at least 3, got shape \(2, 3\)"):
        classifier_score(LOG_P[:2])
