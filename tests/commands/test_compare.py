"""The page shows differences of runs, results with their errors, and warnings."""

import json
import math
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from experiments import autoencoder, info_vae, vae
from genjax_models.commands import compare
from genjax_models.figures import curve_plots, plots
from genjax_models.reports import comparison
from genjax_models.reports.groups import grouped
from genjax_models.reports.stored_run import read_run
from genjax_models.runs import directory
from genjax_models.runs.fields import replaced
from genjax_models.runs.loading import experiment_of
from genjax_models.runs.metrics_file import MetricsFile

STEPS = (0, 10, 20)


def png(height=4, width=4):
    return plots.png(plots.image_grid(np.zeros((1, height, width, 1))))


PNG, STRIP = png(), png(2, 20)


def config_of(module, fields):
    """Returns the config with values by dotted names, as long as `STEPS`."""
    return replaced(module.Config(), {**fields, "training.steps": STEPS[-1], "training.evaluate_every": 10})


def write(path, module=vae, bounds=(-9.0, -5.0, -3.0), test=(-3.5, 0.25), drawn=("samples", "curves"), **fields):
    """Writes a run: validation `bounds` at `STEPS`, and `test` (mean, standard error); None leaves it unfinished."""
    (path / "figures").mkdir(parents=True)
    experiment = module.EXPERIMENT
    name, metric = experiment.name, experiment.metric.name
    directory.write_json(path / "config.json", directory.config_as_json(experiment.module, config_of(module, fields)))
    environment = {"command": f"{experiment.program} --run-dir {path.name}", "versions": {"jax": "0.1"}}
    directory.write_json(path / "environment.json", environment)
    metrics = MetricsFile(path / "metrics.jsonl")
    for step, bound in zip(STEPS, bounds, strict=False):
        metrics.append({"step": step, "split": "train", f"{name}/loss": -bound})
        row = {"step": step, "split": "validation", metric: bound, f"{metric}_se": 0.5}
        metrics.append(row)
    if test:
        result = {"step": STEPS[-1], "split": "test", metric: test[0], f"{metric}_se": test[1]}
        directory.write_json(path / "result.json", {"test": result, "findings": [], "seconds": {}})
    for stem in drawn:
        (path / "figures" / f"{stem}.png").write_bytes(STRIP if stem == "reconstructions" else PNG)
    return path


@pytest.fixture
def sweep(tmp_path):
    """Three seeds of one config, two runs of another config with one seed, and a run that has not finished."""
    tests = {1: -3.0, 2: -4.0, 3: -8.0}
    for seed, test in tests.items():
        bounds = (-9.0 - seed, -5.0 - seed, test)
        write(tmp_path / f"small-seed{seed}", seed=seed, test=(test, 0.25), bounds=bounds)
    write(tmp_path / "large", seed=1, latent=16, test=(-1.0, 0.125))
    write(tmp_path / "large-again", seed=1, latent=16, test=(-1.5, 0.125))
    write(tmp_path / "half", seed=4, test=None, bounds=(-9.0, -6.0), drawn=("samples_00000000", "samples_00000010"))
    return tmp_path


SWEEP = ("small-seed1", "small-seed2", "small-seed3", "large", "large-again", "half")


class Page(HTMLParser):
    """The parts of a page by heading: text, rows of cells, alternative texts of images, and links."""

    def __init__(self, html):
        super().__init__()
        self.html, self.at, self.tag = html, "", ""
        self.text, self.rows, self.images, self.fetched = {}, {}, {}, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tag = tag
        self.fetched += [attributes[name] for name in ("src", "href", "srcset", "data") if name in attributes]
        if tag == "tr":
            self.rows.setdefault(self.at, []).append([])
        elif tag in ("td", "th"):
            self.rows[self.at][-1].append("")
        elif tag == "img":
            self.images.setdefault(self.at, []).append(attributes["alt"])

    def handle_endtag(self, tag):
        self.tag = ""

    def handle_data(self, data):
        if self.tag in ("h2", "summary", "h3"):
            self.at = data
        elif self.tag in ("td", "th", "span"):
            self.rows[self.at][-1][-1] += data
        elif data.strip():
            self.text[self.at] = self.text.get(self.at, "") + data


def page_of(folder, *names):
    out = folder / "page.html"
    assert compare.main([*(str(folder / name) for name in names), "--to", str(out), "--overwrite"]) == 0
    return Page(out.read_text())


def read(folder, *names):
    return [read_run(folder / name, experiment_of(folder / name), name) for name in names]


def test_nothing_is_fetched(sweep):
    page = page_of(sweep, *SWEEP)
    assert page.fetched
    assert all(place.startswith("data:image/png;base64,") for place in page.fetched)
    assert not re.search(r"url\(|@import|https?:", page.html)


def test_every_figure_has_its_standard_error_and_a_mean_over_seeds_its_interval(sweep):
    _, *rows = page_of(sweep, *SWEEP).rows["Results"]
    assert rows == [
        # The sd of -3, -4, -8 is sqrt(7); t of 2 degrees of freedom is 4.3027.
        ["small (3 seeds)", "3 seeds", "", "-5.00 ± 1.53-11.57 to 1.57"],
        ["small-seed1", "1", "20", "-3.00 ± 0.25"],
        ["small-seed2", "2", "20", "-4.00 ± 0.25"],
        ["small-seed3", "3", "20", "-8.00 ± 0.25"],
        ["large", "1", "20", "-1.00 ± 0.12"],
        ["large-again", "1", "20", "-1.50 ± 0.12"],
        ["half", "4", "not finished", "\N{EN DASH}"],
    ]


def test_the_page_warns_of_what_would_mislead(sweep):
    warnings = page_of(sweep, *SWEEP).text["Notes"]
    assert "half has not finished: it reached step 10 of 20. It has no result" in warnings
    assert "large-again has the config and the seed of large, and other results" in warnings
    assert "small" not in warnings
    assert "Notes" not in page_of(sweep, "small-seed1", "small-seed2").html


@pytest.mark.parametrize(
    ("module", "fields", "note"),
    [
        (vae, {"latent": 3}, None),
        (vae, {"data.name": "fashion_mnist"}, "Runs with a bound differ in data:"),
        (vae, {"likelihood.family": "gaussian", "likelihood.binarise": "none"}, "differ in binarise and likelihood:"),
        (autoencoder, {"data.name": "fashion_mnist"}, None),
    ],
)
def test_figures_of_different_data_are_not_passed_off_as_comparable(module, fields, note, tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "other", module, **fields)
    html = page_of(tmp_path, "one", "other").html
    assert (note in html) if note else ("Notes" not in html)


def test_only_fields_that_differ_are_shown_a_column_for_each_run(sweep):
    rows = page_of(sweep, *SWEEP).rows["Differences of config"]
    assert rows == [["", *SWEEP], ["seed", "1", "2", "3", "1", "1", "4"], ["latent", "2", "2", "2", "16", "16", "2"]]
    assert "There are none." in page_of(sweep, "large", "large-again").text["Differences of config"]


def test_nested_fields_and_other_versions_are_differences_too(tmp_path):
    write(tmp_path / "one", **{"optimizer.clip": 1.0})
    write(tmp_path / "other", **{"optimizer.clip": 2.0})
    directory.write_json(tmp_path / "other" / "environment.json", {"command": "x", "versions": {"jax": "0.2"}})
    rows = page_of(tmp_path, "one", "other").rows
    assert rows["Differences of config"][1:] == [["optimizer.clip", "1.0", "2.0"]]
    assert rows["Differences of environment"][1:] == [["versions.jax", "0.1", "0.2"]]


def test_runs_group_when_nothing_but_the_seed_differs(sweep):
    groups = grouped(read(sweep, *SWEEP))
    assert [(label, [run.name for run in runs]) for label, runs in groups] == [
        ("small (3 seeds)", ["small-seed1", "small-seed2", "small-seed3"]),
        ("large", ["large"]),
        ("large-again", ["large-again"]),
        ("half", ["half"]),
    ]


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (("vae-seed1", "vae-seed2"), "vae (2 seeds)"),
        (("vae_s10", "vae_s11"), "vae (2 seeds)"),
        (("vae-20261121-101500", "vae-20261121-101600"), "vae-20261121 (2 seeds)"),
        (("first", "second"), "first (2 seeds)"),
        (("1", "2"), "1 (2 seeds)"),
    ],
)
def test_a_group_has_the_name_that_its_runs_share(names, label, tmp_path):
    for seed, name in enumerate(names):
        write(tmp_path / name, seed=seed)
    assert [group.label for group in grouped(read(tmp_path, *names))] == [label]


def test_groups_that_would_have_one_name_list_their_runs(tmp_path):
    for i in range(4):
        write(tmp_path / f"vae-{i}", seed=i, latent=2 + i // 2)
    labels = [group.label for group in grouped(read(tmp_path, *(f"vae-{i}" for i in range(4))))]
    assert labels == ["vae (2 seeds): vae-0, vae-1", "vae (2 seeds): vae-2, vae-3"]


def write_folder(path, members, **fields):
    """Writes a folder as --seeds and --sweep do: name of a member -> (fields of its own, result)."""
    path.mkdir()
    for name, (own, test) in members.items():
        write(path / name, test=(test, 0.25), **own, **fields)
    shared = directory.config_as_json("experiments.vae", config_of(vae, fields))
    directory.write_json(path / "members.json", shared | {"members": {name: own for name, (own, _) in members.items()}})
    return path


def seeds(*results, first=0):
    return {f"seed_{i}": ({"seed": i}, result) for i, result in enumerate(results, start=first)}


def test_folders_of_seeds_are_groups_and_are_compared_over_equal_seeds(tmp_path):
    write_folder(tmp_path / "small", seeds(-3.0, -4.0, -8.0))
    write_folder(tmp_path / "large", seeds(-3.0, -6.0, -9.5, first=1), latent=16)
    write(tmp_path / "alone", latent=3, seed=1)
    page = page_of(tmp_path, "small", "large", "alone")
    assert "<title>Comparison of small (3 seeds), large (3 seeds) and alone by bound</title>" in page.html
    _, *rows = page.rows["Results"]
    assert [row[0] for row in rows] == [
        *("small (3 seeds)", "small/seed_0", "small/seed_1", "small/seed_2"),
        *("large (3 seeds)", "large/seed_1", "large/seed_2", "large/seed_3", "alone"),
    ]
    head, row = page.rows["Differences over equal seeds"]
    assert head == ["groups", "pairs", "boundnats"]
    # Seed 1: -3 + 4 = 1; seed 2: -6 + 8 = 2. The mean is 1.5, its error 0.5, and t of one degree of freedom is 12.706.
    assert row == ["large (3 seeds) minus small (3 seeds)", "2 equal seeds", "1.50 ± 0.50-4.85 to 7.85"]
    assert "± is one standard error: of a run over its test examples, of a group over its runs" in page.html
    assert "standard deviation" not in page.html


def test_a_sweep_has_a_group_for_each_combination_of_values(tmp_path):
    members = {
        f"kl_weight_{weight}-seed_{seed}": ({"kl_weight": weight, "seed": seed}, -weight * (seed + 1))
        for weight in (0.5, 4.0)
        for seed in (10, 11)
    }
    write_folder(tmp_path / "sweep", members)
    page = page_of(tmp_path, "sweep")
    one, other = "sweep/kl_weight_0.5 (2 seeds)", "sweep/kl_weight_4.0 (2 seeds)"
    assert f"<title>Comparison of {one} and {other} by bound</title>" in page.html
    assert [row[0] for row in page.rows["Results"] if row[1] == "2 seeds"] == [one, other]
    assert page.rows["Differences over equal seeds"][1][:2] == [f"{other} minus {one}", "2 equal seeds"]


def test_folders_of_one_config_are_two_groups_with_one_note(tmp_path):
    """Such as runs of two versions of the code."""
    write_folder(tmp_path / "before", seeds(-3.0, -4.0))
    write_folder(tmp_path / "after", seeds(-3.0, -5.0))
    page = page_of(tmp_path, "before", "after")
    note = "after has 2 runs with the config and the seed of a run in before, and other results."
    assert page.text["Notes"].strip() == note
    assert page.rows["Differences over equal seeds"][1] == [
        *("after (2 seeds) minus before (2 seeds)", "2 equal seeds", "-0.50 ± 0.50-6.85 to 5.85"),
    ]


@pytest.mark.parametrize(
    ("fields", "first", "cells"),
    [
        ({"latent": 3}, 2, ["0 equal seeds", "\N{EN DASH}"]),
        ({"latent": 3}, 1, ["1 equal seed", "\N{EN DASH}"]),
        ({"data.name": "fashion_mnist"}, 0, ["not comparable", "\N{EN DASH}"]),
    ],
)
def test_no_difference_is_made_up(fields, first, cells, tmp_path):
    write_folder(tmp_path / "one", seeds(-3.0, -4.0))
    write_folder(tmp_path / "two", seeds(-3.0, -5.0, first=first), **fields)
    assert page_of(tmp_path, "one", "two").rows["Differences over equal seeds"][1][1:] == cells


def test_the_title_names_what_is_compared(sweep, tmp_path):
    title = lambda *names: comparison._title(grouped(read(sweep, *names)))
    assert title("large") == "large: bound"
    assert title("large", "half") == "Comparison of large and half by bound"
    for i in range(4):
        write(sweep / f"more{i}", latent=20 + i)
    names = ("large", "more0", "more1", "more2", "more3")
    assert title(*names) == "Comparison of large, more0, more1 and 2 more by bound"


def test_runs_that_started_from_another_run_are_no_further_seeds(tmp_path):
    for seed in range(3):
        path = write(tmp_path / f"run{seed}", seed=seed)
    content = json.loads((path / "config.json").read_text()) | {"start_from": {"run": "/runs/a", "step": 1000}}
    directory.write_json(path / "config.json", content)
    page = page_of(tmp_path, "run0", "run1", "run2")
    assert [row[0] for row in page.rows["Results"][1:]] == ["run (2 seeds)", "run0", "run1", "run2"]
    none = "\N{EN DASH}"
    assert ["start_from", none, none, "/runs/a, step 1,000"] in page.rows["Differences of config"]


def test_of_many_runs_the_first_of_each_group_has_pictures(tmp_path):
    write_folder(tmp_path / "one", seeds(*[-3.0] * 12))
    write(tmp_path / "two", latent=3)
    page = page_of(tmp_path, "one", "two")
    assert page.images["Samples"] == ["Samples of one/seed_0", "Samples of two"]
    assert "The first run of each group." in page.text["Pictures"]


def test_a_group_in_words_has_its_interval(sweep):
    lines = comparison.results_in_words(read(sweep, "small-seed1", "small-seed2", "small-seed3", "large"))
    assert lines == [
        "small (3 seeds): held-out bound -5.00 +- 1.53 nats (mean +- standard error over seeds, 95% from -11.57 to"
        " 1.57)",
        "large: held-out bound -1.00 +- 0.12 nats",
    ]


def curves_drawn(monkeypatch, folder, *names):
    """The axes of every figure of curves on the page."""
    made, draw = [], curve_plots.curves_of_runs
    monkeypatch.setattr(curve_plots, "curves_of_runs", lambda *a, **k: made.append(draw(*a, **k)) or made[-1])
    page = page_of(folder, *names)
    return page, [figure.axes[0] for figure in made]


def test_curves_show_the_mean_the_range_over_seeds_and_what_is_not_finished(sweep, monkeypatch):
    page, (axes,) = curves_drawn(monkeypatch, sweep, "small-seed1", "small-seed2", "small-seed3", "half")
    mean, half = axes.get_lines()
    np.testing.assert_allclose(mean.get_xydata(), [(0, -11), (10, -7), (20, -5)])
    np.testing.assert_allclose(half.get_xydata(), [(0, -9), (10, -6)])
    assert (mean.get_linestyle(), half.get_linestyle()) == ("-", "--")
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert {(0, -12), (0, -10), (10, -8), (10, -6), (20, -8), (20, -3)} == corners
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["small (3 seeds)", "half"]
    assert "from the lowest to the highest" in page.text["Held-out bound"]
    assert "Dashed: not finished" in page.text["Held-out bound"]


def test_a_short_run_and_a_long_run_are_within_one_picture():
    short = curve_plots.Curve("short", np.array([0, 10, 20]), np.array([[-500.0, -9.0, -8.0]]))
    long = curve_plots.Curve("long", np.array([0, 1000, 2000]), np.array([[-500.0, -3.0, -2.0]]))
    low, high = curve_plots.curves_of_runs([short, long], label="bound").axes[0].get_ylim()
    assert -15 < low < -9
    assert -2 < high < 0


def test_experiments_with_different_metrics_have_a_figure_and_a_column_each(tmp_path, monkeypatch):
    write(tmp_path / "one")
    write(tmp_path / "other", autoencoder, test=(0.0125, 0.0004), bounds=(3.0, 2.0, 0.0125))
    page, axes = curves_drawn(monkeypatch, tmp_path, "one", "other")
    assert [one.get_ylabel() for one in axes] == ["bound (nats)", "squared error (squared pixels)"]
    assert "higher is better" in page.text["Held-out bound"]
    assert "lower is better" in page.text["Held-out squared error"]
    head, one, other = page.rows["Results"]
    assert head[3:] == ["boundnats", "squared errorsquared pixels"]
    assert one[3:] == ["-3.50 ± 0.25", "\N{EN DASH}"]
    assert other[3:] == ["\N{EN DASH}", "0.0125 ± 0.0004"]


def test_experiments_with_a_metric_of_one_name_share_its_figure(tmp_path, monkeypatch):
    write(tmp_path / "one")
    write(tmp_path / "other", seed=5, latent=3)
    runs = read(tmp_path, "one", "other")
    runs[1] = runs[1]._replace(experiment=info_vae.EXPERIMENT)
    assert comparison.render_comparison(runs).count("Held-out bound</h3>") == 1


def test_pictures_stand_side_by_side(tmp_path):
    write(tmp_path / "one", drawn=("samples", "reconstructions", "manifold", "latent_space", "curves"))
    write(tmp_path / "two", drawn=("samples", "latent_space", "curves"), seed=1)
    write(tmp_path / "three", drawn=("samples_00000000", "samples_00000010"), test=None, seed=2)
    page = page_of(tmp_path, "one", "two", "three")
    assert page.images["Samples"] == ["Samples of one", "Samples of two", "Samples of three"]
    assert "three, at step 10" in page.text["Samples"]
    assert page.images["Reconstructions"] == ["Reconstructions of one"]
    assert page.text["Reconstructions"].count("absent") == 2
    assert page.images["Latent space"] == ["Latent space of one", "Latent space of two"]
    assert "Manifold" not in page.html  # that not all have
    assert "Curves of" not in page.html  # that are drawn anew
    assert page.html.count('class="pictures side broad"') == 1


@pytest.mark.parametrize(
    "left", [{}, {"metrics.jsonl": '{"step": 0, "split": "validation", "bound": -9.5}\n{"step": 1'}]
)
def test_a_run_that_has_just_begun_or_is_being_written_is_shown(left, tmp_path):
    write(tmp_path / "done")
    begun = write(tmp_path / "begun", seed=1, bounds=(), test=None, drawn=())
    for name, text in left.items():
        (begun / name).write_text(text)
    page = page_of(tmp_path, "done", "begun")
    assert ("no metrics yet" in page.html) is not bool(left)
    assert ("reached step 0 of 20" in page.html) is bool(left)
    assert page.rows["Results"][-1] == ["begun", "1", "not finished", "\N{EN DASH}"]


def test_a_result_from_before_a_run_was_resumed_is_not_taken_for_its_own(tmp_path):
    resumed = write(tmp_path / "resumed", drawn=("samples", "samples_00000010", "samples_00000030"))
    config = json.loads((resumed / "config.json").read_text())
    config["config"]["training"]["steps"] = 40
    directory.write_json(resumed / "config.json", config)
    page = page_of(tmp_path, "resumed")
    assert "resumed has not finished: it reached step 20 of 40." in page.text["Notes"]
    assert page.rows["Results"][1] == ["resumed", "0", "not finished", "\N{EN DASH}"]
    assert "resumed, at step 30" in page.text["Samples"]


def test_a_value_that_is_not_finite_does_not_hide_the_others(tmp_path, monkeypatch):
    write(tmp_path / "one", bounds=(-9.0, math.nan, -3.0), test=(-3.0, math.nan))
    page, (axes,) = curves_drawn(monkeypatch, tmp_path, "one")
    assert page.rows["Results"][1] == ["one", "0", "20", "-3.00"]
    assert all(np.isfinite(axes.get_ylim()))


def test_names_are_escaped_and_runs_of_one_name_are_told_apart_by_their_paths(tmp_path):
    write(tmp_path / "a" / "run", seed=1)
    write(tmp_path / "b" / "run", seed=2)
    directory.write_json(tmp_path / "b" / "run" / "environment.json", {"command": "<script>alert()</script>"})
    page = page_of(tmp_path, "a/run", "b/run")
    assert page.rows["Differences of config"][0] == ["", str(tmp_path / "a" / "run"), str(tmp_path / "b" / "run")]
    assert "<script>" not in page.html
    assert "&lt;script&gt;" in page.html


@pytest.mark.slow
def test_a_real_run_has_its_result_on_the_page(trained, tmp_path):
    for name in ("real", "twin"):
        shutil.copytree(trained, tmp_path / name)
    page = page_of(tmp_path, "real", "twin")
    test = json.loads((tmp_path / "real" / "result.json").read_text())["test"]
    assert page.rows["Results"][1][3] == f"{test['bound']:.2f} ± {test['bound_se']:.2f}"
    assert page.rows["Results"][0] == [
        *("run", "seed", "step", "boundnats", "KLnats", "reconstructionnats", "active unitslatent dimensions"),
    ]
    assert page.rows["Results"][1][6] == str(test["active_units"])
    assert "twin has the config and the seed of real, and the same results" in page.html
    for title in ("Samples", "Reconstructions", "KL by dimension", "Latent space", "Learning"):
        assert page.images[title] == [f"{title} of real", f"{title} of twin"]
    assert f"--run-dir {trained}" in page.html


DAMAGED = [
    ([], {}, "compare needs at least one run, got none"),
    (["seeds"], {}, "seeds/seed_0: holds no run"),
    (["run", "seeds", "seeds/seed_1"], {}, "seeds/seed_1 and seeds/seed_1: is given more than once"),
    (["nowhere"], {}, "nowhere: holds no run"),
    (["run", "elsewhere"], {}, "elsewhere: holds no run"),
    (["run", "./run"], {}, "run and run: is given more than once"),
    (["run", "--to", "there.html"], {}, "exists already; name another, or replace it with --overwrite"),
    (["run", "--to", "run", "--overwrite"], {}, "is a directory"),
    (["run", "--to", "link.html", "--overwrite"], {}, "is a symbolic link"),
    (["run", "--to", "there.html/page.html"], {}, "cannot be written"),
    (["run", "--tto", "page.html"], {}, "--tto"),
    (["run"], {"config.json": "{"}, "config.json: cannot be read"),
    (
        ["run"],
        {"config.json": '{"format": 2, "experiment": "gone", "config": {}}'},
        "experiment gone cannot be imported",
    ),
    (
        ["run"],
        {"config.json": '{"format": 2, "experiment": "../x", "config": {}}'},
        "must be the dotted name of a module",
    ),
    (["run"], {"config.json": '{"format": 2, "experiment": "json", "config": {}}'}, "json holds no EXPERIMENT"),
    (["run"], {"config.json": '{"experiment": "vae", "config": {}}'}, "was made by the old layout"),
    (["run"], {"result.json": "{"}, "result.json: cannot be read"),
    (["run"], {"result.json": "[]"}, "result.json: is damaged"),
    (["run"], {"result.json": '{"test": 3}'}, "result.json: is damaged"),
    (["run"], {"result.json": '{"test": {"step": 1, "bound": "-9"}}'}, "in test bound must be a number, got '-9'"),
    (["run"], {"metrics.jsonl": '{"step": 1, "split": "train", "loss": []}\n'}, "(TypeError: loss must be a number"),
    (["run"], {"metrics.jsonl": '{"step": 1}\n'}, "metrics.jsonl: line 1 is damaged"),
    (["run"], {"metrics.jsonl": '{"step": 1, "split": "train"}\n{"st\n'}, "metrics.jsonl: line 2 is damaged"),
]


@pytest.mark.parametrize(("arguments", "damage", "words"), DAMAGED, ids=lambda value: str(value)[:50])
def test_bad_input_is_one_line(arguments, damage, words, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run")
    (tmp_path / "there.html").write_text("<!doctype html>")
    (tmp_path / "link.html").symlink_to("there.html")
    (tmp_path / "seeds").mkdir()
    members = {"format": 2, "experiment": "experiments.vae", "config": {}, "members": {"seed_0": {}, "seed_1": {}}}
    (tmp_path / "seeds" / "members.json").write_text(json.dumps(members))
    for name, text in damage.items():
        (tmp_path / "run" / name).write_text(text)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert words in refused(compare, *arguments)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_page_is_replaced_on_request_and_its_path_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run")
    for more in ([], ["--overwrite"]):
        assert compare.main(["run", *more]) == 0
        assert capsys.readouterr().out == "comparison.html\n"
    assert compare.main(["run", "--to", "deep/er/page.html"]) == 0
    assert (tmp_path / "deep" / "er" / "page.html").read_text() == (tmp_path / "comparison.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.html", "deep", "run"]


def test_a_mean_over_seeds_is_drawn_where_all_of_them_were_evaluated(tmp_path, monkeypatch):
    write(tmp_path / "a", seed=1, bounds=(-9.0, -5.0, -3.0))
    write(tmp_path / "b", seed=2, bounds=(-7.0, -4.0, -2.0))
    rows = (tmp_path / "b" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "b" / "metrics.jsonl").write_text("".join(rows[:2] + rows[4:]))
    _, (axes,) = curves_drawn(monkeypatch, tmp_path, "a", "b")
    np.testing.assert_allclose(axes.get_lines()[0].get_xydata(), [(0, -8), (20, -2.5)])
