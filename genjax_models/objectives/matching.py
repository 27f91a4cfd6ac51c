"""A generator that is learned by a distance between two samples, the batch and its own: no second network."""

from collections.abc import Callable
from functools import partial

import jax

from genjax_models.models.implicit import ImplicitModel
from genjax_models.types import Array, Aux, Metrics, Objective

SampleDistance = Callable[[Array, Array], tuple[Array, Metrics]]  # x and samples, [n, ...] -> a scalar, metrics


def matching(model: ImplicitModel, distance: SampleDistance, *, axis: str | None = None) -> Objective:
    """One player, "generator", that lowers `distance(batch.x, samples)`, of as many samples as the batch has examples.

    The distance is of both as wholes, wherever their shards lie under `jax.jit`. Under `jax.pmap` each device has only
    its own: with `axis`, the name of the mapped axis, all devices compare what all have.

    Raises:
      ValueError: a conditional model, since the distance is not shown the labels.
    """
    if model.classes is not None:
        raise ValueError(
            f"samples are compared without labels, and the model is conditional on {model.classes} classes"
        )

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
