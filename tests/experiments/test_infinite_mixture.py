"""Whole small runs of the three fits: exact figures, components at three moments, and what is refused."""

import json

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import infinite_mixture
from genjax_models.data import synthetic
from genjax_models.errors import InputError
from genjax_models.evaluation.quadrature import quadrature_log_likelihood
from genjax_models.runs import directory
from genjax_models.runs.command_line import main
from genjax_models.runs.configuration import Optimizer, Training

SMALL = (
    "--hidden 16 --num-samples 50 --components 3 --steps 40 --batch-size 50 --evaluate-every 20 --warmup 0"
    " --learning-rate 0.02"
)
FITS = ["prior_monte_carlo", "vae", "finite_mixture"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Quadrature is of few points of a file; the finite mixture is of the whole set."""
    folder = tmp_path_factory.mktemp("infinite_mixture")
    np.savez(folder / "few.npz", x=gx.load("moons").train.x[:300])
    few = ["--data", str(folder / "few.npz"), "--data-range", "-2", "2"]
    for fit in FITS:
        data = ["--data", "moons"] if fit == "finite_mixture" else few
        arguments = ["--fit", fit, *data, "--run-dir", str(folder / fit), *SMALL.split()]
        assert main(infinite_mixture.EXPERIMENT, arguments) == 0
    return folder


def prepared(run):
    config = directory.read_config(run, infinite_mixture.Config, "infinite_mixture")
    return config, infinite_mixture.prepare(*infinite_mixture.dataset(config))


@pytest.mark.parametrize("fit", FITS)
def test_a_run_leaves_result_report_and_pictures(runs, fit):
    test = json.loads((runs / fit / "result.json").read_text())["test"]
    page = (runs / fit / "report.html").read_text()
    assert f"{test['log_likelihood']:.2f} ± {test['log_likelihood_se']:.2f}" in page
    ceiling = synthetic.log_density("moons", gx.load("moons").test.x).mean()
    assert (f"drawn from has {ceiling:.2f} nats" in page) == (fit == "finite_mixture")  # of a file, nobody knows
    assert {path.stem for path in (runs / fit / "figures").iterdir()} == {"components", "curves"}
    rows = [json.loads(line) for line in (runs / fit / "metrics.jsonl").read_text().splitlines()]
    seen = [row["log_likelihood"] for row in rows if row["split"] == "validation"]
    assert seen[0] < seen[-1] < ceiling


@pytest.mark.parametrize("fit", FITS)
def test_a_loaded_run_has_the_likelihood_of_its_result(runs, fit):
    objective, players = infinite_mixture.load(runs / fit)
    config, data = prepared(runs / fit)
    test = json.loads((runs / fit / "result.json").read_text())["test"]
    model = infinite_mixture.build_model(config)
    match fit:
        case "finite_mixture":
            exact = model.distribution(players["mixture"]).log_prob(data.test.x)
        case _:
            (player,) = players
            exact = jax.jit(lambda x: quadrature_log_likelihood(model, players[player], x, nodes=801))(data.test.x)
            exact = exact["log_likelihood"]
    assert test["log_likelihood"] == pytest.approx(np.asarray(exact, np.float64).mean(), abs=1e-4)
    assert objective.sample(players, jax.random.key(0), 3).shape == (3, 2)
    if fit == "vae":
        assert test["bound"] < test["log_likelihood"]


def test_the_moments_are_those_of_the_run(runs):
    """They are learned again; here beside the same run, stopped at the same step."""
    config, data = prepared(runs / "finite_mixture")
    _, players = infinite_mixture.load(runs / "finite_mixture")
    before, early, best = infinite_mixture.moments(config, players, data)
    assert [m.title.split(":")[0] for m in (before, early, best)] == ["step 0", "step 2", "best checkpoint"]
    result = json.loads((runs / "finite_mixture" / "result.json").read_text())["test"]
    assert best.title.endswith(f"{result['log_likelihood']:.2f} ± {result['log_likelihood_se']:.2f} nats")

    objective, seen = infinite_mixture.build(config), {}
    trainer = gx.trainer(objective, {"mixture": config.optimizer.build(config.training.steps)})
    keep = lambda progress, row: seen.update({row["step"]: jax.device_get(progress.state.variables)})
    gx.fit(trainer, data, Training(40, 50, 1, 100), seed=config.seed, on_evaluation=keep)
    for moment, step in ((before, 0), (early, 2)):
        expected = infinite_mixture.components(config, seen[step], "")
        np.testing.assert_array_equal(moment.means, expected.means)
        np.testing.assert_array_equal(moment.covariances, expected.covariances)
    assert np.any(early.means != before.means)


def test_components_are_those_of_the_model(runs):
    """g(z) and sigma(z)^2 I at the quantiles of z; the finite mixture's own means, covariances and weights."""
    config, _ = prepared(runs / "vae")
    _, players = infinite_mixture.load(runs / "vae")
    shown, model = infinite_mixture.components(config, players, "title"), infinite_mixture.build_model(config)
    middle = model.likelihood(players["vae"], np.zeros(1, np.float32)).vectors.distribution
    np.testing.assert_allclose((shown.means[29] + shown.means[30]) / 2, middle.loc, atol=1e-3)
    np.testing.assert_allclose(shown.covariances[30], np.eye(2) * middle.scale**2, rtol=0.05, atol=1e-9)

    config, _ = prepared(runs / "finite_mixture")
    _, players = infinite_mixture.load(runs / "finite_mixture")
    shown = infinite_mixture.components(config, players, "title")
    assert (shown.means.shape, shown.covariances.shape, shown.weights.shape) == ((3, 2), (3, 2, 2), (3,))
    np.testing.assert_allclose(np.sum(shown.weights), 1, rtol=1e-6)


def test_runs_stand_side_by_side(runs):
    axes = infinite_mixture.side_by_side(runs / "prior_monte_carlo", runs / "finite_mixture").axes
    assert len(axes) == 6
    assert [a.get_ylabel() for a in axes[::3]] == ["infinite mixture, from the prior", "finite mixture"]


@pytest.mark.parametrize("fit", FITS[:2])
def test_two_latent_dimensions_build_a_step_an_evaluation_and_components(fit):
    config = infinite_mixture.Config(fit=fit, latent=2, hidden=(8,), num_samples=10, optimizer=Optimizer())
    data = infinite_mixture.prepare(*infinite_mixture.dataset(config))
    objective = infinite_mixture.build(config)
    trainer = gx.trainer(objective, dict.fromkeys(objective.losses, config.optimizer.build(10)))
    state = jax.jit(trainer.init)(jax.random.key(0), data.example)
    values = jax.eval_shape(infinite_mixture.evaluate(config), state.variables, jax.random.key(0), data.validation)
    assert {value.shape for value in values.values()} == {(2_000,)}
    assert infinite_mixture.components(config, state.variables, "").means.shape == (144, 2)


def test_what_cannot_be_shown_or_integrated_is_refused():
    for fields, message in [
        ({"latent": 3}, "latent must be 1 or 2"),
        ({"latent": 0}, "latent must be an integer of at least 1, got 0"),
        ({"smallest_scale": 0.0}, "smallest_scale must be positive"),
        ({"smallest_scale": 2.0}, "smallest_scale must be below 1"),
        ({"num_samples": 0}, "num_samples must be an integer of at least 1"),
    ]:
        with pytest.raises(InputError, match=message):
            infinite_mixture.Config(**fields)
    with pytest.raises(
        InputError, match=r"points in the plane, \[n, 2\], got examples of shape \(28, 28, 1\) from mnist10k"
    ):
        infinite_mixture.dataset(infinite_mixture.Config(data="mnist10k"))
