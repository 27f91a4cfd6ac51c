"""Directions in the latent space along which a generator changes most, found without labels."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np

from genjax_models.types import Array


class Directions(NamedTuple):
    """Orthogonal or unit directions, the strongest first.

    Attributes:
      vectors: unit vectors, `[k, latent]`. Of a vector and its opposite, the one whose largest number is positive.
      strengths: eigenvalues by which they are ordered, `[k]`.
    """

    vectors: np.ndarray
    strengths: np.ndarray


def closed_form_directions(kernel: Array) -> Directions:
    """Returns the directions in which the first layer's output moves most (SeFa: Shen and Zhou, 2021).

    The layer is y = A z + b. The directions are the right singular vectors of A, the eigenvectors of A' A.
    Strengths are its eigenvalues. For z ~ N(0, I) they are the principal components of y, seen from z.

    Args:
      kernel: A' `[latent, out]`, as Flax keeps the kernel of a dense layer; see `first_layer`.

    Returns:
      min(latent, out) directions.

    Raises:
      ValueError: the kernel is no matrix, or is not finite.
    """
    kernel = np.asarray(kernel, np.float64)
    if kernel.ndim != 2 or not kernel.size or not np.isfinite(kernel).all():
        raise ValueError(f"kernel must be finite [latent, out], got shape {kernel.shape}")
    vectors, values, _ = np.linalg.svd(kernel, full_matrices=False)
    return Directions(_turned(vectors.T), values**2)


def principal_directions(z: Array, features: Array, count: int | None = None) -> Directions:
    """Returns directions that move the principal components of a layer's outputs (GANSpace: Härkönen et al., 2020).

    The components are of `features`. Direction j is the least-squares slope of z on coordinate j.

    Args:
      z: draws of the latent, `[n, latent]`.
      features: outputs of an early layer for these z, `[n, ...]`; see `first_layer`.
      count: number of directions. Default: all, min(latent, n - 1, size of the features).

    Returns:
      Unit directions, and the variances of the components. The directions are orthogonal only if the layer is linear.

    Raises:
      ValueError: z and features do not fit, are not finite, or `count` is out of range.
    """
    z, features = np.asarray(z, np.float64), np.asarray(features, np.float64)
    features = features.reshape(len(features), -1)
    if z.ndim != 2 or len(z) != len(features) or len(z) < 2:
        raise ValueError(
            f"z must be [n, latent] with the n of features, at least 2, got {z.shape} and {features.shape}"
        )
    if not (np.isfinite(z).all() and np.isfinite(features).all()):
        raise ValueError("z and features must be finite")
    most = min(z.shape[1], len(z) - 1, features.shape[1])
    kept = most if count is None else count
    if not 1 <= kept <= most:
        raise ValueError(f"count must be 1 to {most}, got {count}")
    left, values, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    slopes = left[:, :kept].T @ (z - z.mean(axis=0))
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    return Directions(_turned(slopes / np.where(lengths > 0, lengths, 1)), values[:kept] ** 2 / len(z))


class FirstLayer(NamedTuple):
    """The beginning of a generator: its dense layers that read z itself.

    Attributes:
      kernel: kernels of these layers side by side, the rows that read z, `[latent, out]`. A generator with one chunk of
        z per level (BigGAN) has several.
      features: z `[n, latent]` -> the inputs of the layer after them `[n, ...]`, after normalisation and activation;
        the generator's output if there is none.
      reads: 1 for the latents that `features` depend on, `[latent]`; 0 for chunks of z of later levels.
    """

    kernel: np.ndarray
    features: Callable[[Array], Array]
    reads: np.ndarray


def first_layer(generate: Callable[[Array], Array], latent: int) -> FirstLayer:
    """Returns the first layer of a generator that is made of Flax modules.

    Args:
      generate: z `[n, latent]` -> `[n, ...]`, with its variables inside.
      latent: dimensions of z.

    Raises:
      ValueError: the layers that see z first are not dense, or do not read all of z.
    """

    def watched(z: Array) -> tuple[list[Array], list[Array], Array]:
        kernels, inputs = [], []

        def watch(function, args, kwargs, context):
            module = context.module
            if context.method_name == "__call__" and module.has_variable("params", "kernel"):
                kernels.append(module.variables["params"]["kernel"])
                inputs.append(args[0])
            return function(*args, **kwargs)

        with nn.intercept_methods(watch):
            outputs = generate(z)
        return kernels, inputs, outputs

    two = jax.random.normal(jax.random.key(0), (2, latent))
    kernels, inputs, _ = jax.jit(watched)(two)
    places = [_places(x, two) if k.ndim == 2 else np.zeros((1, 1)) for k, x in zip(kernels, inputs, strict=True)]
    reads = [bool(np.ptp(np.asarray(x), axis=0).any()) for x in inputs]  # the others see a condition only
    first = [bool(place.any()) for place in places]
    later = [i for i, (see, one) in enumerate(zip(reads, first, strict=True)) if see and not one]
    end = later[0] if later else len(kernels)
    parts = [places[i].T @ np.asarray(kernels[i]) for i in range(len(kernels)) if first[i]]
    kernel = np.concatenate(parts, axis=1) if parts else np.zeros((latent, 0), np.float32)
    if not kernel.any(axis=1).all() or end < first.index(True):
        raise ValueError(
            f"the generator must begin with dense layers that read {latent} latents, got kernels"
            f" {[kernel.shape for kernel in kernels[: end + 1]]}"
        )

    def features(z: Array) -> Array:
        _, inputs, outputs = watched(z)
        return inputs[end] if end < len(inputs) else outputs

    before = [place.any(axis=0) for place, one in zip(places[:end], first[:end], strict=True) if one]
    return FirstLayer(kernel, jax.jit(features), np.any(before, axis=0).astype(np.float32))


def _places(x: Array, z: Array) -> np.ndarray:
    """Returns `[inputs, latent]`: 1 where a layer's inputs `[n, inputs]` are a latent of the draws z, bit for bit."""
    return np.all(np.asarray(x)[:, :, None] == np.asarray(z)[:, None], axis=0).astype(np.float32)


def _turned(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors `[k, latent]`, each turned so that its number of largest size is positive."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1, keepdims=True), axis=1)
    return vectors * np.where(largest < 0, -1, 1)
