"""Probes of codes with classes that are linear, not linear, or absent."""

import math
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.errors import InputError
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.representations import accuracy, compare_representations, principal_components, probe
from genjax_models.types import Batch

RANDOM = np.random.RandomState(0)


def blobs(n, centres, scale=0.3, seed=0):
    """Codes around one centre for each class, in turn."""
    labels = np.arange(n) % len(centres)
    codes = np.asarray(centres)[labels] + scale * np.random.RandomState(seed).normal(size=(n, len(centres[0])))
    return codes, labels


def scores(train, test, **options):
    return {name: estimate.value for name, estimate in probe(*train, *test, **options).items()}


LINE = [(-3.0, 0.0), (0.0, 0.0), (3.0, 0.0)]
CORNERS = [(2.0, 2.0), (-2.0, 2.0), (-2.0, -2.0), (2.0, -2.0)]


def test_separated_classes_are_recognised():
    assert scores(blobs(300, LINE), blobs(200, LINE, seed=1)) == {"linear": 1.0, "nearest_neighbours": 1.0}


def test_the_linear_probe_is_linear():
    """Exclusive or: two classes at opposite corners, which no line separates."""
    (train, corner), (test, other) = blobs(400, CORNERS), blobs(400, CORNERS, seed=1)
    accuracies = scores((train, corner % 2), (test, other % 2))
    assert accuracies["nearest_neighbours"] == 1.0
    assert accuracies["linear"] < 0.8


def test_overlapping_gaussians_have_the_accuracy_of_bayes():
    """Two unit Gaussians at distance two: the linear probe reaches the largest accuracy, Phi(1) = 0.8413."""
    train, test = (blobs(n, [(-1.0,), (1.0,)], scale=1, seed=seed) for n, seed in ((4_000, 2), (20_000, 3)))
    linear = probe(*train, *test)["linear"]
    assert abs(linear.value - 0.8413) < 5 * linear.standard_error
    assert linear.standard_error == pytest.approx((0.8413 * 0.1587 / 20_000) ** 0.5, rel=0.05)


def test_codes_without_information_have_chance_accuracy():
    train, test = blobs(1_000, LINE), blobs(2_000, LINE, seed=1)
    chance = probe(train[0], RANDOM.permutation(train[1]), test[0], RANDOM.permutation(test[1]))
    for estimate in chance.values():
        assert abs(estimate.value - 1 / 3) < 5 * estimate.standard_error


def test_the_test_split_is_scored():
    """One neighbour recognises every training example, but new examples only by chance."""
    codes, labels = RANDOM.normal(size=(1_000, 2)), RANDOM.randint(2, size=1_000)
    assert scores((codes, labels), (codes, labels), neighbours=1)["nearest_neighbours"] == 1.0
    estimate = probe(codes[:500], labels[:500], codes[500:], labels[500:], neighbours=1)["nearest_neighbours"]
    assert abs(estimate.value - 0.5) < 5 * estimate.standard_error


def test_inactive_dimensions_have_no_effect():
    """A collapsed unit whose means depend on the class by a millionth: standardised, it would reveal the class."""
    unused, labels = blobs(600, [(-1.0,), (1.0,)], scale=0.01)
    codes = np.concatenate([1e-6 * unused, RANDOM.normal(size=(600, 1))], axis=1)
    collapsed = scores((codes[:300], labels[:300]), (codes[300:], labels[300:]))
    assert max(collapsed.values()) < 0.65
    assert (
        scores((codes[:300] / codes.std(axis=0), labels[:300]), (codes[300:] / codes.std(axis=0), labels[300:]))[
            "linear"
        ]
        == 1.0
    )


def test_the_number_of_neighbours_votes():
    codes, labels = np.array([[0.0], [1.0], [1.1]]), np.array([0, 1, 1])
    at = (np.array([[0.1]]), np.array([0]))
    assert scores((codes, labels), at, neighbours=1)["nearest_neighbours"] == 1.0
    assert scores((codes, labels), at, neighbours=3)["nearest_neighbours"] == 0.0


def test_accuracy_has_the_error_of_a_proportion():
    assert accuracy(np.array([True, True, True, False])) == Estimate(0.75, (0.75 * 0.25 / 4) ** 0.5, 4)
    assert accuracy(np.ones(5, bool))[:2] == pytest.approx((1.0, math.sqrt(5.5 / 6 * 0.5 / 6 / 5)))  # add half


def test_principal_components_are_those_of_training_data():
    train = RANDOM.normal(size=(200, 5)) * [0.1, 3, 0.2, 2, 0.1]
    test = RANDOM.normal(size=(50, 5)) + 7
    fitted, scored = principal_components(train, test, 2)
    _, _, directions = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)
    for codes, data in ((fitted, train), (scored, test)):
        np.testing.assert_allclose(np.abs(codes), np.abs((data - train.mean(axis=0)) @ directions[:2].T), rtol=1e-6)


def data(n, seed):
    """Images with a faint linear part that has the class, and a part of large variance without information."""
    faint, labels = blobs(n, [(-1.0,), (1.0,)], scale=0.1, seed=seed)
    loud = 100 * np.random.RandomState(seed + 10).normal(size=(n, 1))
    images = np.concatenate([loud, faint, faint, -faint], axis=1).reshape(n, 2, 2, 1)
    return Batch(jnp.asarray(images, jnp.float32), jnp.asarray(labels)), jnp.asarray(faint)


def test_latents_are_compared_with_pca_of_as_many_dimensions_and_the_data():
    (train, train_codes), (test, test_codes) = data(300, 0), data(200, 1)
    table = compare_representations(train_codes, test_codes, train, test)
    assert list(table) == ["latents", "PCA", "data"]
    means = {name: {probe: figure.value for probe, figure in row.items()} for name, row in table.items()}
    assert means["latents"] == {"linear": 1.0, "nearest_neighbours": 1.0}
    assert means["PCA"]["linear"] < 0.65  # one dimension, that of the largest variance
    assert means["data"]["linear"] == 1.0
    assert compare_representations(train_codes, test_codes, train, test) == table


def test_splits_prepared_differently_are_refused():
    (train, train_codes), (test, test_codes) = data(30, 0), data(20, 1)
    stored = train._replace(x=jnp.asarray(train.x, jnp.uint8))
    with pytest.raises(ValueError, match="training and test data must be prepared alike, got uint8 and float32"):
        compare_representations(train_codes, test_codes, stored, test)


CODES, LABELS = blobs(30, LINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CODES, LABELS, CODES[:, :1], LABELS), "training and test codes must have one size, got 2 and 1"),
        ((CODES[:, 0], LABELS, CODES, LABELS), r"training codes must be \[n, d\].*got shape \(30,\)"),
        ((CODES, LABELS, CODES[:0], LABELS[:0]), r"test codes must be \[n, d\], n and d at least 1"),
        ((CODES, LABELS[:5], CODES, LABELS), r"training labels must be integers of shape \(30,\)"),
        ((CODES, LABELS, CODES, LABELS + 0.5), r"test labels must be integers of shape \(30,\), got float64"),
        ((CODES, None, CODES, LABELS), "training labels must be integers"),
        ((np.full_like(CODES, np.nan), LABELS, CODES, LABELS), "training codes must all be finite"),
        ((CODES, 0 * LABELS, CODES, LABELS), "must have two or more classes, got only 0"),
    ],
)
def test_codes_and_labels_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        probe(*arguments)


@pytest.mark.parametrize("neighbours", [0, 31])
def test_more_neighbours_than_examples_are_refused(neighbours):
    with pytest.raises(ValueError, match=f"`neighbours` must be 1 to 30 training examples, got {neighbours}"):
        probe(CODES, LABELS, CODES, LABELS, neighbours=neighbours)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    for module in ("sklearn", "sklearn.decomposition", "sklearn.linear_model", "sklearn.neighbors"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"need scikit-learn: pip install 'genjax_models\[repr"):
        probe(CODES, LABELS, CODES, LABELS)
