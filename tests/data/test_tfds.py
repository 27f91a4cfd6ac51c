"""What TensorFlow Datasets prepared is read back exactly, without TensorFlow and without a network."""

import io
import json
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import gmmn
from genjax_models.commands.train import main
from genjax_models.data import load
from genjax_models.errors import InputError

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("importlib_resources")

X = np.random.RandomState(0).randint(0, 256, (40, 8, 6, 3)).astype(np.uint8)
SIZES = {"train": 25, "test": 15}


def png(x, kind="png"):
    buffer = io.BytesIO()
    Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x).save(buffer, kind)
    return buffer.getvalue()


def prepared(data_dir, name, *, sizes=SIZES, x=X, version="1.0.0", config=None, file_format="array_record", **options):
    """Prepares raw files and returns their folder. `features` replaces the features image and label."""
    image = options.get("image", tfds.features.Image(shape=x[0].shape))
    features = options.get("features", {"image": image, "label": tfds.features.ClassLabel(num_classes=7)})
    keys = options.get("supervised", ("image", "label"))
    value = options.get("value", lambda key, i: i % 7)
    ends = dict(zip(sizes, np.cumsum(list(sizes.values())), strict=True))

    def info(self):
        described = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=described, supervised_keys=keys)

    def examples(self, raw, split):
        for i in range(ends[split] - sizes[split], ends[split]):
            (raw / f"{i}.png").write_bytes(png(x[i]))
            yield i, {key: raw / f"{i}.png" if "image" in key else value(key, i) for key in features}

    def split_generators(self, manager):
        raw = data_dir.parent / f"raw {name}"
        raw.mkdir(exist_ok=True)
        return {split: self._generate_examples(raw, split) for split in sizes}

    methods = {"_info": info, "_split_generators": split_generators, "_generate_examples": examples}
    methods |= {"VERSION": tfds.core.Version(version), "name": name, "__module__": __name__}
    if config:
        methods["BUILDER_CONFIGS"] = [tfds.core.BuilderConfig(name=config)]
    builder = type(name, (tfds.core.GeneratorBasedBuilder,), methods, skip_registration=True)(
        data_dir=data_dir, file_format=file_format
    )
    builder.download_and_prepare()
    return builder.info.data_dir


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The only prepared data sets that these tests find."""
    folder = tmp_path_factory.mktemp("tfds") / "data"
    prepared(folder, "tiny")
    prepared(folder, "own_splits", sizes={"train": 20, "validation": 12, "test": 8})
    prepared(folder, "no_test", sizes={"train": 25, "validation": 15})
    prepared(folder, "train_alone", sizes={"train": 40})
    prepared(folder, "odd_names", sizes={"small": 40})
    prepared(folder, "grey", x=X[..., :1])
    prepared(folder, "configured", config="first")
    prepared(folder, "configured", config="second")
    prepared(folder, "versioned", sizes={"train": 20}, version="1.9.0")
    prepared(folder, "versioned", sizes={"train": 30}, version="1.10.0")
    prepared(folder, "overlapping", x=np.concatenate([X[:25], X[:3], X[28:]]))
    return folder


@pytest.fixture(autouse=True)
def on_this_machine(data_dir, monkeypatch):
    """Refuses every connection to a network."""

    def refused(*arguments):
        raise AssertionError(f"used the network: {arguments}")

    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def splits(dataset):
    return dataset.train, dataset.validation, dataset.test


def by_content(*of):
    return {x.tobytes(): label for split in of for x, label in zip(split.x, split.label, strict=True)}


def numbered(rows):
    return {X[i].tobytes(): i % 7 for i in rows}


def test_a_builder_of_raw_files_is_read_back_exactly():
    dataset = load("tfds:tiny")
    assert [len(split.x) for split in splits(dataset)] == [23, 2, 15]
    assert by_content(dataset.train, dataset.validation) == numbered(range(25))
    assert by_content(dataset.test) == numbered(range(25, 40))
    assert (dataset.name, dataset.range, dataset.num_classes) == ("tfds:tiny", (0, 255), 7)
    assert "tiny/1.0.0 of TensorFlow Datasets, prepared in" in dataset.provenance
    for split, again in zip(splits(dataset), splits(load("tfds:tiny")), strict=True):
        np.testing.assert_array_equal(split.x, again.x)


def test_grey_images_have_one_channel():
    dataset = load("tfds:grey")
    assert dataset.shape == (8, 6, 1)
    assert {x.tobytes() for x in dataset.test.x} == {x.tobytes() for x in X[25:, ..., :1]}


@pytest.mark.parametrize(
    ("spec", "sizes", "test"),
    [
        ("own_splits", (20, 12, 8), range(32, 40)),
        ("no_test", (23, 2, 15), range(25, 40)),
        ("train_alone", (32, 4, 4), None),
        ("tiny:train", (21, 2, 2), None),
        ("tiny:train[:20]", (16, 2, 2), None),
        ("tiny:train[50%:]+test", (24, 2, 2), None),
        ("tiny:test", (13, 1, 1), None),
        ("odd_names:small", (32, 4, 4), None),
        ("versioned", (24, 3, 3), None),
        ("versioned:1.9.0", (16, 2, 2), None),
        ("versioned:1.9.0:train[:10]", (8, 1, 1), None),
        ("configured/second", (23, 2, 15), range(25, 40)),
        ("configured/first:1.0.0:test", (13, 1, 1), None),
    ],
)
def test_splits_are_official_or_made_from_the_named_split(spec, sizes, test):
    dataset = load(f"tfds:{spec}")
    assert tuple(len(split.x) for split in splits(dataset)) == sizes
    assert by_content(*splits(dataset)).items() <= numbered(range(40)).items()
    assert len(by_content(*splits(dataset))) == sum(sizes)
    if test is not None:
        assert by_content(dataset.test) == numbered(test)


@pytest.mark.parametrize("split", ["", ":test"])
def test_a_folder_is_read_by_its_path(split, data_dir, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR")
    dataset = load(f"tfds:{data_dir}/tiny/1.0.0{split}")
    assert by_content(*splits(dataset)) == numbered(range(25, 40) if split else range(40))


def test_a_path_may_hold_colons(data_dir, tmp_path):
    shutil.copytree(data_dir / "tiny" / "1.0.0", tmp_path / "a:b")
    assert len(load(f"tfds:{tmp_path}/a:b").test.x) == 15
    assert len(load(f"tfds:{tmp_path}/a:b:train").train.x) == 21


def test_an_official_overlap_is_kept_and_counted():
    dataset = load("tfds:overlapping")
    shared = {x.tobytes() for x in dataset.test.x} & {x.tobytes() for x in dataset.train.x}
    assert len(dataset.test.x) == 15
    assert len(shared) > 0
    assert f"{len(shared)} of 15 test examples are in training too" in dataset.provenance


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "tinny",
            r"'tinny' is not prepared in .*data \(did you mean 'tiny'\?\); prepared are configured/first:1\.0\.0, ",
        ),
        ("Tiny", r"'Tiny' is not prepared in .* \(did you mean 'tiny'\?\)"),
        (
            "cifar10",
            r"is not prepared .*; prepare it on a machine with TensorFlow: `tfds build cifar10 --file_format=arr",
        ),
        ("mnist:train[:1000]", "'mnist' is not prepared .*`tfds build mnist --file_format"),
        (
            "tiny:2.0.0",
            r"'tiny:2\.0\.0' is not prepared in .*; prepared are .*, tiny:1\.0\.0, .*`tfds build tiny:2\.0\.0 ",
        ),
        ("configured", "is prepared in 2 configurations; accepted are configured/first, configured/second$"),
        ("configured/third", "'configured/third' is not prepared"),
        ("", "accepted are tfds:NAME and tfds:NAME:SPLIT$"),
        ("a b", "'a b' is not the name of a data set; accepted are name, name/config, name:1.0.0"),
        ("tiny/../tiny", "is not the name of a data set"),
        ("tiny:train[", "'tiny:train.' is not the name of a data set"),
        ("/no/such/folder", "'/no/such/folder' is not a prepared data set; it needs dataset_info.json and features"),
        ("~no-such-user/x", "cannot be read"),
        ("/" + "x" * 300, "cannot be read"),
        ("tiny:valid", "no split 'valid' .*; accepted are train, test, and slices"),
        ("tiny:train[:26]", r"no split 'train\[:26\]' .*25 examples.*; accepted are train, test, and slices"),
        ("tiny:train[9:3]", r"no split 'train\[9:3\]'"),
        ("tiny:train[3:3]", r"no split 'train\[3:3\]'"),
        ("tiny:train[:9]", "needs at least 10 examples for three splits, got 9"),
        ("odd_names", "has no split train, only small. Name one of them: tfds:NAME:SPLIT"),
    ],
)
def test_a_missing_data_set_is_named_with_the_command_that_prepares_it(spec, message):
    with pytest.raises(InputError, match=f"^tfds:.*{message}") as error:
        load(f"tfds:{spec}")
    assert "\n" not in str(error.value)


def test_a_folder_without_any_prepared_data_set_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"'mnist' is not prepared in .*absent; prepared are none; prepare it"):
        load("tfds:mnist")
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=rf"is not prepared in {tmp_path}/tensorflow_datasets;"):
        load("tfds:mnist")


@pytest.mark.parametrize("missing", ["folder", "dataset_info.json", "features.json"])
def test_a_half_prepared_data_set_is_not_found(missing, data_dir, tmp_path, monkeypatch):
    folder = shutil.copytree(data_dir / "tiny", tmp_path / "data" / "tiny") / "1.0.0"
    if missing == "folder":  # the state after a preparation that was killed
        folder.rename(folder.parent / "incomplete.AB12_1.0.0")
    else:
        (folder / missing).unlink()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(InputError, match=r"'tiny' is not prepared in .*; prepared are none"):
        load("tfds:tiny")


@pytest.mark.parametrize(
    ("file_format", "why"),
    [
        ("parquet", "which may drop rows in silence"),
        ("tfrecord", "which only TensorFlow reads"),
        (None, "tfrecord, which only TensorFlow reads"),
    ],
)
def test_another_format_is_refused(file_format, why, data_dir, tmp_path):
    folder = shutil.copytree(data_dir / "tiny" / "1.0.0", tmp_path / "tiny")
    info = json.loads((folder / "dataset_info.json").read_text())
    del info["fileFormat"]
    (folder / "dataset_info.json").write_text(json.dumps(info | ({"fileFormat": file_format} if file_format else {})))
    with pytest.raises(
        InputError, match=f"is stored as .*{why}.*; accepted is array_record: .*`tfds build tiny --file"
    ):
        load(f"tfds:{folder}")


def shard(folder, split="train"):
    (file,) = folder.glob(f"*-{split}.array_record*")
    return file


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: shard(folder).unlink(),
        lambda folder: shard(folder).write_bytes(b""),
        lambda folder: shard(folder).write_bytes(shard(folder).read_bytes()[:100]),
        lambda folder: shard(folder).write_bytes(b"<html>" * 20_000),
        lambda folder: shard(folder).write_bytes(shard(folder, "test").read_bytes()),  # has fewer examples
        lambda folder: shard(folder).write_bytes(shard(folder).read_bytes().replace(b"IHDR", b"IHDX")),
        lambda folder: (folder / "dataset_info.json").write_text("<html>"),
        lambda folder: (folder / "dataset_info.json").write_text("[]"),
        lambda folder: (folder / "dataset_info.json").write_text('{"fileFormat": "array_record", "name": "tiny"}'),
        lambda folder: (folder / "features.json").write_text("<html>"),
        lambda folder: (folder / "features.json").write_text("{}"),
    ],
)
def test_damage_is_an_error_that_names_the_data_set(damage, data_dir, tmp_path):
    folder = shutil.copytree(data_dir / "tiny" / "1.0.0", tmp_path / "tiny")
    damage(folder)
    with pytest.raises(InputError, match=f"^tfds:{folder}: ") as error:
        load(f"tfds:{folder}")
    assert "\n" not in str(error.value)


def named(name, spelling):
    """Features with one of a class of this name, in each way that TensorFlow Datasets reads."""
    one, whole = {"pythonClassName": name, "tensor": {}}, "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    within = lambda feature: {"pythonClassName": whole, "featuresDict": {"features": {"image": feature}}}
    legacy = {"type": name, "content": {"shape": [1]}}
    return {
        "top": one,
        "within": within(one),
        "underscores": within({"python_class_name": name, "tensor": {}}),
        "legacy": legacy,
        "legacy within": {"type": whole, "content": {"image": legacy}},
        "json within": {"pythonClassName": whole, "jsonFeature": {"json": json.dumps({"image": legacy})}},
    }[spelling]


@pytest.mark.parametrize("spelling", ["top", "within", "underscores", "legacy", "legacy within", "json within", "info"])
def test_fault_63_only_the_feature_classes_of_tfds_are_accepted(spelling, data_dir, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(data_dir / "tiny" / "1.0.0", tmp_path / "tiny")
    (tmp_path / "planted.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    if spelling == "info":
        file = folder / "dataset_info.json"
        info = json.loads(file.read_text()) | {"moduleName": "planted"}
        file.write_text(json.dumps(info))
        assert len(load(f"tfds:{folder}").test.x) == 15  # the module that made the data is only a text
        file.write_text(json.dumps(info | {"features": named("planted.Feature", "top")}))
    else:
        file = folder / "features.json"
        file.write_text(json.dumps(named("planted.Feature", spelling)))
    with pytest.raises(InputError, match=f"{file} names the class 'planted.Feature'; accepted are the feature classes"):
        load(f"tfds:{folder}")
    with pytest.raises(SystemExit, match="2"):
        main(gmmn.EXPERIMENT, ["--data", f"tfds:{folder}", "--dry-run"])
    assert "names the class 'planted.Feature'" in capsys.readouterr().err
    assert "planted" not in sys.modules


IMAGE, LABEL = tfds.features.Image, tfds.features.ClassLabel(num_classes=7)


def test_dsprites_have_factors_in_memory_and_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sizes = {
        "label_shape": 3,
        "label_scale": 6,
        "label_orientation": 40,
        "label_x_position": 32,
        "label_y_position": 32,
    }
    features = {"image": IMAGE(shape=(8, 6, 1))}
    features |= {key: tfds.features.ClassLabel(num_classes=size) for key, size in sizes.items()}
    features |= {"value_shape": tfds.features.Scalar(np.float32)}
    value = lambda key, i: i * (1 + list(features).index(key)) % sizes.get(key, 100)
    options = {"features": features, "supervised": None, "value": value, "sizes": {"train": 40}}
    x = X[..., :1] % 2
    folder = prepared(tmp_path / "data", "dsprites", x=x, **options)
    numbered = {image.tobytes(): [value(key, i) for key in sizes] for i, image in enumerate(x)}
    for stream in (False, True, True):  # decoded, then read from the cache
        dataset = load(f"tfds:{folder}", stream=stream)
        assert dataset.is_binary
        assert [(factor.name, factor.size, factor.circular) for factor in dataset.factors] == [
            ("shape", 3, False),
            ("scale", 6, False),
            ("orientation", 40, True),
            ("x position", 32, False),
            ("y position", 32, False),
        ]
        for split in splits(dataset):
            assert [numbered[np.asarray(image).tobytes()] for image in np.asarray(split.x)] == split.factors.tolist()


@pytest.mark.parametrize(
    ("name", "supervised", "names", "circular"),
    [
        ("smallnorb", ("image", "label_category"), "category instance elevation azimuth lighting", "azimuth"),
        (
            "shapes3d",
            None,
            "floor hue, wall hue, object hue, scale, shape, orientation",
            "floor hue wall hue object hue",
        ),
    ],
)
def test_other_data_of_known_factors_are_read_by_name(name, supervised, names, circular, tmp_path):
    names = names.split(", ") if "," in names else names.split()
    keys = [name if name == "instance" else f"label_{name.replace(' ', '_')}" for name in names]
    features = {"image": IMAGE(), **({"image2": IMAGE()} if supervised else {}), **dict.fromkeys(keys, LABEL)}
    value = lambda key, i: i * (1 + list(features).index(key)) % 7
    folder = prepared(tmp_path / "data", name, features=features, supervised=supervised, value=value)
    dataset = load(f"tfds:{folder}")
    assert [factor.name for factor in dataset.factors] == names
    assert all((factor.name in circular) == factor.circular for factor in dataset.factors)
    rows = {image.tobytes(): i for i, image in enumerate(X)}
    exact = [[value(key, rows[image.tobytes()]) for key in keys] for image in dataset.test.x]
    assert dataset.test.factors.tolist() == exact
    assert (dataset.num_classes is not None) == (supervised is not None)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"label": LABEL}, r"must have one image among its features, got 0 in \['label'\]"),
        (
            {"image": IMAGE(), "image_2": IMAGE()},
            r"must have one image among its features, got 2 in \['image', 'image_2'\]",
        ),
        (
            {"image": IMAGE(shape=(8, 6, 4))},
            r"'image' must be uint8 of 1 or 3 channels, got uint8 of shape \(8, 6, 4\)",
        ),
        ({"image": IMAGE(dtype=np.uint16, encoding_format="png")}, "the image 'image' must be uint8 .*, got uint16"),
    ],
)
def test_data_without_one_image_of_bytes_are_refused(features, message, tmp_path):
    folder = prepared(tmp_path / "data", "strange", features=features, supervised=None)
    with pytest.raises(InputError, match=message):
        load(f"tfds:{folder}")


@pytest.mark.parametrize(
    ("features", "supervised", "labels"),
    [
        ({"image": IMAGE()}, None, None),
        ({"image": IMAGE(), "kind": LABEL}, None, 7),
        ({"image": IMAGE(), "kind": LABEL, "colour": LABEL}, None, None),
        ({"image": IMAGE(), "kind": LABEL, "colour": LABEL}, ("image", "colour"), 7),
        ({"image": IMAGE(), "image_2": IMAGE(), "kind": LABEL}, ("image_2", "kind"), 7),
        ({"image": IMAGE(), "number": tfds.features.Scalar(np.int64)}, ("image", "number"), None),
    ],
)
def test_image_and_label_are_the_supervised_keys_or_the_only_ones(features, supervised, labels, tmp_path):
    dataset = load(f"tfds:{prepared(tmp_path / 'data', 'strange', features=features, supervised=supervised)}")
    assert dataset.num_classes == labels
    assert (dataset.train.label is None) == (labels is None)
    assert {x.tobytes() for split in splits(dataset) for x in split.x} == {x.tobytes() for x in X}


def test_images_of_different_sizes_are_refused_by_row(tmp_path):
    folder = prepared(tmp_path / "data", "strange", x=[*X[:39], X[39, :5]], image=IMAGE())
    with pytest.raises(
        InputError, match=r"split 'test': images must have one size, got \([58], 6, 3\) in row \d+ and .*row 0"
    ):
        load(f"tfds:{folder}")


def test_a_prepared_data_set_accepts_no_range():
    with pytest.raises(InputError, match="'tfds:tiny' has its own range"):
        load("tfds:tiny", range=(0, 1))


@pytest.mark.parametrize("missing", ["tensorflow_datasets", "importlib_resources", "array_record", "PIL"])
def test_a_missing_package_is_named(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"{missing} is not installed: pip install 'genjax_models\[tfds\]'"):
        load("tfds:tiny")


def test_fault_50_tensorflow_is_never_imported_and_a_missing_data_set_imports_nothing(data_dir):
    code = (
        "import sys; from genjax_models.data import load\n"
        "try: load('tfds:absent')\n"
        "except ValueError: print('tensorflow_datasets' in sys.modules)\n"
        "load('tfds:tiny'); print('tensorflow_datasets' in sys.modules, 'tensorflow' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "True", "False"]
