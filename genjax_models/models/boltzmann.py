"""Boltzmann machines of one and two hidden layers: inference of anything that is missing, from anything observed.

The restricted machine has E(v, h) = -v'b - h'c - v'W h. The deep one has a second layer g above h, and a one-hot class
y above g if there are classes:

    E(v, h, g, y) = -v'b0 - h'b1 - g'b2 - y'by - v'W1 h - h'W2 g - g'Wy y.

Mean field gives each unit that is not observed a mean, in sweeps over h, v, g, y in turn (Salakhutdinov and Hinton,
2009; Goodfellow et al., 2013). `observed` is bool `[batch, *shape]`, true where x is seen; `label_observed` is bool
`[batch]`. Missing units are never read.
"""

import math
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from genjax_models.estimators.boltzmann import bernoulli_of, free_energy
from genjax_models.estimators.checks import check_count
from genjax_models.estimators.distributions import logits_of_mean
from genjax_models.models.data_mean import DataMean, check_data_mean, mean_of
from genjax_models.models.evidence import Evidence, evidence_of
from genjax_models.models.mean_field import (
    Field,
    energy_of,
    entropy_of,
    fixed_point,
    mean_field_sweep,
    repeated,
    start_of,
    sweep,
)
from genjax_models.types import Array, Batch, PRNGKey, Shape, Variables

Gradient = Literal["unrolled", "implicit"]


class BoltzmannMachine(NamedTuple):
    """Pure functions of the machine's variables, for x in {0, 1}; machines without classes ignore labels.

    The params are "weights" W, "visible_bias" and "hidden_bias"; of a deep machine also "top_weights" W2 and
    "top_bias"; with classes also "class_weights" Wy `[top, classes]` and "class_bias".

    Attributes:
      shape: shape of one example.
      hidden: units of the hidden layers, one or two.
      classes: number of classes, or None.
      scale: standard deviation of the first weights.
      data_mean: share of examples in which a unit is on, `shape`: the visible bias starts at its logit. "batch": the
        share in the batch of `init`. None: the bias starts at 0.
      support: lowest and highest value of x.
    """

    shape: Shape
    hidden: tuple[int, ...]
    classes: int | None
    scale: float
    data_mean: DataMean = None
    support: tuple[float, float] = (0, 1)

    def init(self, key: PRNGKey, batch: Batch) -> Variables:
        """Returns the variables; raises ValueError if the examples are not of the shape, or not in {0, 1}."""
        self.evidence(batch.x, jnp.ones(batch.x.shape, bool))
        layers = {"visible": math.prod(self.shape), **dict(zip(("hidden", "top"), self.hidden, strict=False))}
        layers |= {"class": self.classes} if self.classes else {}
        sizes, params = list(layers.values()), {}
        keys = jax.random.split(key, len(layers) - 1)
        for i, name in enumerate(["weights", "top_weights", "class_weights"][: len(keys)]):
            params[name] = self.scale * jax.random.normal(keys[i], (sizes[i], sizes[i + 1]), jnp.float32)
        params |= {f"{name}_bias": jnp.zeros(size, jnp.float32) for name, size in layers.items()}
        if self.data_mean is not None:
            params["visible_bias"] = logits_of_mean(mean_of(self.data_mean, batch))
        return {"params": params}

    def energy(self, variables: Variables, field: Field) -> Array:
        """Returns E(v, h, g, y), `[batch]` in nats: the mean energy of independent units, if the field has means."""
        return energy_of(variables["params"], field)

    def free_energy(self, variables: Variables, x: Array) -> Array:
        """Returns F(x) of a restricted machine, `[batch]` in nats; log p(x) = -F(x) - log Z.

        Raises:
          ValueError: the machine is deep, or x is not of its shape or not in {0, 1}.
        """
        if len(self.hidden) > 1:
            raise ValueError(f"the free energy needs one hidden layer, got {len(self.hidden)}. Use bound.")
        seen = self.evidence(x, jnp.ones(x.shape, bool))
        return free_energy(seen.v, *self.restricted(variables))

    def restricted(self, variables: Variables) -> tuple[Array, Array, Array]:
        """Returns weights, visible bias and hidden bias of the machine as a restricted one.

        In a deep machine only h has weights to v and to g: v and g in a row are the visible units, h is hidden.

        Raises:
          ValueError: the machine has classes.
        """
        if self.classes is not None:
            raise ValueError("the form of a restricted machine needs a machine without classes")
        p = variables["params"]
        weights, visible_bias = p["weights"], p["visible_bias"]
        if len(self.hidden) > 1:
            weights = jnp.concatenate([weights, p["top_weights"].T])
            visible_bias = jnp.concatenate([visible_bias, p["top_bias"]])
        return weights, visible_bias, p["hidden_bias"]

    def infer(
        self,
        variables: Variables,
        x: Array,
        observed: Array,
        label: Array | None = None,
        label_observed: Array | None = None,
        *,
        sweeps: int,
        gradient: Gradient = "unrolled",
    ) -> Field:
        """Returns the means of all units after some sweeps of mean field.

        A machine that learned with some number of sweeps can predict worse with more.

        Args:
          variables: variables of the machine.
          x: examples in {0, 1}, `[batch, *shape]`.
          observed: where x is seen, bool `[batch, *shape]`.
          label: classes, int32 `[batch]`; None if all are missing.
          label_observed: bool `[batch]`; None if all given labels are seen.
          sweeps: number of sweeps.
          gradient: through all sweeps, or "implicit": by the implicit function theorem, as if the means were a fixed
            point, with as many sweeps backwards and the memory of one. Only a gradient at a fixed point is exact.

        Raises:
          ValueError: x, `observed`, `label` or `label_observed` do not fit, `sweeps` is no integer of at least 1, or
            `gradient` is unknown.
        """
        check_count("sweeps", sweeps)
        if gradient not in get_args(Gradient):
            raise ValueError(f"gradient must be one of {get_args(Gradient)}, got {gradient!r}")
        p, seen = variables["params"], self.evidence(x, observed, label, label_observed)
        step, start = lambda field: mean_field_sweep(p, field, seen), start_of(p, seen)
        return fixed_point(p, step, start, sweeps) if gradient == "implicit" else repeated(step, start, sweeps)

    def multi_infer(
        self,
        variables: Variables,
        x: Array,
        observed: Array,
        label: Array | None = None,
        label_observed: Array | None = None,
        *,
        sweeps: int,
    ) -> Field:
        """Returns the means of `infer` with multi-inference: observed pixels count half, half their prediction.

        A pixel that the machine finds unlikely then says less about the others. Goodfellow et al., 2013.

        Raises:
          ValueError: as `infer`.
        """
        check_count("sweeps", sweeps)
        p, seen = variables["params"], self.evidence(x, observed, label, label_observed)

        def step(field: Field) -> Field:
            field = mean_field_sweep(p, field, seen)
            prediction = sigmoid(field.v_logits)
            return field._replace(v=jnp.where(seen.v_observed, (seen.v + prediction) / 2, prediction))

        return repeated(step, start_of(p, seen), sweeps)

    def conditional(self, variables: Variables, key: PRNGKey, x: Array, observed: Array, *, sweeps: int = 5) -> Array:
        """Returns x where it is observed, and the means of `infer` elsewhere, `[batch, *shape]`. The key is not read.

        `multi_prediction` learns with 5 sweeps by default. Give as many as in training.
        """
        field = self.infer(variables, x, observed, sweeps=sweeps)
        return jnp.where(observed, x, sigmoid(field.v_logits).reshape(x.shape))

    def bound(
        self,
        variables: Variables,
        field: Field,
        x: Array,
        observed: Array,
        label: Array | None = None,
        label_observed: Array | None = None,
    ) -> Array:
        """Returns -E plus the entropies of the units that are not observed, `[batch]` in nats, for a field of `infer`.

        It is at most log sum exp(-E) over these units, and the gap is KL(q || p(missing | observed)). Without
        missing pixels, the bound - log Z is at most log p(x).
        """
        p, seen = variables["params"], self.evidence(x, observed, label, label_observed)
        return entropy_of(field, seen) - energy_of(p, field)

    def gibbs_sweep(self, variables: Variables, key: PRNGKey, field: Field, seen: Evidence) -> Field:
        """Returns the states after a sweep of Gibbs sampling over h, v, g and y in turn; observed units stay."""
        keys = iter(jax.random.split(key, 4))
        return sweep(
            variables["params"],
            field,
            seen,
            unit=lambda logits: bernoulli_of(next(keys), logits, logits.dtype),
            choice=lambda logits: jax.nn.one_hot(
                jax.random.categorical(next(keys), logits), logits.shape[1], dtype=logits.dtype
            ),
        )

    def sample(
        self, variables: Variables, key: PRNGKey, n: int, *, label: Array | None = None, sweeps: int = 1_000
    ) -> Array:
        """Returns n draws, `[n, *shape]`, of n chains after some sweeps from independent units.

        The label, of a machine with classes, is `[n]` or one for all draws.

        Raises:
          ValueError: `n` or `sweeps` is no integer of at least 1, or the label is no class.
        """
        check_count("n", n)
        check_count("sweeps", sweeps)
        nothing = jnp.zeros((n, *self.shape))
        label = None if label is None or self.classes is None else jnp.broadcast_to(jnp.asarray(label), (n,))
        seen = self.evidence(nothing, jnp.zeros(nothing.shape, bool), label)
        start_key, key = jax.random.split(key)
        field = start_of(variables["params"], seen)
        field = field._replace(v=bernoulli_of(start_key, field.v_logits, field.v.dtype))
        move = lambda i, field: self.gibbs_sweep(variables, jax.random.fold_in(key, i), field, seen)
        return jax.lax.fori_loop(0, sweeps, move, field).v.reshape(n, *self.shape)

    def evidence(
        self, x: Array, observed: Array, label: Array | None = None, label_observed: Array | None = None
    ) -> Evidence:
        """Returns the observed values, checked; values that jax traces are not checked.

        Raises:
          ValueError: as `infer`.
        """
        return evidence_of(self.shape, self.classes, x, observed, label, label_observed)


def restricted_boltzmann_machine(shape: Shape, hidden: int, *, data_mean: DataMean = None) -> BoltzmannMachine:
    """Returns a machine of one hidden layer (Smolensky, 1986): p(v, h) = exp(-E(v, h)) / Z.

    Args:
      shape: shape of one example.
      hidden: number of hidden units.
      data_mean: see `BoltzmannMachine`.

    Raises:
      ValueError: `hidden` is no integer of at least 1, or `data_mean` has another shape.
    """
    return _machine(shape, (hidden,), None, 0.01, data_mean)


def deep_boltzmann_machine(
    shape: Shape,
    hidden: tuple[int, int] = (500, 1000),
    *,
    classes: int | None = None,
    data_mean: DataMean = None,
) -> BoltzmannMachine:
    """Returns a machine of two hidden layers, and a class above them (Salakhutdinov and Hinton, 2009).

    Args:
      shape: shape of one example.
      hidden: units of the lower and the upper hidden layer.
      classes: number of classes; None without a class.
      data_mean: see `BoltzmannMachine`.

    Raises:
      ValueError: `hidden` is not two integers of at least 1, `classes` is below 2, or `data_mean` has another shape.
    """
    if len(hidden) != 2:
        raise ValueError(
            f"hidden must be two numbers of units, got {hidden!r}. Use restricted_boltzmann_machine for one."
        )
    if classes is not None:
        check_count("classes", classes, at_least=2)
    return _machine(shape, tuple(hidden), classes, 0.05, data_mean)


def _machine(shape, hidden, classes, scale, data_mean) -> BoltzmannMachine:
    for units in hidden:
        check_count("hidden", units)
    check_data_mean(data_mean, shape)
    return BoltzmannMachine(tuple(shape), hidden, classes, scale, data_mean)
