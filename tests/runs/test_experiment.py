"""From a config to a report: which players are evaluated, drawn and returned."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

import genjax_models as gx
from genjax_models.commands import export
from genjax_models.commands.train import main
from genjax_models.data.splits import Split
from genjax_models.errors import InputError
from genjax_models.evaluation.findings import Facts
from genjax_models.runs.command_line import parse_run
from genjax_models.runs.configuration import Training
from genjax_models.runs.evaluation import players_for_sampling
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.groups import Optimizer
from genjax_models.systems.settings import Data, Settings, flag
from genjax_models.types import Aux, Objective, TrainState

RATE, DECAY, STEPS, SHAPE = 0.1, 0.9, 6, (2, 2, 1)
AVERAGED, OTHER = "averaged", "other"


@dataclasses.dataclass(frozen=True)
class Numbers(Data):
    """Random images."""

    name: Annotated[str, flag(name="data")] = "random"
    shape: tuple[int, ...] = SHAPE

    def load(self, *, labels=False):
        x = np.random.RandomState(0).randint(0, 256, (24, *SHAPE)).astype(np.uint8)
        return self, gx.from_splits(Split(x[:12]), Split(x[12:18]), Split(x[18:]))


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Two numbers that shrink, and the moving average of one of them."""

    data: Numbers = Numbers()
    training: Training = Training(steps=STEPS, batch_size=4, evaluate_every=3)
    optimizer: Optimizer = Optimizer()


def number(players, player=AVERAGED):
    return players[player]["params"]["w"]


def build(config):
    """Loss w^2 / 2 of each player: w shrinks by 1 - RATE at each step."""

    def loss(player):
        return lambda players, key, batch, step: (0.5 * players[player]["params"]["w"] ** 2, Aux())

    def figures(players, data):
        DRAWN_FROM.append({player: float(number(players, player)) for player in (AVERAGED, OTHER)})
        return Facts(), []

    def sample(players, key, n, *, label=None):
        return jnp.full((n, *SHAPE), players[AVERAGED]["params"]["w"])

    init = lambda key, batch: {player: {"params": {"w": jnp.float32(1)}} for player in (AVERAGED, OTHER)}
    objective = Objective(init, {player: loss(player) for player in (AVERAGED, OTHER)}, sample)
    trainer = gx.trainer(objective, dict.fromkeys(objective.losses, optax.sgd(RATE)), average={AVERAGED: DECAY})
    evaluate = lambda players, key, batch: {"w": number(players), "other": number(players, OTHER)}
    return System(objective, trainer, gx.prepare, evaluate, sample, figures)


DRAWN_FROM = []
EXPERIMENT = Experiment(
    title="Two numbers",
    config=Config,
    build=build,
    metric=Metric("w", "units"),
    caption="the number that is averaged",
)

NOW = (1 - RATE) ** np.arange(STEPS + 1)
AVERAGE = np.array([1, *(np.average(NOW[1 : t + 1], weights=DECAY ** np.arange(t)[::-1]) for t in range(1, STEPS + 1))])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "run"
    assert main(EXPERIMENT, ["--run-dir", str(folder)]) == 0
    return folder


def test_a_moving_average_takes_the_place_of_its_player_alone():
    state = TrainState(0, None, {"a": {"params": 1}, "b": {"params": 2}}, {}, {"b": {"params": 3}})
    assert players_for_sampling(state) == {"a": {"params": 1}, "b": {"params": 3}}
    assert players_for_sampling(state._replace(average={})) == state.variables


def test_evaluation_judges_the_moving_average(run):
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = {row["step"]: (row["w"], row["other"]) for row in history if row["split"] == "validation"}
    assert metrics == {step: pytest.approx((AVERAGE[step], NOW[step]), rel=1e-6) for step in (0, 3, 6)}
    test = json.loads((run / "result.json").read_text())["test"]
    assert (test["step"], test["w"], test["other"]) == pytest.approx((STEPS, AVERAGE[STEPS], NOW[STEPS]), rel=1e-6)


def test_pictures_show_the_moving_average(run):
    for step in (0, 3, 6):
        drawn = np.load(run / "figures" / f"samples_{step:08d}.npy")
        np.testing.assert_array_equal(drawn, np.round(255 * np.clip(AVERAGE[step], 0, 1)))
    (players,) = DRAWN_FROM
    assert players == pytest.approx({AVERAGED: AVERAGE[STEPS], OTHER: NOW[STEPS]}, rel=1e-6)


def test_load_and_export_hand_out_the_moving_average_and_restore_the_whole_state(run, tmp_path):
    loaded = gx.load_run(run)
    assert float(number(loaded.players)) == pytest.approx(AVERAGE[STEPS], rel=1e-6)
    assert float(number(loaded.players, OTHER)) == pytest.approx(NOW[STEPS], rel=1e-6)
    assert loaded.objective.sample(loaded.players, jax.random.key(0), 3).shape == (3, *SHAPE)
    last = gx.load_run(run, "last")
    assert last.config == Config()
    assert int(last.state.step) == STEPS
    assert float(number(last.state.variables)) == pytest.approx(NOW[STEPS], rel=1e-6)
    assert float(number(last.state.average)) == pytest.approx(AVERAGE[STEPS], rel=1e-6)
    assert last.data is None
    assert gx.load_run(run, data=True).data.train.x.shape == (12, *SHAPE)
    assert export.main([str(run), "--to", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parameters.safetensors", "sampler.stablehlo"]
    exported = safetensors.numpy.load_file(tmp_path / "parameters.safetensors")
    assert exported[f"{AVERAGED}/params/w"] == pytest.approx(AVERAGE[STEPS], rel=1e-6)
    assert exported[f"{OTHER}/params/w"] == pytest.approx(NOW[STEPS], rel=1e-6)


def rewritten(run, folder, **changes):
    """A copy of a run, with other values in its config.json; None removes one."""
    shutil.copytree(run, folder)
    stored = json.loads((folder / "config.json").read_text()) | changes
    stored = {name: value for name, value in stored.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(stored))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None, "experiment": "vae"}, "this run was made by the old layout of genjax_models; train it again"),
        ({"format": 99}, "has format 99; this version of genjax_models reads format 2"),
        ({"experiment": "not_here.toy"}, r"its experiment not_here.toy cannot be imported .*; start from /"),
        ({"experiment": "json"}, "its module json holds no EXPERIMENT"),
        ({"experiment": "../evil"}, "experiment must be the dotted name of a module, got '../evil'"),
    ],
)
def test_a_run_that_cannot_be_brought_back_is_one_line(run, changes, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        gx.load_run(rewritten(run, tmp_path / "other", **changes))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_the_best_or_the_last(run):
    with pytest.raises(InputError, match="checkpoint must be best or last, got 'newest'"):
        gx.load_run(run, "newest")


def test_a_field_has_a_plain_and_a_dotted_flag_and_both_at_once_are_refused():
    plain, _ = parse_run(Config, ["--learning-rate", "0.5", "--data", "a"], "toy")
    dotted, _ = parse_run(Config, ["--optimizer.learning-rate", "0.5", "--data.name=a"], "toy")
    assert plain == dotted
    assert plain.optimizer.learning_rate == 0.5
    with pytest.raises(InputError, match=r"--learning-rate and --optimizer\.learning_rate are one field: give it once"):
        parse_run(Config, ["--learning-rate", "1", "--optimizer.learning_rate", "2"], "toy")
    assert parse_run(Config, ["--data.stream"], "toy")[0].data.stream
    assert not parse_run(Config, ["--data.no-stream"], "toy")[0].data.stream


@pytest.mark.slow
def test_a_script_outside_any_package_is_an_experiment_too(tmp_path):
    """Its runs are brought back from the folder that holds it, and say so elsewhere."""
    source = Path(__file__).read_text().replace("if __name__", "if False and __name__")
    (tmp_path / "toy.py").write_text(
        source + "\nimport sys\nif __name__ == '__main__':\n    sys.exit(main(EXPERIMENT))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    python = lambda *arguments, cwd=tmp_path: subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    trained = python("toy.py", "--run-dir", "run", "--steps", "2")
    assert trained.returncode == 0, trained.stderr[-2000:]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["experiment"] == "toy"
    drawn = python("-m", "genjax_models", "sample", "run", "--n", "4")
    assert drawn.returncode == 0, drawn.stderr[-2000:]
    (tmp_path / "elsewhere").mkdir()
    lost = python("-m", "genjax_models", "sample", str(tmp_path / "run"), cwd=tmp_path / "elsewhere")
    assert lost.returncode == 2
    assert lost.stderr.strip().endswith(f"start from {tmp_path}")
