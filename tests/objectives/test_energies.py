"""Objectives of energy models: oracle o16, chains as state, and boosting that ends in discriminators without a clue."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.estimators.boltzmann import gibbs_sweep
from genjax_models.estimators.boosting import best_coefficient
from genjax_models.models.mean_field import Field, free_energy_of
from genjax_models.objectives.multi_prediction import prediction_losses
from genjax_models.runs import checkpoints
from genjax_models.types import Batch
from tests import energies as exact
from tests.models.test_boltzmann import (
    CLASS_VARIABLES,
    DBM,
    DBM_VARIABLES,
    RBM,
    SEEN,
    WITH_CLASS,
    X,
    log_sums,
    states,
)
from tests.statistics import assert_drawn_from

KEY = jax.random.key(4)
NAMES = {"W1": "weights", "W2": "top_weights", "b0": "visible_bias", "b1": "hidden_bias", "b2": "top_bias"}


# Multi-prediction


@pytest.mark.parametrize("sweeps", [1, 2, 5])
def test_multi_prediction_has_the_exact_loss_and_gradient(sweeps):
    """The gradient is that of all sweeps: of the last sweep alone, W1[0, 0] would have -0.0663 for -0.0828."""
    loss = lambda v: prediction_losses(DBM, v, X, SEEN, sweeps=sweeps)[0].sum()
    value, gradient = jax.jit(jax.value_and_grad(loss))(DBM_VARIABLES)
    want = exact.MULTI_PREDICTION[f"K={sweeps}"]
    np.testing.assert_allclose(value, want["loss"], rtol=1e-6)
    for theirs, ours in NAMES.items():
        np.testing.assert_allclose(gradient["params"][ours], want["gradient"][theirs], atol=1e-6)


def test_multi_prediction_of_a_class_is_exact():
    def loss(variables, label_observed):
        losses = prediction_losses(WITH_CLASS, variables, X, SEEN, jnp.array([2]), label_observed, sweeps=2)
        return losses[0].sum() + losses[1].sum()

    value, gradient = jax.jit(jax.value_and_grad(loss))(CLASS_VARIABLES, jnp.array([False]))
    np.testing.assert_allclose(value, exact.LABELS["loss"]["K=2"], rtol=1e-6)
    of_class = gradient["params"]["class_weights"], gradient["params"]["class_bias"]
    for got, want in zip(of_class, exact.LABELS["gradient_K2_of_Wy_and_by"], strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)
    shown = jax.jit(loss)(CLASS_VARIABLES, jnp.array([True]))
    field = jax.nn.sigmoid(WITH_CLASS.infer(CLASS_VARIABLES, X, SEEN, jnp.array([2]), sweeps=2).v_logits)
    np.testing.assert_allclose(shown, -np.log((1 - field[0, 1]) * field[0, 3]), rtol=1e-5)


def test_with_nothing_or_all_missing_the_loss_is_finite():
    batch = Batch(jnp.tile(X, (3, 1)), jnp.array([0, 1, 2]))

    def loss(variables, missing):
        objective = gx.multi_prediction(WITH_CLASS, missing=missing, label_missing=missing)
        return objective.losses["machine"]({"machine": variables}, KEY, batch, jnp.int32(0))

    loss = jax.jit(jax.value_and_grad(loss, has_aux=True))
    for missing in (0.0, 1.0):
        (value, aux), gradient = loss(CLASS_VARIABLES, missing)
        chex.assert_tree_all_finite((value, aux, gradient))
        of_all = 4 * aux.metrics["nats_per_pixel"] + aux.metrics["nats_per_label"]
        np.testing.assert_allclose(value, missing * of_all, rtol=1e-5)


def test_shares_of_missing_pixels_are_uniform_and_labels_are_missing_with_their_probability():
    """Metrics are per hidden pixel: with zero params each is log 2, and each label log 3."""
    nothing = jax.tree.map(jnp.zeros_like, CLASS_VARIABLES)
    batch = Batch(jnp.zeros((4_000, 4)), jnp.zeros(4_000, jnp.int32))
    value, aux = jax.jit(gx.multi_prediction(WITH_CLASS).losses["machine"])(
        {"machine": nothing}, KEY, batch, jnp.int32(0)
    )
    np.testing.assert_allclose(aux.metrics["nats_per_pixel"], np.log(2), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["nats_per_label"], np.log(3), rtol=1e-5)
    expected = 4 * 0.5 * np.log(2) + 0.8 * np.log(3)  # standard deviations: of 4u pixels below 1.6, of a label 0.4
    assert abs(value - expected) < 5 * (1.6 * np.log(2) + 0.4 * np.log(3)) / np.sqrt(4_000)


def test_multi_prediction_refuses_what_does_not_fit():
    for options in ({"missing": 1.5}, {"label_missing": -0.1}, {"sweeps": 0}, {"gradient": "none"}, {"missing": "all"}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            gx.multi_prediction(DBM, **options)
    with pytest.raises(ValueError, match="needs a `label` per example"):
        gx.multi_prediction(WITH_CLASS).losses["machine"]({"machine": CLASS_VARIABLES}, KEY, Batch(X), jnp.int32(0))
    for label_missing in (0.0, 1.0):  # as evidence, and as a target
        loss = gx.multi_prediction(WITH_CLASS, label_missing=label_missing).losses["machine"]
        with pytest.raises(ValueError, match="labels must be 0 to 2, got 9"):
            loss({"machine": CLASS_VARIABLES}, KEY, Batch(X, jnp.array([9])), jnp.int32(0))


# Persistent contrastive divergence


MACHINE = exact.W, exact.B, exact.C
PARAMS = dict(zip(("weights", "visible_bias", "hidden_bias"), map(jnp.array, MACHINE), strict=True))


def pcd(num_chains=8, **options):
    return gx.persistent_contrastive_divergence(RBM, num_chains=num_chains, sample_sweeps=2, **options)


def test_the_loss_has_the_gradient_of_data_minus_moved_chains_and_chains_stay_units():
    objective, data = pcd(num_chains=50), Batch(jnp.array(exact.DATA))
    players = objective.init(KEY, data)
    variables = {**players["machine"], "params": PARAMS}

    def loss(params):
        return objective.losses["machine"]({"machine": {**variables, "params": params}}, KEY, data, jnp.int32(0))

    gradient, aux = jax.jit(jax.grad(loss, has_aux=True))(PARAMS)
    v = np.asarray(aux.variables["machine"]["chains"]["v"])
    assert v.dtype == np.int8
    moved = gibbs_sweep(jax.random.fold_in(KEY, 0), variables["chains"]["v"], *map(jnp.array, MACHINE))
    np.testing.assert_array_equal(v, moved)  # from where the last step left them, not from the data
    hidden = lambda x: 1 / (1 + np.exp(-(x @ np.array(exact.W) + exact.C)))
    x = np.array(exact.DATA)
    want = v.T @ hidden(v) / len(v) - x.T @ hidden(x) / len(x)
    np.testing.assert_allclose(gradient["weights"], want, atol=1e-6)
    np.testing.assert_allclose(gradient["visible_bias"], v.mean(0) - x.mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("deep", "saved"),
    [(False, False), *(pytest.param(*row, marks=pytest.mark.slow) for row in [(False, True), (True, True)])],
)
def test_four_steps_and_six_more_are_ten_bit_for_bit_and_an_average_keeps_units(deep, saved, tmp_path):
    data = Batch(jnp.array(exact.DATA), jnp.array([0, 1, 2, 0, 1]))
    train = gx.trainer(deep_pcd(WITH_CLASS) if deep else pcd(), optax.sgd(0.1), average={"machine": 0.9})
    run, state = gx.loop_over_data(train, batch_size=5, chunk=STEPS), jax.jit(train.init)(KEY, data)
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


@pytest.mark.parametrize(
    ("machine", "variables"), [(DBM, DBM_VARIABLES), pytest.param(WITH_CLASS, CLASS_VARIABLES, marks=pytest.mark.slow)]
)
def test_chains_of_a_deep_machine_stay_at_its_distribution_and_its_mean_gradient_is_exact(machine, variables):
    """The gradient of log Z is by enumeration: a mean of numbers in [-1, 1], each with a standard deviation below 1/2.

    After a sweep the states of v, g and y are drawn from the model as before it.
    """
    n, label = 10_000, None if machine.classes is None else jnp.array([2])
    players, batch = of_chains(machine, variables, n), Batch(X, label)
    objective = deep_pcd(machine, n)

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


def test_chains_of_a_deep_machine_have_the_free_energy_of_enumeration():
    """By chains of all 64 states of v and g, each once: mean F is the mean of -log sum_h exp(-E)."""
    every = states(DBM)
    energy = np.asarray(DBM.energy(DBM_VARIABLES, every)).reshape(16, 8, 4)
    want = -jax.nn.logsumexp(-energy, axis=1).mean()
    one = jax.tree.map(lambda units: units.reshape(16, 8, 4, -1)[:, 0].reshape(64, -1), (every.v, every.g))
    field = Field(one[0], None, one[1], None, one[0], None)
    np.testing.assert_allclose(free_energy_of(DBM_VARIABLES["params"], field).mean(), want, rtol=1e-6)


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


# Self-supervised boosting, on bars and stripes of 3 x 3: all columns alike, or all rows.

CELLS = (np.arange(512)[:, None] >> np.arange(9)[::-1] & 1).astype(np.float32).reshape(-1, 3, 3)
BARS = jnp.array([x for x in CELLS if (x == x[:1]).all() or (x == x[:, :1]).all()])
STEPS = 90


def boosting(stages, **options):
    model = gx.additive_energy_model((3, 3), stages)
    return gx.self_supervised_boosting(
        model, steps_per_stage=STEPS, **{"num_negatives": 1_000, "sweeps": 10, "sample_sweeps": 5, **options}
    )


@pytest.fixture(scope="module")
def boosted():
    """Returns the states after each of three stages, and after 1,080 further steps."""
    train = gx.trainer(boosting(3), optax.adam(0.1))
    data = Batch(BARS)
    run, state, states = gx.loop_over_data(train, batch_size=14, chunk=STEPS), jax.jit(train.init)(KEY, data), []
    for stages in (1, 1, 1, 12):
        for _ in range(stages):
            state, _ = run(state, data)
        states.append(jax.tree.map(np.asarray, state.variables["energy"]))
    return states


@pytest.mark.slow
def test_the_exact_kl_falls_with_every_stage(boosted):
    density = jax.jit(gx.additive_energy_model((3, 3), 3).log_density)
    kl = [9 * np.log(2) - np.log(len(BARS))]
    for variables in boosted[:3]:
        log_p = density(variables, CELLS)
        kl.append(-np.log(len(BARS)) + jax.nn.logsumexp(log_p) - np.mean(density(variables, BARS)))
    assert (np.diff(kl) < -0.1).all(), kl
    np.testing.assert_allclose(-np.diff(kl), boosted[2]["features"]["gain"], atol=0.25)


def test_finished_features_are_the_same_bits_at_the_end(boosted):
    first, _, last, later = boosted
    for name, values in first["features"].items():
        if name != "visible_bias":
            np.testing.assert_array_equal(values[..., 0], later["features"][name][..., 0])
    chex.assert_trees_all_equal(last["features"], later["features"])
    assert not np.array_equal(last["params"]["weights"][:, 2], later["params"]["weights"][:, 2])  # Adam goes on


def test_after_the_answer_a_new_discriminator_knows_nothing(boosted):
    """The negatives of the first stage, with the weights of the answer: a = 0, and a loss of log 4."""
    features = boosted[0]["features"]
    w, c = features["weights"][:, 0], features["bias"][0]
    f = lambda x: jax.nn.sigmoid(x.reshape(len(x), -1).astype(np.float32) @ w + c)
    negatives = f(boosted[0]["negatives"]["x"])
    weights = jax.nn.softmax(features["coefficient"][0] * negatives)
    a, effective = best_coefficient(f(BARS), negatives)
    np.testing.assert_allclose(features["coefficient"][0], a, rtol=1e-4)
    np.testing.assert_allclose(features["effective"][0], effective, rtol=1e-4)
    assert effective > 0.34  # the coefficient is the best one, not one that keeps a third of the negatives
    np.testing.assert_allclose(weights @ negatives, f(BARS).mean(), atol=1e-4)


def test_the_loss_before_the_answer_is_kept(boosted):
    """A discriminator that knows nothing would have log 4."""
    objective = boosting(2)
    players = objective.init(KEY, Batch(BARS))
    value, aux = jax.jit(objective.losses["energy"])(players, KEY, Batch(BARS), jnp.int32(STEPS - 1))
    np.testing.assert_array_equal(aux.variables["energy"]["features"]["loss"], [value, 0])
    assert boosted[0]["features"]["loss"][0] < np.log(4) - 0.1


def test_negatives_move_at_the_first_step_of_a_stage_alone():
    objective = boosting(2)
    players = objective.init(KEY, Batch(BARS))
    loss = jax.jit(objective.losses["energy"])
    moved = lambda step: loss(players, KEY, Batch(BARS), jnp.int32(step))[1].variables["energy"]["negatives"]["x"]
    before = players["energy"]["negatives"]["x"]
    assert before.dtype == jnp.int8
    for step in (0, 1, STEPS - 1, STEPS + 1, 2 * STEPS, 3 * STEPS):
        np.testing.assert_array_equal(moved(step), before)
    assert not np.array_equal(moved(STEPS), before)


def test_boosting_refuses_what_does_not_fit():
    model = gx.additive_energy_model((3, 3), 2)
    for name in ("steps_per_stage", "num_negatives", "sweeps", "sample_sweeps"):
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            gx.self_supervised_boosting(model, **{"steps_per_stage": 2, name: 0})
    with pytest.raises(ValueError, match="features must be an integer of at least 1"):
        gx.additive_energy_model((3, 3), 0)
    players = boosting(2).init(KEY, Batch(BARS))
    with pytest.raises(ValueError, match="num_negatives must be 1000, as in the state that goes on, got 7"):
        boosting(2, num_negatives=7).losses["energy"](players, KEY, Batch(BARS), jnp.int32(0))
    with pytest.raises(ValueError, match="the model must have the shape of the data"):
        boosting(2).init(KEY, Batch(X))


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


def test_samples_of_an_additive_model_come_from_its_base():
    """Without a feature, the units are independent at the data's mean."""
    mean = jnp.array([[0.2, 0.7]])
    model = gx.additive_energy_model((1, 2), 1, data_mean=mean)
    x = model.sample(model.init(), KEY, 20_000, sweeps=2)
    chex.assert_shape(x, (20_000, 1, 2))
    assert np.abs(x.mean(0) - mean).max() < 5 * 0.5 / np.sqrt(20_000)
