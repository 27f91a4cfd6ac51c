"""p(z | x) of one example with one or two latent dimensions, on a grid that zooms in on the posterior."""

from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp, softmax

from genjax_models.evaluation.quadrature import (
    check_continuous,
    check_grid,
    check_positive,
    nodes_at,
    support,
    trapezoidal_rule,
)
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, PRNGKey, Variables


class PiecewiseConstant(distrax.Distribution):
    """A density that is constant in each cell of an even grid, and zero outside.

    A draw takes a cell by the inverse CDF in float32, which resolves masses above 1e-7, and then a uniform point in it.

    Args:
      first: centre of the first cell, `[d]`.
      spacing: sides of a cell, `[d]`.
      log_mass: log mass of each cell, up to a constant, `[n_1, ..., n_d]`; -inf is no mass.

    Raises:
      ValueError: the arguments have different d.
    """

    def __init__(self, first: Array, spacing: Array, log_mass: Array):
        super().__init__()
        self._spacing = np.asarray(spacing, np.float32)
        self._corner = np.asarray(first, np.float32) - self._spacing / 2
        log_mass = np.asarray(log_mass, np.float64)
        if not self._corner.shape == self._spacing.shape == (log_mass.ndim,):
            raise ValueError(
                f"`first` and `spacing` must have as many numbers as `log_mass` has dimensions, {log_mass.ndim},"
                f" got shapes {np.shape(first)} and {np.shape(spacing)}"
            )
        cumulative = np.cumsum(softmax(log_mass))
        self._cumulative = jnp.asarray(cumulative / cumulative[-1], jnp.float32)
        self._log_density = jnp.asarray(log_mass - logsumexp(log_mass) - np.log(self._spacing).sum(), jnp.float32)

    @property
    def event_shape(self) -> tuple[int]:
        """Returns the shape of a point, `(d,)`."""
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
    """log p(x, z) of one x in a window around its posterior.

    Attributes:
      axes: coordinates of the nodes, `[nodes]` for each dimension of z.
      log_joint: log p(x, z) at the nodes, `[nodes]` or `[nodes, nodes]`, nats, in the order of the axes.
      log_likelihood: log p(x), in nats.
      quadrature_error: distance from `log_likelihood` to the result with twice the spacing, in nats; infinite if
        p(x, z) is zero at a node.
    """

    axes: tuple[np.ndarray, ...]
    log_joint: np.ndarray
    log_likelihood: float
    quadrature_error: float

    @property
    def z(self) -> Array:
        """Returns the nodes, `[nodes, latent]` or `[nodes, nodes, latent]`."""
        return nodes_at(self.axes)

    @property
    def spacing(self) -> np.ndarray:
        """Returns the distance of neighbouring nodes in each dimension, `[latent]`."""
        return np.array(_spacing(self.axes))

    @property
    def posterior(self) -> PiecewiseConstant:
        """Returns p(z | x) as a density that is constant in the cell around each node.

        It is a proposal of almost no variance, Eq. (1.17) of the Torralba-Isola-Freeman draft: its weights differ from
        p(x) only by the variation of the posterior within a cell.
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
    """Returns the joint in a window around the posterior, down to `drop` nats below its mode, and log p(x) by its sum.

    It uses three grids: the first on [-reach, reach]^latent, the others on the window of the grid before. A posterior
    in several pieces has one window around all pieces that the first grid hits; a piece that is narrower than its
    spacing may be missed. The window depends on values, so the function cannot be traced by jit or vmap.

    Args:
      model: a model with a prior over z `[latent]`, latent 1 or 2.
      variables: variables of the model (of one player, not of all players).
      x: one example, `[*shape]`.
      nodes: nodes in each dimension, odd and at least 3. The generator sees `nodes` latents at once.
      reach: end of the first grid in each dimension; a uniform prior has its support instead.
      drop: depth of the window, in nats; 20 leave out 2e-9 of a Gaussian posterior.

    Raises:
      ValueError: the prior has another dimension, or is zero on the grid without being uniform; the likelihood is
        uniform noise; `nodes` is not an odd integer of at least 3, `reach` or `drop` is not positive, or the largest
        p(x, z) is zero, infinite or not a number.
    """
    prior = model.prior(variables)
    check_grid(prior, nodes, reach)
    if not drop > 0:
        raise ValueError(f"`drop` must be positive, got {drop!r}")

    @jax.jit
    def joint(z: Array) -> Array:
        def of_row(z: Array) -> Array:
            likelihood = model.likelihood(variables, z)
            check_continuous(likelihood)
            return prior.log_prob(z) + likelihood.log_prob(x)

        return jax.lax.map(of_row, z)

    window = [(float(low), float(high)) for low, high in support(prior, reach)]
    axes, log_joint, highest = (), np.zeros(()), 0.0
    for _ in range(3):
        axes = tuple(np.linspace(low, high, nodes, dtype=np.float32) for low, high in window)
        check_positive(prior, axes)
        log_joint = np.asarray(joint(nodes_at(axes)), np.float64)
        highest = log_joint.max()
        if not np.isfinite(highest):
            raise ValueError(f"the largest log p(x, z) on the grid must be finite, got {highest}")
        window = []
        for axis, inside in zip(axes, np.nonzero(log_joint > highest - drop), strict=True):
            window.append((axis[max(inside.min() - 1, 0)], axis[min(inside.max() + 1, nodes - 1)]))
    value, error = trapezoidal_rule(log_joint - highest, _spacing(axes))  # near zero, float32 keeps its digits
    return PosteriorGrid(axes, log_joint, float(highest + value), float(error))


def _spacing(axes: tuple[np.ndarray, ...]) -> list[float]:
    return [float((axis[-1] - axis[0]) / (len(axis) - 1)) for axis in axes]
