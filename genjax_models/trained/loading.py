"""Loads a trained model that the package ships, as `load_run` loads a run."""

import difflib
import hashlib
import io
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from genjax_models.errors import InputError
from genjax_models.runs.loading import LoadedRun
from genjax_models.runs.shapes import state_shape
from genjax_models.trained.released import RELEASED, Released
from genjax_models.types import TrainState, Variables


def pretrained(name: str) -> LoadedRun:
    """Returns a trained model that the package ships, as `load_run` returns a run.

    Parameters were stored as float16, and are float32 here. The state has the model's player alone: no optimizer, no
    discriminator and no encoder of a game.

    Args:
      name: "digits_vae", "digits_gan", "chairs" or "rivers_vae".

    Raises:
      InputError: the name is none of these, or its file is damaged.
    """
    if not isinstance(name, str) or name not in RELEASED:
        nearest = difflib.get_close_matches(str(name), RELEASED, 1, 0.0)[0]
        raise InputError(f"name must be one of {', '.join(RELEASED)}, got {name!r} (did you mean {nearest}?)")
    released = RELEASED[name]
    experiment = released.experiment
    config = experiment.config()
    system = experiment.build(config)
    variables = _read(name, released)
    expected = state_shape(system.trainer, config.data.shape).variables[released.player]
    shapes = lambda tree: jax.tree.map(np.shape, tree)
    if shapes(variables) != shapes(expected):
        raise InputError(f"{name}: its file does not fit its networks; install genjax_models again")
    players = {released.player: variables}
    state = TrainState(jnp.int32(config.training.steps), jax.random.key(config.seed), players, {}, {})
    return LoadedRun(config, system, system.objective, system.model, players, state, experiment)


def packed(variables: Variables) -> dict[str, np.ndarray]:
    """Returns the arrays of a file: a player's variables by their paths, in float16."""
    flat = flatten_dict(variables, sep="/")
    return {path: np.asarray(value, np.float16) for path, value in sorted(flat.items())}


def file_of(name: str) -> str:
    """Returns the name of a model's file in `genjax_models/data/files`."""
    return f"pretrained_{name}.npz"


def _read(name: str, released: Released) -> Variables:
    content = (resources.files("genjax_models") / "data" / "files" / file_of(name)).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != released.sha256:
        raise InputError(
            f"{file_of(name)}: its SHA-256 is {digest}, not {released.sha256}; install genjax_models again"
        )
    with np.load(io.BytesIO(content)) as arrays:
        # numpy changes the type: jax would compile a program for each shape
        float32 = {path: jnp.asarray(arrays[path].astype(np.float32)) for path in arrays.files}
        return unflatten_dict(float32, sep="/")
