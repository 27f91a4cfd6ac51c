"""The stochastic recurrent neural network: Fraccaro, Soenderby, Paquet and Winther, 2016.

A deterministic layer d and a stochastic layer z, which sees d and does not change it:

    d_t = f(d_{t-1}, x_{t-1}),    p(z_t | z_{t-1}, d_t) = N(mu, diag(sigma^2)),    p(x_t | z_t, d_t) from an MLP

The exact posterior of z_t given z_{t-1} depends on x_t, ..., x_T and d only. Their q, with the mean as a change of p's:

    a_t = g(a_{t+1}, [d_t, x_t]),    q(z_t | z_{t-1}, d, x) = N(mu + a network of [z_{t-1}, a_t], diag(sigma_q^2))

d and a have no randomness: they are computed once, for all particles.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_count
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.estimators.filtering import Step
from genjax_models.models.families import Family, positive
from genjax_models.models.sequential import Generation, SequentialModel, sequential_model
from genjax_models.networks.mlp import MLPGenerator
from genjax_models.networks.outputs import Emits, Emitted
from genjax_models.networks.recurrent import CellName, CellState, Recurrent, cell_of
from genjax_models.networks.shapes import flattened, on_rows
from genjax_models.types import Array, Shape, Variables


def stochastic_rnn(
    likelihood: Family,
    *,
    steps: int,
    latent: int = 32,
    hidden: int = 64,
    features: int | None = None,
    cell: CellName = "gru",
) -> SequentialModel:
    """Returns a stochastic RNN.

    Args:
      likelihood: family of p(x_t | z_t, d_t), over one step.
      steps: number of steps that `sample` draws if no length is given.
      latent: dimensions of z_t.
      hidden: units of d, and of the network that reads backwards.
      features: width of the hidden layers of prior, posterior and emission; None is `hidden`.
      cell: "lstm" or "gru".

    Raises:
      ValueError: a size is no integer of at least 1, or the cell is unknown.
    """
    features = hidden if features is None else features
    for name, size in {"latent": latent, "features": features}.items():
        check_count(name, size)
    shape, unit = tuple(likelihood.event_shape), cell_of(cell, hidden)
    networks = _Networks(shape, likelihood.outputs, latent, hidden, features, cell)

    def start(variables: Variables, x: Array, mask: Array) -> tuple[Array, Array]:
        return jnp.zeros((mask.shape[1], latent)), networks.apply(variables, x, mask, method="read")

    def parts(variables: Variables, z: Array, of_d: Array):
        """Returns mean and scale of the prior, the product of z into q, and the emission; `of_d` are products of d."""
        of = partial(networks.apply, variables)
        of_prior, of_emission = jnp.split(of_d, 2, axis=-1)
        prior, posterior = of(z, method="remember")
        mean, scale = of(prior + of_prior, method="prior_of")
        emission = lambda z: likelihood.distribution(of(z, of_emission, method="emit"))
        return mean, scale, posterior, emission

    def step(variables: Variables, z: Array, context: Array) -> Step:
        of_d, of_a = context[None, ..., : 2 * features], context[None, ..., 2 * features :]
        mean, scale, product, emission = parts(variables, z, of_d)
        change, q_scale = networks.apply(variables, product + of_a, method="posterior_of")
        return Step(diagonal_normal(mean + change, q_scale), diagonal_normal(mean, scale), emission, lambda z: z)

    def first(variables: Variables, n: int) -> tuple[Array, CellState, Array]:
        return jnp.zeros((n, latent)), unit.start((n,)), jnp.zeros((n, *shape))

    def generate(variables: Variables, state: tuple[Array, CellState, Array]) -> Generation:
        z, d, x = state
        d, of_d = networks.apply(variables, d, x, method="advance")
        mean, scale, _, emission = parts(variables, z, of_d)
        return Generation(diagonal_normal(mean, scale), emission, lambda z, x: (z, d, x))

    def resume(variables: Variables, z: Array, x: Array, mask: Array) -> tuple[Array, CellState, Array]:
        _, d = networks.apply(variables, x, mask, method="remembered")
        last = jnp.sum(mask, axis=0) - 1
        return z, d, x[last, jnp.arange(len(last))]

    return sequential_model(
        init=lambda key, x: networks.init(key, x),
        start=start,
        step=step,
        first=first,
        generate=generate,
        resume=resume,
        likelihood=likelihood,
        steps=steps,
    )


class _Networks(nn.Module):
    """All networks. The products of d and a are computed for all time at once."""

    shape: Shape
    emits: Emits
    latent: int
    hidden: int
    features: int
    cell: CellName

    def setup(self) -> None:
        """Makes the layers."""
        product = partial(nn.Dense, use_bias=False)
        self.forwards = Recurrent(self.hidden, self.cell)
        self.backwards = Recurrent(self.hidden, self.cell, backwards=True)
        self.of_d, self.of_a = nn.Dense(2 * self.features), nn.Dense(self.features)
        self.of_last_z, self.of_z = product(2 * self.features), product(self.features)
        self.prior, self.posterior = nn.Dense(2 * self.latent), nn.Dense(2 * self.latent)
        self.generator = MLPGenerator(self.emits, (self.features,))

    def remembered(self, x: Array, mask: Array) -> tuple[Array, CellState]:
        """Returns d `[time, batch, hidden]` for x `[time, batch, *shape]`, and the cell at the end of each sequence."""
        x = flattened(x, self.shape)
        return self.forwards(jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]]), mask)

    def read(self, x: Array, mask: Array) -> Array:
        """Returns the products of d and a, `[time, batch, 3 features]`."""
        d, _ = self.remembered(x, mask)
        a, _ = self.backwards(jnp.concatenate([d, flattened(x, self.shape)], axis=-1), mask)
        return jnp.concatenate([on_rows(self.of_d, d), on_rows(self.of_a, a)], axis=-1)

    def advance(self, d: CellState, x: Array) -> tuple[CellState, Array]:
        """Returns the next d, and its products."""
        d = self.forwards.move(d, flattened(x, self.shape))
        return d, on_rows(self.of_d, d[0])

    def remember(self, z: Array) -> list[Array]:
        """Returns the products of z_{t-1} into the prior and the posterior."""
        return jnp.split(on_rows(self.of_last_z, z), 2, axis=-1)

    def prior_of(self, h: Array) -> tuple[Array, Array]:
        """Returns mean and scale of p(z_t | z_{t-1}, d_t) from the products of its first layer."""
        return _mean_and_scale(on_rows(self.prior, jax.nn.relu(h)))

    def posterior_of(self, h: Array) -> tuple[Array, Array]:
        """Returns the change of the mean, and the scale of q, from the products of its first layer."""
        return _mean_and_scale(on_rows(self.posterior, jax.nn.relu(h)))

    def emit(self, z: Array, of_d: Array) -> Emitted:
        """Returns the parameters of p(x_t | z_t, d_t)."""
        return self.generator(jax.nn.relu(on_rows(self.of_z, z) + of_d))

    def __call__(self, x: Array) -> None:
        """Calls all networks, as `init` needs."""
        of_d, of_emission, of_a = jnp.split(self.read(x[None], jnp.ones((1, len(x)), bool))[0], 3, axis=-1)
        z = jnp.zeros((len(x), self.latent))
        prior, posterior = self.remember(z)
        self.prior_of(prior + of_d), self.posterior_of(posterior + of_a), self.emit(z, of_emission)


def _mean_and_scale(raw: Array) -> tuple[Array, Array]:
    mean, raw_scale = jnp.split(raw, 2, axis=-1)
    return mean, positive(raw_scale)
