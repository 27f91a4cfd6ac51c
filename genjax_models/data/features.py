"""Classifiers that the package ships, for features and probabilities of classes; `experiments.classifier` trained them.

A file holds float16 parameters by their paths in the network, and nothing else; its digest stands here.

Such features measure what tells the classes apart, and little else. Other images (noise, for example) have features
close together among the features of data, so their precision is high while every distance is large. Figures on "pixels"
show the other differences.
"""

import hashlib
import io
from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from genjax_models.data.values import Range, checked_range
from genjax_models.errors import InputError
from genjax_models.estimators.checks import check_prepared
from genjax_models.evaluation.features import PIXELS, Features
from genjax_models.networks.classifier import ConvolutionalClassifier
from genjax_models.types import Array, Variables


class Shipped(NamedTuple):
    """A trained network: its file, and its `accuracy` on the test split of `data`."""

    network: ConvolutionalClassifier
    data: str
    accuracy: float
    sha256: str


SHIPPED = {
    "mnist_classifier": Shipped(
        ConvolutionalClassifier((28, 28, 1), 10),
        data="mnist10k",
        accuracy=0.989,
        sha256="8e85fb5c565cee8015a4c3a1aefc551c8fba6e5f27bc81a8412ea9bb519b5f13",
    ),
    "fashion_classifier": Shipped(
        ConvolutionalClassifier((28, 28, 1), 10),
        data="fashion_mnist",
        accuracy=0.8963,
        sha256="65cfafb789dc5401ed4fba7bc44b11ab16831b9902294dc32a69438c350bc1a7",
    ),
}


class Classifier(NamedTuple):
    """A trained classifier of images.

    Attributes:
      features: features of images, `[n, 128]`.
      log_probabilities: images -> log-probabilities of their classes, `[n, classes]`, nats.
      classes: number of classes.
      accuracy: accuracy on the test split of `data`.
      data: name of the data set.
    """

    features: Features
    log_probabilities: Callable[[Array], Array]
    classes: int
    accuracy: float
    data: str


def load_classifier(name: str, *, range: Range = (0, 1)) -> Classifier:
    """Returns a classifier that the package ships.

    Args:
      name: "mnist_classifier" or "fashion_classifier", for images `[28, 28, 1]` like mnist10k and Fashion-MNIST.
      range: range of its input images, (-1, 1) for a generator that ends in tanh. On the host, images outside of it
        are refused.

    Raises:
      InputError: the classifier is unknown, `range` is invalid, or the file is damaged.
    """
    if name not in SHIPPED:
        raise InputError(f"no classifier {name!r}; accepted are {', '.join(SHIPPED)}")
    low, high = checked_range(name, range)
    network, data, accuracy, digest = SHIPPED[name]
    variables = _variables(name, digest)

    def apply(method, x) -> Array:
        return network.apply(variables, (x - low) / (high - low), method=method)

    features = Features(name, jax.jit(partial(apply, network.features)), (low, high))
    compiled = jax.jit(lambda x: jax.nn.log_softmax(apply(None, x)))

    def log_probabilities(x: Array) -> Array:
        check_prepared("images", x, (low, high))
        return compiled(x)

    return Classifier(features, log_probabilities, network.classes, accuracy, data)


def load_features(name: str, *, range: Range = (0, 1)) -> Features:
    """Returns the features of a shipped classifier, its last hidden layer; or "pixels", the values themselves.

    The arguments and errors of `load_classifier` apply; pixels are scaled from `range` to [0, 1].
    """
    if name == PIXELS.name:
        low, high = checked_range(name, range)
        return Features(name, lambda x: (PIXELS.function(x) - low) / (high - low), (low, high))
    if name not in SHIPPED:
        raise InputError(f"no features {name!r}; accepted are {', '.join(SHIPPED)}, {PIXELS.name}")
    return load_classifier(name, range=range).features


def _variables(name: str, digest: str) -> Variables:
    file = resources.files("genjax_models.data") / "files" / f"{name}.npz"
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(f"{file}: is damaged (its sha256 is not {digest[:12]}...). Install the package again")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        # numpy changes the type: jax would compile a program for each shape
        params = {path: jnp.asarray(arrays[path].astype(np.float32)) for path in arrays.files}
    return {"params": unflatten_dict(params, sep="/")}
