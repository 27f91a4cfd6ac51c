"""Every file is read exactly, or refused by name; damage never raises another exception."""

import gzip
import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from genjax_models.data import idx, load, mnist
from genjax_models.errors import InputError

N = 24
X = np.random.RandomState(0).randint(0, 256, (N, 4, 3)).astype(np.uint8)
Y = np.arange(N) % 3
IDX_FILES = {
    "train-images-idx3-ubyte": X,
    "train-labels-idx1-ubyte": Y,
    "t10k-images-idx3-ubyte": 255 - X[:6],
    "t10k-labels-idx1-ubyte": Y[:6],
}


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def idx_bytes(array, kind=0x08):
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype("u1").tobytes()


def idx_folder(folder, suffix="", **changes):
    """Writes the four idx files, some of them changed; `None` leaves a file out."""
    folder.mkdir()
    for name, array in IDX_FILES.items():
        array = changes.get(name.replace("-", "_"), array)
        if array is not None:
            data = array if isinstance(array, bytes) else idx_bytes(array)
            (folder / f"{name}{suffix}").write_bytes(gzip.compress(data) if suffix else data)
    return folder


def encoded(kind):
    """The bytes of one small valid file."""
    buffer = io.BytesIO()
    match kind:
        case ".npy":
            np.save(buffer, X)
        case ".npz":
            np.savez(buffer, x=X, y=Y)
        case "compressed.npz":
            np.savez_compressed(buffer, x=X, y=Y)
        case ".gz":
            return gzip.compress(idx_bytes(X))
        case "":
            return idx_bytes(X)
    return buffer.getvalue()


def splits(dataset):
    return dataset.train, dataset.validation, dataset.test


def rows(dataset):
    return {split.x[i].tobytes() for split in splits(dataset) for i in range(len(split.x))}


def test_mnist10k_is_all_of_its_images_in_splits_that_share_none():
    dataset = load("mnist10k")
    assert [split.x.shape for split in splits(dataset)] == [(n, 28, 28, 1) for n in (8_000, 1_000, 1_000)]
    assert (dataset.range, dataset.num_classes, dataset.train.x.dtype) == ((0, 255), 10, np.uint8)
    assert len(rows(dataset)) == 10_000  # no image of these occurs twice
    counts = sum(np.bincount(split.label, minlength=10) for split in splits(dataset))
    np.testing.assert_array_equal(counts, [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978])
    for split, again in zip(splits(dataset), splits(load("mnist10k")), strict=True):
        np.testing.assert_array_equal(split.x, again.x)
        np.testing.assert_array_equal(split.label, again.label)


def test_a_damaged_mnist10k_is_refused(tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "mnist10k.npz").write_bytes(encoded(".npz"))
    monkeypatch.setattr(mnist.resources, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match=r"mnist10k\.npz: is damaged .*Install the package again"):
        load("mnist10k")


def test_without_fashion_mnist_the_error_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_FASHION_MNIST", tmp_path / "absent")
    with pytest.raises(InputError, match=r"not at .*absent\. Install Debian's package dataset-fashion-mnist"):
        load("fashion_mnist")


def test_fashion_mnist_is_a_folder_of_idx_files(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_FASHION_MNIST", idx_folder(tmp_path / "fashion-mnist", ".gz"))
    dataset = load("fashion_mnist")
    assert dataset.name == "fashion_mnist"
    np.testing.assert_array_equal(dataset.test.x[..., 0], 255 - X[:6])


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("mnist", "mnist10k"),
        ("mnist10", "mnist10k"),
        ("MNIST10k", "mnist10k"),
        ("fashion-mnist", "fashion_mnist"),
        ("fashion_minst", "fashion_mnist"),
        ("Fashion_MNIST", "fashion_mnist"),
    ],
)
def test_a_misspelt_name_suggests_the_nearest(name, nearest):
    with pytest.raises(
        InputError, match=rf"no data set '{name}' \(did you mean '{nearest}'\?\); accepted are mnist10k, fas"
    ):
        load(name)


@pytest.mark.parametrize("name", ["cifar10", "images:", "/no/such/file.npz", "a\0b", "~no-such-user/x.npz", "x" * 300])
def test_an_unknown_name_lists_the_accepted_names(name):
    with pytest.raises(
        InputError, match=r"accepted are mnist10k, fashion_mnist, bars_and_stripes, rivers.*, a \.npz, |cannot be read"
    ) as e:
        load(name)
    assert "did you mean" not in str(e.value)


@pytest.mark.parametrize(
    ("name", "public"),
    [
        *(("cifar10", "cifar10"), ("CIFAR-10", "cifar10"), ("cifr10", "cifar10"), ("CelebA", "celeb_a")),
        *(("SVHN", "svhn_cropped"), ("mnist", "mnist"), ("3DShapes", "shapes3d"), ("plant_village", "plant_village")),
    ],
)
def test_a_public_name_in_any_spelling_is_answered_by_that_of_tensorflow_datasets(name, public):
    with pytest.raises(InputError) as error:
        load(name)
    assert str(error.value).endswith(f". A data set of TensorFlow Datasets is tfds:{public}")


@pytest.mark.parametrize("name", ["photos/mine", "mine.npz", "Fashion-MNIST"])
def test_a_path_or_a_name_of_the_package_is_no_public_name(name):
    with pytest.raises(InputError) as error:
        load(name)
    assert "TensorFlow Datasets" not in str(error.value)


def test_a_known_data_set_accepts_no_range():
    with pytest.raises(InputError, match=r"'mnist10k' has its own range, so `range` must be None, got \(-1, 1\)"):
        load("mnist10k", range=(-1, 1))


@pytest.mark.parametrize("kind", [".npy", ".npz", "compressed.npz"])
def test_one_array_becomes_three_disjoint_splits(kind, tmp_path):
    path = tmp_path / f"data{kind}"
    path.write_bytes(encoded(kind))
    dataset, again = load(str(path)), load(str(path))
    assert [len(split.x) for split in splits(dataset)] == [20, 2, 2]
    assert rows(dataset) == {image.tobytes() for image in X}
    np.testing.assert_array_equal(dataset.train.x, again.train.x)
    assert str(path) in dataset.provenance
    if kind != ".npy":
        label = {image.tobytes(): y for image, y in zip(X, Y, strict=True)}
        for split in splits(dataset):
            np.testing.assert_array_equal(split.label, [label[image.tobytes()] for image in split.x])


def test_images_and_labels_are_other_names_of_x_and_y(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    np.savez(tmp_path / "b.npz", images=X, labels=Y)
    a, b = load(str(tmp_path / "a.npz")), load(str(tmp_path / "b.npz"))
    np.testing.assert_array_equal(a.test.x, b.test.x)
    np.testing.assert_array_equal(a.test.label, b.test.label)


@pytest.mark.parametrize("validation", [True, False])
def test_splits_of_a_file_are_its_own(validation, tmp_path):
    held_out = {"x_validation": X[10:12], "y_validation": Y[10:12]} if validation else {}
    np.savez(tmp_path / "a.npz", x_train=X[:10], y_train=Y[:10], x_test=X[20:], y_test=Y[20:], **held_out)
    dataset = load(str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(dataset.test.x[..., 0], X[20:])
    np.testing.assert_array_equal(dataset.test.label, Y[20:])
    assert [len(split.x) for split in splits(dataset)] == ([10, 2, 4] if validation else [9, 1, 4])
    assert len(rows(dataset)) == (16 if validation else 14)


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_an_example_in_two_splits_of_a_file_is_refused_by_its_own_rows(held_out, tmp_path):
    arrays = {"x_train": X[:12], "x_validation": X[12:18], "x_test": X[18:]}
    arrays[f"x_{held_out}"] = np.concatenate([arrays[f"x_{held_out}"], X[5:7]])
    np.savez(tmp_path / "a.npz", **arrays)
    message = (
        rf"a\.npz: 2 of 8 examples of x_{held_out} are in x_train too \(row 6 of x_{held_out} is row 5 of x_train\)"
    )
    with pytest.raises(InputError, match=message):
        load(str(tmp_path / "a.npz"))


def test_copies_in_one_array_stay_in_one_split(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.concatenate([X, X]), y=np.concatenate([Y, Y]))
    dataset = load(str(tmp_path / "a.npz"))
    assert [len({x.tobytes() for x in split.x}) for split in splits(dataset)] == [20, 2, 2]
    assert len(rows(dataset)) == N
    assert "24 of 48 examples are copies" in dataset.provenance


@pytest.mark.parametrize("copies", [True, False])
def test_a_test_image_among_training_images_is_refused_in_a_folder_and_counted_in_a_named_set(
    copies, tmp_path, monkeypatch
):
    images = np.concatenate([255 - X[:5], X[3:4]]) if copies else 255 - X[:6]
    folder = idx_folder(tmp_path / "idx", t10k_images_idx3_ubyte=images)
    monkeypatch.setattr(mnist, "_FASHION_MNIST", folder)
    assert ("1 of 6 test examples are in training too" in load("fashion_mnist").provenance) == copies
    if copies:
        message = "idx: 1 of 6 examples of test images are in train images too .row 5 of test images is row 3 of train"
        with pytest.raises(InputError, match=message):
            load(str(folder))


@pytest.mark.skipif(not mnist._FASHION_MNIST.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist_holds_no_image_twice():
    dataset = load("fashion_mnist")
    assert [len(split.x) for split in splits(dataset)] == [55_000, 5_000, 10_000]
    assert len(rows(dataset)) == 70_000


def test_a_declared_range_is_checked_and_kept(tmp_path):
    np.save(tmp_path / "a.npy", X / np.float32(127.5) - 1)
    assert load(str(tmp_path / "a.npy"), range=(-1, 1), kind="images").range == (-1, 1)
    with pytest.raises(InputError, match=r"a.npy, .* must be in \[0, 1\]"):
        load(str(tmp_path / "a.npy"), kind="images")


def test_deviations_beside_codes_are_no_data(tmp_path):
    parts = dict(zip(("train", "validation", "test"), np.split(X.astype(np.float32) / 255, [16, 20]), strict=True))
    arrays = {f"{name}_{split}": part for name in ("x", "sd") for split, part in parts.items()}
    np.savez(tmp_path / "codes.npz", **arrays)
    data = load(str(tmp_path / "codes.npz"), kind="images")
    np.testing.assert_array_equal(data.test.x[..., 0], parts["test"])
    assert "; 3 other arrays ignored" in data.provenance


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": X}, r"the keys must be x \[and y, length, factors\]; or x_train.*; got \['pixels'\]"),
        ({"x": X, "weights": X}, r"the keys must be .*; got \['weights', 'x'\]"),
        ({"x_train": X}, r"the keys must be .*; got \['x_train'\]"),
        ({"x": X, "images": X[::-1]}, "the keys must be .*images.*x"),
        ({"x": X, "y": Y[1:]}, r"y has shape \(23,\), but x has \(24, 4, 3\)"),
        ({"x_train": X, "x_test": X, "y_validation": Y}, r"y_validation has shape \(24,\), but x_validation has"),
        ({"x": X[:9]}, "needs at least 10 examples for three splits, got 9"),
        ({"x": np.uint8(3)}, r"x: x must be .*, got shape \(\)"),
        ({"x_train": X[:9], "x_test": X[9:]}, "needs at least 10 examples for three splits, got 9"),
        ({"x_train": X, "x_test": X[:0]}, "x_test: needs at least one example"),
        ({"x": np.where(np.arange(N) == 7, np.nan, 0.5)[:, None]}, "values must be finite, got nan in row 7"),
        ({"x": X, "y": Y - 1}, "labels must count the classes from 0, got -1 in row"),
    ],
)
def test_an_archive_of_other_arrays_is_refused_by_file(arrays, message, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(InputError, match=rf"data\.npz\b.*{message}"):
        load(str(tmp_path / "data.npz"))


@pytest.mark.parametrize("own_splits", [False, True])
def test_texts_are_names_of_classes(own_splits, tmp_path):
    names = np.array(["cat", "ant", "bee"])[np.arange(24) % 3]
    parts = {"x": X, "y": names}
    if own_splits:
        parts = {"x_train": X[:20], "x_test": X[20:], "y_train": names[:20], "y_test": names[20:]}
    np.savez(tmp_path / "a.npz", **parts)
    dataset = load(str(tmp_path / "a.npz"))
    assert dataset.class_names == ("ant", "bee", "cat")
    by_image = {x.tobytes(): name for x, name in zip(X, names, strict=True)}
    for split in (dataset.train, dataset.validation, dataset.test):
        assert [dataset.class_names[y] for y in split.label] == [by_image[x.tobytes()] for x in split.x]


@pytest.mark.parametrize("kind", [".npz", ".npy"])
def test_fault_33_pickled_objects_are_refused_and_never_run(kind, tmp_path):
    touched, path = tmp_path / "touched", tmp_path / f"data{kind}"
    objects = np.array([Payload(touched)] * N, dtype=object)
    np.save(path, objects) if kind == ".npy" else np.savez(path, x=objects)
    with pytest.raises(InputError, match=f"data{kind}: holds pickled objects, which are never loaded"):
        load(str(path))
    assert not touched.exists()
    loaded = np.load(path, allow_pickle=True)  # the payload works: only the loader did not run it
    if kind == ".npz":
        with loaded:
            loaded["x"]
    assert touched.exists()


@pytest.mark.parametrize("name", ["../../evil", "{outside}/evil", "x/../../../evil", "..", "/"])
def test_fault_34_names_of_arrays_are_never_paths(name, tmp_path, monkeypatch):
    """A file outside the folder is neither read nor written."""
    folder, evil = tmp_path / "deep" / "er", tmp_path / "evil.npy"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    np.save(evil, X)
    before = evil.read_bytes()
    name = name.format(outside=tmp_path)
    for arrays in ({name: X + 1}, {"x": X, name: X + 1}):
        np.savez("data.npz", **arrays)
        there = sorted(tmp_path.rglob("*"))
        with pytest.raises(InputError, match=rf"data\.npz: the keys must be x .*; got \[.*'{re.escape(name)}'.*\]"):
            load("data.npz")
        assert sorted(tmp_path.rglob("*")) == there
        assert evil.read_bytes() == before


@pytest.mark.parametrize("kind", [".npy", ".npz", "compressed.npz", "", ".gz"])
def test_a_file_cut_at_any_byte_is_refused_by_name(kind, tmp_path):
    data, path = encoded(kind), tmp_path / f"data{kind}"
    for cut in {*range(0, len(data), 7), *range(20), *range(len(data) - 20, len(data))}:
        path.write_bytes(data[:cut])
        with pytest.raises(InputError, match=rf"data{kind}: "):
            idx.read(path) if kind in ("", ".gz") else load(str(path))


@pytest.mark.parametrize("kind", [".npz", ".npy"])
def test_fault_12_a_web_page_in_place_of_data_is_called_damaged_not_pickled(kind, tmp_path):
    (tmp_path / f"data{kind}").write_text("<html>404 Not Found</html>")
    with pytest.raises(InputError, match=f"data{kind}: is truncated, or not a {kind} file"):
        load(str(tmp_path / f"data{kind}"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".npy", ".npz", "", ".gz"])
def test_one_flipped_bit_is_no_crash(kind, tmp_path):
    """Some flips pass, because .npy has no checksum; but none may raise another exception."""
    data, path = encoded(kind), tmp_path / f"data{kind}"
    crashes = set()
    for position in {*range(min(len(data), 128)), *range(max(len(data) - 160, 0), len(data))}:
        for bit in (0, 3, 5):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                idx.read(path) if kind in ("", ".gz") else load(str(path))
            except InputError:
                pass
            except Exception as error:
                crashes.add(f"{type(error).__name__}: {error}")
    assert not crashes


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read_as_they_are(suffix, tmp_path):
    dataset = load(str(idx_folder(tmp_path / "idx", suffix)))
    assert [len(split.x) for split in splits(dataset)] == [22, 2, 6]
    np.testing.assert_array_equal(dataset.test.x[..., 0], 255 - X[:6])
    np.testing.assert_array_equal(dataset.test.label, Y[:6])
    training = [image.tobytes() for split in splits(dataset)[:2] for image in split.x]
    assert sorted(training) == sorted(image.tobytes() for image in X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images_idx3_ubyte": None}, "idx: needs train-images-idx3-ubyte .*a folder of idx files has"),
        ({"t10k_labels_idx1_ubyte": None}, "idx: needs t10k-labels-idx1-ubyte"),
        ({"train_labels_idx1_ubyte": Y[1:]}, "idx: 24 train images but 23 train labels"),
        ({"t10k_images_idx3_ubyte": X[:5]}, "idx: 5 test images but 6 test labels"),
        ({"train_images_idx3_ubyte": b"PK\3\4rest"}, "train-images-idx3-ubyte: is not an idx file .*50 4b 03 04"),
        ({"train_images_idx3_ubyte": idx_bytes(X, kind=0x0D)}, "the type must be 0x08, unsigned bytes, got 0x0d"),
        (
            {"train_images_idx3_ubyte": idx_bytes(X) + b"\0"},
            "damaged: 289 bytes of values, but its header says .24, 4, 3",
        ),
        ({"train_images_idx3_ubyte": X[0, 0, 0]}, "idx"),
        (
            {"t10k_images_idx3_ubyte": X[:0], "t10k_labels_idx1_ubyte": Y[:0]},
            "idx, test split: needs at least one example",
        ),
        ({"train_labels_idx1_ubyte": X}, "idx, train split: labels must be 22 integers"),
    ],
)
def test_a_wrong_idx_file_is_refused_by_name(change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load(str(idx_folder(tmp_path / "idx", **change)))


@pytest.mark.parametrize("name", ["mnist10k", "tfds:mnist", "{}/data.npz", "{}/idx"])
def test_data_sets_without_a_folder_of_images_accept_no_size(name, tmp_path):
    idx_folder(tmp_path / "idx")
    (tmp_path / "data.npz").write_bytes(encoded(".npz"))
    name = name.format(tmp_path)
    with pytest.raises(InputError, match=f"{name}' is not a folder of images, so it takes no size=8, fit='crop'"):
        load(name, images={"size": 8, "fit": "crop"})


def test_an_idx_file_of_too_many_axes_is_refused(tmp_path):
    (tmp_path / "deep").write_bytes(bytes([0, 0, 8, 99]) + struct.pack(">99I", *[1] * 99) + b"\1")
    with pytest.raises(InputError, match="deep: "):
        idx.read(tmp_path / "deep")


def test_fault_91_an_empty_name_is_not_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="data set '': the name is empty; accepted are mnist10k"):
        load("")
