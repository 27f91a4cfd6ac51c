"""Vectors: data and draws beside each other."""

import numpy as np
import pytest

from genjax_models.figures import vector_plots
from genjax_models.figures.vector_plots import draws_of_vectors, most_correlated

X = np.random.RandomState(0).normal(size=(60, 7))


@pytest.fixture
def figure(monkeypatch):
    """The last figure; it is not drawn, for its time."""
    made = []
    monkeypatch.setattr(vector_plots, "png", lambda figure: made.append(figure) or b"")
    return made


@pytest.mark.parametrize(("d", "panels"), [(1, 1), (2, 5), (3, 11), (7, 18)])
def test_each_number_of_features_has_its_panels(d, panels, figure):
    """Pairs and histograms of at most four; moments if there are two, and correlations if there are three."""
    picture = draws_of_vectors(X[:, :d], X[:, :d] + 1)
    assert len(figure[0].axes) == panels
    assert picture.name == "draws"
    assert ("In pairs: the 4 features" in picture.caption) is (d > 4)
    assert ("correlations of all" in picture.caption) is (d > 2)


def test_moments_of_draws_are_drawn_over_those_of_data(figure):
    draws_of_vectors(X, 2 * X + 1)
    *_, moments, correlations = figure[0].axes
    means, deviations = (points.get_offsets() for points in moments.collections)
    np.testing.assert_allclose(means, np.stack([X.mean(0), 2 * X.mean(0) + 1], axis=1))
    np.testing.assert_allclose(deviations, np.stack([X.std(0), 2 * X.std(0)], axis=1))
    (pairs,) = (points.get_offsets() for points in correlations.collections)
    expected = np.corrcoef(X.T)[np.triu_indices(7, 1)]
    np.testing.assert_allclose(pairs, np.stack([expected, expected], axis=1), atol=1e-12)


def test_features_that_depend_on_each_other_are_shown():
    x = X.copy()
    x[:, 5] = x[:, 1]
    x[:, 6] = 3.0  # it does not vary
    chosen = most_correlated(x, 2)
    assert chosen == [1, 5]
    assert most_correlated(x[:, :2], 4) == [0, 1]


@pytest.mark.parametrize("x", [np.zeros((5, 3)), (X > 0).astype(float), X.astype(int)])
def test_constant_and_whole_numbers_are_drawn(x):
    assert draws_of_vectors(x, x).png.startswith(b"\x89PNG")
