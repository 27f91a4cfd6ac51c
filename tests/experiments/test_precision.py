"""The switch --precision."""

import jax
import numpy as np
import pytest

from experiments import iwae, vae
from genjax_models.runs.command_line import main


@pytest.mark.parametrize("experiment", [vae, iwae])
def test_on_a_cpu_one_line_says_that_bfloat16_loses(experiment, files, capsys):
    small = {"hidden": (8, 8), "latent": (4, 3), "layers": 2} if experiment is iwae else {"hidden": (8,)}
    traced = {}
    for precision, told in (("float32", ""), ("bfloat16", "warning: bfloat16 takes about 1.5 times as long as ")):
        config = experiment.Config(data=str(files / "images.npz"), precision=precision, **small)
        config, loaded = experiment.dataset(config)
        data = experiment.prepare(config, loaded)
        shown = capsys.readouterr().err
        assert shown == (told and told + "float32 on a CPU\n")
        objective = experiment.build(config)
        (player,) = objective.losses
        players = objective.init(jax.random.key(0), data.example)
        loss = objective.losses[player]
        traced[precision] = players, str(jax.make_jaxpr(loss)(players, jax.random.key(0), data.example, 0))
    jax.tree.map(np.testing.assert_array_equal, *(players for players, _ in traced.values()))
    assert "bf16" not in traced["float32"][1]
    products = [line for line in traced["bfloat16"][1].splitlines() if " dot_general[" in line]
    assert products
    assert all(":bf16[" in line for line in products)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--chunk", "0"], "chunk must be an integer of at least 1, got 0"),
        (["--chunk", "5", "--objective", "vae"], "chunk is of the objective iwae, got 5 for vae"),
    ],
)
def test_a_chunk_that_cannot_be_is_refused(flags, told, capsys):
    with pytest.raises(SystemExit) as stop:
        main(iwae.EXPERIMENT, flags)
    assert stop.value.code == 2
    assert told in capsys.readouterr().err
