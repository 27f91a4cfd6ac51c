"""Statistics pooled over batches of samples, against numpy's and the exact expectation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.evaluation.standing_statistics import standing_statistics
from genjax_models.models.implicit import implicit_model
from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.types import Batch

KEY = jax.random.key(0)
WIDE = 4_000  # features, so that a mean over them is near its expectation


class Normalised(nn.Module):
    """N(0.7, 2) from a standard normal z, normalised twice, the second time behind spectral normalisation."""

    @nn.compact
    def __call__(self, z, condition=None):
        judging = not self.is_mutable_collection("batch_stats")
        h = nn.BatchNorm(judging, momentum=0.9)(0.7 + jnp.sqrt(2.0) * z)
        h = SpectralNormalisation(nn.Dense(2))(h[:, :2])
        return nn.BatchNorm(judging, momentum=0.5)(h)


def statistics(variables, layer):
    return variables["batch_stats"][layer]["mean"], variables["batch_stats"][layer]["var"]


def test_the_variance_is_of_all_examples_together():
    model = implicit_model(Normalised(), WIDE)
    variables = model.init(KEY, Batch(jnp.zeros((1, 2))))
    standing = jax.jit(lambda key: standing_statistics(model, variables, key, batches=16, batch_size=4))(KEY)
    mean, variance = statistics(standing, "BatchNorm_0")
    # 1.96875 = 2 (1 - 1 / 64); the mean of the batches' variances is 1.5. Bounds of 5 standard errors.
    assert np.mean(mean) == pytest.approx(0.7, abs=5 * np.sqrt(2 / 64 / WIDE))
    assert np.mean(variance) == pytest.approx(1.96875, abs=5 * 2 * np.sqrt(2 / 63 / WIDE))
    # The second layer sees batches normalised by themselves: mean 0, so the mean is the bias of the map.
    np.testing.assert_allclose(statistics(standing, "BatchNorm_1")[0], 0, atol=1e-5)
    np.testing.assert_array_equal(
        standing["batch_stats"]["SpectralNormalisation_0"]["u"],
        variables["batch_stats"]["SpectralNormalisation_0"]["u"],
    )
    truncated = standing_statistics(model, variables, KEY, batches=16, batch_size=4, truncation=0.5)
    assert np.mean(statistics(truncated, "BatchNorm_0")[1]) == pytest.approx(2 * 0.080589 * (63 / 64), rel=0.02)


def test_refusals():
    model = implicit_model(Normalised(), 3, classes=2)
    variables = model.init(KEY, Batch(jnp.zeros((1, 2))))
    with pytest.raises(ValueError, match="batches must be an integer of at least 1, got 0"):
        standing_statistics(model, variables, KEY, batches=0)
    plain = implicit_model(nn.Dense(2), 3)
    with pytest.raises(ValueError, match="need a generator with batch normalisation"):
        standing_statistics(plain, plain.init(KEY, Batch(jnp.zeros((1, 2)))), KEY, batches=2, batch_size=2)
