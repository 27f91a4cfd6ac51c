"""Models conditional on a function of the batch: an image, or factors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.models.condition import condition_of, drawn_for
from genjax_models.networks.translation import TranslatingGenerator
from genjax_models.objectives.matching import matching
from genjax_models.types import Batch

KEY = jax.random.key(0)
SHAPE, LATENT = (4, 8, 3), 2
random = np.random.RandomState(0)
X = random.uniform(size=(4, *SHAPE)).astype(np.float32)
FACTORS = random.normal(size=(4, 2)).astype(np.float32)
GREY = gx.Condition(lambda batch: batch.x.mean(axis=-1, keepdims=True), (4, 8, 1))
OF_FACTORS = gx.Condition(lambda batch: batch.factors, (2,))


def vae_of(condition):
    q, p = gx.diagonal_gaussian(LATENT), gx.gaussian(SHAPE, "global")
    encoder = gx.ConvolutionalEncoder(SHAPE, q.outputs, (4,), ())
    if condition is GREY:
        generator = TranslatingGenerator(p.outputs, (4, 4))
    else:
        generator = gx.ConvolutionalGenerator(p.outputs, (4,), ())
    return gx.latent_variable_model(encoder, q, generator, p, condition=condition)


@pytest.mark.parametrize("condition", [GREY, OF_FACTORS], ids=["image", "factors"])
def test_the_condition_of_an_example_changes_its_own_distributions_alone(condition):
    model, batch = vae_of(condition), Batch(X, factors=FACTORS)
    variables = jax.jit(model.init)(KEY, Batch(X))  # a run initialises from x alone
    z = jax.random.normal(KEY, (3, 4, LATENT))
    value = jnp.asarray(condition.of(batch))

    @jax.jit
    def seen(value):
        return model.posterior(variables, X, value).mean(), model.likelihood(variables, z, value).mean().swapaxes(0, 1)

    for one, two in zip(seen(value), seen(value.at[2].add(1.0)), strict=True):
        changed = np.any(np.asarray(one != two), axis=tuple(range(1, one.ndim)))
        np.testing.assert_array_equal(changed, [False, False, True, False])
    other = jax.jit(lambda: model.sample(variables, KEY, 5, label=value[0], mean=True))()
    assert other.shape == (5, *SHAPE)


def test_learning_reads_the_condition_from_the_batch():
    model, batch = vae_of(OF_FACTORS), Batch(X, factors=jnp.asarray(FACTORS))
    variables = jax.jit(model.init)(KEY, Batch(X))
    learned = model.learning(variables, KEY, batch)
    np.testing.assert_allclose(learned.posterior.mean(), model.posterior(variables, X, FACTORS).mean(), atol=1e-6)
    z = jnp.ones((4, LATENT))
    np.testing.assert_allclose(
        learned.likelihood(z).mean(), model.likelihood(variables, z, FACTORS).mean(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_fakes_are_judged_with_the_condition_of_the_real_image():
    """A condition that is a function of x would be another one of a fake."""
    generator = TranslatingGenerator(SHAPE, (4,))
    seen = []

    class Discriminator(gx.DCGANDiscriminator):
        def __call__(self, x, condition=None):
            seen.append((x, condition))
            return super().__call__(x, condition)

    pair = gx.adversarial_pair(generator, Discriminator(SHAPE, (4,), normalisation=None), LATENT, condition=GREY)
    players = pair.init(KEY, Batch(X))
    seen.clear()
    gx.gan(pair).losses["discriminator"](players, KEY, Batch(jnp.asarray(X)), 0)
    (real, condition), (fake, of_fake) = seen
    assert float(jnp.abs(real - fake).max()) > 0.1
    np.testing.assert_allclose(condition, X.mean(axis=-1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(of_fake, condition)
    assert pair.sample(players, KEY, 3, label=condition[0]).shape == (3, *SHAPE)


def test_bad_conditions_are_one_line():
    model = vae_of(OF_FACTORS)
    variables = jax.jit(model.init)(KEY, Batch(X))
    with pytest.raises(ValueError, match=r"^a model with a condition of shape \(2,\) needs one per example, got None$"):
        model.posterior(variables, X)
    with pytest.raises(ValueError, match=r"condition of shape \(2,\) needs one per example, got \(4, 3\)$"):
        model.posterior(variables, X, np.zeros((4, 3), np.float32))
    with pytest.raises(ValueError, match=r"^a model has `classes` or a `condition`, got 3 classes and a condition"):
        gx.models.implicit_model(gx.MLPGenerator(SHAPE), 2, classes=3, condition=OF_FACTORS)
    conditional = gx.models.implicit_model(gx.MLPGenerator(SHAPE), 2, condition=OF_FACTORS)
    with pytest.raises(ValueError, match="is conditional on another part of the batch"):
        matching(conditional, lambda x, y: (0.0, {}))


def test_weights_of_classes_stand_where_a_class_stands():
    given = condition_of(3)
    label = np.array([2, 0, 1, 1])
    np.testing.assert_array_equal(given.inputs(np.eye(3, dtype=np.float32)[label])[0], given.inputs(label)[0])
    between = np.array([0.25, 0.0, 0.75], np.float32)
    np.testing.assert_array_equal(drawn_for(given, between, 5), np.tile(between, (5, 1)))
    np.testing.assert_array_equal(drawn_for(given, 2, 5), np.full(5, 2))
    with pytest.raises(ValueError, match=r"must sum to 1 per example, got sums 0\.5 to 1"):
        given.inputs(np.array([between, between / 2, between]))
    with pytest.raises(ValueError, match=r"weights of classes must be \[n, 3\], got \(4, 2\)"):
        given.inputs(np.full((4, 2), 0.5))
