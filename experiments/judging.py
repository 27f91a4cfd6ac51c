"""How experiments judge draws that have no likelihood: figures to follow while learning, and pictures at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from genjax_models.data import Prepared
    from genjax_models.data.dataset import Range
    from genjax_models.data.features import Classifier
    from genjax_models.evaluation.features import Features
    from genjax_models.runs.pictures import Picture
    from genjax_models.types import Array

METRIC = "kernel_distance"  # on `features_of` the data
_SHOWN = 10  # columns of pictures
_FEWEST = 20  # test images by which samples are judged: a group of the jackknife has one


def classifier_of(data: str, range: Range) -> Classifier | None:
    """The classifier that the package ships for the data set of this name, of images in `range`; None for others."""
    from genjax_models.data.features import SHIPPED, load_classifier

    return next((load_classifier(name, range=range) for name, shipped in SHIPPED.items() if shipped.data == data), None)


def features_of(data: str, range: Range) -> Features:
    """Those of that classifier; for other data the pixels."""
    from genjax_models.data.features import load_features

    classifier = classifier_of(data, range)
    return classifier.features if classifier else load_features("pixels", range=range)


def followed(samples: Array, x: Array, data: str, range: Range) -> dict[str, Array]:
    """What can be followed while learning: the kernel distance on pixels, and `sample_metrics` as a classifier sees x.

    `METRIC`, by which a run is judged, is the classifier's where there is one: on pixels a DCGAN of digits came as near
    after 1,000 steps as after 4,000, when it had a fifteenth of the Frechet distance.
    The others on pixels, a spectrum of 784 x 784 numbers for one, cost more than many steps of training.
    """
    from genjax_models.data.features import load_features
    from genjax_models.evaluation.features import extract
    from genjax_models.evaluation.kernel_distance import kernel_distance
    from genjax_models.evaluation.samples import sample_metrics

    pixels, classifier = load_features("pixels", range=range), classifier_of(data, range)
    distance, error = kernel_distance(extract(pixels, samples), extract(pixels, x))
    found = {"kernel_distance_on_pixels": distance, "kernel_distance_on_pixels_se": error}
    if classifier:
        found |= sample_metrics(classifier.features, samples, x)
    best = f"{METRIC}_on_{features_of(data, range).name}"
    return {METRIC: found[best], f"{METRIC}_se": found[f"{best}_se"], **found}


def neighbours(draw: Callable[[int], Array], data: Prepared, features: Features) -> Picture:
    """Samples above their nearest training examples; the caption has the figures that `sample_quality` finds.

    Args:
      draw: n -> samples `[n, ...]`; as many as the test split has are judged, and 10,000 make the Parzen window.
      data: of the run.
      features: what samples and test data are compared by.
    """
    import jax.numpy as jnp
    import numpy as np

    from genjax_models.evaluation.neighbours import data_copying_by_distances, nearest_in_parts
    from genjax_models.evaluation.parzen_window import parzen_window
    from genjax_models.evaluation.samples import sample_quality
    from genjax_models.runs import figures
    from genjax_models.runs.pictures import Picture

    test, samples = data.test.x, draw(10_000)
    some, shown = samples[: len(test)], samples[:_SHOWN]
    judged = jnp.concatenate([samples[: max(_SHOWN, len(test))], test])
    found = nearest_in_parts(judged, (part.x for part in data.parts()))
    nearest = data.seen(np.asarray(found.indices[:_SHOWN, 0])).x
    caption = f"Samples above the nearest of {len(data.train.x):,} training images. "
    if len(test) < _FEWEST:
        caption += f"The {len(test)} test images are too few to judge by."
    else:
        table = sample_quality(features, some, test)
        words = "; ".join(f"{name.replace('_', ' ')} {score}" for name, score in table.items())
        copying = data_copying_by_distances(found.distances[: len(some), 0], found.distances[-len(test) :, 0])
        low, high = data.range
        window = parzen_window(*((x - low) / (high - low) for x in (samples, data.validation.x, test)))
        caption += (
            f"A sample is nearer to them than a test image is with probability"
            f" {copying.value:.2f} (1/2 is right, 1 is copying). Beside the test images:"
            f" {words}. A Parzen window on {len(samples):,} samples, of values in [0, 1], has"
            f" {window.log_likelihood} nats (bandwidth {window.bandwidth:.2f}), a figure that says little (Theis et"
            f" al., 2016)."
        )
    figure = figures.image_grid(
        jnp.concatenate([shown, nearest]), columns=len(shown), range=data.range, titles=("sample", "nearest")
    )
    return Picture("neighbours", "Nearest training examples", caption, figures.png(figure))


def rows_of_classes(images: Array, accuracy: float, classifier: Classifier, range: Range) -> Picture:
    """Samples `[classes * n, ...]` of a conditional model, a row for each class, and how many have it."""
    from genjax_models.runs import figures
    from genjax_models.runs.pictures import Picture

    titles = [str(label) for label in _range(classifier.classes)]
    figure = figures.image_grid(images, columns=len(images) // classifier.classes, range=range, titles=titles)
    caption = (
        f"A row for each class. Of 1,000 samples of each the classifier takes {accuracy:.1%} for the class that was"
        f" asked for; of test images {classifier.accuracy:.1%}."
    )
    return Picture("classes", "Samples by class", caption, figures.png(figure))


_range = range  # where an argument has its name
