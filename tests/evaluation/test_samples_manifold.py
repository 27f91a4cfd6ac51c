"""Precision, recall, density and coverage: prdc's own values, the expectations of Naeem et al., and correct errors."""

import numpy as np
import pytest

from genjax_models.evaluation import manifold_coverage as module
from genjax_models.evaluation.manifold_coverage import manifold_coverage
from tests.evaluation.test_samples_distances import features
from tests.statistics import assert_mean

# prdc 0.2: compute_prdc(real_features, fake_features, nearest_k) of these 60 and 50 points.
PRDC = {
    5: {"precision": 0.72, "recall": 17 / 60, "density": 0.684, "coverage": 32 / 60},
    3: {"precision": 0.6, "recall": 11 / 60, "density": 98 / 150, "coverage": 21 / 60},
}


def values(samples, data, **options):
    return {name: score.value for name, score in manifold_coverage(samples, data, **options).items()}


@pytest.mark.parametrize("neighbours", PRDC)
def test_the_figures_are_those_of_prdc(neighbours):
    data, samples = features()
    assert values(samples, data, neighbours=neighbours) == pytest.approx(PRDC[neighbours], rel=1e-12)


def test_a_point_that_counts_itself_would_be_detected():
    data, samples = features()
    wrong = values(samples, data, neighbours=4)  # k = 5 with the point itself among the five
    assert all(wrong[name] != pytest.approx(PRDC[5][name], abs=1e-3) for name in ("precision", "recall", "coverage"))


def test_samples_and_data_are_counted_apart():
    data, samples = features()
    assert {figure[2:] for figure in manifold_coverage(samples, data).values()} == {(50, 60)}


@pytest.mark.parametrize("group", [0, 1])
def test_without_the_group_that_is_nearest_to_all_there_are_neighbours(group):
    """All others are at a distance of 1 to 1.3 from the rows of the group, and of 1.4 or more from each other."""
    corners = np.diag((1 + np.arange(30) / 100) * (np.arange(30) % module.GROUPS != group))
    left = corners[np.arange(30) % module.GROUPS != group]
    figures = {name: each[group] for name, each in module._values(corners, corners, 1).items()}
    assert figures == pytest.approx(values(left, left, neighbours=1))


def test_a_diverged_example_changes_no_other_ball():
    """About a mean that it moves, squared distances of others would have an error of 1e4."""
    data, samples = features()
    data = np.concatenate([data, np.full((1, 8), 1e12)])
    distances = np.linalg.norm(samples[:, None] - data, axis=-1)
    radius = np.sort(np.linalg.norm(data[:, None] - data, axis=-1), axis=1)[:, 5]
    assert values(samples, data)["coverage"] == (distances <= radius).any(axis=0).mean()


@pytest.mark.parametrize("group", [0, 1, 7, 19])
def test_the_figures_without_a_group_are_those_of_the_other_rows(group):
    data, samples = features()
    left = [rows[np.arange(len(rows)) % module.GROUPS != group] for rows in (samples, data)]
    without = {name: each[group] for name, each in module._values(samples, data, 3).items()}
    assert without == pytest.approx(values(*left, neighbours=3), rel=1e-12)


def test_blocks_change_nothing(monkeypatch):
    data, samples = features()
    whole = manifold_coverage(samples, data)
    monkeypatch.setattr(module, "_BLOCK", 7)
    for name, score in manifold_coverage(samples, data).items():
        assert score == pytest.approx(whole[name], rel=1e-9)


def test_leaving_out_a_group_is_computing_without_it():
    data, samples = features()
    figures = module._values(samples, data, 5)
    for g in (0, 13):
        left = [z[np.arange(len(z)) % 20 != g] for z in (samples, data)]
        alone = values(*left)
        assert alone == pytest.approx({name: of[g] for name, of in figures.items()}, rel=1e-9)


def repeated(n, m, scale, repeats=150):
    """Values and standard errors `[repeats, figures]` of samples N(0, scale^2 I) and data N(0, I), k = 3."""
    random = np.random.RandomState(1)
    figures = [
        manifold_coverage(scale * random.normal(size=(n, 2)), random.normal(size=(m, 2)), neighbours=3)
        for _ in range(repeats)
    ]
    return tuple(np.array([[getattr(score, field) for score in f.values()] for f in figures])
                 for field in ("value", "standard_error"))  # fmt: skip


def test_of_one_distribution_density_is_one_and_coverage_what_combinatorics_say():
    """A datum is not covered if its 3 nearest of the n + m - 1 other points are all data: Naeem et al. (2020)."""
    figures, _ = repeated(60, 80, 1.0)
    uncovered = np.prod([(80 - i) / (80 + 60 - i) for i in (1, 2, 3)])
    assert_mean(figures[:, 2], 1)
    assert_mean(figures[:, 3], 1 - uncovered)


def test_the_standard_errors_are_correct_or_cautious():
    figures, errors = repeated(100, 100, 1.3)
    ratio = np.mean(errors, axis=0) / np.std(figures, axis=0, ddof=1)
    assert np.all(ratio > 0.8), ratio  # a fifth is 3.5 standard errors of a standard deviation of 150 draws
    assert np.all(ratio < 2.8), ratio


def test_copies_of_one_image_cover_nothing_else():
    data, _ = features()
    figures = values(np.tile(data[:1], (30, 1)), data)
    assert figures["precision"] == 1
    assert figures["recall"] == pytest.approx(1 / 60)  # the image itself
    assert figures["coverage"] < 0.3


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (6, {}, "at least 7, got 6"),
        (50, {"neighbours": 49}, "at least 51, got 50"),
        (50, {"neighbours": 0}, "neighbours must be an integer of at least 1, got 0"),
        (50, {"neighbours": 2.0}, "neighbours must be an integer of at least 1, got 2.0"),
    ],
)
def test_fault_15_too_few_points_for_their_neighbours_are_refused(n, options, message):
    data, samples = features()
    with pytest.raises(ValueError, match=message):
        manifold_coverage(samples[:n], data, **options)
