"""The game of two networks: who sees what, when, and what the discriminator learns where the answer is known."""

from typing import get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.random import fold_in

from genjax_models.models.adversarial import AdversarialPair, adversarial_pair
from genjax_models.networks import MLPGenerator
from genjax_models.networks.discriminators import MLPDiscriminator
from genjax_models.objectives.gan import GameLoss, Penalty, gan
from genjax_models.training import loop_over_data, trainer
from genjax_models.types import Batch

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (12, 3))
BATCH = Batch(X, jnp.arange(12) % 4)
SGD = {"discriminator": optax.sgd(0.1), "generator": optax.sgd(0.1)}


def pair_of(*, dropout=0.0, **options):
    return adversarial_pair(MLPGenerator((3,), (8,)), MLPDiscriminator((3,), (8,), dropout=dropout), 2, **options)


def key_of(player, step=0):
    """That the trainer gives the only move of a player at a step of a state with `KEY`."""
    return jax.random.split(fold_in(fold_in(KEY, step), player), 1)[0]


def generator_move(objective):
    """(players, key) -> the generator's params after one move against the discriminator of `players`."""

    @jax.jit
    def move(players, key):
        def loss(params):
            mine = {**players["generator"], "params": params}
            return objective.losses["generator"]({**players, "generator": mine}, key, BATCH, 0)[0]

        before = players["generator"]["params"]
        return jax.tree.map(lambda p, g: p - 0.1 * g, before, jax.grad(loss)(before))

    return move


def far_apart(one, other):
    return max(np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True))


@pytest.mark.parametrize("simultaneous", [False, True])
def test_the_generator_answers_the_discriminator_as_it_is_after_its_move_and_with_its_own_noise(simultaneous):
    objective = gan(pair_of())
    train = trainer(objective, SGD, simultaneous=simultaneous)
    state = train.init(KEY, BATCH)._replace(key=KEY)
    after, _ = jax.jit(train.step)(state, BATCH)
    old, new = state.variables, {**state.variables, "discriminator": after.variables["discriminator"]}
    moved, seen, unseen = after.variables["generator"]["params"], *((old, new) if simultaneous else (new, old))
    move = generator_move(objective)
    assert far_apart(moved, move(seen, key_of(1))) < 1e-6
    assert far_apart(moved, move(unseen, key_of(1))) > 1e-5
    assert far_apart(moved, move(seen, key_of(0))) > 1e-4  # the discriminator's key


class Constant(nn.Module):
    """A generator without noise."""

    @nn.compact
    def __call__(self, z):
        return jnp.broadcast_to(self.param("x", nn.initializers.ones, (3,)), (len(z), 3))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_stays_while_the_generators_gradient_is_taken(dropout):
    pair = adversarial_pair(Constant(), MLPDiscriminator((3,), (16,), dropout=dropout), 2)
    move, players = generator_move(gan(pair)), pair.init(KEY, BATCH)
    one, other = (move(players, jax.random.key(seed)) for seed in (1, 2))
    assert (far_apart(one, other) > 1e-4) == (dropout > 0)
    logits = [MLPDiscriminator((3,), (16,), dropout=dropout).apply(players["discriminator"], X) for _ in range(2)]
    np.testing.assert_array_equal(*logits)  # without a key none is left out


@pytest.mark.slow
def test_a_linear_discriminator_learns_the_best_logit_of_two_gaussians():
    """p = N(0, 1), q = N(1, 1), by a generator that stands still: logit 1/2 - x, loss log 4 - 2 JSD."""

    class Shifted(nn.Module):
        @nn.compact
        def __call__(self, z):
            return z + self.param("shift", nn.initializers.ones, (1,))

    objective = gan(adversarial_pair(Shifted(), MLPDiscriminator((1,), ()), 1))
    schedule = optax.cosine_decay_schedule(0.05, 300)
    train = trainer(objective, {"discriminator": optax.adam(schedule), "generator": optax.sgd(0.0)})
    data = Batch(jax.random.normal(KEY, (20_000, 1)))
    state, metrics = loop_over_data(train, batch_size=2_000, chunk=300)(train.init(KEY, data), data, 300)
    logit = state.variables["discriminator"]["params"]["logit"]
    # 20,000 points of data leave standard errors of 0.009 (slope) and 0.003 (bias).
    np.testing.assert_allclose(logit["kernel"], [[-1]], atol=0.05)
    np.testing.assert_allclose(logit["bias"], [0.5], atol=0.02)
    np.testing.assert_allclose(metrics["discriminator/loss"][-100:].mean(), 1.1634513967504427, atol=0.01)
    np.testing.assert_allclose(metrics["discriminator/accuracy"][-100:].mean(), 0.6914624612740131, atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "penalty"),
    [
        *(pytest.param(loss, None, marks=pytest.mark.slow) for loss in get_args(GameLoss)),
        *(("wasserstein", "wasserstein"), ("non_saturating", "r1")),
    ],
)
def test_every_loss_and_penalty_makes_a_step(loss, penalty):
    train = trainer(gan(pair_of(dropout=0.1), loss=loss, penalty=penalty), SGD)
    state = train.init(KEY, BATCH)
    after, metrics = jax.jit(train.step)(state, BATCH)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((after.variables, metrics)))
    assert ("discriminator/penalty" in metrics) == (penalty is not None)
    assert ("discriminator/accuracy" in metrics) == (loss != "wasserstein")
    for player in SGD:
        assert far_apart(state.variables[player], after.variables[player]) > 0


@pytest.mark.parametrize("penalty", get_args(Penalty))
def test_the_penalty_is_added_with_its_weight(penalty):
    pair = pair_of()
    players = pair.init(KEY, BATCH)
    loss = lambda weight: gan(pair, penalty=penalty, penalty_weight=weight).losses["discriminator"]
    (none, aux), (some, _) = (jax.jit(loss(weight))(players, KEY, BATCH, 0) for weight in (0.0, 3.0))
    assert aux.metrics["penalty"] > 1e-3
    np.testing.assert_allclose(some - none, 3 * aux.metrics["penalty"], rtol=1e-4)


def test_the_orthogonal_penalty_is_on_the_generator_with_its_weight_and_reported_without_it():
    pair = pair_of()
    players = pair.init(KEY, BATCH)
    loss = lambda weight: jax.jit(gan(pair, orthogonal=weight).losses["generator"])(players, KEY, BATCH, 0)
    (none, plain), (some, aux) = loss(0), loss(0.5)
    kernels = [np.asarray(leaf) for leaf in jax.tree.leaves(players["generator"]["params"]) if leaf.ndim == 2]
    expected = sum((((W.T @ W) * (1 - np.eye(W.shape[1]))) ** 2).sum() for W in kernels)
    np.testing.assert_allclose(aux.metrics["orthogonal"], expected, rtol=1e-5)
    np.testing.assert_allclose(some - none, 0.5 * expected, rtol=1e-4)
    assert "orthogonal" not in plain.metrics


def test_the_discriminator_sees_real_and_fake_images_shifted():
    image = np.full((6, 5, 5, 1), -1, np.float32)
    image[:, 2, 2] = 1
    seen = []

    def discriminate(players, key, batch):
        seen.append(np.asarray(batch.x))
        return batch.x[:, 2, 2, 0], players

    pair = AdversarialPair(None, lambda players, key, batch: (image, players), discriminate, None, range=(-1, 1))
    for i, loss in enumerate(gan(pair, translation=2).losses.values()):
        loss({}, fold_in(KEY, i), Batch(image), 0)
    places = np.array([np.argwhere(x == 1)[:, 1:3] for x in seen])
    assert len(seen) == 3
    assert all(sorted(x.ravel()) == sorted(image.ravel()) for x in seen)  # the edges are filled with -1
    assert places.shape == (3, 6, 2)
    assert len({place.tobytes() for place in places}) == 3
    with pytest.raises(ValueError, match="translation must be an integer of at least 0, got -1"):
        gan(pair, translation=-1)


class Normalised(nn.Module):
    """Batch normalisation of the data themselves, and a line."""

    @nn.compact
    def __call__(self, x):
        averages = not self.is_mutable_collection("batch_stats")
        return nn.Dense(1)(nn.BatchNorm(use_running_average=averages, momentum=0.9)(x))[:, 0]


def test_real_and_fake_are_normalised_as_two_batches():
    pair = adversarial_pair(Constant(), Normalised(), 2)
    _, aux = gan(pair).losses["discriminator"](pair.init(KEY, BATCH), KEY, BATCH, 0)
    seen = aux.variables["discriminator"]["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(seen, 0.9 * 0.1 * X.mean(0) + 0.1 * 1, rtol=1e-5)  # all fakes are 1


@pytest.mark.parametrize("penalty", get_args(Penalty))
def test_a_penalty_refuses_batch_normalisation(penalty):
    train = trainer(gan(adversarial_pair(Constant(), Normalised(), 2), penalty=penalty), SGD)
    with pytest.raises(ValueError, match="batch normalisation"):
        jax.jit(train.step)(train.init(KEY, BATCH), BATCH)


def test_labels_reach_both_players():
    pair = pair_of(classes=4)
    players = pair.init(KEY, BATCH)
    first, last = (pair.sample(players, KEY, 5, label=label) for label in (0, jnp.full(5, 3)))
    assert first.shape == (5, 3)
    assert np.abs(first - last).min() > 1e-6
    logits = [pair.discriminate(players, KEY, BATCH._replace(label=jnp.full(12, label)))[0] for label in (0, 3)]
    assert np.abs(logits[0] - logits[1]).min() > 1e-6
    made, _ = pair.generate(players, KEY, BATCH)
    np.testing.assert_allclose(made, pair.sample(players, KEY, 12, label=BATCH.label), rtol=1e-6)
    for draw in (
        lambda: pair.sample(players, KEY, 5),
        lambda: pair.discriminate(players, KEY, Batch(X)),
        lambda: pair.generate(players, KEY, Batch(X)),
    ):
        with pytest.raises(ValueError, match="conditional on one of 4 classes"):
            draw()


def test_a_pair_without_classes_reads_no_label():
    pair = pair_of()
    players = pair.init(KEY, BATCH)
    np.testing.assert_array_equal(pair.sample(players, KEY, 5), pair.sample(players, KEY, 5, label=jnp.arange(5)))


def test_a_generator_of_other_shapes_is_refused():
    pair = adversarial_pair(MLPGenerator((4,), ()), MLPDiscriminator((3,), ()), 2)
    with pytest.raises(ValueError, match=r"examples of shape \(3,\), got \(4,\)"):
        pair.init(KEY, BATCH)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "saturating"}, r"loss must be one of \('minimax', .* got 'saturating'"),
        ({"penalty": "R1"}, r"penalty must be one of \('wasserstein', 'r1', None\), got 'R1'"),
        ({"loss": "hinge", "label_smoothing": 0.1}, r'must be 0 for loss "hinge", got 0.1'),
    ],
)
def test_what_is_no_game_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        gan(pair_of(), **options)
