"""The GMMN's figures by hand, and the features on which samples are judged."""

import json

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import gmmn
from genjax_models.commands.train import main
from genjax_models.data import load, prepare
from genjax_models.evaluation.kernel_distance import kernel_distance
from genjax_models.runs.evaluation import evaluation_key
from genjax_models.systems.samples import (
    default_features,
    held_out_distances,
    nearest_training_examples,
    shipped_classifier,
)

OPTIONS = (
    "--hidden 16 --latent 3 --steps 40 --batch-size 20 --evaluate-every 20 --log-every 10 --learning-rate 0.01"
    " --kernel-variances 0.5 2 8"
)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gmmn") / "run"
    data = ["--data", str(files / "images.npz"), "--run-dir", str(folder)]
    assert main(gmmn.EXPERIMENT, [*data, *OPTIONS.split()]) == 0
    return folder


@pytest.mark.slow
def test_the_mmd_falls_and_the_report_has_the_permutation_test(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    squared = [row["mmd_squared_unbiased"] for row in rows if row["split"] == "validation"]
    assert squared[-1] < squared[0] - 0.5
    assert "generator/mmd_squared_biased" in rows[1]
    page = (run / "report.html").read_text()
    for words in ("Samples above the nearest of 48 training images", "p-value of the MMD by permutations"):
        assert words in page


@pytest.mark.slow
def test_the_result_is_the_mmd_of_the_loaded_runs_samples(run):
    loaded = gx.load_run(run, data=True)
    test = loaded.data.test.x
    samples = loaded.objective.sample(loaded.players, evaluation_key(), len(test))
    result = json.loads((run / "result.json").read_text())["test"]
    kernel = gx.gaussian_kernel([0.5**0.5, 2**0.5, 8**0.5])
    squared = float(gx.mmd_squared_unbiased(test, samples, kernel))
    assert result["mmd_squared_unbiased"] == pytest.approx(squared, abs=1e-5)
    distance, error = kernel_distance(*(np.reshape(x, (len(x), -1)) for x in (samples, test)))
    assert result["kernel_distance_on_pixels"] == pytest.approx(float(distance), rel=1e-3)
    assert result["kernel_distance_on_pixels_se"] == pytest.approx(float(error), rel=1e-3)


def test_other_data_have_no_shipped_classifier_and_are_judged_on_pixels():
    assert shipped_classifier("photos", (-1, 1)) is None
    assert default_features("photos", (-1, 1)).name == "pixels"
    assert default_features("mnist10k", (-1, 1)).name == "mnist_classifier"


def test_the_metric_is_on_the_features_of_the_shipped_classifier():
    x = jax.random.uniform(jax.random.key(0), (2, 40, 28, 28, 1), minval=-1)
    values = jax.jit(lambda samples, x: held_out_distances(samples, x, "mnist10k", (-1, 1)))(*x)
    assert values["kernel_distance"] == values["kernel_distance_on_mnist_classifier"]
    assert values["kernel_distance_se"] == values["kernel_distance_on_mnist_classifier_se"]
    assert values["kernel_distance"] != values["kernel_distance_on_pixels"]


def test_nearest_examples_on_disk_are_those_in_memory(tmp_path, monkeypatch):
    """Streamed examples are read in parts of 16."""
    import sys

    from PIL import Image

    pytest.importorskip("grain")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, random = tmp_path / "images", np.random.RandomState(0)
    for i in range(60):
        (folder / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (8, 8), np.uint8)).save(folder / str(i % 2) / f"{i:03}.png")
    pictures, images = [], {"size": None}
    for stream in (False, True):
        data = prepare(load(f"images:{folder}", images=images, stream=stream), binarise="none", range=(-1, 1))
        draw = lambda n, data=data: data.training_examples(np.arange(n) % 7).x + 0.1
        pictures.append(nearest_training_examples(draw, data, default_features("photos", (-1, 1))))
        if not stream:
            monkeypatch.setattr(sys.modules[prepare.__module__], "PART", 16 * 8 * 8)
    assert len(list(data.parts())) > 2
    assert pictures[0] == pictures[1]
