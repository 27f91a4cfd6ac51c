"""Mean field and Gibbs sweeps over the layers v - h - g - y of a Boltzmann machine; see `models.boltzmann`.

A sweep updates h, v, g and y in turn, each given the others as they stand. Layers that are updated all at once swing
between two states. Observed units stay; missing ones are never read.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid
from jax.scipy.special import entr

from genjax_models.models.evidence import Evidence
from genjax_models.types import Array, Variables


class Field(NamedTuple):
    """A value per unit: the means of mean field, or the states of a chain. Layers that the machine lacks are None."""

    v: Array  # [batch, d], with d the product of the shape
    h: Array  # [batch, hidden]
    g: Array | None  # [batch, top]
    y: Array | None  # [batch, classes]
    v_logits: Array  # of every v given h, observed or not, [batch, d]
    y_logits: Array | None  # of every y given g, [batch, classes]


def start_of(p: Variables, seen: Evidence) -> Field:
    """Returns the means before the first sweep.

    Missing pixels start at sigmoid(b0), and a missing class at softmax(by). With a layer above, h starts with its
    weights from below doubled, since the input from above is yet to come.
    """
    v_logits = jnp.broadcast_to(p["visible_bias"], seen.v.shape)
    v = jnp.where(seen.v_observed, seen.v, sigmoid(v_logits))
    from_below = v @ p["weights"]
    if "top_weights" not in p:
        return Field(v, sigmoid(p["hidden_bias"][None] + from_below), None, None, v_logits, None)
    h = sigmoid(p["hidden_bias"][None] + 2 * from_below)
    g_logits = p["top_bias"][None] + h @ p["top_weights"]
    if seen.y is None or seen.y_observed is None:
        return Field(v, h, sigmoid(g_logits), None, v_logits, None)
    y_logits = jnp.broadcast_to(p["class_bias"], seen.y.shape)
    y = jnp.where(seen.y_observed, seen.y, jax.nn.softmax(y_logits))
    return Field(v, h, sigmoid(g_logits + y @ p["class_weights"].T), y, v_logits, y_logits)


def sweep(p: Variables, field: Field, seen: Evidence, unit: Callable, choice: Callable) -> Field:
    """Returns the field after an update of h, v, g and y in turn: `unit` and `choice` map logits to values."""
    h_logits = p["hidden_bias"][None] + field.v @ p["weights"]
    if field.g is not None:
        h_logits += field.g @ p["top_weights"].T
    h = unit(h_logits)
    v_logits = p["visible_bias"][None] + h @ p["weights"].T
    v, g, y, y_logits = jnp.where(seen.v_observed, seen.v, unit(v_logits)), None, None, None
    if field.g is not None:
        g_logits = p["top_bias"][None] + h @ p["top_weights"]
        g = unit(g_logits if field.y is None else g_logits + field.y @ p["class_weights"].T)
    if field.y is not None and seen.y is not None and seen.y_observed is not None:
        y_logits = p["class_bias"][None] + g @ p["class_weights"]
        y = jnp.where(seen.y_observed, seen.y, choice(y_logits))
    return Field(v, h, g, y, v_logits, y_logits)


def mean_field_sweep(p: Variables, field: Field, seen: Evidence) -> Field:
    """Returns the means after one sweep of mean field: each layer in turn is at its best given the others."""
    return sweep(p, field, seen, sigmoid, jax.nn.softmax)


def repeated(step: Callable[[Field], Field], field: Field, sweeps: int) -> Field:
    """Returns the field after some steps."""
    return jax.lax.scan(lambda field, _: (step(field), None), field, length=sweeps)[0]


def fixed_point(p: Variables, step: Callable[[Field], Field], start: Field, sweeps: int) -> Field:
    """Returns the field after some sweeps, with the gradient of a fixed point m = T(m).

    The tangent dm = T_m dm + dT is solved by as many steps of dm <- T_m dm + dT.
    """
    means = lambda field: field[:4]
    update = lambda m: means(step(start._replace(**dict(zip("vhgy", m, strict=True)))))
    change = lambda m: jax.tree.map(jnp.subtract, update(m), m)

    def solve_tangent(change_of, target):  # change_of(dm) = T_m dm - dm
        closer = lambda dm, _: (jax.tree.map(lambda d, c, t: d + c - t, dm, change_of(dm), target), None)
        return jax.lax.scan(closer, jax.tree.map(jnp.negative, target), length=sweeps)[0]

    solve = lambda _, m: means(repeated(step, start._replace(**dict(zip("vhgy", m, strict=True))), sweeps))
    v, h, g, y = jax.lax.custom_root(change, means(start), solve, solve_tangent)
    v_logits = p["visible_bias"][None] + h @ p["weights"].T
    y_logits = None if y is None else p["class_bias"][None] + g @ p["class_weights"]
    return Field(v, h, g, y, v_logits, y_logits)


def energy_of(p: Variables, field: Field) -> Array:
    """Returns E(v, h, g, y), `[batch]` in nats."""
    total = field.v @ p["visible_bias"] + field.h @ p["hidden_bias"]
    total += jnp.sum((field.v @ p["weights"]) * field.h, axis=1)
    if field.g is not None:
        total += field.g @ p["top_bias"] + jnp.sum((field.h @ p["top_weights"]) * field.g, axis=1)
    if field.y is not None:
        total += field.y @ p["class_bias"] + jnp.sum((field.g @ p["class_weights"]) * field.y, axis=1)
    return -total


def free_energy_of(p: Variables, field: Field) -> Array:
    """Returns -log sum_h exp(-E(v, h, g, y)), `[batch]` in nats; h of the field is not read."""
    from_below, above = p["hidden_bias"][None] + field.v @ p["weights"], 0.0
    if field.g is not None:
        from_below += field.g @ p["top_weights"].T
        above = field.g @ p["top_bias"]
    if field.g is not None and field.y is not None:
        above += field.y @ p["class_bias"] + jnp.sum((field.g @ p["class_weights"]) * field.y, axis=1)
    return -(field.v @ p["visible_bias"] + jnp.sum(jax.nn.softplus(from_below), axis=1) + above)


def entropy_of(field: Field, seen: Evidence) -> Array:
    """Returns the entropy of the units that are not observed, `[batch]` in nats."""
    total = _of_units(jnp.where(seen.v_observed, 0, field.v)) + _of_units(field.h)
    if field.g is not None:
        total += _of_units(field.g)
    if field.y is not None:
        total += jnp.sum(_inside(field.y, entr), axis=1)  # of an observed class: zero
    return total


def _of_units(means: Array) -> Array:
    return jnp.sum(_inside(means, lambda m: entr(m) + entr(1 - m)), axis=1)


def _inside(means: Array, entropy: Callable[[Array], Array]) -> Array:
    """Returns the entropy of means in (0, 1), and 0 at 0 and 1, where its gradient is not a number."""
    inside = (means > 0) & (means < 1)
    return jnp.where(inside, entropy(jnp.where(inside, means, 0.5)), 0)
