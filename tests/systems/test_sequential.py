"""What the report of a sequential run says of data that no particle explains."""

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments.vrnn import Config
from genjax_models.errors import InputError
from genjax_models.systems.groups import Likelihood
from genjax_models.systems.sequential import sequential_system


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_step_that_no_particle_explains_is_named_with_its_example(split):
    random = np.random.RandomState(0)
    splits = {
        name: [random.rand(4, 1).astype(np.float32) for _ in range(8)] for name in ("train", "validation", "test")
    }
    splits[split][3][2] = 1e30
    data = gx.prepare(gx.from_sequences(**splits, range=(0, 1e30)))
    model = gx.linear_gaussian_model(steps=4)
    config = Config(likelihood=Likelihood(family="gaussian"), particles=2)
    system = sequential_system(config, gx.sequential_vae(model, bound="fivo", num_particles=2), model)
    players = system.objective.init(jax.random.key(0), data.example)
    named = rf"^{split} split: all weights are zero, or one is NaN, at step 2 of example 3$"
    with pytest.raises(InputError, match=named):
        system.figures(players, data)
