"""Pictures of a conditional generator: which weights and which statistics draw each row."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.evaluation.standing_statistics import standing_statistics
from genjax_models.models.implicit import implicit_model
from genjax_models.runs.protocol import System
from genjax_models.systems import class_pictures
from genjax_models.types import Batch, TrainState

KEY, SHAPE = jax.random.key(0), (2, 2, 1)
BATCH = Batch(jnp.zeros((1, *SHAPE)))


class Normalised(nn.Module):
    """Images of a linear map of z and the class, normalised."""

    @nn.compact
    def __call__(self, z, condition):
        h = nn.Dense(4)(jnp.concatenate([z, condition], axis=-1))
        h = nn.BatchNorm(use_running_average=not self.is_mutable_collection("batch_stats"), momentum=0.9)(h)
        return jnp.tanh(h).reshape(-1, *SHAPE)


@pytest.mark.parametrize("averaged", [True, False])
def test_rows_of_statistics_have_the_last_weights_and_then_their_averages(averaged, monkeypatch):
    model = implicit_model(Normalised(), 3, classes=2)
    last, average = (model.init(jax.random.key(seed), BATCH) for seed in (1, 2))
    for variables, mean in ((last, 0.5), (average, -0.5)):
        variables["batch_stats"]["BatchNorm_0"]["mean"] = jnp.full(4, mean)
    system = System(None, None, None, None, None, None, model=model, range=(-1, 1))
    monkeypatch.setattr(class_pictures, "_grid", lambda rows, *_: {name: np.asarray(x) for name, x in rows.items()})
    averages = {"generator": average} if averaged else {}
    state = TrainState(jnp.int32(0), KEY, {"generator": last}, {}, averages)
    prepared = type("Prepared", (), {"test": BATCH})
    (picture,) = class_pictures.with_class_pictures(system, (1.0, 0.5)).state_figures(state, prepared)

    z, label = model.noise(KEY, 10, 0.5), jnp.arange(10) % 2
    best = average if averaged else last
    standing = standing_statistics(model, best, jax.random.key(1), truncation=0.5)
    expected = {
        "batch": model.generate_in_learning(last, KEY, z, label)[0],
        "running": model.generate(last, z, label),
        **({"averaged": model.generate(average, z, label)} if averaged else {}),
        "standing": model.generate(standing, z, label),
    }
    assert list(picture.png) == list(expected)
    for name, images in expected.items():
        np.testing.assert_allclose(picture.png[name], images, rtol=1e-4, atol=1e-5, err_msg=name)
    rows = list(expected.values())
    assert all(np.abs(a - b).max() > 0.01 for i, a in enumerate(rows) for b in rows[:i])
    assert ("with averaged weights" in picture.caption) == ("Averaged: " in picture.caption) == averaged
