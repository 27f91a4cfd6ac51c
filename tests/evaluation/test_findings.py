"""Each sentence appears exactly when it should; a run without problems has no sentence."""

import re

import numpy as np
import pytest

from genjax_models.estimators.importance_diagnostics import BLIND_TO_MISSED_MODES
from genjax_models.evaluation import symptoms as games
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.factor_figures import factor_figures
from genjax_models.evaluation.findings import Facts, findings
from genjax_models.evaluation.partition import Partition

GREY, BINARY = np.array([0.0, 0.4, 1.0]), np.array([[0.0, 1.0], [1.0, 1.0]])
ADVERSARIES = ("discriminator", "discriminator_1", "discriminator_2")
BOUND = Facts(metric="bound", adversaries=ADVERSARIES)
ERROR = Facts(metric="squared_error", higher_is_better=False, unit="squared pixels")


def history(values, metric="bound", error=1.0, ahead=0.0):
    """A row of each split every 1,000 steps; training is better than validation by `ahead`."""
    rows = []
    for i, value in enumerate(values):
        rows += [
            {"step": 1000 * i, "split": "validation", metric: value, f"{metric}_se": error},
            {"step": 1000 * i, "split": "train", f"vae/{metric}": value + ahead, "vae/loss": 0.0},
        ]
    return rows


def test_a_log_z_by_annealing_flatters_and_few_effective_chains_are_named():
    exact, good = Partition(np.float32(5), 0.0, 0.0, 0), Partition(np.float32(5), 0.123, 60.0, 100)
    assert findings([], BOUND._replace(partition=exact)) == []
    (sentence,) = findings([], BOUND._replace(partition=good))
    assert "a standard error of 0.12 nats. log Z is too low in expectation" in sentence
    _, few = findings([], BOUND._replace(partition=good._replace(effective_sample_size=3.21)))
    assert "an effective sample size of 3.2 of 100 chains" in few


def test_discriminators_that_learned_nothing_are_counted():
    """By the last row of each stage; rows of an evaluation, or of other objectives, have no stage."""

    def rows(*losses):
        train = [
            {"step": step, "split": "train", "energy/loss": loss, "energy/stage": float(step // 2)}
            for step, loss in enumerate(losses)
        ]
        return [*train, {"step": 0, "split": "validation", "bound": 1.0}, {"step": 9, "split": "train", "a/loss": 1.4}]

    assert findings(rows(1.4, 1.2, 1.4, 1.376), BOUND) == []
    (sentence,) = findings(rows(1.4, 1.2, 1.2, 1.377, 1.3, 1.39), BOUND)
    assert sentence.startswith(
        "In 2 of 3 stages the discriminator learned nothing: at the end its loss was at least 1.38"
    )


def test_a_run_without_problems_has_no_findings():
    facts = BOUND._replace(active=np.array([True, True]), bernoulli=True, values=BINARY)
    assert findings(history([-200, -110, -100, -99.9, -99.8]), facts) == []
    assert findings([], BOUND) == []


@pytest.mark.parametrize(("ahead", "memorises"), [(-20.0, False), (3.9, False), (4.1, True), (20.0, True)])
def test_memorising_is_found_if_training_is_far_ahead(ahead, memorises):
    sentences = findings(history([-200, -110, -100, -99.9, -99.8], ahead=ahead), BOUND)
    assert sentences == memorises * [
        f"The bound is {ahead:.1f} nats better on training data than on held-out data: the model has begun to memorise."
        " More data will help more than a larger network."
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
def test_a_likelihood_that_does_not_fit_the_data_is_found(bernoulli, density, values, said):
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
        ([[False, False], [True, False]], "3 of 4 latent dimensions are unused"),
        (None, None),
    ],
)
def test_unused_dimensions_are_counted(active, said):
    sentences = findings([], BOUND._replace(active=None if active is None else np.array(active)))
    assert len(sentences) == (said is not None)
    assert all(sentence.startswith(said) and "at most 0.01" in sentence for sentence in sentences)


@pytest.mark.parametrize(("kls", "said"), [([0.0, 5.0, 0.11], False), ([0.0, 5.0, 0.09], True), ([0.0], False)])
def test_a_decoder_that_does_without_z_is_found_once(kls, said):
    """By the last evaluation; the start of a run is no fault. Unused dimensions are then no news."""
    rows = [{"step": 100 * i, "split": "validation", "kl": kl} for i, kl in enumerate(kls)]
    sentences = findings(rows, BOUND._replace(active=np.array([False, False]) if said else np.array([True])))
    assert len(sentences) == said
    assert all(
        sentence.startswith("The decoder does without z (KL below 0.1 nats): KL(q(z | x) || p(z)) was 0.09 nats at")
        for sentence in sentences
    )


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
        ([np.nan, 0.1, 0.1], [5_000, 900, 900], []),  # equal weights have no tail
        (
            [0.71, 0.69, 1.2],
            [900, 900, 1.5],
            [("NLL(5,000) of 2 of 3 test examples is unreliable", HEAVY.format("1.20"))],
        ),
        ([0.4, 0.4, 0.4], [900, 9.9, 4], [("NLL(5,000) of 2 of 3 test examples rests on", FEW.format("4.0"))]),
        (
            [0.9, 0.4, 0.4],
            [1.1, 9, 900],
            [("1 of 3 test", HEAVY.format("0.90")), ("1 more of 3 test", FEW.format("9.0"))],
        ),
        ([np.nan, 0.1, 0.1], [3, 900, 900], [("1 of 3 test", FEW.format("3.0"))]),  # nearly all weights are zero
        ([np.nan, 0.1, 0.1], [0, 900, 900], [("1 of 3 test", FEW.format("0.0"))]),  # all weights are zero
        ([0.1, 0.1, 0.1], [np.nan, 900, 900], [("1 of 3 test", FEW.format("nan"))]),
    ],
)
def test_fault_86_an_unreliable_likelihood_is_found(k_hat, sizes, said):
    sentences = findings([], weights(k_hat, sizes))
    assert len(sentences) == len(said)
    for sentence, parts in zip(sentences, said, strict=True):
        assert all(part in sentence for part in parts)
        assert ("k-hat" in sentence) == sentence.endswith(BLIND_TO_MISSED_MODES)


def test_fewer_samples_must_have_lighter_tails():
    """1 - 1 / log10(100) is 0.5."""
    assert findings([], weights([0.6], [50])) == []
    (sentence,) = findings([], weights([0.6], [50], k=100))
    assert "NLL(100) of 1 of 1 test examples" in sentence
    assert "above 0.50" in sentence


def test_a_likelihood_with_an_unknown_tail_is_found():
    facts = BOUND._replace(weights={"effective_sample_size": np.array([9.0, 2.0])}, num_samples=10)
    assert findings([], facts) == ["The reliability of the NLL(10) is unknown: Pareto k-hat needs at least 25 samples."]


def test_components_that_are_not_used_are_counted():
    sentence = "Only {} of 3 components {} a weight of 0.01 or more: no other is used."
    for weights, found in (
        ([0.985, 0.015, 0.0], [sentence.format(2, "have")]),
        ([1.0, 0.0, 0.0], [sentence.format(1, "has")]),
        ([0.9, 0.05, 0.05], []),
    ):
        assert findings([], BOUND._replace(components=np.array(weights))) == found


@pytest.mark.parametrize(
    ("size", "n", "collapse"), [(1.49, 4, True), (1.5, 4, False), (1.0, 1, False), (None, 4, False)]
)
def test_a_collapse_of_particles_is_found(size, n, collapse):
    sentences = findings([], BOUND._replace(particles=size, num_particles=n))
    assert len(sentences) == collapse
    if collapse:
        assert sentences[0].startswith("The particles collapse: of 4, 1.49 count in the mean over steps")


@pytest.mark.parametrize(("information", "capped"), [(3.0, False), (5.5, False), (5.6, True), (6.9, True)])
def test_mutual_information_near_its_maximum_is_found(information, capped):
    sentences = findings([], BOUND._replace(mutual_information=Estimate(information, 0.1, 1_000)))
    assert sentences == capped * [
        f"The estimate of the mutual information I(x; z), {information:.2f} nats, is close to log n = 6.91, its maximum"
        " with 1,000 examples. The true value may be far larger. Use more examples."
    ]


OVERFITS = "The validation bound was best at step 2,000 and is 5.00 nats worse since: the model overfits."
FALLING = "The model was still improving: the validation bound improved by 10.00 nats in the last quarter of the run."


class OnceRead(dict):
    """A row that may be read until it is closed."""

    def __getitem__(self, key):
        assert not self.get("closed"), "an old row was read again"
        return super().__getitem__(key)


def test_fault_66_the_symptoms_of_a_row_read_no_older_rows():
    """Of those before the last evaluation."""
    values = {"diversity_on_F": 0.3, "modes_missed": 1.0, "modes_covered": 7.0}
    history = game(*[{"discriminator/accuracy": 1.0}] * 300, evaluations=[values] * 30)
    watch, evaluated = games.Watch(ADVERSARIES), []
    for row in map(OnceRead, history):
        watch.add(row)
        evaluated.append(row)
        if row["split"] == "validation":
            for old in evaluated[:-1]:
                old["closed"] = True
            evaluated = [row]
    assert [symptom.name for symptom in watch.symptoms()] == ["won", "diversity_on_F", "modes"]


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ([-200, -110, -100, -103, -105], 4.9, OVERFITS),
        ([-200, -110, -100, -103, -105], 5.1, None),  # within one standard error
        ([-140, -130, -120, -110, -100], 19.0, FALLING),
        ([-140, -130, -120, -110, -100], 21.0, None),  # within half a standard error
        ([-140, -130, -120, -99, -100], 2.0, None),  # the last is not the best
        ([-100, -100, -100, -100, -100], 0.0, None),
        ([-130, -120, -110], 1.0, None),  # the history is too short
        ([-100, -110, -120], 1.0, None),
        ([-200, np.nan, -150, -120, np.nan], 1.0, None),
    ],
)
def test_overfitting_and_stopping_early_are_found_beyond_the_error(values, error, said):
    sentences = findings(history(values, error=error), BOUND)
    assert len(sentences) == (said is not None)
    assert all(sentence.startswith(said) for sentence in sentences)


def test_signs_and_units_follow_a_metric_of_which_lower_is_better():
    metric = {"metric": "squared_error"}
    (overfits,) = findings(history([50, 20, 10, 13, 14], **metric), ERROR)
    assert overfits.startswith("The validation squared error was best at step 2,000 and is 4.00 squared pixels worse")
    (falling,) = findings(history([50, 40, 30, 20, 10], **metric), ERROR)
    assert falling.startswith("The model was still improving: the validation squared error improved by 10.00 squared")


def test_rows_of_other_splits_and_metrics_are_ignored():
    rows = history([-200, -110, -100, -103, -105])
    assert findings([row for row in rows if row["split"] == "train"], BOUND) == []
    assert findings(rows, BOUND._replace(metric="kl")) == []


def test_each_known_factor_has_a_sentence():
    """Latent 1 is the first factor; the second is in the sum of two latents; the third is in no latent but in part."""
    random = np.random.RandomState(0)
    v, noise = random.normal(size=(400, 4)), random.normal(size=(400, 3))
    codes = np.stack([v[:, 1] + noise[:, 0], -v[:, 0], noise[:, 0] - v[:, 1], v[:, 2] + noise[:, 1]], axis=1)
    facts = Facts(factors=factor_figures(codes, v, ("grass", "water", "width", "trees")))
    grass, water, width, trees, mig = findings([], facts)
    assert grass.startswith("Latent 1 is grass: R^2 1.00, MIG of grass 0.")
    assert water.startswith("No latent is water: all together read it with R^2 1.00, the best, latent ")
    assert re.match(
        r"The latents know width in part: R\^2 0\.[45]\d together, 0\.[45]\d of latent 3, the best\.$", width
    )
    assert re.match(r"The latents do not tell trees to a linear reader: R\^2 0\.0\d together\.$", trees)
    assert mig.startswith("MIG over all factors is 0.")
    assert "from 400 examples. By counting, a latent that knows nothing of a factor seems to know 0." in mig


def test_the_most_important_finding_comes_first():
    facts = BOUND._replace(active=np.array([True, False]), bernoulli=True, values=GREY)
    likelihood, latents, learning = findings(history([-200, -110, -100, -103, -105]), facts)
    assert "cross-entropy" in likelihood
    assert "unused" in latents
    assert "overfits" in learning


WELL = {"discriminator/accuracy": 0.7, "generator/gradient_norm": 0.3}


def game(*training, evaluations=()):
    """Training rows of 100 steps each, WELL with the given changes; evaluations are rows after each 1,000 steps."""
    rows = [{"step": 100 * i, "split": "train", **WELL, **values} for i, values in enumerate(training, start=1)]
    rows += [{"step": 1000 * i, "split": "validation", **values} for i, values in enumerate(evaluations)]
    return sorted(rows, key=lambda row: row["step"])


def symptoms(history):
    return games.symptoms(history, ADVERSARIES)


def new_symptoms(history):
    """The new symptoms at each row."""
    watch = games.Watch(ADVERSARIES)
    return [watch.add(row) for row in history]


def names(history):
    return [(symptom.name, symptom.player, symptom.since) for symptom in symptoms(history)]


def accuracies(*values, player="discriminator"):
    return game(*({f"{player}/accuracy": value} for value in values))


def test_a_healthy_game_has_no_symptoms():
    healthy = [
        {"diversity_on_F": value, "diversity_on_F_se": 0.01, "modes_covered": 8.0, "modes_missed": 0.0}
        for value in (0.0, 0.8, 1.0)
    ]
    assert symptoms(game(*[{}] * 20, evaluations=healthy)) == []
    assert symptoms([]) == []


@pytest.mark.parametrize(
    ("values", "since"),
    [
        ([0.8] * 5 + [0.99] * 10, 600),
        ([0.8] * 5 + [1.0] * 30, 600),
        ([0.8] * 5 + [0.99] * 9, None),  # not for long
        ([1.0] * 20 + [0.98], None),  # it ended
        ([1.0] * 9 + [0.98] + [1.0] * 9, None),
        ([0.98] * 30, None),
    ],
)
def test_a_discriminator_that_has_won_is_found(values, since):
    assert names(accuracies(*values)) == ([] if since is None else [("won", "discriminator", since)])


def test_the_sentence_names_the_winner_and_the_step():
    (sentence,) = findings(accuracies(*[0.5] * 2, *[1.0] * 10), BOUND)
    assert sentence.startswith(
        "The discriminator has won: since step 300 its accuracy on real and generated examples is at least 99%"
    )
    (of_level,) = symptoms(accuracies(*[1.0] * 10, player="discriminator_2"))
    assert "The discriminator 2 has won" in of_level.sentence
    assert symptoms(accuracies(*[1.0] * 30, player="classifier")) == []  # a high accuracy of other players is good


@pytest.mark.parametrize(
    ("norms", "accuracy", "since"),
    [
        ([0.1, 0.3, 0.2, 0.1, 0.1] + [0.0029] * 10, 0.9, 600),
        ([0.1, 0.3, 0.2, 0.1, 0.1] + [0.0029] * 9, 0.9, None),  # not for long
        ([0.1, 0.3, 0.2, 0.1, 0.1] + [0.0031] * 10, 0.9, None),  # not below 1% of the largest initial norm
        ([0.1, 0.3, 0.2, 0.1, 0.1] + [0.0029] * 10 + [0.1], 0.9, None),  # it came back
        ([0.1, 0.3, 0.2, 0.1, 0.1] + [0.0029] * 10, 0.6, None),  # the generator has won: there is nothing to learn
        ([0.1, 0.3, 0.2, 0.1, 0.1] + [0.0029] * 10, None, 600),  # a critic has no accuracy
        ([0.1] * 5, 0.9, None),
        ([0.0] * 30, 0.9, None),
    ],
)
def test_a_gradient_that_has_vanished_is_found(norms, accuracy, since):
    history = game(*({"generator/gradient_norm": norm, "discriminator/accuracy": accuracy} for norm in norms))
    for row in history:
        if accuracy is None:
            del row["discriminator/accuracy"]
    assert names(history) == ([] if since is None else [("vanished", "generator", since)])
    for sentence in findings(history, BOUND):
        assert sentence.startswith(
            "The gradient of the generator has vanished: since step 600 its norm is below 1% of its initial value"
            " (2.9e-03 now, 3.0e-01 then)"
        )


def test_each_generator_is_paired_with_its_own_discriminator():
    """The gradients of two levels vanish; on the second the generator has won."""
    gone = [1.0] * 5 + [1e-3] * 10
    history = game(*({f"generator_{level}/gradient_norm": norm for level in (1, 2)} for norm in gone))
    for row in history:
        row |= {"discriminator_1/accuracy": 0.95, "discriminator_2/accuracy": 0.5}
    assert names(history) == [("vanished", "generator_1", 600)]


@pytest.mark.parametrize(
    ("values", "since", "words"),
    [
        (
            [0.0, 0.9, 0.8, 0.49, 0.3],
            3000,
            "0.30 of the mean distance between two examples of the data (diversity on F). It was 0.90 at step",
        ),
        (
            [0.0, 0.1, 0.2],
            1000,
            "0.20 of the mean distance between two examples of the data (diversity on F). The generator",
        ),
        ([0.0, 0.9, 0.8, 0.3], None, None),  # once
        ([0.0, 0.9, 0.3, 0.2, 0.6], None, None),  # it ended
        ([0.0, 0.1], None, None),  # before the first step all samples are alike
        ([0.0, 0.51, 0.51, 0.51], None, None),
    ],
)
def test_samples_that_are_too_similar_are_found(values, since, words):
    history = game(evaluations=[{"diversity_on_F": value, "diversity_on_F_se": 0.0} for value in values])
    assert names(history) == ([] if since is None else [("diversity_on_F", "", since)])
    for sentence in findings(history, BOUND):
        assert sentence.startswith(f"Samples have been too similar since step {since:,}: the mean distance between two")
        assert words in sentence


@pytest.mark.parametrize(
    ("missed", "since"),
    [([8, 5, 5, 4], 1000), ([8, 0, 1, 2], 2000), ([8, 0, 0, 2], None), ([8, 5, 5, 0], None), ([8, 3], None)],
)
def test_modes_that_samples_miss_are_counted(missed, since):
    history = game(evaluations=[{"modes_covered": 8.0 - n, "modes_missed": float(n)} for n in missed])
    assert names(history) == ([] if since is None else [("modes", "", since)])
    assert findings(history, BOUND) == (since is not None) * [
        f"Mode collapse: samples cover {8 - missed[-1]} of the 8 modes of the data. Some modes have been missing since"
        f" step {since or 0:,}."
    ]


def test_samples_near_no_mode_are_not_a_collapse():
    (sentence,) = findings(game(evaluations=[{"modes_covered": 0.0, "modes_missed": 8.0}] * 3), BOUND)
    assert sentence == "Samples cover none of the 8 modes of the data. Some modes have been missing since step 1,000."


def test_a_symptom_is_new_once_and_again_when_it_comes_back():
    missed = [8, 0, 2, 3, 1, 0, 4, 4, 4]
    history = game(evaluations=[{"modes_covered": 8.0 - n, "modes_missed": float(n)} for n in missed])
    new = [[symptom.since for symptom in found] for found in new_symptoms(history)]
    assert new == [[], [], [], [2000], [], [], [], [6000], []]


def test_a_symptom_of_training_rows_is_new_at_the_evaluation_after_it():
    """Accuracy is 1 from step 600 on; by step 1,500 this has lasted long."""
    history = game(*[{}] * 5, *[{"discriminator/accuracy": 1.0}] * 35, evaluations=[{}] * 5)
    found = zip(history, new_symptoms(history), strict=True)
    new = [[symptom.name for symptom in at_row] for row, at_row in found if row["split"] == "validation"]
    assert new == [[], [], ["won"], [], []]


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ([0.9, 0.5, 0.1, 0.3, 0.2], 0.05, "was best at step 2,000 and is 0.10 worse since: the game has not settled."),
        ([0.9, 0.5, 0.1, 0.3, 0.2], 0.15, None),
        ([0.9, 0.5, 0.1, 0.109, 0.109], 1e-3, None),  # by less than a tenth
        ([0.9, 0.5, 0.1, 0.109, 0.111], 1e-3, "was best at step 2,000 and is 0.011 worse since: the game has not set"),
        ([0.9, 0.7, 0.5, 0.3, 0.1], 0.05, "The game was still improving: the validation total variation improved"),
    ],
)
def test_a_game_that_has_not_settled_does_not_overfit(values, error, said):
    facts = Facts(metric="total_variation", higher_is_better=False, unit="", adversaries=ADVERSARIES)
    rows = game({}, evaluations=[{"total_variation": v, "total_variation_se": error} for v in values])
    sentences = findings(rows, facts)
    assert len(sentences) == (said is not None)
    assert all(said in sentence for sentence in sentences)
    alone = findings([row for row in rows if row["split"] == "validation"], facts)
    assert all("game" not in sentence for sentence in alone)


def test_one_adversary_is_paired_with_every_generator_of_any_name():
    """Players of other names: "critic" is the adversary of "a" and "b"; only the gradient of "b" vanishes."""
    norms = [1.0] * 5 + [1e-3] * 10
    history = [
        {"step": 100 * i, "split": "train", "critic/accuracy": 0.9, "a/gradient_norm": 1.0, "b/gradient_norm": norm}
        for i, norm in enumerate(norms, start=1)
    ]
    assert [symptom.player for symptom in games.symptoms(history, ("critic",))] == ["b"]
    assert games.symptoms(history, ()) == []
