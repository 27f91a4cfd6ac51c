"""A whole small run of the GMMN: its figures by hand, its pictures, and what is refused."""

import json

import jax
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.commands import export, gmmn
from genjax_models.errors import InputError
from genjax_models.evaluation.kernel_distance import kernel_distance
from genjax_models.runs import directory
from genjax_models.runs.command_line import main
from genjax_models.runs.configuration import Training
from genjax_models.runs.fit import evaluation_key

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


def test_a_run_leaves_result_report_and_pictures(run):
    page = (run / "report.html").read_text()
    for words in ("Samples above the nearest of 48 training images", "permutation test", "147 +- 2"):
        assert words in page
    drawn = {path.stem for path in (run / "figures").iterdir()}
    assert {"samples", "learning", "curves", "neighbours", "samples_00000040"} <= drawn
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    squared = [row["mmd_squared_unbiased"] for row in rows if row["split"] == "validation"]
    assert squared[-1] < squared[0] - 0.5
    assert "generator/mmd_squared_biased" in rows[1]


def test_the_result_is_the_mmd_of_the_loaded_runs_samples(run):
    objective, players = gmmn.load(run)
    config = directory.read_config(run, gmmn.Config, "gmmn")
    assert config.kernel_variances == (0.5, 2.0, 8.0)
    test = gmmn.prepare(*gmmn.dataset(config)).test.x
    samples = objective.sample(players, evaluation_key(), len(test))
    assert samples.shape == test.shape
    result = json.loads((run / "result.json").read_text())["test"]
    kernel = gx.gaussian_kernel([0.5**0.5, 2**0.5, 8**0.5])
    assert result["mmd_squared_unbiased"] == pytest.approx(
        float(gx.mmd_squared_unbiased(test, samples, kernel)), abs=1e-5
    )
    distance, error = kernel_distance(*(np.reshape(x, (len(x), -1)) for x in (samples, test)))
    assert result["kernel_distance_on_pixels"] == pytest.approx(float(distance), rel=1e-3)
    assert result["kernel_distance_on_pixels_se"] == pytest.approx(float(error), rel=1e-3)


def test_its_generator_can_be_exported(run):
    _, players = gmmn.load(run)
    config = directory.read_config(run, gmmn.Config, "gmmn")
    found = export.functions(gmmn.EXPERIMENT, config, players)
    assert set(found) == {"sampler", "generator"}
    generator, arguments = found["generator"]
    assert arguments == (("float32", "n", 3),)
    assert generator(np.zeros((2, 3), np.float32)).shape == (2, 8, 8, 1)


@pytest.mark.parametrize("data", ["images", "colours", "vectors"])
def test_every_shape_of_data_builds_a_step_and_an_evaluation(data, files, capsys):
    path = str(files / f"{data}.npz")
    assert main(gmmn.EXPERIMENT, ["--data", path, "--batch-size", "10", "--dry-run"]) == 0
    assert "player      generator: " in capsys.readouterr().out
    config, loaded = gmmn.dataset(gmmn.Config(data=path, hidden=(8,), training=Training(0, 10)))
    prepared, objective = gmmn.prepare(config, loaded), gmmn.build(config)
    train = gx.trainer(objective, {"generator": config.optimizer.build(0)})
    state = jax.eval_shape(train.init, jax.random.key(0), prepared.example)
    _, metrics = jax.eval_shape(train.step, state, prepared.validation)
    assert metrics["generator/loss"].shape == ()
    held_out = jax.eval_shape(gmmn.evaluate(config), state.variables, jax.random.key(0), prepared.validation)
    assert {value.shape for value in held_out.values()} == {()}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_variances": ()}, "number_of_kernel_variances must be an integer of at least 1, got 0"),
        ({"kernel_variances": (1.0, -2.0)}, "kernel_variances must be positive and finite, got -2.0"),
        ({"kernel_variances": (float("nan"),)}, "kernel_variances must be positive and finite, got nan"),
        ({"latent": 0}, "latent must be an integer of at least 1, got 0"),
    ],
)
def test_what_is_no_gmmn_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        gmmn.Config(**fields)
