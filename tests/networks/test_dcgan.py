"""Networks of the deep convolutional GAN: sizes, where they normalise, how they start, and what a key drops."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax_models.estimators.adversarial import r1_penalty, wasserstein_gradient_penalty
from genjax_models.models.adversarial import adversarial_pair
from genjax_models.networks import convolution
from genjax_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genjax_models.objectives.gan import gan
from genjax_models.training import trainer
from genjax_models.types import Batch

KEY = jax.random.key(0)
SHAPE = (8, 4, 2)
X = jax.random.normal(KEY, (6, *SHAPE))
Z = jax.random.normal(KEY, (6, 3))
CLASSES = jnp.eye(3)[jnp.arange(6) % 3]


def generator(**options):
    return DCGANGenerator(SHAPE, (6, 4), **options)


def discriminator(**options):
    return DCGANDiscriminator(SHAPE, (4, 6), **options)


def sizes(module, given, *, of):
    """Shapes of what passes layers whose name has `of` in it."""
    _, seen = jax.eval_shape(
        lambda: module.init_with_output(KEY, given, capture_intermediates=lambda m, _: of in (m.name or ""))
    )
    return sorted(leaf.shape[1:3] for leaf in jax.tree.leaves(seen["intermediates"]))


@pytest.mark.parametrize(
    ("size", "levels", "between"),
    [(28, 2, [(7, 7), (14, 14)]), (32, 3, [(4, 4), (8, 8), (16, 16)]), (64, 4, [(4, 4), (8, 8), (16, 16), (32, 32)])],
)
def test_images_of_28_32_and_64_pixels_are_doubled_and_halved(size, levels, between):
    shape = (size, size, 3)
    channels = tuple(range(2, levels + 2))
    makes, judges = DCGANGenerator(shape, channels), DCGANDiscriminator(shape, channels)
    z, x = jnp.zeros((2, 3, 5)), jnp.zeros((2, 3, *shape))
    assert jax.eval_shape(lambda: makes.init_with_output(KEY, z)[0]).shape == x.shape
    assert jax.eval_shape(lambda: judges.init_with_output(KEY, x)[0]).shape == (2, 3)
    assert sizes(makes, z, of="BatchNorm") == between
    assert sizes(judges, x, of="Convolution") == between


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((28, 28, 1), (8, 4, 2), r"3 levels need images whose height and width are multiples of 8, got \(28, 28\)"),
        ((32, 30, 1), (8, 4), r"multiples of 4, got \(32, 30\)"),
        ((0, 8, 1), (8, 4), r"multiples of 4, got \(0, 8\)"),
        ((28, 28), (8,), r"\(height, width, channels\), got \(28, 28\)"),
        ((28, 28, 1), (), r"at least one level, got channels=\(\)"),
    ],
)
def test_sizes_that_strides_cannot_make_are_refused(shape, channels, message):
    with pytest.raises(ValueError, match=message):
        DCGANGenerator(shape, channels).init(KEY, Z)
    with pytest.raises(ValueError, match=message):
        DCGANDiscriminator(shape, channels).init(KEY, jnp.zeros((2, *shape)))


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match=r"must be one of \('batch', 'spectral', None\), got 'layer'"):
        discriminator(normalisation="layer").init(KEY, X)


def test_batch_normalisation_is_neither_at_the_output_nor_at_the_input_and_has_no_bias_before_it():
    shapes = lambda module, given: jax.tree.map(lambda leaf: leaf.shape, jax.eval_shape(module.init, KEY, given))
    made, judged = shapes(generator(), Z), shapes(discriminator(), X)
    assert {name: set(layer) for name, layer in made["params"].items()} == {
        "Dense_0": {"kernel"},
        "BatchNorm_0": {"scale", "bias"},
        "TransposedConvolution_0": {"kernel"},
        "BatchNorm_1": {"scale", "bias"},
        "image": {"kernel", "bias"},
    }
    assert {name: set(layer) for name, layer in judged["params"].items()} == {
        "Convolution_0": {"kernel", "bias"},
        "Convolution_1": {"kernel"},
        "BatchNorm_0": {"scale", "bias"},
        "logit": {"kernel", "bias"},
    }
    assert made["batch_stats"] == {
        "BatchNorm_0": {"mean": (6,), "var": (6,)},
        "BatchNorm_1": {"mean": (4,), "var": (4,)},
    }
    assert judged["batch_stats"] == {"BatchNorm_0": {"mean": (6,), "var": (6,)}}


@pytest.mark.slow
def test_weights_start_as_radford_and_others_have_it():
    wide = jax.jit(DCGANGenerator((8, 8, 3), (256, 256)).init)(KEY, jnp.zeros((1, 100)))["params"]
    for name in ("Dense_0", "TransposedConvolution_0", "image"):
        kernel = wide[name]["kernel"]
        assert abs(kernel.std() / 0.02 - 1) < 5 / np.sqrt(2 * kernel.size)
    scale = wide["BatchNorm_0"]["scale"]
    assert abs(scale.mean() - 1) < 5 * 0.02 / np.sqrt(scale.size)
    assert abs(scale.std() / 0.02 - 1) < 5 / np.sqrt(2 * scale.size)
    judges = jax.jit(DCGANDiscriminator((8, 8, 3), (64, 128)).init)(KEY, jnp.zeros((1, 8, 8, 3)))["params"]
    for name in ("Convolution_0", "Convolution_1", "logit"):
        kernel = judges[name]["kernel"]
        assert abs(kernel.std() / 0.02 - 1) < 5 / np.sqrt(2 * kernel.size)
    biases = [layer["bias"] for player in (wide, judges) for layer in player.values() if "bias" in layer]
    assert all(np.all(bias == 0) for bias in biases)


def test_the_generator_ends_in_tanh_and_slopes_are_a_fifth_below_zero():
    module = generator()
    variables = module.init(KEY, Z)
    images = module.apply(jax.tree.map(lambda leaf: leaf + 0.5, variables), 30 * Z)
    assert 0.9 < np.abs(images).max() <= 1
    one_weight = jnp.zeros((4, 4, 1, 1)).at[1, 1].set(1.0)  # the first pixel, behind one of padding
    params = {
        "Convolution_0": {"kernel": one_weight, "bias": jnp.zeros(1)},
        "logit": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)},
    }
    module = DCGANDiscriminator((2, 2, 1), (1,), normalisation=None)
    logits = module.apply({"params": params}, jnp.array([-1.0, 2.0]).reshape(2, 1, 1, 1) * jnp.ones((2, 2, 2, 1)))
    np.testing.assert_allclose(logits, [-0.2, 2.0], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("module", "given"), [(generator(), Z), (discriminator(), X)], ids=["generator", "judge"])
def test_the_batch_normalises_while_it_learns_and_running_averages_do_elsewhere(module, given):
    variables = module.init(KEY, given)
    few, all_of_them = module.apply(variables, given[:2]), module.apply(variables, given)
    np.testing.assert_allclose(all_of_them[:2], few, rtol=1e-5, atol=1e-7)
    outputs, moved = module.apply(variables, given, mutable=["batch_stats"])
    others, _ = module.apply(variables, given.at[2:].mul(3), mutable=["batch_stats"])
    assert np.abs(outputs[:2] - others[:2]).max() > 1e-6
    for name, before in variables["batch_stats"].items():
        assert np.abs(moved["batch_stats"][name]["mean"] - before["mean"]).max() > 0
        assert np.all(moved["batch_stats"][name]["var"] < before["var"])  # a tenth of the way from 1 to nearly 0


@pytest.mark.parametrize(("module", "given"), [(generator(), Z), (discriminator(), X)], ids=["generator", "judge"])
def test_the_condition_is_seen(module, given):
    variables = module.init(KEY, given, CLASSES)
    one, other = (module.apply(variables, given, c) for c in (CLASSES, jnp.roll(CLASSES, 1, axis=0)))
    assert np.abs(one - other).reshape(6, -1).max(1).min() > 1e-6


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_stays_while_the_generators_gradient_is_taken(dropout):
    pair = adversarial_pair(generator(), discriminator(dropout=dropout), 3)
    players = pair.init(KEY, Batch(X))

    @jax.jit
    def gradient(key):
        """What the generator learns from the discriminator about the same images."""
        return jax.grad(lambda x: pair.discriminate(players, key, Batch(x))[0].sum())(X)

    apart = np.abs(gradient(jax.random.key(1)) - gradient(jax.random.key(2))).max()
    assert (apart > 1e-5) == (dropout > 0)
    logits = [discriminator(dropout=dropout).apply(players["discriminator"], X) for _ in range(2)]
    np.testing.assert_array_equal(*logits)  # without a key none is left out


@pytest.mark.parametrize("normalisation", [pytest.param("spectral", marks=pytest.mark.slow), None])
def test_gradients_of_penalties_are_those_through_the_convolutions_of_lax(normalisation):
    module = discriminator(normalisation=normalisation)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, jax.jit(module.init)(KEY, X))

    def penalties(params):
        critic = lambda x: module.apply({**variables, "params": params}, x)
        return jnp.sum(r1_penalty(critic, X) + wasserstein_gradient_penalty(KEY, critic, X, X[::-1] ** 2))

    ours = jax.jit(jax.grad(penalties))(variables["params"])
    with mock.patch.object(convolution, "_convolve", convolution.native):
        theirs = jax.jit(jax.grad(lambda params: penalties(params)))(variables["params"])
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())
    assert np.abs(ours["Convolution_1"]["kernel"]).max() > 1e-3


@pytest.mark.slow
def test_spectral_norms_are_one_after_training_and_their_state_is_the_players():
    """W / |W u| against numpy's singular values, after steps in which W moved; power iterations moved u with it."""
    pair = adversarial_pair(generator(), discriminator(normalisation="spectral"), 3)
    train = trainer(gan(pair, loss="hinge"), dict.fromkeys(("discriminator", "generator"), optax.adam(2e-3)))
    state = first = train.init(KEY, Batch(jnp.tanh(X)))
    step = jax.jit(train.step)
    for _ in range(40):
        state, _ = step(state, Batch(jnp.tanh(X)))
    player, before = state.variables["discriminator"], first.variables["discriminator"]
    assert set(player["batch_stats"]) == {f"SpectralNormalisation_{i}" for i in range(3)}
    for i, layer in enumerate(("Convolution_0", "Convolution_1", "logit")):
        kernel = np.asarray(player["params"][layer]["kernel"])
        assert np.abs(kernel - before["params"][layer]["kernel"]).max() > 0.01
        matrix, u = kernel.reshape(-1, kernel.shape[-1]), player["batch_stats"][f"SpectralNormalisation_{i}"]["u"]
        largest = np.linalg.svd(matrix / np.linalg.norm(matrix @ u), compute_uv=False)[0]
        np.testing.assert_allclose(largest, 1, rtol=1e-2)
        if len(u) > 1:
            assert np.abs(u - before["batch_stats"][f"SpectralNormalisation_{i}"]["u"]).max() > 1e-3
