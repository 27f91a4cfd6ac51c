"""Images beside a file of labels, grey images stored in colour, and files that are left out."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from genjax_models.data import image
from genjax_models.data.image_folder import load_folder
from genjax_models.errors import InputError

N = 20
X = np.random.RandomState(0).randint(0, 256, (N, 6, 6, 3)).astype(np.uint8)
NAMES = [f"{i:03}.png" for i in range(N)]
CLASSES = ["cat" if i % 3 else "ant" for i in range(N)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Moves the cache away from the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "images"


def written(folder, names=NAMES, images=X, **options):
    for name, x in zip(names, images, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x).save(folder / name, **options)
    return folder


def labels(dataset):
    """Name of the class by the bytes of an image."""
    splits = dataset.train, dataset.validation, dataset.test
    return {x.tobytes(): dataset.class_names[y] for part in splits for x, y in zip(part.x, part.label, strict=True)}


def expected(classes=CLASSES):
    return {x.tobytes(): str(name) for x, name in zip(X, classes, strict=True)}


@pytest.mark.parametrize("header", ["", "filename,label\n", "\ufefffile, class\n"])
@pytest.mark.parametrize("under", ["", "a/", "a/b/"])
def test_fault_74_labels_csv_is_read(header, under, folder):
    names = [under + name for name in NAMES]
    written(folder, names)
    (folder / "labels.csv").write_text(header + "".join(f"{n},{c}\n" for n, c in zip(names, CLASSES, strict=True)))
    dataset = load_folder(folder, size=None)
    assert labels(dataset) == expected()
    assert f"labels count the classes of {folder}/labels.csv: ant, cat" in dataset.provenance


@pytest.mark.parametrize("as_mapping", [False, True])
def test_fault_74_dataset_json_is_read(as_mapping, folder):
    """The layout of StyleGAN: folders of a thousand images, which are no classes."""
    names = [f"{i // 10:05}/img{i:08}.png" for i in range(N)]
    written(folder, names)
    numbers = [(7 * i) % 12 for i in range(N)]
    pairs = [list(pair) for pair in zip(names, numbers, strict=True)]
    (folder / "dataset.json").write_text(json.dumps({"labels": dict(pairs) if as_mapping else pairs}))
    dataset = load_folder(folder, size=None)
    assert labels(dataset) == expected(numbers)
    assert dataset.class_names == tuple(str(number) for number in sorted(set(numbers)))  # 10 comes after 9


def test_fault_74_dataset_json_without_labels_says_that_folders_are_no_classes(folder):
    written(folder, [f"{i // 10:05}/{i}.png" for i in range(N)])
    (folder / "dataset.json").write_text('{"labels": null}')
    assert load_folder(folder, size=None).num_classes is None


@pytest.mark.parametrize("at_root", [False, True])
def test_fault_74_labels_of_splits_are_read(at_root, folder):
    names = [f"{'train' if i < 15 else 'test'}/{NAMES[i]}" for i in range(N)]
    written(folder, names)
    rows = list(zip(names, CLASSES, strict=True))
    for split in ("train", "test"):
        own = "".join(f"{name.removeprefix(split)[1:]},{c}\n" for name, c in rows if name.startswith(split))
        if not at_root:
            (folder / split / "labels.csv").write_text(own)
    if at_root:
        (folder / "labels.csv").write_text("".join(f"{name},{c}\n" for name, c in rows))
    dataset = load_folder(folder, size=None)
    assert labels(dataset) == expected()
    assert len(dataset.test.x) == 5


ROWS = "".join(f"{name},{label}\n" for name, label in zip(NAMES, CLASSES, strict=True))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.csv", ROWS.replace("003.png,ant\n", ""), "needs a label for every image, and has none for 003.png"),
        ("labels.csv", ROWS + "999.png,cat\n", "1 of its images are absent, the first is 999.png"),
        ("labels.csv", ROWS + "003.png,cat\n", "must name each image once, got 21 labels for 20 images"),
        ("labels.csv", "000.png,cat,5\n", "cannot be read as labels .row 0 has 3 columns.*needs two columns, file and"),
        ("labels.csv", "", "it has no rows"),
        ("labels.csv", ROWS.replace("003.png,ant", "003.png, "), "a label must be an integer or a text, got ' '"),
        ("dataset.json", "[]", "cannot be read as labels"),
        ("dataset.json", "{}", "cannot be read as labels"),
        ("dataset.json", "{", "cannot be read as labels"),
        ("dataset.json", '{"labels": [["000.png", 0.5]]}', "a label must be an integer or a text, got 0.5"),
        ("dataset.json", '{"labels": [["000.png", [0, 1]]]}', "a label must be an integer or a text"),
        ("dataset.json", '{"labels": [5]}', "cannot be read as labels"),
        ("dataset.json", "[" * 100_000, "cannot be read as labels"),
        ("labels.csv", "".join(f"{n},{n}\n" for n in NAMES), "which seem to be ids"),
    ],
)
def test_fault_74_labels_that_do_not_fit_are_refused(name, text, message, folder):
    (written(folder) / name).write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load_folder(folder, size=None)
    assert "\n" not in str(error.value)


def test_fault_74_two_files_of_labels_are_refused(folder):
    (written(folder) / "labels.csv").write_text(ROWS)
    (folder / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds labels\.csv and dataset\.json\. Keep one of them"):
        load_folder(folder)


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_fault_74_grey_stored_in_colour_is_said_and_channels_mends_it(mode, folder):
    grey = X[..., :1]
    for name, x in zip(NAMES, grey, strict=True):
        folder.mkdir(exist_ok=True)
        Image.fromarray(x[..., 0]).convert(mode).save(folder / name)
    with pytest.warns(UserWarning, match=r"all images are grey, but stored in colour\. Use channels=1 \(--image-chan"):
        assert load_folder(folder, size=None).shape == (6, 6, 3)
    dataset = load_folder(folder, size=None, channels=1)
    assert dataset.shape == (6, 6, 1)
    assert {x.tobytes() for x in dataset.train.x} <= {x.tobytes() for x in grey}


def test_fault_74_channels_decides_the_number_of_channels(folder):
    written(folder / "colour")
    written(folder / "grey", images=X[..., :1])
    luma = np.stack([np.asarray(Image.fromarray(x).convert("L")) for x in X])[..., None]
    assert {x.tobytes() for x in load_folder(folder / "colour", size=None, channels=1).test.x} <= set(map(bytes, luma))
    dataset = load_folder(folder / "grey", size=None, channels=3)
    assert dataset.shape == (6, 6, 3)
    with pytest.raises(InputError, match="`channels` must be 1, 3 or None, got 2"):
        load_folder(folder / "grey", channels=2)


def test_fault_74_other_names_of_jpeg_are_read_and_the_rest_is_counted(folder):
    names = [f"{i}.{'jfif' if i % 2 else 'JPE'}" for i in range(N)]
    written(folder, names, format="JPEG")
    for name in ("a.heic", "b.HEIC", "c.avif"):
        (folder / name).write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"3 of 23 files are left out, because .*: 2 \.heic, 1 \.avif$"):
        dataset = load_folder(folder)
    assert len(dataset.train.x) == 16
    assert "; left out are 2 .heic, 1 .avif" in dataset.provenance


@pytest.mark.parametrize(
    ("fit", "size", "expected"),
    [
        ("pad", (4, 8), [[0, 0, 9, 9, 9, 9, 0, 0]] * 4),
        ("pad", (8, 4), [[0] * 4, [0] * 4, *[[9] * 4] * 4, [0] * 4, [0] * 4]),
        ("crop", (2, 4), [[9] * 4] * 2),
        ("resize", (2, 5), [[9] * 5] * 2),
    ],
)
def test_images_are_brought_to_a_height_and_a_width(fit, size, expected):
    np.testing.assert_array_equal(decoded(np.full((6, 6), 9), size=size, fit=fit), expected)


def test_a_crop_is_the_largest_part_of_the_proportions():
    columns = np.tile(np.arange(12), (6, 1))
    np.testing.assert_array_equal(decoded(columns, size=(6, 4), fit="crop"), columns[:, 4:8])
    np.testing.assert_array_equal(decoded(columns.T, size=(4, 6), fit="crop"), columns.T[4:8])


def decoded(x, **options):
    file = io.BytesIO()
    Image.fromarray(x.astype(np.uint8)).save(file, "PNG")
    return image.decode(file, max_pixels=10_000, **options)[..., 0]
