"""The deep Markov model, with a q that reads the sequence backwards: Krishnan, Shalit and Sontag, 2017.

    p(z_t | z_{t-1}) = N(mu, diag(sigma^2)),    mu = (1 - g) (W z + b) + g h,    sigma = softplus of a map of relu(h)

with g = sigmoid of an MLP of z = z_{t-1}, and h another MLP of it, and p(x_t | z_t) from an MLP. The structured q is

    q(z_t | z_{t-1}, x_t, ..., x_T) = N(c),    c = 1/2 (tanh(W z_{t-1} + b) + a_t),    a_t read from T down to t

z_0 is a learned vector. Given z_{t-1}, the true posterior of z_t depends on no earlier x, as this q does not.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_count
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.estimators.filtering import Step
from genjax_models.models.families import Family, positive
from genjax_models.models.posteriors import gaussian_of
from genjax_models.models.sequential import Generation, SequentialModel, sequential_model
from genjax_models.networks.mlp import MLPGenerator
from genjax_models.networks.outputs import Emits, Emitted
from genjax_models.networks.recurrent import CellName, Recurrent, cell_of
from genjax_models.networks.shapes import flattened, on_rows
from genjax_models.types import Array, Shape, Variables


def deep_markov_model(
    likelihood: Family,
    *,
    steps: int,
    latent: int = 32,
    hidden: int = 64,
    features: int | None = None,
    cell: CellName = "gru",
) -> SequentialModel:
    """Returns a deep Markov model. x_t depends on z_t alone, so a forecast needs no more than the last z.

    Args:
      likelihood: family of p(x_t | z_t), over one step.
      steps: number of steps that `sample` draws if no length is given.
      latent: dimensions of z_t.
      hidden: units of the recurrent network that reads backwards.
      features: width of the hidden layers of transition and emission; None is `hidden`.
      cell: "lstm" or "gru".

    Raises:
      ValueError: a size is no integer of at least 1, or the cell is unknown.
    """
    features = hidden if features is None else features
    for name, size in {"latent": latent, "features": features}.items():
        check_count(name, size)
    cell_of(cell, hidden)
    networks = _Networks(tuple(likelihood.event_shape), likelihood.outputs, latent, hidden, features, cell)
    apply: Callable[..., Any] = networks.apply

    def z_0(variables: Variables, n: int) -> Array:
        return jnp.broadcast_to(variables["params"]["z_0"], (n, latent))

    def start(variables: Variables, x: Array, mask: Array) -> tuple[Array, Array]:
        return z_0(variables, mask.shape[1]), apply(variables, x, mask, method="read")

    def emission(variables: Variables):
        return lambda z: likelihood.distribution(apply(variables, z, method="emit"))

    def step(variables: Variables, z: Array, context: Array) -> Step:
        of = partial(apply, variables)
        products = of(z, method="remember")
        posterior = gaussian_of(of(products[3], context[None], method="combine"))
        prior = diagonal_normal(*of(*products[:3], method="move"))
        return Step(posterior, prior, emission(variables), lambda z: z)

    def generate(variables: Variables, z: Array) -> Generation:
        products = apply(variables, z, method="remember")
        prior = diagonal_normal(*apply(variables, *products[:3], method="move"))
        return Generation(prior, emission(variables), lambda z, x: z)

    return sequential_model(
        init=lambda key, x: networks.init(key, x),
        start=start,
        step=step,
        first=z_0,
        generate=generate,
        likelihood=likelihood,
        steps=steps,
    )


class _Networks(nn.Module):
    """All networks. The four layers that read z_{t-1} are one product."""

    shape: Shape
    emits: Emits
    latent: int
    hidden: int
    features: int
    cell: CellName

    def setup(self) -> None:
        """Makes the layers."""
        sizes = 2 * self.features, self.latent, self.hidden

        def kernel(key: Array, shape: Shape, dtype: np.dtype) -> Array:
            each = nn.initializers.lecun_normal()(key, shape, dtype)
            return each.at[:, sizes[0] : sum(sizes[:2])].set(jnp.eye(self.latent, dtype=dtype))  # mu starts at z_{t-1}

        self.z_0 = self.param("z_0", nn.initializers.zeros, (self.latent,), jnp.float32)
        self.of_z = nn.Dense(sum(sizes), kernel_init=kernel)
        self.gate, self.proposed = nn.Dense(self.latent), nn.Dense(self.latent)
        self.scale, self.posterior = nn.Dense(self.latent), nn.Dense(2 * self.latent)
        self.backwards = Recurrent(self.hidden, self.cell, backwards=True)
        self.generator = MLPGenerator(self.emits, (self.features, self.features))

    def read(self, x: Array, mask: Array) -> Array:
        """Returns a_t, a summary of x from its end down to t, `[time, batch, hidden]`."""
        return self.backwards(flattened(x, self.shape), mask)[0]

    def remember(self, z: Array) -> list[Array]:
        """Returns the products of z into the gate and h (together), the linear map, and the posterior."""
        sizes = 2 * self.features, self.latent
        of_hidden, linear, combined = jnp.split(on_rows(self.of_z, z), np.cumsum(sizes), axis=-1)
        gate, proposed = jnp.split(jax.nn.relu(of_hidden), 2, axis=-1)
        return [gate, proposed, linear, combined]

    def move(self, gate: Array, proposed: Array, linear: Array) -> tuple[Array, Array]:
        """Returns mean and scale of p(z_t | z_{t-1})."""
        g, h = jax.nn.sigmoid(on_rows(self.gate, gate)), on_rows(self.proposed, proposed)
        return (1 - g) * linear + g * h, positive(on_rows(self.scale, jax.nn.relu(h)))

    def combine(self, product: Array, read: Array) -> Array:
        """Returns the parameters of q(z_t | z_{t-1}, x)."""
        return on_rows(self.posterior, (jnp.tanh(product) + read) / 2)

    def emit(self, z: Array) -> Emitted:
        """Returns the parameters of p(x_t | z_t)."""
        return self.generator(z)

    def __call__(self, x: Array) -> None:
        """Calls all networks, as `init` needs."""
        read = self.read(x[None], jnp.ones((1, len(x)), bool))[0]
        *parts, combined = self.remember(jnp.zeros((len(x), self.latent)))
        self.move(*parts)
        self.combine(combined, read)
        self.emit(parts[2])
