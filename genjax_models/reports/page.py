"""`report.html`: one self-contained page with the results, findings, pictures, command and config of a run."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import jinja2

from genjax_models.figures.pictures import Picture, is_broad
from genjax_models.runs.directory import flat


class Result(NamedTuple):
    """A row of the table of results, as text.

    Attributes:
      name: the figure.
      value: with its standard error.
      unit: its unit.
      interval: 95% interval; "" if the error is unknown.
      better: which values are better.
      of_data: the same figure of two halves of the data.
    """

    name: str
    value: str
    unit: str = ""
    interval: str = ""
    better: str = ""
    of_data: str = ""


class Page(NamedTuple):
    """The content of the page.

    The first of the `results` has chosen the checkpoint; `data` are rows of name and text; `command` repeats the run.
    """

    title: str
    summary: str
    command: str
    speed: str
    results: Sequence[Result]
    findings: Sequence[str]
    pictures: Sequence[Picture]
    data: Sequence[tuple[str, str]]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]


def render_page(content: Page) -> str:
    """Returns the page as HTML, with its pictures inside; it loads nothing from elsewhere."""
    source = (resources.files("genjax_models.reports") / "page.html.jinja").read_text("utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    pictures = [as_html(picture) for picture in content.pictures]
    values = {**content._asdict(), "pictures": pictures}
    return page.render(**{**values, "config": flat(content.config), "environment": flat(content.environment)})


def as_html(picture: Picture) -> dict[str, Any]:
    """Returns what a template needs of a picture."""
    data = base64.b64encode(picture.png).decode()
    return {"title": picture.title, "caption": picture.caption, "broad": is_broad(picture.png), "data": data}
