"""The generator of a finished run as a function of vectors z, for `latent_walk`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from genjax_models.errors import InputError

if TYPE_CHECKING:
    from genjax_models.types import Array, PRNGKey


class Decoder(NamedTuple):
    """The generator of a run: `noise(key, n)` draws z `[n, latent]`, `generate(z)` returns `[n, *shape]`.

    `event` is the shape of z in the model, whose prod(event) numbers are a vector here: of DRAW, `(steps, latent)`.
    """

    config: Any
    noise: Callable[[PRNGKey, int], Array]
    generate: Callable[[Array], Array]
    range: tuple[float, float]
    conditional: bool
    event: tuple[int, ...]


def decoder_of(folder: Path, checkpoint: Literal["best", "last"] = "best", label: int | None = None) -> Decoder:
    """Returns the generator of a run.

    Args:
      folder: directory of the run.
      checkpoint: best on held-out data, or last.
      label: class of all images of a conditional model; None is 0.

    Raises:
      InputError: no run is there, its data are no images, or its model has no prior over vectors or no E[x | z].
      CheckpointError: the checkpoint is absent or damaged.
    """
    import jax
    import jax.numpy as jnp

    from genjax_models.figures import pictures
    from genjax_models.models.latent_variable import needs_mean
    from genjax_models.runs.loading import condition_of_run, load_run

    run = load_run(folder, checkpoint)
    model, config, variables = run.model, run.config, run.variables if run.model else None
    if not (hasattr(model, "noise") or hasattr(model, "prior")):
        raise InputError(f"{folder}: needs a model with a prior over latents to walk in")
    needs_mean(model, f"{folder}: latent-walk")
    if condition_of_run(run) is not None:
        raise InputError(f"{folder}: latent-walk needs a model without conditions, or with classes")
    if not pictures.drawable(config.data.shape):
        raise InputError(f"{folder}: needs images, got examples of shape {config.data.shape}")
    classes = config.data.classes
    if label is not None and not (classes and 0 <= label < classes):
        accepted = f"its classes are 0 to {classes - 1}" if classes else "its model is not conditional on a class"
        raise InputError(f"--label {label}: {accepted}")

    def draw(key, n):
        if hasattr(model, "noise"):
            return model.noise(key, n)
        return model.prior(variables).sample(seed=key, sample_shape=n)

    one = jax.eval_shape(lambda: draw(jax.random.key(0), 1))
    if not isinstance(one, jax.ShapeDtypeStruct):
        raise InputError(f"{folder}: needs a model with one array z, got one with several stochastic layers")
    event = one.shape[1:]

    def noise(key, n):
        return draw(key, n).reshape(n, -1)

    def generate(z):
        labels = (jnp.full(len(z), label or 0),) if classes else ()
        return model.generate(variables, z.reshape(len(z), *event), *labels)

    return Decoder(config, noise, generate, run.system.range, bool(classes), event)
