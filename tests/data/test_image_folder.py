"""A folder of images becomes arrays by a stated rule, in the order of bytes; files that cannot be used are named."""

import fcntl
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from genjax_models.data import image_cache, image_decoding, load
from genjax_models.data.image_folder import load_folder
from genjax_models.errors import InputError

N = 20
X = np.random.RandomState(0).randint(0, 256, (N, 6, 6, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Moves the cache away from the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "genjax_models" / "images"


def picture(x):
    return Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x)


def encoded(x, kind="png", **options):
    buffer = io.BytesIO()
    (picture(x) if isinstance(x, np.ndarray) else x).save(buffer, kind, **options)
    return buffer.getvalue()


def folder_of(path, files):
    """Writes files by relative name, bytes or text; an array is stored as PNG."""
    for name, content in files.items():
        file = os.path.join(os.fsencode(path), os.fsencode(name))
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as opened:
            opened.write(content if isinstance(content, bytes) else encoded(content))
    return path


def numbered(x=X, under="", start=0):
    return {f"{under}{i + start:03}.png": image for i, image in enumerate(x)}


def splits(dataset):
    return dataset.train, dataset.validation, dataset.test


def by_content(dataset):
    """Bytes of an example -> its label."""
    labels = lambda split: split.label if split.label is not None else [None] * len(split.x)
    return {x.tobytes(): label for split in splits(dataset) for x, label in zip(split.x, labels(split), strict=True)}


def one(path, content, **options):
    """The decoded form of one image among others of another size, with a cache of its own."""
    folder = folder_of(path, {"a.png": content})
    entries = [image_cache.Entry("", b"", b"a.png", os.fsencode(folder / "a.png"))]
    rule = {"size": None, "fit": "crop", "max_pixels": 10_000} | options
    return image_cache.decoded_once(entries, rule, skip_unreadable=False, cache=None).x[0]


def test_images_are_read_as_they_are_and_split_by_one_fixed_shuffle(tmp_path):
    folder = folder_of(tmp_path / "my images", numbered())
    dataset, again = load_folder(folder, size=None), load_folder(folder, size=None)
    assert [len(split.x) for split in splits(dataset)] == [16, 2, 2]
    assert (dataset.name, dataset.range, dataset.num_classes) == ("my images", (0, 255), None)
    assert by_content(dataset) == {x.tobytes(): None for x in X}
    assert "20 images in" in dataset.provenance
    assert "as they are" in dataset.provenance
    for split, same in zip(splits(dataset), splits(again), strict=True):
        np.testing.assert_array_equal(split.x, same.x)


@pytest.mark.parametrize("spec", ["{}", "images:{}"])
def test_a_bare_folder_is_cropped_and_resized_to_32(spec, tmp_path):
    folder = folder_of(tmp_path / "images", numbered())
    dataset = load(spec.format(folder))
    assert dataset.shape == (32, 32, 3)
    assert "centre-cropped and resized to 32 x 32" in dataset.provenance
    otherwise = load(spec.format(folder), images={"size": 4, "fit": "resize"})
    assert otherwise.shape == (4, 4, 3)
    assert ", resized to 4 x 4" in otherwise.provenance


def test_a_folder_with_an_idx_file_is_not_taken_for_images(tmp_path):
    folder = folder_of(tmp_path / "images", {**numbered(), "train-labels-idx1-ubyte": b"\0"})
    with pytest.raises(InputError, match="needs train-images-idx3-ubyte"):
        load(str(folder))
    with pytest.warns(UserWarning, match="1 of 21 files are left out"):
        assert len(by_content(load(f"images:{folder}"))) == N


def test_the_largest_centred_square_is_averaged_over_areas(tmp_path):
    blocks = np.random.RandomState(1).randint(0, 256, (4, 4, 3)).astype(np.uint8)
    tall = np.zeros((18, 8, 3), np.uint8)
    tall[5:13] = blocks.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(one(tmp_path / "a", tall, size=4), blocks)
    noise = np.random.RandomState(2).randint(0, 256, (8, 18, 3)).astype(np.uint8)
    means = noise[:, 5:13].reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(one(tmp_path / "b", noise, size=4), means, atol=1)


def test_resizing_without_a_crop_keeps_all_of_the_image(tmp_path):
    blocks = np.random.RandomState(1).randint(0, 256, (4, 4, 3)).astype(np.uint8)
    wide = blocks.repeat(2, axis=0).repeat(5, axis=1)
    np.testing.assert_array_equal(one(tmp_path / "a", wide, size=4, fit="resize"), blocks)


def test_a_small_image_grows_smoothly(tmp_path):
    ramp = np.broadcast_to(np.array([0, 255], np.uint8)[None, :, None], (2, 2, 1)).copy()
    grown = one(tmp_path / "a", ramp, size=8)[0, :, 0].astype(int)
    assert np.all(np.diff(grown) >= 0)
    assert len(set(grown)) > 2


def test_images_of_different_sizes_need_a_rule(tmp_path):
    folder = folder_of(tmp_path / "a", numbered() | {"007.png": X[7, :5]})
    with pytest.raises(
        InputError, match=r"007\.png: 6 x 5 pixels, but .*000\.png has 6 x 6\. Images must have one size with size=None"
    ):
        load_folder(folder, size=None)
    assert load_folder(folder, size=3).shape == (3, 3, 3)


@pytest.mark.parametrize("grey", ["1", "L", "LA"])
def test_one_channel_if_all_are_stored_as_grey_else_three(grey, tmp_path):
    stored = {name: encoded(picture(x).convert(grey)) for name, x in numbered().items()}
    assert load_folder(folder_of(tmp_path / "a", stored), size=None).shape == (6, 6, 1)
    mixed = load_folder(folder_of(tmp_path / "b", stored | {"003.png": X[3]}), size=None)
    expected = np.asarray(picture(X[4]).convert(grey).convert("RGB"))
    assert mixed.shape == (6, 6, 3)
    assert {X[3].tobytes(), expected.tobytes()} <= set(by_content(mixed))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *[(mode, kind) for mode in ("RGB", "L") for kind in ("png", "bmp", "tiff", "gif", "webp", "ppm")],
        *[("P", kind) for kind in ("png", "bmp", "tiff", "gif", "webp")],
        ("CMYK", "tiff"),
    ],
)
def test_every_format_gives_the_same_pixels(mode, kind, tmp_path):
    flat = np.full((6, 6, 3), [250, 250, 250] if mode == "L" else [255, 0, 255], np.uint8)
    source = Image.fromarray(flat).convert(mode)
    options = {"lossless": True} if kind == "webp" else {}
    np.testing.assert_array_equal(
        np.broadcast_to(one(tmp_path / "a", encoded(source, kind, **options)), (6, 6, 3)), flat
    )


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_put_on_white(mode, tmp_path):
    if mode == "P":
        source = Image.new("P", (2, 1))
        source.putpalette([0, 0, 0, 100, 100, 100])
        source.putdata([0, 1])
        content = encoded(source, transparency=0)
    else:
        source = Image.new("RGBA", (2, 1))
        source.putdata([(0, 0, 0, 0), (100, 100, 100, 255)])
        content = encoded(source.convert(mode))
    x = one(tmp_path / "a", content)
    assert x.shape[-1] == (1 if mode == "LA" else 3)
    np.testing.assert_array_equal(x[0, :, 0], [255, 100])
    if mode != "P":  # half transparent
        half = Image.new("RGBA", (1, 1), (0, 0, 0, 128)).convert(mode)
        assert abs(int(one(tmp_path / "b", encoded(half))[0, 0, 0]) - 127) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright_as_its_exif_says(orientation, tmp_path):
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    stored = {  # how a camera held like this sees it
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T, 6: np.rot90(upright),
        7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(np.ascontiguousarray(stored)[..., None], exif=exif)
    np.testing.assert_array_equal(one(tmp_path / "a", content)[..., 0], upright)


def test_classes_are_subfolders_in_the_order_of_bytes(tmp_path):
    names = ["b", "a-b", "a", "Z", "é", b"\xff"]
    files = {}
    for c, name in enumerate(names):
        files |= {os.fsencode(name) + f"/{i}.png".encode(): X[3 * c + i] for i in range(3)}
    dataset = load_folder(folder_of(tmp_path / "a", files), size=None)
    ordered = sorted(names, key=os.fsencode)
    assert ordered == ["Z", "a", "a-b", "b", "é", b"\xff"]
    expected = {X[3 * c + i].tobytes(): ordered.index(name) for c, name in enumerate(names) for i in range(3)}
    assert by_content(dataset) == expected
    assert dataset.num_classes == 6
    assert r"labels count the classes: Z, a, a-b, b, é, \xff" in dataset.provenance


@pytest.mark.slow
def test_fault_13_the_order_of_files_is_that_of_their_bytes_under_every_locale(tmp_path):
    names = [b"B.png", b"a.png", b"\xff.png", b"new\nline.png", "é.png".encode(), b"10.png", b"9.png", b"a .PNG"]
    names += [f"x{i}.png".encode() for i in range(12)]
    folder_of(tmp_path / "a", dict(zip(names, X, strict=True)))
    ranks = [names.index(name) for name in sorted(names)]
    order = np.random.RandomState(0).permutation(N)
    expected = X[[ranks[row] for row in order]]
    dataset = load_folder(tmp_path / "a", size=None)
    np.testing.assert_array_equal(np.concatenate([split.x for split in splits(dataset)]), expected)
    code = (
        "import locale, sys; locale.setlocale(locale.LC_ALL, '')\n"
        "from genjax_models.data.image_folder import load_folder\n"
        "sys.stdout.buffer.write(load_folder(sys.argv[1], size=None).train.x.tobytes())"
    )
    for locale in ("C", "C.UTF-8"):
        environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0"}
        answer = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "a"], env=environment, capture_output=True, check=True
        )
        assert answer.stdout == expected[:16].tobytes()


@pytest.mark.parametrize(
    ("name", "in_words"),
    [
        (b"\xff\xfe.png", r"\\xff\\xfe\.png"),
        (b"two\nlines.png", r"two\\nlines\.png"),
        ("é日.png".encode(), "é日\\.png"),
        (b"esc\x1b[0m.png", r"esc\\x1b\[0m\.png"),
    ],
)
def test_the_name_of_a_bad_file_stays_on_one_line_in_any_encoding(name, in_words, tmp_path):
    folder = folder_of(tmp_path / "a", numbered() | {name: b"no image"})
    with pytest.raises(InputError, match=rf"/a/{in_words}: cannot be read as an image") as error:
        load_folder(folder)
    message = str(error.value)
    assert message.isprintable()
    message.encode()  # no lone surrogates, that a log could not write


@pytest.mark.parametrize("root", [b"\xff", b"new\nline"])
def test_a_folder_of_any_name_is_named_as_text(root, tmp_path):
    folder = os.fsdecode(os.path.join(os.fsencode(tmp_path), root))
    folder_of(folder, numbered())
    dataset = load(folder)
    assert (dataset.name + dataset.provenance).isprintable()
    dataset.provenance.encode()


@pytest.mark.parametrize(
    ("layout", "sizes"),
    [
        ({"train": X[:12], "test": X[12:]}, (11, 1, 8)),
        ({"Train": X[:12], "TEST": X[12:]}, (11, 1, 8)),
        ({"train": X[:12], "validation": X[12:15], "test": X[15:]}, (12, 3, 5)),
        ({"train": X[:12], "valid": X[12:15], "test": X[15:]}, (12, 3, 5)),
        ({"train": X[:12], "val": X[12:15], "test": X[15:]}, (12, 3, 5)),
    ],
)
@pytest.mark.parametrize("classes", [1, 2, 0])
def test_splits_of_a_folder_are_its_own(layout, sizes, classes, tmp_path):
    files = {
        f"{split}/{f'class{i % classes}/' if classes else ''}{i}.png": image
        for split, x in layout.items()
        for i, image in enumerate(x)
    }
    dataset = load_folder(folder_of(tmp_path / "a", files), size=None)
    assert tuple(len(split.x) for split in splits(dataset)) == sizes
    assert dataset.num_classes == (classes or None)
    if classes:
        expected = {image.tobytes(): i % classes for x in layout.values() for i, image in enumerate(x)}
        assert by_content(dataset) == expected
    assert {x.tobytes() for x in dataset.test.x} == {x.tobytes() for x in list(layout.values())[-1]}
    assert ("validation is a tenth of training" in dataset.provenance) == (len(layout) == 2)


WORDS = {
    "train": ["training", "TRAIN", "Train_Set", "trainset", "train2017", "train-images", "images_train", "trnData"],
    "test": ["testing", "Test", "test set", "testset", "test2017", "img_test", "X_test", "holdout", "held-out", "eval"],
    "validation": ["val", "valid", "dev", "Validation", "val2017", "val_images", "development", "validation split"],
}


def in_splits(*names, classes=0):
    """Files of splits of these names: 12 images in the first, and then 3 in each."""
    parts = [slice(0, 12), *(slice(start, start + 3) for start in (12, 15, 17))]
    return {
        f"{name}/{f'class{i % classes}/' if classes else ''}{i}.png": image
        for name, part in zip(names, parts, strict=False)
        for i, image in enumerate(X[part])
    }


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        *[(name, "validation", "test") for name in WORDS["train"]],
        *[("train", name, "test") for name in (*WORDS["validation"], "eval", "evaluation")],
        *[("train", "validation", name) for name in WORDS["test"]],
        ("training", "dev", "testing"),
    ],
)
def test_fault_71_splits_by_another_name_are_splits(train, validation, test, tmp_path):
    folder = folder_of(tmp_path / "a", in_splits(train, validation, test, classes=2))
    dataset = load_folder(folder, size=None)
    for split, part in zip(splits(dataset), (X[:12], X[12:15], X[15:18]), strict=True):
        assert {x.tobytes() for x in split.x} == {x.tobytes() for x in part}
    assert dataset.num_classes == 2
    assert "the splits are the folder's own" in dataset.provenance


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("held_out", ["validation", "val", "valid", "dev", "Val2017"])
def test_fault_71_train_and_validation_are_enough(held_out, stream, classes, tmp_path):
    folder = folder_of(tmp_path / "a", in_splits("train", held_out, classes=classes))
    dataset = load_folder(folder, size=None, stream=stream)
    assert [len(split.x) for split in splits(dataset)] == [11, 1, 3]
    assert {x.tobytes() for x in dataset.test.x} == {x.tobytes() for x in X[12:15]}
    note = "; train is the folder's own, test is its own validation split; validation is a tenth of training"
    assert note in dataset.provenance


@pytest.mark.parametrize("held_out", ["test", "eval", "evaluation", "hold-out"])
@pytest.mark.parametrize("train", ["train", "training"])
def test_fault_71_train_and_test_by_another_name_are_enough(train, held_out, tmp_path):
    dataset = load_folder(folder_of(tmp_path / "a", in_splits(train, held_out)), size=None)
    assert {x.tobytes() for x in dataset.test.x} == {x.tobytes() for x in X[12:15]}
    assert dataset.num_classes is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train", "test", "cats"], "test is the name of a split, but cats is not. Rename test if it is a"),
        (["training", "plane"], "training is the name of a split, but plane is not"),
        (["train", "plane"], "train is the name of a split, but plane is not. Rename train if it is a class"),
        (["train", "extra"], "train is the name of a split, but extra is not"),
        (["dev", "cats"], "dev is the name of a split, but cats is not"),
        (["train", "test", "unlabeled"], "test is the name of a split, but unlabeled is not"),
        (["train", "training", "test"], "train, training are several names of one split. Keep one"),
        (["train", "val", "test", "dev"], "dev, val are several names of one split. Keep one"),
        (["train", "val", "test", "eval"], "eval, val are several names of one split. Keep one"),
        (["training"], "must hold train/ and test/ or validation/, or no split, got only training"),
        (["test", "val"], "must hold train/ and test/ or validation/, or no split, got only test, val"),
        (["testing"], "must hold train/ and test/ or validation/, or no split, got only testing"),
        (["seg_train", "seg_test", "seg_pred"], "seg_pred, seg_test, seg_train seem to be splits, and may be classes"),
        (["trainA", "trainB", "testA", "testB"], "testA, testB, trainA, trainB seem to be splits"),
        (["train_full", "val_full"], "train_full, val_full seem to be splits"),
    ],
)
@pytest.mark.parametrize("classes", [0, 2])
def test_fault_71_other_folders_of_splits_are_refused(names, message, classes, tmp_path):
    with pytest.raises(InputError, match=f"/a: {message}"):
        load_folder(folder_of(tmp_path / "a", in_splits(*names, classes=classes)))


@pytest.mark.parametrize("names", [["bullet_train", "steam_train"], ["trainer", "tester"], ["Valencia", "Devon"]])
def test_fault_71_other_names_are_classes(names, tmp_path):
    dataset = load_folder(folder_of(tmp_path / "a", in_splits(*names)), size=None)
    assert dataset.num_classes == len(names)


def test_fault_71_images_of_train_and_validation_must_differ(tmp_path):
    folder = folder_of(tmp_path / "a", in_splits("train", "val") | {"val/copy.png": X[0]})
    with pytest.raises(InputError, match="1 of 4 validation images equal training images after decoding"):
        load_folder(folder, size=None)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has neither idx files nor images; accepted are mnist10k, "),
        ({"notes.txt": b""}, "has neither idx files nor images"),
        ({"a/notes.txt": b""}, "a/a: holds no images \\(1 \\.txt instead\\); accepted are images; or"),
        ({"1.png": X[0], "a/1.png": X[1]}, r"/a: holds images \(1\.png\) and folders \(a\); accepted are images; or a"),
        ({"a/1.png": X[0], "b/c/1.png": X[1]}, "a/b: holds the folder c; accepted are"),
        ({"a/1.png": X[0], "b/notes.txt": b""}, "a/b: holds no images \\(1 \\.txt instead\\); accepted are"),
        ({"train/1.png": X[0]}, "must hold train/ and test/ or validation/, or no split, got only train$"),
        ({"train/1.png": X[0], "valid/1.png": X[1]}, "needs at least 10 examples for three splits, got 1"),
        (
            {"train/1.png": X[0], "test/1.png": X[1], "1.png": X[2]},
            r"test is the name of a split, but 1\.png is not",
        ),
        (
            {"train/1.png": X[0], "test/1.png": X[1], "val/1.png": X[2], "valid/1.png": X[3]},
            "val, valid are several names of one split",
        ),
        ({**numbered(X[:12], "train/a/"), **numbered(X[12:], "test/b/")}, "test/b/.*: training has no class b"),
        ({**numbered(X[:12], "train/a/"), **numbered(X[12:], "test/")}, "only the train and validation split has lab"),
        (numbered(X[:9]), "needs at least 10 examples for three splits, got 9"),
    ],
)
def test_another_layout_is_refused(files, message, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=message):
        load(str(folder_of(tmp_path / "a", files)))


@pytest.mark.parametrize("name", ["images:/no/such/folder", "images:a\0b", "images:~no-such-user/x"])
def test_a_missing_folder_is_an_error(name):
    with pytest.raises(InputError, match="the folder cannot be read"):
        load(name)


def test_a_test_image_that_is_a_training_image_is_refused_by_name(tmp_path):
    files = numbered(X[:12], "train/") | numbered(X[10:], "test/")
    with pytest.raises(
        InputError,
        match=r"2 of 10 test images equal training images after decoding \(.*test/000\.png and .*train/010\.png\)",
    ):
        load_folder(folder_of(tmp_path / "a", files), size=None)


def test_copies_of_an_image_stay_in_one_split(tmp_path):
    files = numbered() | numbered(X, start=100)
    dataset = load_folder(folder_of(tmp_path / "a", files), size=None)
    contents = [{x.tobytes() for x in split.x} for split in splits(dataset)]
    assert [len(split.x) for split in splits(dataset)] == [32, 4, 4]
    assert [len(content) for content in contents] == [16, 2, 2]
    assert len(set.union(*contents)) == N
    assert "20 of 40 examples are copies, each kept in the split of its like" in dataset.provenance


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width, height):
    """The header of a PNG of that size, with few bytes after it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("side", "size"),
    [(9_000, "9000 x 9000 pixels"), (10_000, "10000 x 10000 pixels"), (100_000, "10000000000 pixels")],
)
@pytest.mark.parametrize("skip_unreadable", [False, True])
def test_fault_14_a_decompression_bomb_is_refused_by_name_and_size(side, size, skip_unreadable, tmp_path):
    folder = folder_of(tmp_path / "a", numbered() | {"bomb.png": bomb(side, side)})
    with pytest.raises(
        InputError, match=rf"bomb\.png: an image must have at most 64000000 pixels \(max_pixels\), got {size}"
    ):
        load_folder(folder, skip_unreadable=skip_unreadable)


def test_the_limit_on_pixels_can_be_moved(tmp_path):
    folder = folder_of(tmp_path / "a", numbered())
    load_folder(folder, max_pixels=36)
    with pytest.raises(InputError, match=r"000\.png: an image must have at most 35 pixels \(max_pixels\), got 6 x 6"):
        load_folder(folder, max_pixels=35)


def unreadable():
    png, jpeg = encoded(X[0]), encoded(X[0].repeat(20, 0).repeat(20, 1), "jpeg")
    deep = Image.fromarray(np.arange(36, dtype=np.uint16).reshape(6, 6) * 1000)
    frames = [picture(x) for x in X[:2]]
    return {
        "empty": (b"", "not an image of a known format, PNG, JPEG"),
        "a web page": (b"<html>404 Not Found</html>", "not an image of a known format"),
        "a cut PNG": (png[:-30], "truncated|broken|Truncated"),
        "a cut JPEG": (jpeg[: len(jpeg) // 2], "truncated"),
        "a flipped bit": (png[:60] + bytes([png[60] ^ 1]) + png[61:], "Error"),
        "16 bits": (encoded(deep), "mode I;16, more than 8 bits"),
        "two frames": (encoded(frames[0], "gif", save_all=True, append_images=frames[1:]), "2 frames, not one"),
        "PostScript": (encoded(X[0], "eps"), "not an image of a known format"),
    }


@pytest.mark.parametrize("kind", unreadable())
def test_fault_11_an_unreadable_image_is_named_or_skipped_on_request(kind, tmp_path):
    content, reason = unreadable()[kind]
    folder = folder_of(tmp_path / "a", numbered() | {"007.png": content})
    with pytest.raises(
        InputError, match=rf"/a/007\.png: cannot be read as an image \(.*({reason}).*skip_unreadable=True"
    ):
        load_folder(folder, size=None)
    message = r"a: 1 of 20 images cannot be read and are skipped, the first is .*/a/007\.png"
    for _ in range(2):  # decoded, and from the cache
        with pytest.warns(UserWarning, match=message) as warned:
            dataset = load_folder(folder, size=None, skip_unreadable=True)
        assert len(warned) == 1
        assert by_content(dataset) == {x.tobytes(): None for x in np.delete(X, 7, axis=0)}
        assert f"1 of 20 images cannot be read and are skipped: {folder}/007.png" in dataset.provenance
    with pytest.raises(
        InputError, match="cannot be read"
    ):  # the cache of a run that skips is not used without skipping
        load_folder(folder, size=None)


def test_labels_stay_with_their_images_where_one_is_skipped(tmp_path):
    files = {f"{i % 2}/{i:03}.png": x for i, x in enumerate(X)} | {"0/0004.png": b"", "1/9.png": X[0] // 2}
    with pytest.warns(UserWarning, match="1 of 22"):
        dataset = load_folder(folder_of(tmp_path / "a", files), size=None, skip_unreadable=True)
    assert by_content(dataset) == {x.tobytes(): i % 2 for i, x in enumerate(X)} | {(X[0] // 2).tobytes(): 1}


@pytest.mark.parametrize(("n", "bad", "limit"), [(20, 2, 1), (250, 3, 2)])
def test_fault_11_more_than_one_percent_unreadable_is_refused(n, bad, limit, tmp_path):
    many = np.random.RandomState(0).randint(0, 256, (n, 2, 2, 3)).astype(np.uint8)
    files = numbered(many) | {f"{i:03}.png": b"" for i in range(bad)}
    message = rf"{bad - 1:03}\.png: `skip_unreadable` accepts at most {limit} unreadable of {n} images, got {bad}"
    with pytest.raises(InputError, match=message):
        load_folder(folder_of(tmp_path / "a", files), size=None, skip_unreadable=True)
    (tmp_path / "a" / "000.png").write_bytes(encoded(many[0]))
    with pytest.warns(UserWarning, match=f"{bad - 1} of {n} images"):
        load_folder(tmp_path / "a", size=None, skip_unreadable=True)


def test_a_pipe_or_a_broken_link_is_named_without_waiting(tmp_path):
    folder = folder_of(tmp_path / "a", numbered())
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png: cannot be read as an image \(not a regular file\)"):
        load_folder(folder)
    os.unlink(folder / "pipe.png")
    os.symlink("nowhere", folder / "link.png")
    with pytest.raises(InputError, match=r"link\.png: cannot be read as an image \(No such file"):
        load_folder(folder)


def test_links_are_followed(tmp_path):
    folder_of(tmp_path / "a", numbered(X[:10], "real/"))
    folder_of(tmp_path / "b", numbered(X[10:]))
    os.symlink(tmp_path / "b", tmp_path / "a" / "linked")
    assert load_folder(tmp_path / "a", size=None).num_classes == 2


def test_other_files_and_hidden_ones_are_ignored_and_counted(tmp_path):
    others = {"notes.txt": b"", ".DS_Store": b"", "._000.png": b"", "Thumbs.db": b"", ".git/x.png": b""}
    warning = r"2 of 22 files are left out, because they do not end in \.png, .*: 2 hidden, 1 \.db, 1 \.txt$"
    with pytest.warns(UserWarning, match=warning):
        dataset = load_folder(folder_of(tmp_path / "a", numbered() | others), size=None)
    assert "; left out are 2 hidden, 1 .db, 1 .txt" in dataset.provenance
    files = numbered(X[:12], "train/") | numbered(X[12:], "test/") | {"notes.txt": b"", "test/notes.txt": b""}
    with pytest.warns(UserWarning, match=r"2 of 22 files are left out, .*: 2 \.txt$"):
        assert "; left out are 2 .txt" in load_folder(folder_of(tmp_path / "b", files)).provenance
    (tmp_path / "c").mkdir()
    hidden = load_folder(folder_of(tmp_path / "c", numbered() | {".DS_Store": b""}))  # without a warning
    assert "; left out are 1 hidden" in hidden.provenance


def decoded(monkeypatch):
    """A list that grows with each decoded image."""
    calls, decode = [], image_decoding.image.decode
    monkeypatch.setattr(image_decoding.image, "decode", lambda *a, **options: calls.append(1) or decode(*a, **options))
    return calls


def test_images_are_decoded_once(tmp_path, monkeypatch, cache):
    folder, calls = folder_of(tmp_path / "a", numbered()), decoded(monkeypatch)
    first = load_folder(folder)
    assert len(calls) == N
    (file,) = cache.iterdir()
    with np.load(file, allow_pickle=False) as arrays:
        assert arrays["x"].dtype == np.uint8
    again, elsewhere = load_folder(folder), load_folder(folder_of(tmp_path / "b", numbered()))
    assert len(calls) == N  # from the cache, and the same files anywhere have the same key
    np.testing.assert_array_equal(first.train.x, again.train.x)
    np.testing.assert_array_equal(first.train.x, elsewhere.train.x)
    load_folder(folder, cache=tmp_path / "mine")
    assert len(calls) == 2 * N
    assert len(list((tmp_path / "mine").iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"size": 16}},
        {"options": {"fit": "resize"}},
        {"options": {"max_pixels": 100}},
        {"options": {"skip_unreadable": True}},
        {"files": {"003.png": X[3] ^ 1}},
        {"files": {"100.png": X[3] ^ 1}},
        {"rename": ("003.png", "zzz.png")},
        {"rename": ("003.png", "003b.png")},  # in the same place
    ],
)
def test_another_rule_name_or_content_is_decoded_anew(change, tmp_path, monkeypatch):
    folder, calls = folder_of(tmp_path / "a", numbered()), decoded(monkeypatch)
    load_folder(folder)
    folder_of(folder, change.get("files", {}))
    if "rename" in change:
        old, new = change["rename"]
        (folder / old).rename(folder / new)
    load_folder(folder, **change.get("options", {}))
    assert len(calls) >= 2 * N


def test_a_damaged_cache_is_written_again_and_never_used(tmp_path, monkeypatch, cache):
    folder = folder_of(tmp_path / "a", numbered())
    expected = load_folder(folder).train.x
    (file,) = cache.iterdir()
    sound = file.read_bytes()
    damaged = [sound[:cut] for cut in (0, 1, 100, len(sound) // 2, len(sound) - 1)]
    damaged += [
        sound[:at] + bytes([sound[at] ^ 8]) + sound[at + 1 :]
        for at in (0, 40, 130, 200, len(sound) // 2, len(sound) - 60)
    ]
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros((3, 32, 32, 3), np.uint8), skipped=np.zeros(0, np.int64))
    pickled = io.BytesIO()
    np.savez(pickled, x=np.array([{}]), skipped=np.zeros(0, np.int64))
    for data in [*damaged, buffer.getvalue(), pickled.getvalue(), b"<html>"]:
        file.write_bytes(data)
        np.testing.assert_array_equal(load_folder(folder).train.x, expected)
    assert file.read_bytes() == sound
    assert [path.name for path in cache.iterdir()] == [file.name]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_fault_64_a_cache_that_others_may_write_to_is_refused(mode, stream, tmp_path, cache):
    folder = folder_of(tmp_path / "a", numbered())
    cache.mkdir(parents=True)
    cache.chmod(mode)
    with pytest.raises(InputError, match=f"^{cache}: other users may write to the cache. .*: chmod go-w {cache}$"):
        load_folder(folder, stream=stream)
    assert not list(cache.iterdir())
    cache.chmod(mode & ~0o022)
    load_folder(folder, stream=stream)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_fault_64_a_cache_of_another_user_is_refused_and_files_of_others_are_not_used(tmp_path, monkeypatch, cache):
    folder, calls = folder_of(tmp_path / "a", numbered()), decoded(monkeypatch)
    load_folder(folder)
    (file,) = cache.iterdir()
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    os.chown(file, 4321, -1)
    load_folder(folder)
    assert len(calls) == 2 * N
    os.chown(cache, 4321, -1)
    with pytest.raises(InputError, match="the cache belongs to another user"):
        load_folder(folder)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("instead", ["another's", "a link", "a pipe", "open"])
def test_fault_64_other_files_in_the_cache_are_written_again(instead, stream, tmp_path, monkeypatch, cache):
    """Also the files of another folder, whole and under this folder's key."""
    folder, other = folder_of(tmp_path / "a", numbered()), folder_of(tmp_path / "b", numbered(X ^ 255))
    load_folder(other, stream=stream)
    foreign = {file.suffix: file.rename(tmp_path / file.name) for file in list(cache.iterdir())}
    calls = decoded(monkeypatch)
    expected = np.asarray(load_folder(folder, stream=stream).train.x)
    for file in list(cache.iterdir()):
        if instead == "another's":
            file.write_bytes(foreign[file.suffix].read_bytes())
        elif instead == "a link":
            file.symlink_to(file.rename(tmp_path / "elsewhere").rename(tmp_path / file.name))
        elif instead == "a pipe":
            file.unlink()
            os.mkfifo(file)
        else:
            file.chmod(0o666)
    np.testing.assert_array_equal(load_folder(folder, stream=stream).train.x, expected)
    assert len(calls) == 2 * N
    assert all(file.is_file() and not file.is_symlink() for file in cache.iterdir())


def test_a_cache_that_cannot_be_written_is_only_a_warning(tmp_path, cache):
    folder = folder_of(tmp_path / "a", numbered())
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file is in its place")
    with pytest.warns(UserWarning, match="decoded images are not kept"):
        dataset = load_folder(folder, size=None)
    assert len(by_content(dataset)) == N


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch, cache):
    folder = folder_of(tmp_path / "a", numbered())

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_cache.np, "savez", full)
    with pytest.warns(UserWarning, match="are not kept .*No space left"):
        load_folder(folder)
    assert not list(cache.iterdir())


def test_leftovers_of_a_killed_write_are_removed_at_the_next_start(tmp_path, cache):
    folder = folder_of(tmp_path / "a", numbered())
    code = (
        "import os, signal, sys\n"
        "from genjax_models.data.image_folder import load_folder\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "load_folder(sys.argv[1])\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder)]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == -signal.SIGKILL
    (leftover,) = cache.iterdir()
    assert leftover.suffix == ".tmp"
    in_use, foreign = cache / f"{'0' * 64}.another.tmp", cache / "foreign.tmp"
    foreign.write_text("somebody else's")
    with in_use.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        load_folder(folder)
        kept = {path.name for path in cache.iterdir()}
        assert kept == {leftover.name.split(".")[0] + ".npz", in_use.name, foreign.name}
    load_folder(folder)  # from the cache; the lock is released
    assert {path.name for path in cache.iterdir()} == kept - {in_use.name}


def test_a_write_in_progress_is_not_taken_for_a_leftover(tmp_path, monkeypatch, cache):
    folder, savez = folder_of(tmp_path / "a", numbered()), np.savez

    def and_clean(file, **arrays):
        savez(file, **arrays)
        image_cache._clean(cache)

    monkeypatch.setattr(image_cache.np, "savez", and_clean)
    load_folder(folder)
    assert [path.suffix for path in cache.iterdir()] == [".npz"]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, cache):
    folder, digest = folder_of(tmp_path / "a", numbered()), image_cache._digest

    def and_change(path):
        result = digest(path)
        if path.endswith(b"005.png"):
            folder_of(folder, {"005.png": X[5] ^ 1})
        return result

    monkeypatch.setattr(image_cache, "_digest", and_change)
    with pytest.raises(InputError, match=r"005\.png: changed while it was being read"):
        load_folder(folder)
    assert not cache.exists()


def test_fault_49_images_are_decoded_in_threads_and_the_progress_is_shown(tmp_path, monkeypatch, capfd):
    threads, decode = set(), image_decoding.image.decode
    together = threading.Barrier(2, timeout=20)

    def meeting(*arguments, **options):
        if len(threads) < 2:
            threads.add(threading.get_ident())
            together.wait()
        return decode(*arguments, **options)

    monkeypatch.setattr(image_decoding.image, "decode", meeting)
    monkeypatch.setattr(image_decoding.terminal, "redraws", lambda stream: True)
    load_folder(folder_of(tmp_path / "a", numbered()))
    assert len(threads) == 2
    assert "decoding images" in capfd.readouterr().err


def test_in_a_log_progress_is_lines_and_only_where_it_takes_long(tmp_path, monkeypatch, capfd):
    load_folder(folder_of(tmp_path / "a", numbered()))
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(image_decoding.terminal, "Every", lambda seconds: lambda: True)
    load_folder(folder_of(tmp_path / "a", numbered(X ^ 1)))
    lines = capfd.readouterr().err.splitlines()
    assert set(lines) == {f"{what} images: {i + 1} of {N}" for what in ("reading", "decoding") for i in range(N)}


def test_warnings_of_pillow_are_no_errors_and_the_filters_stay(tmp_path):
    content = encoded(X[0], exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\xff\x7f\x08\0\0\0")
    before = list(warnings.filters)
    load_folder(folder_of(tmp_path / "a", numbered() | {"000.png": content}), size=None)
    with pytest.raises(InputError):
        load_folder(folder_of(tmp_path / "a", {"000.png": b""}), size=None)
    assert warnings.filters == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "`size` must be an integer from 1 to 4096, two such .*, or None, got 0"),
        ({"size": True}, "`size` must be an integer .* got True"),
        ({"size": 32.0}, r"`size` must be an integer .* got 32\.0"),
        ({"fit": "stretch"}, "`fit` must be one of crop, resize, pad, got 'stretch'"),
        ({"max_pixels": 0}, "`max_pixels` must be an integer from 1 to 178956970, got 0"),
        ({"max_pixels": 10**9}, "`max_pixels` must be an integer from 1 to 178956970"),
    ],
)
def test_options_are_checked_before_anything_is_read(options, message):
    with pytest.raises(InputError, match=message):
        load_folder("/no/such/folder", **options)


def test_a_range_is_checked_against_the_pixels(tmp_path):
    folder = folder_of(tmp_path / "a", numbered())
    assert load(str(folder), range=(0, 255)).range == (0, 255)
    with pytest.raises(InputError, match=r"uint8 values must be in \[0, 1\]"):
        load(f"images:{folder}", range=(0, 1))


def test_without_pillow_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match="pip install pillow"):
        load_folder(tmp_path)
