"""The page says what runs differ in, what came of them and how sure that is, and hides nothing."""

import dataclasses
import json
import math
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from experiments import autoencoder, compare, vae
from genjax_models.runs import comparison, directory, figures, record
from genjax_models.runs.command_line import main

STEPS = (0, 10, 20)


def png(height=4, width=4):
    return figures.png(figures.image_grid(np.zeros((1, height, width, 1))))


PNG, STRIP = png(), png(2, 20)


def config_of(module, fields):
    """With the fields given, and as long as `STEPS`."""
    config = module.Config(**fields)
    training = dataclasses.replace(config.training, steps=STEPS[-1], evaluate_every=10)
    return dataclasses.replace(config, training=training)


def write(path, module=vae, bounds=(-9.0, -5.0, -3.0), test=(-3.5, 0.25), drawn=("samples", "curves"), **fields):
    """A run's directory: validation `bounds` at `STEPS`, `test` (mean, standard error) or None where it has none."""
    (path / "figures").mkdir(parents=True)
    name, metric = module.EXPERIMENT.name, module.EXPERIMENT.metric
    directory.write_json(path / "config.json", directory.config_as_json(name, config_of(module, fields)))
    environment = {"command": f"python -m experiments.{name} --run-dir {path.name}", "versions": {"jax": "0.1"}}
    directory.write_json(path / "environment.json", environment)
    for step, bound in zip(STEPS, bounds, strict=False):
        directory.append_row(path / "metrics.jsonl", {"step": step, "split": "train", f"{name}/loss": -bound})
        row = {"step": step, "split": "validation", metric: bound, f"{metric}_se": 0.5}
        directory.append_row(path / "metrics.jsonl", row)
    if test:
        result = {"step": STEPS[-1], "split": "test", metric: test[0], f"{metric}_se": test[1]}
        directory.write_json(path / "result.json", {"test": result, "findings": [], "seconds": {}})
    for stem in drawn:
        (path / "figures" / f"{stem}.png").write_bytes(STRIP if stem == "reconstructions" else PNG)
    return path


@pytest.fixture
def sweep(tmp_path):
    """Three seeds of one config, one of another that repeats a seed of its own, and one that has not finished."""
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
    """Its parts by heading: text, rows of cells, and images with their figures' captions."""

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
    assert compare.main([*(str(folder / name) for name in names), "--out", str(out), "--overwrite"]) == 0
    return Page(out.read_text())


def read(folder, *names):
    experiments = [compare.of_run(folder / name) for name in names]
    return [record.read(folder / name, of, name) for name, of in zip(names, experiments, strict=True)]


def test_nothing_is_fetched(sweep):
    page = page_of(sweep, *SWEEP)
    assert page.fetched
    assert all(place.startswith("data:image/png;base64,") for place in page.fetched)
    assert not re.search(r"url\(|@import|https?:", page.html)


def test_seeds_become_a_mean_with_its_standard_deviation_and_runs_keep_their_standard_error(sweep):
    _, *rows = page_of(sweep, *SWEEP).rows["Results"]
    assert rows == [
        ["small (3 seeds)", "3 seeds", "", "-5.00 ± 2.65"],  # sd of -3, -4, -8 is sqrt(7)
        ["small-seed1", "1", "20", "-3.00 ± 0.25"],
        ["small-seed2", "2", "20", "-4.00 ± 0.25"],
        ["small-seed3", "3", "20", "-8.00 ± 0.25"],
        ["large", "1", "20", "-1.00 ± 0.12"],
        ["large-again", "1", "20", "-1.50 ± 0.12"],
        ["half", "4", "not finished", "\N{EN DASH}"],
    ]


def test_what_would_mislead_is_said(sweep):
    said = page_of(sweep, *SWEEP).text["Beware"]
    assert "half has not finished; it got to step 10 of 20. It has no result" in said
    assert "large-again has config and seed of large, and other results" in said
    assert "small" not in said
    assert "Beware" not in page_of(sweep, "small-seed1", "small-seed2").html


@pytest.mark.parametrize(
    ("module", "fields", "said"),
    [
        (vae, {"latent": 3}, None),
        (vae, {"data": "fashion_mnist"}, "Runs with a bound differ in data:"),
        (vae, {"likelihood": "gaussian", "binarise": "none"}, "differ in binarise and likelihood:"),
        (autoencoder, {"data": "fashion_mnist"}, None),
    ],
)
def test_figures_of_different_data_are_not_passed_off_as_comparable(module, fields, said, tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "other", module, **fields)
    html = page_of(tmp_path, "one", "other").html
    assert (said in html) if said else ("Beware" not in html)


def test_only_fields_that_differ_are_shown_a_column_for_each_run(sweep):
    rows = page_of(sweep, *SWEEP).rows["Differences of config"]
    assert rows == [["", *SWEEP], ["seed", "1", "2", "3", "1", "1", "4"], ["latent", "2", "2", "2", "16", "16", "2"]]
    assert "There are none." in page_of(sweep, "large", "large-again").text["Differences of config"]


def test_nested_fields_and_other_versions_are_differences_too(tmp_path):
    write(tmp_path / "one", optimizer=vae.Optimizer(clip=1.0))
    write(tmp_path / "other", optimizer=vae.Optimizer(clip=2.0))
    directory.write_json(tmp_path / "other" / "environment.json", {"command": "x", "versions": {"jax": "0.2"}})
    rows = page_of(tmp_path, "one", "other").rows
    assert rows["Differences of config"][1:] == [["optimizer.clip", "1.0", "2.0"]]
    assert rows["Differences of environment"][1:] == [["versions.jax", "0.1", "0.2"]]


def test_runs_group_when_nothing_but_the_seed_differs(sweep):
    groups = comparison.grouped(read(sweep, *SWEEP))
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
    assert [group.label for group in comparison.grouped(read(tmp_path, *names))] == [label]


def test_groups_that_would_have_one_name_list_their_runs(tmp_path):
    for i in range(4):
        write(tmp_path / f"vae-{i}", seed=i, latent=2 + i // 2)
    labels = [group.label for group in comparison.grouped(read(tmp_path, *(f"vae-{i}" for i in range(4))))]
    assert labels == ["vae (2 seeds): vae-0, vae-1", "vae (2 seeds): vae-2, vae-3"]


def curves_drawn(monkeypatch, folder, *names):
    """The axes of every figure of curves on the page."""
    made, draw = [], figures.curves_of_runs
    monkeypatch.setattr(figures, "curves_of_runs", lambda *a, **k: made.append(draw(*a, **k)) or made[-1])
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


def test_a_short_run_beside_a_long_one_is_within_the_picture():
    short = figures.Curve("short", np.array([0, 10, 20]), np.array([[-500.0, -9.0, -8.0]]))
    long = figures.Curve("long", np.array([0, 1000, 2000]), np.array([[-500.0, -3.0, -2.0]]))
    low, high = figures.curves_of_runs([short, long], label="bound").axes[0].get_ylim()
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
    runs[1] = runs[1]._replace(experiment=vae.EXPERIMENT._replace(name="iwae"))
    assert comparison.render(runs).count("Held-out bound</h3>") == 1


def test_pictures_stand_side_by_side(tmp_path):
    write(tmp_path / "one", drawn=("samples", "reconstructions", "manifold", "latent_space", "curves"))
    write(tmp_path / "two", drawn=("samples", "latent_space", "curves"), seed=1)
    write(tmp_path / "three", drawn=("samples_00000000", "samples_00000010"), test=None, seed=2)
    page = page_of(tmp_path, "one", "two", "three")
    assert page.images["Samples"] == ["Samples of one", "Samples of two", "Samples of three"]
    assert "three, at step 10" in page.text["Samples"]
    assert page.images["Reconstructions"] == ["Reconstructions of one"]
    assert page.text["Reconstructions"].count("not drawn") == 2
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
    assert ("got to step 0 of 20" in page.html) is bool(left)
    assert page.rows["Results"][-1] == ["begun", "1", "not finished", "\N{EN DASH}"]


def test_a_result_from_before_a_run_was_resumed_is_not_taken_for_its_own(tmp_path):
    resumed = write(tmp_path / "resumed", drawn=("samples", "samples_00000010", "samples_00000030"))
    config = json.loads((resumed / "config.json").read_text())
    config["config"]["training"]["steps"] = 40
    directory.write_json(resumed / "config.json", config)
    page = page_of(tmp_path, "resumed")
    assert "resumed has not finished; it got to step 20 of 40." in page.text["Beware"]
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


def test_a_real_run_has_its_result_on_the_page(files, tmp_path):
    options = "--hidden 8 --steps 4 --batch-size 10 --evaluate-every 2 --log-every 2 --warmup 0"
    places = ["--data", str(files / "grey.npz"), "--run-dir", str(tmp_path / "real")]
    assert main(vae.EXPERIMENT, [*options.split(), *places]) == 0
    shutil.copytree(tmp_path / "real", tmp_path / "twin")
    page = page_of(tmp_path, "real", "twin")
    test = json.loads((tmp_path / "real" / "result.json").read_text())["test"]
    assert page.rows["Results"][1][3] == f"{test['bound']:.2f} ± {test['bound_se']:.2f}"
    assert page.rows["Results"][0] == [
        *("run", "seed", "step", "boundnats", "KLnats", "reconstructionnats", "active unitslatent dimensions"),
    ]
    assert page.rows["Results"][1][6] == str(test["active_units"])
    assert "twin has config and seed of real, and the same results" in page.html
    for title in ("Samples", "Reconstructions", "KL by dimension", "Latent space", "Learning", "Manifold"):
        assert page.images[title] == [f"{title} of real", f"{title} of twin"]
    assert f"--run-dir {tmp_path / 'real'}" in page.html


DAMAGED = [
    ([], {}, "at least one run"),
    (["nowhere"], {}, "nowhere: holds no run"),
    (["run", "elsewhere"], {}, "elsewhere: holds no run"),
    (["run", "./run"], {}, "given more than once"),
    (["run", "--out", "there.html"], {}, "exists already; choose another, or replace it with --overwrite"),
    (["run", "--out", "run", "--overwrite"], {}, "is a directory"),
    (["run", "--out", "link.html", "--overwrite"], {}, "is a symbolic link"),
    (["run", "--out", "there.html/page.html"], {}, "cannot be written"),
    (["run", "--outt", "page.html"], {}, "--outt"),
    (["run"], {"config.json": "{"}, "config.json: cannot be read"),
    (["run"], {"config.json": '{"experiment": "gone", "config": {}}'}, "no experiments/gone.py"),
    (["run"], {"result.json": "{"}, "result.json: cannot be read"),
    (["run"], {"result.json": "[]"}, "result.json: is damaged"),
    (["run"], {"result.json": '{"test": 3}'}, "result.json: is damaged"),
    (["run"], {"metrics.jsonl": '{"step": 1}\n'}, "metrics.jsonl: line 1 is damaged"),
    (["run"], {"metrics.jsonl": '{"step": 1, "split": "train"}\n{"st\n'}, "metrics.jsonl: line 2 is damaged"),
]


@pytest.mark.parametrize(("arguments", "damage", "words"), DAMAGED, ids=lambda value: str(value)[:50])
def test_what_cannot_be_compared_is_one_line_and_exit_status_2(arguments, damage, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run")
    (tmp_path / "there.html").write_text("mine")
    (tmp_path / "link.html").symlink_to("there.html")
    for name, text in damage.items():
        (tmp_path / "run" / name).write_text(text)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit, match="2"):
        compare.main(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_page_is_replaced_on_request_and_its_path_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run")
    for more in ([], ["--overwrite"]):
        assert compare.main(["run", *more]) == 0
        assert capsys.readouterr().out == "comparison.html\n"
    assert compare.main(["run", "--out", "deep/er/page.html"]) == 0
    assert (tmp_path / "deep" / "er" / "page.html").read_text() == (tmp_path / "comparison.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.html", "deep", "run"]


def test_a_mean_over_seeds_is_drawn_where_all_of_them_were_evaluated(tmp_path, monkeypatch):
    write(tmp_path / "a", seed=1, bounds=(-9.0, -5.0, -3.0))
    write(tmp_path / "b", seed=2, bounds=(-7.0, -4.0, -2.0))
    rows = (tmp_path / "b" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "b" / "metrics.jsonl").write_text("".join(rows[:2] + rows[4:]))
    _, (axes,) = curves_drawn(monkeypatch, tmp_path, "a", "b")
    np.testing.assert_allclose(axes.get_lines()[0].get_xydata(), [(0, -8), (20, -2.5)])
