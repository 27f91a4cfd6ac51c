"""Data sets of Hugging Face on disk; a fault is one line."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

import genjax_models as gx
from genjax_models.commands import data as command
from genjax_models.data import image_decoding, load
from genjax_models.data.records import Records
from genjax_models.errors import InputError

datasets = pytest.importorskip("datasets")

datasets.disable_progress_bars()  # of those that are written here
NAMES = ["cat", "ant", "bee"]
RANDOM = np.random.RandomState(0)
X = RANDOM.randint(0, 256, (40, 6, 8, 3), np.uint8)
KEEP = {"size": None}  # the images as they are


def png(x):
    file = io.BytesIO()
    Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x).save(file, "png")
    return file.getvalue()


def table(x, names=("image", "label"), kind=None, **columns):
    """The images and their classes, in turn, with other columns by name."""
    kind = kind or datasets.Image()
    images = [{"bytes": one if isinstance(one, bytes) else png(one), "path": None} for one in x]
    of_labels = datasets.ClassLabel(names=NAMES)
    features = {names[0]: kind, names[1]: of_labels, **{name: feature for name, (feature, _) in columns.items()}}
    values = {names[0]: images, names[1]: [i % 3 for i in range(len(x))]}
    return datasets.Dataset.from_dict(
        values | {name: value for name, (_, value) in columns.items()}, features=datasets.Features(features)
    )


def saved(tmp_path, **splits):
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    return f"hf:{tmp_path / 'saved'}"


def as_parquet(folder, **splits):
    for name, split in splits.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        split.to_parquet(str(folder / f"{name}.parquet"))
    return f"hf:{folder}"


def test_the_splits_of_a_saved_data_set_are_its_own(tmp_path):
    name = saved(tmp_path, train=table(X[:20]), dev=table(X[20:25]), test=table(X[25:33]), extra=table(X[33:]))
    dataset = load(name, images=KEEP)
    for split, rows in ((dataset.train, X[:20]), (dataset.validation, X[20:25]), (dataset.test, X[25:33])):
        np.testing.assert_array_equal(split.x, rows)
        np.testing.assert_array_equal(split.label, np.arange(len(rows)) % 3)
    assert (dataset.class_names, dataset.num_classes, dataset.range) == (tuple(NAMES), 3, (0, 255))
    assert "labels are label" in dataset.provenance
    assert "left out are the splits extra" in dataset.provenance
    one = load(f"{name}:train", images=KEEP)
    assert (len(one.train.x), len(one.validation.x), len(one.test.x)) == (16, 2, 2)


def test_images_are_fitted_as_those_of_a_folder_are(tmp_path):
    """To 32 x 32 unless told otherwise, and of several sizes too."""
    sizes = [X[0][:5], *X[1:12]]
    name = saved(tmp_path, train=table(sizes), test=table(X[12:20]))
    dataset = load(name)
    assert dataset.shape == (32, 32, 3)
    small = load(name, images={"size": (4, 4), "fit": "resize", "channels": 1})
    assert small.shape == (4, 4, 1)
    expected = np.asarray(Image.fromarray(sizes[1]).convert("L").resize((4, 4), Image.Resampling.BOX))
    assert any((expected == row[..., 0]).all() for row in [*small.train.x, *small.validation.x])
    with pytest.raises(InputError, match=r"split 'train', row 1: 8 x 6 pixels, but .* row 0 has 8 x 5\. .* use size=N"):
        load(name, images=KEEP)


@pytest.mark.parametrize(
    "files",
    [
        ("data/train-00000-of-00002", "data/train-00001-of-00002", "data/validation-00000-of-00001"),
        ("train/0000", "train/0001", "val/0000"),
        ("train/a", "train/b", "valid"),
    ],
)
def test_parquet_files_are_grouped_by_the_split_in_their_names(files, tmp_path):
    parts = (table(X[:10]), table(X[10:20]), table(X[20:25]))
    dataset = load(as_parquet(tmp_path / "data set", **dict(zip(files, parts, strict=True))), images=KEEP)
    np.testing.assert_array_equal(dataset.test.x, X[20:25])
    together = np.concatenate([dataset.train.x, dataset.validation.x])
    assert sorted(map(bytes, together)) == sorted(map(bytes, X[:20]))
    assert "test is its own split validation" in dataset.provenance
    assert len(load(f"hf:{tmp_path / 'data set'}:train", images=KEEP).train.x) == 16


def test_one_file_is_split_in_ten_and_labels_follow_their_images(tmp_path):
    as_parquet(tmp_path, all=table(X))
    dataset = load(f"hf:{tmp_path / 'all.parquet'}", images=KEEP)
    label_of = {bytes(x): i % 3 for i, x in enumerate(X)}
    for split, size in ((dataset.train, 32), (dataset.validation, 4), (dataset.test, 4)):
        assert len(split.x) == size
        assert [label_of[bytes(x)] for x in split.x] == split.label.tolist()


def test_columns_are_named_where_there_are_several(tmp_path):
    coarse = (datasets.ClassLabel(names=["a", "b"]), [i % 2 for i in range(20)])
    name = saved(tmp_path, train=table(X[:20], ("img", "fine"), coarse=coarse))
    with pytest.raises(InputError, match=r"must hold labels, got fine, coarse\. Name it: .*\(--data-keys y=fine\)$"):
        load(name)
    dataset = load(name, images=KEEP, keys={"y": "coarse"})
    assert (dataset.class_names, sorted(set(dataset.train.label.tolist()))) == (("a", "b"), [0, 1])
    with pytest.raises(InputError, match=r"keys name the column 'picture' as x; the columns are img, fine, coarse$"):
        load(name, keys={"x": "picture"})
    with pytest.raises(InputError, match=r"one column must hold images \(Image, .*, got fine of img, fine, coarse"):
        load(name, keys={"x": "fine"})


def test_labels_are_texts_or_absent(tmp_path):
    texts = (datasets.Value("string"), [("b", "a")[i % 2] for i in range(20)])
    features = {"target": texts}
    whole = table(X[:20], **features).remove_columns("label")
    name = saved(tmp_path, train=whole.select(range(12)), test=whole.select(range(12, 20)))
    dataset = load(name, images=KEEP)
    assert dataset.class_names == ("a", "b")
    assert dataset.test.label.tolist() == [1, 0] * 4
    without = saved(tmp_path / "none", train=whole.remove_columns("target"))
    assert load(without, images=KEEP).num_classes is None


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_arrays_stay_as_they_are(dtype, tmp_path):
    x = X[:20, ..., 0] if dtype == "uint8" else (X[:20] / 255).astype(np.float32)
    kind = datasets.Array2D((6, 8), dtype) if x.ndim == 3 else datasets.Array3D((6, 8, 3), dtype)
    split = datasets.Dataset.from_dict({"a": list(x)}, features=datasets.Features({"a": kind}))
    dataset = load(saved(tmp_path, train=split, test=split.select(range(3))))
    assert (dataset.kind, dataset.shape) == ("images", (6, 8, 1) if x.ndim == 3 else (6, 8, 3))
    np.testing.assert_array_equal(dataset.test.x.reshape(3, *x.shape[1:]), x[:3])
    with pytest.raises(InputError, match=r"'a' holds arrays, which stay as they are, so it takes no image options$"):
        load(f"hf:{tmp_path / 'saved'}", images={"size": 64})


def test_grey_images_become_colour_if_one_is_in_any_split(tmp_path):
    name = saved(tmp_path, train=table(X[:12, ..., :1]), test=table(X[12:15]))
    dataset = load(name, images=KEEP)
    assert dataset.train.x.shape[1:] == dataset.test.x.shape[1:] == (6, 8, 3)


def test_an_unreadable_image_is_named_or_counted(tmp_path):
    name = saved(tmp_path, train=table([*X[:12], b"no image"]), test=table(X[12:15]))
    with pytest.raises(
        InputError, match=r"^hf:.*: split 'train', row 12: cannot be read as an image \(not an image of"
    ):
        load(name)
    with pytest.warns(UserWarning, match=r"1 images cannot be read and are skipped, the last is split 'train', row 12"):
        dataset = load(name, images={**KEEP, "skip_unreadable": True})
    assert len(dataset.train.x) + len(dataset.validation.x) == 12
    assert "1 images cannot be read and are skipped: split 'train', row 12" in dataset.provenance


def test_a_stream_has_the_images_that_memory_would_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    images = [*X[:12], b"no image", *X[12:20]]
    name = saved(tmp_path, train=table(images), test=table(X[20:24]))
    options = {**KEEP, "skip_unreadable": True}
    with pytest.warns(UserWarning, match="row 12"):
        held = load(name, images=options)
    decoded, decode = [], image_decoding.image.decode
    monkeypatch.setattr(image_decoding.image, "decode", lambda *a, **rule: decoded.append(1) or decode(*a, **rule))
    for count in (25, 0):  # the second time nothing is decoded
        decoded.clear()
        with pytest.warns(UserWarning, match="row 12"):
            streamed = load(name, images=options, stream=True)
        assert len(decoded) == count
        assert isinstance(streamed.train.x, Records)
        for split in ("train", "validation", "test"):
            one, other = getattr(held, split), getattr(streamed, split)
            np.testing.assert_array_equal(one.x, np.asarray(other.x))
            np.testing.assert_array_equal(one.label, other.label)
        assert streamed.provenance == held.provenance
    decoded.clear()
    with pytest.warns(UserWarning, match="row 12"):
        load(name, images={**options, "channels": 1}, stream=True)  # other options, another file
    assert len(decoded) == 25


def test_what_a_stream_does_not_take_names_what_it_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    accepted = r"accepted for a stream are images that `save_to_disk` wrote, folders of images and tfds:NAME$"
    parquet = as_parquet(tmp_path / "files", train=table(X[:12]))
    with pytest.raises(InputError, match=rf"parquet files are held in memory; {accepted}"):
        load(parquet, stream=True)
    features = datasets.Features({"a": datasets.Array3D((6, 8, 3), "uint8")})
    arrays = datasets.Dataset.from_dict({"a": list(X[:12])}, features=features)
    with pytest.raises(InputError, match=rf"arrays, such as 'a', are held in memory; {accepted}"):
        load(saved(tmp_path, train=arrays), stream=True)
    two = saved(tmp_path / "two", train=table(X[:12, ..., :1]), test=table(X[12:15]))
    with pytest.raises(InputError, match=r"grey and in colour cannot be streamed\. Use --image-channels 3"):
        load(two, images=KEEP, stream=True)
    assert load(two, images={**KEEP, "channels": 3}, stream=True).shape == (6, 8, 3)
    with pytest.raises(
        InputError, match=r"'mnist10k' is held in memory; accepted for a stream are folders of images, "
    ):
        load("mnist10k", stream=True)


def test_paths_splits_and_layouts_that_do_not_fit(tmp_path):
    name = saved(tmp_path, train=table(X[:20]), test=table(X[20:25]))
    folder = tmp_path / "saved"
    with pytest.raises(InputError, match=r"no split 'dev'; accepted are train, test$"):
        load(f"{name}:dev")
    with pytest.raises(InputError, match=r"no file or folder '.*/nowhere'; accepted are a folder of `save_to_disk`, a"):
        load(f"hf:{tmp_path}/nowhere")
    with pytest.raises(InputError, match=r"is a data set of Hugging Face\. Use hf:/"):
        load(folder)
    with pytest.raises(InputError, match=r"accepted are a folder of `save_to_disk`, .*, got "):
        load(f"hf:{folder / 'train'}/state.json")
    with pytest.raises(InputError, match=r"`kind` must be None"):
        load(name, kind="vectors")
    (folder / "train" / "data-00000-of-00001.arrow").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"^hf:.*: .*saved is damaged \(\w+: .*\)$"):
        load(name)
    (tmp_path / "a.parquet").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"^hf:.*a\.parquet is damaged \(ArrowInvalid: .*\)$"):
        load(f"hf:{tmp_path / 'a.parquet'}")
    other = saved(tmp_path / "other", extra=table(X[:5]))
    with pytest.raises(InputError, match=r"has no split train, only extra\. Name one of them: hf:PATH:SPLIT$"):
        load(other)


def test_splits_of_two_kinds_and_a_class_that_training_lacks(tmp_path):
    with pytest.raises(InputError, match=r"split 'test' must have the columns and classes of the other splits"):
        load(saved(tmp_path, train=table(X[:12]), test=table(X[12:20], ("image", "class"))))
    minus = table(X[12:15]).map(lambda row: {"label": -1})
    with pytest.raises(InputError, match=r"labels must be 0 to 2, got -1 in row 0"):
        load(saved(tmp_path / "b", train=table(X[:12]), test=minus), images=KEEP)


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    name = saved(tmp_path, train=table(X[:12]))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"needs datasets, which is not installed: pip install 'genjax_models\[hf\]'$"):
        load(name)


def test_the_command_looks_at_it(tmp_path, capsys):
    name = saved(tmp_path, train=table(X[:20]), test=table(X[20:25]))
    sheet = tmp_path / "sheet.png"
    assert command.main([name, "--image-size", "None", "--to", str(sheet)]) == 0
    assert "colour images of 6 x 8" in capsys.readouterr().out
    assert sheet.is_file()
    assert gx.prepare(load(name), binarise="none").train.x.shape[1:] == (32, 32, 3)
