"""Descent in the space of densities arrives; a network may stay at one mode."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies import density_space
from experiments.studies.density_space import DensitySpace
from genjax_models.errors import InputError

OPTIONS = DensitySpace(starts=8, steps=300)


def test_the_value_is_the_divergence_of_jensen_and_shannon():
    p, q = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.0, 0.5, 0.5])
    np.testing.assert_allclose(density_space.divergence(p, p), 0, atol=1e-7)
    np.testing.assert_allclose(density_space.divergence(p, q), np.log(2) / 2, rtol=1e-6)
    density = density_space.density_of(jnp.array([8.0, 24.0]))
    np.testing.assert_allclose(density.sum(), 1, rtol=1e-6)


@pytest.mark.slow
def test_descent_on_densities_never_rises_and_arrives(capsys, tmp_path):
    results = density_space.measure(OPTIONS)
    values, density = results["on densities"]
    assert values.shape == (8, 301)
    assert (np.diff(values) < 1e-6).all()
    assert (values[:, -1] < 1e-5).all()
    np.testing.assert_allclose(density.sum(axis=1), 1, rtol=1e-5)
    assert (results["through a network"].divergence[:, -1] > 0.05).any()
    assert density_space.table(results).splitlines()[1].split()[2:5] == ["8", "of", "8"]
    assert len(density_space.picture(results).axes) == 3


@pytest.mark.parametrize("wrong", [{"starts": 0}, {"steps": 0}, {"density_rate": 0.0}, {"seed": -1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        dataclasses.replace(OPTIONS, **wrong)
