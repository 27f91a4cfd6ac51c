"""Standard errors and intervals by their exact values."""

import numpy as np
import pytest

from genjax_models.evaluation.estimates import Estimate, estimate, jackknife_error, over_runs, share

VALUES = np.array([1.0, 2.0, 4.0, 9.0])


def test_the_jackknife_of_a_mean_is_its_standard_error():
    without = np.array([np.delete(VALUES, i).mean() for i in range(len(VALUES))])
    assert jackknife_error(without) == pytest.approx(estimate(VALUES).standard_error, rel=1e-12)
    assert estimate(VALUES).standard_error == pytest.approx(np.sqrt(38 / 3 / 4), rel=1e-12)


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.706205), (4, 3.182446), (11, 2.228139)])
def test_the_interval_of_runs_is_students_with_one_degree_less(n, quantile):
    runs = over_runs(np.arange(n) % 2)
    half = quantile * np.std(np.arange(n) % 2, ddof=1) / np.sqrt(n)
    assert runs.interval == pytest.approx((runs.value - half, runs.value + half), rel=1e-6)
    assert np.isnan(over_runs([1.0]).interval).all()
    assert Estimate(*runs).interval != runs.interval


@pytest.mark.parametrize(("n", "m"), [(20, 1_000), (1_000, 20)])
def test_a_share_of_0_rests_on_the_smaller_sample(n, m):
    assert share(0.0, 0.0, n, m)[:2] == share(0.0, 0.0, 20)[:2]
    assert share(0.0, 0.0, n, m).interval == share(0.0, 0.0, 20).interval
