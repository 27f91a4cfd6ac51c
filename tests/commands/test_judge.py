"""`judge` compares runs, files and folders, and refuses what cannot be compared."""

import dataclasses
import re

import numpy as np
import pytest

import genjax_models as gx
from genjax_models.commands import judge
from genjax_models.evaluation.features import Features
from genjax_models.runs import loading
from genjax_models.systems.file_options import FileOptions


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Files of 80 images: noise, as much other noise, darker noise, and images of another shape."""
    folder, random = tmp_path_factory.mktemp("sets"), np.random.RandomState(0)
    shapes = {
        "noise": (80, 6, 6, 1),
        "other": (80, 6, 6, 1),
        "dark": (80, 6, 6, 1),
        "wide": (80, 6, 7, 1),
        "vectors": (80, 5),
    }
    for name, shape in shapes.items():
        np.savez(
            folder / f"{name}.npz", x=(random.uniform(size=shape) * (0.5 if name == "dark" else 1)).astype(np.float32)
        )
    return folder


def judged(capsys, *arguments):
    assert judge.main([str(argument) for argument in arguments]) == 0
    first, head, *rows, meaning, out = capsys.readouterr().out.splitlines()
    assert meaning == f"p-value: {judge.P_VALUE}"
    assert head.split()[0] == "value"
    cells = [re.split(r" {2,}", row) for row in rows]
    return first, {name: rest for name, *rest in cells}, out


def test_alike_and_unlike_sets(sets, capsys, tmp_path):
    out = tmp_path / "page.html"
    distance = {}
    for name in ("other", "dark"):
        first, rows, path = judged(capsys, sets / f"{name}.npz", sets / "noise.npz", "--to", out, "--overwrite")
        assert first == f"80 of {sets / f'{name}.npz'}, judged by 80 of {sets / 'noise.npz'}"
        assert path == str(out)
        value = next(cells for row, cells in rows.items() if row.startswith("kernel distance"))
        assert "±" in value[0]
        distance[name] = float(value[0].split()[0])
        p_value = float(rows["p-value of a two-sample classifier on pixels"][0])
        assert p_value < 1e-4 if name == "dark" else p_value > 1e-3
    assert abs(distance["other"]) < 0.1 * distance["dark"]
    page = out.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "Floor" in page


def test_features_that_see_no_difference_are_joined_by_the_test_on_pixels(sets, capsys, tmp_path, monkeypatch):
    random = Features("random", lambda x: np.random.RandomState(len(x)).normal(size=(len(x), 36)).astype(np.float32))
    monkeypatch.setattr(judge, "features_of", lambda options: random)
    _, rows, _ = judged(capsys, sets / "dark.npz", sets / "noise.npz", "--to", tmp_path / "page.html")
    on_pixels = [f"{figure} of a two-sample classifier on pixels" for figure in ("accuracy", "p-value")]
    assert [name for name in rows if name.endswith(" on pixels")] == on_pixels
    value, *_, of_halves = rows[on_pixels[1]]
    assert float(value) < 1e-4
    assert float(of_halves) > 1e-3
    assert float(rows["p-value of a two-sample classifier on random"][0]) > 1e-3


def test_a_run_is_judged_by_its_draws(runs, files, capsys, tmp_path):
    run, data = runs["conditional"].path, files / "images.npz"
    first, rows, _ = judged(capsys, run, data, "--n", 20, "--to", tmp_path / "page.html")
    assert first == f"20 of {run}, judged by 20 of {data}"
    assert len(rows) > 5
    _, rows, _ = judged(capsys, run, run, "--n", 20, "--to", tmp_path / "own.html")
    assert rows["kernel distance on pixels"][0] != "0.00 ± 0.00"  # two sets, not the same draws twice
    options = judge.Judge(str(run), str(run), n=20)
    assert (judge.images_of(str(run), options, 0).x != judge.images_of(str(run), options, 1).x).any()


@pytest.fixture(scope="module")
def named(sets):
    """A file of the noise by other names of its arrays, four times as large."""
    with np.load(sets / "noise.npz") as arrays:
        np.savez(sets / "named.npz", pixels=arrays["x"][..., 0] * 4, digit=np.arange(80) % 2)
    return sets / "named.npz"


def test_the_flags_that_the_loader_names_are_flags_of_judge(sets, named, refused):
    """They are for the files that have such arrays; a file of draws has x."""
    assert refused(judge, named, named).endswith("(--data-keys x=digit y=pixels)")
    names = "--data-keys x=pixels y=digit --data-range 0 4 --data-kind images".split()
    options = judge.Judge(str(named), str(sets / "noise.npz"), n=30)
    plain = judge.images_of(str(sets / "noise.npz"), options, 1).x
    options = dataclasses.replace(options, files=FileOptions((0, 4), "images", ("x=pixels", "y=digit")))
    of_names, of_plain = (
        judge.images_of(name, options, i).x for i, name in enumerate([options.samples, options.reference])
    )
    np.testing.assert_allclose(of_plain, plain / 4, atol=1e-6)
    assert of_names.shape == plain.shape
    assert float(of_names.max()) > 0.9
    line = refused(judge, named, sets / "wide.npz", *names)
    assert line.startswith("both sets must have images of one shape, got (6, 6, 1) from")


def test_flags_that_no_set_takes_are_refused(sets, named, runs, refused):
    run = runs["conditional"].path
    line = refused(judge, "bars_and_stripes", run, "--data-keys", "x=pixels")
    assert line == f"--data-keys: neither bars_and_stripes nor {run} takes it"
    line = refused(judge, named, sets / "noise.npz", "--data-keys", "x=absent")
    assert line == f"{named}: `keys` must name arrays of the file, got 'absent'; it has ['digit', 'pixels']"


def test_a_run_draws_in_blocks(runs, monkeypatch):
    """Of as many images as it says; each class as often, and no block is the block before."""
    sizes, load = [], loading.load_run

    def watched(path):
        run = load(path)
        draw = lambda players, key, n, label=None: sizes.append(n) or run.system.draw(players, key, n, label)
        return run._replace(system=run.system._replace(draw=draw))

    monkeypatch.setattr(loading, "load_run", watched)
    run = str(runs["conditional"].path)
    images = judge.images_of(run, judge.Judge(run, run, n=23, block=5), 0)
    x = images.x
    assert sizes == [5]  # compiled once
    assert x.shape == (23, 8, 8, 1)
    assert 0 <= x.min() <= x.max() <= 1
    assert len(np.unique(np.asarray(x), axis=0)) == 23
    assert np.bincount(images.label).tolist() == [12, 11]


def test_images_keep_their_classes_in_a_random_order(tmp_path):
    label, x = np.arange(30) % 3, np.random.RandomState(0).uniform(0, 0.1, (30, 4, 4, 1)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x + 0.2 * label[:, None, None, None], y=label)
    images = judge.images_of(str(tmp_path / "x.npz"), judge.Judge("a", "b"), 0)
    np.testing.assert_array_equal(np.floor(np.asarray(images.x).mean((1, 2, 3)) / 0.2), images.label)
    assert (images.label != np.sort(images.label)).any()


def test_samples_with_classes_have_the_share_that_the_shipped_classifier_finds():
    test = gx.load("mnist10k").test
    images = gx.Batch(test.x[:200] / np.float32(255), test.label[:200])
    for label, least, greatest in ((images.label, 0.95, 1), ((images.label + 1) % 10, 0, 0.05)):
        (figure,) = judge._accuracy(images._replace(label=label), "mnist10k").values()
        assert least <= figure.estimate.value <= greatest
        assert figure.of_data.value == 0.989
    assert judge._accuracy(images._replace(label=None), "mnist10k") == {}
    assert judge._accuracy(images, "images.npz") == {}
    assert judge._accuracy(images._replace(label=images.label + 1), "mnist10k") == {}


@pytest.mark.parametrize(
    ("first", "second", "more", "words"),
    [
        ("noise", "wide", "", "both sets must have images of one shape, got (6, 6, 1) from"),
        ("vectors", "noise", "", "needs images, got examples of shape (5,)"),
        ("noise", "noise", "--n 19", "n must be an integer of at least 20, got 19"),
        ("noise", "noise", "--block 0", "block must be an integer of at least 1, got 0"),
        ("noise", "noise", "--features fashion", "fashion"),
        ("noise", "absent", "", "absent.npz"),
    ],
)
def test_bad_input_is_one_line(first, second, more, words, sets, refused, tmp_path):
    out = tmp_path / "page.html"
    line = refused(judge, sets / f"{first}.npz", sets / f"{second}.npz", *more.split(), "--to", out)
    assert words in line
    assert not out.exists()


def test_fewer_than_20_images_are_refused(refused, tmp_path):
    np.savez(tmp_path / "few.npz", x=np.random.RandomState(0).uniform(size=(12, 4, 4, 1)).astype(np.float32))
    few = tmp_path / "few.npz"
    assert refused(judge, few, few) == f"{few}: needs at least 20 images, got 12"
