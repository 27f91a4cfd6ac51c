"""Finished runs side by side."""

import dataclasses

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import gan_mixture, gmmn, infinite_mixture, one_generator_four_objectives
from experiments.studies import side_by_side
from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.figures.mixture_plots import SampledModes
from genjax_models.runs import directory
from genjax_models.runs.configuration import Training
from genjax_models.systems.games import Adversary
from genjax_models.systems.groups import Optimizer
from genjax_models.systems.modes import sampler_of_modes
from tests.experiments.support import built

SMALL = ["--hidden", "16", "--batch-size", "40", "--steps", "40", "--evaluate-every", "40", "--log-every", "20"]


def stored(folder, **fields):
    """The directory of a run of experiments.gan_mixture that has only begun."""
    folder.mkdir()
    config = gan_mixture.Config(**fields)
    directory.write_json(folder / "config.json", directory.config_as_json("experiments.gan_mixture", config))
    return folder


@pytest.mark.slow
def test_samples_over_training_are_those_of_the_run(tmp_path):
    """The run is trained again; its last samples are those of the last step, which need not be the best."""
    run = tmp_path / "run"
    assert main(gan_mixture.EXPERIMENT, [*SMALL, "--run-dir", str(run)]) == 0
    loaded = gx.load_run(run, "last", data=True)
    samples = side_by_side.samples_over_training(loaded.config, loaded.system, loaded.data)
    assert [one.title for one in samples] == ["step 2", "step 4", "step 10", "step 20", "step 40"]
    last = sampler_of_modes(loaded.objective, loaded.system.evaluate)(loaded.state.variables, "")
    np.testing.assert_array_equal(samples[-1].samples, last.samples)
    assert np.any(samples[0].samples != samples[-1].samples)


@pytest.mark.slow
def test_a_run_that_does_not_stay_finite_is_shown_up_to_there():
    config, dataset, _ = built(gan_mixture.EXPERIMENT, *["--loss", "maximum_likelihood", "--hidden", "16"])
    config = dataclasses.replace(config, optimizer=Optimizer(learning_rate=100), training=Training(40, 40))
    system = gan_mixture.build(config)
    *_, last = side_by_side.samples_over_training(config, system, system.prepare(dataset))
    assert last.title.endswith(", the last finite one")
    assert np.isfinite(last.samples).all()


def test_each_game_is_a_row_with_its_settings(tmp_path, monkeypatch):
    critic = Adversary("wasserstein", penalty="wasserstein", penalty_weight=1.0)
    runs = stored(tmp_path / "plain"), stored(tmp_path / "critic", adversary=critic)
    panels = {"non_saturating": 3, "wasserstein": 2}
    one = SampledModes("step 7", np.zeros((5, 2)), 1, 8, 0.25)
    monkeypatch.setattr(side_by_side, "samples_over_training", lambda config, *_: [one] * panels[config.adversary.loss])
    axes = side_by_side.modes(runs).axes
    assert [a.get_ylabel() for a in axes[::3]] == ["non saturating", "wasserstein\npenalty wasserstein"]
    assert [a.get_title() for a in axes] == ["step 7\n1 of 8 modes, 25% good"] * 5 + [""]


def test_runs_of_two_data_sets_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "samples_over_training", lambda *_: [])
    runs = (
        stored(tmp_path / "ring"),
        stored(tmp_path / "grid", data=gan_mixture.Modes("grid25"), game=gan_mixture.Game(2)),
    )
    with pytest.raises(InputError, match="of one data set, got ring8, grid25"):
        side_by_side.modes(runs)


@pytest.mark.slow
def test_mixtures_are_drawn_a_row_each(tmp_path, capsys):
    flags = [
        "--fit",
        "finite_mixture",
        "--components",
        "3",
        "--batch-size",
        "50",
        "--warmup",
        "0",
        "--steps",
        "20",
        "--evaluate-every",
        "20",
    ]
    assert main(infinite_mixture.EXPERIMENT, [*flags, "--run-dir", str(tmp_path / "run")]) == 0
    arguments = ["mixtures", "--runs", str(tmp_path / "run"), "--to", str(tmp_path / "new" / "out.png")]
    assert side_by_side.main(arguments) == 0
    assert (tmp_path / "new" / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_objectives_are_rows_of_samples_under_data(files, tmp_path):
    flags = [
        "--data",
        str(files / "images.npz"),
        *["--objective", "gmmn", "--hidden", "8", "--batch-size", "10", "--steps", "2"],
    ]
    run = tmp_path / "run"
    assert main(one_generator_four_objectives.EXPERIMENT, [*flags, "--run-dir", str(run)]) == 0
    figure = side_by_side.objectives([run])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["data", "MMD"]
    assert jax.process_count() == 1


@pytest.mark.slow
def test_samples_are_a_grid_per_run_under_its_name(tmp_path, files):
    flags = ["--data", str(files / "images.npz"), "--hidden", "8", "--batch-size", "10", "--steps", "2"]
    assert main(gmmn.EXPERIMENT, [*flags, "--run-dir", str(tmp_path / "run")]) == 0
    figure = side_by_side.samples([tmp_path / "run"] * 2)
    assert [axes.get_title() for axes in figure.axes] == ["gmmn, images.npz, step 2"] * 2
