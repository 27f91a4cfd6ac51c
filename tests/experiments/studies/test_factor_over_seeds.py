"""The picture and the table of a sweep, from the files of its runs."""

import json

import pytest
from PIL import Image

from experiments.studies import factor_over_seeds


@pytest.fixture
def sweep(tmp_path):
    """Two weights with two seeds; the last run has no active latent."""
    for i, (weight, known) in enumerate([(4.0, 0.25), (4.0, 0.75), (40.0, 0.5), (40.0, None)]):
        run = tmp_path / "sweep" / f"run_{i}"
        run.mkdir(parents=True)
        row = {"r2_of_grass_by_all_latents": 1.0, "r2_of_grass_by_one_latent": known, "mig_of_grass": known}
        (run / "result.json").write_text(json.dumps({"test": row if known is not None else {"bound": -1.0}}))
        (run / "config.json").write_text(json.dumps({"config": {"kl_weight": weight, "seed": i % 2}}))
    return tmp_path / "sweep"


def test_the_table_has_mean_and_spread_over_seeds(sweep, capsys, tmp_path):
    out = tmp_path / "grass.png"
    assert factor_over_seeds.main([str(sweep), "--to", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[1].split() == "KL weight 4 the best latent 0.50 +- 0.35 0.25 to 0.75 (2 seeds)".split()
    assert lines[5].split() == "KL weight 40 MIG 0.50 0.50 to 0.50 (1 seeds)".split()
    with Image.open(out) as picture:
        assert picture.size[0] > 300


@pytest.mark.parametrize(
    ("folder", "factor", "message"),
    [
        ("sweep", "water", "no run has figures of the factor 'water'"),
        (".", "grass", "needs directories of finished runs"),
    ],
)
def test_bad_input_is_one_line(folder, factor, message, sweep, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        factor_over_seeds.main([str(tmp_path / folder), "--factor", factor, "--to", str(tmp_path / "x.png")])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert error.count("\n") == 1
