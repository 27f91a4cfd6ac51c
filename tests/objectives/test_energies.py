"""Persistent contrastive divergence: chains as state of restricted and deep machines, and exact gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.estimators.boltzmann import gibbs_sweep
from genjax_models.models.mean_field import free_energy_of
from genjax_models.runs import checkpoints
from genjax_models.types import Batch
from tests import energies as exact
from tests.models.test_boltzmann import (
    CLASS_VARIABLES,
    DBM,
    DBM_VARIABLES,
    RBM,
    WITH_CLASS,
    X,
    log_sums,
    states,
)
from tests.objectives.test_self_supervised_boosting import BARS, boosting
from tests.statistics import assert_drawn_from, assert_mean

KEY = jax.random.key(4)
MACHINE = exact.W, exact.B, exact.C
PARAMS = dict(zip(("weights", "visible_bias", "hidden_bias"), map(jnp.array, MACHINE), strict=True))


def pcd(num_chains=8, **options):
    return gx.persistent_contrastive_divergence(RBM, num_chains=num_chains, sample_sweeps=2, **options)


def test_the_loss_has_the_gradient_of_data_minus_moved_chains_and_chains_stay_units():
    objective, data = pcd(num_chains=50, sweeps=2), Batch(jnp.array(exact.DATA))
    players = objective.init(KEY, data)
    variables = {**players["machine"], "params": PARAMS}

    def loss(params):
        return objective.losses["machine"]({"machine": {**variables, "params": params}}, KEY, data, jnp.int32(0))

    gradient, aux = jax.jit(jax.grad(loss, has_aux=True))(PARAMS)
    v = np.asarray(aux.variables["machine"]["chains"]["v"])
    assert v.dtype == np.int8
    moved = variables["chains"]["v"]
    for i in range(2):
        moved = gibbs_sweep(jax.random.fold_in(KEY, i), moved, *map(jnp.array, MACHINE))
    np.testing.assert_array_equal(v, moved)  # from where the last step left them, not from the data
    hidden = lambda x: 1 / (1 + np.exp(-(x @ np.array(exact.W) + exact.C)))
    x = np.array(exact.DATA)
    want = v.T @ hidden(v) / len(v) - x.T @ hidden(x) / len(x)
    np.testing.assert_allclose(gradient["weights"], want, atol=1e-6)
    np.testing.assert_allclose(gradient["visible_bias"], v.mean(0) - x.mean(0), atol=1e-6)
    np.testing.assert_allclose(gradient["hidden_bias"], hidden(v).mean(0) - hidden(x).mean(0), atol=1e-6)


def test_samples_are_the_chains_in_turn_after_their_own_number_of_sweeps():
    objective = pcd(num_chains=3)  # one sweep per step, and two of a sample
    players = objective.init(KEY, Batch(jnp.array(exact.DATA)))
    players["machine"]["params"] = PARAMS
    v = players["machine"]["chains"]["v"][jnp.array([0, 1, 2, 0, 1])]
    for i in range(2):
        v = gibbs_sweep(jax.random.fold_in(KEY, i), v, *map(jnp.array, MACHINE))
    np.testing.assert_array_equal(objective.sample(players, KEY, 5), v)


@pytest.mark.parametrize("make", [gx.restricted_boltzmann_machine, gx.deep_boltzmann_machine])
def test_chains_start_at_the_visible_bias(make):
    mean = np.array([0.1, 0.3, 0.6, 0.9])
    machine = make((4,), (3, 2) if make is gx.deep_boltzmann_machine else 3, data_mean=mean)
    objective = gx.persistent_contrastive_divergence(machine, num_chains=4_000)
    chains = objective.init(KEY, Batch(jnp.array(exact.DATA)))["machine"]["chains"]
    assert_mean(chains["v"], mean)


@pytest.mark.parametrize(
    ("deep", "saved"),
    [(False, False), *(pytest.param(*row, marks=pytest.mark.slow) for row in [(False, True), (True, True)])],
)
def test_four_steps_and_six_more_are_ten_bit_for_bit_and_an_average_keeps_units(deep, saved, tmp_path):
    data = Batch(jnp.array(exact.DATA), jnp.array([0, 1, 2, 0, 1]))
    train = gx.trainer(deep_pcd(WITH_CLASS) if deep else pcd(), optax.sgd(0.1), average={"machine": 0.9})
    run, state = gx.loop_over_data(train, batch_size=5, chunk=90), jax.jit(train.init)(KEY, data)
    whole, _ = run(jax.tree.map(jnp.copy, state), data, 10)
    part, _ = run(jax.tree.map(jnp.copy, state), data, 4)
    if saved:
        checkpoints.save(tmp_path, part, score=None, about={})
        part = checkpoints.restore(tmp_path, state, "last")
    again, _ = run(part, data, 6)
    chex.assert_trees_all_equal(whole.variables, again.variables)
    chex.assert_trees_all_equal(whole.average, again.average)
    for layer in whole.average["machine"]["chains"].values():
        assert layer.dtype == np.int8
        assert set(np.unique(layer)) == {0, 1}


# Deep machines: chains of v, g and y, drawn from the model by enumeration.


def deep_pcd(machine, num_chains=8, **options):
    return gx.persistent_contrastive_divergence(machine, num_chains=num_chains, **options)


def of_chains(machine, variables, n):
    """Returns the player with n chains from its distribution."""
    every, classes = states(machine), machine.classes
    p = np.asarray(jax.nn.softmax(-machine.energy(variables, every)), np.float64)
    at = np.random.RandomState(0).choice(len(p), n, p=p / p.sum())
    layers = {"v": every.v, "g": every.g} | ({"y": every.y} if classes else {})
    return {"machine": {**variables, "chains": {name: units[at].astype(jnp.int8) for name, units in layers.items()}}}


def test_the_free_energy_of_data_is_minus_the_exact_bound():
    objective = deep_pcd(DBM, inference_sweeps=60)
    loss = jax.jit(objective.losses["machine"])
    _, aux = loss(of_chains(DBM, DBM_VARIABLES, 8), KEY, Batch(X), jnp.int32(0))
    np.testing.assert_allclose(aux.metrics["free_energy"], -exact.CLAMPED["bound_at_fixed_point"], rtol=1e-6)


def test_the_means_of_the_data_are_constants_of_the_gradient():
    """After one sweep they are no fixed point. Between two batches, what the chains add to the gradient cancels."""
    players = of_chains(DBM, DBM_VARIABLES, 8)
    loss = deep_pcd(DBM, inference_sweeps=1).losses["machine"]

    @jax.jit
    @jax.grad
    def gradient(params, x):
        return loss({"machine": {**players["machine"], "params": params}}, KEY, Batch(x), jnp.int32(0))[0]

    found, fields = [], []
    for x in (X, 1 - X):
        found.append(gradient(DBM_VARIABLES["params"], x)["top_weights"])
        fields.append(DBM.infer(DBM_VARIABLES, x, jnp.ones(x.shape, bool), sweeps=1))
    want = fields[1].h.T @ fields[1].g - fields[0].h.T @ fields[0].g
    np.testing.assert_allclose(found[0] - found[1], want, atol=1e-6)


@pytest.mark.parametrize(
    ("machine", "variables"), [(DBM, DBM_VARIABLES), pytest.param(WITH_CLASS, CLASS_VARIABLES, marks=pytest.mark.slow)]
)
def test_chains_of_a_deep_machine_stay_at_its_distribution_and_its_mean_gradient_is_exact(machine, variables):
    """The gradient of log Z is by enumeration: a mean of numbers in [-1, 1], each with a standard deviation below 1/2.

    After three sweeps the states of v, g and y are drawn from the model as before them.
    """
    n, label = 10_000, None if machine.classes is None else jnp.array([exact.LABEL])
    players, batch = of_chains(machine, variables, n), Batch(X, label)
    objective = deep_pcd(machine, n, sweeps=3)

    def loss(params):
        own = {"machine": {**players["machine"], "params": params}}
        return objective.losses["machine"](own, KEY, batch, jnp.int32(0))

    gradient, aux = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    evidence = (X, jnp.ones(X.shape, bool), label)[: 3 if machine.classes else 2]
    field = machine.infer(variables, *evidence, sweeps=10)
    surrogate = lambda params: (
        jax.nn.logsumexp(log_sums(machine, {"params": params})) - machine.bound({"params": params}, field, *evidence)[0]
    )
    want = jax.jit(jax.grad(surrogate))(variables["params"])
    for name in want:
        np.testing.assert_allclose(gradient[name], want[name], atol=5 * 0.5 / np.sqrt(n), err_msg=name)
    chains = aux.variables["machine"]["chains"]
    assert {layer.dtype for layer in chains.values()} == {np.dtype(np.int8)}
    layers = np.concatenate(
        [np.asarray(chains[name], int)[:, :3] for name in chains], axis=1
    )  # a bit of v is summed out
    every = states(machine)
    of = {"v": every.v, "g": every.g, "y": every.y}
    rows = np.concatenate([np.asarray(of[name], int)[:, :3] for name in chains], axis=1)
    p = jax.nn.softmax(-machine.energy(variables, every))
    codes = lambda rows: rows @ 2 ** np.arange(rows.shape[1])
    known, index = np.unique(codes(rows), return_inverse=True)
    found = np.searchsorted(known, codes(layers))
    np.testing.assert_array_equal(known[found], codes(layers))
    assert_drawn_from(found, np.bincount(index, weights=p))


@pytest.mark.parametrize(("machine", "variables"), [(DBM, DBM_VARIABLES), (WITH_CLASS, CLASS_VARIABLES)])
def test_chains_of_a_deep_machine_have_the_free_energy_of_enumeration(machine, variables):
    """By chains of all states of v, g and y, each once: F is -log sum_h exp(-E)."""
    every = states(machine)._replace(v_logits=None)
    want = -jax.nn.logsumexp(-machine.energy(variables, every).reshape(16, 8, -1), axis=1)
    chains = jax.tree.map(
        lambda units: units.reshape(16, 8, -1, units.shape[-1])[:, 0].reshape(-1, units.shape[-1]), every
    )
    np.testing.assert_allclose(free_energy_of(variables["params"], chains._replace(h=None)), want.ravel(), rtol=1e-5)


@pytest.mark.slow
def test_samples_of_a_deep_machine_begin_at_its_chains_and_a_label_chooses_the_class():
    players = of_chains(WITH_CLASS, CLASS_VARIABLES, 40_000)
    draw = jax.jit(
        lambda label: deep_pcd(WITH_CLASS, 40_000, sample_sweeps=8).sample(players, KEY, 40_000, label=label)
    )
    sums = -WITH_CLASS.energy(CLASS_VARIABLES, states(WITH_CLASS)).reshape(16, -1, 3)
    assert_drawn_from(np.asarray(draw(None), int) @ [8, 4, 2, 1], jax.nn.softmax(log_sums(WITH_CLASS, CLASS_VARIABLES)))
    of_class = jax.nn.softmax(jax.nn.logsumexp(sums[:, :, 2], axis=1))
    assert_drawn_from(np.asarray(draw(2), int) @ [8, 4, 2, 1], of_class)


@pytest.mark.slow
def test_a_deep_machine_learns_a_distribution():
    """The exact KL to five equally likely states, whose entropy is log 5, falls below that of independent units."""
    data = Batch(jnp.array(exact.DATA))
    train = gx.trainer(deep_pcd(DBM, 500), optax.sgd(0.1))
    state = jax.jit(train.init)(KEY, data)
    state, _ = gx.loop_over_data(train, batch_size=5, chunk=4_000)(state, data)
    sums = log_sums(DBM, {"params": state.variables["machine"]["params"]})
    log_p = (sums - jax.nn.logsumexp(sums))[np.array(exact.DATA, int) @ [8, 4, 2, 1]]
    rates = np.array(exact.DATA).mean(0)
    independent = -np.sum(rates * np.log(rates) + (1 - rates) * np.log(1 - rates)) - np.log(5)
    kl = -np.mean(log_p) - np.log(5)
    assert kl < independent / 2, (kl, independent)


def test_a_state_with_another_number_of_chains_is_refused():
    data = Batch(jnp.array(exact.DATA))
    players = pcd().init(KEY, data)
    with pytest.raises(ValueError, match="num_chains must be 8, as in the state that goes on, got 5"):
        pcd(num_chains=5).losses["machine"](players, KEY, data, jnp.int32(0))


@pytest.mark.parametrize(
    ("objective", "x"), [(pcd, lambda: X), (lambda: deep_pcd(DBM), lambda: X), (lambda: boosting(2), lambda: BARS)]
)
def test_pmapped_refuses_chains(objective, x):
    objective, batch = objective(), Batch(x())
    with pytest.raises(ValueError, match="`pmapped` cannot average the state"):
        gx.pmapped(objective, optax.sgd(0.1), devices=1).init(KEY, batch)


def test_persistent_contrastive_divergence_refuses_what_does_not_fit():
    for name in ("num_chains", "sweeps", "inference_sweeps", "sample_sweeps"):
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            gx.persistent_contrastive_divergence(RBM, **{name: 0})
    with pytest.raises(ValueError, match="needs a `label` per example"):
        deep_pcd(WITH_CLASS).losses["machine"](of_chains(WITH_CLASS, CLASS_VARIABLES, 8), KEY, Batch(X), jnp.int32(0))
    players = of_chains(WITH_CLASS, CLASS_VARIABLES, 8)
    with pytest.raises(ValueError, match="labels must be 0 to 2, got 3"):
        deep_pcd(WITH_CLASS).losses["machine"](players, KEY, Batch(X, jnp.array([3])), jnp.int32(0))


# All of them


OBJECTIVES = {
    "multi-prediction": (lambda: gx.multi_prediction(DBM, missing=1.0), X),
    "restricted": (lambda: pcd(), X),
    "deep": (lambda: deep_pcd(DBM), X),
    "boosting": (lambda: boosting(2), BARS),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_data_that_are_not_binary_are_refused_by_init_and_by_the_loss(name):
    make, x = OBJECTIVES[name]
    objective = make()
    players, (loss,) = objective.init(KEY, Batch(x)), objective.losses.values()
    for wrong in (x * 0.5, x * 7):
        with pytest.raises(ValueError, match="x must be 0 or 1"):
            objective.init(KEY, Batch(wrong))
        with pytest.raises(ValueError, match="x must be 0 or 1"):
            loss(players, KEY, Batch(wrong), jnp.int32(0))
