"""DRAW against every number of a pass of two steps, oracle o15."""

import jax
import jax.numpy as jnp
import numpy as np

import genjax_models as gx
from genjax_models.estimators.attention import place_of
from genjax_models.types import Batch
from tests.estimators.test_autoregressive import EPS, IMAGE, WEIGHTS

X = jnp.asarray(IMAGE)[None, ..., None]
MODEL = gx.draw_model((3, 4, 1), 2, 2, 2, gx.bernoulli((3, 4, 1)), read_size=2, write_size=3)


def params():
    w = WEIGHTS
    lstm = lambda name, n: {
        "of_input": {"kernel": w[f"{name}_W"][:n], "bias": w[f"{name}_b"]},
        "of_hidden": w[f"{name}_W"][n:],
    }
    layer = lambda name: {"kernel": w[f"{name}_W"], "bias": w[f"{name}_b"]}
    return {
        "params": {
            "encoder": lstm("enc", 10),
            "decoder": lstm("dec", 2),
            "posterior": layer("q"),
            "patch": layer("patch"),
            "read_window": layer("read"),
            "write_window": layer("write"),
            "logits": w["canvas"].ravel(),
        }
    }
