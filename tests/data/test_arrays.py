"""Arrays become a data set of three splits by one call; their kind is stated or asked for."""

import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.data import Split, from_arrays, from_splits, load, prepare
from genjax_models.data.fingerprint import fingerprint
from genjax_models.data.kinds import kind_in_words
from genjax_models.errors import InputError

N = 200
X = np.random.RandomState(0).rand(N, 3).astype(np.float32)
BITS = np.random.RandomState(3).rand(N, 20) > 0.5
LABEL = np.repeat([0, 1, 2], [100, 60, 40])


def splits(dataset):
    return dataset.train, dataset.validation, dataset.test


def rows(dataset):
    return np.concatenate([np.asarray(split.x) for split in splits(dataset)])


def in_order(x):
    return x[np.lexsort(x.reshape(len(x), -1).T)]


def test_splits_are_8_1_1_and_stratified_and_seeded():
    dataset = from_arrays(X, LABEL)
    assert [np.bincount(split.label).tolist() for split in splits(dataset)] == [[80, 48, 32], [10, 6, 4], [10, 6, 4]]
    assert {tuple(x): y for split in splits(dataset) for x, y in zip(split.x, split.label, strict=True)} == {
        tuple(x): y for x, y in zip(X, LABEL, strict=True)
    }
    np.testing.assert_array_equal(dataset.test.x, from_arrays(X, LABEL).test.x)
    assert not np.array_equal(dataset.test.x, from_arrays(X, LABEL, seed=1).test.x)
    assert "80, 10 and 10 percent, stratified by class" in dataset.provenance


def test_examples_come_back_in_the_order_of_their_source():
    """Also copies, which stay in one split; splits of one's own have no such order."""
    x = X.copy()
    x[150] = x[3]
    factors = np.arange(2 * N).reshape(N, 2)
    dataset = from_arrays(x, LABEL, factors=factors)
    whole = dataset.in_order()
    for stored, given in ((whole.x, x), (whole.label, LABEL), (whole.factors, factors), (whole.row, np.arange(N))):
        np.testing.assert_array_equal(stored, given)
    assert whole.length is None
    assert from_splits(Split(X[:100]), Split(X[100:150]), Split(X[150:])).in_order() is None
    without = from_splits(*(split._replace(row=None) for split in splits(dataset)))
    assert fingerprint(dataset) == fingerprint(without)  # runs of the time before rows resume


@pytest.mark.parametrize("counts", [[190, 7, 3], [100, 99, 1], [67, 67, 66]])
def test_each_class_has_its_share_to_one_example(counts):
    dataset = from_arrays(X, np.repeat([0, 1, 2], counts))
    for split, share in zip(splits(dataset), (0.8, 0.1, 0.1), strict=True):
        assert len(split.x) == round(share * N)
        assert np.all(np.abs(np.bincount(split.label, minlength=3) - share * np.array(counts)) <= 1)


def test_copies_stay_together_with_labels_of_every_class():
    x = np.concatenate([X[:100], X[:100]])
    dataset = from_arrays(x, np.arange(N) % 2)
    held = [set(map(bytes, split.x)) for split in splits(dataset)]
    assert sum(map(len, held)) == len(set.union(*held)) == 100


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray, lambda x: np.asarray(x).tolist()])
@pytest.mark.parametrize(
    ("x", "dtype", "stored_range"),
    [
        (X, np.float32, (0, 1)),
        (BITS, np.uint8, (0, 1)),
        ((255 * X).astype(np.int32), np.uint8, (0, 255)),
        (BITS.astype(np.int32), np.uint8, (0, 1)),
    ],
)
def test_numpy_jax_and_lists_of_every_type_are_taken(x, dtype, stored_range, convert):
    dataset = from_arrays(convert(x))
    assert (dataset.train.x.dtype, dataset.range, dataset.kind) == (dtype, stored_range, "vectors")
    np.testing.assert_array_equal(in_order(rows(dataset)), in_order(x.astype(dtype)))


def test_integers_of_a_declared_range_are_kept():
    x = np.random.RandomState(1).randint(-9, 10, (N, 4))
    dataset = from_arrays(x, range=(-9, 9))
    assert (dataset.train.x.dtype, dataset.range) == (np.float32, (-9, 9))
    np.testing.assert_array_equal(in_order(rows(dataset)), in_order(x))
    assert "; int64 in [-9, 9], kept as float32" in dataset.provenance


def test_texts_are_names_of_classes():
    names = np.array(["cat", "ant", "bee"])
    dataset = from_arrays(X, names[LABEL].tolist())
    assert dataset.class_names == ("ant", "bee", "cat")
    assert np.bincount(dataset.train.label).tolist() == [48, 32, 80]
    assert from_arrays(X, LABEL, class_names=["a", "b", "c"]).class_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([[[1.0, 2.0], [3.0]]], {}, "x must be an array, or lists of equal lengths"),
        ([[{}] * 20], {}, "x must be numbers, got list of objects"),
        ([X[:9]], {}, "needs at least 10 examples for three splits, got 9"),
        ([X, LABEL[1:]], {}, r"labels must be 200 integers, got int64 of shape \(199,\)"),
        ([X, LABEL + 0.5], {}, "labels must be 200 integers, got float64"),
        ([X, np.arange(N)], {}, "which seem to be ids"),
        ([5 * X], {}, r"float32 values must be in \[0, 1\].*declare their range, as by"),
        ([np.where(X > 0.99, np.nan, X)], {}, "values must be finite, got nan in row"),
        ([np.arange(3 * N).reshape(N, 3)], {}, "x must be uint8, bool or floating point, got int64 values in"),
        ([X], {"seed": -1}, r"`seed` must be an integer in \[0, 2\^32\), got -1"),
        ([X, LABEL], {"class_names": ["a", "b"]}, "labels must be 0 to 1, got 2 in row"),
        ([X, LABEL], {"class_names": ["a", "b", "a"]}, "class_names must be different texts, one per class, got"),
        ([X, LABEL], {"class_names": "abc"}, "class_names must be different texts, one per class, got 'abc'"),
        ([X, -LABEL], {}, "labels must count the classes from 0, got -2 in row"),
        ([np.ma.masked_greater(X, 0.5)], {}, "x has masked values, which would become data"),
        ([X], {"range": "01"}, "`range` must be two finite numbers, the lower first, got 01"),
        ([X], {"range": 1}, "`range` must be two finite numbers, the lower first, got 1"),
        ([X], {"range": (None, 1)}, "`range` must be two finite numbers"),
        ([X, LABEL], {"class_names": ["a"], "num_classes": 3}, "class_names must be 3 texts, one per class, got 1"),
        ([Split(X), Split(X), Split(X)], {}, r"got a Split\. Use from_splits\(train, validation, test\)"),
        ([X], {"kind": "pictures"}, "kind must be one of images, vectors, sequences, or None, got 'pictures'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(arguments, options, message):
    arguments = arguments[:1] if isinstance(arguments[0], Split) else arguments
    with pytest.raises(InputError, match=f"^arrays.*{message}") as error:
        from_arrays(*arguments, **options)
    assert "\n" not in str(error.value)


RANK_3 = np.random.RandomState(2).rand(20, 5, 4)


@pytest.mark.parametrize(
    ("x", "options", "kind", "shape"),
    [
        (RANK_3, {"kind": "images"}, "images", (5, 4, 1)),
        (RANK_3, {"kind": "sequences"}, "sequences", (5, 4)),
        (RANK_3, {"length": np.full(20, 3)}, "sequences", (5, 4)),
        (RANK_3 > 0.5, {"kind": "sequences"}, "sequences", (5, 4)),
        ((255 * RANK_3).astype(np.uint8), {}, "images", (5, 4, 1)),
        ((255 * RANK_3).astype(np.uint8), {"kind": "sequences"}, "sequences", (5, 4)),
        (RANK_3[..., None], {}, "images", (5, 4, 1)),
        (RANK_3[..., None], {"kind": "sequences"}, "sequences", (5, 4, 1)),
        (RANK_3[:, 0], {}, "vectors", (4,)),
    ],
)
def test_fault_80_the_kind_is_stated(x, options, kind, shape):
    dataset = from_arrays(x, **options)
    assert (dataset.kind, dataset.shape) == (kind, shape)
    parts = from_splits(*splits(dataset), range=dataset.range, kind=kind)
    assert (parts.kind, parts.shape) == (kind, shape)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, bool])
def test_fault_80_an_ambiguous_kind_is_asked_for(dtype, tmp_path):
    x = RANK_3.astype(dtype) if dtype is not bool else RANK_3 > 0.5
    np.save(tmp_path / "a.npy", x)
    message = (
        rf"{np.dtype(dtype)} of shape \(20, 5, 4\) may be grey images or sequences \[n, time, d\]\."
        r" Use --data-kind images or --data-kind sequences \(in Python, kind='images' or kind='sequences'\)"
    )
    for refused in (lambda: from_arrays(x), lambda: from_splits(*[Split(x)] * 3), lambda: load(tmp_path / "a.npy")):
        with pytest.raises(InputError, match=message):
            refused()
    assert load(tmp_path / "a.npy", kind="sequences").shape == (5, 4)


@pytest.mark.parametrize(
    ("kind", "x", "message"),
    [
        ("images", RANK_3[:, 0], r"x must be \[n, height, .* for images, got shape \(20, 4\)"),
        ("vectors", RANK_3, r"x must be \[n, d\] for vectors, got shape \(20, 5, 4\)"),
        ("sequences", RANK_3[:, 0], r"x must be \[n, time, d\] .* for sequences, got"),
    ],
)
def test_fault_80_a_kind_that_does_not_fit_is_refused(kind, x, message):
    with pytest.raises(InputError, match=message):
        from_arrays(x, kind=kind)


def test_fault_80_lengths_belong_to_sequences():
    with pytest.raises(InputError, match="length needs kind sequences, got images"):
        from_arrays(RANK_3, kind="images", length=np.full(20, 3))


def test_kinds_in_words():
    assert kind_in_words("images", (28, 28, 1)) == "grey images of 28 x 28"
    assert kind_in_words("images", (32, 24, 3)) == "colour images of 32 x 24"
    assert kind_in_words("sequences", (7, 4)) == "sequences of at most 7 steps of 4 numbers"
    assert kind_in_words("vectors", (4,)) == "vectors of 4 numbers"


@pytest.mark.parametrize("keys", ["a", {"data": "a"}, ["x"], {1: "a"}])
def test_fault_73_keys_of_another_kind_are_refused(keys, tmp_path):
    np.savez(tmp_path / "a.npz", a=X)
    with pytest.raises(
        InputError, match=r"`keys` must be like {'x': 'pixels', 'y': 'digit'}, with x \[and y, length, factors\]"
    ):
        load(tmp_path / "a.npz", keys=keys)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gx.load(X), r"`name` must be a name or a path, got ndarray\. Use from_arrays\(x, label\)"),
        (lambda: gx.load(jnp.asarray(X)), "`name` must be a name or a path, got ArrayImpl"),
        (
            lambda: gx.prepare(X),
            r"`dataset` must be a Dataset, got ndarray\. Use prepare\(load\(name\)\) or prep",
        ),
        (lambda: gx.prepare("mnist10k"), "`dataset` must be a Dataset, got str"),
        (lambda: gx.prepare((X, LABEL)), "`dataset` must be a Dataset, got tuple"),
    ],
)
def test_fault_91_arrays_in_place_of_names_and_data_sets_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_fault_72_prepare_rewrites_nothing_by_default():
    real = from_arrays(8 * X - 4, range=(-4, 4))
    prepared = prepare(real)
    assert prepared.range == (-4, 4)
    np.testing.assert_array_equal(prepared.test.x, real.test.x)
    grey = prepare(from_arrays((255 * X).astype(np.uint8)))
    np.testing.assert_allclose(grey.test.x, from_arrays((255 * X).astype(np.uint8)).test.x / 255, atol=1e-6)
