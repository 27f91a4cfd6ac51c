"""Known factors of variation reach every batch beside their own example; factors that do not fit are refused."""

import jax
import numpy as np
import pytest

from genjax_models.data import Factor, Split, from_arrays, from_splits, load, load_source, prepare, records
from genjax_models.data.streaming import Stream
from genjax_models.errors import InputError

X = np.random.RandomState(0).randint(0, 256, (30, 4, 3, 1)).astype(np.uint8)
Y = np.arange(30) % 3
FACTORS = np.stack([X[:, 0, 0, 0] / 8, X[:, 1, 0, 0]], axis=1)  # of each image: its bytes (0, 0) and (1, 0)
DESCRIBED = Factor("light", None, (0, 32)), Factor("level", 256, (0, 255))


def of_images(x):
    return np.stack([x[:, 0, 0, 0] / 8, x[:, 1, 0, 0]], axis=1)


def splits(data):
    return data.train, data.validation, data.test


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("how", ["arrays", "npz", "npz of splits", "npz with other names"])
def test_factors_stay_beside_their_example(how, tmp_path):
    file, keys = tmp_path / "data.npz", None
    if how == "arrays":
        dataset = from_arrays(X, Y, factors=FACTORS.tolist(), described=DESCRIBED)
        assert dataset.factors == DESCRIBED
    elif how == "npz":
        dataset = load(saved(file, x=X, y=Y, factors=FACTORS))
        assert [factor.name for factor in dataset.factors] == ["factor 0", "factor 1"]
    elif how == "npz of splits":
        parts = {"x_train": X[:20], "x_test": X[20:], "factors_train": FACTORS[:20], "factors_test": FACTORS[20:]}
        dataset = load(saved(file, **parts))
    else:
        keys = {"x": "imgs", "factors": "latents_values"}
        dataset = load(saved(file, imgs=X, latents_values=FACTORS, latents_classes=Y), keys=keys)
    data = prepare(dataset, range=(0, 255))
    for split in (*splits(dataset), *splits(data), data.each_step(jax.random.key(0), data.train)):
        np.testing.assert_allclose(split.factors, of_images(np.asarray(split.x)), rtol=1e-6)
        assert split.factors.dtype == np.float32


def test_streamed_batches_have_factors(tmp_path):
    pytest.importorskip("grain")
    stored = records.keep(tmp_path / "x.records", iter(X))
    dataset = from_splits(
        Split(stored[:20], factors=FACTORS[:20]),
        Split(X[20:25], factors=FACTORS[20:25]),
        Split(X[25:], factors=FACTORS[25:]),
    )
    data = prepare(dataset, range=(0, 255))
    stream = Stream(data.train, batch_size=6, seed=0)
    chunk = stream.chunk(0, 2, 2)
    stream.close()
    np.testing.assert_allclose(chunk.factors[1], of_images(chunk.x[1]), rtol=1e-6)
    example = data.example
    np.testing.assert_allclose(example.factors, of_images(np.asarray(example.x)), rtol=1e-6)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (FACTORS[1:], r"factors must be numbers \[30, f\], got float64 of shape \(29, 2\)"),
        (FACTORS[:, 0], r"factors must be numbers \[30, f\], got float64 of shape \(30,\)"),
        (np.where(np.arange(60).reshape(30, 2) == 9, np.nan, FACTORS), "factors must be finite, got .*nan.* in row 4"),
        (1e300 * (FACTORS + 1), "factors must be finite, got .*inf.* in row 0"),
        (np.full((30, 2), "red"), r"factors must be numbers \[30, f\], got <U3"),
    ],
)
def test_factors_that_do_not_fit_are_refused(factors, message):
    with pytest.raises(InputError, match=message) as error:
        from_arrays(X, factors=factors)
    assert "\n" not in str(error.value)


def test_factors_of_a_file_need_their_examples(tmp_path):
    with pytest.raises(InputError, match=r"factors has shape \(29, 2\), but x has \(30, 4, 3, 1\)"):
        load(saved(tmp_path / "data.npz", x=X, factors=FACTORS[1:]))
    with pytest.raises(InputError, match=r"factors_test has shape \(30, 2\), but x_test has \(10, 4, 3, 1\)"):
        load(saved(tmp_path / "data.npz", x_train=X[:20], x_test=X[20:], factors_test=FACTORS))


def test_descriptions_must_fit_the_columns():
    with pytest.raises(InputError, match="1 factors are described, but the splits have 2 columns"):
        from_arrays(X, factors=FACTORS, described=DESCRIBED[:1])
    with pytest.raises(InputError, match="2 factors are described, but the splits have no factors"):
        from_arrays(X, described=DESCRIBED)
    parts = [Split(X[i : i + 10], factors=FACTORS[i : i + 10, : 1 if i else 2]) for i in (0, 10, 20)]
    with pytest.raises(InputError, match=r"the splits must have one number of factors, got .*: 2, .*: 1, .*: 1"):
        from_splits(*parts)
    parts = [Split(X[i : i + 10], factors=None if i else FACTORS[:10]) for i in (0, 10, 20)]
    with pytest.raises(InputError, match="only the train split has factors; all must have it, or none"):
        from_splits(*parts)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sprites", lambda v: v[:, :4], r"sprites: factors must be \[n, 5\], got shape \(3, 4\)"),
        (
            "sprites",
            lambda v: v + np.eye(5)[0] * 3,
            "sprites: shape must be an integer from 0 to 2, got [345] in row 0",
        ),
        ("sprites", lambda v: v + 0.5, r"sprites: shape must be an integer from 0 to 2, got [012]\.5 in row 0"),
        ("rivers:16", lambda v: v[0], r"rivers: factors must be \[n, 57\], got shape \(57,\)"),
        ("rivers:16", lambda v: v * np.where(np.arange(57) == 2, np.nan, 1), "rivers: heading must be finite, got nan"),
    ],
)
def test_a_source_refuses_factors_that_do_not_fit(name, change, message):
    script = load_source(name)
    values = script.sample(np.random.RandomState(0), 3)
    assert len(script.draw(values)) == 3
    with pytest.raises(InputError, match=message):
        script.draw(change(values))
