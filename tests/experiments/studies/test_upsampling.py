"""A planted checkerboard is seen; each network has the layer that is asked for."""

import dataclasses

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments.studies import upsampling
from experiments.studies.upsampling import LAYERS, NETWORKS, Judged, Upsamplings
from genjax_models.errors import InputError

OPTIONS = Upsamplings(seeds=2, channels=(2, 3), hidden=(4,), latent=2, judged=100)


def test_a_planted_checkerboard_is_seen_and_the_data_themselves_have_none():
    x = np.asarray(gx.prepare(gx.load("mnist10k"), range=(-1, 1)).test.x[:100])
    board = np.where(np.indices((28, 28)).sum(axis=0) % 2, -0.1, 0.1)[..., None]
    same, planted = (upsampling.judge(OPTIONS, [samples], x) for samples in (x, np.clip(0.8 * x + board, -1, 1)))
    np.testing.assert_allclose([same.energy, same.share], 1, rtol=1e-5)
    np.testing.assert_allclose(same.frechet, 0, atol=1e-6)
    assert planted.energy[0] > 5
    assert planted.share[0] > planted.energy[0]  # less contrast
    assert planted.frechet[0] > 0.1
    np.testing.assert_allclose(same.samples, (x[:8] + 1) / 2, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_each_network_has_the_layer_that_is_asked_for(network):
    programs = set()
    for layer, (_, width) in LAYERS.items():
        one = upsampling.subject(OPTIONS, network, layer)
        players = jax.eval_shape(one.objective.init, jax.random.key(0), one.data.example)
        params = players["generator" if network == "DCGAN" else "vae"]["params"]
        kernels = {leaf.shape for leaf in jax.tree.leaves(params.get("generator", params)) if leaf.ndim == 4}
        assert kernels == {(width, width, 3, 2), (width, width, 2, 1)}
        assert one.x.shape[1:] == one.data.example.x.shape[1:]
        programs.add(str(jax.make_jaxpr(one.sample, static_argnums=2)(players, jax.random.key(0), 2)))
    assert len(programs) == len(LAYERS)


def judged(energy):
    values = np.array(energy)
    return Judged(values, 2 * values, 10 * values, np.zeros((8, 4, 4, 1)))


def test_the_table_has_means_and_errors_over_seeds():
    results = {(n, layer): (judged([2.0, 4.0]), judged([1.0, 1.0])) for n in NETWORKS for layer in LAYERS}
    lines = upsampling.table(results).splitlines()[2:]
    assert [line[:24].split(maxsplit=1) for line in lines] == [[n, f"{layer:18}"] for n in NETWORKS for layer in LAYERS]
    numbers = "3.00 +- 1.00 1.00 +- 0.00 6.00 +- 2.00 2.00 +- 0.00 10.0 +- 0.0"
    assert lines[0][24:].split() == numbers.split()
    assert len(upsampling.picture(results).subfigs) == 2
    only = {name: both for name, both in results.items() if name[0] == "VAE"}
    assert len(upsampling.table(only).splitlines()) == 2 + len(LAYERS)
    assert len(upsampling.picture(only).subfigs) == 1


@pytest.mark.slow
def test_the_command_trains_draws_and_prints(tmp_path, capsys):
    out = tmp_path / "new" / "upsampling.png"
    flags = "--seeds 2 --gan-steps 1 --vae-steps 1 --batch-size 4 --judged 100 --channels 2 --hidden 4 --to"
    assert upsampling.main([*flags.split(), str(out)]) == 0
    _, _, *lines, where = capsys.readouterr().out.splitlines()
    assert len(lines) == len(NETWORKS) * len(LAYERS)
    assert where == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong",
    [
        {"networks": ()},
        {"networks": ("VAE", "VAE")},
        {"seeds": 1},
        {"gan_steps": 0},
        {"vae_steps": 0},
        {"judged": 99},
        {"latent": 0},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        dataclasses.replace(OPTIONS, **wrong)
