"""Pairs of a pyramid: what a refining one makes and sees, and images that come about coarse to fine."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators.laplacian_pyramid import downsample, gaussian_pyramid, high_pass, low_pass, upsample
from genjax_models.models.laplacian_pyramid_gan import laplacian_pyramid_gan, refining_pair
from genjax_models.networks.refining import RefiningGenerator
from genjax_models.types import Batch

KEY = jax.random.key(0)
BATCH = Batch(jax.random.uniform(jax.random.key(1), (6, 8, 4, 1)), jnp.arange(6) % 3)
SHAPES = (8, 4, 1), (4, 2, 1), (2, 1, 1)


def pair_at(level, classes=None):
    height, width, channels = shape = SHAPES[level]
    if level == len(SHAPES) - 1:
        return gx.adversarial_pair(gx.MLPGenerator(shape, (8,)), gx.MLPDiscriminator(shape, (8,)), 3, classes=classes)
    discriminator = gx.MLPDiscriminator((height, width, 2 * channels), (8,))
    return refining_pair(RefiningGenerator(shape, (4,)), discriminator, classes=classes)


def model_of(classes=None):
    return laplacian_pyramid_gan([pair_at(level, classes) for level in range(3)])


def players_of(model):
    images = gaussian_pyramid(BATCH.x, 3)
    players = {}
    for level, pair in enumerate(model.pairs):
        players |= model.named(pair.init(jax.random.fold_in(KEY, level), BATCH._replace(x=images[level])), level)
    return players


class Emits(nn.Module):
    """What it was given, by channel: l and noise to a generator, x and l to a discriminator."""

    channel: int

    @nn.compact
    def __call__(self, x):
        seen = x[..., self.channel : self.channel + 1]
        return self.param("by", nn.initializers.ones, ()) * seen


@pytest.mark.slow
def test_a_fake_has_the_low_pass_of_the_real_image_in_its_place():
    pair = pair_at(0)
    players = pair.init(KEY, BATCH)
    fake, _ = pair.generate(players, KEY, BATCH)
    np.testing.assert_allclose(low_pass(fake), low_pass(BATCH.x), atol=1e-6)
    assert np.abs(high_pass(fake)).max() > 0.01


def test_noise_is_one_plane_of_its_own_for_each_image():
    pair = refining_pair(Emits(1), Emits(0))
    players = pair.init(KEY, BATCH)
    fake, _ = pair.generate(players, KEY, BATCH._replace(x=jnp.zeros((2_000, 8, 4, 1))))
    (made,) = (fake.reshape(2_000, 32),)  # high passes of N(0, I): 3/4 of the variance is left
    covariance = np.cov(made, rowvar=False)
    np.testing.assert_allclose(np.diag(covariance), 0.75, atol=5 * 0.75 * np.sqrt(2 / 2_000))
    assert np.abs(np.corrcoef(made[:-1, 0], made[1:, 0])[0, 1]) < 5 / np.sqrt(2_000)


@pytest.mark.parametrize(("channel", "expected"), [(0, lambda x: x), (1, low_pass)])
def test_the_discriminator_sees_the_image_and_its_low_pass(channel, expected):
    pair = refining_pair(Emits(1), Emits(channel))
    logits, _ = pair.discriminate(pair.init(KEY, BATCH), KEY, BATCH)
    np.testing.assert_allclose(logits, expected(BATCH.x), rtol=1e-6)


def test_the_generator_is_given_the_low_pass():
    class KeepsLow(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.param("none", nn.initializers.zeros, ())
            ramp = jnp.arange(8.0)[:, None, None]  # so that a high pass is left
            return ramp * x[..., :1]

    pair = refining_pair(KeepsLow(), Emits(0))
    players = pair.init(KEY, BATCH)
    low = low_pass(BATCH.x)
    fake, _ = pair.generate(players, KEY, BATCH)
    np.testing.assert_allclose(fake, low + high_pass(jnp.arange(8.0)[:, None, None] * low), rtol=1e-5)
    drawn = pair.sample(players, KEY, 6, coarse=downsample(BATCH.x))
    np.testing.assert_allclose(drawn, fake, rtol=1e-5)


@pytest.mark.slow
def test_images_come_about_coarse_to_fine():
    model = model_of()
    players = players_of(model)
    fine, middle, coarse = model.sample_levels(players, KEY, 5)
    assert [image.shape for image in (fine, middle, coarse)] == [(5, *shape) for shape in SHAPES]
    np.testing.assert_allclose(downsample(fine), middle, atol=1e-6)
    np.testing.assert_allclose(downsample(middle), coarse, atol=1e-6)
    np.testing.assert_array_equal(model.sample(players, KEY, 5), fine)
    other = {**players, "generator_1": model.pairs[1].init(jax.random.key(9), Batch(BATCH.x[:, ::2, ::2]))["generator"]}
    again = model.sample_levels(other, KEY, 5)
    np.testing.assert_array_equal(again[2], coarse)
    for one, two in zip(again[:2], (fine, middle), strict=True):
        assert np.abs(one - two).max() > 1e-4
    assert np.abs(fine - upsample(middle)).max() > 1e-3


def test_levels_draw_noise_of_their_own():
    """Two levels of one shape and one key would be alike."""
    pair = refining_pair(Emits(1), Emits(0))
    coarsest = gx.adversarial_pair(gx.MLPGenerator((2, 1, 1), ()), gx.MLPDiscriminator((2, 1, 1), ()), 3)
    model = laplacian_pyramid_gan([pair, coarsest])
    players = {"generator_0": {"params": {"by": jnp.float32(1)}}, "discriminator_0": {}}
    players |= model.named(coarsest.init(KEY, Batch(jnp.zeros((1, 2, 1, 1)))), 1)
    fine, coarse = model.sample_levels(players, KEY, 1)
    same_key = jax.random.normal(KEY, (1, 4, 2, 1))
    assert np.abs(fine - upsample(coarse) - high_pass(same_key)).max() > 1e-3


@pytest.mark.slow
def test_labels_reach_all_players_and_may_not_be_missing():
    model = model_of(classes=3)
    players = players_of(model)
    first, last = (model.sample_levels(players, KEY, 4, label=label) for label in (0, jnp.full(4, 2)))
    for one, other in zip(first, last, strict=True):
        assert np.abs(one - other).max() > 1e-4
    coarsest = jnp.zeros((4, 2, 1, 1))
    first, last = (model.refine(players, KEY, coarsest, label=label) for label in (0, jnp.full(4, 2)))
    for one, other in zip(first[:2], last[:2], strict=True):
        assert np.abs(one - other).max() > 1e-4
    pair, mine = model.pairs[0], model.at(players, 0)
    for of in (pair.generate, pair.discriminate):
        one, other = (of(mine, KEY, BATCH._replace(label=jnp.full(6, label)))[0] for label in (0, 2))
        assert np.abs(one - other).max() > 1e-5
    for refused in (
        lambda: model.sample(players, KEY, 4),
        lambda: pair.generate(mine, KEY, Batch(BATCH.x)),
        lambda: pair.discriminate(mine, KEY, Batch(BATCH.x)),
        lambda: pair.sample(mine, KEY, 6, coarse=BATCH.x[:, ::2, ::2]),
    ):
        with pytest.raises(ValueError, match="conditional on one of 3 classes"):
            refused()


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="at least one level, got no pairs"):
        laplacian_pyramid_gan([])
    pair = refining_pair(RefiningGenerator((8, 4, 2), ()), Emits(0))
    with pytest.raises(ValueError, match=r"shape \(8, 4, 3\), got an array of shape \(1, 8, 4, 2\)"):
        pair.init(KEY, BATCH)

    class Smaller(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x[:, ::2, :, :1]

    with pytest.raises(ValueError, match=r"must make images of shape \(8, 4, 1\), got \(4, 4, 1\)"):
        refining_pair(Smaller(), Emits(0)).init(KEY, BATCH)
