"""The report is one self-contained page."""

import base64
import math
import re
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pytest

from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.samples import SampleFigure
from genjax_models.figures.pictures import Picture
from genjax_models.reports import final_evaluation
from genjax_models.reports.page import Page, Result, render_page
from genjax_models.reports.records import Record
from genjax_models.runs.protocol import Metric, System
from genjax_models.types import Batch

PNG = bytes(range(256))
EVIL = "<script>alert('x')</script> & \"quoted\""
CONTENT = Page(
    data=[("data", "mnist10k: 8,000 training examples"), ("classes", "2, with training examples: <a> (3), b (4)")],
    title="A title",
    summary="A summary.",
    command="python -m experiments.vae --data 'my data.npz'",
    speed="1,234 steps per second.",
    results=[
        Result("bound", "-98.76 ± 0.54", "nats", "-99.84 to -97.68", "higher"),
        Result("precision", "0.81 ± 0.02", better="near 1", of_data="0.97 ± 0.01"),
    ],
    findings=["2 of 8 latent dimensions are unused.", "The loss was still falling."],
    pictures=[Picture("samples", "Samples", "After 20 steps.", PNG), Picture("curves", "Curves", "Means.", b"\x89PNG")],
    config={"latent": 2, "hidden": (16, 8), "training": {"steps": 20, "deeper": {"still": None}}},
    environment={"versions": {"jax": "0.0.1"}, "devices": ["cpu: one", "cpu: two"]},
    snippet='run = gx.load_run("runs/vae")',
    unused={"hidden"},
    records=[Record("--latent 16", "bound -101.08 ± 0.99 nats")],
)


class ParsedPage(HTMLParser):
    """Tags with their attributes, and all text."""

    void = ("meta", "img", "input")

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
    for row in CONTENT.results:
        assert {part for part in row if part} <= {part.strip() for part in text}
    assert CONTENT.speed in text
    assert {*CONTENT.findings, CONTENT.command, CONTENT.title, CONTENT.summary} <= set(text)


def test_a_page_without_findings_says_so():
    assert "The checks found no problem" in render_page(CONTENT._replace(findings=[]))
    assert "The checks found no problem" not in render_page(CONTENT)


@pytest.mark.parametrize(("evaluations", "words"), [(1, "there is one"), (2, "there are 2"), (4, "")])
def test_a_page_says_if_evaluations_are_too_few_for_a_check(evaluations, words):
    html = render_page(CONTENT._replace(evaluations=evaluations))
    assert ("The course of training is not judged" in html) == bool(words)
    assert words in html


def test_every_nested_field_has_a_row():
    cells = ParsedPage(render_page(CONTENT)).cells
    cells = cells[4 * len(CONTENT.results) + len(CONTENT.records) :]  # after the tables of results and records
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
        CONTENT._replace(results=[Result(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)]),
        CONTENT._replace(pictures=[Picture("name", EVIL, EVIL, PNG)]),
        CONTENT._replace(snippet=EVIL),
        CONTENT._replace(records=[Record(EVIL, EVIL)]),
    ],
)
def test_text_that_looks_like_html_is_escaped(content):
    html = render_page(content)
    assert "<script" not in html
    page = ParsedPage(html)
    assert EVIL in "".join(page.text)
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in ParsedPage(render_page(CONTENT)).tags}


def test_the_records_and_the_snippet_are_shown():
    page = ParsedPage(render_page(CONTENT))
    assert {*CONTENT.records[0][:2], CONTENT.snippet, "What is good?"} <= set(page.text)
    assert "What is good?" not in render_page(CONTENT._replace(records=[]))


def test_config_that_does_nothing_is_folded():
    html = render_page(CONTENT)
    shown, folded = html[html.index("<h2>Config") :].split("<details>", 1)
    assert "training.steps" in shown
    assert ("hidden" in shown, "training.deeper.still" in shown) == (False, False)
    assert ("<td>hidden</td>" in folded, "training.deeper.still" in folded) == (True, True)
    assert "Settings that do nothing" not in render_page(CONTENT._replace(config={"latent": 2}, unused=()))


def test_a_picture_enlarges_without_a_script():
    """A click on a label checks the box in it, and the style enlarges the picture beside a checked box."""
    html = render_page(CONTENT)
    labels = re.findall(r'<label class="picture"><input type="checkbox" aria-label="[^"]+"><img [^>]+></label>', html)
    assert len(labels) == len(CONTENT.pictures)
    assert ".picture input:checked + img" in html
    assert "prefers-color-scheme: dark" in html


def test_a_film_is_on_the_page_and_names_its_file():
    film = CONTENT.pictures[0]._replace(gif=b"GIF89a of noise")
    html = render_page(CONTENT._replace(pictures=[film]))
    (data,) = re.findall(r'src="data:image/gif;base64,([^"]+)"', html)
    assert base64.b64decode(data) == film.gif
    assert "figures/samples.gif" in html
    assert "gif" not in render_page(CONTENT)


def test_bits_per_value_of_8_bit_numbers():
    system = System(*[None] * 6, likelihood="discretised_logistic")
    uniform = -12 * math.log(256)  # the log-likelihood of 2 x 2 x 3 numbers, each with 256 equal chances
    test, row = Batch(np.zeros((9, 2, 2, 3))), {"bound": uniform, "bound_se": math.log(2)}
    bits_row = partial(final_evaluation._bits_row, system, Metric("bound", "nats", True))
    assert bits_row(row, test) == pytest.approx({"bits_per_value": 8, "bits_per_value_se": 1 / 12})
    assert bits_row({"bound": uniform}, test) == pytest.approx({"bits_per_value": 8})
    assert bits_row(row, test._replace(length=np.ones(9))) == {}  # examples of several sizes
    for other in (system._replace(likelihood="gaussian"), system._replace(likelihood="bernoulli")):
        assert final_evaluation._bits_row(other, Metric("bound", "nats", True), row, test) == {}
    assert final_evaluation._bits_row(system, Metric("criterion", "nats", True), row, test) == {}
    (nats, bits) = final_evaluation._results(Metric("bound", "nats", True), row | bits_row(row, test), {}, 9)
    assert bits == Result("bits per value", "8.00 ± 0.08", "bits", "7.83 to 8.17", "lower")
    html = render_page(CONTENT._replace(results=[nats, bits]))
    assert "Bits per value: minus the nats, divided by" in html
    assert "Nats are per example" in html
    assert "Bits per value" not in render_page(CONTENT)


def test_the_column_of_halves_is_there_only_if_a_figure_has_it():
    assert "Halves of the data" in render_page(CONTENT)
    assert "Halves of the data" not in render_page(CONTENT._replace(results=CONTENT.results[:1]))


def test_an_interval_has_the_decimals_of_its_error():
    small = final_evaluation.result_of(Metric("high_quality"), "high_quality", Estimate(0.0351, 0.00184, 2_000))
    assert (small.value, small.interval) == ("0.0351 ± 0.0018", "0.0314 to 0.0388")


def test_each_figure_is_a_row_once_with_its_direction_and_that_of_the_data():
    test = {"step": 3, "split": "test", "kernel_distance": 0.5, "kernel_distance_se": 0.1, "modes_missed": 2}
    test |= {"kernel_distance_on_F": 0.5, "kernel_distance_on_F_se": 0.1, "kernel_distance_on_pixels": 0.7}
    of_samples = {
        "kernel_distance_on_F": SampleFigure(Estimate(0.6, 0.1, 9, 9), Estimate(0.01, 0.02, 4, 4)),
        "precision_on_F": SampleFigure(Estimate(0.8, 0.1, 9, 9)),
        "frechet_distance_on_mnist_classifier": SampleFigure(Estimate(14476.59, 132.83, 9, 9)),
    }
    rows = final_evaluation._results(Metric("kernel_distance"), test, of_samples, 9)
    assert rows == [
        Result("kernel distance", "0.50 ± 0.10", "", "0.30 to 0.70", "lower, near 0", "0.01 ± 0.02"),
        Result("modes missed", "2", "", "", "lower"),
        Result("kernel distance on pixels", "0.70", "", "", "lower, near 0"),
        Result("precision on F", "0.80 ± 0.10", "", "0.60 to 1.00", "higher"),
        Result("Fréchet distance on MNIST classifier", "14476.59 ± 132.83", "", "14210.93 to 14742.25", "lower"),
    ]
    names = [row.name for row in final_evaluation._results(Metric("modes_missed"), test, of_samples, 9)]
    assert names[:4] == ["modes missed", "kernel distance on pixels", "kernel distance on F", "precision on F"]
