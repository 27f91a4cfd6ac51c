"""What the report of a mixture of density models knows."""

import jax
import jax.numpy as jnp
import numpy as np

import genjax_models as gx
from experiments.made import Config
from genjax_models.data import Split
from genjax_models.evaluation.findings import findings
from genjax_models.systems.density import density_system, with_draws_by_component
from genjax_models.systems.groups import Likelihood
from genjax_models.systems.settings import Data


def test_a_component_of_no_weight_is_a_finding_of_vectors_too():
    splits = [np.random.RandomState(i).rand(20, 9).round().astype(bool) for i in range(3)]
    data = gx.prepare(gx.from_splits(*map(Split, splits), range=(0, 1), overlap="report"))
    model = gx.mixture_model([gx.bernoulli((9,))] * 2)
    config = Config(data=Data(shape=(9,)), likelihood=Likelihood("bernoulli", binarise="none"))
    system = with_draws_by_component(config, density_system(config, gx.maximum_likelihood(model), model))
    players = system.objective.init(jax.random.key(0), data.example)
    facts, _ = system.figures(players, data)
    assert findings([], facts) == []
    players["model"]["params"]["logits"] = jnp.array([0.0, 9.0])
    facts, _ = system.figures(players, data)
    assert findings([], facts) == ["Only 1 of 2 components has a weight of 0.01 or more: no other is used."]
