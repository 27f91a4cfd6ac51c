"""The report is one self-contained page."""

import base64
import re
from html.parser import HTMLParser

import pytest

from genjax_models.figures.pictures import Picture
from genjax_models.reports.page import Page, render_page

PNG = bytes(range(256))
EVIL = "<script>alert('x')</script> & \"quoted\""
CONTENT = Page(
    data=[("data", "mnist10k: 8,000 training examples"), ("classes", "2, with training examples: <a> (3), b (4)")],
    title="A title",
    summary="A summary.",
    command="python -m experiments.vae --data 'my data.npz'",
    results=[("Test bound", "-98.76 ± 0.54", "nats"), ("Speed", "1,234", "steps per second")],
    findings=["2 of 8 latent dimensions are unused.", "The loss was still falling."],
    pictures=[Picture("samples", "Samples", "After 20 steps.", PNG), Picture("curves", "Curves", "Means.", b"\x89PNG")],
    config={"latent": 2, "hidden": (16, 8), "training": {"steps": 20, "deeper": {"still": None}}},
    environment={"versions": {"jax": "0.0.1"}, "devices": ["cpu: one", "cpu: two"]},
)


class ParsedPage(HTMLParser):
    """Tags with their attributes, and all text."""

    void = ("meta", "img")

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text, self.cells = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.void:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def test_the_page_fetches_nothing():
    html = render_page(CONTENT)
    assert not re.search(r"https?:|file:|url\(|@import|//", html)
    tags = ParsedPage(html).tags
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in tags}
    sources = [
        value for _, attributes in tags for name, value in attributes.items() if name in ("src", "href", "srcset")
    ]
    assert len(sources) == len(CONTENT.pictures)
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_the_page_holds_the_pictures_byte_for_byte_with_their_captions():
    page = ParsedPage(render_page(CONTENT))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [base64.b64decode(image["src"].split(",")[1]) for image in images] == [PNG, b"\x89PNG"]
    assert [image["alt"] for image in images] == ["Samples", "Curves"]
    assert {"After 20 steps.", "Means."} <= set(page.text)


def test_results_findings_and_the_command_are_shown():
    text = ParsedPage(render_page(CONTENT)).text
    for name, value, unit in CONTENT.results:
        assert {name, value, unit} <= set(text)
    assert {*CONTENT.findings, CONTENT.command, CONTENT.title, CONTENT.summary} <= set(text)


def test_a_page_without_findings_says_so():
    assert "The checks found no problem" in render_page(CONTENT._replace(findings=[]))
    assert "The checks found no problem" not in render_page(CONTENT)


def test_every_nested_field_has_a_row():
    cells = ParsedPage(render_page(CONTENT)).cells
    rows = dict(zip(cells[::2], cells[1::2], strict=True))
    assert rows == {
        "data": "mnist10k: 8,000 training examples",
        "classes": "2, with training examples: <a> (3), b (4)",
        "latent": "2",
        "hidden": "16, 8",
        "training.steps": "20",
        "training.deeper.still": "None",
        "versions.jax": "0.0.1",
        "devices": "cpu: one, cpu: two",
    }


@pytest.mark.parametrize(
    "content",
    [
        CONTENT._replace(config={"data": EVIL}),
        CONTENT._replace(config={EVIL: 1}),
        CONTENT._replace(config={"data": [EVIL]}),
        CONTENT._replace(environment={"versions": {"jax": EVIL}}),
        CONTENT._replace(title=EVIL),
        CONTENT._replace(summary=EVIL),
        CONTENT._replace(command=EVIL),
        CONTENT._replace(findings=[EVIL]),
        CONTENT._replace(results=[(EVIL, "1", "nats")]),
        CONTENT._replace(pictures=[Picture("name", EVIL, EVIL, PNG)]),
    ],
)
def test_text_that_looks_like_html_is_escaped(content):
    html = render_page(content)
    assert "<script" not in html
    page = ParsedPage(html)
    assert EVIL in "".join(page.text)
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in ParsedPage(render_page(CONTENT)).tags}
