"""Self-supervised boosting ends in discriminators without a clue: oracle o16, and bars and stripes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.estimators.boosting import best_coefficient
from genjax_models.evaluation.boosting_stages import least_loss
from genjax_models.types import Batch
from tests.energies import BOOSTING as O

KEY = jax.random.key(4)


def stage_of_the_oracle(slope, offset):
    """Returns the player at its only step, whose negatives are all eight states, and data in counts of 100."""
    states = (np.arange(8)[:, None] >> np.arange(3)[::-1] & 1).astype(np.float32)
    x = np.repeat(states, np.round(100 * np.array(O["inputs"]["p"])).astype(int), axis=0)
    params = {"weights": jnp.array([[1.5], [-2.0], [1.0]]), "bias": jnp.array([-0.2])}
    params |= {"slope": jnp.array([slope]), "offset": jnp.array([offset])}
    variables = gx.additive_energy_model((3,), 1).init()
    return {"params": params, **variables, "negatives": {"x": jnp.array(states, jnp.int8)}}, Batch(jnp.array(x))


def test_the_best_discriminator_of_the_oracle_is_at_the_minimum_of_the_loss():
    """Its coefficient is not the model's. Without a bias it is another one."""
    model = gx.additive_energy_model((3,), 1)
    objective = gx.self_supervised_boosting(model, steps_per_stage=1, num_negatives=8)

    @jax.jit
    @jax.value_and_grad
    def loss(slope_and_offset):
        own, batch = stage_of_the_oracle(*slope_and_offset)
        return objective.losses["energy"]({"energy": own}, KEY, batch, jnp.int32(0))[0]

    best, alone = O["discriminator"], O["without_bias"]
    value, slopes = loss(jnp.array([best["a"], best["b"]]))
    np.testing.assert_allclose(value, best["loss"], rtol=1e-6)
    np.testing.assert_allclose(slopes, 0, atol=1e-6)
    value, slopes = loss(jnp.array([alone["a"], 0.0]))
    np.testing.assert_allclose(value, alone["loss"], rtol=1e-6)
    np.testing.assert_allclose(slopes[0], 0, atol=1e-6)


def test_accuracy_weighs_data_and_negatives_alike():
    """8 negatives and 100 examples."""
    objective = gx.self_supervised_boosting(gx.additive_energy_model((3,), 1), steps_per_stage=1, num_negatives=8)
    own, batch = stage_of_the_oracle(3.0, -1.0)
    aux = objective.losses["energy"]({"energy": own}, KEY, batch, jnp.int32(0))[1]
    x_w = [x @ np.array([1.5, -2.0, 1.0]) - 0.2 for x in (np.asarray(batch.x), np.asarray(own["negatives"]["x"]))]
    on_data, on_negatives = (3 / (1 + np.exp(-inputs)) - 1 for inputs in x_w)
    assert len(on_data) == 100
    assert aux.metrics["accuracy"] == pytest.approx(((on_data > 0).mean() + (on_negatives < 0).mean()) / 2)


def test_features_start_with_the_mean_of_the_base_in_the_middle():
    model = gx.additive_energy_model((4,), 3, data_mean=np.array([0.1, 0.3, 0.6, 0.9]))
    objective = gx.self_supervised_boosting(model, steps_per_stage=1, num_negatives=8)
    own = objective.init(KEY, Batch(jnp.eye(4)))["energy"]
    inputs = jnp.array([0.1, 0.3, 0.6, 0.9]) @ own["params"]["weights"] + own["params"]["bias"]
    np.testing.assert_allclose(inputs, 0, atol=1e-5)


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
    sides = np.float64(f(BARS)), np.float64(negatives)
    np.testing.assert_allclose(least_loss(*sides, weights), np.log(4), atol=1e-5)
    assert least_loss(*sides, np.full(len(negatives), 1 / len(negatives))) < np.log(4) - 0.01


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


def test_samples_start_at_the_negatives_in_turn(monkeypatch):
    seen = []
    model = gx.additive_energy_model((2,), 1)
    monkeypatch.setattr(type(model), "swept", lambda self, own, key, x, sweeps: seen.append(sweeps) or x)
    objective = gx.self_supervised_boosting(model, steps_per_stage=1, num_negatives=3, sweeps=4, sample_sweeps=7)
    players = objective.init(KEY, Batch(jnp.eye(2)))
    players["energy"]["negatives"]["x"] = jnp.array([[0, 0], [0, 1], [1, 0]], jnp.int8)
    x = objective.sample(players, KEY, 5)
    np.testing.assert_array_equal(x, [[0, 0], [0, 1], [1, 0], [0, 0], [0, 1]])
    assert seen == [7]


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
        boosting(2).init(KEY, Batch(jnp.zeros((1, 4))))


def test_samples_of_an_additive_model_come_from_its_base():
    """Without a feature, the units are independent at the data's mean."""
    mean = jnp.array([[0.2, 0.7]])
    model = gx.additive_energy_model((1, 2), 1, data_mean=mean)
    x = model.sample(model.init(), KEY, 20_000, sweeps=2)
    chex.assert_shape(x, (20_000, 1, 2))
    assert np.abs(x.mean(0) - mean).max() < 5 * 0.5 / np.sqrt(20_000)
