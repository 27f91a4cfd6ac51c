"""Samplers that a kernel judges: the squared MMD to held-out images, and its permutation test."""

import jax
import jax.numpy as jnp

import genjax_models as gx
from genjax_models.estimators.kernels import Kernel
from genjax_models.estimators.two_sample_test import mmd_squared_and_variance
from genjax_models.figures import pictures
from genjax_models.models import AutoencoderModel
from genjax_models.runs.protocol import System

_TEST_POINTS = 1_000  # of each sample, in the permutation test


def judged_by_mmd(system: System, kernel: Kernel) -> System:
    """Returns the system with "mmd_squared_unbiased" as its first held-out figure.

    The picture of nearest training examples states the permutation test of the MMD, and the Parzen windows of Li,
    Swersky and Zemel (2015).

    Args:
      system: from `sampler_system`, with `block=None`.
      kernel: of images.
    """

    def evaluate(players, key, batch):
        samples = system.draw(players, key, len(batch.x))
        squared, variance = mmd_squared_and_variance(batch.x, samples, kernel)
        figures = {"mmd_squared_unbiased": squared, "mmd_squared_unbiased_se": jnp.sqrt(variance)}
        return figures | system.evaluate(players, key, batch)

    def figures(players, data):
        facts, shown = system.figures(players, data)
        if not shown:
            return facts, shown
        test = data.test.x[:_TEST_POINTS]
        samples = jax.jit(lambda players: system.draw(players, jax.random.key(0), len(test)))(players)
        p_value = gx.two_sample_test(jax.random.key(1), samples, test, kernel).p_value
        (neighbours,) = shown
        caption = (
            f"{neighbours.caption} The permutation test of the MMD, {len(test):,} of each, has p = {p_value:.3f}. Li"
            " et al. report Parzen windows on 10,000 samples of 147 +- 2 nats for a GMMN, and 282 +- 2 for a GMMN on"
            " codes, after 55,000 training images of MNIST."
        )
        return facts, [neighbours._replace(caption=caption)]

    return system._replace(evaluate=evaluate, figures=figures)


def with_reconstructions(system: System, model: AutoencoderModel) -> System:
    """Returns the system with the squared error of the player "autoencoder", and a picture of its reconstructions."""

    def evaluate(players, key, batch):
        error = gx.held_out_error(model, players["autoencoder"], key, batch.x)
        return system.evaluate(players, key, batch) | error

    def figures(players, data):
        facts, shown = system.figures(players, data)
        x = data.test.x[:10]
        if pictures.drawable(x.shape[1:]):
            variables = players["autoencoder"]
            decoded = jax.jit(lambda x: model.generate(variables, model.encode(variables, x)))(x)
            shown.append(pictures.reconstructions(x, decoded, "g(f(x)), their codes decoded", data.range))
        return facts, shown

    return system._replace(evaluate=evaluate, figures=figures)
