"""A generator learned by a distance between two samples, the batch and its own, without a second network."""

from collections.abc import Callable
from functools import partial

import jax

from genjax_models.models.implicit import ImplicitModel
from genjax_models.types import Array, Aux, Metrics, Objective

SampleDistance = Callable[[Array, Array], tuple[Array, Metrics]]  # x and samples, [n, ...] -> a scalar, metrics


def matching(model: ImplicitModel, distance: SampleDistance, *, axis: str | None = None) -> Objective:
    """Returns an objective with one player, "generator", that lowers `distance(batch.x, samples)`.

    There are as many samples as examples in the batch. The generator learns in learning mode. Under `jax.jit` the
    distance compares the whole batch with all samples, on any number of devices. Under `jax.pmap` each device has only
    its own share: with `axis`, the name of the mapped axis, every device compares the shares of all.

    Args:
      model: a model that is not conditional.
      distance: (x, samples), `[n, ...]` each -> the distance, and metrics.
      axis: the mapped axis under `jax.pmap`; None elsewhere.

    Raises:
      ValueError: a conditional model, since the distance ignores labels.
    """
    if model.condition is not None:
        what = f"{model.classes} classes" if model.classes else "another part of the batch"
        raise ValueError(f"samples are compared without labels, and the model is conditional on {what}")

    whole = partial(jax.lax.all_gather, axis_name=axis, tiled=True) if axis else lambda share: share

    def loss(variables, key, batch, step):
        samples, moved = model.draw(variables["generator"], key, len(batch.x))
        value, metrics = distance(whole(batch.x), whole(samples))
        return value, Aux(metrics, {"generator": moved})

    return Objective(
        init=lambda key, batch: {"generator": model.init(key, batch)},
        losses={"generator": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["generator"], key, n),
        range=model.range,
    )
