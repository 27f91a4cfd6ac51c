"""The networks of BigGAN: their blocks against plain layers, attention, the projection, and what they refuse."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.networks.attention import SelfAttention
from genjax_models.networks.biggan import BigGANDiscriminator, BigGANGenerator
from genjax_models.networks.convolution import convolve
from genjax_models.networks.precision import InBfloat16
from genjax_models.networks.projection import Projection
from genjax_models.networks.residual import ConvolutionOfMeans, DownBlock
from genjax_models.runs import checkpoints
from genjax_models.runs.shapes import state_shape

KEY = jax.random.key(0)
SHAPE, CLASSES = (8, 8, 1), 3
X = jnp.asarray(np.random.RandomState(1).normal(size=(4, *SHAPE)), jnp.float32)
Z = jnp.asarray(np.random.RandomState(2).normal(size=(4, 6)), jnp.float32)
LABEL = jnp.eye(CLASSES)[jnp.array([0, 1, 2, 1])]


def variables_of(network, *inputs):
    """Variables of this network, drawn by numpy: compiling `init` takes longer than the tests."""
    random = np.random.RandomState(0)
    shapes = jax.eval_shape(network.init, KEY, *inputs)
    return jax.tree.map(lambda leaf: jnp.asarray(0.5 + 0.5 * random.uniform(-1, 1, leaf.shape), leaf.dtype), shapes)


def generator(**options):
    return BigGANGenerator(SHAPE, **{"channels": (8, 8), "classes": CLASSES, "shared": 4, "chunk": 2} | options)


def discriminator(**options):
    return BigGANDiscriminator(SHAPE, **{"channels": (8, 8)} | options)


def test_means_of_a_convolution_are_one_strided_convolution():
    images = jnp.asarray(np.random.RandomState(3).normal(size=(2, 6, 4, 3)), jnp.float32)
    module = ConvolutionOfMeans(5)
    variables = variables_of(module, images)
    full = convolve(images, variables["params"]["kernel"])
    expected = np.asarray(full).reshape(2, 3, 2, 2, 2, 5).mean(axis=(2, 4)) + variables["params"]["bias"]
    np.testing.assert_allclose(module.apply(variables, images), expected, rtol=1e-4, atol=1e-5)


def test_attention_starts_as_the_identity_and_then_weighs_pooled_values():
    x = jnp.asarray(np.random.RandomState(3).normal(size=(2, 4, 2, 8)), jnp.float32)
    variables = variables_of(SelfAttention(), x)
    variables["params"]["gain"] = jnp.float32(0)
    np.testing.assert_array_equal(SelfAttention().apply(variables, x), x)
    variables["params"]["gain"] = jnp.float32(0.7)
    kernels = {name: np.asarray(variables["params"][name]["kernel"][0, 0]) for name in ("query", "key", "value", "out")}
    u = dict(zip(("query", "key", "value", "out"), range(4), strict=True))
    u = {name: variables["batch_stats"][f"SpectralNormalisation_{i}"]["u"] for name, i in u.items()}
    maps = {name: W / np.linalg.norm(W @ (u[name] / np.linalg.norm(u[name]))) for name, W in kernels.items()}
    pool = lambda h: h.reshape(2, 2, 2, 1, 2, -1).max(axis=(2, 4)).reshape(2, 2, -1)
    query, key, value = (np.asarray(x) @ maps[name] for name in ("query", "key", "value"))
    scores = np.exp(query.reshape(2, 8, -1) @ pool(key).swapaxes(1, 2))
    attended = scores / scores.sum(axis=-1, keepdims=True) @ pool(value)
    expected = x + 0.7 * (attended @ maps["out"]).reshape(x.shape)
    np.testing.assert_allclose(SelfAttention().apply(variables, x), expected, rtol=1e-4, atol=1e-5)


# y, x, and log p(y|x)/q(y|x) + log p(x)/q(x) for p(x|y) = N(mu_y, 1), mu = 1, -1, and q(x|y) = N(nu_y, 1), nu = .5, 0
LOGITS = [
    (0, -1.0, -1.073227332766454 + 0.198227332766454),
    (0, 0.0, 0.0644518547572237 - 0.4394518547572237),
    (0, 2.0, 0.33029465308724615 + 0.29470534691275385),
    (1, -1.0, 0.301772667233546 + 0.198227332766454),
    (1, 0.0, -0.0605481452427763 - 0.4394518547572237),
    (1, 2.0, -2.7947053469127536 + 0.29470534691275385),
]


def test_the_projection_holds_the_optimal_logit_of_two_gaussians():
    label, x, logits = zip(*LOGITS, strict=True)
    features = jnp.stack([jnp.array(x), jnp.ones(6)], axis=1)
    embedding = {"params": {"embedding": {"kernel": jnp.array([[0.5, -0.375], [-1.0, -0.5]])}}}
    got = Projection(spectral=False).apply(embedding, features, jnp.eye(2)[jnp.array(label)])
    np.testing.assert_allclose(got, logits, rtol=1e-5)


def test_the_discriminators_logit_is_its_marginal_part_and_the_projection():
    network = discriminator(attention=4)
    variables, apply = variables_of(network, X, LABEL), jax.jit(network.apply)
    by_class, halves, other = (
        apply(variables, X, label) - apply(variables, X) for label in (LABEL, (LABEL + LABEL[::-1]) / 2, LABEL[::-1])
    )
    assert np.abs(by_class).max() > 0.01
    np.testing.assert_allclose(halves, (by_class + other) / 2, rtol=1e-3, atol=1e-5)
    for options, features in (({"pooling": "mean"}, 1 / 4), ({}, 1)):  # 2 x 2 pixels are left
        logit = jax.jit(discriminator(attention=4, **options).apply)(variables, X)
        bias = variables["params"]["logit"]["bias"]
        np.testing.assert_allclose(logit - bias, features * (apply(variables, X) - bias), rtol=1e-4, atol=1e-5)


def test_classes_permuted_with_their_embeddings_give_the_same_samples():
    network = generator(attention=4)
    variables, apply = variables_of(network, Z, LABEL), jax.jit(network.apply)
    variables["params"] = jax.tree.map(lambda leaf: leaf - 0.5, variables["params"])  # or tanh is 1 everywhere
    images = apply(variables, Z, LABEL)
    assert images.shape == (4, *SHAPE)
    order = jnp.array([2, 0, 1])
    embedding = {"kernel": variables["params"]["embedding"]["kernel"][order]}
    permuted = {**variables, "params": {**variables["params"], "embedding": embedding}}
    np.testing.assert_allclose(apply(permuted, Z, LABEL[:, order]), images, rtol=1e-5, atol=1e-6)
    assert np.abs(apply(variables, Z, LABEL[:, order]) - images).max() > 1e-4


def test_each_level_reads_its_own_chunk_of_z():
    network = generator(classes=None)
    params = jax.eval_shape(network.init, KEY, Z)["params"]
    assert params["first"]["kernel"].shape == (2, 2 * 2 * 8)
    assert params["UpBlock_1"]["ConditionalBatchNorm_0"]["gain"]["kernel"].shape == (2, 8)
    params = jax.eval_shape(generator(chunk=None).init, KEY, Z, LABEL)["params"]
    assert params["first"]["kernel"].shape == (6, 2 * 2 * 8)
    assert params["UpBlock_1"]["ConditionalBatchNorm_0"]["gain"]["kernel"].shape == (4, 8)


@pytest.mark.slow
def test_200_steps_in_bfloat16_are_finite_and_a_restored_run_is_the_run_bit_for_bit(tmp_path):
    networks = (InBfloat16(network(attention=4)) for network in (generator, discriminator))
    objective = gx.gan(gx.adversarial_pair(*networks, 6, classes=CLASSES), loss="hinge", orthogonal=1e-4, translation=1)
    adam = optax.adam(2e-3, b1=0.0)
    train = gx.trainer(objective, dict.fromkeys(objective.losses, adam), average={"generator": 0.9})
    run = gx.loop_over_data(train, batch_size=4, chunk=100)
    data = gx.Batch(jnp.tanh(jnp.tile(X, (3, 1, 1, 1))), jnp.arange(12) % CLASSES)
    half, _ = run(jax.jit(train.init)(KEY, data), data)
    checkpoints.save(tmp_path, half, score=None, about={})
    ended, metrics = run(half, data)
    assert int(ended.step) == 200
    again, _ = run(checkpoints.restore(tmp_path, state_shape(train, SHAPE), "last"), data)
    without_key = lambda state: jax.tree.map(np.asarray, state._replace(key=None))
    jax.tree.map(np.testing.assert_array_equal, without_key(again), without_key(ended))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((without_key(ended), metrics)))
    assert {leaf.dtype for leaf in jax.tree.leaves(ended.variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("network", "inputs", "message"),
    [
        (generator(channels=(8, 8, 8, 8)), (Z, LABEL), "multiples of 16, got (8, 8)"),
        (generator(attention=16), (Z, LABEL), "one of [4, 8], got 16"),
        (generator(attention=4, channels=(4, 4)), (Z, LABEL), "attention needs at least 8 channels, got 4"),
        (generator(), (Z[:, :5], LABEL), "z must have chunk x (blocks + 1) = 2 x 3 dimensions, got 5"),
        (generator(), (Z,), "needs weights of 3 classes, got None"),
        (discriminator(attention=8), (X, LABEL), "one of [4, 2], got 8"),
        (discriminator(attention=1, channels=(8, 8, 8)), (X, LABEL), "even height and width, got height 1"),
        (discriminator(down=(True,)), (X, LABEL), "down must have one value per block, 2, got 1"),
        (discriminator(head="linear"), (X, LABEL), "head must be one of ('concat', 'projection'), got 'linear'"),
        (discriminator(channels=(8,), pooling="max"), (X,), "pooling must be one of ('sum', 'mean'), got 'max'"),
        (DownBlock(8), (X[:, :7],), "even height and width, got (7, 8)"),
        (SelfAttention(), (jnp.zeros((1, 7, 8, 8)),), "attention needs images of even height and width, got (7, 8)"),
    ],
)
def test_refusals(network, inputs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        jax.eval_shape(network.init, KEY, *inputs)
