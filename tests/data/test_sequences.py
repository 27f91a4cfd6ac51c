"""Sequences of several lengths: padded with zeros, which are no data, and refused by split and row."""

import jax
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.data import Split, from_arrays, from_sequences, from_splits, load, prepare
from genjax_models.data.description import description
from genjax_models.data.fingerprint import fingerprint
from genjax_models.data.survey import survey_of_values
from genjax_models.errors import InputError
from genjax_models.systems.groups import Likelihood


def real(lengths, seed=0, features=(2,)):
    """Sequences in [1, 2): zero is outside their range."""
    random = np.random.RandomState(seed)
    return [1 + random.rand(length, *features) for length in lengths]


def real_set(**options):
    return from_sequences(real([3, 1, 2]), real([5], 1), real([2, 4], 2), range=(1, 2), **options)


def test_lists_become_one_array_with_lengths():
    dataset = gx.from_sequences(real([3, 1, 2]), real([5], 1), real([2, 4], 2), range=(0, 2))
    assert (dataset.kind, dataset.shape, dataset.range) == ("sequences", (5, 2), (0, 2))
    given = real([3, 1, 2]), real([5], 1), real([2, 4], 2)
    for split, sequences in zip((dataset.train, dataset.validation, dataset.test), given, strict=True):
        assert (split.x.dtype, split.length.dtype) == (np.float32, np.int32)
        assert split.length.tolist() == list(map(len, sequences))
        for x, sequence in zip(split.x, sequences, strict=True):
            np.testing.assert_array_equal(x[: len(sequence)], sequence.astype(np.float32))
            assert not x[len(sequence) :].any()


@pytest.mark.parametrize(
    ("values", "range", "dtype", "is_binary"),
    [
        (np.array([0, 1, 1, 0]), (0, 1), np.uint8, True),
        (np.array([False, True, True, False]), (0, 1), np.uint8, True),
        (np.array([0, 7, 255, 1]), (0, 255), np.uint8, False),
        (np.array([-3, 7, 4, 5]), (-5, 7), np.float32, False),
        (np.array([0.0, 1.0, 1.0, 0.0]), (0, 1), np.float32, False),
    ],
)
def test_all_splits_have_the_type_of_the_range(values, range, dtype, is_binary):
    sequences = lambda shift: [np.roll(values, shift)[:, None], np.roll(values, shift)[:2, None]]
    dataset = from_sequences(sequences(0), sequences(1), sequences(2), range=range, overlap="report")
    assert (dataset.train.x.dtype, dataset.test.x.dtype, dataset.is_binary) == (dtype, dtype, is_binary)
    np.testing.assert_array_equal(dataset.train.x[1, :, 0], [*values[:2], 0, 0])


def test_labels_go_with_the_sequences():
    dataset = real_set(labels=(["b", "a", "b"], ["a"], ["b", "a"]))
    assert (dataset.class_names, dataset.num_classes) == (("a", "b"), 2)
    assert [split.label.tolist() for split in dataset[1:4]] == [[1, 0, 1], [0], [1, 0]]


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        ([], {}, "speech, train split: must have at least one sequence, got none"),
        (Split(np.ones((2, 3, 2))), {}, r"must be a list of arrays \[time, ...\], got Split"),
        ([np.ones((2, 2)), np.ones((0, 2))], {}, "sequences must have at least one step, got none in row 1"),
        ([np.ones((2, 2)), np.ones(3)], {}, r"must be \[time, d\] or \[time, a, b\], got shape \(3,\) in row 1"),
        ([np.ones((2, 2)), np.ones((2, 3))], {}, r"shape of the first, \(2,\), got \(3,\) in row 1"),
        ([np.ones((2, 3))], {}, r"validation split: every step must have the shape of the first, \(3,\), got \(2,\)"),
        ([[[1.0, 1.0], [1.0]]], {}, "row 0 must be an array, or lists of equal lengths"),
        ([np.ones((2, 2)), 3 * np.ones((1, 2))], {}, r"must be in \[1, 2\], got \[1, 3\] \(first in row 1\)"),
        ([np.ones((2, 2)), np.full((1, 2), np.nan)], {}, "values must be finite, got nan in row 1"),
        (
            [np.ones((2, 2))],
            {"labels": ([0], [0])},
            "`labels` must be three lists, of train, validation and test, got 2",
        ),
    ],
)
def test_other_sequences_are_refused_by_split_and_row(train, options, message):
    with pytest.raises(InputError, match=message) as error:
        from_sequences(train, real([5], 1), real([2, 4], 2), range=(1, 2), name="speech", **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("filled", [np.nan, 99.0, 1.5])
def test_values_after_the_end_are_no_data(filled):
    """NaN and values out of range are kept nowhere: only the lengths say what is data."""
    dataset = real_set()
    padding = np.arange(5) >= dataset.train.length[:, None]
    x = np.where(padding[..., None], filled, dataset.train.x)
    other = from_splits(dataset.train._replace(x=x), *dataset[2:4], range=(1, 2))
    np.testing.assert_array_equal(other.train.x, dataset.train.x)
    assert (other.train.x[padding] == 1).all()  # the end of the range that is nearest to zero
    x[0, 0] = filled
    if filled != 1.5:
        with pytest.raises(InputError, match=r"got (nan|\[1, 99\].*)"):
            from_splits(dataset.train._replace(x=x), *dataset[2:4], range=(1, 2))


@pytest.mark.parametrize("binarise", ["dynamic", "fixed", "threshold", "none"])
def test_prepared_sequences_end_in_zeros_whatever_the_range(binarise):
    """Zero is the middle of [-1, 1], so that scaled padding would be 1/2: a fair coin, or 1."""
    sequences = [np.full((length, 2), 0.9, np.float32) for length in (40, 60)]
    prepared = prepare(from_sequences(*[sequences] * 3, range=(-1, 1), overlap="report"), binarise=binarise)
    step = jax.jit(prepared.each_step)(jax.random.key(3), prepared.train)
    for batch in (prepared.example, prepared.test, step):
        assert not np.asarray(batch.x)[0, 40:].any()
        assert np.asarray(batch.x)[0, :40].mean() > 0.8
        assert batch.length.tolist() == [40, 60]


def test_sequences_without_lengths_are_whole():
    dataset = from_arrays(np.random.RandomState(0).rand(20, 5, 3), kind="sequences")
    assert dataset.train.length.tolist() == [5] * 16
    assert dataset.train.length.dtype == np.int32


@pytest.mark.parametrize("own_splits", [False, True])
def test_a_file_holds_sequences_with_their_lengths(own_splits, tmp_path):
    length = 1 + np.arange(20) % 4
    x = np.where(np.arange(4)[:, None] < length[:, None, None], 1.0 + np.arange(20)[:, None, None] / 20, 0.0)
    arrays = {"x": x, "length": length, "y": length - 1}
    if own_splits:
        parts = {"train": slice(10), "validation": slice(10, 15), "test": slice(15, 20)}
        arrays = {f"{key}_{name}": value[rows] for key, value in arrays.items() for name, rows in parts.items()}
    np.savez(tmp_path / "a.npz", **arrays)
    dataset = load(tmp_path / "a.npz", range=(0, 2))
    assert (dataset.kind, dataset.shape) == ("sequences", (4, 1))
    for split in dataset[1:4]:
        np.testing.assert_array_equal((split.x > 0).sum(axis=(1, 2)), split.length)
        np.testing.assert_array_equal(split.label, split.length - 1)
    assert sum(len(split.x) for split in dataset[1:4]) == 20


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (np.full(20, 0), r"a\.npz, x: length must be between 1 and 4, got 0 in row 0"),
        (np.r_[np.full(19, 4), 5], r"a\.npz, x: length must be between 1 and 4, got 5 in row 19"),
        (np.full(20, 3.0), r"a\.npz, x: length must be 20 integers, got float64"),
        (np.full(19, 3), r"a\.npz: length has shape \(19,\), but x has \(20, 4, 3\)"),
    ],
)
def test_lengths_in_a_file_are_checked(length, message, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.random.RandomState(0).rand(20, 4, 3), length=length)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "a.npz")


def test_lengths_are_described_and_part_of_the_fingerprint():
    dataset = real_set()
    assert dict(description(dataset))["steps"] == "1 to 3 in a training sequence, mean 2.0, in all 6"
    mean = np.concatenate(real([3, 1, 2])).mean()
    assert (
        f"training in [1, {dataset.train.x.max():.6g}], mean {mean:.4g};" in dict(survey_of_values(dataset))["values"]
    )
    longer = dataset._replace(train=dataset.train._replace(length=np.array([3, 1, 3], np.int32)))
    assert fingerprint(longer) != fingerprint(dataset)


def test_rows_of_mnist_have_the_bits_of_its_images():
    """Bounds of models of rows and of images compare: likelihood auto draws the same held-out bits for both."""
    rows, images = load("mnist10k_rows"), load("mnist10k")
    assert (rows.kind, rows.shape, rows.train.length.tolist()) == ("sequences", (28, 28), [28] * 8000)
    likelihoods = [Likelihood().for_data(dataset) for dataset in (rows, images)]
    assert {(one.family, one.binarise) for one in likelihoods} == {("bernoulli", "dynamic")}
    by_row, by_image = (one.prepare(data).test for one, data in zip(likelihoods, (rows, images), strict=True))
    np.testing.assert_array_equal(by_row.x, by_image.x[..., 0])
    np.testing.assert_array_equal(by_row.label, by_image.label)


def test_bernoulli_refuses_real_sequences():
    message = r"Bernoulli likelihood needs binary data, .*, got sequences of at most 5 steps of 2 numbers, float32 in"
    with pytest.raises(InputError, match=message):
        Likelihood(family="bernoulli").for_data(real_set())
    assert Likelihood().for_data(real_set()).family == "gaussian"
