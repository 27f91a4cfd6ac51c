"""The step written by hand has the library's loss and gradient, and all contestants are timed."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments.benchmarks import by_hand, likelihoods, sides
from genjax_models.errors import InputError
from tests.jaxprs import equations


@pytest.mark.slow
@pytest.mark.parametrize("k", [None, 1, 3])
def test_both_have_the_same_loss_and_gradient(k):
    """With the same parameters and noise."""
    if k is None:
        objective = gx.vae(likelihoods.model_of_images(likelihoods.VAE_LATENT, (likelihoods.VAE_HIDDEN,)))
    else:
        objective = likelihoods.iwae_system(k).objective
    ((player, compute),) = objective.losses.items()
    x = np.random.RandomState(0).randint(0, 2, (5, 28, 28, 1)).astype(np.float32)
    key, batch = jax.random.key(3), gx.Batch(jnp.asarray(x))
    players = objective.init(jax.random.key(0), batch)
    value, slopes = jax.value_and_grad(lambda players: compute(players, key, batch, 0)[0])(players)

    def layers(tree):
        hidden = 1 if k is None else 2
        named = [
            *(tree["encoder"]["MLP_0"][f"Dense_{i}"] for i in range(hidden)),
            tree["encoder"]["mean"],
            tree["encoder"]["raw_scale"],
            *(tree["generator"]["MLP_0"][f"Dense_{i}"] for i in range(hidden)),
            tree["generator"]["logits"],
        ]
        return [(layer["kernel"], layer["bias"]) for layer in named]

    flat = jnp.asarray(x.reshape(5, 784))
    parameters = layers(players[player]["params"])
    assert [weights.shape for weights, _ in parameters] == by_hand.sizes(k)
    loss, gradient = jax.value_and_grad(by_hand.loss)(parameters, key, flat, k)
    np.testing.assert_allclose(loss, value, rtol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(layers(slopes[player]["params"])), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4 * float(jnp.abs(ours).max()))


@pytest.mark.parametrize("k", [None, 1, 3])
def test_the_lower_bound_has_the_products_of_the_step_and_draws_nothing(k):
    layers = [(jnp.ones(size), jnp.zeros(size[1])) for size in by_hand.sizes(k)]

    def primitives(loss):
        jaxpr = jax.make_jaxpr(jax.grad(lambda layers: loss(layers, jax.random.key(0), jnp.ones((5, 784)), k)))(layers)
        return [(str(e.primitive), e.outvars[0].aval.shape) for e in equations(jaxpr.jaxpr)]

    products = lambda operations: sorted(shape for name, shape in operations if name == "dot_general")
    step, least = primitives(by_hand.loss), primitives(by_hand.lower_bound)
    assert products(least) == products(step) != []
    assert not {"random_bits", "exp", "log1p", "tanh", "logistic"} & {name for name, _ in least}


@pytest.mark.slow
def test_the_table_has_the_ratios_of_times(monkeypatch):
    takes = lambda seconds: lambda *_: lambda n: time.sleep(seconds * n)
    monkeypatch.setattr(by_hand, "by_hand", takes(2e-3))
    ours = sides.Ours(takes(1e-3)(), None)
    monkeypatch.setattr(likelihoods, "our_vae", lambda binarise: ours)
    monkeypatch.setattr(likelihoods, "our_iwae", lambda k: ours)
    table = by_hand.benchmark(by_hand.Benchmark(seconds=0.02))
    rows = [row for row in table.splitlines() if row.startswith(("by hand", "products"))]
    assert len(rows) == 8
    for row in rows:
        assert float(row.split(" x ")[0].split()[-1]) == pytest.approx(2, rel=0.4)


@pytest.mark.slow
def test_the_loop_makes_the_right_number_of_steps_over_the_border_of_a_chunk(monkeypatch):
    states = []
    monkeypatch.setattr(jax, "block_until_ready", states.append)
    monkeypatch.setattr(sides, "CHUNK", 4)
    by_hand.by_hand(None, 10, lambda layers, key, x, k: jnp.mean((layers[0][1] - 1) ** 2))(6)
    (layers,) = states
    np.testing.assert_allclose(layers[0][1], 6 * sides.RATE, rtol=1e-2)  # Adam's first steps have the learning rate


@pytest.mark.parametrize("wrong", [{"turns": 4}, {"seconds": 0.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        by_hand.Benchmark(**wrong)
