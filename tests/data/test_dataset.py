"""Data that contradict their declaration are refused by split, row and value; other data stay unchanged."""

import tracemalloc

import numpy as np
import pytest

from genjax_models.data import Split, from_splits
from genjax_models.data.splits import in_common, split_at_random
from genjax_models.errors import InputError


def grey(n=4, shape=(5, 3), seed=0):
    """Floats in [0, 1], with 0 and 1 among them."""
    x = np.random.RandomState(seed).rand(n, *shape).astype(np.float32)
    x.flat[0], x.flat[1] = 0, 1
    return x


def splits_of_images(*args, **splits):
    """`from_splits` with `[n, height, width]` declared as images."""
    x = (args or list(splits.values()))[0].x
    return from_splits(*args, **splits, kind="images" if np.ndim(x) == 3 else None)


def three(train, **options):
    """A data set with valid held-out splits, so that an error is about `train`."""
    return splits_of_images(train, Split(grey(seed=1)), Split(grey(seed=2)), **options)


def same(x, **options):
    """The same examples in every split."""
    return splits_of_images(*[Split(x)] * 3, overlap="report", **options)


def changed(x, row, value):
    x = x.copy()
    x[row].flat[-1] = value
    return x


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (grey(shape=(5, 3)), (5, 3, 1)),
        (grey(shape=(5, 3, 1)), (5, 3, 1)),
        (grey(shape=(5, 3, 4)), (5, 3, 4)),
        (grey(shape=(7,)), (7,)),
    ],
)
def test_images_get_channels_and_vectors_stay(x, shape):
    dataset = same(x)
    assert dataset.shape == shape
    np.testing.assert_array_equal(dataset.train.x.reshape(x.shape), x)


@pytest.mark.parametrize(
    ("x", "dtype", "stored_range"),
    [
        ((255 * grey()).astype(np.uint8), np.uint8, (0, 255)),
        (grey() > 0.5, np.uint8, (0, 1)),
        (grey().astype(np.float64), np.float32, (0, 1)),
        (grey().astype(np.float16), np.float32, (0, 1)),
    ],
)
def test_values_are_kept_and_the_range_follows_from_the_type(x, dtype, stored_range):
    dataset = same(x)
    assert (dataset.train.x.dtype, dataset.range) == (dtype, stored_range)
    np.testing.assert_array_equal(dataset.train.x[..., 0], x.astype(dtype))


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (changed(grey(), 2, np.nan), {}, "train split: values must be finite, got nan in row 2"),
        (changed(grey(), 3, -np.inf), {}, "train split: values must be finite, got -inf in row 3"),
        (2 * grey() - 1, {}, r"float32 values must be in \[0, 1\], got \[-1, 1\] \(first in row 0\)"),
        (changed(grey(), 3, -0.5), {}, r"values must be in \[0, 1\], got \[-0.5, 1\] \(first in row 3\)"),
        (255 * grey(), {}, r"float32 values must be in \[0, 1\], got \[0, 255\] .*declare their range"),
        ((255 * grey()).astype(np.uint8), {"range": (0, 1)}, r"uint8 values must be in \[0, 1\], got \[0, 255\]"),
        ((255 * grey()).astype(np.int64), {}, "x must be uint8, bool or floating point, got int64"),
        (grey().astype(np.complex64), {}, "x must be uint8, bool or floating point, got complex64"),
        (grey()[:, 0, 0], {}, r"x must be \[n, height, width, .*, got shape \(4,\)"),
        (grey(shape=(2, 5, 3, 1)), {}, r"x must be .*, got shape \(4, 2, 5, 3, 1\)"),
        (grey(shape=(3, 8, 8)), {}, r"images must be .*, got \(3, 8, 8\)\. Channels seem to come first"),
        (grey(shape=(1, 8, 8)), {}, "Channels seem to come first: move them to the end"),
        (grey(shape=(8, 8, 5)), {}, r"images must be \(height, width, 1 to 4 channels\), got \(8, 8, 5\)$"),
        (grey()[:0], {}, "train split: needs at least one example, got none"),
        (grey(), {"range": (1, 0)}, r"two finite numbers, the lower first, got \(1, 0\)"),
        (grey(), {"range": (0, np.inf)}, r"two finite numbers, the lower first, got \(0, inf\)"),
        (grey(), {"range": (0, np.nan)}, r"two finite numbers, the lower first, got \(0, nan\)"),
    ],
)
def test_fault_01_fault_05_fault_06_data_that_contradict_their_declaration_are_refused(x, options, message):
    with pytest.raises(InputError, match=f"^digits.*{message}"):
        same(x, name="digits", **options)


def test_fault_03_splits_of_several_shapes_are_refused():
    message = r"must have examples of one shape, got .*'train': \(5, 2, 1\), 'validation': \(5, 3, 1\)"
    with pytest.raises(InputError, match=message):
        three(Split(grey(shape=(5, 2))))


def test_fault_26_a_value_that_float32_cannot_hold_is_refused_by_row():
    with pytest.raises(InputError, match="values must be finite, got inf in row 1"):
        three(Split(changed(grey().astype(np.float64), 1, 1e300)))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_wrong_split_is_named(split):
    splits = {name: Split(grey()) for name in ("train", "validation", "test")}
    splits[split] = Split(changed(grey(), 1, np.nan))
    with pytest.raises(InputError, match=f"{split} split: .* in row 1"):
        splits_of_images(**splits)


def test_bytes_that_never_pass_one_must_be_declared_binary():
    binary = (grey() > 0.5).astype(np.uint8)
    with pytest.raises(
        InputError, match=r"uint8 values in \[0, 1\], but the declared range is \(0, 255\)\. .*range=\(0, 1\)"
    ):
        same(binary)
    assert same(binary, range=(0, 1)).range == (0, 1)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0, 1, 2, -1], "labels must be 0 to 2, got -1 in row 3"),
        ([0, 3, 2, 1], "labels must be 0 to 2, got 3 in row 1"),
        ([0, 1, 2], r"labels must be 4 integers, got int64 of shape \(3,\)"),
        ([[0], [1], [2], [0]], r"labels must be 4 integers, got int64 of shape \(4, 1\)"),
        ([0.0, 1.0, 2.0, 0.0], "labels must be 4 integers, got float64"),
        ([0.0, 1.0, np.nan, 0.0], "labels must be 4 integers, got float64"),
    ],
)
def test_fault_10_labels_out_of_range_or_length_are_refused(label, message):
    with pytest.raises(InputError, match=f"train split: {message}"):
        three(Split(grey(), np.array(label)), num_classes=3)


@pytest.mark.parametrize("label", [[0.0, 1.0, np.nan, 0.0], ["a", "b", "c", "a"]])
def test_labels_that_cannot_be_counted_are_refused(label):
    with pytest.raises(InputError, match="train split: labels must be 4 integers"):
        three(Split(grey(), np.array(label)))


def test_held_out_labels_must_be_known_from_training():
    labels = np.array([0, 1, 1, 0]), np.array([0, 1, 1, 0]), np.array([0, 1, 2, 0])
    train, known, test = (Split(grey(seed=seed), label) for seed, label in enumerate(labels))
    assert splits_of_images(train, known, known).num_classes == 2
    assert splits_of_images(train, known, test, num_classes=3).test.label.dtype == np.int32
    with pytest.raises(InputError, match="test split: labels must be 0 to 1, got 2 in row 2"):
        splits_of_images(train, known, test)


def test_labels_that_training_lacks_are_refused():
    with pytest.raises(InputError, match="label"):
        splits_of_images(Split(grey()), Split(grey()), Split(grey(), np.array([0, 1, 2, 0])))


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 3), (9,)])
def test_a_held_out_example_that_training_holds_is_refused(split, dtype, shape):
    x = [(255 * grey(n=6, shape=shape, seed=seed)).astype(np.uint8) for seed in range(3)]
    x = [a if dtype is np.uint8 else a > 99 if dtype is bool else np.float32(a / 255) for a in x]
    splits = dict(zip(("train", "validation", "test"), map(Split, x), strict=True))
    assert "training too" not in splits_of_images(**splits, overlap="report").provenance
    splits_of_images(**splits)
    splits[split].x[[2, 4]] = splits["train"].x[[5, 1]]
    message = rf"^arrays: 2 of 6 examples of {split} are in train too \(row 2 of {split} is row 5 of train\); held-out"
    with pytest.raises(InputError, match=message):
        splits_of_images(**splits)
    assert f"; 2 of 6 {split} examples are in training too" in splits_of_images(**splits, overlap="report").provenance


def test_overlap_compares_values_without_signs_of_zeros_and_labels():
    train, test = grey(), grey(seed=1)
    train[1], test[2] = -0.0, 0.0
    labels = np.arange(4) % 2
    with pytest.raises(InputError, match="row 2 of test is row 1 of train"):
        splits_of_images(Split(train, labels), Split(grey(seed=2), labels), Split(test, 1 - labels))


def sequences(n=4, seed=0):
    """A split of sequences `[n, 5, 3]` with lengths and two factors, each of which names its row of `grey`."""
    return Split(grey(n, seed=seed), None, 1 + np.arange(n) % 5, np.stack([np.arange(n), np.full(n, seed)], axis=1))


def test_lengths_and_factors_stay_with_their_examples():
    dataset = from_splits(*(sequences(seed=seed) for seed in range(3)))
    for seed, split in enumerate((dataset.train, dataset.validation, dataset.test)):
        assert (split.length.dtype, split.factors.dtype, split.label) == (np.int32, np.float32, None)
        np.testing.assert_array_equal(split.length, [1, 2, 3, 4])
        np.testing.assert_array_equal(split.factors, [[0, seed], [1, seed], [2, seed], [3, seed]])


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("length", [1, 2, 3], r"length must be 4 integers, got int64 of shape \(3,\)"),
        ("length", [1.0, 2.0, 3.0, 4.0], "length must be 4 integers, got float64"),
        ("length", [1, 0, 3, 4], "length must be between 1 and 5, got 0 in row 1"),
        ("length", [1, 2, 6, 4], "length must be between 1 and 5, got 6 in row 2"),
        ("factors", [1.0, 2.0, 3.0, 4.0], r"factors must be numbers \[4, f\], got float64 of shape \(4,\)"),
        ("factors", [[1.0], [2.0]], r"factors must be numbers \[4, f\], got float64 of shape \(2, 1\)"),
        ("factors", [["a"], ["b"], ["c"], ["d"]], r"factors must be numbers \[4, f\]"),
        ("factors", [[1.0], [2.0], [np.nan], [4.0]], r"factors must be finite, got \[nan\] in row 2"),
    ],
)
def test_lengths_and_factors_that_do_not_fit_are_refused(field, values, message):
    train = sequences()._replace(**{field: np.array(values)})
    with pytest.raises(InputError, match=f"train split: {message}"):
        from_splits(train, sequences(seed=1), sequences(seed=2))


@pytest.mark.parametrize("field", ["length", "factors"])
def test_a_field_that_one_split_lacks_is_refused(field):
    held_out = sequences(seed=1), sequences(seed=2)._replace(**{field: None})
    with pytest.raises(InputError, match=f"only the train and validation split has {field}; all must have it, or none"):
        from_splits(sequences(), *held_out)


def test_random_splits_take_every_field():
    whole = Split(np.arange(50), np.arange(50) % 7, np.arange(50) + 1, np.arange(100).reshape(50, 2))
    for split in split_at_random(whole, (20, 10, 5)):
        np.testing.assert_array_equal(split.label, split.x % 7)
        np.testing.assert_array_equal(split.length, split.x + 1)
        np.testing.assert_array_equal(split.factors, np.stack([2 * split.x, 2 * split.x + 1], axis=1))


def test_copies_inside_a_split_are_no_overlap():
    train = grey().repeat(2, axis=0)
    held_out = Split(grey(seed=1).repeat(2, axis=0))
    assert len(splits_of_images(Split(train), held_out, held_out).train.x) == 8


def test_an_unknown_overlap_is_refused():
    with pytest.raises(InputError, match="overlap must be 'refuse' or 'report', got 'ignore'"):
        three(Split(grey()), overlap="ignore")


def test_one_copy_among_60_000_images_is_found():
    x = np.random.RandomState(0).randint(0, 256, (60_000, 784)).astype(np.uint8)
    shared = in_common({"train": x[:50_000], "test": np.concatenate([x[50_000:], x[7:8]])})
    assert shared == {"test": [(10_000, 7)]}


def test_random_splits_are_disjoint_and_always_the_same():
    x, label = np.arange(50), np.arange(50) % 7
    splits = split_at_random(Split(x, label), (20, 10, 5))
    rows = np.concatenate([split.x for split in splits])
    assert [len(split.x) for split in splits] == [20, 10, 5]
    assert len(set(rows)) == 35
    assert not np.array_equal(np.sort(rows[:20]), np.arange(20))  # shuffled: files are often sorted by class
    for split, again in zip(splits, split_at_random(Split(x, label), (20, 10, 5)), strict=True):
        np.testing.assert_array_equal(split.x, again.x)
        np.testing.assert_array_equal(split.label, split.x % 7)


def test_copies_stay_together_and_the_others_are_shuffled_as_they_were():
    x = np.arange(100)
    expected = np.random.RandomState(0).permutation(100)
    for split, rows in zip(
        split_at_random(Split(x), (80, 10, 10)), (slice(80), slice(80, 90), slice(90, 100)), strict=True
    ):
        np.testing.assert_array_equal(split.x, expected[rows])
    x = np.concatenate([np.arange(70), np.arange(20), np.arange(10)])  # some once, some twice, some three times
    label = np.arange(100)
    splits = split_at_random(Split(x, label), (80, 10, 10))
    assert sum(len(split.x) for split in splits) == 100
    assert sum(len(set(split.x)) for split in splits) == 70
    assert all(abs(len(split.x) - size) <= 2 for split, size in zip(splits, (80, 10, 10), strict=True))
    for split in splits:
        np.testing.assert_array_equal(split.x, x[split.label])


def test_data_of_too_few_values_for_held_out_splits_are_refused():
    with pytest.raises(InputError, match=r"^bars: 60 examples, but only 2 different ones, too few for held-out splits"):
        split_at_random(Split(np.arange(60) % 2), (48, 6, 6), where="bars")


def test_shared_examples_are_found_without_a_digest_in_memory_for_each_training_example():
    train = np.arange(40_000, dtype=np.float32).reshape(-1, 2)
    train[7] = train[5]
    held_out = np.array([[-1, 0], train[5], train[19_999]], np.float32)
    tracemalloc.start()
    try:
        shared = in_common({"train": train, "test": held_out, "validation": held_out[:1]})
        assert tracemalloc.get_traced_memory()[1] < 10 * len(train)  # a digest takes 65 bytes, the copy of a row 8
    finally:
        tracemalloc.stop()
    assert shared == {"test": [(1, 5), (2, 19_999)]}
