"""Runs of the VAE: the same run twice, a loss that is not finite, a reader who goes away, and its KL weight."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments import vae
from genjax_models.commands.train import main
from genjax_models.runs import checkpoints
from genjax_models.training import trainer
from tests.experiments.support import built

ROOT = Path(__file__).parent.parent.parent
SMALL = "--hidden 16 --batch-size 10 --evaluate-every 10 --log-every 5 --warmup 0 --learning-rate 0.03"


def start(data, run, *more, experiment=vae.EXPERIMENT):
    return main(experiment, ["--data", str(data), "--run-dir", str(run), *SMALL.split(), *more])


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def result(run):
    return json.loads((run / "result.json").read_text())


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae") / "run"
    assert start(files / "images.npz", folder, "--steps", "25") == 0
    return folder


def test_the_bound_improves_and_is_made_of_its_terms(run):
    bounds = {row["step"]: row["bound"] for row in rows(run) if row["split"] == "validation"}
    assert bounds[25] > bounds[0] + 5
    for row in rows(run):
        if row["split"] == "validation":
            assert row["bound"] == pytest.approx(row["reconstruction"] - row["kl"], rel=1e-5)
        else:
            assert row["vae/loss"] == pytest.approx(-row["vae/bound"], rel=1e-5)
    kept = sorted(int(path.name) for path in (run / "checkpoints").iterdir())
    assert kept == sorted({result(run)["test"]["step"], 20, 25})


@pytest.mark.slow
def test_an_equal_run_elsewhere_writes_the_same_metrics_byte_for_byte(run, files, tmp_path):
    assert start(files / "images.npz", tmp_path / "other", "--steps", "25") == 0
    assert (tmp_path / "other" / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    assert result(tmp_path / "other")["test"] == result(run)["test"]


def test_the_report_has_the_findings_and_the_draws_are_binary(run):
    page = (run / "report.html").read_text()
    assert all(finding.split(":")[0] in page for finding in result(run)["findings"])
    loaded = gx.load_run(run)
    draws = loaded.objective.sample(loaded.players, jax.random.key(0), 3)
    assert draws.shape == (3, 8, 8, 1)
    assert set(np.unique(draws)) <= {0.0, 1.0}


@pytest.mark.slow
def test_fault_23_a_run_of_no_steps_on_vectors_is_whole_too(files, tmp_path):
    """Vectors have a picture of draws, one latent dimension has no plane, and there is no step."""
    plain, options = tmp_path / "plain", "--steps 0 --latent 1 --likelihood gaussian --posterior full_covariance"
    assert start(files / "vectors.npz", plain, *options.split()) == 0
    assert [(row["step"], row["split"]) for row in rows(plain)] == [(0, "validation")]
    assert result(plain)["test"]["step"] == 0
    assert (plain / "report.html").read_text().count("data:image/png;base64,") == 2
    assert {path.stem for path in (plain / "figures").iterdir()} == {"curves", "draws"}
    assert gx.load_run(plain).variables["params"]["generator"]


def failing_at(failing_step):
    """The experiment, with a loss that is nan at one step."""

    def build(config):
        system = vae.build(config)
        learned = system.objective.losses["vae"]

        def loss(variables, key, batch, step):
            value, aux = learned(variables, key, batch, step)
            return jnp.where(step == failing_step, jnp.nan, value), aux

        objective = system.objective._replace(losses={"vae": loss})
        optimizers = {"vae": config.optimizer.build(config.training.steps)}
        return system._replace(objective=objective, trainer=trainer(objective, optimizers))

    return vae.EXPERIMENT._replace(build=build)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_run_with_its_last_finite_state_saved(files, tmp_path):
    """The run stops at step 10, where it was just evaluated: saving again does not forget that step 10 is the best."""
    folder, errors = tmp_path / "failed", io.StringIO()
    with contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as stop:
        start(files / "images.npz", folder, "--steps", "25", experiment=failing_at(10))
    assert stop.value.code == 1
    assert errors.getvalue().splitlines()[-1].startswith("error: step 10: vae/loss")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gx.load_run(folder, "last").players))
    assert max(int(path.name) for path in (folder / "checkpoints").iterdir()) == 10
    assert not (folder / "result.json").exists()
    bounds = {row["step"]: row["bound"] for row in rows(folder) if row["split"] == "validation"}
    assert max(bounds, key=bounds.get) == 10
    assert checkpoints.read_manifest(folder / "checkpoints" / "00000010")["score"] == bounds[10]


def test_the_kl_weight_rises_over_its_warmup(files):
    flags = ("--data", str(files / "images.npz"), "--hidden", "4", "--kl-weight", "2", "--kl-warmup", "10")
    _, dataset, system = built(vae.EXPERIMENT, *flags)
    data, objective = system.prepare(dataset), system.objective
    players = jax.jit(objective.init)(jax.random.key(0), data.example)
    loss = jax.jit(objective.losses["vae"])
    for step, weight in ((0, 0), (5, 1), (10, 2), (1000, 2)):
        value, aux = loss(players, jax.random.key(1), data.validation, jnp.int32(step))
        assert float(aux.metrics["kl_weight"]) == pytest.approx(weight)
        expected = weight * aux.metrics["kl"] - aux.metrics["reconstruction"]
        assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_bfloat16_computes_the_products_and_warns_on_a_cpu(files, capsys):
    traced = {}
    for precision, warning in (("float32", ""), ("bfloat16", "warning: bfloat16 takes about 1.5 times as long as ")):
        flags = ("--data", str(files / "images.npz"), "--hidden", "8", "--precision", precision)
        _, dataset, system = built(vae.EXPERIMENT, *flags)
        data = system.prepare(dataset)
        assert capsys.readouterr().err == (warning and warning + "float32 on a CPU\n")
        players, loss = system.objective.init(jax.random.key(0), data.example), system.objective.losses["vae"]
        traced[precision] = players, str(jax.make_jaxpr(loss)(players, jax.random.key(0), data.example, 0))
    jax.tree.map(np.testing.assert_array_equal, *(players for players, _ in traced.values()))
    assert "bf16" not in traced["float32"][1]
    products = [line for line in traced["bfloat16"][1].splitlines() if " dot_general[" in line]
    assert products
    assert all(":bf16[" in line for line in products)


@pytest.mark.slow
def test_fault_52_a_reader_who_goes_away_stops_nothing(files, tmp_path):
    """Standard output and standard error are pipes that nobody reads, as behind `| head`."""
    command = [sys.executable, "-W", "ignore", "-m", "experiments.vae", "--data", str(files / "images.npz")]
    command += ["--hidden", "8", "--batch-size", "10", "--steps", "5", "--run-dir", str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "run" / "report.html").is_file()
