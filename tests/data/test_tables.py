"""Tables of numbers become vectors; a column that holds none is named."""

import numpy as np
import pytest

from genjax_models.data import load
from genjax_models.errors import InputError

X = np.random.RandomState(0).rand(30, 3)
CLASSES = np.array(["cat", "ant", "bee"])[np.arange(30) % 3]


def written(path, columns, separator=",", header=True):
    """Writes columns by name as text; returns the path."""
    lines = [separator.join(columns)] if header else []
    lines += [separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(dataset):
    x = np.concatenate([dataset.train.x, dataset.validation.x, dataset.test.x])
    return x[np.argsort(x[:, 0])]


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t"), (".CSV", ",")])
@pytest.mark.parametrize("header", [False, True])
def test_fault_73_a_table_becomes_vectors(suffix, separator, header, tmp_path):
    dataset = load(written(tmp_path / f"a{suffix}", dict(zip("abc", X.T, strict=True)), separator, header))
    np.testing.assert_allclose(rows(dataset), X[np.argsort(X[:, 0])], rtol=1e-6)  # the first row too
    assert (dataset.kind, dataset.num_classes) == ("vectors", None)


@pytest.mark.parametrize("name", ["label", "Class", " target ", "y", "labels"])
@pytest.mark.parametrize("parquet", [False, True])
def test_fault_73_a_column_of_labels_is_read(name, parquet, tmp_path):
    columns = {"a": X[:, 0], name: CLASSES, "b": X[:, 1]}
    if parquet:
        import pyarrow
        from pyarrow import parquet as format_

        path = tmp_path / "a.parquet"
        format_.write_table(pyarrow.table(columns), path)
    else:
        path = written(tmp_path / "a.csv", columns)
    dataset = load(path)
    assert (dataset.shape, dataset.class_names) == ((2,), ("ant", "bee", "cat"))
    by_value = {np.float32(a): CLASSES[i] for i, a in enumerate(X[:, 0])}
    for split in (dataset.train, dataset.validation, dataset.test):
        assert [dataset.class_names[i] for i in split.label] == [by_value[a] for a in split.x[:, 0]]


def test_fault_73_labels_that_numpy_wrote_are_read(tmp_path):
    np.savetxt(tmp_path / "a.csv", np.c_[X, np.arange(30) % 3], delimiter=",", header="a,b,c,label", comments="")
    assert np.bincount(load(tmp_path / "a.csv").train.label).tolist() == [8, 8, 8]


def test_fault_73_a_column_of_labels_has_any_name_by_keys(tmp_path):
    path = written(tmp_path / "a.csv", {"a": X[:, 0], "species": CLASSES})
    with pytest.raises(InputError, match=r"a\.csv: column 'species' must hold numbers, got string"):
        load(path)
    assert load(path, keys={"y": "species"}).num_classes == 3


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n" + "1,2\n" * 9 + "1,\n", {}, "column 'b' has no value in row 9. Fill it, or remove the row"),
        ("a,b\n1,2\n1\n", {}, "cannot be read as a table"),
        ("", {}, "cannot be read as a table"),
        ("label\n" + "1\n" * 12, {}, r"needs a column of numbers, got \['label'\]"),
        ("a,label,y\n" + "1,0,0\n" * 12, {}, r"one column must hold labels, got \['label', 'y'\]"),
        ("a,b\n" + "1,2\n" * 12, {"keys": {"y": "c"}}, r"must be one of \['a', 'b'\], got 'c'"),
        ("a,b\n" + "1,2\n" * 12, {"keys": {"x": "a"}}, "`keys` of a table must be {'y': column of labels}"),
        ("a,b\n" + "1,2\n" * 12, {"kind": "images"}, "`kind` must be None or vectors, got 'images'"),
        ("a,b\n" + "1.5,2\n" * 12, {}, r"float32 values must be in \[0, 1\].*\(--data-range 0 255\)"),
        ("a,b\n" + "0.5,nan\n" * 12, {}, "values must be finite, got nan in row 0|has no value in row 0"),
        ("a,b\n" + "0.5,1\n" * 9, {}, "needs at least 10 examples"),
        ("a,a\n" + "0.5,1\n" * 12, {}, r"columns must have different names, got \['a', 'a'\]"),
        ("a,b\n" + "1,2\n" * 12, {"keys": "y"}, "`keys` of a table must be"),
    ],
)
def test_fault_73_other_tables_are_refused_in_one_line(text, options, message, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load(path, **options)
    assert "\n" not in str(error.value)
    assert "a.csv" in str(error.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
@pytest.mark.parametrize("name", ["y", "größe"])
def test_fault_73_a_table_in_another_encoding_is_one_line(name, encoding, tmp_path):
    path = written(tmp_path / "a.csv", {"a": X[:, 0], name: np.where(CLASSES == "cat", "chaÿ", CLASSES)})
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(InputError, match=r"a\.csv: .*must be text in UTF-8, got .*\. Save it so"):
        load(path)
