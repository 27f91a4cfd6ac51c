"""A generator of pictures from known factors, learned by squared error (20.10.2; Dosovitskiy et al., 2015)."""

import jax.numpy as jnp

from genjax_models.models.supervised import SupervisedModel
from genjax_models.types import Array, Aux, Objective

COLOURS = 3  # channels of the image; a further channel is the mask


def supervised(model: SupervisedModel, *, mask_weight: float | Array = 0.1) -> Objective:
    """Returns an objective with one player, "generator", that lowers |x - g(style, factors)|^2.

    Errors are sums over pixels and channels, and means over the batch (and over the members of `MeanOfGenerators`). The
    error of the mask, the fourth channel of pictures `[height, width, 4]`, has the weight `mask_weight`. Such pictures
    hold premultiplied colour and alpha: an error of a colour that nobody sees costs nothing (Dosovitskiy et al., 2015,
    Eq. 1, with lambda = 1 / mask_weight).

    Args:
      model: its styles are the labels of a batch, and its factors the factors of the batch.
      mask_weight: weight of the mask's error.

    Returns:
      An `Objective` that reports "image_error" and, if there is a mask, "mask_error", without its weight. Its `sample`
      is `SupervisedModel.sample`. Its loss raises ValueError, while tracing, without labels or factors.
    """

    def loss(variables, key, batch, step):
        if batch.label is None or batch.factors is None:
            raise ValueError("a supervised generator needs a label and factors per example")
        style = model.one_hot(batch.label)
        made, moved = model.generate_in_learning(variables["generator"], key, style, batch.factors)
        metrics = {name: jnp.mean(error) for name, error in squared_errors(batch.x, made).items()}
        value = metrics["image_error"] + mask_weight * metrics.get("mask_error", 0.0)
        return value, Aux(metrics, {"generator": moved})

    return Objective(
        init=lambda key, batch: {"generator": model.init(key, batch)},
        losses={"generator": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["generator"], key, n, label=label),
    )


def squared_errors(x: Array, made: Array) -> dict[str, Array]:
    """Returns sums over pixels and channels: "image_error" and, of four channels, "mask_error", both `[..., batch]`.

    Args:
      x: pictures `[batch, height, width, channels]`.
      made: generated pictures `[..., batch, height, width, channels]`.
    """
    x = jnp.expand_dims(x, range(made.ndim - x.ndim))
    error = jnp.sum((x - made) ** 2, axis=(-3, -2))  # of each channel
    image = jnp.sum(error[..., :COLOURS], axis=-1)
    return {"image_error": image} | ({"mask_error": error[..., COLOURS]} if x.shape[-1] > COLOURS else {})
