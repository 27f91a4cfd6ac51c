"""Splits of several types or on several scales are refused, with both; splits of one kind pass."""

import re

import numpy as np
import pytest

from genjax_models.data import Split, from_splits, load
from genjax_models.data.scales import refuse_scales
from genjax_models.errors import InputError

SIZES = {"train": 20, "validation": 5, "test": 6}


def uniform(n, low, high, dtype, shape=(4, 3), seed=0):
    """Examples in [low, high], both of which occur."""
    x = low + (high - low) * np.random.RandomState(seed + n).rand(n, *shape)
    x[0].flat[:2] = low, high
    return (np.round(x) if np.dtype(dtype).kind in "bu" else x).astype(dtype)


def splits(train, held_out, which=("validation", "test"), **options):
    """Arrays by split, of `(low, high, dtype)`; splits in `which` are of the second kind."""
    return {name: uniform(n, *(held_out if name in which else train), **options) for name, n in SIZES.items()}


BYTES, BITS, BOOL = (0, 255, np.uint8), (0, 1, np.uint8), (0, 1, bool)
UNIT, SIGNED, BYTE_FLOATS = (0, 1, np.float32), (-1, 1, np.float32), (0, 255, np.float32)
DIFFERENT = [
    (BYTES, UNIT, None),
    (BYTES, UNIT, (0, 255)),
    (BYTES, BYTE_FLOATS, None),
    (UNIT, BYTES, None),
    (BYTES, BITS, None),
    (BITS, BYTES, (0, 255)),
    (BYTES, BOOL, None),
    (BOOL, UNIT, None),
    (UNIT, BOOL, None),
    (UNIT, BITS, None),
    (UNIT, BYTE_FLOATS, None),
    (UNIT, BYTE_FLOATS, (0, 255)),
    (BYTE_FLOATS, UNIT, None),
    (BYTE_FLOATS, UNIT, (0, 255)),
    (BYTE_FLOATS, (0, 1, np.float64), (0, 255)),
    (SIGNED, UNIT, (-1, 1)),
    (UNIT, SIGNED, (-1, 1)),
    (UNIT, SIGNED, None),
    (SIGNED, (-127, 128, np.float32), (-128, 128)),
    ((0, 65535, np.float64), BYTE_FLOATS, (0, 65535)),
    ((-4, 4, np.float32), UNIT, (-4, 4)),
    ((-4, 4, np.float32), SIGNED, (-4, 4)),
    ((0, 100, np.float32), UNIT, (0, 100)),
    (UNIT, (0, 1 / 255, np.float32), None),
    ((0, 1 / 255, np.float32), UNIT, None),
    (SIGNED, (-1 / 128, 1 / 128, np.float32), (-1, 1)),
    (BYTES, (0, 15, np.uint8), None),
    ((0, 15, np.uint8), BYTES, None),
]


def in_words(low, high, dtype):
    return re.escape(f"{np.dtype(dtype)} values in [{low:.6g}, {high:.6g}]")


@pytest.mark.parametrize("which", ["validation", "test"])
@pytest.mark.parametrize(("train", "held_out", "stored_range"), DIFFERENT)
def test_fault_69_splits_of_several_types_or_scales_are_refused_with_both(train, held_out, stored_range, which):
    arrays = splits(train, held_out, [which])
    message = f"digits: {which} has {in_words(*held_out)}, but train has {in_words(*train)}. All splits must have one"
    with pytest.raises(InputError, match=f"^{message}"):
        from_splits(**{name: Split(x) for name, x in arrays.items()}, name="digits", range=stored_range)


@pytest.mark.parametrize(("train", "held_out", "stored_range"), DIFFERENT)
def test_fault_69_splits_of_a_file_are_refused_by_their_keys(train, held_out, stored_range, tmp_path):
    arrays = splits(train, held_out, ["test"])
    del arrays["validation"]
    np.savez(tmp_path / "a.npz", **{f"x_{name}": x for name, x in arrays.items()})
    message = rf"a\.npz: x_test has {in_words(*held_out)}, but x_train has {in_words(*train)}"
    with pytest.raises(InputError, match=message):
        load(str(tmp_path / "a.npz"), range=stored_range)


@pytest.mark.parametrize("shape", [(3,), (4, 3, 3)])
def test_fault_69_vectors_and_colour_images_too(shape):
    arrays = splits(BYTE_FLOATS, UNIT, ["test"], shape=shape)
    with pytest.raises(InputError, match=r"test has float32 values in .*, but train has"):
        from_splits(**{name: Split(x) for name, x in arrays.items()}, range=(0, 255))


@pytest.mark.parametrize(
    ("train", "held_out", "stored_range"),
    [
        *[(kind, kind, None) for kind in (BYTES, BOOL, UNIT)],
        (BITS, BOOL, (0, 1)),
        (BOOL, BITS, (0, 1)),
        (UNIT, (0, 1, np.float64), None),
        (UNIT, (0, 1, np.float16), None),
        (UNIT, (0.1, 0.4, np.float32), None),
        (BYTES, (0, 90, np.uint8), None),
        (BYTE_FLOATS, (0, 90, np.float32), (0, 255)),
        (SIGNED, (-0.5, 0.5, np.float32), (-1, 1)),
        ((0, 1.001, np.float16), UNIT, None),
        ((-2e-7, 1, np.float32), UNIT, None),
    ],
)
def test_fault_69_splits_of_one_kind_pass(train, held_out, stored_range):
    arrays = splits(train, held_out)
    dataset = from_splits(**{name: Split(x) for name, x in arrays.items()}, range=stored_range, kind="images")
    assert all(len(split.x) for split in (dataset.train, dataset.validation, dataset.test))


def test_fault_69_what_may_be_chance_passes():
    """Points around zero: some of the few held-out points are all positive, or small."""
    random = np.random.RandomState(0)
    train = random.normal(size=(1_000, 2))
    for _ in range(1_000):
        assert refuse_scales("points", {"train": train, "test": random.normal(size=(5, 2))}) is None
    quiet = np.abs(random.normal(size=(2, 2))).clip(0, 1)
    refuse_scales("points", {"train": random.normal(size=(1_000, 2)), "test": quiet})


def test_fault_69_black_images_are_of_every_scale():
    black = np.zeros((5, 4, 3), np.uint8)
    for kind in (BYTES, UNIT, SIGNED):
        arrays = splits(kind, kind)
        test = Split(black.astype(kind[2]))
        others = Split(arrays["train"]), Split(arrays["validation"])
        assert not from_splits(*others, test, range=kind[:2], kind="images").test.x.any()
