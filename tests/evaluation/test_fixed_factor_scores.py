"""The scores of FactorVAE and beta-VAE on a rotated Gaussian, and the unsupervised ranking."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from genjax_models.evaluation.fixed_factor_scores import beta_vae_score, factor_vae_score, majority_vote, pair_features
from genjax_models.evaluation.unsupervised_ranking import similarity_of_codes, unsupervised_ranking
from tests.evaluation.test_disentanglement import GRID, PLANE, rotated


def gaussian_source(f=2, derived=()):
    """Examples are the factors, standard normal."""
    return SimpleNamespace(
        factors=[SimpleNamespace(derived=k in derived) for k in range(f)],
        sample=lambda random, n: random.normal(size=(n, f)),
        draw=lambda factors: factors,
    )


QUICK = {"num_train": 200, "num_test": 200, "num_variance": 2_000}


@pytest.mark.parametrize("degrees", [0.5, 10.0, 22.5, 40.0])
def test_both_scores_stay_1_up_to_45_degrees(degrees):
    """Batches of 1,000: at 40 degrees Var z / Var z of the fixed factor's code is .41 against .59."""
    encode = lambda x: rotated(degrees, x)
    score = factor_vae_score(gaussian_source(), encode, batch_size=1_000, **QUICK)
    assert score.estimate.value == score.train == 1.0
    assert score.estimate.interval[0] > 0.95
    assert score.votes.sum() == 200
    quick = {"num_train": 200, "num_test": 200}
    assert beta_vae_score(gaussian_source(), encode, batch_size=1_000, **quick).estimate.value == 1.0


def test_at_45_degrees_both_guess():
    encode = lambda x: rotated(45, x)
    for score in (
        factor_vae_score(gaussian_source(), encode, **QUICK),
        beta_vae_score(gaussian_source(), encode, num_train=200, num_test=200),
    ):
        assert abs(score.estimate.value - 0.5) < 5 * 0.5 / 200**0.5


@pytest.mark.parametrize(
    ("degrees", "of_shared", "of_other"),
    [(10, 0.19594098608346444, 1.1112365520931184), (22.5, 0.43181201267337194, 1.0424864173916772)],
)
def test_the_features_of_beta_vae_are_mean_absolute_differences(degrees, of_shared, of_other):
    """The first factor is shared: the difference of the second, N(0, 2), is what the codes see."""
    first, second = np.repeat(PLANE[:1], len(GRID), axis=0), np.stack([np.full(len(GRID), PLANE[0, 0]), GRID], axis=1)
    first[:, 1], second[:, 1] = 0.0, math.sqrt(2) * GRID
    features = pair_features(rotated(degrees, first), rotated(degrees, second))
    np.testing.assert_allclose(features, [of_shared, of_other], rtol=3e-3)


def test_an_inactive_code_has_no_vote():
    """A constant code: 0 / 0 would win every vote, and the score would be 1/2."""
    encode = lambda x: np.concatenate([np.zeros((len(x), 1)), x], axis=1)
    score = factor_vae_score(gaussian_source(), encode, **QUICK)
    assert score.estimate.value == 1.0
    assert list(score.active) == [False, True, True]
    assert score.votes.shape == (2, 2)


def test_a_derived_factor_is_never_fixed():
    score = factor_vae_score(gaussian_source(3, derived=(1,)), lambda x: x, **QUICK)
    assert score.votes.shape == (2, 3)
    assert (score.votes[:, 1] == 0).all()
    some = factor_vae_score(gaussian_source(4), lambda x: x, fixed=(3, 1), **QUICK)
    assert (some.votes[:, [0, 2]] == 0).all()
    assert some.estimate.value == 1.0
    assert score.estimate.value == 1.0


@pytest.mark.parametrize("score_of", [factor_vae_score, beta_vae_score])
def test_codes_that_know_nothing_are_judged_on_new_batches(score_of):
    """With 50 codes, each of 20 batches has a code of its own to be learned by heart."""
    noise = np.random.RandomState(1)
    encode = lambda x: noise.normal(size=(len(x), 50))
    score = score_of(gaussian_source(), encode, batch_size=4, num_train=20, num_test=200)
    assert score.train > 0.8
    assert score.estimate.n == 200
    assert abs(score.estimate.value - 0.5) < 5 * 0.5 / 200**0.5


def test_majority_vote():
    assert majority_vote([[5, 0, 1], [1, 4, 0]]) == pytest.approx(0.9090909090909091)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: factor_vae_score(gaussian_source(), lambda x: 0 * x), "must have an active dimension, got 2 inactive"),
        (lambda: beta_vae_score(gaussian_source(), lambda x: 0 * x), "must have an active dimension, got 2 inactive"),
        (lambda: factor_vae_score(gaussian_source(), lambda x: x + np.nan), r"codes must be finite \[5000, d\]"),
        (lambda: factor_vae_score(gaussian_source(1), lambda x: x), "at least 2 factors that can be fixed, got 1"),
        (
            lambda: factor_vae_score(gaussian_source(), lambda x: x, batch_size=1),
            "batch_size must be at least 2, got 1",
        ),
        (lambda: beta_vae_score(gaussian_source(), lambda x: x, num_test=0), "num_test must be at least 1, got 0"),
        (
            lambda: factor_vae_score(gaussian_source(3, (1,)), lambda x: x, fixed=(0, 1)),
            "fixed must be columns of factors",
        ),
        (lambda: majority_vote([[0, 0]]), "votes must be"),
        (lambda: unsupervised_ranking([np.eye(3)]), "codes must be of at least 2 models, got 1"),
        (lambda: unsupervised_ranking([np.eye(3), np.eye(4)]), "codes must be finite"),
        (lambda: unsupervised_ranking([np.eye(3), 0 * np.eye(3)]), "codes of model 1 must have an active dimension"),
        (lambda: similarity_of_codes([[-1.0]]), "strength must be finite"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("strength", "value"),
    [
        ([[0, 0, 1], [1, 0, 0], [0, 1, 0]], 1.0),
        ([[1, 1], [1, 1]], 0.5),
        ([[0.9, 0.1], [0.2, 0.6]], 0.6276623376623376),
        ([[1, 0], [0, 1], [0, 0]], 4 / 5),
    ],
)
def test_the_similarity_of_two_models_codes(strength, value):
    assert similarity_of_codes(strength) == pytest.approx(value)


def test_a_model_whose_codes_others_find_ranks_first():
    """Two models have the factors, reordered and stretched, one beside an unused dimension; a third rotates them."""
    v = np.random.RandomState(0).normal(size=(2_000, 2))
    beside = np.concatenate([-2 * v[:, ::-1], 0.01 * v[:, :1]], axis=1)
    scores = unsupervised_ranking([v, beside, rotated(45, v)])
    # |Spearman| of v and (v_1 + v_2) / sqrt(2) is 6 / pi asin(sqrt(1/2) / 2) = .690; two such in a row give .345.
    by_chance = 6 / math.pi * math.asin(math.sqrt(0.5) / 2) / 2
    np.testing.assert_allclose(scores, [(1 + by_chance) / 2] * 2 + [by_chance], atol=0.03)
    assert similarity_of_codes(np.eye(2)) == 1.0


def test_the_ranking_is_by_ranks_and_by_the_median_of_others():
    v = np.random.RandomState(0).normal(size=(500, 2))
    models = [v, np.exp(3 * v), -v[:, ::-1], rotated(45, v)]  # alike by ranks, except the last
    scores = unsupervised_ranking(models)
    by_chance = unsupervised_ranking([v, rotated(45, v)])[0]
    # The codes of v correlate by chance: two models with the same codes are not quite at 1.
    same = unsupervised_ranking([v, v])[0]
    assert same > 0.9 > 0.4 > by_chance
    np.testing.assert_allclose(scores, [same, same, same, by_chance], rtol=1e-9)
