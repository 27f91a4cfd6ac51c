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
is the Cholesky factor of S, and R R'^T is decomposed by the eigenvectors of its square: see `_by_products`.

The estimate is biased upwards, by about C / n with a C that depends on the model. Figures of different n and m do not
compare, and n can change the order of two generators (Chong and Forsyth, 2020). New data of the same distribution are
above zero too; training data in place of samples show by how much.
"""

import jax.numpy as jnp
import numpy as np
import scipy.linalg

from genjax_models.evaluation.features import check_features
from genjax_models.types import Array, Tracer

_LEAST_SQUARE = 1e-12  # of the least s^2 to the greatest: rounding is about 1e-15 of the greatest


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
        return _distance(np.asarray(samples, np.float64), np.asarray(data, np.float64), np, _by_products)
    unit = jnp.maximum(*(jnp.max(jnp.abs(x)) for x in (samples, data)))  # or fourth powers would leave float32 early
    unit = jnp.where(unit > 0, unit, 1)
    value, error = _distance(samples / unit, data / unit, jnp, _by_qr)
    return value * unit * unit, error * unit * unit


def _distance(x, y, xp, decompose):
    x_mean, y_mean = x.mean(axis=0, keepdims=True), y.mean(axis=0, keepdims=True)
    x, y, shift = x - x_mean, y - y_mean, (x_mean - y_mean)[0]
    s, x_stretches, y_stretches = decompose(x, y, xp)
    traces = sum(xp.einsum("ij,ij", z, z) / (len(z) - 1) for z in (x, y))
    value = xp.sum(shift**2) + traces - 2 * xp.sum(s)
    x_moves, y_moves = x @ (2 * shift) + x_stretches, y @ (-2 * shift) + y_stretches
    error = xp.sqrt(xp.var(x_moves) / (len(x) - 1) + xp.var(y_moves) / (len(y) - 1))
    return xp.maximum(value, 0), error


def _by_qr(x, y, xp):
    """Returns the singular values of R R'^T, and z^T (I - T) z of each row z of x `[n]` and of y `[m]`."""
    (x_rows, x_root), (y_rows, y_root) = (xp.linalg.qr(z / (len(z) - 1) ** 0.5) for z in (x, y))
    u, s, vt = xp.linalg.svd(x_root @ y_root.T, full_matrices=False)
    stretches = lambda z, axes: xp.sum(z**2, axis=1) - (len(z) - 1) * axes**2 @ s  # axes: of Q U, of Q' V
    return s, stretches(x, x_rows @ u), stretches(y, y_rows @ vt.T)


def _by_products(x, y, xp):
    """Returns `_by_qr` from S = R^T R and (R R'^T)^T R R'^T = V diag(s^2) V^T, in less time.

    Squares lose digits where s is small. So `_by_qr` takes covariances that are singular or nearly so. The products of
    all rows with I - T are in float32: only the standard error needs them.
    """
    try:
        x_root, y_root = (np.linalg.cholesky(z.T @ z / (len(z) - 1)).T for z in (x, y))
    except np.linalg.LinAlgError:
        return _by_qr(x, y, xp)
    product = x_root @ y_root.T
    squares, v = np.linalg.eigh(product.T @ product)
    if squares[0] < _LEAST_SQUARE * squares[-1]:
        return _by_qr(x, y, xp)
    s = np.sqrt(squares)

    def stretches(z, axes):  # T = axes diag(s) axes^T
        unit = np.abs(z).max()
        z = (z / unit).astype(np.float32)
        still = np.eye(len(axes)) - axes * s @ axes.T
        return np.einsum("ij,ij->i", z @ still.astype(np.float32), z, dtype=np.float64) * unit**2

    x_axes, y_axes = y_root.T @ (v / s), scipy.linalg.solve_triangular(y_root, v)  # Q U = x x_axes, Q' V = y y_axes
    return s, stretches(x, x_axes), stretches(y, y_axes)
