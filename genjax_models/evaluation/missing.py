"""Figures of missing pixels, predicted from observed ones: nats per missing pixel, and classes of partial pictures.

A `Conditional` (`models.conditionals`) gives probabilities of x in {0, 1}. Inference at test time should use the sweeps
of training: for a machine that learned with 5 sweeps, more can be worse.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_binary
from genjax_models.evaluation.examples import map_examples
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.models.conditionals import Conditional
from genjax_models.types import Array, PRNGKey, Variables

Mask = Literal["random", "half", "block"]
_INSIDE = 1e-6  # probabilities nearer to 0 or 1 count as this near


def masks(key: PRNGKey, x: Array, kind: Mask, *, share: float = 0.5) -> Array:
    """Returns where x `[n, *shape]` is observed, bool of its shape.

    Args:
      key: example i draws from `fold_in(key, i)`.
      x: examples; only the shape is read.
      kind: "random" hides each pixel independently. "half" hides the second half of the first axis of the shape: the
        lower half of a picture. "block" hides a rectangle at a random place, of the same share of height and width.
      share: share of pixels that is hidden; read by "random" and "block". Channels of a pixel are hidden together.

    Raises:
      ValueError: `kind` is unknown, `share` is not in [0, 1], or a block is asked of vectors.
    """
    if kind not in get_args(Mask):
        raise ValueError(f"kind must be one of {get_args(Mask)}, got {kind!r}")
    if isinstance(share, bool) or not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share!r}")
    n, *shape = x.shape
    pixels = shape if len(shape) < 3 else [*shape[:-1], 1]
    rows = jnp.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))

    def one(i: Array) -> Array:
        own = jax.random.fold_in(key, i)
        if kind == "random":
            return jax.random.uniform(own, pixels) >= share
        if kind == "half":
            return rows < (shape[0] + 1) // 2
        sizes = [round(length * share**0.5) for length in shape[:2]]
        corners = [
            jax.random.randint(own_axis, (), 0, length - size + 1)
            for own_axis, length, size in zip(jax.random.split(own), shape[:2], sizes, strict=True)
        ]
        columns = jnp.arange(shape[1]).reshape(1, -1, *[1] * (len(shape) - 2))
        inside = (rows >= corners[0]) & (rows < corners[0] + sizes[0])
        return ~(inside & (columns >= corners[1]) & (columns < corners[1] + sizes[1]))

    if kind == "block" and len(shape) < 2:
        raise ValueError(f"a block needs examples of at least two axes, got the shape {tuple(shape)}")
    return jnp.broadcast_to(jax.vmap(one)(jnp.arange(n)), x.shape)


def predict_missing(
    conditional: Conditional, variables: Variables, key: PRNGKey, x: Array, observed: Array, *, batch_size: int = 100
) -> dict[str, Array]:
    """Returns "nats", -log p of the missing pixels given the observed ones, and their number "missing", each `[n]`.

    Each missing pixel counts by its own probability. Nats per missing pixel of a set are sum(nats) / sum(missing), not
    a mean of ratios. Probabilities are kept 1e-6 from 0 and 1.

    Args:
      conditional: probabilities of x, as in `models.conditionals`.
      variables: variables of its model.
      key: example i draws from `fold_in(key, i)`.
      x: examples in {0, 1}, `[n, *shape]`: the targets where they are missing.
      observed: where x is seen, bool `[n, *shape]`.
      batch_size: examples in memory at once.

    Raises:
      ValueError: x or `observed` does not fit, or a value of x, seen or missing, is not 0 or 1.
    """

    def one(key: PRNGKey, example: tuple[Array, Array]) -> dict[str, Array]:
        x, seen = example
        p = jnp.clip(conditional(variables, key, x[None], seen[None])[0], _INSIDE, 1 - _INSIDE)
        nats = -jnp.where(x > 0.5, jnp.log(p), jnp.log1p(-p))
        return {"nats": jnp.sum(jnp.where(seen, 0, nats)), "missing": jnp.sum(~seen)}

    if observed.dtype != bool or observed.shape != x.shape:
        raise ValueError(
            f"observed must be bool of the shape {x.shape}, got {observed.dtype} of the shape {observed.shape}"
        )
    check_binary("x", x)
    return map_examples(one, key, (x, observed), batch_size=batch_size)


def class_probabilities(
    machine: BoltzmannMachine,
    variables: Variables,
    x: Array,
    observed: Array,
    *,
    sweeps: int = 5,
    multi_inference: bool = False,
    batch_size: int = 100,
) -> Array:
    """Returns the probability of each class given the observed pixels, `[n, classes]`, by mean field.

    Args:
      machine: a machine with classes.
      variables: variables of the machine.
      x: examples in {0, 1} where they are observed, `[n, *shape]`.
      observed: where x is seen, bool `[n, *shape]`.
      sweeps: sweeps of mean field. Give as many as in training, which are 5 by default.
      multi_inference: whether observed pixels count half, and half their prediction.
      batch_size: examples in memory at once.

    Raises:
      ValueError: the machine has no classes, or x or `observed` does not fit.
    """
    if machine.classes is None:
        raise ValueError("class_probabilities needs a machine with classes.")
    machine.evidence(x, observed)  # checks what `map_examples` hides from `infer`
    infer = machine.multi_infer if multi_inference else machine.infer

    def one(_: PRNGKey, example: tuple[Array, Array]) -> Array:
        x, seen = example
        logits = infer(variables, x[None], seen[None], sweeps=sweeps).y_logits
        assert logits is not None  # the machine has classes
        return jax.nn.softmax(logits[0])

    return map_examples(one, jax.random.key(0), (x, observed), batch_size=batch_size)  # nothing is drawn
