"""Draws walks through the latent space of a finished run: between draws of z, from class to class, along directions.

genjax-models latent-walk runs/vae16
genjax-models latent-walk runs/rivers --along dimensions

figures/interpolations.png   images along great circles between pairs of draws of z (White, 2016)
figures/arithmetic.png       a latent of each class, moved by the difference of two class means, after the vector
                             arithmetic of Radford, Metz and Chintala, 2016. The classifier that the package ships for
                             the data assigns the classes of 10,000 draws; labels are not used. The command prints the
                             share of moved latents whose image has the target class
figures/along_dimensions.png with --along, in place of the two: a row per direction, from -reach to reach, all from one
                             draw of z. Directions are single dimensions; singular vectors of the first layer
                             (closed-form: SeFa, Shen and Zhou, 2021); principal components of its outputs for 1,000
                             draws (principal: GANSpace, Härkönen et al., 2020); or the rows of a file [k, latent]
figures/along_dimensions_grid.png
                             with --along and --grid: both directions of the first two rows, one down and one across

figures/interpolations.gif, figures/along_dimensions.gif
                             with --gif: a cell per walk, there and back

VAE with 16 latents (the README's, seed 0): 44% of the moved latents have the target class at --strength 1, 70% at 1.5,
83% at 2 and 89% at 3. Class means lie nearer to each other than classes do. DCGAN (experiments.dcgan): 52% at 1 and 80%
at 2; pictures/latent_walk_dcgan.png has its great circles. 2026-11-22

The model of the run must generate x from one array z with a prior: a VAE, an IWAE, DRAW, a GAN or a moment-matching
network. Great circles, means and directions are of all numbers of z as one vector.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from genjax_models.commands.latent_decoder import Decoder, decoder_of
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import write_output

if TYPE_CHECKING:
    from genjax_models.types import Array, PRNGKey

_DRAWS = 10_000  # latents for the class means
_PRINCIPAL = 1_000  # latents for principal directions
_MOVED = 200  # moved latents per class
_FRAMES = 24  # of a film, one way
_PERCENT = {
    "closed-form": " (percent: share of the squared singular values)",
    "principal": " (percent: share of the variance)",
}
DIRECTIONS = ("dimensions", "closed-form", "principal")
_CLASSIFIERS = {"mnist10k": "mnist_classifier", "fashion_mnist": "fashion_classifier"}


@dataclasses.dataclass(frozen=True)
class Walk:
    """Draw walks through the latent space of a finished run."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    rows: int = 8
    """Number of interpolations, or largest number of directions."""
    steps: int = 11
    """Images per row, including both ends."""
    strength: float = 2.0
    """Factor of the differences of class means."""
    along: str | None = None
    """Walk along dimensions, closed-form or principal directions, or directions of a file DIRECTIONS.npy."""
    reach: float = 3.0
    """Length of a walk along a direction, to both sides of 0, in standard deviations of z."""
    grid: bool = False
    """Also draw a grid over the first two directions of --along."""
    label: int | None = None
    """Class of all images of a conditional model (default 0). A conditional model has no class arithmetic."""
    gif: bool = False
    """Also write the walks as a film (GIF)."""
    seed: int = 0
    """Random seed of the latents, in [0, 2^32)."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""

    def __post_init__(self):
        whole(1, rows=self.rows)
        whole(2, steps=self.steps)
        positive(strength=self.strength, reach=self.reach)
        if self.along not in (None, *DIRECTIONS) and not self.along.endswith(".npy"):
            raise InputError(f"along must be {', '.join(DIRECTIONS)} or a file .npy, got {self.along!r}")
        if self.grid and self.along is None:
            raise InputError("--grid needs directions: use --along")
        seed_in_range(self.seed)


def walk(options: Walk) -> list[str]:
    """Draws the pictures into the run.

    Returns:
      Lines to print: the share of moved latents with the target class, if any, and paths.
    """
    import jax
    import numpy as np

    from genjax_models.figures import plots

    decoder = decoder_of(options.run, options.checkpoint, options.label)
    if options.along is not None:
        return _along_directions(options, decoder)
    interpolation_key, arithmetic_key = jax.random.split(jax.random.key(options.seed))
    images, lines = interpolations(decoder, interpolation_key, options.rows, options.steps), []
    circles = {"columns": options.steps, "range": decoder.range, "heading": "Great circles between pairs of z"}
    figures = {"interpolations": plots.image_grid(images, **circles)}
    classifier = None if decoder.conditional else _classifier(decoder)
    if classifier:
        images, accuracy = class_arithmetic(decoder, classifier, arithmetic_key, options.strength)
        titles = [str(i) for i in range(classifier.classes)]
        moves = {"titles": titles, "above": titles, "heading": "From the class of the row to the class of the column"}
        figures["arithmetic"] = plots.image_grid(images, columns=classifier.classes, range=decoder.range, **moves)
        lines.append(f"moved latents with the target class: {accuracy:.1%} (chance: {1 / classifier.classes:.0%})")
    folder = options.run / "figures"
    for name, figure in figures.items():
        write_output(folder / f"{name}.png", plots.png(figure))
        lines.append(str(folder / f"{name}.png"))
    if options.gif:
        images = interpolations(decoder, interpolation_key, options.rows, _FRAMES)
        titles = [f"{share:.0%} of the way" for share in np.linspace(0, 1, _FRAMES)]
        lines.append(_film(images, titles, decoder, folder / "interpolations.gif"))
    return lines


def _along_directions(options: Walk, decoder: Decoder) -> list[str]:
    """Draws the walks along directions into the run; returns the line to print."""
    import jax
    import numpy as np

    from genjax_models.evaluation.interpolation import grid_along, walk_along
    from genjax_models.figures import plots

    start_key, direction_key = jax.random.split(jax.random.key(options.seed))
    (start,) = decoder.noise(start_key, 1)
    vectors, titles = directions(decoder, options.along or "", direction_key, len(start))
    pair, axes = vectors[:2], "Down and across: " + "; ".join(titles[:2])
    if options.grid and len(pair) < 2:
        raise InputError(f"--grid needs two directions, got {len(pair)} of --along {options.along}")
    vectors, titles = vectors[: options.rows], titles[: options.rows]
    generate = jax.jit(lambda z: decoder.generate(z.reshape(-1, len(start))))
    images = generate(walk_along(start, vectors, options.reach, options.steps))
    heading = f"From -{options.reach:g} to {options.reach:g}{_PERCENT.get(options.along or '', '')}"
    rows = {"titles": titles, "heading": heading}
    figure = plots.image_grid(images, columns=options.steps, range=decoder.range, **rows)
    name = (options.along or "").replace("-", "_") if options.along in DIRECTIONS else Path(options.along or "").stem
    path = options.run / "figures" / f"along_{name}.png"
    write_output(path, plots.png(figure))
    lines = [str(path)]
    if options.grid:
        images = generate(grid_along(start, pair, options.reach, options.steps))
        figure = plots.image_grid(images, columns=options.steps, range=decoder.range, heading=axes)
        lines.append(str(path.with_stem(f"{path.stem}_grid")))
        write_output(Path(lines[-1]), plots.png(figure))
    if options.gif:
        images = generate(walk_along(start, vectors, options.reach, _FRAMES))
        places = [f"{place:+.1f} standard deviations" for place in np.linspace(-options.reach, options.reach, _FRAMES)]
        lines.append(_film(images, places, decoder, path.with_suffix(".gif")))
    return lines


def _film(images: Array, titles: Sequence[str], decoder: Decoder, path: Path) -> str:
    """Writes walks `[rows * frames, *shape]` as a film with a cell per row; returns the path."""
    import numpy as np

    from genjax_models.figures import films

    unit = films.eight_bits(images, decoder.range) / np.float32(255)
    frames = unit.reshape(-1, len(titles), *unit.shape[1:]).swapaxes(0, 1)
    write_output(path, films.film(list(zip(titles, frames, strict=True)), back=True))
    return str(path)


def directions(decoder: Decoder, along: str, key: PRNGKey, latent: int) -> tuple[Array, list[str]]:
    """Returns unit vectors `[k, latent]` and a title for each.

    Raises:
      InputError: the first layer of the generator is not dense, or the file holds no directions `[k, latent]`.
    """
    import numpy as np

    from genjax_models.evaluation.directions import closed_form_directions, first_layer, principal_directions

    if along == "dimensions":
        return np.eye(latent, dtype=np.float32), [f"z{list(map(int, i))}" for i in np.ndindex(decoder.event)]
    if along not in DIRECTIONS:
        try:
            rows = np.load(along, allow_pickle=False)
            lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"--along {along}: cannot be read as an array ({error})") from None
        if rows.ndim != 2 or rows.shape[1] != latent or not (np.isfinite(lengths).all() and lengths.all()):
            raise InputError(f"--along {along}: needs finite directions [k, {latent}], none 0, got shape {rows.shape}")
        return rows / lengths, [f"direction {i}" for i in range(len(rows))]
    try:
        layer = first_layer(decoder.generate, latent)
    except ValueError as error:
        raise InputError(f"--along {along}: {error}") from None
    if along == "closed-form":
        found = closed_form_directions(layer.kernel)
    else:
        z = decoder.noise(key, _PRINCIPAL)
        found = principal_directions(z * layer.reads, layer.features(z))
    share = found.strengths / found.strengths.sum()
    chunks = [_chunk(vector) for vector in found.vectors]
    return found.vectors, [f"direction {i}, {part:.0%}{chunks[i]}" for i, part in enumerate(share)]


def _chunk(vector: Array) -> str:
    """Returns the part of z that a direction moves, in words; nothing if it moves all of z."""
    import numpy as np

    moved = np.flatnonzero(np.abs(vector) > 1e-6)
    return "" if len(moved) == len(vector) else f", z[{moved.min()}:{moved.max() + 1}]"


def interpolations(decoder: Decoder, key: PRNGKey, rows: int, steps: int) -> Array:
    """Returns images `[rows * steps, *shape]` along great circles between draws."""
    import jax
    import jax.numpy as jnp

    from genjax_models.evaluation.interpolation import spherical_interpolation

    ends = decoder.noise(key, 2 * rows).reshape(2, rows, 1, -1)
    z = spherical_interpolation(ends[0], ends[1], jnp.linspace(0, 1, steps))
    return jax.jit(decoder.generate)(z.reshape(rows * steps, -1))


def class_arithmetic(decoder: Decoder, classifier, key: PRNGKey, strength: float) -> tuple[Array, float]:
    """Moves one latent of each class a to all classes b, z + strength (mean_b - mean_a), and decodes it.

    Returns:
      Images `[classes * classes, *shape]`, a by row, and the share of moves after which the
      classifier predicts class b.

    Raises:
      InputError: the classifier assigns no image to some class.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from genjax_models.evaluation.interpolation import class_means

    log_probabilities_of = jax.jit(lambda z: classifier.log_probabilities(decoder.generate(z)))
    z = decoder.noise(key, _DRAWS)
    log_probabilities = jnp.concatenate([log_probabilities_of(part) for part in jnp.split(z, 10)])
    means = class_means(z, jnp.exp(log_probabilities))
    predicted, most_certain = np.argmax(log_probabilities, axis=1), []
    for c in range(classifier.classes):
        of_class = np.flatnonzero(predicted == c)
        if not len(of_class):
            raise InputError(f"none of {_DRAWS:,} draws is of class {c}: no latent of that class can be moved")
        most_certain.append(of_class[np.argsort(-log_probabilities[of_class, c], stable=True)][:_MOVED])
    images, correct = [], []
    for a, rows in enumerate(most_certain):
        moved = z[rows][:, None] + strength * (means - means[a])  # [latents, target class, latent]
        images.append(decoder.generate(moved[0]))
        assigned = np.argmax(
            jnp.stack([log_probabilities_of(moved[:, b]) for b in range(classifier.classes)], axis=1), axis=-1
        )
        correct.append((assigned == np.arange(classifier.classes))[:, np.arange(classifier.classes) != a].mean())
    return jnp.concatenate(images), float(np.mean(correct))


def _classifier(decoder: Decoder):
    """Returns the classifier that the package ships for the run's data; None for other data."""
    from genjax_models.data.features import load_classifier

    name = _CLASSIFIERS.get(decoder.config.data.name)
    return name and load_classifier(name, range=decoder.range)


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models latent-walk") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        print(*walk(parse(Walk, arguments, program, Walk.__doc__)), sep="\n")
    return 0
