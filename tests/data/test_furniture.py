"""The seats of libraries of Sweet Home 3D are found by their catalogue, turned upright, and rendered once."""

import zipfile

import numpy as np
import pytest

from genjax_models.data import chairs, furniture, load
from genjax_models.data.meshes import render
from genjax_models.errors import InputError

MODEL = "mtllib m.mtl\nv 0 0 0\nv 2 0 0\nv 0 1 0\nv 0 0 4\nusemtl w\nf 1 2 3\nf 1 3 4\nf 1 2 4\n"
CATALOGUE = """# caf\xe9
license=Free  license
id#1=Lib#a
name#1=Chair
category#1=Kitchen
creator#1=Andr\xe9
model#1=/lib/a/a.obj
id#2=Lib#b
name#2=Chair
category#2=Kitchen
creator#2=Bo
model#2=/lib/b/b.obj
modelRotation#2=0 0 1 0 1 0 -1 0 0
id#3=Lib#c
name#3=Seat Leon
category#3=Vehicles
creator#3=Car maker
model#3=/lib/c/c.obj
id#4=Lib#d
name#4=Table
creator#4=Table maker
model#4=/lib/d/d.obj
"""


def library(folder, catalogue=CATALOGUE, model=MODEL, name="Lib.sh3f"):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", catalogue.encode("latin-1"))
        for one, colour in (("a", "1 0 0"), ("b", "0 0 1")):
            archive.writestr(f"lib/{one}/{one}.obj", model)
            archive.writestr(f"lib/{one}/m.mtl", f"newmtl w\nKd {colour}\n")
    return folder


@pytest.fixture(autouse=True)
def few_views(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(furniture, "AZIMUTHS", np.arange(6) * 60.0)


def test_seats_are_rendered_and_their_makers_named(tmp_path):
    dataset = load(f"furniture:{library(tmp_path / 'lib')}")
    assert dataset.shape == (64, 64, 4)
    assert dataset.class_names == ("Chair (Andr\xe9)", "Chair (Bo)")
    assert [len(split.x) for split in (dataset.train, dataset.validation, dataset.test)] == [15, 3, 6]
    assert "2 seats of Sweet Home 3D" in dataset.provenance
    assert "Lib (Free license) by Andr\xe9, Bo" in dataset.provenance
    assert set(dataset.test.label) == {0}  # elevation 30 of every fourth seat
    assert dataset.factors == chairs.FACTORS
    for label, channel in ((0, 0), (1, 2)):
        x = dataset.train.x[dataset.train.label == label].astype(int)
        opaque = x[x[..., 3] == 255]
        assert (opaque[:, channel] > 100).all()
        assert (np.delete(opaque[:, :3], channel, axis=1) == 0).all()


def test_a_model_is_turned_as_its_catalogue_says(tmp_path):
    first, second = furniture.seats([library(tmp_path / "lib") / "Lib.sh3f"])
    extent = lambda piece: np.ptp(furniture.mesh(piece).corners.reshape(-1, 3), axis=0)
    assert extent(first) / extent(first)[1] == pytest.approx([2, 1, 4])
    assert extent(second) / extent(second)[1] == pytest.approx([4, 1, 2])


def test_pieces_of_one_name_and_maker_are_numbered(tmp_path):
    library(tmp_path / "lib", CATALOGUE.replace("Bo", "Andr\xe9"))
    assert load(f"furniture:{tmp_path / 'lib'}").class_names == ("Chair (Andr\xe9)", "Chair (Andr\xe9) 2")


def test_without_libraries_the_error_says_how_to_install_them(tmp_path, monkeypatch):
    with pytest.raises(
        InputError, match=r"absent has no libraries .*: apt-get install sweethome3d-furniture, and load"
    ):
        load(f"furniture:{tmp_path / 'absent'}")
    monkeypatch.setattr(furniture, "DEBIAN", tmp_path)
    with pytest.raises(InputError, match="apt-get install sweethome3d-furniture"):
        load("furniture")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"catalogue": "name#1=Table\nmodel#1=/lib/a/a.obj\n"}, "has no seats in its 1 libraries"),
        ({"catalogue": CATALOGUE.replace("0 0 1 0", "0 0 1")}, "modelRotation#2 must be 9 numbers, got '0 0 1 1 0 -1"),
        ({"catalogue": CATALOGUE.replace("a/a.obj", "a/gone.obj")}, r"Lib\.sh3f: /lib/a/gone\.obj: no such OBJ file"),
        ({"model": "v 0 0 0\n"}, r"Lib\.sh3f: /lib/a/a\.obj: has no faces"),
    ],
)
def test_libraries_that_do_not_fit_are_refused(changes, message, tmp_path):
    folder = library(tmp_path / "lib", **changes)
    with pytest.raises(InputError, match=message) as error:
        load(f"furniture:{folder}")
    assert "\n" not in str(error.value)


def test_a_damaged_library_is_named(tmp_path):
    (library(tmp_path / "lib") / "Other.sh3f").write_bytes(b"PK no zip")
    with pytest.raises(InputError, match=r"Other\.sh3f: cannot be read as a library of furniture"):
        load(f"furniture:{tmp_path / 'lib'}")


@pytest.mark.skipif(not furniture.DEBIAN.is_dir(), reason="needs Debian's package sweethome3d-furniture")
def test_the_shipped_chairs_are_renders_of_these_models():
    seats = furniture.seats(sorted(furniture.DEBIAN.glob("*.sh3f")))
    assert len(seats) == len({seat.key for seat in seats}) == 85
    deck_chair = next(seat for seat in seats if seat.key == "Blend Swap CC-0#deckChair")
    assert not np.array_equal(deck_chair.rotation, np.eye(3))
    shipped = chairs.views()
    rows = (shipped.train.label == 6) & (np.abs(shipped.train.factors - chairs.view(4 * 360 / 31, 20)).max(1) < 1e-5)
    premultiplied = lambda x: x[..., :3].astype(float) * x[..., 3:] / 255
    found = premultiplied(render(furniture.mesh(deck_chair), 4 * 360 / 31, 20))
    assert np.abs(found - premultiplied(shipped.train.x[rows][0])).max() <= 2
