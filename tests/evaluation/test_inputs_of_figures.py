"""Features refuse images outside of their range, and figures of a classifier refuse what is no log-probability."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.data.features import load_classifier, load_features
from genjax_models.evaluation.features import PIXELS, extract
from genjax_models.evaluation.interpolation import class_means
from genjax_models.evaluation.labels import class_accuracy, classifier_score
from genjax_models.evaluation.samples import sample_metrics, sample_quality

X = np.random.RandomState(0).rand(12, 2, 2, 1).astype(np.float32)
LOGITS = np.random.RandomState(1).normal(size=(6, 3)).astype(np.float32)
LOG_P = np.asarray(jax.nn.log_softmax(LOGITS))
LABEL = np.arange(6) % 3


def with_value(value, row):
    x = X.copy()
    x[row, 1, 0, 0] = value
    return x


@pytest.mark.parametrize("figure", [sample_metrics, sample_quality])
@pytest.mark.parametrize(
    ("samples", "data", "options", "message"),
    [
        (with_value(1.5, 3), X, {}, r"samples must be in \[0, 1\], got 1\.5 in row 3"),
        (X, with_value(-0.1, 7), {}, r"data must be in \[0, 1\], got -0\.1.* in row 7"),
        (255 * X, X, {}, r"samples must be in \[0, 1\], got .* in row 0"),
        (2 * X - 1, 2 * X - 1, {}, r"samples must be in \[0, 1\]"),
        (255 * X, 255 * X, {"range": (-1, 1)}, r"samples must be in \[-1, 1\]"),
        (with_value(np.nan, 2), X, {}, r"samples must be in \[0, 1\], got nan in row 2"),
        (X, with_value(np.inf, 2), {}, r"data must be in \[0, 1\], got inf in row 2"),
        ((255 * X).astype(np.uint8), X, {}, "all must be floating point"),
    ],
)
def test_fault_76_images_outside_the_range_of_features_are_refused(figure, samples, data, options, message):
    with pytest.raises(ValueError, match=message):
        figure(load_features("pixels", **options), samples, data)


def test_fault_76_the_classifier_refuses_them_too():
    classifier = load_classifier("mnist_classifier")
    images = np.zeros((2, 28, 28, 1), np.float32)
    assert classifier.log_probabilities(images).shape == (2, 10)
    for call in (classifier.log_probabilities, lambda x: extract(classifier.features, x)):
        with pytest.raises(ValueError, match=r"(images|x) must be in \[0, 1\], got 255\.0 in row 0"):
            call(images + 255)


def test_fault_76_values_at_the_ends_and_features_without_a_range_pass():
    ends = np.concatenate([X, np.zeros((1, 2, 2, 1)), np.ones((1, 2, 2, 1)) + 1e-7]).astype(np.float32)
    assert extract(load_features("pixels"), ends).shape == (14, 4)
    assert extract(PIXELS, 255 * X).shape == (12, 4)


NO_LOG_PROBABILITIES = [
    (np.exp(LOG_P), "got probabilities in row 0"),
    (LOGITS, "got logits in row 0"),
    (np.where(np.arange(6)[:, None] == 4, np.nan, LOG_P), "got values that are not finite in row 4"),
    (np.where(np.arange(6)[:, None] == 2, np.inf, LOG_P), "got values that are not finite in row 2"),
    (np.where(np.arange(6)[:, None] == 5, LOG_P + 1, LOG_P), "got logits in row 5"),
    (-LOG_P, "got logits in row 0"),
    (np.eye(3, dtype=np.float32)[LABEL], "got probabilities in row 0"),
]


@pytest.mark.parametrize(("rows", "message"), NO_LOG_PROBABILITIES)
def test_fault_77_what_is_no_log_probability_is_refused(rows, message):
    for figure in (lambda: class_accuracy(rows, LABEL), lambda: classifier_score(rows)):
        with pytest.raises(ValueError, match=f"whose exponentials sum to 1, {message}.* Use jax.nn.log_softmax"):
            figure()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0, 1, 2, 3, 0, 1], "labels must be 0 to 2, got 3 in row 3"),
        ([0, 1, -1, 2, 0, 1], "labels must be 0 to 2, got -1 in row 2"),
        ([0.0, 1, 2, 0, 1, 2], "labels must be integers, got float"),
        ([True, False] * 3, "labels must be integers, got bool"),
    ],
)
def test_fault_77_labels_that_are_no_classes_are_refused(label, message):
    with pytest.raises(ValueError, match=message):
        class_accuracy(LOG_P, np.array(label))


def test_fault_77_float_labels_are_refused_while_tracing():
    with pytest.raises(ValueError, match="labels must be integers, got float32"):
        jax.eval_shape(class_accuracy, LOG_P, jnp.zeros(6))


def test_fault_77_class_means_need_probabilities():
    z = np.zeros((6, 2))
    assert class_means(z, np.exp(LOG_P)).shape == (3, 2)
    with pytest.raises(ValueError, match="sum to 1"):
        class_means(z, LOGITS**2)


def test_certain_log_probabilities_pass():
    certain = np.where(np.eye(3, dtype=bool)[LABEL], 0.0, -np.inf)
    assert np.mean(class_accuracy(certain, LABEL)) == 1
