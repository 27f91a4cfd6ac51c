"""Rivers are drawn from their factors alone, the same rows whatever their number, at the speed that is promised."""

import hashlib

import numpy as np
import pytest

from genjax_models.data import drawn, load, rivers
from genjax_models.errors import InputError

SCRIPT = rivers.source(24)
NAMES = [factor.name for factor in SCRIPT.factors]


def sample(n, seed=0):
    return SCRIPT.sample(np.random.RandomState(seed), n)


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rivers, "SIZES", (80, 10, 10))
    return tmp_path / "cache"


def test_the_factors_are_pinned():
    digest = hashlib.sha256(sample(10_000).tobytes()).hexdigest()
    assert digest == "c36880289fba8ea4ed8695fd79dfddeccc6c4188b2323cbde6014f7c934f1302"


def test_a_row_does_not_depend_on_the_number_of_rows():
    factors = sample(60)
    np.testing.assert_array_equal(sample(7), factors[:7])
    np.testing.assert_array_equal(SCRIPT.draw(factors[55:57]), SCRIPT.draw(factors)[55:57])  # in two chunks
    assert SCRIPT.draw(factors[:0]).shape == (0, 24, 24, 3)


def test_factors_stay_in_their_ranges_and_take_their_values():
    factors = sample(4_000)
    assert factors.dtype == np.float32
    for column, factor in zip(factors.T, SCRIPT.factors, strict=True):
        low, high = factor.range
        slack = (0.2 if factor.derived else 0.01) * (high - low)
        assert np.float32(low) <= column.min() < low + slack, factor
        assert high - slack < column.max() <= np.float32(high), factor
        if factor.size:
            counts = np.bincount(column.astype(int), minlength=factor.size)
            assert set(column) == set(range(factor.size)), factor
            expected = 4_000 / factor.size
            assert np.abs(counts - expected).max() < 5 * np.sqrt(expected), factor


def test_bend_is_the_mean_turn_and_no_input():
    factors = sample(5)
    turns = [i for i, name in enumerate(NAMES) if name.startswith("turn ")]
    np.testing.assert_allclose(factors[:, NAMES.index("bend")], np.mean(2 * factors[:, turns] - 1, axis=1), atol=1e-6)
    assert [factor.name for factor in SCRIPT.factors if factor.derived] == ["bend"]
    changed = factors.copy()
    changed[:, NAMES.index("bend")] = 0
    np.testing.assert_array_equal(SCRIPT.draw(changed), SCRIPT.draw(factors))


@pytest.mark.parametrize("name", ["grass", "water", "heading", "start", "width", "trees", "turn 0"])
def test_each_input_changes_the_picture(name):
    factors = np.repeat(sample(1, seed=3), 2, axis=0)
    column = NAMES.index(name)
    factors[:, column] = SCRIPT.factors[column].range
    low, high = SCRIPT.draw(factors).astype(int)
    assert np.abs(low - high).max() > 20


def test_grass_and_water_have_their_colours():
    factors = sample(2)
    factors[:, 0], factors[:, 1], factors[:, 2], factors[:, 5] = (0, 1), (0, 1), 0, 0
    factors[:, 7:21] = np.arange(14) % 2
    factors[:, 3], factors[:, 4] = 0.5, 0.18
    image = rivers.source(64).draw(factors)
    np.testing.assert_allclose(image[:, 32, 5], 255 * np.array([(0.80, 0.72, 0.30), (0.12, 0.46, 0.16)]), rtol=0.06)
    for one, water in zip(image, [(0.10, 0.22, 0.52), (0.25, 0.68, 0.80)], strict=True):
        off = np.abs(one / 255 - np.array(water)).max(axis=-1)
        assert 0.05 < np.mean(off < 0.02) < 0.3  # some pixels are water and nothing else


def test_the_data_set_is_the_first_rows_of_the_source_in_three_splits(small):
    dataset = load("rivers:24")
    assert [len(split.x) for split in (dataset.train, dataset.validation, dataset.test)] == [80, 10, 10]
    assert (dataset.shape, dataset.train.x.dtype, dataset.range) == ((24, 24, 3), np.uint8, (0, 255))
    assert [factor.name for factor in dataset.factors] == NAMES[:7]
    factors = sample(100)
    np.testing.assert_array_equal(dataset.test.factors, factors[90:, :7])
    np.testing.assert_array_equal(dataset.test.x, SCRIPT.draw(factors[90:]))


def test_the_label_is_the_side_that_has_four_turns_more(small):
    dataset = load("rivers:8")
    right = sample(100)[:80, 7:21].sum(axis=1)  # of 14 turns
    label = np.where(right >= 9, "bends to the right", np.where(right <= 5, "bends to the left", "goes straight on"))
    np.testing.assert_array_equal(np.array(dataset.class_names)[dataset.train.label], label)
    assert {5, 6, 8, 9} <= set(right)  # both sides of both limits


def test_images_are_drawn_once_and_drawn_again_where_the_cache_is_damaged(small, monkeypatch):
    first = load("rivers:24")
    (file,) = small.rglob("*.records")
    with monkeypatch.context() as patch:
        patch.setattr(rivers, "_each", lambda *arguments: pytest.fail("drawn again"))
        np.testing.assert_array_equal(load("rivers:24").train.x, first.train.x)
    file.write_bytes(bytes(reversed(file.read_bytes())))
    np.testing.assert_array_equal(load("rivers:24").train.x, first.train.x)
    assert load("rivers:16").shape == (16, 16, 3)  # another key


def test_without_a_cache_images_are_drawn_with_a_warning(small, monkeypatch):
    monkeypatch.setattr(drawn.image_cache, "default_folder", lambda: None)
    with pytest.warns(UserWarning, match="images are drawn, and not kept"):
        assert len(load("rivers:24").test.x) == 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rivers:7", "rivers: the side of images must be 8 to 512 pixels, got 7"),
        ("rivers:x", "'rivers:x': the name may end in a side in pixels, as in 'rivers:32', got 'x'"),
        ("rivers:", "the name may end in a side in pixels"),
        (
            "river",
            r"no data set 'river' \(did you mean 'rivers'\?\); accepted are mnist10k, .*, rivers, ",
        ),
    ],
)
def test_names_that_do_not_fit_are_refused(name, message):
    with pytest.raises(InputError, match=message) as error:
        load(name)
    assert "\n" not in str(error.value)


def test_rivers_take_no_options_of_files():
    with pytest.raises(InputError, match="'rivers' has its own range"):
        load("rivers", range=(0, 1))
