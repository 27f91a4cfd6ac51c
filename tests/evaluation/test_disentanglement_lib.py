"""Values that the code of disentanglement_lib (Locatello et al., 2019) has on the same codes; measured 2026-11-28.

Differences, each explained: DCI adds 1e-11 to the importances there; inactive dimensions stay in there; the scores of
fixed factors draw other batches, and agree within 5 standard errors.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from genjax_models.evaluation.disentanglement import modularity, mutual_information_gap, mutual_information_matrix
from genjax_models.evaluation.factor_importance import dci
from genjax_models.evaluation.fixed_factor_scores import beta_vae_score, factor_vae_score
from genjax_models.evaluation.predictability import separated_attribute_predictability
from genjax_models.evaluation.unsupervised_ranking import unsupervised_ranking


@pytest.fixture(scope="module")
def known():
    random = np.random.RandomState(0)
    v = np.stack([random.randint(3, size=400), random.randint(5, size=400)], axis=1)
    noise = [random.normal(0, scale, 400) for scale in (0.3, 0.5, 1.0)]
    return np.stack([v[:, 0] + 0.3 * v[:, 1], v[:, 1] - 0.5 * v[:, 0], 0 * v[:, 0]], axis=1) + np.stack(
        noise, axis=1
    ), v


def test_figures_by_mutual_information(known):
    information = [[0.58365794, 0.26549268], [0.16211005, 0.85361453], [0.05485374, 0.10808313]]
    np.testing.assert_allclose(mutual_information_matrix(*known), information, atol=1e-8)
    assert mutual_information_gap(*known, resamples=0).estimate.value == pytest.approx(0.375187356975)
    assert modularity(*known, resamples=0).value == pytest.approx(0.833150010718)


def test_sap_of_numbers_and_of_classes(known):
    sap = lambda **options: separated_attribute_predictability(*known, **options, resamples=3).value
    assert sap() == pytest.approx(0.616305784056)
    assert sap(discrete=[True, True]) == pytest.approx(0.205)


def test_dci():
    weights = [[0.71559165, 0.21925344], [0.27818737, 0.70756369], [0.00622098, 0.07318287]]
    assert dci(weights) == pytest.approx((0.193843879881, 0.364722295134), abs=1e-7)


def test_unsupervised_ranking(known):
    z, _ = known
    rotation = np.linalg.qr(np.random.RandomState(1).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(unsupervised_ranking([z, z @ rotation]), 0.417308259364)


def test_scores_of_fixed_factors():
    """With 10,000 batches: .9565 for batches of 3, and .8997 for a pair."""
    source = SimpleNamespace(
        factors=[None, None],
        sample=lambda random, n: np.stack([random.randint(3, size=n), random.randint(5, size=n)], axis=1),
        draw=lambda factors: factors,
    )
    encode = lambda x: x @ np.array([[1, 0.9], [-0.8, 1], [0.9, 0.9]]).T
    batches = {"num_train": 2_000, "num_test": 2_000}
    for score, expected in (
        (factor_vae_score(source, encode, batch_size=3, **batches), 0.9565),
        (beta_vae_score(source, encode, batch_size=1, **batches), 0.8997),
    ):
        error = (expected * (1 - expected) * (1 / 2_000 + 1 / 10_000)) ** 0.5
        assert abs(score.estimate.value - expected) < 5 * error
