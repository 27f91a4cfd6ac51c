"""Each level is the game of `gan` on images of its size, given real ones while it learns; all move in one step."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.estimators.laplacian_pyramid import downsample, gaussian_pyramid, high_pass
from genjax_models.models.laplacian_pyramid_gan import laplacian_pyramid_gan, refining_pair
from genjax_models.networks.refining import RefiningGenerator
from genjax_models.objectives.lapgan import lapgan
from genjax_models.types import Batch

KEY = jax.random.key(0)
BATCH = Batch(jax.random.uniform(jax.random.key(1), (6, 8, 4, 1)), jnp.arange(6) % 3)
PLAYERS = [f"{role}_{level}" for level in range(3) for role in ("discriminator", "generator")]


def model_of(*, shape=(8, 4, 1), levels=3, classes=None, channels=(4,), hidden=(8,), dropout=0.0):
    shapes = [(shape[0] >> level, shape[1] >> level, shape[2]) for level in range(levels)]
    pairs = [
        refining_pair(
            RefiningGenerator(small, channels),
            gx.MLPDiscriminator((*small[:2], 2 * small[2]), hidden, dropout=dropout),
            classes=classes,
        )
        for small in shapes[:-1]
    ]
    coarsest = gx.MLPGenerator(shapes[-1], hidden), gx.MLPDiscriminator(shapes[-1], hidden)
    return laplacian_pyramid_gan([*pairs, gx.adversarial_pair(*coarsest, 3, classes=classes)])


def of_level(objective, role, level, players, batch):
    """Loss, metrics and the player's gradient."""
    player = f"{role}_{level}"

    def loss(params):
        mine = {**players[player], "params": params}
        value, aux = objective.losses[player]({**players, player: mine}, KEY, batch, 0)
        return value, aux.metrics

    (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(players[player]["params"])
    return value, metrics, gradient


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("options", [{}, {"loss": "hinge", "penalty": "r1", "penalty_weight": 3.0}])
def test_a_level_is_the_game_of_gan_on_images_of_its_size(level, options):
    model = model_of(classes=3)
    objective, game = lapgan(model, **options), gx.gan(model.pairs[level], **options)
    players = objective.init(KEY, BATCH)
    small = BATCH._replace(x=gaussian_pyramid(BATCH.x, 3)[level])
    for role in ("discriminator", "generator"):
        value, metrics, gradient = of_level(objective, role, level, players, BATCH)

        def alone(params, role=role):
            mine = model.at(players, level)
            value, aux = game.losses[role]({**mine, role: {**mine[role], "params": params}}, KEY, small, 0)
            return value, aux.metrics

        expected, gradient_alone = jax.value_and_grad(alone, has_aux=True)(players[f"{role}_{level}"]["params"])
        chex.assert_trees_all_close((value, metrics), expected, rtol=1e-6)
        chex.assert_trees_all_close(gradient, gradient_alone, rtol=1e-5, atol=1e-7)
        assert optax.tree.norm(gradient) > 1e-4


class Checkerboard(nn.Module):
    """h = a c, where the signs of c change from pixel to pixel: nothing that a low pass keeps."""

    @nn.compact
    def __call__(self, x):
        rows, columns = jnp.indices(x.shape[1:3])
        return self.param("a", nn.initializers.constant(0.3), ()) * (1.0 - 2 * ((rows + columns) % 2))[..., None] + (
            0 * x[..., :1]
        )


class Correlation(nn.Module):
    """b <x, c>, and a bias on the mean of l."""

    @nn.compact
    def __call__(self, x):
        rows, columns = jnp.indices(x.shape[1:3])
        signs = (1.0 - 2 * ((rows + columns) % 2))[..., None]
        correlation, mean = (x[..., :1] * signs).mean((1, 2, 3)), x[..., 1:].mean((1, 2, 3))
        b = self.param("b", nn.initializers.constant(2.0), ())
        return b * correlation + self.param("bias", nn.initializers.constant(0.7), ()) * mean


def test_value_and_gradient_of_a_refining_level_are_those_of_its_formula():
    """Of a fake the correlation with the checkerboard is a, whatever its l; the means of l are those of real images."""
    coarsest = gx.adversarial_pair(gx.MLPGenerator((4, 2, 1), ()), gx.MLPDiscriminator((4, 2, 1), ()), 3)
    objective = lapgan(laplacian_pyramid_gan([refining_pair(Checkerboard(), Correlation()), coarsest]))
    players = objective.init(KEY, BATCH)

    x = np.asarray(BATCH.x, np.float64)[..., 0]
    signs = 1.0 - 2 * (np.indices((8, 4)).sum(0) % 2)
    correlation, mean = (x * signs).mean((1, 2)), x.mean((1, 2))
    a, b, bias = 0.3, 2.0, 0.7
    real, fake = b * correlation + bias * mean, b * a + bias * mean
    softplus, sigmoid = lambda v: np.logaddexp(0, v), lambda v: 1 / (1 + np.exp(-v))

    value, metrics, gradient = of_level(objective, "discriminator", 0, players, BATCH)
    np.testing.assert_allclose(value, np.mean(softplus(-real) + softplus(fake)), rtol=1e-6)
    np.testing.assert_allclose(gradient["b"], np.mean(-sigmoid(-real) * correlation + sigmoid(fake) * a), rtol=1e-5)
    np.testing.assert_allclose(gradient["bias"], np.mean((sigmoid(fake) - sigmoid(-real)) * mean), rtol=1e-5)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(np.concatenate([real > 0, fake < 0])), rtol=1e-6)

    value, _, gradient = of_level(objective, "generator", 0, players, BATCH)
    np.testing.assert_allclose(value, np.mean(softplus(-fake)), rtol=1e-6)
    np.testing.assert_allclose(gradient["a"], np.mean(-sigmoid(-fake) * b), rtol=1e-5)


@pytest.mark.slow
def test_no_level_waits_for_another_while_it_learns():
    objective = lapgan(model_of())
    players, others = (objective.init(key, BATCH) for key in (KEY, jax.random.key(5)))
    for level in range(3):
        mixed = {player: (players if player.endswith(str(level)) else others)[player] for player in players}
        for role in ("discriminator", "generator"):
            loss = objective.losses[f"{role}_{level}"]
            assert loss(mixed, KEY, BATCH, 0)[0] == loss(players, KEY, BATCH, 0)[0]


@pytest.mark.slow
def test_all_levels_move_in_one_step_each_from_weights_of_its_own():
    objective = lapgan(model_of(dropout=0.5))
    assert list(objective.losses) == PLAYERS
    train = gx.trainer(objective, dict.fromkeys(PLAYERS, optax.sgd(0.1)))
    state = train.init(KEY, BATCH)
    assert sorted(state.variables) == sorted(PLAYERS)
    after, metrics = jax.jit(train.step)(state, BATCH)
    for player in PLAYERS:
        before, now = (optax.tree.norm(s.variables[player]["params"]) for s in (state, after))
        assert before != now
        assert np.isfinite(metrics[f"{player}/loss"])
    assert {f"discriminator_{level}/accuracy" for level in range(3)} <= set(metrics)
    one, other = (state.variables[f"generator_{level}"]["params"]["Convolution_0"]["kernel"] for level in (0, 1))
    assert one.shape == other.shape
    assert np.abs(one - other).max() > 1e-2


@pytest.mark.slow
def test_a_sample_is_refined_from_what_the_coarser_levels_made():
    model = model_of(classes=3)
    objective = lapgan(model)
    players = objective.init(KEY, BATCH)
    label = jnp.array([0, 1, 2, 0])
    sample = objective.sample(players, KEY, 4, label=label)
    coarse = model.sample_levels(players, KEY, 4, label=label)[2]
    np.testing.assert_allclose(downsample(downsample(sample)), coarse, atol=1e-6)


def test_one_level_is_a_gan():
    model = model_of(levels=1)
    objective, alone = lapgan(model), gx.gan(model.pairs[0])
    assert list(objective.losses) == PLAYERS[:2]
    players = objective.init(KEY, BATCH)
    value, _ = objective.losses["generator_0"](players, KEY, BATCH, 0)
    assert value == alone.losses["generator"](model.at(players, 0), KEY, BATCH, 0)[0]
    assert objective.sample(players, KEY, 2).shape == (2, 8, 4, 1)


@pytest.mark.slow
def test_a_level_learns_what_belongs_to_its_low_pass():
    """Images c + c s, where s is a checkerboard and c = +-1: h is of the sign of its own l, in samples as in data."""
    c = jnp.where(jnp.arange(64) % 2, 1.0, -1.0)[:, None, None, None]
    signs = jnp.array([[0.5, -0.5], [-0.5, 0.5]])[..., None]
    data = Batch(c + c * signs)
    model = model_of(shape=(2, 2, 1), levels=2, channels=(8,), hidden=(32,))
    objective = lapgan(model)
    train = gx.trainer(objective, dict.fromkeys(objective.losses, optax.adam(3e-3, b1=0.5)))
    state = jax.jit(train.init)(KEY, data)
    state, _ = gx.loop_over_data(train, batch_size=64, chunk=1_500)(state, data, 1_500)
    given = (
        jax.random.normal(jax.random.key(8), (200, 1, 1, 1)) * 0.1
        + jnp.sign(jnp.arange(200) - 99.5)[:, None, None, None]
    )
    made = high_pass(model.pairs[0].sample(model.at(state.variables, 0), KEY, 200, coarse=given))
    aligned = (made * signs).sum((1, 2, 3)) * jnp.sign(given[:, 0, 0, 0])  # 1 in the data
    assert aligned.mean() == pytest.approx(1, abs=0.15)
    assert np.mean(aligned > 0.5) > 0.95


@pytest.mark.parametrize("shape", [(6, 4, 1), (8, 2, 1), (7, 7, 1)])
def test_images_that_the_levels_cannot_halve_are_refused(shape):
    objective = lapgan(model_of())
    wrong = Batch(jnp.zeros((2, *shape)))
    message = rf"3 levels need images whose height and width are multiples of 4, got \({shape[0]}, {shape[1]}\)"
    with pytest.raises(ValueError, match=message):
        objective.init(KEY, wrong)
    with pytest.raises(ValueError, match=message):
        objective.losses["generator_2"](objective.init(KEY, BATCH), KEY, wrong, 0)


def test_missing_labels_and_what_is_no_game_are_refused():
    objective = lapgan(model_of(classes=3))
    players = objective.init(KEY, BATCH)
    for player in PLAYERS:
        with pytest.raises(ValueError, match="conditional on one of 3 classes"):
            objective.losses[player](players, KEY, Batch(BATCH.x), 0)
    with pytest.raises(ValueError, match="conditional on one of 3 classes"):
        objective.sample(players, KEY, 2)
    with pytest.raises(ValueError, match="loss must be one of"):
        lapgan(model_of(), loss="saturating")
