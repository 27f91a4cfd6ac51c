"""Whole small runs: modes are counted as evaluation counts them, runs stand side by side, and what is refused."""

import json

import jax
import numpy as np
import pytest

from experiments import gan_mixture
from genjax_models.data.synthetic import RING8
from genjax_models.errors import InputError
from genjax_models.evaluation.modes import mode_coverage
from genjax_models.runs import directory, experiment
from genjax_models.runs.command_line import main
from genjax_models.runs.configuration import Game, Optimizer, Training
from genjax_models.runs.fit import evaluation_key

SMALL = "--hidden 16 --batch-size 40 --steps 40 --evaluate-every 10 --log-every 5"
RUNS = {
    "plain": "",
    "critic": "--payoff wasserstein --penalty wasserstein --discriminator-moves 4 --average 0.9",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gan_mixture")
    for name, arguments in RUNS.items():
        assert main(gan_mixture.EXPERIMENT, [*arguments.split(), *SMALL.split(), "--run-dir", str(folder / name)]) == 0
    return folder


@pytest.mark.parametrize("name", ["plain", "critic"])
def test_a_run_is_judged_by_the_modes_that_its_samples_cover(runs, name):
    test = json.loads((runs / name / "result.json").read_text())["test"]
    objective, players = gan_mixture.load(runs / name)
    found = mode_coverage(objective.sample(players, evaluation_key(), 10_000), RING8.centres, RING8.scale, at_least=125)
    assert test["modes_covered"] == int(found["modes_covered"])
    assert test["modes_covered"] + test["modes_missed"] == 8
    for figure in ("high_quality", "mode_divergence", "total_variation"):
        assert test[figure] == pytest.approx(float(found[figure].mean()), abs=1e-4)
    page = (runs / name / "report.html").read_text()
    assert "of the 8 modes of the data, and some have been missed since step 10." in page  # it has hardly begun
    assert {path.stem for path in (runs / name / "figures").iterdir()} == {"samples", "curves"}


def test_the_players_move_as_the_config_says(runs):
    rows = [json.loads(line) for line in (runs / "critic" / "metrics.jsonl").read_text().splitlines()]
    (row, *_) = [row for row in rows if row["split"] == "train"]
    assert {"discriminator/penalty", "generator/gradient_norm"} <= set(row)
    assert "discriminator/accuracy" not in row
    config = directory.read_config(runs / "critic", gan_mixture.Config, "gan_mixture")
    assert config.game == Game(discriminator_moves=4, average=0.9)


def test_moments_are_those_of_the_run(runs):
    """They are learned again; the last is after the last step, which need not be the best."""
    config = directory.read_config(runs / "plain", gan_mixture.Config, "gan_mixture")
    seen = gan_mixture.moments(config)
    assert [moment.when for moment in seen] == ["step 2", "step 4", "step 10", "step 20", "step 40"]
    _, last = experiment.restore(gan_mixture.EXPERIMENT, runs / "plain", "last")
    drawn = gan_mixture.drawer(config)(last.variables, "")
    np.testing.assert_array_equal(seen[-1].samples, drawn.samples)
    assert np.any(seen[0].samples != seen[-1].samples)


def test_a_run_that_does_not_stay_finite_is_shown_up_to_there():
    explodes = gan_mixture.Config(
        payoff="maximum_likelihood", hidden=(16,), optimizer=Optimizer(learning_rate=100), training=Training(40, 40)
    )
    *_, last = gan_mixture.moments(explodes)
    assert last.when.endswith(", the last finite one")
    assert np.isfinite(last.samples).all()


def asked(folder, **fields):
    """The directory of a run that has hardly begun."""
    folder.mkdir()
    config = directory.config_as_json("gan_mixture", gan_mixture.Config(**fields))
    directory.write_json(folder / "config.json", config)
    return folder


def test_runs_stand_side_by_side(tmp_path, monkeypatch):
    """A row for each, of as many moments as it has."""
    runs = asked(tmp_path / "plain"), asked(tmp_path / "critic", payoff="wasserstein", penalty="wasserstein")
    seen = {"non_saturating": 3, "wasserstein": 2}
    drawn = gan_mixture.Moment("step 7", np.zeros((5, 2)), 1, 8, 0.25)
    monkeypatch.setattr(gan_mixture, "moments", lambda config: [drawn] * seen[config.payoff])
    axes = gan_mixture.side_by_side(*runs).axes
    assert [a.get_ylabel() for a in axes[::3]] == ["non saturating", "wasserstein\npenalty wasserstein"]
    assert [a.get_title() for a in axes] == ["step 7\n1 of 8 modes, 25% good"] * 5 + [""]


def test_of_two_data_sets_they_do_not(tmp_path):
    with pytest.raises(InputError, match="of one data set, got ring8, grid25"):
        gan_mixture.side_by_side(asked(tmp_path / "ring"), asked(tmp_path / "grid", data="grid25"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--discriminator-moves 0", ["discriminator_moves must be an integer of at least 1", "got 0"]),
        ("--discriminator-moves -1", ["discriminator_moves", "-1"]),
        ("--discriminator-moves 3", ["batch_size must be a multiple of 3", "got 256"]),
        ("--average 1", ["average must be in [0, 1)", "1.0"]),
        ("--average -0.1", ["average", "-0.1"]),
        ("--generator-learning-rate 0", ["generator_learning_rate must be positive", "0.0"]),
        ("--penalty-weight -1", ["penalty_weight must be at least 0", "-1.0"]),
        ("--critic-learning-rate 1", ["--critic-learning-rate"]),  # no such player
        ("--payoff minmax", ["payoff", "minmax"]),
        ("--data moons", ["data", "moons", "ring8"]),  # has no modes
        ("--batch-size 20000", ["batch_size must be at most 10000", "20000"]),
        ("--latent 0", ["latent must be an integer of at least 1", "0"]),
    ],
)
def test_what_cannot_be_played_is_one_line_before_anything_is_compiled(arguments, words, tmp_path, capsys, monkeypatch):
    def traced(*_, **__):
        raise AssertionError("compiled")

    monkeypatch.setattr(jax, "jit", traced)
    with pytest.raises(SystemExit) as stop:
        main(gan_mixture.EXPERIMENT, [*arguments.split(), "--run-dir", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words), said
    assert not (tmp_path / "run").exists()


def test_fields_are_checked_wherever_a_config_is_made():
    with pytest.raises(InputError, match="batch_size must be a multiple of 5, the discriminator_moves"):
        gan_mixture.Config(game=Game(discriminator_moves=5), training=Training(batch_size=256))
