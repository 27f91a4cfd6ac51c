"""Each sentence appears exactly when it should, and nothing is said where there is nothing to say."""

import numpy as np
import pytest

from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.findings import Facts, findings

GREY, BINARY = np.array([0.0, 0.4, 1.0]), np.array([[0.0, 1.0], [1.0, 1.0]])
BOUND = Facts(metric="bound")
ERROR = Facts(metric="squared_error", higher_is_better=False, unit="squared pixels")


def history(values, metric="bound", error=1.0, ahead=0.0):
    """A row of each split every 1,000 steps; training is `ahead` of validation."""
    rows = []
    for i, value in enumerate(values):
        rows += [
            {"step": 1000 * i, "split": "validation", metric: value, f"{metric}_se": error},
            {"step": 1000 * i, "split": "train", f"vae/{metric}": value + ahead, "vae/loss": 0.0},
        ]
    return rows


def test_nothing_is_said_where_all_is_well():
    facts = BOUND._replace(active=np.array([True, True]), bernoulli=True, values=BINARY)
    assert findings(history([-200, -110, -100, -99.9, -99.8]), facts) == []
    assert findings([], BOUND) == []


@pytest.mark.parametrize(("ahead", "told"), [(-20.0, False), (3.9, False), (4.1, True), (20.0, True)])
def test_memorising_is_told_where_training_is_far_ahead(ahead, told):
    sentences = findings(history([-200, -110, -100, -99.9, -99.8], ahead=ahead), BOUND)
    assert sentences == told * [
        f"Training data are {ahead:.1f} nats better off than held-out data: the model has begun to memorise."
        " More data would help more than a larger network."
    ]


@pytest.mark.parametrize(
    ("bernoulli", "density", "values", "said"),
    [
        (True, False, GREY, "grey but the likelihood is Bernoulli: the bound is a cross-entropy"),
        (True, False, BINARY, None),
        (False, True, BINARY, "binary but the likelihood is a density: the bound can grow without limit"),
        (False, True, GREY, None),
        (False, False, GREY, None),
        (False, False, BINARY, None),
        (True, False, None, None),
    ],
)
def test_a_likelihood_that_does_not_suit_the_data_is_told(bernoulli, density, values, said):
    sentences = findings([], BOUND._replace(bernoulli=bernoulli, density=density, values=values))
    assert len(sentences) == (said is not None)
    assert all(said in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("active", "said"),
    [
        ([True, True, True], None),
        ([True, False, True], "1 of 3 latent dimensions is unused (the variance of their posterior mean"),
        ([True, False, False], "2 of 3 latent dimensions are unused"),
        ([False, False, False], "The posterior has collapsed: all 3 latent dimensions are unused"),
        (None, None),
    ],
)
def test_unused_dimensions_are_counted(active, said):
    sentences = findings([], BOUND._replace(active=None if active is None else np.array(active)))
    assert len(sentences) == (said is not None)
    assert all(sentence.startswith(said) and "at most 0.01" in sentence for sentence in sentences)


USED, HALF, NONE = np.array([True, True]), np.array([True, False]), np.array([False, False])


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((USED, USED), []),
        ((USED, NONE), ["Layer 2: all 2 latent dimensions are unused (the variance"]),
        ((HALF, NONE), ["Layer 1: 1 of 2 latent dimensions is unused", "Layer 2: all 2 latent dimensions are unused"]),
        ((NONE, NONE), ["The posterior has collapsed: all 4 latent dimensions are unused"]),
        ((HALF,), ["1 of 2 latent dimensions is unused"]),
    ],
)
def test_unused_dimensions_are_counted_by_stochastic_layer(layers, said):
    sentences = findings([], BOUND._replace(active=layers))
    assert len(sentences) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(sentences, said, strict=True))


def weights(k_hat, sizes, k=5_000):
    figures = {"negative_log_likelihood": np.full(len(sizes), 90.0), "effective_sample_size": np.array(sizes)}
    return BOUND._replace(weights=figures | {"pareto_k_hat": np.array(k_hat)}, num_samples=k)


HEAVY, FEW = (
    "of their weights is above 0.70 (the largest is {})",
    "an effective sample size below 10 (the smallest is {})",
)


@pytest.mark.parametrize(
    ("k_hat", "sizes", "said"),
    [
        ([0.69, -0.2, 0.5], [900, 4_000, 10], []),
        ([np.nan, 0.1, 0.1], [5_000, 900, 900], []),  # equal weights have no tail to be feared
        (
            [0.71, 0.69, 1.2],
            [900, 900, 1.5],
            [("NLL(5,000) of 2 of 3 test examples cannot be tr", HEAVY.format("1.20"))],
        ),
        ([0.4, 0.4, 0.4], [900, 9.9, 4], [("NLL(5,000) of 2 of 3 test examples rests on", FEW.format("4.0"))]),
        (
            [0.9, 0.4, 0.4],
            [1.1, 9, 900],
            [("1 of 3 test", HEAVY.format("0.90")), ("1 of 3 other test", FEW.format("9.0"))],
        ),
        ([np.nan, 0.1, 0.1], [3, 900, 900], [("1 of 3 test", FEW.format("3.0"))]),  # nearly all weights are zero
        ([np.nan, 0.1, 0.1], [0, 900, 900], [("1 of 3 test", FEW.format("0.0"))]),  # and here all of them
        ([0.1, 0.1, 0.1], [np.nan, 900, 900], [("1 of 3 test", FEW.format("nan"))]),
    ],
)
def test_a_likelihood_that_cannot_be_trusted_is_told(k_hat, sizes, said):
    sentences = findings([], weights(k_hat, sizes))
    assert len(sentences) == len(said)
    for sentence, parts in zip(sentences, said, strict=True):
        assert all(part in sentence for part in parts)


def test_fewer_samples_must_have_lighter_tails():
    """1 - 1 / log10(100) is 0.5."""
    assert findings([], weights([0.6], [50])) == []
    (sentence,) = findings([], weights([0.6], [50], k=100))
    assert "NLL(100) of 1 of 1 test examples" in sentence
    assert "above 0.50" in sentence


def test_a_likelihood_whose_tail_is_not_known_is_told():
    facts = BOUND._replace(weights={"effective_sample_size": np.array([9.0, 2.0])}, num_samples=10)
    assert findings([], facts) == [
        "Whether the NLL(10) can be trusted cannot be told: Pareto k-hat wants 25 samples or more."
    ]


@pytest.mark.parametrize(("information", "told"), [(3.0, False), (5.5, False), (5.6, True), (6.9, True)])
def test_mutual_information_that_the_examples_cap_is_told(information, told):
    sentences = findings([], BOUND._replace(mutual_information=Estimate(information, 0.1, 1_000)))
    assert sentences == told * [
        f"The mutual information I(x; z), {information:.2f} nats, is close to log n = 6.91, the most that 1,000"
        " examples can show: the model's own may be far larger. Take more examples."
    ]


OVERFITS = "The validation bound was best at step 2,000 and is 5.00 nats worse since: the model overfits."
FALLING = "The loss was still falling: the validation bound improved by 10.00 nats in the last quarter of the run."


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ([-200, -110, -100, -103, -105], 4.9, OVERFITS),
        ([-200, -110, -100, -103, -105], 5.1, None),  # within one standard error
        ([-140, -130, -120, -110, -100], 19.0, FALLING),
        ([-140, -130, -120, -110, -100], 21.0, None),  # within half a standard error
        ([-140, -130, -120, -99, -100], 2.0, None),  # neither: the last is not the best
        ([-100, -100, -100, -100, -100], 0.0, None),
        ([-130, -120, -110], 1.0, None),  # too short to tell
        ([-100, -110, -120], 1.0, None),
        ([-200, np.nan, -150, -120, np.nan], 1.0, None),
    ],
)
def test_overfitting_and_stopping_early_are_told_beyond_the_error(values, error, said):
    sentences = findings(history(values, error=error), BOUND)
    assert len(sentences) == (said is not None)
    assert all(sentence.startswith(said) for sentence in sentences)


def test_where_lower_is_better_signs_and_units_follow():
    metric = {"metric": "squared_error"}
    (overfits,) = findings(history([50, 20, 10, 13, 14], **metric), ERROR)
    assert overfits.startswith("The validation squared error was best at step 2,000 and is 4.00 squared pixels worse")
    (falling,) = findings(history([50, 40, 30, 20, 10], **metric), ERROR)
    assert falling.startswith("The loss was still falling: the validation squared error improved by 10.00 squared pix")


def test_rows_of_other_splits_and_metrics_are_ignored():
    rows = history([-200, -110, -100, -103, -105])
    assert findings([row for row in rows if row["split"] == "train"], BOUND) == []
    assert findings(rows, BOUND._replace(metric="kl")) == []


def test_the_most_important_comes_first():
    facts = BOUND._replace(active=np.array([True, False]), bernoulli=True, values=GREY)
    likelihood, latents, learning = findings(history([-200, -110, -100, -103, -105]), facts)
    assert "cross-entropy" in likelihood
    assert "unused" in latents
    assert "overfits" in learning
