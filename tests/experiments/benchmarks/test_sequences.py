"""The benchmark of models that unfold: both sides are alike, and each option says what is wrong."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments.benchmarks import sequences, sequences_evidence, sequences_sides
from experiments.benchmarks.measure import Timing
from genjax_models.errors import InputError
from genjax_models.types import Objective


@pytest.mark.slow
@pytest.mark.parametrize("name", ["draw_10", "vrnn", "pixel_vae", "made", "dmm"])
def test_both_sides_have_one_loss_and_one_gradient(name, monkeypatch):
    pytest.importorskip("pyro" if name == "dmm" else "torch")
    pair = sequences_sides.PAIRS[name]
    _, apart, parameters = sequences_sides.difference(pair)
    assert apart < sequences.TOLERANCE
    assert parameters > 10_000
    made_loss = sequences_sides.sequences_torch.made_loss
    if name == "made":  # a mean over pixels in place of the sum is seen
        monkeypatch.setattr(
            sequences_sides.sequences_torch, "made_loss", lambda *options: lambda x: made_loss(*options)(x) / 784
        )
        assert sequences_sides.difference(pair)[1] > sequences.TOLERANCE


@pytest.mark.slow
def test_the_hand_written_scan_of_draw_has_the_loss_and_gradient_of_vae(monkeypatch):
    """With one noise for all numbers and steps."""
    pair = sequences_sides.PAIRS["draw_10"]
    variables = sequences_sides.first_variables(pair)
    batch = gx.Batch(pair.data().x[:5])
    monkeypatch.setattr(jax.random, "normal", lambda key, shape=(), *_, **__: jnp.full(shape, 0.7))

    def value_and_gradient(objective):
        loss = lambda variables: objective.losses["vae"]({"vae": variables}, jax.random.key(0), batch, 0)[0]
        return jax.jit(jax.value_and_grad(loss))(variables)

    value, gradient = value_and_gradient(sequences_sides.fused_draw(10))
    exact, of_vae = value_and_gradient(sequences_sides.draw(10))
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    near = lambda a, b: np.testing.assert_allclose(a, b, atol=sequences.TOLERANCE * np.abs(b).max())
    jax.tree.map(near, gradient, of_vae)


@pytest.mark.slow
def test_longer_padding_changes_no_loss_of_pyro_and_a_guide_that_reads_the_padding_first_is_seen(monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("pyro")
    monkeypatch.setattr(sequences_sides, "TIME", 6)
    pair, model = sequences_sides.PAIRS["dmm"], sequences_sides.sequences_pyro.DeepMarkovModel
    p = sequences_sides.as_parameters(sequences_sides.first_variables(pair))
    torch.nn.init.constant_(p["backwards"]["of_input"]["bias"], 0.5)  # without a bias, zeros do not move a GRU
    loss = pair.theirs(p)
    x = torch.tensor(sequences_sides.torch_data(pair.data()))
    longer = torch.nn.functional.pad(x, (0, 0, 0, 3))
    with sequences_sides.same_noise():
        torch.testing.assert_close(loss(longer), loss(x), rtol=1e-6, atol=0)
        read = model.read
        monkeypatch.setattr(model, "read", lambda self, p, bits, mask: read(self, p, bits, torch.ones_like(mask)))
        assert abs(loss(longer) / loss(x) - 1) > 1e-5


def test_without_pyro_its_row_is_refused_and_the_others_go_on(monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "pyro", None)
    monkeypatch.setattr(sequences, "within", lambda name: [{name: lambda: None}])
    monkeypatch.setattr(sequences, "measured", lambda makers, options: f"measured {next(iter(makers))}")
    with pytest.raises(SystemExit) as stopped:
        sequences.main(["--only", "dmm", "fused"])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out.splitlines()[-1] == "measured fused"
    assert printed.err.count("\n") == 1
    assert "pip install pyro-ppl" in printed.err


def test_unrolled_scans_have_the_same_loss():
    def loss(players, key, batch, step):
        total = jax.lax.scan(lambda c, x: (jnp.tanh(c + x @ players["model"]["params"]), None), 0.0, batch.x)[0]
        return total, gx.Aux({})

    objective = Objective(init=lambda key, batch: {}, losses={"model": loss}, sample=lambda *_: None)
    players, batch = {"model": {"params": jnp.ones(2)}}, gx.Batch(jnp.linspace(-1, 1, 32).reshape(16, 2))
    scans = {}
    for kind, of in (("scan", objective), ("unrolled", sequences_sides.unrolled(objective, 8))):
        call = lambda players, of=of: of.losses["model"](players, None, batch, 0)[0]
        (scan,) = [e for e in jax.make_jaxpr(call)(players).eqns if e.primitive.name == "scan"]
        scans[kind] = call(players), scan.params["unroll"]
    assert (scans["scan"][1], scans["unrolled"][1]) == (1, 8)
    np.testing.assert_allclose(scans["scan"][0], scans["unrolled"][0], rtol=1e-6)


def test_the_table_compares_the_first_contestant_with_the_others(monkeypatch):
    monkeypatch.setattr(sequences, "contestant", lambda make: make())
    seconds = {"a": [0.1, 0.1], "b": [0.2, 0.3]}
    timings = lambda contestants, **_: {name: Timing(np.array(seconds[name]), 1.0) for name in contestants}
    monkeypatch.setattr(sequences, "by_turns", timings)
    lines = sequences.measured({"a": lambda: None, "b": lambda: None}, sequences.Benchmark()).splitlines()
    assert lines[0].endswith("a is faster by")
    assert lines[2].endswith("2.50 x  (2.00 to 3.00)")


def test_masks_travel_with_the_sequences_to_the_other_side():
    data = gx.Batch(jnp.ones((2, 3, 4)), length=jnp.array([1, 3]))
    x = sequences_sides.torch_data(data)
    np.testing.assert_array_equal(x[..., -1], [[1, 0, 0], [1, 1, 1]])
    assert sequences_sides.torch_data(gx.Batch(jnp.ones((2, 3, 4)))).shape == (2, 12)


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"seconds": 0.0}, {"threads": -1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        sequences.Benchmark(**wrong)


def test_the_evidence_is_that_of_kalman_and_an_estimate_with_another_mean_is_seen():
    """The oracle's two steps, o15 linear_gaussian."""
    x = np.array([0.8, -0.3], np.float32)
    exact = sequences_evidence.exact(x)
    assert exact == pytest.approx(-2.721178633522672, abs=1e-6)
    unbiased = lambda key: exact - 0.005 + 0.1 * jax.random.normal(key)  # E[exp(0.1 eps - 0.005)] = 1
    assert sequences_evidence.agrees(unbiased, x)[1] < 0.01
    with pytest.raises(AssertionError, match="the mean of p"):
        sequences_evidence.agrees(lambda key: unbiased(key) + 0.05, x)
