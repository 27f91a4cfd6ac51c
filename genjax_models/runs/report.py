"""`report.html`: one self-contained page that says what was run, what came out and what to look at."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import jinja2

from genjax_models.runs.directory import flat
from genjax_models.runs.pictures import Picture


class Report(NamedTuple):
    """All that the page shows. `results` are rows of name, value and unit; `command` runs it again."""

    title: str
    summary: str
    command: str
    results: Sequence[tuple[str, str, str]]
    findings: Sequence[str]
    pictures: Sequence[Picture]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]


def render(report: Report) -> str:
    """The page as HTML; pictures are inside it, nothing is fetched."""
    source = (resources.files("genjax_models.runs") / "report.html.jinja").read_text()
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    pictures = [{**picture._asdict(), "data": base64.b64encode(picture.png).decode()} for picture in report.pictures]
    values = {**report._asdict(), "pictures": pictures}
    return page.render(**{**values, "config": flat(report.config), "environment": flat(report.environment)})
