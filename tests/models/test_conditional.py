"""Models of x given a class: what the networks see, what they refuse, what the label changes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.networks import ConvolutionalEncoder, ConvolutionalGenerator, MLPEncoder, MLPGenerator
from genjax_models.types import Batch

KEY = jax.random.key(0)
SHAPE, CLASSES, LATENT = (6, 5, 2), 3, 2
X = np.random.RandomState(0).uniform(size=(4, *SHAPE)).astype(np.float32)
LABEL = jnp.array([0, 2, 1, 1])


def model_of(kind, classes=CLASSES, hidden=(8,)):
    posterior, likelihood = gx.diagonal_gaussian(LATENT), gx.gaussian(SHAPE, 0.5)
    if kind == "mlp":
        encoder = MLPEncoder(SHAPE, posterior.outputs, hidden)
        generator = MLPGenerator(likelihood.outputs, hidden)
    else:
        encoder = ConvolutionalEncoder(SHAPE, posterior.outputs, (4,), hidden)
        generator = ConvolutionalGenerator(likelihood.outputs, (4,), hidden)
    return gx.latent_variable_model(encoder, posterior, generator, likelihood, classes=classes)


@pytest.mark.parametrize("kind", ["mlp", "convolutional"])
def test_the_label_of_an_example_changes_its_own_distributions_alone(kind):
    model = model_of(kind)
    variables = jax.jit(model.init)(KEY, Batch(X))
    z = jax.random.normal(KEY, (5, 4, LATENT))  # five samples of each: the label has no such axis
    other = LABEL.at[2].set(0)

    @jax.jit
    def seen(label):
        return model.posterior(variables, X, label).mean(), model.likelihood(variables, z, label).mean().swapaxes(0, 1)

    for one, two in zip(seen(LABEL), seen(other), strict=True):
        changed = np.any(np.asarray(one != two), axis=tuple(range(1, one.ndim)))
        np.testing.assert_array_equal(changed, [False, False, True, False])


def test_a_linear_generator_adds_a_column_for_the_class():
    """E[x | z, label] = W z + U[label] + b."""
    model = model_of("mlp", hidden=())
    variables = model.init(KEY, Batch(X))
    kernel, bias = (np.asarray(variables["params"]["generator"]["mean"][name]) for name in ("kernel", "bias"))
    z = np.random.RandomState(1).normal(size=(4, LATENT)).astype(np.float32)
    expected = z @ kernel[:LATENT] + kernel[LATENT:][LABEL] + bias
    np.testing.assert_allclose(model.generate(variables, z, LABEL), expected.reshape(4, *SHAPE), atol=1e-5)


def test_images_take_the_class_as_constant_planes():
    model = model_of("convolutional")
    variables = jax.eval_shape(model.init, KEY, Batch(X))
    assert variables["params"]["encoder"]["Conv_0"]["kernel"].shape[2] == SHAPE[2] + CLASSES


def test_samples_are_asked_for_by_label():
    model = model_of("mlp")
    variables = model.init(KEY, Batch(X))
    draw = jax.jit(lambda label: model.sample(variables, KEY, 4, label=label, mean=True))
    same, mixed = draw(jnp.array(2)), draw(LABEL)
    differs = np.any(np.asarray(same != mixed), axis=(1, 2, 3))
    np.testing.assert_array_equal(differs, LABEL != 2)


@pytest.mark.parametrize("ask", ["posterior", "likelihood", "sample"])
def test_a_missing_label_is_one_line(ask):
    model = model_of("mlp")
    variables = model.init(KEY, Batch(X))
    arguments = {"posterior": (X,), "likelihood": (jnp.zeros((4, LATENT)),), "sample": (KEY, 4)}[ask]
    with pytest.raises(ValueError, match=r"^a model conditional on one of 3 classes needs a label per example"):
        getattr(model, ask)(variables, *arguments)


def test_a_model_without_classes_reads_no_label():
    model = model_of("mlp", classes=None)
    variables = model.init(KEY, Batch(X, LABEL))
    np.testing.assert_array_equal(model.posterior(variables, X, LABEL).mean(), model.posterior(variables, X).mean())


@pytest.mark.parametrize("estimate", [gx.held_out_bound, partial(gx.negative_log_likelihood, num_samples=50)])
def test_held_out_figures_are_given_the_label(estimate):
    model = model_of("mlp")
    variables = model.init(KEY, Batch(X))
    compiled = jax.jit(lambda label: estimate(model, variables, KEY, X, label=label))
    right, wrong = compiled(LABEL), compiled(LABEL.at[2].set(0))
    name = "bound" if "bound" in right else "negative_log_likelihood"
    np.testing.assert_array_equal(right[name] != wrong[name], [False, False, True, False])
    with pytest.raises(ValueError, match="needs a label"):
        estimate(model, variables, KEY, X)
