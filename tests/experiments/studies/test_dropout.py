"""Each way drops units where it says; the deterministic discriminator is the mean over masks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments.studies import dropout
from experiments.studies.dropout import WAYS, Dropout, Judged
from genjax_models.errors import InputError

OPTIONS = Dropout(networks="dense", hidden=(6,), latent=2)
SHAPE = (2, 2, 1)


def test_each_way_drops_units_where_it_says():
    key, batch = jax.random.key(0), gx.Batch(jnp.linspace(-1, 1, 32).reshape(8, *SHAPE))
    players = dropout.game(OPTIONS, 0.0, SHAPE).init(key, batch)

    @jax.jit
    def losses():
        of = {name: dropout.game(OPTIONS, rate, SHAPE) for name, rate in (("with", 0.5), ("without", 0.0))}
        of |= {way: dropout.build(OPTIONS, way, SHAPE) for way in WAYS}
        return {
            name: {player: loss(players, key, batch, 0)[0] for player, loss in one.losses.items()}
            for name, one in of.items()
        }

    values = jax.tree.map(float, losses())
    assert list(dropout.build(OPTIONS, "dropped", SHAPE).losses) == ["discriminator", "generator"]
    assert values["dropped"] == values["with"]
    assert values["never dropped"] == values["without"]
    scaled = {"discriminator": values["with"]["discriminator"], "generator": values["without"]["generator"]}
    assert values["weights scaled"] == scaled
    assert all(values["with"][player] != values["without"][player] for player in scaled)


def test_the_deterministic_discriminator_is_the_mean_over_masks():
    """So it has the book's weights times the share of kept units: one hidden layer, whose logit is linear in masks."""
    network, x = gx.MLPDiscriminator(SHAPE, (6,), dropout=0.5), jnp.linspace(-1, 1, 4).reshape(1, *SHAPE)
    variables = network.init(jax.random.key(1), x)
    keys = jax.random.split(jax.random.key(0), 4_000)
    logits = jax.jit(jax.vmap(lambda key: network.apply(variables, x, rngs={"dropout": key})[0]))(keys)
    deterministic = float(gx.MLPDiscriminator(SHAPE, (6,)).apply(variables, x)[0])
    error = np.std(logits) / np.sqrt(len(logits))
    assert 0 < error < 0.05
    assert abs(np.mean(logits) - deterministic) < 5 * error


def judged(frechet, coverage):
    return Judged(np.array([0, 5]), np.array([[90.0, f] for f in frechet]), np.array(coverage), np.zeros((4, 2, 2, 1)))


def test_differences_are_by_seed():
    results = {
        "dropped": judged([10.0, 20.0], [0.5, 0.7]),
        "weights scaled": judged([13.0, 23.0], [0.4, 0.6]),
        "never dropped": judged([10.0, 30.0], [0.5, 0.5]),
        "training images": judged([1.0, 1.0], [0.9, 0.9]),
    }
    _, first, scaled, never, data = dropout.table(results).splitlines()
    assert "15.0 +- 5.0" in first
    assert first.split()[-1] == "best"
    assert "3.0 +- 0.0" in scaled
    assert "-0.100 +- 0.000" in scaled
    assert "5.0 +- 5.0" in never
    assert "1.0 +- 0.0" in data
    assert len(dropout.picture(OPTIONS, results).subfigs) == 2


@pytest.mark.slow
def test_the_command_trains_draws_and_prints(tmp_path, capsys):
    out = tmp_path / "new" / "dropout.png"
    flags = "--networks dense --hidden 4 --seeds 2 --steps 2 --evaluate-every 1 --batch-size 8 --judged 100 --to"
    assert dropout.main([*flags.split(), str(out)]) == 0
    _, *lines, where = capsys.readouterr().out.splitlines()
    assert [line[:17].strip() for line in lines] == [*WAYS, "training images"]
    assert where == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"rate": 0.0}, "rate"),
        ({"rate": 1.0}, "rate"),
        ({"seeds": 1}, "seeds"),
        ({"steps": 1_001}, "steps"),
        ({"judged": 99}, "judged"),
        ({"channels": ()}, "levels"),
    ],
)
def test_options_out_of_range_are_refused(wrong, name):
    with pytest.raises(InputError, match=name):
        dataclasses.replace(OPTIONS, **wrong)
