"""Pictures for reports: plots as PNG files, with captions that describe their content."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genjax_models.evaluation.factor_figures import FactorFigures
from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD, LatentUsage
from genjax_models.figures import curve_plots, films, latent_plots, mixture_plots, plots
from genjax_models.figures.style import ORANGE
from genjax_models.types import Array, Shape

Range = tuple[float, float]


class Picture(NamedTuple):
    """A PNG file with a caption, and perhaps a film (GIF) or music (MIDI); `name` is the name of all files."""

    name: str
    title: str
    caption: str
    png: bytes
    gif: bytes | None = None
    midi: bytes | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """Returns the contents of the files by name."""
        kinds = {"png": self.png, "gif": self.gif, "mid": self.midi}
        return {f"{self.name}.{kind}": content for kind, content in kinds.items() if content is not None}


def is_broad(png: bytes) -> bool:
    """Returns whether a PNG file is a strip; its first chunk holds width and height."""
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    return width > 2 * height


def drawable(shape: Shape) -> bool:
    """Returns whether examples of this shape are images: grey, colours, or colours and alpha."""
    return len(shape) == 3 and shape[2] in plots.CHANNELS


def samples(images: Array, step: int, content: str, range: Range) -> Picture:
    """Returns samples `[n, ...]` after `step` steps; `content` describes them."""
    figure = plots.image_grid(images, range=range, heading=f"Samples at step {step:,}")
    return Picture("samples", "Samples", f"After {step:,} steps: {content}.", plots.png(figure))


def learning(rows: Sequence[tuple[int, Array]], content: str, range: Range) -> Picture:
    """Returns samples from the same noise at several steps; `rows` holds (step, images `[n, ...]`)."""
    columns = min(10, len(rows[0][1]))
    images = np.concatenate([images[:columns] for _, images in rows])
    grid = {"titles": [f"step {step:,}" for step, _ in rows], "heading": "Samples from the same noise, by step"}
    figure = plots.image_grid(images, columns=columns, range=range, **grid)
    caption = f"A row per step, from the same {columns} draws of noise: {content}."
    return Picture("learning", "Samples during training", caption, plots.png(figure))


def draws_by_component(images: Array, titles: Sequence[str], range: Range) -> Picture:
    """Returns draws `[components * n, ...]` of the components of a mixture, a row per component with its title."""
    grid = {"titles": titles, "heading": "Draws of each component"}
    figure = plots.image_grid(images, columns=len(images) // len(titles), range=range, **grid)
    caption = "A row of draws of x per component, with its weight."
    return Picture("draws_by_component", "Draws of each component", caption, plots.png(figure))


def curves(history: Sequence[Mapping[str, Any]], metric: str, unit: str) -> Picture:
    """Returns `metric` over steps, training and validation; for a game also the loss of each player."""
    words = metric.replace("_", " ")
    figure = curve_plots.curves(history, metric, label=f"{words} ({unit})" if unit else words)
    caption = "Training: means over the steps since the last point. Validation: mean and standard error over examples."
    if len(figure.axes) > 1:
        caption += " Below: the loss of each player."
    return Picture("curves", "Curves", caption, plots.png(figure))


def reconstructions(x: Array, reconstruction: Array, content: str, range: Range) -> Picture:
    """Returns inputs `[n, ...]` above outputs; `content` describes the outputs."""
    figure = plots.reconstructions(x, reconstruction, range=range)
    return Picture("reconstructions", "Reconstructions", f"Test images above {content}.", plots.png(figure))


def draws_of_one_latent(x: Array, draws: Array, range: Range) -> Picture:
    """Returns images `[n, ...]`, each left of a row of draws from p(x | z) `[n, k, ...]` for one z of q(z | x)."""
    rows = np.concatenate([np.asarray(x)[:, None], np.asarray(draws)], axis=1)
    above = ["x", *(f"draw {i}" for i, _ in enumerate(rows[0, 1:], start=1))]
    images = rows.reshape(-1, *rows.shape[2:])
    grid = {"above": above, "heading": "Images, and draws of x from one z a row"}
    figure = plots.image_grid(images, columns=rows.shape[1], range=range, **grid)
    figure.axes[0].axvline(rows.shape[3], color=ORANGE)  # data left of it, draws right
    caption = (
        "First column: test images. Right of each: draws from p(x | z), all for the same z, one draw of q(z | x). What"
        " a row has in common is what z keeps; what differs is what the decoder adds."
    )
    return Picture("draws_of_one_latent", "What z keeps and what the decoder adds", caption, plots.png(figure))


def reconstructions_and_noise(x: Array, reconstruction: Array, noise: Array, range: Range) -> Picture:
    """Returns inputs, g(f(x)) and g(noise), each `[n, ...]`, in three rows."""
    images = np.concatenate([np.asarray(x), np.asarray(reconstruction), np.asarray(noise)])
    grid = {"titles": ("input x", "g(f(x))", "g(noise)"), "heading": "Reconstructions and decoded noise"}
    figure = plots.image_grid(images, columns=len(x), range=range, **grid)
    caption = "Test images x, their reconstructions g(f(x)), and decoded noise g(z) for z ~ N(0, I)."
    return Picture("reconstructions", "Reconstructions and noise", caption, plots.png(figure))


def manifold(generate: Callable[[Array], Array], range: Range, content: str = "g(z) = E[x | z]") -> Picture:
    """Returns `generate`, `[n, 2]` -> images, over the plane of a two-dimensional z (Fig. 20.6).

    `content` describes the images.
    """
    figure = plots.manifold(generate(plots.manifold_grid(20)), range=range, heading=f"{content} on a grid of z")
    caption = (
        f"{content} on a grid of z at equal steps of prior probability (through the inverse Gaussian CDF), as in"
        " Fig. 20.6."
    )
    return Picture("manifold", "The manifold", caption, plots.png(figure, dpi=150))


def latent_space(codes: Array, labels: Array | None, activity: Array, caption: str) -> Picture:
    """Returns codes `[n, *event]` in the two dimensions of largest `activity` `[*event]`."""
    first, second = sorted(int(i) for i in np.argsort(-np.ravel(activity))[:2])
    plane = np.asarray(codes).reshape(len(codes), -1)[:, (first, second)]
    names = [", ".join(map(str, np.unravel_index(i, np.shape(activity)))) for i in (first, second)]
    figure = latent_plots.latent_space(plane, labels, names=names)
    return Picture("latent_space", "Latent space", caption, plots.png(figure))


def latent_space_by_factor(codes: Array, factors: Array, names: Sequence[str], activity: Array) -> Picture:
    """Returns codes `[n, latent]` in the two dimensions of largest `activity`, a panel per factor `[n, f]`."""
    first, second = sorted(int(i) for i in np.argsort(-np.asarray(activity))[:2])
    plane = np.asarray(codes)[:, (first, second)]
    figure = latent_plots.latent_space_by_factor(plane, factors, names, dimensions=(first, second))
    caption = "Posterior means of the test set in the two most active dimensions, coloured by each known factor."
    return Picture("factors", "Known factors in latent space", caption, plots.png(figure))


def kl_by_dimension(usage: LatentUsage) -> Picture:
    """Returns the KL by latent dimension, for a q that factorises."""
    figure = latent_plots.kl_by_dimension(usage.kl_by_dimension, usage.active)
    caption = (
        f"{int(usage.active.sum())} of {len(usage.active)} dimensions are active: the variance of their posterior mean"
        f" over test data is above {ACTIVITY_THRESHOLD}. Inactive dimensions are pale."
    )
    return Picture("kl_by_dimension", "KL by latent dimension", caption, plots.png(figure))


def readings(figures: FactorFigures) -> Picture:
    """Returns the table of R^2 of each known factor, read from each latent and from all together."""
    table, gap = figures.readings, figures.gap
    below = [
        ("all together", table.all_codes, table.all_codes_error),
        ("MIG", gap.by_factor, gap.by_factor_error),
    ]
    figure = latent_plots.readings(table.one_code, table.one_code_error, below, figures.names)
    caption = (
        "R^2 of a linear reader of each factor, from one latent and from all together, on the test split. MIG: how much"
        " more the best latent knows of the factor than the second best, as a share of its entropy. Errors are the"
        f" bootstrap's. Inactive latents are blank: {int((~gap.active).sum())} of {len(gap.active)}."
    )
    return Picture("readings", "Factors that the latents know", caption, plots.png(figure))


def latent_walk(images: Array, titles: Sequence[str], content: str, reach: float, range: Range) -> Picture:
    """Returns rows of images `[rows * steps, ...]`, a walk per row with its title; `content` describes the rows.

    In the film all latents move at once, a cell each.
    """
    grid = {"titles": titles, "heading": f"One latent moves from -{reach:g} to {reach:g} in each row"}
    steps = len(images) // len(titles)
    figure = plots.image_grid(images, columns=steps, range=range, **grid)
    unit = films.eight_bits(images, range) / np.float32(255)
    at = unit.reshape(len(titles), steps, *unit.shape[1:]).swapaxes(0, 1)
    places = [f"a latent per cell, at {place:+.1f}" for place in np.linspace(-reach, reach, steps)]
    film = films.film(list(zip(places, at, strict=True)), back=True)
    caption = f"{content}. From -{reach:g} on the left to {reach:g} on the right."
    return Picture("latent_walk", "Walks over the latents", caption, plots.png(figure), film)


def components(x: Array, name: str, moments: Sequence[mixture_plots.Components], content: str) -> Picture:
    """Returns data `[n, 2]` and the Gaussians of a mixture at several steps; `content` describes the Gaussians."""
    figure = mixture_plots.components(x, {name: moments})
    caption = (
        f"Points: test data. Ellipses: one standard deviation around the mean of a component; drawn are {content}."
        " Above each panel: the log-likelihood of the test split, mean and standard error."
    )
    return Picture("components", "Components", caption, plots.png(figure))
