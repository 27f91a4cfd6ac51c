"""`report.html`: one self-contained page with the results, findings, pictures, command and config of a run."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import jinja2

from genjax_models.figures.pictures import Picture
from genjax_models.runs.directory import flat


class Page(NamedTuple):
    """The content of the page.

    `results` are rows of name, value and unit, `data` rows of name and text; `command` repeats the run.
    """

    title: str
    summary: str
    command: str
    results: Sequence[tuple[str, str, str]]
    findings: Sequence[str]
    pictures: Sequence[Picture]
    data: Sequence[tuple[str, str]]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]


def render_page(content: Page) -> str:
    """Returns the page as HTML, with its pictures inside; it loads nothing from elsewhere."""
    source = (resources.files("genjax_models.reports") / "page.html.jinja").read_text("utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    pictures = [{**picture._asdict(), "data": base64.b64encode(picture.png).decode()} for picture in content.pictures]
    values = {**content._asdict(), "pictures": pictures}
    return page.render(**{**values, "config": flat(content.config), "environment": flat(content.environment)})
