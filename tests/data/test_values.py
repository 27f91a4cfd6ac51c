"""Values of every type are kept exactly, clipped where rounding left the range, or refused with the remedy."""

import re

import numpy as np
import pytest

from genjax_models.data import Split, from_splits, load
from genjax_models.errors import InputError

N = 24
BITS = np.random.RandomState(0).rand(N, 4, 5) > 0.5
UNIT = np.random.RandomState(1).rand(N, 4, 5)
UNIT[0, 0, :2] = 0, 1
WHOLE = np.random.RandomState(2).randint(0, 256, (N, 4, 5))


def same(x, **options):
    kind = "images" if x.ndim == 3 else None
    return from_splits(*[Split(x)] * 3, name="digits", overlap="report", kind=kind, **options)


def saved(path, x, **arrays):
    """Writes `.npy`, or `.npz` with other arrays too; returns the name."""
    name = str(path / ("a.npz" if arrays else "a.npy"))
    np.savez(name, x_train=x, **arrays) if arrays else np.save(name, x)
    return name


def load_images(name, **options):
    return load(name, kind="images", **options)


@pytest.mark.parametrize("x", [BITS, np.repeat(BITS[..., None], 3, axis=-1)])
def test_fault_73_bool_files_are_binary(x, tmp_path):
    dataset = load_images(saved(tmp_path, x))
    assert (dataset.range, dataset.train.x.dtype) == ((0, 1), np.uint8)
    rows = np.concatenate([dataset.train.x, dataset.validation.x, dataset.test.x]).reshape(N, -1)
    assert sorted(map(bytes, rows)) == sorted(bytes(row) for row in x.reshape(N, -1).astype(np.uint8))


@pytest.mark.parametrize("validation", [False, True])
def test_fault_73_bool_splits_of_a_file_are_binary(validation, tmp_path):
    held_out = {"x_validation": BITS[12:18]} if validation else {}
    dataset = load_images(saved(tmp_path, BITS[:12], x_test=BITS[18:], **held_out))
    assert dataset.range == (0, 1)
    np.testing.assert_array_equal(dataset.test.x[..., 0], BITS[18:])


def test_fault_73_bool_takes_a_declared_range_and_no_other_scale(tmp_path):
    assert load_images(saved(tmp_path, BITS), range=(0, 1)).range == (0, 1)
    with pytest.raises(InputError, match=r"For binary values use range=\(0, 1\) \(--data-range 0 1\), or x\.astype\(b"):
        load_images(saved(tmp_path, BITS), range=(0, 255))


def test_fault_73_bytes_of_zeros_and_ones_name_argument_and_flag(tmp_path):
    with pytest.raises(InputError, match=r"range=\(0, 1\) \(--data-range 0 1\), or x\.astype\(bool\)"):
        load_images(saved(tmp_path, BITS.astype(np.uint8)))
    assert load_images(saved(tmp_path, BITS.astype(np.uint8)), range=(0, 1)).range == (0, 1)


@pytest.mark.parametrize(
    ("stored_range", "overshoot", "dtype"),
    [
        ((0, 1), 2e-7, np.float32),
        ((0, 1), 2e-7, np.float64),
        ((0, 1), 9e-7, np.float32),
        ((0, 1), 1e-12, np.float64),
        ((0, 1), 1e-3, np.float16),
        ((-1, 1), 2e-7, np.float32),
        ((0, 255), 3e-5, np.float32),
        ((-1, 0), 2e-7, np.float32),
        ((-0.5, 0.5), 2e-7, np.float64),
    ],
)
@pytest.mark.parametrize("end", [0, 1])
def test_fault_73_rounding_beyond_the_range_is_clipped_and_said(stored_range, overshoot, dtype, end, tmp_path):
    low, high = stored_range
    x = (low + (high - low) * UNIT).astype(dtype)
    x[3, 2, 1] = stored_range[end] + overshoot * (1 if end else -1)
    clipped = x.astype(np.float32).clip(low, high)
    dataset = same(x, range=stored_range)
    np.testing.assert_array_equal(dataset.train.x[..., 0], clipped)
    left = np.float32(x[3, 2, 1]) != np.float32(stored_range[end])
    said = rf"; 1 of 480 values of train leave \[{low:g}, {high:g}\] by rounding, at most .*, and are clipped"
    assert bool(re.search(said, dataset.provenance)) == left
    from_file = load_images(saved(tmp_path, x), range=stored_range)
    assert ("1 of 480 values of x leave" in from_file.provenance) == left
    assert from_file.provenance.count("clipped") == left
    parts = [from_file.train.x, from_file.validation.x, from_file.test.x]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts), axis=None), np.sort(clipped, axis=None))


@pytest.mark.parametrize(
    ("overshoot", "dtype"), [(2e-6, np.float32), (2e-6, np.float64), (1e-3, np.float32), (5e-3, np.float16)]
)
@pytest.mark.parametrize("end", [0, 1])
def test_fault_73_more_than_rounding_is_refused(overshoot, dtype, end):
    x = UNIT.astype(dtype)
    x[3, 2, 1] = end + overshoot * (1 if end else -1)
    with pytest.raises(InputError, match=r"digits, train split: float32 values must be in \[0, 1\].*first in row 3"):
        same(x)


def test_fault_73_values_within_the_range_are_not_said():
    assert "clipped" not in same(UNIT).provenance


@pytest.mark.parametrize(
    ("x", "remedy"),
    [
        (WHOLE, "int64 values in [0, 255]. Convert them by x.astype(numpy.uint8)"),
        (WHOLE.astype(np.int32), "int32 values in [0, 255]. Convert them by x.astype(numpy.uint8)"),
        (WHOLE.astype(np.uint16), "uint16 values in [0, 255]. Convert them by x.astype(numpy.uint8)"),
        (BITS.astype(np.int64), "int64 values in [0, 1]. Convert them by x.astype(bool)"),
        (
            WHOLE.astype(np.uint16) * 257,
            "uint16 values in [0, 65535]. Convert them by x.astype(numpy.float32), and declare their range by"
            " range=(0, 65535) (--data-range 0 65535)",
        ),
        (
            WHOLE - 128,
            "int64 values in [-128, 127]. Convert them by x.astype(numpy.float32), and declare their range by"
            " range=(-128, 127) (--data-range -128 127)",
        ),
        (
            (WHOLE - 128).astype(np.int8),
            "int8 values in [-128, 127]. Convert them by x.astype(numpy.float32), and declare their range by",
        ),
        (np.sign(WHOLE - 128), "int64 values in [-1, 1]. Convert them by x.astype(numpy.float32), and declare"),
    ],
)
def test_fault_73_other_integers_are_refused_with_the_remedy(x, remedy, tmp_path):
    message = re.escape(f"x must be uint8, bool or floating point, got {remedy}")
    with pytest.raises(InputError, match=f"^digits, train split: {message}"):
        same(x)
    with pytest.raises(InputError, match=rf"a\.npy, x: {message}"):
        load_images(saved(tmp_path, x))


@pytest.mark.parametrize(
    ("x", "remedy"),
    [
        (255 * UNIT, "range=(0, 255) (--data-range 0 255)"),
        (2 * UNIT - 1, "range=(-1, 1) (--data-range -1 1)"),
        (8 * UNIT - 4, "range=(-4, 4) (--data-range -4 4)"),
        (1000 * UNIT, "range=(0, 1000) (--data-range 0 1000)"),
        (5 + 4090 * UNIT, "range=(0, 4095) (--data-range 0 4095)"),
        (-5 - UNIT, "range=(-6, 0) (--data-range -6 0)"),
        (12345678 * UNIT, "range=(0, 12345678) (--data-range 0 12345678)"),
    ],
)
def test_fault_73_values_out_of_range_name_argument_and_flag(x, remedy, tmp_path):
    message = re.escape(f"Rescale or clip them, or declare their range, as by {remedy}")
    with pytest.raises(InputError, match=message):
        same(x)
    with pytest.raises(InputError, match=message):
        load_images(saved(tmp_path, x))
    declared = tuple(map(float, re.findall(r"-?\d+", remedy)[:2]))
    assert load_images(saved(tmp_path, x), range=declared).range == declared  # the remedy


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.txt", "numpy.savez('a.npz', x=numpy.loadtxt('a.txt')) (skiprows=1 leaves out a header)"),
        ("a.TXT", "x=numpy.loadtxt('a.TXT'))"),
        ("a.mat", "Convert its arrays: numpy.savez('a.npz', x=..., y=...)"),
        ("a.pkl", "Convert its arrays: numpy.savez('a.npz', x=..., y=...)"),
        ("a", "Convert its arrays: numpy.savez('a.npz', x=..., y=...)"),
    ],
)
def test_fault_73_other_files_are_refused_with_the_remedy(name, remedy, tmp_path):
    (tmp_path / name).write_text("1,2\n")
    with pytest.raises(InputError, match=rf"{name}: a data file must end in \.npz, .* or \.parquet\. Convert") as error:
        load(str(tmp_path / name))
    assert remedy in str(error.value)
    assert "and give that file, load('a.npz') (--data a.npz)" in str(error.value)


def test_fault_73_the_remedy_for_a_table_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("a.txt", UNIT[:, 0])
    with pytest.raises(InputError) as error:
        load("a.txt")
    exec("import numpy\n" + re.search(r"numpy\.savez\(.*?\)\)", str(error.value))[0])
    assert load("a.npz").shape == (5,)


def test_fault_73_one_image_needs_a_folder(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png: a data file .*Images need a folder: name the folder"):
        load(str(tmp_path / "a.png"))


@pytest.mark.parametrize(
    "keys", [["pixels"], ["arr_0"], ["X", "Y"], ["train_images", "test_images"], ["x_train", "x_val", "x_test"]]
)
def test_fault_73_other_keys_are_refused_with_the_remedy(keys, tmp_path):
    np.savez(tmp_path / "a.npz", **{key: WHOLE.astype(np.uint8) for key in keys})
    layouts, given = r"x \[and y, length, factors\]; or .*", re.escape(str(sorted(keys)))
    message = rf"a\.npz: the keys must be {layouts}; got {given}\. Name them: keys="
    with pytest.raises(InputError, match=message) as error:
        load(str(tmp_path / "a.npz"))
    assert f"(--data-keys x={sorted(keys)[0]} y=" in str(error.value)
    assert load(str(tmp_path / "a.npz"), keys={"x": keys[0]}).shape == (4, 5, 1)  # the remedy


def test_a_suffix_in_capital_letters_is_the_same(tmp_path):
    saved(tmp_path, UNIT)
    (tmp_path / "a.npy").rename(tmp_path / "a.NPY")
    assert load_images(str(tmp_path / "a.NPY")).shape == (4, 5, 1)
