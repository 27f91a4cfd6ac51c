"""Samplers that a kernel judges: the squared MMD to held-out images, and its permutation test."""

import math

import jax
import jax.numpy as jnp

import genjax_models as gx
from genjax_models.estimators.kernels import Kernel
from genjax_models.estimators.two_sample_test import mmd_squared_and_variance
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.samples import SampleFigure
from genjax_models.figures import pictures
from genjax_models.models import AutoencoderModel
from genjax_models.runs.protocol import System
from genjax_models.types import Batch

_TEST_POINTS = 1_000  # of each sample, in the permutation test


def judged_by_mmd(system: System, kernel: Kernel) -> System:
    """Returns the system with "mmd_squared_unbiased" as its first held-out figure.

    The figures of samples have the p-value of the MMD's permutation test. For their Parzen window, Li, Swersky and
    Zemel (2015) report 147 +- 2 nats of a GMMN, and 282 +- 2 of a GMMN on codes, after 55,000 images of MNIST.

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
        p_value = float(gx.two_sample_test(jax.random.key(1), samples, test, kernel).p_value)
        figure = SampleFigure(Estimate(p_value, math.nan, len(samples), len(test)))
        return facts._replace(samples={**facts.samples, "mmd_permutation_p_value": figure}), shown

    return system._replace(evaluate=evaluate, figures=figures)


def with_reconstructions(system: System, model: AutoencoderModel) -> System:
    """Returns the system with reconstructions by the player "autoencoder": their squared error, and a picture."""

    def evaluate(players, key, batch):
        error = gx.held_out_error(model, players["autoencoder"], key, batch.x)
        return system.evaluate(players, key, batch) | error

    def reconstruct(players, batch):
        return model.generate(players["autoencoder"], model.encode(players["autoencoder"], batch.x))

    def figures(players, data):
        facts, shown = system.figures(players, data)
        x = data.test.x[:10]
        if pictures.drawable(x.shape[1:]):
            decoded = jax.jit(reconstruct)(players, Batch(x))
            shown.append(pictures.reconstructions(x, decoded, "g(f(x)), their codes decoded", data.range))
        return facts, shown

    return system._replace(evaluate=evaluate, figures=figures, reconstruct=reconstruct)
