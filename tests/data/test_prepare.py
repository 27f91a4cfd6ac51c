"""Prepared data: values are scaled exactly, binarised on demand, and held-out data are the same for all runs."""

import jax
import numpy as np
import pytest

from genjax_models.data import Split, from_splits, prepare
from genjax_models.errors import InputError
from tests.statistics import assert_mean

LEVELS = np.arange(256, dtype=np.uint8)[:, None]
LABEL = np.arange(256) % 10
KEYS = jax.random.split(jax.random.key(0), 1_000)


def of(x, label=None, **options):
    """The same examples in every split, so that prepared splits can be compared."""
    return from_splits(*[Split(x, label)] * 3, overlap="report", **options)


def drawn(prepared, key):
    return prepared.each_step(key, prepared.train)


def test_dynamic_draws_have_the_grey_value_as_mean():
    prepared = prepare(of(LEVELS), binarise="dynamic")
    draws = np.asarray(jax.vmap(lambda key: drawn(prepared, key).x)(KEYS))
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert_mean(draws, LEVELS / 255)
    with pytest.raises(AssertionError):  # the mistake of bytes as probabilities: all draws but those of 0 are ones
        assert_mean(np.broadcast_to(LEVELS > 0, draws.shape), LEVELS / 255)


def test_dynamic_draws_differ_between_steps_and_repeat_for_a_key():
    prepared = prepare(of(LEVELS), binarise="dynamic")
    first, second = drawn(prepared, KEYS[0]).x, drawn(prepared, KEYS[1]).x
    assert 50 < np.sum(first != second) < 120  # sum of 2 p (1 - p) over the levels is 85, its deviation 7
    np.testing.assert_array_equal(first, drawn(prepared, KEYS[0]).x)


@pytest.mark.parametrize("binarise", ["fixed", "threshold"])
def test_data_that_are_binarised_once_are_stored_as_bytes_of_zeros_and_ones(binarise):
    prepared = prepare(of(LEVELS), binarise=binarise)
    assert prepared.train.x.dtype == np.uint8
    assert set(np.unique(prepared.train.x)) == {0, 1}
    for key in KEYS[:2]:
        x = drawn(prepared, key).x
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, prepared.train.x)


def test_the_threshold_is_one_half():
    np.testing.assert_array_equal(prepare(of(LEVELS), binarise="threshold").test.x, LEVELS >= 128)


@pytest.mark.parametrize("binarise", ["dynamic", "fixed"])
def test_held_out_data_are_drawn_once_and_for_all_runs(binarise):
    x = np.repeat(LEVELS, 100, axis=1)
    first, second = (prepare(of(x), binarise=binarise) for _ in range(2))
    np.testing.assert_array_equal(first.validation.x, second.validation.x)
    np.testing.assert_array_equal(first.test.x, second.test.x)
    assert np.any(first.validation.x != first.test.x)  # the same grey values with other noise
    assert set(np.unique(first.test.x)) == {0.0, 1.0}
    p = x / 255
    assert_mean(((first.test.x - p) * p).mean(axis=0), 0)


@pytest.mark.parametrize(
    ("stored", "declared", "wanted", "expected"),
    [
        (np.arange(-128, 129) / 128, (-1, 1), (0, 1), np.arange(257) / 256),
        (np.arange(257) / 256, (0, 1), (-1, 1), np.arange(-128, 129) / 128),
        (np.arange(257) / 256, (0, 1), (0, 1), np.arange(257) / 256),
        (np.arange(-8, 9), (-8.0, 8.0), (0, 1), np.arange(17) / 16),
    ],
)
def test_scaling_between_declared_ranges_is_exact(stored, declared, wanted, expected):
    prepared = prepare(of(stored[:, None].astype(np.float32), range=declared), binarise="none", range=wanted)
    assert prepared.range == wanted
    for x in (prepared.validation.x, prepared.test.x, drawn(prepared, KEYS[0]).x):
        np.testing.assert_array_equal(x[:, 0], expected.astype(np.float32))


@pytest.mark.parametrize("wanted", [(0, 1), (-1, 1), (-0.5, 0.5)])
def test_fault_02_bytes_are_scaled_to_the_range_and_never_out_of_it(wanted):
    prepared = prepare(of(LEVELS), binarise="none", range=wanted)
    low, high = wanted
    compiled = jax.jit(prepared.each_step)(KEYS[0], prepared.train).x
    for x in (prepared.validation.x, drawn(prepared, KEYS[0]).x, compiled):
        np.testing.assert_allclose(x, low + (high - low) * (LEVELS / 255), atol=2e-7)
        assert np.min(x) == low
        assert np.max(x) == high


@pytest.mark.parametrize("binarise", ["dynamic", "fixed", "threshold", "none"])
def test_lengths_and_factors_pass_through(binarise):
    split = Split(np.tile(LEVELS, 3)[..., None], LABEL, 1 + np.arange(256) % 3, np.arange(512).reshape(256, 2) / 512)
    prepared = prepare(from_splits(*[split] * 3, overlap="report"), binarise=binarise)
    rows = np.array([7, 200, 3])
    for batch in (prepared.train, prepared.validation, prepared.test, drawn(prepared, KEYS[0]), *prepared.parts()):
        assert (batch.length.dtype, batch.factors.dtype) == (np.int32, np.float32)
        np.testing.assert_array_equal(batch.label, split.label)
        np.testing.assert_array_equal(batch.length, split.length)
        np.testing.assert_array_equal(batch.factors, split.factors)
    np.testing.assert_array_equal(prepared.training_examples(rows).length, split.length[rows])
    np.testing.assert_array_equal(prepared.training_examples(rows).factors, split.factors[rows])


def test_labels_and_the_shape_of_an_example_pass_through():
    prepared = prepare(of(LEVELS, LABEL), binarise="dynamic")
    for batch in (prepared.train, prepared.validation, prepared.test, drawn(prepared, KEYS[0])):
        np.testing.assert_array_equal(batch.label, LABEL)
    assert prepared.example.x.shape == (256, 1)
    assert prepared.example.x.dtype == np.float32
    assert set(np.unique(prepared.example.x)) == {0, 1}
    assert prepare(of(LEVELS)).test.label is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binarise": "stochastic"}, "`binarise` must be one of dynamic, fixed, threshold, none, got 'stochastic'"),
        ({"binarise": "dynamic", "range": (-1, 1)}, r"`range` must be \(0, 1\) with binarise='dynamic', got \(-1, 1\)"),
        ({"binarise": "threshold", "range": (0, 255)}, "`range` must be .* with binarise='threshold', got"),
    ],
)
def test_unknown_or_contradicting_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        prepare(of(LEVELS), **options)
