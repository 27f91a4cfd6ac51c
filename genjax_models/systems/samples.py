"""Samples without a likelihood: held-out figures while a model learns, and pictures for the report."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from genjax_models.data import Prepared
from genjax_models.data.dataset import Range
from genjax_models.data.features import SHIPPED, Classifier, load_classifier, load_features
from genjax_models.evaluation.features import Features, extract
from genjax_models.evaluation.kernel_distance import kernel_distance
from genjax_models.evaluation.neighbours import data_copying_by_distances, nearest_in_parts
from genjax_models.evaluation.parzen_window import parzen_window
from genjax_models.evaluation.samples import SampleFigure, compared_with_data, sample_metrics
from genjax_models.figures import plots
from genjax_models.figures.pictures import Picture
from genjax_models.types import Array

_COLUMNS = 10  # of pictures
_FEWEST = 20  # test images: each group of the jackknife has at least one


def shipped_classifier(data: str, range: Range) -> Classifier | None:
    """Returns the shipped classifier of the data set of this name, for images in `range`; None for other data."""
    return next((load_classifier(name, range=range) for name, shipped in SHIPPED.items() if shipped.data == data), None)


def default_features(data: str, range: Range) -> Features:
    """Returns the features of the shipped classifier; the pixels for other data."""
    classifier = shipped_classifier(data, range)
    return classifier.features if classifier else load_features("pixels", range=range)


def held_out_distances(samples: Array, x: Array, data: str, range: Range) -> dict[str, Array]:
    """Returns the kernel distance on pixels, and `sample_metrics` on the features of the shipped classifier.

    "kernel_distance", the metric of a run, is on the classifier's features if one is shipped: on pixels a DCGAN of
    digits came as near after 1,000 steps as after 4,000, when its Frechet distance was a fifteenth. The other figures
    on pixels (one needs the spectrum of a 784 x 784 matrix) cost more than many steps of training.

    Args:
      samples: `[n, height, width, channels]`.
      x: `[m, height, width, channels]`, held out.
      data: name of the data set.
      range: of both.
    """
    pixels, classifier = load_features("pixels", range=range), shipped_classifier(data, range)
    distance, error = kernel_distance(extract(pixels, samples), extract(pixels, x))
    values = {"kernel_distance_on_pixels": distance, "kernel_distance_on_pixels_se": error}
    if classifier:
        values |= sample_metrics(classifier.features, samples, x)
    best = f"kernel_distance_on_{default_features(data, range).name}"
    return {"kernel_distance": values[best], "kernel_distance_se": values[f"{best}_se"], **values}


def nearest_training_examples(
    draw: Callable[[int], Array], data: Prepared, features: Features
) -> tuple[Picture, dict[str, SampleFigure]]:
    """Returns samples above their nearest training examples, and the figures of samples by name.

    Args:
      draw: n -> samples `[n, ...]`. As many samples as test examples are judged; 10,000 make the Parzen window.
      data: of the run.
      features: on which samples and test data are compared.
    """
    test, samples = data.test.x, draw(10_000)
    judged, shown = samples[: len(test)], samples[:_COLUMNS]
    queries = jnp.concatenate([samples[: max(_COLUMNS, len(test))], test])
    neighbours = nearest_in_parts(queries, (part.x for part in data.parts()))
    nearest = data.training_examples(np.asarray(neighbours.indices[:_COLUMNS, 0])).x
    caption = f"Samples above the nearest of {len(data.train.x):,} training images."
    figures = {}
    if len(test) < _FEWEST:
        caption += f" The figures of samples need at least {_FEWEST} test images; there are {len(test)}."
    else:
        figures = compared_with_data(features, judged, test, fewest=_FEWEST)
        copying = data_copying_by_distances(
            neighbours.distances[: len(judged), 0], neighbours.distances[-len(test) :, 0]
        )
        low, high = data.range
        window = parzen_window(*((x - low) / (high - low) for x in (samples, data.validation.x, test)))
        figures |= {
            "nearer_to_training_images_than_test_images_are": SampleFigure(copying),
            f"parzen_window_of_bandwidth_{window.bandwidth:.2f}": SampleFigure(window.log_likelihood),
        }
    images = jnp.concatenate([shown, nearest])
    grid = {"titles": ("sample", "nearest"), "heading": "Samples above the nearest training images"}
    figure = plots.image_grid(images, columns=len(shown), range=data.range, **grid)
    return Picture("neighbours", "Nearest training examples", caption, plots.png(figure)), figures


def rows_of_classes(images: Array, classifier: Classifier, range: Range) -> Picture:
    """Returns samples `[classes * n, ...]` of a conditional model, a row per class."""
    titles = [str(label) for label in np.arange(classifier.classes)]
    grid = {"titles": titles, "heading": "Samples, a row per class"}
    figure = plots.image_grid(images, columns=len(images) // classifier.classes, range=range, **grid)
    return Picture("classes", "Samples by class", "A row for each class that was asked for.", plots.png(figure))
