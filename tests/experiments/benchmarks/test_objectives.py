"""Both sides of the benchmark compute the same, and what is told of them is what was measured."""

import json
import math
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments import gmmn
from experiments.benchmarks import likelihoods, objectives, samplers, sides
from experiments.benchmarks.measure import Timing, by_turns, contestant
from experiments.benchmarks.objectives import COMPILED, EAGER, OURS, Benchmark, Result
from experiments.benchmarks.sides import Contest, Ours
from genjax_models.errors import InputError

torch = pytest.importorskip("torch")


def carried(parameters, layers):
    """Linear layers of ours, in the order of torch's weights and biases."""
    for layer, (weight, bias) in zip(layers, zip(parameters[::2], parameters[1::2], strict=True), strict=True):
        weight.data = torch.tensor(np.asarray(layer["kernel"]).T)
        bias.data = torch.tensor(np.asarray(layer["bias"]))


@pytest.mark.parametrize("k", [None, 3])
def test_both_sides_have_one_loss_and_one_gradient(k, monkeypatch):
    """Of the VAE, and of the IWAE with 3 samples: carried parameters, and torch is handed our noise."""
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

    carried(parameters, layers(players[player]["params"]))
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


def test_both_sides_have_one_mmd_and_one_gradient():
    x, y = samplers.mmd_samples(40)
    kernel = gmmn.kernel_of(variances := gmmn.Config().kernel_variances)
    value, slope = jax.value_and_grad(lambda y: gx.mmd_squared_biased(x, y, kernel))(y)
    of_torch = torch.tensor(y, requires_grad=True)
    theirs = samplers.torch_mmd_squared(torch.tensor(x), of_torch, variances)
    theirs.backward()
    np.testing.assert_allclose(float(theirs.detach()), value, rtol=1e-4)
    np.testing.assert_allclose(of_torch.grad, slope, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["autoencoder", "vae", "info_vae", "dcgan", "lapgan", "mmd_gan", "moment_matching", "gmmn", "gmmn_autoencoder"],
)
def test_operations_by_hand_are_nearly_all_that_xla_counts(name):
    """XLA leaves out what a convolution multiplies by its padding, and counts what is no product."""
    ours = objectives.CONTESTS[name].ours()
    step = ours.one()
    ratio = (ours.counted or ours.one)().cost_analysis()["flops"] / objectives.CONTESTS[name].flops
    low, high = (0.85, 1.0) if name in ("dcgan", "lapgan", "gmmn_autoencoder") else (1.0, 1.1)
    assert low < ratio < high
    assert 0.5 < objectives.memory_of(step) < 200


def test_a_loop_s_body_is_counted_once_and_so_the_mmd_without_loops():
    made = samplers.our_mmd(2_048)
    by_hand = samplers.mmd_flops(2_048, samplers.MMD_FEATURES)
    assert made.one().cost_analysis()["flops"] < by_hand
    assert by_hand < made.counted().cost_analysis()["flops"] < 1.3 * by_hand
    made.run(2)


def test_the_contestants_of_every_objective_are_made_by_name(monkeypatch):
    assert set(objectives.CONTESTS) == set(get_args(objectives.Name))
    made = []
    contest = Contest(
        "a game", lambda: Ours(made.append, None), lambda options: lambda n: made.append((options, n)), 1.0
    )
    monkeypatch.setattr(objectives, "CONTESTS", {"vae": contest})
    for side in (OURS, EAGER, COMPILED, objectives.GRAPHS):
        objectives.make("vae", side)(3)
    assert made == [3, (None, 3), ({}, 3), ({"mode": "reduce-overhead"}, 3)]


def test_torch_s_memory_is_that_of_what_it_holds_at_once():
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
    """A contest of a tiny training of both sides."""
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


def test_the_whole_command_measures_tells_and_writes(tmp_path, monkeypatch, capsys):
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

    told = json.loads(to.with_suffix(".json").read_text())
    assert set(told["results"]) == {"vae", "mmd"}
    for row in told["results"].values():
        assert set(row["steps_per_second"]) == {OURS, EAGER, COMPILED}
        assert all(len(seconds) == 5 for seconds in row["seconds_per_step"].values())
        assert all(mib > 0 for mib in row["memory_of_a_step_in_mib"].values())
        ours = np.array(row["seconds_per_step"][OURS])
        for side in (EAGER, COMPILED):
            ratios = np.array(row["seconds_per_step"][side]) / ours
            np.testing.assert_allclose(row["faster_by"][side], [np.median(ratios), ratios.min(), ratios.max()])
        expected = row["flops_by_hand"] / np.median(ours) / 50e9
        assert math.isclose(row["share_of_peak"], expected, rel_tol=1e-6)


def test_the_table_says_by_how_much_ours_is_faster_and_how_near_the_peak():
    timings = {
        OURS: Timing(np.array([0.01, 0.02, 0.01]), 1.25),
        EAGER: Timing(np.array([0.02, 0.03, 0.03]), 0.5),
    }
    result = Result("a game", timings, {OURS: 10.0, EAGER: 20.5}, 2e8, 3e8)
    table = objectives.as_markdown({"game": result}, "a machine", {OURS: 100.0, "torch": 80.0})
    row = "| a game | 100 | 2.00 x (1.50 to 3.00) | 1.2 / 0.5 | 10 / 20.5 | 200 (300) | 20% |"
    assert table.splitlines()[2] == row
    assert "of genjax_models / torch eager" in table.splitlines()[-1]
    assert "genjax_models 100, torch 80" in table.splitlines()[-1]


def test_the_paper_s_schedule_is_told_in_hours():
    """3,280 epochs of 60,000 examples are 9.84 million batches of 20: at 100 steps a second 27 hours and 20 minutes."""
    result = Result("IWAE", {OURS: Timing(np.array([0.01]), 1.0)}, {OURS: 10.0}, 2e8, 3e8)
    table = objectives.as_markdown({"iwae_50": result}, "a machine", {OURS: 100.0})
    assert "All 196,800,000 examples of Burda et al.'s schedule, with k = 50: batches of 20 in 27.3 hours." in table


def test_slow_steps_are_warmed_up_by_as_few_as_is_said():
    made = []
    by_turns({"one": contestant(lambda: made.append)}, turns=2, seconds=1e-9, warm=3)
    assert made == [1, 3, 3, 1, 1]


def test_two_devices_are_not_compared(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(SystemExit) as stop:
        objectives.main([])
    assert stop.value.code == 2
    assert "jax runs on cpu and torch on cuda: both are to run on one device" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"turns": 4}, {"seconds": -1.0}, {"threads": -2}])
def test_what_cannot_be_measured_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Benchmark(**wrong)
