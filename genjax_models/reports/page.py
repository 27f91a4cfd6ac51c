"""`report.html`: one self-contained page with the results, findings, pictures, command and config of a run."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from genjax_models.evaluation.findings import EVALUATIONS
from genjax_models.figures.pictures import Picture
from genjax_models.reports.records import Record
from genjax_models.reports.templates import as_html, rendered
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

    The first of the `results` has chosen the checkpoint; `data` are rows of name and text; `command` repeats the run,
    and `snippet` loads it. `unused` are dotted names of config fields that do nothing in this run; `evaluations` is the
    number of evaluations of the validation split.
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
    snippet: str = ""
    unused: Collection[str] = ()
    records: Sequence[Record] = ()
    evaluations: int = EVALUATIONS


def render_page(content: Page) -> str:
    """Returns the page as HTML, with its pictures inside; it loads nothing from elsewhere.

    Config that is named in `unused`, or is None or empty, is folded.
    """
    values = {
        **content._asdict(),
        "needed": EVALUATIONS,
        "pictures": [as_html(picture) for picture in content.pictures],
    }
    folded = {"unused": [], "config": []}
    for name, text in flat(content.config):
        folded["unused" if name in content.unused or text in ("", "None") else "config"].append((name, text))
    return rendered("page.html.jinja", **{**values, **folded, "environment": flat(content.environment)})
