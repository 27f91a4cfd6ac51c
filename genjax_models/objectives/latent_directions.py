"""Directions in the latent space of a finished generator that can be told apart (Voynov and Babenko, 2020)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.models.implicit import ImplicitModel
from genjax_models.models.learning import apply_in_learning
from genjax_models.objectives.classifier import cross_entropy, right
from genjax_models.types import Array, Aux, Objective, Variables

_LEAST = 0.5  # smallest size of a shift: smaller ones cannot be seen


def latent_directions(
    model: ImplicitModel,
    variables: Variables,
    reconstructor: nn.Module,
    directions: int,
    *,
    reach: float | Array = 6.0,
    shift_weight: float | Array = 0.25,
) -> Objective:
    """Returns an objective that learns unit directions a_k and a network that recognises them, with one loss:

        E -log p(k | g(z), g(z + s a_k)) + shift_weight |s - s'|,    k uniform, s uniform in [-reach, reach]

    p and s' are the reconstructor's. A shift smaller than 1/2 becomes 1/2, with its sign. The generator is frozen, in
    judging mode. Directions that change x in one way each are the easiest to recognise.

    Args:
      model: the generator.
      variables: its variables, which never change.
      reconstructor: images side by side in their channels `[batch, ..., 2 c]` -> numbers `[batch, directions + 1]`: the
        logits of the directions, then the shift. It may have dropout and batch normalisation.
      directions: number of directions K, at least 2.
      reach: largest shift.
      shift_weight: weight of the error of the shift, lambda.

    Returns:
      An `Objective` with the player "directions", which has the parameters "directions" `[K, latent]` and
      "reconstructor", and the frozen player "generator". It reports "accuracy" of k, "cross_entropy" (nats) and
      "shift_error". `sample` draws from the generator.

    Raises:
      ValueError: fewer than 2 directions; while tracing, a reconstructor that emits another shape.
    """
    if directions < 2:
        raise ValueError(f"directions must be at least 2, got {directions}")

    def init(key, batch):
        direction_key, network_key = jax.random.split(key)
        pair = jnp.concatenate([batch.x[:1]] * 2, axis=-1)
        fresh = dict(reconstructor.init(network_key, pair))
        params = {
            "directions": jax.random.normal(direction_key, (directions, model.latent), jnp.float32),
            "reconstructor": fresh.pop("params"),
        }
        kept = jax.tree.map(jnp.array, variables)  # a copy: loops donate their state
        return {"directions": {"params": params, **fresh}, "generator": kept}

    def loss(players, key, batch, step):
        noise_key, direction_key, shift_key, dropout_key = jax.random.split(key, 4)
        n, player = len(batch.x), players["directions"]
        params, state = player["params"], {name: part for name, part in player.items() if name != "params"}
        z = model.noise(noise_key, n)
        k = jax.random.randint(direction_key, (n,), 0, directions)
        s = jax.random.uniform(shift_key, (n,), z.dtype, minval=-reach, maxval=reach)
        s = jnp.where(s < 0, -1, 1) * jnp.maximum(jnp.abs(s), _LEAST)
        moved = z + s[:, None] * unit_directions(player)[k]
        generate = lambda z: model.generate(players["generator"], z, batch.label if model.classes else None)
        pair = jnp.concatenate([generate(z), generate(moved)], axis=-1)
        network = {"params": params["reconstructor"], **state}
        read, network = apply_in_learning(reconstructor, network, dropout_key, pair)
        if read.shape != (n, directions + 1):
            raise ValueError(f"reconstructor must emit [batch, {directions + 1}], got shape {read.shape}")
        logits, shift = read[:, :-1], read[:, -1]
        entropy, error = jnp.mean(cross_entropy(logits, k)), jnp.mean(jnp.abs(s - shift))
        metrics = {"cross_entropy": entropy, "shift_error": error, "accuracy": jnp.mean(right(logits, k))}
        after = {**players, "directions": {**network, "params": params}}
        return entropy + shift_weight * error, Aux(metrics, after)

    def sample(players, key, n, *, label=None):
        return model.sample(players["generator"], key, n, label=label)

    return Objective(init, {"directions": loss}, sample, model.range)


def unit_directions(player: Variables) -> Array:
    """Returns the directions of the player "directions", of length 1, `[K, latent]`.

    `genjax-models latent-walk RUN --along FILE.npy` walks along the rows of a file, saved by `numpy.save`.
    """
    rows = player["params"]["directions"]
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
