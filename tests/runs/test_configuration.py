"""Numbers are validated in the config, once; and the optimizer is the one that its fields describe."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import autoencoder, iwae, vae
from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training
from genjax_models.systems.games import Game
from genjax_models.systems.groups import Likelihood, Networks, Optimizer, StagedTraining
from genjax_models.systems.settings import Data
from genjax_models.types import Aux, Batch, Objective

NAN, INFINITY = float("nan"), float("inf")
RATE, STEPS = 0.25, 20


@pytest.mark.parametrize(
    ("config", "field", "bad", "accepted"),
    [
        *((Data, "image_size", bad, "integer of at least 1") for bad in (0, -32, 1.5, True)),
        *((Training, "steps", bad, "integer of at least 0") for bad in (-1, 1.5, True, 1e4)),
        *((Training, "batch_size", bad, "integer of at least 1") for bad in (0, -3, 2.0, False)),
        *((Training, "evaluate_every", bad, "integer of at least 1") for bad in (0, NAN)),
        *((Training, "log_every", bad, "integer of at least 1") for bad in (0, "3")),
        *((Optimizer, "learning_rate", bad, "positive and finite") for bad in (0.0, -1e-3, NAN, INFINITY)),
        *((Optimizer, "eps", bad, "positive and finite") for bad in (0.0, -1e-8, NAN)),
        *((Optimizer, "clip", bad, "positive and finite") for bad in (0.0, -1.0, NAN, INFINITY)),
        *((Optimizer, "weight_decay", bad, "at least 0") for bad in (-0.1, NAN, INFINITY)),
        *((Optimizer, "stages", bad, "integer of at least 1") for bad in (0, 1.0)),
        *((Game, "discriminator_moves", bad, "integer of at least 1") for bad in (0, -2, 1.5, True)),
        *((Game, "generator_learning_rate", bad, "positive and finite") for bad in (0.0, -1e-3, NAN)),
        *((Game, "average", bad, "[0, 1)") for bad in (1.0, -0.1, NAN)),
        *(
            (iwae.Config, name, bad, "integer of at least 1")
            for name in ("num_samples", "judge_samples")
            for bad in (0, 0.5)
        ),
        *((iwae.Config, name, bad, "two sizes") for name in ("latent", "hidden") for bad in ((50,), (1, 2, 3))),
        *((StagedTraining, "steps", bad, "integer of at least 0") for bad in (-1, 0.5)),
        *((Optimizer, "warmup", bad, "integer of at least 0") for bad in (-1, 2.5)),
        *((Optimizer, name, bad, r"[0, 1)") for name in ("b1", "b2") for bad in (1.0, -0.1, NAN, 2)),
        *(
            (config, "seed", bad, "[0, 2^32)")
            for config in (vae.Config, autoencoder.Config)
            for bad in (-1, 2**32, True)
        ),
        *(
            (config, "latent", bad, "integer of at least 1")
            for config in (vae.Config, autoencoder.Config)
            for bad in (0, True)
        ),
        *((vae.Config, "num_samples", bad, "integer of at least 1") for bad in (0, -1, 1.0)),
        *((Networks, "hidden", bad, "integer of at least 1") for bad in ((16, 0), (1.5,))),
        *((Networks, "channels", bad, "integer of at least 1") for bad in ((-1,), (4, True))),
        *(
            (vae.Config, name, bad, "at least 0")
            for name in ("kl_weight", "free_bits")
            for bad in (-1.0, NAN, INFINITY)
        ),
        *((vae.Config, "kl_warmup", bad, "integer of at least 0") for bad in (-1, 0.5)),
        *((Likelihood, "scale", bad, "positive and finite") for bad in (0.0, -1.0, NAN)),
    ],
)
def test_fault_23_a_bad_field_is_one_error_with_field_value_and_what_is_accepted(config, field, bad, accepted):
    with pytest.raises(InputError) as caught:
        config(**{field: bad})
    message = str(caught.value)
    assert message.startswith(field)
    assert repr(bad) in message
    assert accepted in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("config", "good"),
    [
        (Training, {"steps": 0, "batch_size": 1, "evaluate_every": 1, "log_every": 1}),
        (Optimizer, {"b1": 0.0, "b2": 0.0, "weight_decay": 0.0, "clip": 1e-9}),
        (vae.Config, {"seed": 2**32 - 1, "kl_weight": 0.0}),
        (Networks, {"hidden": ()}),
        (Likelihood, {"scale": 1e-3}),
        (autoencoder.Config, {"seed": 0, "latent": 1}),
    ],
)
def test_values_at_the_edge_are_accepted(config, good):
    made = config(**good)
    assert all(getattr(made, name) == value for name, value in good.items())


def rates(config, count):
    """Adam under a constant gradient moves by the learning rate: what it is at steps 0 ... count - 1."""
    optimizer, params, changes = config.build(STEPS), jnp.zeros(1), []
    state = optimizer.init(params)
    for _ in range(count):
        change, state = optimizer.update(jnp.ones(1), state, params)
        changes.append(-float(change[0]))
    return np.array(changes)


@pytest.mark.parametrize("warmup", [0, 4])
@pytest.mark.parametrize(
    ("schedule", "left"),
    [
        ("constant", lambda done: 1.0),
        ("linear", lambda done: 1 - done),
        ("cosine", lambda done: 0.5 + 0.5 * math.cos(math.pi * done)),
    ],
)
def test_the_learning_rate_rises_over_the_warmup_and_falls_over_the_rest(schedule, left, warmup):
    changes = rates(Optimizer(RATE, schedule, warmup), STEPS + 3)
    for step, rate in enumerate(changes):
        done = min((step - warmup) / (STEPS - warmup), 1)
        assert rate == pytest.approx(RATE * (step / warmup if step < warmup else left(done)), abs=1e-5), step


@pytest.mark.parametrize(
    ("config", "fields", "message"),
    [
        (
            vae.Config,
            {"free_bits": 0.5, "form": "entropy"},
            "free_bits needs form kl and posterior diagonal, got entropy",
        ),
        (vae.Config, {"free_bits": 0.5, "posterior": "full_covariance"}, "got kl and full_covariance"),
        (vae.Config, {"posterior": "flow"}, "posterior flow needs form monte_carlo .* got kl, 2"),
        (vae.Config, {"posterior": "flow", "form": "monte_carlo", "latent": 1}, "got monte_carlo, 1"),
        (
            iwae.Config,
            {"objective": "vae", "gradient": "sticking_the_landing"},
            "need objective iwae, got None and sticking_the_landing",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_one_error(config, fields, message):
    with pytest.raises(InputError, match=message):
        config(**fields)


def test_stages_are_each_three_times_as_long_as_the_one_before():
    """Burda et al., 2015: 3^i epochs at 0.001 * 10^(-i/7); here 1 + 3 + 9 parts of two steps."""
    expected = np.repeat(RATE * 10.0 ** (-np.arange(3) / 7), [2, 6, 18])
    optimizer = Optimizer(RATE, "stages", stages=3).build(26)
    params, state = jnp.zeros(1), optimizer.init(jnp.zeros(1))
    for step, rate in enumerate(expected):
        change, state = optimizer.update(jnp.ones(1), state, params)
        assert -float(change[0]) == pytest.approx(rate, rel=1e-4), step


@pytest.mark.parametrize(("warmup", "steps"), [(30, 20), (20, 20), (0, 0)])
def test_runs_no_longer_than_the_warmup_have_finite_rates(warmup, steps):
    optimizer = Optimizer(RATE, "cosine", warmup).build(steps)
    change, _ = optimizer.update(jnp.ones(1), optimizer.init(jnp.zeros(1)), jnp.zeros(1))
    assert -float(change[0]) == pytest.approx(0.0 if warmup else RATE, abs=1e-5)


def first_change(gradient, params=(0.0, 0.0), **fields):
    optimizer, params = Optimizer(learning_rate=RATE, **fields).build(STEPS), jnp.array(params)
    return optimizer.update(jnp.array(gradient), optimizer.init(params), params)[0]


@pytest.mark.parametrize(("gradient", "clipped"), [((6.0, 8.0), (0.6, 0.8)), ((0.3, 0.4), (0.3, 0.4))])
def test_a_gradient_is_clipped_by_its_global_norm(gradient, clipped):
    # With eps = 1 the first move of Adam is g / (|g| + 1), so that the size of g shows.
    clipped = np.array(clipped)
    changes = first_change(gradient, clip=1.0, eps=1.0)
    np.testing.assert_allclose(changes, -RATE * clipped / (clipped + 1), rtol=1e-5)


def test_weight_decay_is_decoupled_from_the_gradient():
    # L2 in the gradient would be divided by its own size: both parameters would move by the learning rate.
    np.testing.assert_allclose(first_change((0.0, 0.0), (2.0, -4.0), weight_decay=0.1), (-0.05, 0.1), rtol=1e-6)
    np.testing.assert_allclose(first_change((3.0, 3.0), (2.0, -4.0), weight_decay=0.1), (-0.3, -0.15), rtol=1e-4)


def test_the_averages_decay_as_their_fields_say():
    optimizer, params = Optimizer(RATE, b1=0.5, b2=0.75).build(STEPS), jnp.zeros(1)
    change, state = optimizer.update(jnp.array([1.0]), optimizer.init(params), params)
    change, state = optimizer.update(jnp.array([3.0]), state, params)
    mean = (0.25 * 1 + 0.5 * 3) / (1 - 0.5**2)
    square = (0.1875 * 1 + 0.25 * 9) / (1 - 0.75**2)
    assert float(change[0]) == pytest.approx(-RATE * mean / math.sqrt(square), rel=1e-5)


LEVELS = ("discriminator_1", "generator_1", "discriminator_2", "generator_2")


def played(game, optimizer, steps):
    """Where each player of `LEVELS` is after each step, from 0 and with gradients of one; and the averages at last."""

    def loss(player):
        return lambda players, key, batch, step: (players[player]["params"]["w"], Aux())

    def init(key, batch):
        return {player: {"params": {"w": jnp.float32(0)}} for player in LEVELS}

    losses, adversaries = {player: loss(player) for player in LEVELS}, ("discriminator_1", "discriminator_2")
    trainer = game.trainer(Objective(init, losses, lambda *_: None, adversaries=adversaries), optimizer, steps)
    batch, positions = Batch(jnp.zeros(6)), []
    state = trainer.init(jax.random.key(0), batch)
    for _ in range(steps):
        state, _ = trainer.step(state, batch)
        positions.append({player: float(state.variables[player]["params"]["w"]) for player in LEVELS})
    return positions, {player: float(variables["params"]["w"]) for player, variables in state.average.items()}


def test_discriminators_move_more_often_and_generators_at_a_rate_of_their_own():
    """With gradients of one, Adam moves by the learning rate, which falls to zero over all moves of a player."""
    positions, average = played(Game(3, generator_learning_rate=0.1, average=0.5), Optimizer(RATE, "linear"), 2)
    rates = {"discriminator": RATE * (1 - np.arange(6) / 6), "generator": 0.1 * (1 - np.arange(2) / 2)}
    for step, places in enumerate(positions, start=1):
        moves = {"discriminator": 3 * step, "generator": step}
        for player, place in places.items():
            role, _ = player.split("_")
            assert place == pytest.approx(-rates[role][: moves[role]].sum(), rel=1e-4), player
    first, second = (places["generator_1"] for places in positions)
    expected = pytest.approx((0.5 * first + second) / 1.5, rel=1e-5)
    assert average == {"generator_1": expected, "generator_2": expected}


def test_by_default_all_players_have_one_optimizer_and_no_average():
    positions, average = played(Game(), Optimizer(RATE), 2)
    assert positions[1] == dict.fromkeys(LEVELS, pytest.approx(-2 * RATE, rel=1e-4))
    assert average == {}


def test_a_batch_is_cut_into_equal_shares():
    Game(3).check_shares(Training(batch_size=6))
    with pytest.raises(InputError, match=r"batch_size must be a multiple of 3, the discriminator_moves, .* got 7"):
        Game(3).check_shares(Training(batch_size=7))
