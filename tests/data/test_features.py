"""The shipped classifiers: undamaged, as accurate as stated, and the same at every call."""

import hashlib
from importlib import resources
from pathlib import Path

import jax
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.data import features as module
from genjax_models.data.features import SHIPPED, load_classifier, load_features
from genjax_models.errors import InputError
from genjax_models.evaluation.features import extract

FILES = resources.files("genjax_models.data") / "files"
HERE = {"mnist10k": True, "fashion_mnist": Path("/usr/share/datasets/fashion-mnist").is_dir()}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_files_are_small_and_have_the_stated_digest(name):
    content = (FILES / f"{name}.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHIPPED[name].sha256
    assert len(content) < 2**20


@pytest.mark.parametrize("name", SHIPPED)
def test_a_classifier_has_its_stated_accuracy(name):
    classifier = load_classifier(name)
    if not HERE[classifier.data]:
        pytest.skip(f"{classifier.data} is not on this machine")
    test = gx.load(classifier.data).test
    log_p = np.concatenate(
        [classifier.log_probabilities(test.x[i : i + 1_000] / np.float32(255)) for i in range(0, len(test.x), 1_000)]
    )
    assert np.mean(log_p.argmax(axis=1) == test.label) == pytest.approx(classifier.accuracy, abs=0.002)
    np.testing.assert_allclose(np.exp(log_p[:50]).sum(axis=1), 1, rtol=1e-5)
    assert log_p.shape == (len(test.x), classifier.classes)


@pytest.mark.parametrize("name", SHIPPED)
def test_features_are_the_same_at_every_load_and_in_every_batch(name):
    x = np.random.RandomState(0).uniform(size=(30, 28, 28, 1)).astype(np.float32)
    first, second = (extract(load_features(name), x) for _ in range(2))
    assert first.shape == (30, 128)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(extract(load_features(name), x, batch_size=7), first, rtol=1e-4, atol=1e-5)
    inside = jax.jit(lambda x: extract(load_features(name), x, batch_size=8))(x)
    np.testing.assert_allclose(inside, first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*SHIPPED, "pixels"])
def test_images_in_another_range_have_the_same_features(name):
    x = np.random.RandomState(0).uniform(size=(5, 28, 28, 1)).astype(np.float32)
    of_tanh = load_features(name, range=(-1, 1)).function(2 * x - 1)
    np.testing.assert_allclose(of_tanh, load_features(name).function(x), rtol=1e-3, atol=1e-4)
    assert load_features(name).name == name


def test_features_tell_digits_apart_better_than_pixels_do():
    """More nearest neighbours in the test split have the same class."""
    test = gx.load("mnist10k").test
    x = test.x / np.float32(255)

    def agreement(name):
        values = np.asarray(extract(load_features(name), x), np.float64)
        squared = (values**2).sum(1)[:, None] + (values**2).sum(1) - 2 * values @ values.T
        np.fill_diagonal(squared, np.inf)
        return np.mean(test.label[squared.argmin(1)] == test.label)

    assert agreement("mnist_classifier") > 0.96 > 0.92 > agreement("pixels")


def test_a_damaged_file_is_refused(monkeypatch):
    wrong = SHIPPED["mnist_classifier"]._replace(sha256="0" * 64)
    monkeypatch.setitem(module.SHIPPED, "mnist_classifier", wrong)
    with pytest.raises(InputError, match=r"mnist_classifier.npz: is damaged .*Install the package again"):
        load_features("mnist_classifier")


@pytest.mark.parametrize("load", [load_classifier, load_features])
def test_an_unknown_classifier_is_refused(load):
    with pytest.raises(
        InputError, match=r"no (classifier|features) 'inception'; accepted are mnist_classifier, fashion"
    ):
        load("inception")
    with pytest.raises(InputError, match="mnist_classifier: `range` must be two finite numbers"):
        load("mnist_classifier", range=(1, 0))
    with pytest.raises(ValueError, match=r"takes examples of shape \(28, 28, 1\)"):
        load_features("mnist_classifier").function(np.zeros((2, 32, 32, 1), np.float32))
