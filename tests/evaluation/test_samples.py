"""`sample_metrics` inside `evaluate`, and the whole table of `sample_quality`; names end with the features."""

import math
from functools import partial

import jax
import numpy as np
import pytest

from genjax_models.estimators.kernels import gaussian_kernel
from genjax_models.estimators.two_sample_test import two_sample_test
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.features import PIXELS, Features, extract
from genjax_models.evaluation.frechet_distance import frechet_distance
from genjax_models.evaluation.samples import SampleFigure, compared_with_data, sample_metrics, sample_quality
from genjax_models.runs.evaluation import summarised

RANDOM = np.random.RandomState(0)
DATA = RANDOM.uniform(size=(70, 4, 4, 1)).astype(np.float32)
SAMPLES = (0.8 * RANDOM.uniform(size=(60, 4, 4, 1))).astype(np.float32)
METRICS = ["kernel_distance_on_pixels", "frechet_distance_on_pixels", "diversity_on_pixels"]
TABLE = [
    *METRICS, "precision_on_pixels", "recall_on_pixels", "density_on_pixels", "coverage_on_pixels",
    "two_sample_accuracy_on_pixels", "two_sample_p_value_on_pixels",
]  # fmt: skip


def test_metrics_are_a_row_of_the_history_with_their_errors():
    values = jax.jit(lambda samples, data: sample_metrics(PIXELS, samples, data))(SAMPLES, DATA)
    row = summarised(7, "validation", values)
    assert set(row) == {"step", "split", *METRICS, *(f"{name}_se" for name in METRICS)}
    assert all(isinstance(row[name], float) for name in METRICS)
    assert all(row[f"{name}_se"] > 0 for name in METRICS)


def test_a_count_stays_a_whole_number():
    row = summarised(7, "test", {"modes_missed": jax.numpy.int32(7), "of_float": jax.numpy.float32(7)})
    assert (repr(row["modes_missed"]), repr(row["of_float"])) == ("7", "7.0")


def test_the_table_has_every_figure_with_its_counts():
    table = sample_quality(PIXELS, SAMPLES, DATA)
    assert sorted(table) == sorted(TABLE)
    counts = {name: (score.n, score.m) for name, score in table.items()}
    assert counts.pop("two_sample_accuracy_on_pixels") == (60, 60)  # as many samples as data
    assert set(counts.values()) == {(60, 70)}
    assert all(math.isfinite(score.value) for score in table.values())
    assert [name for name, score in table.items() if math.isnan(score.standard_error)] == [
        "two_sample_p_value_on_pixels"
    ]
    x, y = (z.reshape(len(z), -1) for z in (SAMPLES, DATA))
    assert table["frechet_distance_on_pixels"][:2] == pytest.approx(frechet_distance(x, y))
    assert 0.7 < table["diversity_on_pixels"].value < 0.9


def test_metrics_and_table_agree_whatever_the_batch_size():
    table = sample_quality(PIXELS, SAMPLES, DATA, batch_size=13)
    inside = jax.jit(lambda samples, data: sample_metrics(PIXELS, samples, data, batch_size=17))(SAMPLES, DATA)
    for name in METRICS:
        assert table[name].value == pytest.approx(float(inside[name]), rel=1e-4)
        assert table[name].standard_error == pytest.approx(float(inside[f"{name}_se"]), rel=1e-3)


def test_data_are_compared_by_halves_without_a_common_row():
    def difference(features, samples, data, *, batch_size):
        assert (features, batch_size) == (PIXELS, 500)
        return {"difference": Estimate(float(samples.mean() - data.mean()), 0.0, len(samples), len(data))}

    data = np.arange(7.0)[:, None] ** 2  # means of rows 0, 2, 4, 6 and 1, 3, 5: 14 and 35 / 3
    compare = partial(compared_with_data, PIXELS, data[:5], data, quality=difference)
    assert compare(fewest=3)["difference"] == SampleFigure(Estimate(-7, 0, 5, 7), Estimate(14 - 35 / 3, 0, 4, 3))
    assert compare(fewest=4)["difference"].of_data is None


def test_features_of_concrete_arrays_need_not_be_jax():
    host = Features("brightness", lambda x: np.array([[float(image.mean()), float(image.max())] for image in x]))
    assert extract(host, DATA, batch_size=32).shape == (70, 2)
    assert "coverage_on_brightness" in sample_quality(host, SAMPLES, DATA)


IMAGES = Features("images", lambda x: x)
WITH_NAN = np.concatenate([SAMPLES[:59], np.full((1, 4, 4, 1), np.nan, np.float32)])
FINE = {"features": PIXELS, "samples": SAMPLES, "data": DATA}
BAD = {
    "at least 8, got 7|at least 7": {"samples": SAMPLES[:6]},
    "samples and data must have one shape": {"samples": SAMPLES[:, :3]},
    "prepared alike": {"data": (255 * DATA).astype(np.uint8)},
    "samples must be finite, got nan in row 59": {"samples": WITH_NAN},
    "got 'a/b'": {"features": Features("a/b", PIXELS.function)},
    "got 'x_se'": {"features": Features("x_se", PIXELS.function)},
    r"features images of 60 examples must be \[60, d\], got \(60, 4, 4, 1\)": {"features": IMAGES},
    "batch_size must be an integer of at least 1, got 0": {"batch_size": 0},
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_fault_03_samples_and_data_that_do_not_compare_are_refused(message):
    with pytest.raises(ValueError, match=message):
        sample_quality(**{**FINE, **BAD[message]})


@pytest.mark.parametrize("x64", [False, True])
def test_fault_81_figures_of_samples_promote_no_rank_and_run_in_float64(x64):
    with jax.numpy_rank_promotion("raise"), jax.enable_x64(x64):
        metrics = jax.eval_shape(partial(sample_metrics, PIXELS), SAMPLES, DATA)
        test = partial(two_sample_test, kernel=gaussian_kernel(1.0), num_permutations=9)
        tested = jax.eval_shape(test, jax.random.key(0), SAMPLES, DATA)
    assert {value.shape for value in jax.tree.leaves((metrics, tested))} <= {(), (9,)}
