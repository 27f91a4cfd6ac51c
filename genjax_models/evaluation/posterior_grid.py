"""p(z | x) itself, of one example and one or two latent dimensions: on a grid that is moved and narrowed to it."""

from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp, softmax

from genjax_models.evaluation.quadrature import check_grid, nodes_at, trapezoidal_rule
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, PRNGKey, Variables


class PiecewiseConstant(distrax.Distribution):
    """A density that is constant in each cell of a grid of equal steps, and zero outside.

    A cell is drawn by the inverse CDF in float32, which tells masses above 1e-7 apart, and a point in it uniformly.

    Args:
      first: the centre of cell (0, ...), `[d]`.
      spacing: sides of a cell, `[d]`.
      log_mass: of the cells, up to a constant, `[n_1, ..., n_d]`; -inf is no mass.

    Raises:
      ValueError: the three disagree about d.
    """

    def __init__(self, first: Array, spacing: Array, log_mass: Array):
        super().__init__()
        self._spacing = np.asarray(spacing, np.float32)
        self._corner = np.asarray(first, np.float32) - self._spacing / 2
        log_mass = np.asarray(log_mass, np.float64)
        if not self._corner.shape == self._spacing.shape == (log_mass.ndim,):
            raise ValueError(
                f"log_mass has {log_mass.ndim} dimensions, first and spacing must have as many numbers,"
                f" got shapes {np.shape(first)} and {np.shape(spacing)}"
            )
        cumulative = np.cumsum(softmax(log_mass))
        self._cumulative = jnp.asarray(cumulative / cumulative[-1], jnp.float32)
        self._log_density = jnp.asarray(log_mass - logsumexp(log_mass) - np.log(self._spacing).sum(), jnp.float32)

    @property
    def event_shape(self) -> tuple[int]:
        """Of a point."""
        return self._spacing.shape

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        cell_key, within_key = jax.random.split(key)
        cells = jnp.searchsorted(self._cumulative, jax.random.uniform(cell_key, (n,)), side="right")
        cells = jnp.stack(jnp.unravel_index(cells, self._log_density.shape), axis=-1)
        return self._corner + (cells + jax.random.uniform(within_key, cells.shape)) * self._spacing

    def log_prob(self, value: Array) -> Array:
        """Of points `[..., d]`, in nats."""
        cells = jnp.floor((value - self._corner) / self._spacing).astype(int)
        inside = jnp.all((cells >= 0) & (cells < jnp.asarray(self._log_density.shape)), axis=-1)
        return jnp.where(inside, self._log_density[tuple(jnp.moveaxis(cells, -1, 0))], -jnp.inf)


class PosteriorGrid(NamedTuple):
    """log p(x, z) of one x in a window about its posterior.

    `axes` are the coordinates of the nodes, `[nodes]` for each dimension of z; `log_joint` `[nodes]` or
    `[nodes, nodes]`, nats, in the order of the axes; `log_likelihood` is log p(x) and `quadrature_error` its distance,
    in nats, to the same rule with twice the spacing.
    """

    axes: tuple[np.ndarray, ...]
    log_joint: np.ndarray
    log_likelihood: float
    quadrature_error: float

    @property
    def z(self) -> Array:
        """The nodes, `[nodes, latent]` or `[nodes, nodes, latent]`."""
        return nodes_at(self.axes)

    @property
    def spacing(self) -> np.ndarray:
        """Steps from node to node, `[latent]`."""
        return np.array(_spacing(self.axes))

    @property
    def posterior(self) -> PiecewiseConstant:
        """p(z | x), constant in the cell about each node.

        As a proposal it has a density of its own, and its weights differ from p(x) by what the posterior varies within
        a cell: Eq. (1.17) of the Torralba-Isola-Freeman draft, with hardly any variance left.
        """
        return PiecewiseConstant([axis[0] for axis in self.axes], self.spacing, self.log_joint)


def posterior_grid(
    model: GeneratorModel | LatentVariableModel,
    variables: Variables,
    x: Array,
    *,
    nodes: int = 161,
    reach: float = 8.0,
    drop: float = 20.0,
) -> PosteriorGrid:
    """The joint in a window that holds the posterior down to `drop` nats below its mode, and log p(x) by its sum.

    Three grids, the first on [-reach, reach]^latent, each next one on the window that the one before has found. A
    posterior in several pieces has one window about all that the first grid sees: a piece that is narrower than its
    spacing may be missed. Values decide on the window, so this cannot be traced by jit or vmap.

    Args:
      model: with a prior over z `[latent]`, latent 1 or 2.
      variables: of the model (one player's, not the players').
      x: one example, `[*shape]`.
      nodes: in each dimension, odd and at least 3. The generator sees `nodes` latents at once.
      reach: where the prior ends.
      drop: nats, of which 20 leave out 2e-9 of a Gaussian posterior.

    Raises:
      ValueError: another prior's dimension, nodes that are no odd integer of at least 3, a reach or drop that is not
        positive, or p(x, z) that is zero, infinite or not a number wherever it is largest.
    """
    prior = model.prior(variables)
    check_grid(prior, nodes, reach)
    if not drop > 0:
        raise ValueError(f"drop must be positive, got {drop!r}")

    @jax.jit
    def joint(z: Array) -> Array:
        return jax.lax.map(lambda z: prior.log_prob(z) + model.likelihood(variables, z).log_prob(x), z)

    (latent,) = prior.event_shape
    window, axes, log_joint, highest = [(-reach, reach)] * latent, (), np.zeros(()), 0.0
    for _ in range(3):
        axes = tuple(np.linspace(low, high, nodes, dtype=np.float32) for low, high in window)
        log_joint = np.asarray(joint(nodes_at(axes)), np.float64)
        highest = log_joint.max()
        if not np.isfinite(highest):
            raise ValueError(f"the largest log p(x, z) on the grid must be finite, got {highest}")
        window = []
        for axis, held in zip(axes, np.nonzero(log_joint > highest - drop), strict=True):
            window.append((axis[max(held.min() - 1, 0)], axis[min(held.max() + 1, nodes - 1)]))
    value, error = trapezoidal_rule(log_joint - highest, _spacing(axes))  # near zero float32 has digits to spare
    return PosteriorGrid(axes, log_joint, float(highest + value), float(error))


def _spacing(axes: tuple[np.ndarray, ...]) -> list[float]:
    return [float((axis[-1] - axis[0]) / (len(axis) - 1)) for axis in axes]
