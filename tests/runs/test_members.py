"""What several runs in one program are made of: batches of their own, steps in common, names and values."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import genjax_models as gx
from experiments import vae
from genjax_models.data.prepare import Prepared
from genjax_models.errors import CheckpointError, InputError, NonFiniteError
from genjax_models.runs import checkpoints
from genjax_models.runs.configuration import Training
from genjax_models.runs.fields import float_fields, replaced, unchecked
from genjax_models.runs.fit import fit_members
from genjax_models.runs.logs import Member
from genjax_models.runs.members import named_members
from genjax_models.types import Aux, Batch, Objective

SIZE = 12
NUMBERS = Prepared(*[Batch(jnp.arange(SIZE, dtype=jnp.float32))] * 3, lambda key, batch: batch, (0, 1))


def game(nan_at, in_loss=True):
    """Loss w^2 / 2 by SGD; at step `nan_at` the loss is NaN; without `in_loss`, only its gradient is.

    "rows" is the set of rows in the batch, as bits.
    """

    def loss(players, key, batch, step):
        w, fails = players["one"]["params"]["w"], step == nan_at
        value = jnp.where(fails, jnp.nan, 1.0) * w**2 / 2 if in_loss else w**2 / 2
        return value + (0 if in_loss else jnp.sqrt(jnp.where(fails, 0.0, 1.0) * w**2)), Aux(
            {"rows": jnp.sum(2.0**batch.x), "noise": jax.random.normal(key)}
        )

    init = lambda key, batch: {"one": {"params": {"w": jax.random.normal(key)}}}
    return gx.trainer(Objective(init, {"one": loss}, lambda *_: None), {"one": optax.sgd(0.1)})


@pytest.mark.parametrize("together", [True, False])
def test_each_member_has_batches_and_noise_of_its_own_bit_for_bit(together):
    training = Training(6, 4, evaluate_every=3, log_every=1)
    members = [Member(f"seed_{seed}", seed) for seed in (0, 7)]
    results = fit_members(lambda values: game(-1), NUMBERS, training, members, together=together)
    for member, fitted in zip(members, results, strict=True):
        alone = gx.fit(game(-1), NUMBERS, training, seed=member.seed)
        assert fitted.history == alone.history
        chex.assert_trees_all_equal(fitted.state, alone.state)
    drawn = [[row["one/rows"] for row in fitted.history if row["split"] == "train"] for fitted in results]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    ("in_loss", "together"),
    [
        (True, False),
        pytest.param(False, True, marks=pytest.mark.slow),
        pytest.param(True, True, marks=pytest.mark.slow),
        pytest.param(False, False, marks=pytest.mark.slow),
    ],
)
def test_fault_05_a_member_that_is_not_finite_is_named_and_all_are_kept_as_they_were_before(in_loss, together):
    training = Training(9, 4, evaluate_every=9, log_every=1)
    members = [Member(f"seed_{seed}", seed, {"nan_at": at}) for seed, at in ((0, -1.0), (7, 5.0), (8, 7.0))]
    with pytest.raises(NonFiniteError, match=r"^seed_7, step 5: .* not finite; the batch was rows") as caught:
        fit_members(lambda values: game(values["nan_at"], in_loss), NUMBERS, training, members, together=together)
    for member, progress in zip(members, caught.value.progress, strict=True):
        alone = gx.fit(game(-1, in_loss), NUMBERS, Training(5, 4, evaluate_every=9, log_every=1), seed=member.seed)
        assert int(progress.state.step) == 5
        chex.assert_trees_all_close(progress.state.variables, alone.state.variables, rtol=1e-6)
        rows = [row for row in progress.history if row["split"] == "train"]
        assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]


def test_a_counter_of_what_happens_to_a_member_alone_is_its_own():
    """`apply_if_finite` counts the moves that it leaves out: of the second member the one of step 2."""

    def train(nan_at):
        def spoil(gradient, step, params=None):
            return jax.tree.map(lambda g: jnp.where(step == nan_at, jnp.nan, g), gradient), step + 1

        spoilt = optax.GradientTransformation(lambda params: jnp.int32(0), spoil)
        rule = optax.chain(spoilt, optax.apply_if_finite(optax.sgd(0.1), 5))
        loss = lambda players, key, batch, step: (players["one"]["params"]["w"], Aux())
        start = lambda key, batch: {"one": {"params": {"w": jnp.float32(1)}}}
        return gx.trainer(Objective(start, {"one": loss}, None), {"one": rule})

    members = [Member("a", 0, {"nan_at": -1.0}), Member("b", 0, {"nan_at": 2.0})]
    fitted = fit_members(lambda values: train(values["nan_at"]), NUMBERS, Training(4, 4, 4, 4), members)
    states = [one.state for one in fitted]
    assert [float(state.variables["one"]["params"]["w"]) for state in states] == pytest.approx([0.6, 0.7])
    assert [int(state.opt_state["one"][1].total_notfinite) for state in states] == [0, 1]


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [("0:3", [0, 1, 2]), ("5", [5]), ("0,3,5", [0, 3, 5]), ("2:4,9", [2, 3, 9]), ("4294967295", [2**32 - 1])],
)
def test_seeds_are_ranges_and_numbers(seeds, expected):
    assert list(named_members(vae.Config(), seeds, ())) == [f"seed_{seed}" for seed in expected]


def test_seeds_and_sweep_are_the_product():
    members = named_members(vae.Config(), "0:2", ("kl_weight=0.5,1", "optimizer.learning_rate=1e-5"))
    assert list(members) == [
        f"kl_weight_{weight}-optimizer.learning_rate_1e-05-seed_{seed}" for weight in ("0.5", "1") for seed in (0, 1)
    ]
    assert members["kl_weight_0.5-optimizer.learning_rate_1e-05-seed_1"] == {
        "kl_weight": 0.5,
        "optimizer.learning_rate": 1e-5,
        "seed": 1,
    }


def tiny(step):
    """A state of a run at `step`."""
    return gx.TrainState(jnp.int32(step), jax.random.key(step), {"one": {"params": {"w": jnp.float32(step)}}}, {}, {})


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [([0, 5], [0], 0), ([0, 5, 7], [0, 5], 5), ([0, 5], [0, 5], 5), ([0], [0, 5], 0), ([0, 7], [5], None)],
)
def test_members_go_on_from_the_newest_step_that_all_have(first, second, left, tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder, steps in zip(folders, (first, second), strict=True):
        for step in steps:
            checkpoints.save(folder, tiny(step), score=-step, about={"at": step})
    if left is None:
        with pytest.raises(CheckpointError, match="first and the other members hold no checkpoint of one step"):
            checkpoints.restore_all(folders, tiny(0), print)
        return
    restored = checkpoints.restore_all(folders, tiny(0), print)
    assert [(int(state.step), about) for state, about in restored] == [(left, {"at": left})] * 2
    assert [checkpoints.steps(folder)[-1] for folder in folders] == [left, left]


def test_fields_are_replaced_with_and_without_a_check():
    values = {"kl_weight": 2.0, "optimizer.learning_rate": 0.5}
    for change in (replaced, unchecked):
        changed = change(vae.Config(), values)
        assert (changed.kl_weight, changed.optimizer.learning_rate) == (2.0, 0.5)
        assert change(vae.Config(), {}) == vae.Config()
    with pytest.raises(InputError, match="learning_rate"):
        replaced(vae.Config(), {"optimizer.learning_rate": -1.0})
    assert unchecked(vae.Config(), {"optimizer.learning_rate": -1.0}).optimizer.learning_rate == -1
    assert vae.Config() == type(vae.Config())()
    assert "optimizer.clip" in [field.name for field in float_fields(vae.Config())]
