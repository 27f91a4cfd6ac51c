"""The trainer against games whose course is known."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.random import fold_in

from genjax_models.training import loop_over_data, trainer
from genjax_models.types import Aux, Batch, Objective
from tests.training.games import adversarial, batch_of, bilinear, noisy, quadratic

# Adam (rate 0.1) and SGD on (theta - x_t)^2 / 2 from theta = 0.3: the exact ends of ten steps.
STREAM = [1.0, -0.5, 2.0, 0.25, -1.5, 3.0, 0.0, 1.25, -2.0, 0.75]
ENDS = {
    "adam": (optax.adam(0.1), 0.479970668633112),
    "sgd": (optax.sgd(0.1), 0.33527412543),
    "momentum": (optax.sgd(0.1, momentum=0.9), 0.49730370816),
}
KEY = jax.random.key(0)


def steps(train, state, batches):
    step = jax.jit(train.step)
    for batch in batches:
        state, metrics = step(state, batch)
    return state, metrics


@pytest.mark.parametrize("name", ENDS)
def test_ten_steps_end_where_arithmetic_says(name):
    optimizer, end = ENDS[name]
    train = trainer(quadratic(), {"point": optimizer})
    stream = [batch_of([x]) for x in STREAM]
    state, metrics = steps(train, train.init(KEY, stream[0]), stream)
    np.testing.assert_allclose(state.variables["point"]["params"]["theta"], end, rtol=2e-6)
    assert int(state.step) == 10
    assert float(metrics["point/step"]) == 9  # losses see the number of steps made before


def test_a_dropped_optimizer_state_is_seen():
    train = trainer(quadratic(), {"point": ENDS["adam"][0]})
    stream = [batch_of([x]) for x in STREAM]
    half, _ = steps(train, train.init(KEY, stream[0]), stream[:5])
    forgotten = half._replace(opt_state=train.init(KEY, stream[0]).opt_state)
    resumed, _ = steps(train, half, stream[5:])
    wrong, _ = steps(train, forgotten, stream[5:])
    np.testing.assert_allclose(resumed.variables["point"]["params"]["theta"], 0.479970668633112, rtol=2e-6)
    np.testing.assert_allclose(wrong.variables["point"]["params"]["theta"], 0.6260064247274153, rtol=1e-5)


def play(game, count, **options):
    train = trainer(game, {"a": optax.sgd(0.1), "b": optax.sgd(0.1)}, **options)
    state, _ = steps(train, train.init(KEY, batch_of([0.0])), [batch_of([0.0])] * count)
    return np.array([state.variables[player]["params"]["at"] for player in "ab"])


@pytest.mark.parametrize(
    ("count", "simultaneous", "alternating"),
    [
        (1, (0.9, 1.1), (0.9, 1.09)),
        (2, (0.79, 1.19), (0.791, 1.1691)),
        (10, (-0.3117175601, 1.4532984599), (-0.2606616181, 1.3405641199)),
    ],
)
def test_players_move_at_once_or_in_turn(count, simultaneous, alternating):
    np.testing.assert_allclose(play(bilinear(), count, simultaneous=True), simultaneous, rtol=1e-5)
    np.testing.assert_allclose(play(bilinear(), count), alternating, rtol=1e-5)
    np.testing.assert_allclose(play(bilinear("b"), 1), (0.89, 1.1), rtol=1e-6)  # in the order of `losses`


def test_the_invariant_of_alternating_moves_holds():
    a, b = play(bilinear(), 100)
    np.testing.assert_allclose(a**2 + b**2 - 0.1 * a * b, 1.9, rtol=1e-5)


def test_each_move_has_its_own_share_and_noise():
    train = trainer(noisy(), {"one": optax.sgd(1.0), "two": optax.sgd(1.0)}, updates={"one": 3})
    batch = batch_of([1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0])
    state = train.init(KEY, batch)
    after, metrics = train.step(state, batch)
    key = fold_in(state.key, 0)
    noise = [jax.random.normal(k) for k in jax.random.split(fold_in(key, 0), 3)]
    params = after.variables["one"]["params"]
    np.testing.assert_allclose(params["noise"], sum(noise), rtol=1e-6)
    np.testing.assert_allclose(params["seen"], 111_111.0)  # all three shares
    np.testing.assert_allclose(metrics["one/seen"], 111_111.0 / 3)  # metrics are means over the moves
    np.testing.assert_allclose(after.variables["two"]["params"]["seen"], 1001.0)  # the first share: examples 0, 3
    (mine,) = jax.random.split(fold_in(key, 1), 1)
    np.testing.assert_allclose(after.variables["two"]["params"]["noise"], jax.random.normal(mine), rtol=1e-6)


def test_a_player_without_a_loss_is_frozen_and_kept():
    train = trainer(noisy(), {"one": optax.sgd(1.0), "two": optax.sgd(1.0)})
    state = train.init(KEY, batch_of([1.0]))
    after, _ = train.step(state, batch_of([1.0]))
    chex.assert_trees_all_equal(after.variables["frozen"], state.variables["frozen"])
    assert set(after.opt_state) == {"one", "two"}


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_a_moving_average_is_that_of_the_steps_made_and_not_of_the_start(decay):
    """The plain average, which keeps decay^t of the start, would be seen: at 0.999 it would hardly have moved."""
    train = trainer(quadratic(), {"point": optax.sgd(0.1)}, average={"point": decay})
    state = train.init(KEY, batch_of([1.0]))
    start, seen = float(state.variables["point"]["params"]["theta"]), []
    for x in STREAM:
        state, _ = train.step(state, batch_of([x]))
        seen.append(float(state.variables["point"]["params"]["theta"]))
    weights = decay ** np.arange(len(seen))[::-1]
    average = state.average["point"]["params"]["theta"]
    np.testing.assert_allclose(average, np.average(seen, weights=weights), rtol=1e-4)
    plain = decay ** len(seen) * start + (1 - decay) * np.dot(weights, seen)
    assert decay == 0 or abs(plain - average) > 1e-2


def test_a_moving_average_has_the_precision_of_its_player():
    """Also at a decay that float32 takes for 1, where the average is a plain mean."""
    constant = Objective(
        init=lambda key, batch: {"point": {"params": {"theta": jnp.bfloat16(1)}, "seen": {"steps": jnp.float32(0)}}},
        losses={
            "point": lambda players, key, batch, step: (
                0.0 * players["point"]["params"]["theta"].astype(float),
                Aux(variables={"point": {**players["point"], "seen": {"steps": jnp.float32(step + 1)}}}),
            )
        },
        sample=lambda players, key, n, *, label=None: jnp.zeros(n),
    )
    train = trainer(constant, {"point": optax.sgd(0.1)}, average={"point": 0.99999999})
    batch = batch_of([1.0])
    state, _ = loop_over_data(train, batch_size=1, chunk=9)(train.init(KEY, batch), batch, 9)
    assert state.average["point"]["params"]["theta"].dtype == jnp.bfloat16
    assert float(state.average["point"]["params"]["theta"]) == 1
    assert float(state.average["point"]["seen"]["steps"]) == pytest.approx(5, rel=1e-5)


def test_losses_differentiate_their_own_player_alone_and_move_every_statistic():
    train = trainer(adversarial(), {"discriminator": optax.sgd(0.1), "generator": optax.set_to_zero()})
    batch = Batch(jax.random.normal(KEY, (16, 3)))
    state = train.init(KEY, batch)
    after, _ = train.step(state, batch)
    for player, moves in (("discriminator", True), ("generator", False)):
        before, now = state.variables[player], after.variables[player]
        assert moves == (not _equal(before["params"], now["params"]))
        assert not _equal(before["batch_stats"], now["batch_stats"])


def test_a_later_player_sees_the_earlier_one_after_its_move():
    seen = {
        False: 1.0 - 0.1,  # alternating: a has moved by the gradient of a b at b = 1
        True: 1.0,
    }
    for simultaneous, a in seen.items():
        train = trainer(bilinear(), {"a": optax.sgd(0.1), "b": optax.sgd(0.1)}, simultaneous=simultaneous)
        _, metrics = train.step(train.init(KEY, batch_of([0.0])), batch_of([0.0]))
        np.testing.assert_allclose(metrics["b/loss"], -a, rtol=1e-6)


def test_the_norm_of_the_gradient_is_reported_where_two_players_meet_or_on_demand():
    def seen(game, **options):
        train = trainer(game, dict.fromkeys(game.losses, optax.sgd(0.1)), **options)
        return train.step(train.init(KEY, batch_of([1.0])), batch_of([1.0]))[1]

    assert "point/gradient_norm" not in seen(quadratic())
    np.testing.assert_allclose(seen(quadratic(), gradient_norm=True)["point/gradient_norm"], 0.7, rtol=1e-6)
    np.testing.assert_allclose(seen(noisy())["one/gradient_norm"], np.hypot(seen(noisy())["one/noise"], 1), rtol=1e-6)
    assert not [name for name in seen(noisy(), gradient_norm=False) if name.endswith("gradient_norm")]


def test_params_that_a_loss_returns_are_not_read():
    def loss(variables, key, batch, step):
        wrong = jax.tree.map(lambda a: a + 100, variables)
        return variables["point"]["params"]["theta"] * 0.0, Aux(variables=wrong)

    game = quadratic()._replace(losses={"point": loss})
    train = trainer(game, {"point": optax.sgd(0.1)})
    after, _ = train.step(train.init(KEY, batch_of([1.0])), batch_of([1.0]))
    np.testing.assert_allclose(after.variables["point"]["params"]["theta"], 0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizers": {"piont": optax.sgd(1.0)}}, r"optimizers are for \['piont'\].*losses are of \['point'\]"),
        ({"optimizers": {}}, r"optimizers are for \[\].*\['point'\]"),
        ({"updates": {"piont": 2}}, r"updates names \['piont'\].*\['point'\]"),
        ({"updates": {"point": 0}}, "integer of at least 1, got 0"),
        ({"updates": {"point": True}}, "integer of at least 1, got True"),
        ({"accumulate": {"piont": 2}}, r"accumulate names \['piont'\]"),
        ({"accumulate": {"point": 0}}, r"accumulate\['point'\] must be an integer of at least 1, got 0"),
        ({"average": {"piont": 0.9}}, r"average names \['piont'\]"),
        ({"average": {"point": 1.0}}, r"decay in \[0, 1\), got 1.0"),
    ],
)
def test_a_game_that_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        trainer(quadratic(), **{"optimizers": {"point": optax.sgd(1.0)}, **options})


def test_an_objective_without_losses_is_refused():
    with pytest.raises(ValueError, match="no losses"):
        trainer(Objective(quadratic().init, {}, quadratic().sample), {})


def test_a_batch_that_the_shares_do_not_divide_is_refused():
    train = trainer(quadratic(), {"point": optax.sgd(1.0)}, updates={"point": 3})
    with pytest.raises(ValueError, match="batch of 4 cannot be cut into 3 equal shares"):
        train.step(train.init(KEY, batch_of([1.0])), batch_of([1.0, 2.0, 3.0, 4.0]))


def _equal(left, right) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), left, right)))


def test_accumulated_gradients_are_the_gradient_of_the_whole_batch():
    """With SGD and a loss that is a mean over examples; the optimizer moves once."""
    batch = batch_of([1.0, -0.5, 2.0, 0.25, -1.5, 3.0, 0.0, 1.25])
    one, parted = (
        trainer(quadratic(), {"point": optax.sgd(0.1)}, accumulate=accumulate) for accumulate in ({}, {"point": 4})
    )
    (state, metrics), (other, of_parts) = (steps(train, train.init(KEY, batch), [batch] * 3) for train in (one, parted))
    theta = lambda state: state.variables["point"]["params"]["theta"]
    np.testing.assert_allclose(theta(other), theta(state), rtol=1e-6)
    np.testing.assert_allclose(of_parts["point/loss"], metrics["point/loss"], rtol=1e-6)


def test_parts_have_noise_of_their_own_and_an_odd_batch_is_refused():
    train = trainer(noisy(), optax.sgd(1.0), accumulate={"one": 2})
    batch = batch_of(np.arange(4.0))
    state = train.init(KEY, batch)
    moved, metrics = jax.jit(train.step)(state, batch)
    of_move = jax.random.split(fold_in(fold_in(state.key, 0), 0), 1)[0]
    mean = np.mean([jax.random.normal(key) for key in jax.random.split(of_move, 2)])
    np.testing.assert_allclose(moved.variables["one"]["params"]["noise"], mean, rtol=1e-5)
    np.testing.assert_allclose(metrics["one/seen"], 3.0)  # the mean of 0 + 2 and 1 + 3
    with pytest.raises(ValueError, match="cannot be cut into 2 equal shares"):
        train.step(state, batch_of(np.arange(3.0)))
