"""Standing statistics: batch normalisation by the moments of many batches of samples (Brock et al., 2019).

Running averages belong to the weights and the noise of training. A generator with averaged weights, or at a truncation,
needs the moments of its own samples.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_count
from genjax_models.models.implicit import ImplicitModel
from genjax_models.types import Array, PRNGKey, Variables

_Path = tuple[str, ...]


def standing_statistics(
    model: ImplicitModel,
    variables: Variables,
    key: PRNGKey,
    *,
    batches: int = 16,
    batch_size: int = 64,
    label: Array | None = None,
    truncation: float | None = None,
) -> Variables:
    """Returns the generator's variables with new means and variances in every layer of batch normalisation.

    Mean and variance are taken over all examples of all batches: E[x^2] - E[x]^2. The mean of the batches' variances
    would be too small, by the variance of their means. Other variables, such as singular vectors of spectral
    normalisation, stay unchanged.

    Args:
      model: its layers of batch normalisation are `nn.BatchNorm`.
      variables: of the generator; take its moving averages if they draw the samples.
      key: randomness of z and of classes.
      batches: number of batches, at least 1.
      batch_size: draws per batch. In each batch, deeper layers see inputs normalised by the batch, as in training.
      label: labels of every batch, `[batch_size, ...]`. Default: classes drawn uniformly, if the model has classes.
      truncation: of z; the one at which samples are drawn.

    Raises:
      ValueError: `batches` or `batch_size` is below 1; or the generator has no batch normalisation.
    """
    check_count("batches", batches)
    check_count("batch_size", batch_size)

    def of_batch(_, key: PRNGKey) -> tuple[None, dict[_Path, tuple[Array, Array]]]:
        noise_key, label_key, learning_key = jax.random.split(key, 3)
        given = label
        if label is None and model.classes is not None:
            given = jax.random.randint(label_key, (batch_size,), 0, model.classes)
        return None, _moments(model, variables, learning_key, model.noise(noise_key, batch_size, truncation), given)

    _, moments = jax.lax.scan(of_batch, None, jax.random.split(key, batches))
    if not moments:
        raise ValueError("standing statistics need a generator with batch normalisation, and it has none")
    statistics = variables["batch_stats"]
    for path, (means, variances) in moments.items():
        mean = jnp.mean(means, axis=0)
        pooled = jnp.mean(variances + (means - mean) ** 2, axis=0)  # E[x^2] - E[x]^2, without cancellation
        statistics = _replaced(statistics, path, {"mean": mean, "var": pooled})
    return {**variables, "batch_stats": statistics}


def normalises(variables: Variables) -> bool:
    """Returns whether a network has batch normalisation, by its running averages."""
    paths = jax.tree.leaves_with_path(variables.get("batch_stats", {}))
    return any(getattr(path[-1], "key", None) == "var" for path, _ in paths)


def _moments(
    model: ImplicitModel, variables: Variables, key: PRNGKey, z: Array, label: Array | None
) -> dict[_Path, tuple[Array, Array]]:
    """Returns mean and variance `[channels]` of the inputs of each layer of batch normalisation, by its path."""
    seen: dict[_Path, tuple[Array, Array]] = {}

    def watch(function, args, kwargs, context):
        if isinstance(context.module, nn.BatchNorm) and context.method_name == "__call__":
            x = args[0].astype(jnp.float32)
            axes = tuple(range(x.ndim - 1))
            seen[context.module.path] = jnp.mean(x, axis=axes), jnp.var(x, axis=axes)
        return function(*args, **kwargs)

    with nn.intercept_methods(watch):
        model.generate_in_learning(variables, key, z, label)
    return seen


def _replaced(tree: Any, path: _Path, leaves: dict[str, Array]) -> Any:
    """Returns the tree with other leaves at the end of the path."""
    if not path:
        return {**tree, **leaves}
    return {**tree, path[0]: _replaced(tree[path[0]], path[1:], leaves)}
