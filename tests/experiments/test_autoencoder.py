"""A whole small run of the autoencoder, on colour images and through convolutions."""

import json

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import autoencoder, sample, vae
from genjax_models.errors import InputError
from genjax_models.runs import directory, experiment
from genjax_models.runs.command_line import main
from genjax_models.runs.configuration import Training

OPTIONS = (
    "--network convolutional --hidden 16 --channels 4 --latent 3 --steps 20 --batch-size 10 --evaluate-every 10"
    " --log-every 10 --learning-rate 0.01"
)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder") / "run"
    data = ["--data", str(files / "colours.npz"), "--run-dir", str(folder)]
    assert main(autoencoder.EXPERIMENT, [*data, *OPTIONS.split()]) == 0
    return folder


def test_a_run_leaves_result_report_and_pictures(run):
    test = json.loads((run / "result.json").read_text())["test"]
    assert test["squared_error"] > 0
    assert f"{test['squared_error']:.2f} ± {test['squared_error_se']:.2f}" in (run / "report.html").read_text()
    drawn = {path.stem for path in (run / "figures").iterdir()}
    assert {"samples", "learning", "curves", "reconstructions", "latent_space", "samples_00000020"} <= drawn


def test_the_best_checkpoint_is_the_one_with_the_smallest_error(run):
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    errors = {row["step"]: row["squared_error"] for row in history if row["split"] == "validation"}
    assert list(errors) == [0, 10, 20]
    assert errors[20] < errors[0]
    best = min(errors, key=errors.get)
    assert json.loads((run / "result.json").read_text())["test"]["step"] == best
    assert sorted(int(path.name) for path in (run / "checkpoints").iterdir()) == sorted({best, 10, 20})


def test_a_loaded_run_reconstructs_as_well_as_its_result_says(run):
    objective, players = autoencoder.load(run)
    config = directory.read_config(run, autoencoder.Config, "autoencoder")
    assert (config.shape, config.channels, config.network) == ((8, 8, 3), (4,), "convolutional")
    data = autoencoder.prepare(*autoencoder.dataset(config))
    model, variables = autoencoder.build_model(config), players["autoencoder"]
    back = np.asarray(jax.jit(lambda x: model.generate(variables, model.encode(variables, x)))(data.test.x))
    errors = ((np.asarray(data.test.x) - back) ** 2).sum(axis=(1, 2, 3))
    test = json.loads((run / "result.json").read_text())["test"]
    assert test["squared_error"] == pytest.approx(errors.mean(), rel=1e-4)
    assert test["squared_error_se"] == pytest.approx(errors.std(ddof=1) / np.sqrt(len(errors)), rel=1e-4)
    assert objective.sample(players, jax.random.key(0), 2).shape == (2, 8, 8, 3)


def test_sample_finds_the_experiment_by_its_run(run, tmp_path, capsys):
    assert sample.main([str(run), "--n", "4", "--out", str(tmp_path / "four.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'four.png'}\n"
    assert (tmp_path / "four.png").read_bytes().startswith(b"\x89PNG")


def test_another_experiment_does_not_load_the_run(run):
    with pytest.raises(InputError, match="'autoencoder', not of 'vae'"):
        vae.load(run)


@pytest.mark.parametrize(
    ("network", "data"),
    [("mlp", data) for data in ("images", "colours", "grey", "vectors")]
    + [("convolutional", data) for data in ("images", "colours", "grey")],
)
def test_every_network_builds_on_every_shape_that_it_takes(network, data, files):
    path = str(files / f"{data}.npz")
    config = autoencoder.Config(data=path, network=network, hidden=(8,), channels=(4, 4), training=Training(0, 10))
    assert "player      autoencoder: " in experiment.dry_run(autoencoder.EXPERIMENT, config)
    config, dataset = autoencoder.dataset(config)
    prepared = autoencoder.prepare(config, dataset)
    objective = autoencoder.build(config)
    trainer = gx.trainer(objective, {"autoencoder": config.optimizer.build(0)})
    state = jax.eval_shape(trainer.init, jax.random.key(0), prepared.example)
    _, metrics = jax.eval_shape(trainer.step, state, prepared.validation)
    assert metrics["autoencoder/loss"].shape == ()
    held_out = jax.eval_shape(autoencoder.evaluate(config), state.variables, jax.random.key(0), prepared.validation)
    assert held_out["squared_error"].shape == (6,)
