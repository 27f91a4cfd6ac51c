"""The page and the table of `genjax-models judge`: figures of one set of images against another."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from genjax_models.evaluation.samples import SampleFigure
from genjax_models.figures import plots
from genjax_models.figures.pictures import Picture
from genjax_models.reports.final_evaluation import result_of
from genjax_models.reports.page import Result
from genjax_models.reports.templates import as_html, rendered
from genjax_models.runs.protocol import Metric
from genjax_models.types import Array


def results_of(figures: Mapping[str, SampleFigure]) -> list[Result]:
    """Returns a row of text for each figure."""
    return [result_of(Metric(""), name, *figure) for name, figure in figures.items()]


def page_of(names: Sequence[str], images: Sequence[Array], sizes: Sequence[int], results: Sequence[Result]) -> str:
    """Returns the page as HTML.

    Args:
      names: of the set that is judged, and of the reference.
      images: some of each in [0, 1], `[n, height, width, channels]`.
      sizes: numbers of examples that were compared.
      results: rows of the table.
    """
    shown = [
        Picture("images", name, f"Some of {size:,} images.", plots.png(plots.image_grid(part, heading=Path(name).name)))
        for name, part, size in zip(names, images, sizes, strict=True)
    ]
    title = f"{names[0]}, judged by {names[1]}"
    summary = f"{sizes[0]:,} images against {sizes[1]:,}"
    pictures = [as_html(picture) for picture in shown]
    return rendered("judgement.html.jinja", title=title, summary=summary, results=results, pictures=pictures)
