"""A check: an estimate and its exact value, with helpers for the two.

Derivatives of exact values are complex steps, f'(p) = Im f(p + ih) / h, exact to the last digit (Squire and Trapp,
1998).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from genjax_models.types import Array, PRNGKey

PyTree = Any
Parameters = Mapping[str, np.ndarray]


class Check(NamedTuple):
    """An estimate and its exact value.

    `estimate(draws)` returns `draws` independent estimates `[draws, ...]` of `exact` `[...]`; `[1, ...]` if the
    estimator draws nothing. `products` is the change of the estimate at a relative error of 1 in every matrix product:
    0 if the estimator computes no matrix product, or computes them in float32 on every device.
    """

    name: str
    estimate: Callable[[int], Array]
    exact: ArrayLike
    products: float = 0.0


def repeated(estimate: Callable[[PRNGKey], Array]) -> Callable[[int], Array]:
    """Returns draws -> the flat pytrees `estimate(key)` of as many keys, `[draws, numbers]`."""

    def one(key: PRNGKey) -> Array:
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(estimate(key))])

    def run(draws: int) -> Array:
        return jax.lax.map(one, jax.random.split(jax.random.key(0), draws), batch_size=min(draws, 2_000))

    return jax.jit(run, static_argnums=0)


def flat_numbers(tree: PyTree) -> np.ndarray:
    """Returns all numbers of a pytree `[numbers]`, in the order of `repeated`."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def exact_gradient(function: Callable[[Parameters], Any], p: Parameters) -> dict[str, np.ndarray]:
    """Returns the derivatives of a scalar function in every parameter."""

    def derivative(name: str, index: tuple[int, ...]) -> np.ndarray:
        stepped = np.array(p[name], complex)
        stepped[index] += 1e-30j
        return np.imag(function({**p, name: stepped})) / 1e-30

    return {
        name: np.reshape([derivative(name, index) for index in np.ndindex(np.shape(p[name]))], np.shape(p[name]))
        for name in p
    }


def as_float32(tree: PyTree) -> PyTree:
    """Returns the pytree with float32 jax arrays."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)
