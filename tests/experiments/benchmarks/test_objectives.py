"""Both sides of the benchmark compute the same, and its report has the measured figures."""

import json
import math
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments import gmmn
from experiments.benchmarks import contests, likelihoods, matching, objectives, sides
from experiments.benchmarks.contests import COMPILED, EAGER, OURS
from experiments.benchmarks.measure import Timing, by_turns, contestant
from experiments.benchmarks.objectives import Benchmark
from experiments.benchmarks.objectives_report import Result, as_markdown
from experiments.benchmarks.sides import Contest
from genjax_models.errors import InputError
from genjax_models.systems.kernels import kernel_of_variances

torch = pytest.importorskip("torch")


def copy_layers(parameters, layers):
    """Copies our linear layers into torch's weights and biases, in their order."""
    for layer, (weight, bias) in zip(layers, zip(parameters[::2], parameters[1::2], strict=True), strict=True):
        weight.data = torch.tensor(np.asarray(layer["kernel"]).T)
        bias.data = torch.tensor(np.asarray(layer["bias"]))


@pytest.mark.slow
@pytest.mark.parametrize("k", [None, 3])
def test_both_sides_have_the_same_loss_and_gradient(k, monkeypatch):
    """The VAE, and the IWAE with 3 samples, with the same parameters and noise."""
    hidden, latent, n = ((6,), 4, 5) if k is None else ((6, 6), 4, 5)
    activation, of_torch = (jax.nn.relu, torch.nn.ReLU) if k is None else (jnp.tanh, torch.nn.Tanh)
    posterior, likelihood = gx.diagonal_gaussian(latent), gx.bernoulli((28, 28, 1))
    encoder = gx.MLPEncoder((28, 28, 1), posterior.outputs, hidden, activation)
    generator = gx.MLPGenerator(likelihood.outputs, hidden[::-1], activation)
    model = gx.latent_variable_model(encoder, posterior, generator, likelihood)
    objective = gx.vae(model) if k is None else gx.iwae(model, num_samples=k)
    ((player, loss),) = objective.losses.items()

    x = np.random.RandomState(0).randint(0, 2, (n, 28, 28, 1)).astype(np.float32)
    key = jax.random.key(3)
    players = objective.init(jax.random.key(0), gx.Batch(x))
    value, slopes = jax.value_and_grad(lambda players: loss(players, key, gx.Batch(x), 0)[0])(players)

    theirs, parameters = likelihoods.torch_latent_variable_loss(hidden, latent, of_torch, k)

    def layers(tree):
        return [
            *(tree["encoder"]["MLP_0"][f"Dense_{i}"] for i in range(len(hidden))),
            tree["encoder"]["mean"],
            tree["encoder"]["raw_scale"],
            *(tree["generator"]["MLP_0"][f"Dense_{i}"] for i in range(len(hidden))),
            tree["generator"]["logits"],
        ]

    copy_layers(parameters, layers(players[player]["params"]))
    noise = torch.tensor(np.asarray(jax.random.normal(key, (1 if k is None else k, n, latent))))
    noise = noise[0] if k is None else noise
    monkeypatch.setattr(torch, "randn_like", lambda mean: noise)
    monkeypatch.setattr(torch, "randn", lambda *shape, device: noise)
    loss = theirs(torch.tensor(x.reshape(n, -1)))
    loss.backward()
    np.testing.assert_allclose(float(loss.detach()), value, rtol=1e-5)
    ours = [
        leaf for layer in layers(slopes[player]["params"]) for leaf in (np.asarray(layer["kernel"]).T, layer["bias"])
    ]
    for a, b in zip(parameters, ours, strict=True):
        np.testing.assert_allclose(a.grad, b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_both_sides_have_the_same_mmd_and_gradient():
    x, y = matching.mmd_samples(40)
    kernel = kernel_of_variances(variances := gmmn.Config().kernel_variances)
    value, slope = jax.value_and_grad(lambda y: gx.mmd_squared_biased(x, y, kernel))(y)
    of_torch = torch.tensor(y, requires_grad=True)
    theirs = matching.torch_mmd_squared(torch.tensor(x), of_torch, variances)
    theirs.backward()
    np.testing.assert_allclose(float(theirs.detach()), value, rtol=1e-4)
    np.testing.assert_allclose(of_torch.grad, slope, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["autoencoder", "vae", "info_vae", "dcgan", "lapgan", "mmd_gan", "moment_matching", "gmmn", "gmmn_autoencoder"],
)
def test_operations_by_hand_match_the_count_of_xla(name):
    """XLA leaves out products with the padding of convolutions, and counts operations that are no products."""
    ours = contests.CONTESTS[name].ours()
    step = ours.one()
    ratio = (ours.counted or ours.one)().cost_analysis()["flops"] / contests.CONTESTS[name].flops
    low, high = (0.85, 1.0) if name in ("dcgan", "lapgan", "gmmn_autoencoder") else (1.0, 1.1)
    assert low < ratio < high
    assert 0.5 < objectives.memory_of(step) < 200


@pytest.mark.slow
def test_xla_counts_the_body_of_a_loop_once_so_the_mmd_is_counted_without_loops():
    ours = matching.our_mmd(2_048)
    by_hand = matching.mmd_flops(2_048, matching.MMD_FEATURES)
    assert ours.one().cost_analysis()["flops"] < by_hand
    assert by_hand < ours.counted().cost_analysis()["flops"] < 1.3 * by_hand
    ours.run(2)


def test_every_objective_has_a_contest():
    assert set(contests.CONTESTS) == set(get_args(contests.Name))


@pytest.mark.slow
def test_torch_s_memory_is_the_most_held_at_once():
    a = torch.ones(256, 1024)  # one MiB

    def run(n):
        for _ in range(n):
            b = a * 2
            c = b + 1
            del b
            d = c + 1
            del c, d

    assert objectives.torch_memory(run) == pytest.approx(2, abs=0.1)


def toy():
    """Returns a contest with tiny training on both sides."""
    weight = torch.nn.Parameter(torch.ones(784))
    theirs = lambda options: sides.torch_training(
        [(lambda x: ((x @ weight) ** 2).mean(), [weight])], options, batch_size=10, prepare=torch.bernoulli
    )
    objective = gx.Objective(
        init=lambda key, batch: {"it": {"params": {"w": jnp.ones(784)}}},
        losses={
            "it": lambda players, key, batch, step: (
                jnp.mean((batch.x.reshape(-1, 784) @ players["it"]["params"]["w"]) ** 2), gx.Aux()
            )
        },
        sample=lambda variables, key, n, *, label=None: jnp.zeros(n),
    )  # fmt: skip
    return Contest("a toy", lambda: sides.training(objective, 10), theirs, 4 * 10 * 784.0)


@pytest.mark.slow
def test_the_whole_command_measures_prints_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(objectives, "CONTESTS", {"vae": toy(), "mmd": toy()})
    monkeypatch.setattr(objectives, "PEERS", {EAGER: None, COMPILED: {"backend": "eager"}})
    monkeypatch.setattr(objectives, "peak_of_products", lambda: {OURS: 50.0, "torch": 40.0})
    to = tmp_path / "new" / "benchmark"
    flags = ["--only", "vae", "mmd", "--seconds", "0.001", "--turns", "5", "--to", str(to)]
    assert objectives.main(flags) == 0
    table = to.with_suffix(".md").read_text()
    assert capsys.readouterr().out.endswith(table)
    head, rule, *rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    assert len({len(line) for line in (head, rule, *rows)}) == 1
    assert [row[0].strip() for row in rows] == ["a toy", "a toy"]

    stored = json.loads(to.with_suffix(".json").read_text())
    assert set(stored["results"]) == {"vae", "mmd"}
    for row in stored["results"].values():
        assert set(row["steps_per_second"]) == {OURS, EAGER, COMPILED}
        assert all(len(seconds) == 5 for seconds in row["seconds_per_step"].values())
        assert all(mib > 0 for mib in row["memory_of_a_step_in_mib"].values())
        ours = np.array(row["seconds_per_step"][OURS])
        for side in (EAGER, COMPILED):
            ratios = np.array(row["seconds_per_step"][side]) / ours
            np.testing.assert_allclose(row["faster_by"][side], [np.median(ratios), ratios.min(), ratios.max()])
        expected = row["flops_by_hand"] / np.median(ours) / 50e9
        assert math.isclose(row["share_of_peak"], expected, rel_tol=1e-6)


def test_the_table_has_ratios_and_the_share_of_the_peak():
    timings = {
        OURS: Timing(np.array([0.01, 0.02, 0.01]), 1.25),
        EAGER: Timing(np.array([0.02, 0.03, 0.03]), 0.5),
    }
    result = Result("a game", timings, {OURS: 10.0, EAGER: 20.5}, 2e8, 3e8)
    table = as_markdown({"game": result}, "a machine", {OURS: 100.0, "torch": 80.0})
    row = "| a game | 100 | 2.00 x (1.50 to 3.00) | 1.2 / 0.5 | 10 / 20.5 | 200 (300) | 20% |"
    assert table.splitlines()[2] == row
    assert "of genjax_models / torch eager" in table.splitlines()[-1]
    assert "genjax_models 100, torch 80" in table.splitlines()[-1]


def test_the_table_has_the_hours_of_the_paper_s_schedule():
    """3,280 epochs of 60,000 examples are 9.84 million batches of 20: at 100 steps a second 27 hours and 20 minutes."""
    result = Result("IWAE", {OURS: Timing(np.array([0.01]), 1.0)}, {OURS: 10.0}, 2e8, 3e8)
    table = as_markdown({"iwae_50": result}, "a machine", {OURS: 100.0})
    assert "All 196,800,000 examples of Burda et al.'s schedule, with k = 50: batches of 20 in 27.3 hours." in table


def test_slow_steps_are_warmed_up_by_the_given_number():
    counts = []
    by_turns({"one": contestant(lambda: counts.append)}, turns=2, seconds=1e-9, warm=3)
    assert counts == [1, 3, 3, 1, 1]


def test_two_kinds_of_device_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(SystemExit) as stop:
        objectives.main([])
    assert stop.value.code == 2
    assert "jax runs on cpu and torch on cuda; both must run on one device" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"turns": 4}, {"seconds": -1.0}, {"threads": -2}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Benchmark(**wrong)
