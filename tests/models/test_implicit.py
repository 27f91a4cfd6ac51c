"""Draws of an implicit model: its noise, its labels, its batch statistics."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.models.implicit import implicit_model
from genjax_models.types import Batch
from tests.statistics import assert_mean

KEY = jax.random.key(0)
BATCH = Batch(jnp.zeros((1, 3, 2)))


class Normalised(nn.Module):
    """z, normalised by the batch while it learns, as x."""

    @nn.compact
    def __call__(self, z):
        averages = not self.is_mutable_collection("batch_stats")
        return nn.BatchNorm(use_running_average=averages, momentum=0.9)(z)


@pytest.mark.parametrize(("noise", "variance", "fourth"), [("normal", 1, 3), ("uniform", 1 / 3, 1 / 5)])
def test_noise_has_the_moments_of_its_distribution(noise, variance, fourth):
    z = implicit_model(gx.MLPGenerator((3, 2), ()), 10, noise=noise).noise(KEY, 20_000)
    assert z.shape == (20_000, 10)
    for power, expected in ((1, 0), (2, variance), (4, fourth)):
        assert_mean(z**power, np.full(10, expected))
    assert (np.abs(z).max() <= 1) == (noise == "uniform")


def test_a_sample_is_the_generator_at_the_noise_of_its_key():
    model = implicit_model(gx.MLPGenerator((3, 2), (8,)), 4, noise="uniform")
    variables = model.init(KEY, BATCH)
    drawn, _ = model.draw(variables, KEY, 5)
    np.testing.assert_array_equal(model.sample(variables, KEY, 5), model.generate(variables, model.noise(KEY, 5)))
    np.testing.assert_array_equal(drawn, model.sample(variables, KEY, 5))


def test_batch_statistics_move_while_it_learns_and_serve_while_it_is_sampled():
    model = implicit_model(Normalised(), 2)
    variables = model.init(KEY, Batch(jnp.zeros((1, 2))))
    x, moved = model.draw(variables, KEY, 100)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    z = model.noise(KEY, 100)
    np.testing.assert_allclose(moved["batch_stats"]["BatchNorm_0"]["mean"], 0.1 * z.mean(0), rtol=1e-5)
    assert np.all(moved["params"]["BatchNorm_0"]["scale"] == variables["params"]["BatchNorm_0"]["scale"])
    np.testing.assert_allclose(model.sample(variables, KEY, 100), z, rtol=1e-4)  # averages are 0 and 1 as yet


def test_labels_reach_a_conditional_generator():
    model = implicit_model(gx.MLPGenerator((3, 2), (8,)), 4, classes=3)
    variables = model.init(KEY, BATCH)
    of_one, of_each = (model.sample(variables, KEY, 5, label=label) for label in (1, jnp.full(5, 1)))
    np.testing.assert_array_equal(of_one, of_each)
    assert np.abs(of_one - model.sample(variables, KEY, 5, label=2)).min() > 1e-6
    with pytest.raises(ValueError, match="conditional on one of 3 classes"):
        model.sample(variables, KEY, 5)


def test_what_cannot_generate_the_data_is_refused():
    with pytest.raises(ValueError, match=r"noise must be one of \('normal', 'uniform'\), got 'gaussian'"):
        implicit_model(gx.MLPGenerator((3, 2), ()), 4, noise="gaussian")
    with pytest.raises(ValueError, match=r"must make examples of shape \(3, 2\), got \(6,\)"):
        implicit_model(gx.MLPGenerator((6,), ()), 4).init(KEY, BATCH)


@pytest.mark.parametrize(
    ("threshold", "variance"),
    [(2.0, 0.7737413035499232), (1.0, 0.29112509477279314), (0.5, 0.08058915460081162), (0.04, 0.0005332195642271387)],
)
def test_truncated_noise_is_drawn_again_neither_clipped_nor_scaled(threshold, variance):
    """Clipping has the variances .921, .516, .185, .00157; scaling threshold^2."""
    z = implicit_model(gx.MLPGenerator((3, 2), ()), 10).noise(KEY, 20_000, threshold)
    assert np.abs(z).max() < threshold
    assert_mean(z / threshold, np.zeros(10))
    assert_mean((z / threshold) ** 2, np.full(10, variance / threshold**2))


def test_truncation_reaches_samples_and_is_refused_where_it_has_no_meaning():
    model = implicit_model(gx.MLPGenerator((3, 2), (8,)), 4)
    variables = model.init(KEY, BATCH)
    expected = model.generate(variables, model.noise(KEY, 5, 0.5))
    np.testing.assert_array_equal(model.sample(variables, KEY, 5, truncation=0.5), expected)
    with pytest.raises(ValueError, match=r"truncation must be above 0, got 0\.0"):
        model.noise(KEY, 5, 0.0)
    with pytest.raises(ValueError, match="truncation needs noise \"normal\", got 'uniform'"):
        implicit_model(gx.MLPGenerator((3, 2), (8,)), 4, noise="uniform").noise(KEY, 5, 0.5)
