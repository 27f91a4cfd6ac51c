"""Games on points in the plane: the players move as the config says, and collapse is a finding."""

import json

import pytest

import genjax_models as gx
from experiments import gan_mixture
from genjax_models.commands.train import main
from genjax_models.data.synthetic import RING8
from genjax_models.evaluation.modes import mode_coverage
from genjax_models.runs.evaluation import evaluation_key

SMALL = "--hidden 16 --batch-size 40 --steps 40 --evaluate-every 10 --log-every 5"
CRITIC = "--loss wasserstein --penalty wasserstein --discriminator-moves 4 --average 0.9"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gan_mixture") / "critic"
    assert main(gan_mixture.EXPERIMENT, [*CRITIC.split(), *SMALL.split(), "--run-dir", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_a_run_is_judged_by_the_modes_that_its_samples_cover(run):
    test = json.loads((run / "result.json").read_text())["test"]
    loaded = gx.load_run(run)
    samples = loaded.objective.sample(loaded.players, evaluation_key(), 10_000)
    counts = mode_coverage(samples, RING8.centres, RING8.scale, at_least=125)
    assert test["modes_covered"] == int(counts["modes_covered"])
    assert test["modes_covered"] + test["modes_missed"] == 8
    for figure in ("high_quality", "mode_divergence", "total_variation"):
        assert test[figure] == pytest.approx(float(counts[figure].mean()), abs=1e-4)


@pytest.mark.slow
def test_the_players_move_as_the_config_says(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (row, *_) = [row for row in rows if row["split"] == "train"]
    assert {"discriminator/penalty", "generator/gradient_norm"} <= set(row)
    assert "discriminator/accuracy" not in row
    assert gx.load_run(run).objective.adversaries == ("discriminator",)
    assert set(gx.load_run(run).state.average) == {"generator"}
