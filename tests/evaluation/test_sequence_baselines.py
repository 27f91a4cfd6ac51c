"""Baselines of sequences: by hand on tiny data, exact where the data are drawn from the baseline's own model."""

import importlib.util

import numpy as np
import pytest
from scipy import stats

from genjax_models.data import load
from genjax_models.evaluation import sequence_baselines as baselines
from genjax_models.types import Batch

TRAIN = Batch(np.array([[[1, 0], [1, 0], [0, 1]], [[0, 0], [1, 1], [1, 1]]], np.float32), length=np.array([3, 1]))
HELD_OUT = Batch(np.array([[[1, 0], [1, 1], [0, 0]]], np.float32), length=np.array([2]))


def test_independent_features_by_hand():
    """Four steps: (1, 0), (1, 0), (0, 1), (0, 0); the padding of the second sequence is full of ones."""
    p = [(2 + 1) / (4 + 2), (1 + 1) / (4 + 2)]
    expected = np.log([p[0], 1 - p[1], p[0], p[1]]).sum()
    np.testing.assert_allclose(baselines.independent_bits(TRAIN, HELD_OUT), [expected])


def test_features_given_themselves_by_hand():
    """Pairs (before, now) of the first feature are 01, 11, 10 and 00; of the second 00, 00, 01 and 00."""
    after_0, after_1 = [(1 + 1) / (2 + 2), (1 + 1) / (4 + 2)], [(1 + 1) / (2 + 2), 1 / 2]
    expected = np.log([after_0[0], 1 - after_0[1], after_1[0], after_0[1]]).sum()
    np.testing.assert_allclose(baselines.bits_given_themselves(TRAIN, HELD_OUT), [expected])


def real(n, seed):
    """Sequences of x_t = A x_(t-1) + b + noise, with NaN after their ends."""
    random = np.random.RandomState(seed)
    x, length = np.full((n, 9, 2), np.nan), random.randint(1, 10, n)
    for i in range(n):
        x[i, 0] = random.randn(2) * (2, 1) + 3
        for t in range(1, length[i]):
            x[i, t] = A @ x[i, t - 1] + B + ROOT @ random.randn(2)
    return Batch(x, length=length)


A, B, ROOT = np.array([[0.8, 0.3], [-0.2, 0.9]]), np.array([0.5, -1.0]), np.array([[0.3, 0.0], [0.2, 0.1]])


def test_gaussian_noise_is_one_gaussian_for_all_steps():
    train, held_out = real(30, 0), real(5, 1)
    steps = np.concatenate([x[:n] for x, n in zip(train.x, train.length, strict=True)])
    gaussian = stats.multivariate_normal(steps.mean(axis=0), np.cov(steps.T, bias=True))
    expected = [gaussian.logpdf(x[:n]).sum() for x, n in zip(held_out.x, held_out.length, strict=True)]
    np.testing.assert_allclose(baselines.gaussian_noise(train, held_out), expected)


def test_var_1_finds_the_process_that_drew_the_data():
    """4,000 sequences give the density to 1%: one nat of a sequence, of which the process has -4 to 20."""
    held_out = real(20, 1)
    first, noise = stats.multivariate_normal([3, 3], np.diag([4, 1])), stats.multivariate_normal(cov=ROOT @ ROOT.T)
    expected = [
        first.logpdf(x[0]) + np.sum(noise.logpdf(x[1:n] - x[: n - 1] @ A.T - B))
        for x, n in zip(held_out.x, held_out.length, strict=True)
    ]
    nats = baselines.vector_autoregression(real(4000, 0), held_out)
    np.testing.assert_allclose(nats, expected, atol=0.15)


def test_nats_per_step_are_total_by_total():
    assert baselines.nats_per_step(np.array([-1.0, -8.0]), np.array([1, 2])) == -3
    figures = baselines.sequence_baselines(TRAIN, HELD_OUT, binary=True)
    nats = {
        "independent features": baselines.independent_bits,
        "features given themselves": baselines.bits_given_themselves,
    }
    assert figures == {name: baseline(TRAIN, HELD_OUT).sum() / 2 for name, baseline in nats.items()}


def test_gaussians_that_do_not_exist_are_left_out():
    constant = Batch(np.ones((5, 4, 2)), length=np.full(5, 4))
    assert baselines.sequence_baselines(constant, constant, binary=False) == {}
    assert list(baselines.sequence_baselines(real(30, 0), real(5, 1), binary=False)) == ["Gaussian noise", "VAR(1)"]


def test_bits_refuse_other_values():
    with pytest.raises(ValueError, match="values must be 0 or 1; for real values use gaussian_noise"):
        baselines.independent_bits(real(30, 0), real(5, 1))


def joined(*splits):
    return Batch(
        np.concatenate([split.x for split in splits]), length=np.concatenate([split.length for split in splits])
    )


@pytest.mark.slow  # 10 s to read the scores
@pytest.mark.parametrize(
    ("name", "package", "fitted", "expected"),
    [("chorales", "music21", 1, [-11.39, -10.70]), ("japanese_vowels", "aeon", 2, [-13.99, 1.59])],
)
def test_known_figures_of_the_same_splits(name, package, fitted, expected):
    """The first splits are for fitting; the others are held out: 76 chorales, or 370 utterances."""
    if not importlib.util.find_spec(package):
        pytest.skip(f"needs the files of {package}")
    splits = load(name)[1:4]
    train, held_out = joined(*splits[:fitted]), joined(*splits[fitted:])
    figures = baselines.sequence_baselines(train, held_out, binary=name == "chorales")
    np.testing.assert_allclose(list(figures.values()), expected, atol=0.01)
