"""Walks through the latent space of a finished run: between draws, and from class to class.

python -m genjax_models.commands.latent_walk runs/vae16

figures/interpolations.png   between pairs of draws of z, along great circles (White, 2016); what lies between should
                             look like data, too
figures/arithmetic.png       a latent of each class, moved by the difference of two class means: what Radford, Metz and
                             Chintala, 2016, did with smiles and glasses. Classes are those that the classifier shipped
                             for the data sees in 10,000 draws, not labels. Printed: the share of moved latents whose
                             image has the class that was wanted

Of the VAE with 16 latents (the README's, seed 0) 44% of the moved have it at --strength 1, 70% at 1.5, 83% at 2 and
89% at 3: the means of classes lie nearer each other than the classes do. Of a DCGAN (experiments.dcgan) 52% have it at
1 and 80% at 2; pictures/latent_walk_dcgan.png has its great circles. 2026-11-22

The run is one whose model makes x of a z drawn from a prior: a VAE, an IWAE, a GAN or a moment-matching network.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import tyro

from genjax_models.commands.sample import of_run
from experiments.trained import of_model
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.types import Array, PRNGKey

_DRAWS, _MOVED = 10_000, 200  # latents for the class means, and of each class that are moved
_CLASSIFIERS = {"mnist10k": "mnist_classifier", "fashion_mnist": "fashion_classifier"}


@dataclasses.dataclass(frozen=True)
class Walk:
    """Draw walks through the latent space of a finished run."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    rows: int = 8
    """Interpolations."""
    steps: int = 11
    """Images of each, ends included."""
    strength: float = 2.0
    """Differences of class means are taken this many times."""
    label: int | None = None
    """Class of all images of a conditional model, 0 where none is given; it has no class arithmetic."""
    seed: int = 0
    """Of the latents, in [0, 2^32)."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on held-out data, or last."""

    def __post_init__(self):
        whole(1, rows=self.rows)
        whole(2, steps=self.steps)
        positive(strength=self.strength)
        seed_in_range(self.seed)


class Generates(NamedTuple):
    """What a run's model makes of latents: `noise(key, n)` draws z `[n, latent]`, `generate(z)` is `[n, *shape]`."""

    config: Any
    noise: Callable[[PRNGKey, int], Array]
    generate: Callable[[Array], Array]
    range: tuple[float, float]
    conditional: bool


def walk(options: Walk) -> list[str]:
    """Draws the pictures.

    Returns:
      Lines to print: what was found, and the paths.
    """
    import jax

    from genjax_models.runs import figures

    model = generates(options)
    interpolated, moved = jax.random.split(jax.random.key(options.seed))
    shown = {"interpolations": figures.image_grid(
        interpolations(model, interpolated, options.rows, options.steps), columns=options.steps, range=model.range
    )}  # fmt: skip
    said = []
    classifier = None if model.conditional else _classifier(model)
    if classifier:
        images, reached = arithmetic(model, classifier, moved, options.strength)
        titles = [str(i) for i in range(classifier.classes)]
        shown["arithmetic"] = figures.image_grid(images, columns=classifier.classes, range=model.range, titles=titles)
        said.append(f"moved to another class: {reached:.1%} have it (chance would be {1 / classifier.classes:.0%})")
    folder = options.run / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in shown.items():
        (folder / f"{name}.png").write_bytes(figures.png(figure))
        said.append(str(folder / f"{name}.png"))
    return said


def interpolations(model: Generates, key: PRNGKey, rows: int, steps: int) -> Array:
    """`[rows * steps, *shape]`: along great circles between draws."""
    import jax
    import jax.numpy as jnp

    from genjax_models.evaluation.interpolation import spherical_interpolation

    ends = model.noise(key, 2 * rows).reshape(2, rows, 1, -1)
    z = spherical_interpolation(ends[0], ends[1], jnp.linspace(0, 1, steps))
    return jax.jit(model.generate)(z.reshape(rows * steps, -1))


def arithmetic(model: Generates, classifier, key: PRNGKey, strength: float) -> tuple[Array, float]:
    """One latent of each class a, and what it becomes as z + strength (mean_b - mean_a), for all classes b.

    Returns:
      Images `[classes * classes, *shape]`, a by row, and the share of moves to another class that the classifier sees.

    Raises:
      InputError: the model makes no image that the classifier takes for some class.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from genjax_models.evaluation.interpolation import class_means

    seen = jax.jit(lambda z: classifier.log_probabilities(model.generate(z)))
    z = model.noise(key, _DRAWS)
    log_probabilities = jnp.concatenate([seen(part) for part in jnp.split(z, 10)])
    means = class_means(z, jnp.exp(log_probabilities))
    found, chosen = np.argmax(log_probabilities, axis=1), []
    for c in range(classifier.classes):
        of_class = np.flatnonzero(found == c)
        if not len(of_class):
            raise InputError(f"none of {_DRAWS:,} draws looks like class {c}: there is no latent of it to move")
        chosen.append(of_class[np.argsort(-log_probabilities[of_class, c], stable=True)][:_MOVED])
    images, right = [], []
    for a, rows in enumerate(chosen):
        moved = z[rows][:, None] + strength * (means - means[a])  # [latents, to, latent]
        images.append(model.generate(moved[0]))
        wanted = np.argmax(jnp.stack([seen(moved[:, b]) for b in range(classifier.classes)], axis=1), axis=-1)
        right.append((wanted == np.arange(classifier.classes))[:, np.arange(classifier.classes) != a].mean())
    return jnp.concatenate(images), float(np.mean(right))


def generates(options: Walk) -> Generates:
    """The model of a run.

    Raises:
      InputError: no run there, one whose data are no images, or whose model has no prior over vectors.
      CheckpointError: a damaged checkpoint, or none.
    """
    import jax
    import jax.numpy as jnp

    from genjax_models.runs import experiment, pictures
    from genjax_models.runs.fit import players_for_sampling

    module = of_run(options.run)
    config, state = experiment.restore(module, options.run, options.checkpoint)
    model = module.model(config) if module.model else None
    if not (hasattr(model, "noise") or hasattr(model, "prior")):
        raise InputError(f"{options.run}: a run of {module.name} has no prior over latents to walk in")
    if not pictures.drawable(config.shape):
        raise InputError(f"{options.run}: its examples have shape {config.shape}, which is no image")
    variables, classes = of_model(players_for_sampling(state)), getattr(config, "classes", None)
    if options.label is not None and not (classes and 0 <= options.label < classes):
        accepted = f"its classes are 0 to {classes - 1}" if classes else "its model is not conditional on a class"
        raise InputError(f"--label {options.label}: {accepted}")

    def noise(key, n):
        if hasattr(model, "noise"):
            return model.noise(key, n)
        return model.prior(variables).sample(seed=key, sample_shape=n)

    if not isinstance(jax.eval_shape(lambda: noise(jax.random.key(0), 1)), jax.ShapeDtypeStruct):
        raise InputError(f"{options.run}: its model has several stochastic layers, and no one vector z to walk with")

    def generate(z):
        label = (jnp.full(len(z), options.label or 0),) if classes else ()
        return model.generate(variables, z, *label)

    return Generates(config, noise, generate, module.range, bool(classes))


def _classifier(model: Generates):
    """The one shipped for the run's data; None for other data."""
    from genjax_models.data.features import load_classifier

    name = _CLASSIFIERS.get(model.config.data)
    return name and load_classifier(name, range=model.range)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        print(*walk(parse(Walk, arguments, "python -m genjax_models.commands.latent_walk", Walk.__doc__)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
