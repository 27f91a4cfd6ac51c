"""The three fits of mixtures: exact figures, and components over training."""

import json

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import infinite_mixture
from genjax_models.commands.train import main
from genjax_models.data import synthetic
from genjax_models.evaluation.quadrature import quadrature_log_likelihood
from genjax_models.runs.configuration import Training
from genjax_models.systems.mixtures import components_of, components_over_training

SMALL = (
    "--hidden 16 --num-samples 50 --components 3 --steps 40 --batch-size 50 --evaluate-every 20 --warmup 0"
    " --learning-rate 0.02"
)
FITS = ["prior_monte_carlo", "vae", "finite_mixture"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Quadrature is on few points of a file; the finite mixture has the whole set."""
    folder = tmp_path_factory.mktemp("infinite_mixture")
    np.savez(folder / "few.npz", x=gx.load("moons").train.x[:300])
    few = ["--data", str(folder / "few.npz"), "--data-range", "-2", "2"]
    for fit in FITS:
        data = ["--data", "moons"] if fit == "finite_mixture" else few
        arguments = ["--fit", fit, *data, "--run-dir", str(folder / fit), *SMALL.split()]
        assert main(infinite_mixture.EXPERIMENT, arguments) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("fit", FITS)
def test_a_loaded_run_has_the_exact_likelihood_of_its_result(runs, fit):
    loaded = gx.load_run(runs / fit, data=True)
    test = json.loads((runs / fit / "result.json").read_text())["test"]
    x = loaded.data.test.x
    if fit == "finite_mixture":
        exact = loaded.model.distribution(loaded.variables).log_prob(x)
    else:
        exact = jax.jit(lambda x: quadrature_log_likelihood(loaded.model, loaded.variables, x, nodes=801))(x)
        exact = exact["log_likelihood"]
    assert test["log_likelihood"] == pytest.approx(np.asarray(exact, np.float64).mean(), abs=1e-4)
    if fit == "vae":
        assert test["bound"] < test["log_likelihood"]
    ceiling = synthetic.log_density("moons", gx.load("moons").test.x).mean()
    page = (runs / fit / "report.html").read_text()
    assert (f"drawn from has {ceiling:.2f} nats" in page) == (fit == "finite_mixture")  # unknown for a file
    rows = [json.loads(line) for line in (runs / fit / "metrics.jsonl").read_text().splitlines()]
    values = [row["log_likelihood"] for row in rows if row["split"] == "validation"]
    assert values[0] < values[-1] < ceiling


@pytest.mark.slow
def test_components_over_training_are_those_of_the_run(runs):
    """They are trained again; the same run, stopped at the same step, has the same components."""
    run = gx.load_run(runs / "finite_mixture", data=True)
    before, early, best = components_over_training(run.config, run.system, run.players, run.data)
    assert [stage.title.split(":")[0] for stage in (before, early, best)] == ["step 0", "step 2", "best checkpoint"]
    test = json.loads((runs / "finite_mixture" / "result.json").read_text())["test"]
    figure = f"{test['log_likelihood']:.2f} ± {test['log_likelihood_se']:.2f} nats"
    assert best.title.endswith(figure.replace("-", "\u2212"))
    variables = {}
    keep = lambda progress, row: variables.update({row["step"]: jax.device_get(progress.state.variables)})
    gx.fit(run.system.trainer, run.data, Training(40, 50, 1, 100), seed=run.config.seed, on_evaluation=keep)
    for stage, step in ((before, 0), (early, 2)):
        expected = components_of(run.model, variables[step]["mixture"], 1, "")
        np.testing.assert_array_equal(stage.means, expected.means)
        np.testing.assert_array_equal(stage.covariances, expected.covariances)


@pytest.mark.slow
def test_components_stand_at_equal_steps_of_the_prior(runs):
    run = gx.load_run(runs / "prior_monte_carlo")
    shown = components_of(run.model, run.variables, 1, "title")
    assert (shown.means.shape, shown.covariances.shape, shown.weights) == ((60, 2), (60, 2, 2), None)
    middle = run.model.likelihood(run.variables, np.zeros(1, np.float32)).vectors.distribution
    np.testing.assert_allclose((shown.means[29] + shown.means[30]) / 2, middle.loc, atol=1e-3)
    finite = gx.load_run(runs / "finite_mixture")
    shown = components_of(finite.model, finite.variables, 1, "title")
    assert (shown.means.shape, shown.covariances.shape, shown.weights.shape) == ((3, 2), (3, 2, 2), (3,))
    np.testing.assert_allclose(np.sum(shown.weights), 1, rtol=1e-6)
