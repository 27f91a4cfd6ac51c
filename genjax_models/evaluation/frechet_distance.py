"""The Fréchet distance of two samples' features, as if both were Gaussian: Dowson and Landau (1982).

    |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))

with means m, m' and covariances S, S' (of 1 / (n - 1), as in torch-fidelity and pytorch-fid): the squared 2-Wasserstein
distance of the two Gaussians. On Inception's features it is the FID of Heusel et al. (2017), and on others another
figure, which does not compare with it.

No root of a matrix is taken. With X - m = sqrt(n - 1) Q R and S = R^T R, by a QR decomposition of the centred features,
the eigenvalues of S S' are the squared singular values of R R'^T, and the trace of the root is the sum of these:

    R R'^T = U diag(s) V^T               tr (S S')^(1/2) = sum_i s_i

Nothing is squared on the way, so that half of the digits are not lost at eigenvalues near zero, in float32 neither;
covariances may be singular (fewer points than features); nothing becomes complex.

The estimate is biased upwards, by about C / n where C depends on the model: figures of different n and m do not
compare, and two generators can trade places with n (Chong and Forsyth, 2020). New data of the same distribution are
not at zero either: training data in place of samples show how far above it.
"""

import jax.numpy as jnp
import numpy as np

from genjax_models.evaluation.features import check_features
from genjax_models.types import Array, Tracer


def frechet_distance(samples: Array, data: Array) -> tuple[Array, Array]:
    """The squared distance and its standard error: two scalars.

    Of arrays on hand it is computed in float64, on the host. While tracing it is in the features' own precision:
    in float32 good to about 1e-6 of the features' variance.

    The standard error is that of the limit law (Rippl, Munk and Sturm, 2016): with T the map that transports the one
    Gaussian to the other, x moves the distance by 2 (m - m')^T (x - m) + (x - m)^T (I - T) (x - m), and T comes out of
    the same decompositions. It is that of the figure about its own mean at these n and m; the bias above is not in it.
    Where the distributions are equal it is the larger of the two by about sqrt(2).

    Args:
      samples: features `[n, d]`, n at least 2.
      data: features `[m, d]`, m at least 2.

    Raises:
      ValueError: too few, or features of two sizes or not finite.
    """
    check_features(2, samples=samples, data=data)
    if any(isinstance(x, Tracer) for x in (samples, data)):
        return _distance(samples, data, jnp)
    return _distance(np.asarray(samples, np.float64), np.asarray(data, np.float64), np)


def _distance(x, y, xp):
    x, y, shift = x - x.mean(axis=0), y - y.mean(axis=0), x.mean(axis=0) - y.mean(axis=0)
    (x_rows, x_root), (y_rows, y_root) = (xp.linalg.qr(z / (len(z) - 1) ** 0.5) for z in (x, y))
    u, s, vt = xp.linalg.svd(x_root @ y_root.T, full_matrices=False)
    value = xp.sum(shift**2) + xp.sum(x_root**2) + xp.sum(y_root**2) - 2 * xp.sum(s)
    x_moves = 2 * x @ shift + xp.sum(x**2, axis=1) - (len(x) - 1) * (x_rows @ u) ** 2 @ s
    y_moves = -2 * y @ shift + xp.sum(y**2, axis=1) - (len(y) - 1) * (y_rows @ vt.T) ** 2 @ s
    return value, xp.sqrt(xp.var(x_moves) / (len(x) - 1) + xp.var(y_moves) / (len(y) - 1))
