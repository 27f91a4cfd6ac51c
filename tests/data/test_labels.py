"""Labels count classes from 0: others are refused before they are cast, and unused classes are said."""

import re
import warnings

import numpy as np
import pytest

from genjax_models.data import Split, from_splits, load
from genjax_models.errors import InputError

N = 30
X = np.random.RandomState(0).randint(0, 256, (N, 4, 3)).astype(np.uint8)
Y = np.arange(N) % 3


def labelled(train, held_out=None, **options):
    """A data set of 20, 5 and 5 labelled images, named "digits"."""
    y = np.concatenate([train, train[:10] if held_out is None else held_out])
    parts = [Split(X[rows], y[rows]) for rows in (slice(20), slice(20, 25), slice(25, 30))]
    return from_splits(*parts, name="digits", **options)


def saved(path, y):
    np.savez(path / "a.npz", x=X, y=y)
    return str(path / "a.npz")


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2**31, np.int64),
        (2**31, np.uint32),
        (2**32, np.int64),  # int32 makes it 0
        (2**32 + 1, np.uint64),
        (2**63, np.uint64),
        (2**64 - 1, np.uint64),  # int32 makes it -1
        (-(2**32) + 1, np.int64),  # int32 makes it 1
    ],
)
@pytest.mark.parametrize("options", [{}, {"num_classes": 3}, {"num_classes": 2**31 - 1}])
def test_fault_70_labels_that_int32_cannot_hold_are_refused_by_row(value, dtype, options, tmp_path):
    y = Y.astype(dtype)
    y[7] = value
    message = f"labels must be 0, 1, 2, ... and fit in int32, got {value} in row 7. Renumber the labels of all splits"
    with pytest.raises(InputError, match=re.escape(f"digits, train split: {message}")):
        labelled(y[:20], **options)
    with pytest.raises(InputError, match=re.escape(f"a.npz, x: {message}")):
        load(saved(tmp_path, y))
    with pytest.raises(InputError, match=rf"digits, test split: labels must be 0, 1, 2, .*, got {value} in row 4"):
        labelled(Y[:20].astype(dtype), np.concatenate([Y[:9].astype(dtype), y[7:8]]), **options)


@pytest.mark.parametrize(
    "ids",
    [
        [10**9, 10**9 + 1, 10**9 + 2],
        [0, 1, 10**9],
        [2**31 - 1, 2, 3],
        [1001, 1002, 1003],
        [5, 10, 15],
        [0, 1, 10],
    ],
)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint32])
def test_fault_70_ids_are_refused_with_the_remedy(ids, dtype, tmp_path):
    y = np.array(ids, dtype)[Y]
    message = rf"labels must count the classes from 0, got 3 different ones from {min(ids)} to {max(ids)} for"
    with pytest.raises(InputError, match=f"^digits, train split: {message} 20 examples, which seem to be ids") as error:
        labelled(y[:20])
    assert "numpy.unique(labels, return_inverse=True)[1]; or pass num_classes to from_splits" in str(error.value)
    with pytest.raises(InputError, match=rf"a\.npz, train split: {message} 24 examples"):
        load(saved(tmp_path, y))
    assert labelled(np.unique(y, return_inverse=True)[1][:20]).num_classes == 3  # the remedy


def test_fault_70_a_label_for_each_example_is_an_id():
    with pytest.raises(InputError, match="got 20 different ones from 0 to 19 for 20 examples, which seem to be ids"):
        labelled(np.arange(20))
    assert labelled(np.arange(20), num_classes=20).num_classes == 20


def test_fault_70_ids_are_classes_on_request():
    dataset = labelled(np.array([5, 10, 15])[Y[:20]], num_classes=16)
    assert dataset.num_classes == 16
    assert "13 of 16 classes have no training example: 0, 1, 2, 3, 4, 6, 7, 8, 9, 11 and 3 more" in dataset.provenance
    assert set(dataset.test.label) <= {5, 10, 15}
    huge = labelled(Y[:20] + 2**31 - 4, num_classes=2**31 - 1)
    assert huge.train.label.max() == 2**31 - 2
    assert "2147483644 of 2147483647 classes have no training example: 0, 1, " in huge.provenance


@pytest.mark.parametrize(
    ("y", "classes", "said", "hint"),
    [
        (Y + 1, 4, "class 0 of 4 has no training example", "subtract 1 from labels that count from 1"),
        (np.arange(N) % 9 + 1, 10, "class 0 of 10 has no training example", "subtract 1"),
        (np.arange(N) % 12 + 1, 13, "class 0 of 13 has no training example", "subtract 1"),
        (np.array([0, 2, 3])[Y], 4, "class 1 of 4 has no training example", "Renumber the labels"),
        (np.array([3, 7, 7])[Y], 8, "6 of 8 classes have no training example: 0, 1, 2, 4, 5, 6", "Renumber"),
    ],
)
def test_fault_70_unused_classes_are_said(y, classes, said, hint):
    with pytest.warns(UserWarning, match=rf"^digits: {said}\. .*{hint}"):
        dataset = labelled(y[:20], y[:10])
    assert dataset.num_classes == classes
    assert f"; {said}" in dataset.provenance
    with warnings.catch_warnings(action="error"):  # whoever counts the classes knows
        declared = labelled(y[:20], y[:10], num_classes=classes)
    assert f"; {said}" in declared.provenance


def test_fault_70_an_unused_class_of_a_file_is_said(tmp_path):
    with pytest.warns(UserWarning, match=r"^a\.npz: class 0 of 4 has no training example\. .*subtract 1"):
        dataset = load(saved(tmp_path, Y + 1))
    assert dataset.num_classes == 4
    assert "; class 0 of 4 has no training example" in dataset.provenance


def test_fault_70_classes_that_are_all_used_are_not_said():
    with warnings.catch_warnings(action="error"):
        dataset = labelled(Y[:20])
    assert dataset.num_classes == 3
    assert "class" not in dataset.provenance


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (2**31, "num_classes must be from 1 to 2147483647, got 2147483648"),
        (0, "num_classes must be from 1 to 2147483647, got 0"),
        (-1, "num_classes must be from 1 to"),
        (3.0, "num_classes must be an integer, got 3.0"),
        (True, "num_classes must be an integer, got True"),
    ],
)
def test_fault_70_a_number_of_classes_that_int32_cannot_count_is_refused(classes, message):
    with pytest.raises(InputError, match=f"digits: {message}"):
        labelled(Y[:20], num_classes=classes)


def test_negative_labels_alone_are_no_classes():
    with pytest.raises(InputError, match="train split: labels must count the classes from 0, got -1 in row 0"):
        labelled(np.full(20, -1))
