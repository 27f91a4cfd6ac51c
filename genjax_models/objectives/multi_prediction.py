"""The multi-prediction Boltzmann machine: any subset predicted from any other (Goodfellow et al., 2013; 20.10.3)."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_binary, check_count, check_labels
from genjax_models.models.boltzmann import BoltzmannMachine, Gradient
from genjax_models.types import Array, Aux, Objective, Tracer, Variables

Missing = float | Literal["uniform"]


def multi_prediction(
    machine: BoltzmannMachine,
    *,
    sweeps: int = 5,
    missing: Missing = "uniform",
    label_missing: float = 0.8,
    gradient: Gradient = "unrolled",
) -> Objective:
    """Returns an objective with one player, "machine", that lowers the loss of its predictions, mean over the batch.

    Each example hides some of its pixels, and its label. Mean field predicts them from the rest. The loss is the sum of
    -log p over the hidden values. Its gradient goes through all sweeps of the inference (Stoyanov et al., 2011). So the
    machine is learned for K sweeps, and more sweeps can make it worse.

    Args:
      machine: of one or two hidden layers, with or without classes.
      sweeps: sweeps of mean field.
      missing: share of pixels that are hidden, each independently; "uniform" draws a share in [0, 1) per example.
      label_missing: probability that the label is hidden; read by machines with classes alone.
      gradient: "unrolled", or "implicit": as at a fixed point of mean field, with the memory of one sweep.

    Returns:
      An `Objective` that reports "nats_per_pixel", over all hidden pixels of the batch, and with classes
      "nats_per_label" and "accuracy" over hidden labels. `sample` draws from the machine by Gibbs sweeps; labels choose
      the class.

    Raises:
      ValueError: `sweeps` is no integer of at least 1, `missing` or `label_missing` is no share, or `gradient` is
        unknown; from the loss, a batch without labels for a machine with classes, and outside jit, x outside {0, 1} or
        a label that is no class.
    """
    check_count("sweeps", sweeps)
    if missing != "uniform":
        _check_share("missing", missing, ' or "uniform"')
    _check_share("label_missing", label_missing)
    if gradient not in get_args(Gradient):
        raise ValueError(f"gradient must be one of {get_args(Gradient)}, got {gradient!r}")

    def loss(variables, key, batch, step):
        own, x, n = variables["machine"], batch.x, len(batch.x)
        if machine.classes is not None and batch.label is None:
            raise ValueError("a machine with classes needs a `label` per example.")
        share_key, pixel_key, label_key = jax.random.split(key, 3)
        share = jax.random.uniform(share_key, (n, *[1] * (x.ndim - 1))) if missing == "uniform" else missing
        observed = jax.random.uniform(pixel_key, x.shape) >= share
        label = label_observed = None
        if machine.classes is not None:
            label, label_observed = batch.label, jax.random.uniform(label_key, (n,)) >= label_missing
        pixels, labels, correct = prediction_losses(
            machine, own, x, observed, label, label_observed, sweeps=sweeps, gradient=gradient
        )
        hidden = lambda observed: jnp.maximum(jnp.sum(~observed), 1)
        metrics = {"nats_per_pixel": jnp.sum(pixels) / hidden(observed)}
        if label_observed is not None:
            metrics["nats_per_label"] = jnp.sum(labels) / hidden(label_observed)
            metrics["accuracy"] = jnp.sum(correct) / hidden(label_observed)
        return jnp.mean(pixels + labels), Aux(metrics)

    return Objective(
        init=lambda key, batch: {"machine": machine.init(key, batch)},
        losses={"machine": loss},
        sample=lambda variables, key, n, *, label=None: machine.sample(variables["machine"], key, n, label=label),
        range=machine.support,
    )


def prediction_losses(
    machine: BoltzmannMachine,
    variables: Variables,
    x: Array,
    observed: Array,
    label: Array | None = None,
    label_observed: Array | None = None,
    *,
    sweeps: int,
    gradient: Gradient = "unrolled",
) -> tuple[Array, Array, Array]:
    """Returns, per example, -log p of the missing pixels and of the missing label in nats, and whether it is right.

    Each is `[batch]`, with zeros where nothing is missing. x and the label are targets where they are missing, and
    inference does not read them. The arguments are the same as in `BoltzmannMachine.infer`.

    Raises:
      ValueError: as `BoltzmannMachine.infer`, also for missing values.
    """
    check_binary("x", x)
    field = machine.infer(variables, x, observed, label, label_observed, sweeps=sweeps, gradient=gradient)
    logits, x, observed = field.v_logits, x.reshape(len(x), -1), observed.reshape(len(x), -1)
    pixels = jnp.sum(jnp.where(observed, 0, jax.nn.softplus(logits) - x * logits), axis=1)
    if field.y_logits is None or machine.classes is None or label is None:
        return pixels, jnp.zeros_like(pixels), jnp.zeros_like(pixels)
    check_labels(label, machine.classes)
    missing = jnp.zeros(len(x), bool) if label_observed is None else ~label_observed
    log_p = jnp.sum(jax.nn.log_softmax(field.y_logits) * jax.nn.one_hot(label, machine.classes), axis=1)
    right = jnp.argmax(field.y_logits, axis=1) == label
    return pixels, jnp.where(missing, -log_p, 0), (missing & right).astype(pixels.dtype)


def _check_share(name: str, share: float, other: str = "") -> None:
    if isinstance(share, Tracer):
        return
    if isinstance(share, str | bool) or not 0 <= share <= 1:
        raise ValueError(f"{name} must be in [0, 1]{other}, got {share!r}")
