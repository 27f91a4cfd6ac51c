"""Networks take and emit what they declare, for data of any shape and any leading axes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.networks import (
    ConvolutionalEncoder,
    ConvolutionalGenerator,
    EncoderGenerator,
    MLPEncoder,
    MLPGenerator,
    Output,
)

KEY = jax.random.key(0)
LATENT = 3
IMAGES = [(28, 28, 1), (32, 32, 3), (64, 64, 3), (15, 9, 2)]
SMALL = {"hidden": (8,)}
CONVOLUTIONS = {"hidden": (8,), "channels": (4, 5)}
FAMILIES = [
    *[pytest.param(MLPEncoder, MLPGenerator, SMALL, shape, id=f"mlp-{shape}") for shape in [*IMAGES, (7,), (1,)]],
    *[
        pytest.param(ConvolutionalEncoder, ConvolutionalGenerator, CONVOLUTIONS, shape, id=f"convolutional-{shape}")
        for shape in [*IMAGES, (1, 1, 1)]
    ],
]
ODD = (15, 9, 2)
ODD_GENERATORS = [
    pytest.param(MLPGenerator, SMALL, id="mlp"),
    pytest.param(ConvolutionalGenerator, CONVOLUTIONS, id="convolutional"),
]


def shapes_of(module, lead, shape):
    """What the module emits, without computing it, where it was initialised with a batch of one."""
    variables = jax.eval_shape(module.init, KEY, jnp.zeros((1, *shape)))
    outputs = jax.eval_shape(module.apply, variables, jnp.zeros((*lead, *shape)))
    return jax.tree.map(lambda output: output.shape, outputs)


def named_outputs(shape):
    """Of a generator with an image-shaped mean, one scale for each z, and one learned constant."""
    return {"mean": Output(shape), "raw_scale": Output(()), "constant": Output((), of_input=False)}


@pytest.mark.parametrize("lead", [(5,), (2, 5)])
@pytest.mark.parametrize(("encoder", "generator", "widths", "shape"), FAMILIES)
def test_outputs_have_the_declared_shapes(encoder, generator, widths, shape, lead):
    latent = {"mean": Output((LATENT,)), "raw_factor": Output((6,))}
    assert shapes_of(encoder(shape, (LATENT,), **widths), lead, shape) == (*lead, LATENT)
    assert shapes_of(encoder(shape, latent, **widths), lead, shape) == {
        "mean": (*lead, LATENT),
        "raw_factor": (*lead, 6),
    }
    assert shapes_of(generator(shape, **widths), lead, (LATENT,)) == (*lead, *shape)
    assert shapes_of(generator(named_outputs(shape), **widths), lead, (LATENT,)) == {
        "mean": (*lead, *shape),
        "raw_scale": lead,
        "constant": (),
    }


def random_variables(module, x):
    """Every parameter random, biases and constants too, so that nothing hides behind a zero."""
    random = np.random.RandomState(0)
    values = lambda leaf: np.asarray(0.3 * random.normal(size=leaf.shape), np.float32)
    return jax.tree.map(values, jax.eval_shape(module.init, KEY, x))


@pytest.mark.parametrize(("generator", "widths"), ODD_GENERATORS)
def test_sample_axes_lead_and_change_nothing(generator, widths):
    z = jax.random.normal(KEY, (2, 3, LATENT))
    module = generator(named_outputs(ODD), **widths)
    variables = random_variables(module, z)
    apply = jax.jit(module.apply)
    together, one = apply(variables, z), apply(variables, z[1, 2])
    for name, output in together.items():
        np.testing.assert_allclose(output if name == "constant" else output[1, 2], one[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("encoder", "widths"), [(MLPEncoder, SMALL), (ConvolutionalEncoder, CONVOLUTIONS)])
def test_an_encoder_sees_each_example_alone(encoder, widths):
    x = jax.random.normal(KEY, (2, 3, *ODD))
    module = encoder(ODD, (LATENT,), **widths)
    variables = random_variables(module, x)
    apply = jax.jit(module.apply)
    np.testing.assert_allclose(apply(variables, x)[1, 2], apply(variables, x[1, 2]), atol=1e-5)
    assert jnp.all(jnp.std(apply(variables, x), axis=(0, 1)) > 1e-3)


@pytest.mark.parametrize(("generator", "widths"), ODD_GENERATORS)
def test_every_number_depends_on_z_but_the_learned_constant(generator, widths):
    z = jax.random.normal(KEY, (6, LATENT))
    module = generator(named_outputs(ODD), **widths)
    variables = random_variables(module, z)
    outputs = jax.jit(module.apply)(variables, z)
    assert jnp.all(jnp.std(outputs["mean"], axis=0) > 1e-4)  # to the last row and column of an odd image
    assert jnp.std(outputs["raw_scale"]) > 1e-3
    np.testing.assert_array_equal(outputs["constant"], variables["params"]["constant"])
    gradient = jax.jit(jax.grad(lambda variables: jnp.sum(module.apply(variables, z)["constant"])))(variables)["params"]
    assert gradient["constant"] == 1
    assert not any(jnp.any(leaf) for leaf in jax.tree.leaves({**gradient, "constant": ()}))


def test_a_learned_constant_starts_at_zero():
    module = MLPGenerator({"constant": Output((2,), of_input=False)}, hidden=())
    assert jax.tree.map(jnp.sum, module.init(KEY, jnp.zeros((1, LATENT)))) == {"params": {"constant": 0}}


def test_named_outputs_share_no_last_layer():
    z = jax.random.normal(KEY, (6, LATENT))
    module = MLPGenerator({"mean": Output((4,)), "raw_scale": Output((4,))}, hidden=(8,))
    variables = random_variables(module, z)
    gradient = jax.jit(jax.grad(lambda variables: jnp.sum(module.apply(variables, z)["mean"])))(variables)["params"]
    assert jnp.any(gradient["mean"]["kernel"])
    assert not jnp.any(gradient["raw_scale"]["kernel"])


def test_an_mlp_without_hidden_layers_is_affine():
    x = jax.random.normal(KEY, (4, 2, 3))
    module = MLPEncoder((2, 3), (5,), hidden=())
    variables = random_variables(module, x)
    layer = variables["params"]["x"]
    np.testing.assert_allclose(
        module.apply(variables, x), x.reshape(4, 6) @ layer["kernel"] + layer["bias"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("encoder", [MLPEncoder, ConvolutionalEncoder])
@pytest.mark.parametrize("wrong", [(2, 15, 9), (15, 9, 3), (9, 15, 2), (9, 2)])
def test_fault_03_examples_of_another_shape_are_refused(encoder, wrong):
    module = encoder(ODD, (LATENT,))
    message = rf"takes examples of shape \(15, 9, 2\), got an array of shape \(4, {', '.join(map(str, wrong))}\)"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(module.init, KEY, jnp.zeros((4, *wrong)))


@pytest.mark.parametrize(
    ("module", "x", "message"),
    [
        (ConvolutionalEncoder((28, 28), (2,)), jnp.zeros((1, 28, 28)), r"\(height, width, channels\), got \(28, 28\)"),
        (ConvolutionalGenerator((7,)), jnp.zeros((1, 2)), "images of one height and width, got"),
        (
            ConvolutionalGenerator({"a": Output((4, 4, 1)), "b": Output((8, 8, 1))}),
            jnp.zeros((1, 2)),
            "images of one height and width, got",
        ),
        (ConvolutionalGenerator((8, 8, 1), channels=()), jnp.zeros((1, 2)), "channels"),
    ],
)
def test_what_is_no_image_is_refused_by_convolutions(module, x, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(module.init, KEY, x)


def test_images_beside_each_other_may_differ_in_channels():
    module = ConvolutionalGenerator({"a": Output((6, 5, 1)), "b": Output((6, 5, 3))}, **CONVOLUTIONS)
    assert shapes_of(module, (2,), (LATENT,)) == {"a": (2, 6, 5, 1), "b": (2, 6, 5, 3)}


def test_a_pair_is_one_tree_of_an_encoder_and_a_generator():
    pair = EncoderGenerator(MLPEncoder((4,), (LATENT,), hidden=()), MLPGenerator((4,), hidden=()))
    x, z = jnp.ones((2, 4)), jnp.ones((2, LATENT))
    variables = pair.init(KEY, x, z)
    assert set(variables["params"]) == {"encoder", "generator"}
    encoded, generated = pair.apply(variables, x, z)
    np.testing.assert_array_equal(encoded, pair.apply(variables, x, method="encode"))
    np.testing.assert_array_equal(generated, pair.apply(variables, z, method="generate"))
    encoder = {"params": variables["params"]["encoder"]}
    np.testing.assert_array_equal(encoded, MLPEncoder((4,), (LATENT,), hidden=()).apply(encoder, x))
