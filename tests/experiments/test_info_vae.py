"""Whole small runs: the criterion is of its terms, the two ends of alpha are what they say, and what is refused."""

import json

import numpy as np
import pytest

from experiments import info_vae
from genjax_models.errors import InputError
from genjax_models.runs.command_line import main

SMALL = "--data images.npz --latent 2 --hidden 8 --steps 6 --batch-size 10 --evaluate-every 3 --warmup 0"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("info_vae")
    x = np.random.RandomState(0).randint(0, 256, (80, 6, 6, 1)).astype(np.uint8)
    np.savez(folder / "images.npz", x=x)
    small = SMALL.replace("images.npz", str(folder / "images.npz")).split()
    for name, flags in {"mmd": "--mmd-weight 20", "half": "--alpha 0.5 --mmd-weight 0"}.items():
        assert main(info_vae.EXPERIMENT, [*small, *flags.split(), "--run-dir", str(folder / name)]) == 0
    return folder


@pytest.mark.parametrize(("name", "alpha", "weight"), [("mmd", 1, 20), ("half", 0.5, 0)])
def test_the_criterion_is_of_its_terms(runs, name, alpha, weight):
    test = json.loads((runs / name / "result.json").read_text())["test"]
    expected = test["reconstruction"] - (1 - alpha) * test["kl"] - weight * test["mmd_squared_unbiased"]
    assert test["criterion"] == pytest.approx(expected, abs=1e-3)
    assert test["bound"] == pytest.approx(test["reconstruction"] - test["kl"], abs=1e-3)


def test_a_run_comes_back_and_has_its_pictures(runs):
    import jax

    objective, players = info_vae.load(runs / "mmd")
    samples = objective.sample(players, jax.random.key(0), 3)
    assert samples.shape == (3, 6, 6, 1)
    figures = {path.stem for path in (runs / "mmd" / "figures").iterdir()}
    assert {"samples", "curves", "reconstructions", "latent_space"} <= figures


@pytest.mark.parametrize(
    "wrong", [{"alpha": 1.5}, {"alpha": -1.0}, {"mmd_weight": -1.0}, {"latent": 0}, {"scale": 0.0}]
)
def test_what_cannot_be_learned_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        info_vae.Config(**wrong)
