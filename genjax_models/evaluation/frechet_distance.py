"""The Fréchet distance between the features of samples and of data, both taken as Gaussian: Dowson and Landau (1982).

    |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))

with means m, m' and covariances S, S' (of 1 / (n - 1), as in torch-fidelity and pytorch-fid): the squared 2-Wasserstein
distance of the two Gaussians. On Inception's features it is the FID of Heusel et al. (2017). On other features it is
another figure, which does not compare with the FID.

No matrix root is computed. A QR decomposition of the centred features gives X - m = sqrt(n - 1) Q R and S = R^T R. The
eigenvalues of S S' are the squared singular values of R R'^T, and the trace of the root is the sum of singular values:

    R R'^T = U diag(s) V^T               tr (S S')^(1/2) = sum_i s_i

Nothing is squared on the way. So eigenvalues near zero keep their digits, in float32 too, and nothing becomes complex.
Covariances may be singular (fewer points than features). On the host, where both covariances are far from singular, R
is the Cholesky factor of S, and R R'^T is decomposed by the eigenvectors of its square: see `_by_covariances`.

The estimate is biased upwards, by about C / n with a C that depends on the model. Figures of different n and m do not
compare, and n can change the order of two generators (Chong and Forsyth, 2020). New data of the same distribution are
above zero too; training data in place of samples show by how much.
"""

import jax.numpy as jnp
import numpy as np

from genjax_models.evaluation.features import check_features
from genjax_models.types import Array, Tracer

_LEAST_SQUARE = 1e-12  # of the least s^2 to the greatest: rounding is about 1e-15 of the greatest
_ROWS = 2_048  # of a block: a large array costs more time for its memory than for its numbers


def frechet_distance(samples: Array, data: Array) -> tuple[Array, Array]:
    """Returns the squared distance and its standard error, two scalars.

    Concrete arrays are computed in float64, on the host. Tracers keep the features' precision; in float32 the error is
    about 1e-6 of the features' variance.

    The standard error follows from the limit law (Rippl, Munk and Sturm, 2016). Let T transport one Gaussian to the
    other. Then x changes the distance by 2 (m - m')^T (x - m) + (x - m)^T (I - T) (x - m), and the same decompositions
    give T. The error is about the figure's mean at these n and m, without the bias. If the distributions are equal, it
    is too large by a factor of about sqrt(2).

    Args:
      samples: features `[n, d]`, n at least 2.
      data: features `[m, d]`, m at least 2.

    Raises:
      ValueError: too few rows, or features of two sizes or not finite. While tracing, values are not checked: a
        distance that float32 cannot hold is infinite, or 0 if it is below 1e-38.
    """
    check_features(2, samples=samples, data=data)
    if not any(isinstance(x, Tracer) for x in (samples, data)):
        x, y = np.asarray(samples), np.asarray(data)
        return _by_covariances(x, y) or _by_qr(x.astype(np.float64), y.astype(np.float64), np)
    unit = jnp.maximum(*(jnp.max(jnp.abs(x)) for x in (samples, data)))  # or fourth powers would leave float32 early
    unit = jnp.where(unit > 0, unit, 1)
    value, error = _by_qr(samples / unit, data / unit, jnp)
    return value * unit * unit, error * unit * unit


def _by_qr(x, y, xp):
    """Returns the distance and its error from all rows at once."""
    x_mean, y_mean = x.mean(axis=0, keepdims=True), y.mean(axis=0, keepdims=True)
    x, y, shift = x - x_mean, y - y_mean, (x_mean - y_mean)[0]
    (x_rows, x_root), (y_rows, y_root) = (xp.linalg.qr(z / (len(z) - 1) ** 0.5) for z in (x, y))
    u, s, vt = xp.linalg.svd(x_root @ y_root.T, full_matrices=False)
    stretches = lambda z, axes: xp.sum(z**2, axis=1) - (len(z) - 1) * axes**2 @ s  # axes: of Q U, of Q' V
    x_moves, y_moves = stretches(x, x_rows @ u) + x @ (2 * shift), stretches(y, y_rows @ vt.T) - y @ (2 * shift)
    traces = sum(xp.einsum("ij,ij", z, z) / (len(z) - 1) for z in (x, y))
    value = xp.sum(shift**2) + traces - 2 * xp.sum(s)
    error = xp.sqrt(xp.var(x_moves) / (len(x) - 1) + xp.var(y_moves) / (len(y) - 1))
    return xp.maximum(value, 0), error


def _by_covariances(x, y):
    """Returns `_by_qr` from S = R^T R and (R R'^T)^T R R'^T = V diag(s^2) V^T, in less time.

    Returns None if a covariance is singular or nearly so, because squares lose digits where s is small. The products of
    all rows with I - T are in float32: only the standard error needs them.
    """
    (x_mean, x_covariance), (y_mean, y_covariance) = _moments(x), _moments(y)
    try:
        x_root, y_root = (np.linalg.cholesky(covariance).T for covariance in (x_covariance, y_covariance))
    except np.linalg.LinAlgError:
        return None
    product, shift = x_root @ y_root.T, x_mean - y_mean
    squares, v = np.linalg.eigh(product.T @ product)
    if squares[0] < _LEAST_SQUARE * squares[-1]:
        return None
    s = np.sqrt(squares)
    axes = y_root.T @ (v / np.sqrt(s))
    transport = axes @ axes.T  # its inverse is the T of y
    x_variance = np.var(_moves(x, x_mean, 2 * shift, transport, np.diag(x_covariance).max() ** 0.5))
    y_variance = np.var(_moves(y, y_mean, -2 * shift, np.linalg.inv(transport), np.diag(y_covariance).max() ** 0.5))
    value = np.sum(shift**2) + np.trace(x_covariance) + np.trace(y_covariance) - 2 * np.sum(s)
    return np.maximum(value, 0), np.sqrt(x_variance / (len(x) - 1) + y_variance / (len(y) - 1))


def _moments(x):
    """Returns the mean and the covariance, from one pass over the rows."""
    near = np.asarray(np.mean(x[:_ROWS], axis=0, dtype=np.float64))
    total, squares = np.zeros_like(near), np.zeros((len(near), len(near)))
    memory = np.empty((min(_ROWS, len(x)), len(near)))
    for block in _blocks(x):
        z = memory[: len(block)]
        z[:] = block
        z -= near
        total += z.sum(axis=0)
        squares += z.T @ z
    shift = total / len(x)
    return near + shift, (squares - len(x) * np.outer(shift, shift)) / (len(x) - 1)


def _moves(x, mean, slope, transport, unit):
    """Returns by how much each row changes the distance `[n]`, up to a constant.

    It is slope^T z + z^T (I - T) z of z = x - mean. In float32 the mean is rounded, which moves the slope.
    """
    still, near = np.eye(len(mean)) - transport, mean.astype(np.float32)
    slope = ((slope - 2 * still @ (mean - near)) / unit).astype(np.float32)
    still = still.astype(np.float32)
    rows = (((block - near) / float(unit)).astype(np.float32, copy=False) for block in _blocks(x))
    return unit**2 * np.concatenate([np.einsum("ij,ij->i", z @ still + slope, z) for z in rows])


def _blocks(x):
    return (x[first : first + _ROWS] for first in range(0, len(x), _ROWS))
