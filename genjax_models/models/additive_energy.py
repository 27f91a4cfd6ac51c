"""An energy model that is a sum of features: q(x) ~ exp(x'b + sum_t a_t sigmoid(x'w_t + c_t)), for x in {0, 1}.

Self-supervised boosting adds its features one by one (Welling, Zemel and Hinton, 2002).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax_models.estimators.boltzmann import additive_gibbs_sweep, additive_log_density, bernoulli_of
from genjax_models.estimators.checks import check_binary, check_count
from genjax_models.estimators.distributions import logits_of_mean
from genjax_models.models.data_mean import DataMean, check_data_mean, mean_of
from genjax_models.types import Array, Batch, PRNGKey, Shape, Variables


class AdditiveEnergyModel(NamedTuple):
    """Pure functions of the variables, whose collection "features" is the model. No params are read.

    The features are "weights" `[d, features]`, "bias" and "coefficient" `[features]` (0 of a feature to come), and the
    base is "visible_bias" `[d]`. "gain" and "effective", `[features]`, say what a feature gained when it was added, and
    "loss" is the loss of its discriminator just before.

    Attributes:
      shape: shape of one example.
      features: number of features.
      data_mean: share of examples in which a unit is on, `shape`: its logit is the base. "batch": the share in the
        batch of `init`. None: the base is uniform.
      support: lowest and highest value of x.
    """

    shape: Shape
    features: int
    data_mean: DataMean = None
    support: tuple[float, float] = (0, 1)

    def init(self, batch: Batch | None = None) -> Variables:
        """Returns the variables of the base, without a feature. The batch is read if `data_mean` is "batch"."""
        d = math.prod(self.shape)
        base = jnp.zeros(d, jnp.float32)
        if self.data_mean is not None:
            base = logits_of_mean(mean_of(self.data_mean, batch))
        features = {"weights": jnp.zeros((d, self.features), jnp.float32), "visible_bias": base}
        none = {
            name: jnp.zeros(self.features, jnp.float32) for name in ("bias", "coefficient", "gain", "effective", "loss")
        }
        return {"features": {**features, **none}}  # each array of its own: the compiled loop donates them

    def log_density(self, variables: Variables, x: Array) -> Array:
        """Returns log q(x) + log Z of x `[n, *shape]`, `[n]` in nats.

        Raises:
          ValueError: x is not of the shape, or not in {0, 1}.
        """
        if x.shape[1:] != self.shape:
            raise ValueError(f"x must be [n, {', '.join(map(str, self.shape))}], got the shape {x.shape}")
        check_binary("x", x)
        return additive_log_density(x.reshape(len(x), -1), *parts_of(variables))

    def base(self, variables: Variables, key: PRNGKey, n: int) -> Array:
        """Returns n draws of the base as int8 `[n, d]`."""
        bias = variables["features"]["visible_bias"]
        return bernoulli_of(key, jnp.broadcast_to(bias, (n, len(bias))), jnp.int8)

    def swept(self, variables: Variables, key: PRNGKey, x: Array, sweeps: int) -> Array:
        """Returns x `[n, d]` after some Gibbs sweeps over its units in turn."""
        parts = parts_of(variables)
        move = lambda i, x: additive_gibbs_sweep(jax.random.fold_in(key, i), x, *parts)
        return jax.lax.fori_loop(0, sweeps, move, x)

    def sample(self, variables: Variables, key: PRNGKey, n: int, *, sweeps: int = 100) -> Array:
        """Returns n draws `[n, *shape]`, after some Gibbs sweeps from the base.

        Raises:
          ValueError: `n` or `sweeps` is no integer of at least 1.
        """
        check_count("n", n)
        check_count("sweeps", sweeps)
        base_key, key = jax.random.split(key)
        x = self.swept(variables, key, self.base(variables, base_key, n), sweeps)
        return x.astype(jnp.float32).reshape(n, *self.shape)


def additive_energy_model(shape: Shape, features: int, *, data_mean: DataMean = None) -> AdditiveEnergyModel:
    """Returns a model with room for some features; see `AdditiveEnergyModel`.

    Raises:
      ValueError: `features` is no integer of at least 1, or `data_mean` has another shape.
    """
    check_count("features", features)
    check_data_mean(data_mean, shape)
    return AdditiveEnergyModel(tuple(shape), features, data_mean)


def parts_of(variables: Variables) -> tuple[Array, ...]:
    """Returns weights, biases and coefficients of the features, and the bias of the base."""
    return tuple(variables["features"][name] for name in ("weights", "bias", "coefficient", "visible_bias"))
