"""From a config to a report: which players are judged, shown and handed out."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

import genjax_models as gx
from genjax_models.commands import export
from genjax_models.data.dataset import Split
from genjax_models.evaluation.findings import Facts
from genjax_models.runs import experiment
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Optimizer, Training
from genjax_models.runs.fit import players_for_sampling
from genjax_models.types import Aux, Objective, TrainState

RATE, DECAY, STEPS, SHAPE = 0.1, 0.9, 6, (2, 2, 1)
AVERAGED, OTHER = "averaged", "other"


@dataclasses.dataclass(frozen=True)
class Config:
    """Two numbers that shrink; of one a moving average is kept."""

    data: str = "random"
    seed: int = 0
    training: Training = Training(steps=STEPS, batch_size=4, evaluate_every=3)
    optimizer: Optimizer = Optimizer()
    shape: tuple[int, ...] = SHAPE


def build(config):
    """Loss w^2 / 2 of each player: w shrinks by 1 - RATE at each step."""

    def loss(player):
        return lambda players, key, batch, step: (0.5 * players[player]["params"]["w"] ** 2, Aux())

    init = lambda key, batch: {player: {"params": {"w": jnp.float32(1)}} for player in (AVERAGED, OTHER)}
    sample = lambda players, key, n, *, label=None: jnp.full((n, *SHAPE), players[AVERAGED]["params"]["w"])
    return Objective(init, {player: loss(player) for player in (AVERAGED, OTHER)}, sample)


def number(players, player=AVERAGED):
    return players[player]["params"]["w"]


def look(config, players, data):
    LOOKED_AT.append({player: float(number(players, player)) for player in (AVERAGED, OTHER)})
    return Facts(metric="w", higher_is_better=False, unit="units"), []


def dataset(config):
    x = np.random.RandomState(0).randint(0, 256, (24, *SHAPE)).astype(np.uint8)
    return config, gx.from_arrays(Split(x[:12]), Split(x[12:18]), Split(x[18:]))


LOOKED_AT = []
TINY = Experiment(
    name="tiny",
    title="Two numbers",
    config=Config,
    metric="w",
    higher_is_better=False,
    unit="units",
    images_are="the number that is averaged",
    build=build,
    dataset=dataset,
    prepare=lambda config, loaded: gx.prepare(loaded),
    evaluate=lambda config: lambda players, key, batch: {"w": number(players), "other": number(players, OTHER)},
    images=lambda config: lambda players, key, n: build(config).sample(players, key, n),
    look=look,
    trainer=lambda config, objective: gx.trainer(
        objective, dict.fromkeys(objective.losses, optax.sgd(RATE)), average={AVERAGED: DECAY}
    ),
)

NOW = (1 - RATE) ** np.arange(STEPS + 1)
AVERAGE = np.array([1, *(np.average(NOW[1 : t + 1], weights=DECAY ** np.arange(t)[::-1]) for t in range(1, STEPS + 1))])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "run"
    assert main(TINY, ["--run-dir", str(folder)]) == 0
    return folder


def test_a_moving_average_takes_the_place_of_its_player_alone():
    state = TrainState(0, None, {"a": {"params": 1}, "b": {"params": 2}}, {}, {"b": {"params": 3}})
    assert players_for_sampling(state) == {"a": {"params": 1}, "b": {"params": 3}}
    assert players_for_sampling(state._replace(average={})) == state.variables


def test_evaluation_judges_the_moving_average(run):
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    seen = {row["step"]: (row["w"], row["other"]) for row in history if row["split"] == "validation"}
    assert seen == {step: pytest.approx((AVERAGE[step], NOW[step]), rel=1e-6) for step in (0, 3, 6)}
    test = json.loads((run / "result.json").read_text())["test"]
    assert (test["step"], test["w"], test["other"]) == pytest.approx((STEPS, AVERAGE[STEPS], NOW[STEPS]), rel=1e-6)


def test_pictures_show_the_moving_average(run):
    for step in (0, 3, 6):
        drawn = np.load(run / "figures" / f"samples_{step:08d}.npy")
        np.testing.assert_allclose(drawn, AVERAGE[step], rtol=1e-6)
    (looked_at,) = LOOKED_AT
    assert looked_at == pytest.approx({AVERAGED: AVERAGE[STEPS], OTHER: NOW[STEPS]}, rel=1e-6)


def test_load_and_export_hand_out_the_moving_average_and_restore_the_whole_state(run, monkeypatch, tmp_path):
    objective, players = experiment.load(TINY, run)
    assert float(number(players)) == pytest.approx(AVERAGE[STEPS], rel=1e-6)
    assert float(number(players, OTHER)) == pytest.approx(NOW[STEPS], rel=1e-6)
    assert objective.sample(players, jax.random.key(0), 3).shape == (3, *SHAPE)
    config, state = experiment.restore(TINY, run, "last")
    assert config == Config()
    assert int(state.step) == STEPS
    assert float(number(state.variables)) == pytest.approx(NOW[STEPS], rel=1e-6)
    assert float(number(state.average)) == pytest.approx(AVERAGE[STEPS], rel=1e-6)
    monkeypatch.setattr(export, "of_run", lambda path: TINY)
    assert export.main([str(run), "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parameters.safetensors", "sampler.stablehlo"]
    exported = safetensors.numpy.load_file(tmp_path / "parameters.safetensors")
    assert exported[f"{AVERAGED}/params/w"] == pytest.approx(AVERAGE[STEPS], rel=1e-6)
    assert exported[f"{OTHER}/params/w"] == pytest.approx(NOW[STEPS], rel=1e-6)
