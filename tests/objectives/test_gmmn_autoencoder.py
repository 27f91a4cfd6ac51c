"""Two stages as one game: who moves when, that a frozen player is frozen, and that a run may stop anywhere."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.models.implicit import implicit_model
from genjax_models.objectives.autoencoder import autoencoder
from genjax_models.objectives.gmmn import gmmn
from genjax_models.objectives.gmmn_autoencoder import gmmn_autoencoder, in_two_stages
from genjax_models.types import Batch
from tests.models.test_implicit import Normalised

KEY = jax.random.key(0)
FIRST, ALL = 4, 9
STAGES = (("autoencoder", 0), ("generator", FIRST))
X = jax.random.normal(jax.random.key(1), (12, 3))
BATCH = Batch(X)
KERNEL = gx.gaussian_kernel([0.5, 1.0])
ADAM = optax.adam(1e-2)


def models(dropout=0.0):
    encoder = gx.MLPEncoder((3,), (2,), (8,), dropout=dropout, input_dropout=dropout)
    return gx.autoencoder_model(encoder, gx.MLPGenerator((3,), (8,)), 2), implicit_model(gx.MLPGenerator((2,), (8,)), 2)


def trainer(optimizers=None, **options):
    objective = gmmn_autoencoder(*models(**options), KERNEL, autoencoder_steps=FIRST)
    optimizers = optimizers or in_two_stages(ADAM, ADAM, autoencoder_steps=FIRST)
    return gx.trainer(objective, optimizers)


def states(train, steps=ALL):
    """The state before each step and after the last."""
    step, seen = jax.jit(train.step), [train.init(KEY, BATCH)]
    for _ in range(steps):
        seen.append(step(seen[-1], BATCH)[0])
    return seen


def moved(before, after, player):
    one, other = (jax.tree.leaves(state.variables[player]) for state in (before, after))
    return any(np.any(a != b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def seen():
    return states(trainer())


@pytest.mark.slow
def test_one_player_moves_at_a_time(seen):
    for step, (before, after) in enumerate(itertools.pairwise(seen)):
        assert moved(before, after, "autoencoder") == (step < FIRST), step
        assert moved(before, after, "generator") == (step >= FIRST), step


@pytest.mark.slow
def test_plain_optimizers_do_not_freeze():
    """What `in_two_stages` is for: the momentum of Adam goes on without a gradient."""
    seen = states(trainer({"autoencoder": ADAM, "generator": ADAM}))
    assert moved(seen[FIRST], seen[FIRST + 1], "autoencoder")


def test_the_first_stage_is_the_autoencoder_alone(seen):
    first, _ = models()
    train = gx.trainer(autoencoder(first), {"autoencoder": ADAM})
    state = train.init(KEY, BATCH)._replace(
        key=seen[0].key, variables={"autoencoder": seen[0].variables["autoencoder"]}
    )
    for _ in range(FIRST):
        state, _ = jax.jit(train.step)(state, BATCH)
    chex.assert_trees_all_close(state.variables["autoencoder"], seen[FIRST].variables["autoencoder"], rtol=1e-5)


def test_the_second_stage_is_a_gmmn_on_the_codes_with_an_optimizer_that_begins_then(seen):
    first, second = models()
    objective = gmmn(second, KERNEL)
    codes = Batch(first.encode(seen[FIRST].variables["autoencoder"], X))
    gradient = jax.jit(
        jax.grad(lambda p, key: objective.losses["generator"]({"generator": {"params": p}}, key, codes, 0)[0])
    )
    params = seen[0].variables["generator"]["params"]
    opt_state = ADAM.init(params)
    for step in range(FIRST, ALL):
        key = jax.random.fold_in(jax.random.fold_in(seen[0].key, step), 1)
        change, opt_state = jax.jit(ADAM.update)(gradient(params, jax.random.split(key, 1)[0]), opt_state)
        params = optax.apply_updates(params, change)
    chex.assert_trees_all_close(params, seen[ALL].variables["generator"]["params"], rtol=1e-4, atol=1e-6)


def test_losses_are_those_of_their_stage_and_zero_outside():
    train = trainer()
    step, state, rows = jax.jit(train.step), train.init(KEY, BATCH), []
    for _ in range(ALL):
        state, metrics = step(state, BATCH)
        rows.append(metrics)
    for player, active in (("autoencoder", range(FIRST)), ("generator", range(FIRST, ALL))):
        for name in ("loss", "gradient_norm"):
            values = np.array([row[f"{player}/{name}"] for row in rows])
            assert list(np.flatnonzero(values)) == list(active)


def test_dropout_is_in_the_autoencoders_own_learning_alone():
    objective = gmmn_autoencoder(*models(dropout=0.5), KERNEL, autoencoder_steps=FIRST)
    first, second = models()  # the same networks without dropout
    variables = objective.init(KEY, BATCH)
    codes = Batch(first.encode(variables["autoencoder"], X))

    @jax.jit
    def losses(key):
        of_data = (objective.losses[player](variables, key, BATCH, step) for player, step in STAGES)
        return [loss for loss, _ in (*of_data, gmmn(second, KERNEL).losses["generator"](variables, key, codes, FIRST))]

    (one, of_generator, of_codes), (other, *_) = losses(jax.random.key(1)), losses(jax.random.key(2))
    assert abs(one - other) > 1e-3
    np.testing.assert_allclose(of_generator, of_codes, rtol=1e-5)


def test_samples_are_decoded_codes():
    first, second = models()
    objective = gmmn_autoencoder(first, second, KERNEL, autoencoder_steps=FIRST)
    variables = objective.init(KEY, BATCH)
    codes = second.sample(variables["generator"], KEY, 5)
    np.testing.assert_array_equal(objective.sample(variables, KEY, 5), first.generate(variables["autoencoder"], codes))


def test_batch_statistics_of_the_generator_move_in_its_stage_alone():
    first, _ = models()
    objective = gmmn_autoencoder(first, implicit_model(Normalised(), 2), KERNEL, autoencoder_steps=FIRST)
    train = gx.trainer(objective, in_two_stages(ADAM, ADAM, autoencoder_steps=FIRST))
    seen = states(train, FIRST + 1)
    averages = [state.variables["generator"]["batch_stats"]["BatchNorm_0"]["mean"] for state in seen]
    np.testing.assert_array_equal(averages[0], averages[FIRST])
    assert np.abs(averages[FIRST + 1] - averages[FIRST]).max() > 1e-3


def test_a_rest_costs_nothing():
    """A frozen autoencoder is neither run nor differentiated in the step of a generator whose codes are small."""
    wide = gx.autoencoder_model(gx.MLPEncoder((256,), (2,), (512,)), gx.MLPGenerator((256,), (512,)), 2)
    objective = gmmn_autoencoder(wide, models()[1], KERNEL, autoencoder_steps=FIRST)
    batch = Batch(jnp.zeros((64, 256)))
    variables = objective.init(KEY, batch)
    gradient = jax.grad(lambda v, step: objective.losses["autoencoder"](v, KEY, batch, step)[0])
    switches = [e for e in jax.make_jaxpr(gradient)(variables, FIRST).eqns if _has_products(e)]
    assert {switch.primitive.name for switch in switches} == {"cond"}
    for switch in switches:
        resting, learning = switch.params["branches"]
        assert _has_products(learning)
        assert not _has_products(resting)


def _has_products(program):
    return "dot_general" in str(program)


def test_what_is_no_system_is_refused():
    first, second = models()
    with pytest.raises(ValueError, match="autoencoder_steps must be an integer of at least 1, got 0"):
        gmmn_autoencoder(first, second, KERNEL, autoencoder_steps=0)
    wrong = gmmn_autoencoder(first, implicit_model(gx.MLPGenerator((3,), ()), 2), KERNEL, autoencoder_steps=1)
    with pytest.raises(ValueError, match=r"must make examples of shape \(2,\), got \(3,\)"):
        wrong.init(KEY, BATCH)
