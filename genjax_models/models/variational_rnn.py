"""The variational recurrent neural network: Chung et al., 2015.

p(z_t | z_<t, x_<t) = N(phi_prior(h_{t-1})),         p(x_t | z_<=t, x_<t) from phi_dec(phi_z(z_t), h_{t-1})
q(z_t | z_<t, x_<=t) = N(phi_enc(phi_x(x_t), h_{t-1})),          h_t = f(phi_x(x_t), phi_z(z_t), h_{t-1})
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_count
from genjax_models.estimators.filtering import Step
from genjax_models.models.families import Family
from genjax_models.models.posteriors import gaussian_of
from genjax_models.models.sequential import Generation, SequentialModel, once, sequential_model
from genjax_models.networks.mlp import MLP, MLPGenerator
from genjax_models.networks.outputs import Emits, Emitted
from genjax_models.networks.recurrent import CellName, CellState, cell_of
from genjax_models.networks.shapes import flattened, on_rows
from genjax_models.types import Array, Shape, Variables


def variational_rnn(
    likelihood: Family,
    *,
    steps: int,
    latent: int = 32,
    hidden: int = 64,
    features: int | None = None,
    layers: int = 1,
    cell: CellName = "lstm",
) -> SequentialModel:
    """Returns a variational RNN. q sees the past and the present, so that it can filter.

    Args:
      likelihood: family of p(x_t | z_<=t, x_<t), over one step.
      steps: number of steps that `sample` draws if no length is given.
      latent: dimensions of z_t.
      hidden: units of the recurrent cell.
      features: width of the layers of phi_x, phi_z, phi_prior, phi_enc and phi_dec; None is `hidden`.
      layers: number of hidden layers in each of them.
      cell: "lstm" or "gru".

    Raises:
      ValueError: a size is no integer of at least 1, or the cell is unknown.
    """
    features = hidden if features is None else features
    for name, size in {"latent": latent, "features": features, "layers": layers}.items():
        check_count(name, size)
    shape = tuple(likelihood.event_shape)
    networks = _Networks(shape, likelihood.outputs, latent, hidden, features, layers, cell)
    unit = cell_of(cell, hidden)

    def start(variables: Variables, x: Array, mask: Array) -> tuple[CellState, Array]:
        return unit.start(mask.shape[1:]), networks.apply(variables, x, method="read")

    def parts(variables: Variables, state: CellState):
        """Returns the parts of a step that q and p share."""
        of = partial(networks.apply, variables)
        prior, encoder, decoder, gates = of(state[0], method="remember")
        of_z = once(lambda z: of(z, method="consider"))
        distribution = lambda name, h: gaussian_of(of(h, method=name))
        emission = lambda z: likelihood.distribution(of(decoder + of_z(z)[0], method="emit"))
        move = lambda z, of_x: unit.move(of_x + of_z(z)[1], gates, state)
        return distribution("prior_of", prior), partial(distribution, "posterior_of"), encoder, emission, move

    def step(variables: Variables, state: CellState, context: Array) -> Step:
        prior, posterior, encoder, emission, move = parts(variables, state)
        of_encoder, of_gates = context[None, ..., :features], context[None, ..., features:]
        return Step(posterior(encoder + of_encoder), prior, emission, lambda z: move(z, of_gates))

    def generate(variables: Variables, state: CellState) -> Generation:
        prior, _, _, emission, move = parts(variables, state)
        of_gates = lambda x: networks.apply(variables, x, method="read")[..., features:]
        return Generation(prior, emission, lambda z, x: move(z, of_gates(x)))

    return sequential_model(
        init=networks.init,
        start=start,
        step=step,
        first=lambda variables, n: unit.start((n,)),
        generate=generate,
        likelihood=likelihood,
        steps=steps,
    )


class _Networks(nn.Module):
    """All networks. The first layers of those that read h are one product."""

    shape: Shape
    emits: Emits
    latent: int
    hidden: int
    features: int
    layers: int
    cell: CellName

    def setup(self):
        """Makes the layers."""
        width, gates = self.features, cell_of(self.cell, self.hidden)
        of_input = partial(nn.Dense, width + gates.width, use_bias=False)
        bias = lambda *_: jnp.concatenate([jnp.zeros(3 * width), gates.bias()])
        self.of_hidden = nn.Dense(3 * width + gates.width, bias_init=bias)
        self.x_features, self.of_x = MLP((width,) * self.layers), of_input()
        self.z_features, self.of_z = MLP((width,) * self.layers), of_input()
        self.prior_layers, self.prior = MLP((width,) * (self.layers - 1)), nn.Dense(2 * self.latent)
        self.posterior_layers, self.posterior = MLP((width,) * (self.layers - 1)), nn.Dense(2 * self.latent)
        self.generator = MLPGenerator(self.emits, (width,) * (self.layers - 1))

    def read(self, x: Array) -> Array:
        """Returns the products of phi_x(x) into phi_enc and the gates, `[..., features + gates]`."""
        return on_rows(lambda rows: self.of_x(self.x_features(rows)), flattened(x, self.shape))

    def remember(self, h: Array) -> list[Array]:
        """Returns the products of h into phi_prior, phi_enc, phi_dec and the gates."""
        return jnp.split(on_rows(self.of_hidden, h), np.arange(1, 4) * self.features, axis=-1)

    def consider(self, z: Array) -> list[Array]:
        """Returns the products of phi_z(z) into phi_dec and the gates."""
        return jnp.split(on_rows(lambda rows: self.of_z(self.z_features(rows)), z), [self.features], axis=-1)

    def prior_of(self, h: Array) -> Array:
        """Returns the parameters of p(z_t | z_<t, x_<t) from the products of its first layer."""
        return on_rows(lambda rows: self.prior(self.prior_layers(jax.nn.relu(rows))), h)

    def posterior_of(self, h: Array) -> Array:
        """Returns the parameters of q(z_t | z_<t, x_<=t) from the products of its first layer."""
        return on_rows(lambda rows: self.posterior(self.posterior_layers(jax.nn.relu(rows))), h)

    def emit(self, h: Array) -> Emitted:
        """Returns the parameters of p(x_t | z_<=t, x_<t) from the products of its first layer."""
        return self.generator(jax.nn.relu(h))

    def __call__(self, x: Array) -> None:
        """Calls all networks, as `init` needs."""
        self.read(x)
        prior, encoder, decoder, _ = self.remember(jnp.zeros((len(x), self.hidden)))
        self.consider(jnp.zeros((len(x), self.latent)))
        self.prior_of(prior), self.posterior_of(encoder), self.emit(decoder)
