"""Dependence between the dimensions of z under the aggregate posterior q(z), and penalties on it.

With N examples, q(z) = 1/N sum_n q(z | x_n). Its total correlation is

    TC = KL(q(z) || prod_j q(z_j)) = E_q[log q(z) - sum_j log q(z_j)].

It is 0 if the dimensions are independent, and positive otherwise. It is one of three parts of the KL of a VAE:

    E_n KL(q(z | x_n) || p(z)) = I(n; z) + TC + sum_j KL(q(z_j) || p(z_j))          Chen et al., 2018, Eq. (2)

Three estimates of it, or of what it stands for: `aggregate_log_densities` estimates log q(z) from a batch (beta-TCVAE);
a discriminator tells draws of q(z) from `permuted` draws (FactorVAE); `covariance_penalty` sees only the covariance
(DIP-VAE).
"""

from typing import Any, Literal, NamedTuple, get_args

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_count, check_floating
from genjax_models.types import Array, PRNGKey, Shape

Weights = Literal["even", "stratified", "weighted"]

_LOG_2_PI = 1.8378770664093453
_HIGHEST = jax.lax.Precision.HIGHEST


def gaussian_total_correlation(covariance: Array) -> Array:
    """Returns the total correlation of N(mean, covariance), in nats: -1/2 log det of the correlation matrix.

    Args:
      covariance: positive definite, `[..., d, d]`. NaN is returned for other matrices.

    Returns:
      The total correlation, `[...]`.

    Raises:
      ValueError: `covariance` is not `[..., d, d]`, or not floating point.
    """
    check_floating("covariance", covariance)
    if covariance.ndim < 2 or covariance.shape[-1] != covariance.shape[-2]:
        raise ValueError(f"covariance must be [..., d, d], got {covariance.shape}")
    log_variances = jnp.log(jnp.diagonal(covariance, axis1=-2, axis2=-1))
    root = jnp.diagonal(jnp.linalg.cholesky(covariance), axis1=-2, axis2=-1)
    return jnp.sum(log_variances / 2 - jnp.log(root), axis=-1)


class AggregateLogDensities(NamedTuple):
    """Estimates of `joint` log q(z) and of `product` sum_j log q(z_j), each `[batch]`, in nats."""

    joint: Array
    product: Array

    @property
    def total_correlation(self) -> Array:
        """Mean of log q(z) - sum_j log q(z_j) over the batch, a scalar in nats."""
        return jnp.mean(self.joint - self.product)


def aggregate_log_densities(
    z: Array, mean: Array, log_variance: Array, dataset_size: int, weights: Weights = "even"
) -> AggregateLogDensities:
    """Returns estimates of log q(z) and sum_j log q(z_j) from a batch of Gaussians q(z | x) = N(mean, variance).

    For row i, sum_m w_im q(z_i | x_m) stands for q(z_i), and its logarithm for log q(z_i). Each q(z_ij) has the same
    weights. With N = dataset_size and a batch of M + 1 examples, the weights are

    ============ ================ ============================ ==========================================
    weights      m = i            other m                      source
    ============ ================ ============================ ==========================================
    "even"       1 / N            (N - 1) / (N M)
    "stratified" 1 / N            (N - M) / (N M) for one m,   MSS of Chen et al., 2018, appendix C.2
                                  1 / M for the rest
    "weighted"   1 / (N (M + 1))  1 / (N (M + 1))              MWS of Chen et al., 2018, Eq. (3)
    ============ ================ ============================ ==========================================

    The first two sums have the expectation q(z_i) over batches without repeated examples, so that the logarithm is low
    on average (Jensen). With a batch of all N examples "even" is exact. The published code of "stratified" gives the
    weights of two columns to all rows; here they lie on diagonals, as the derivation has it. The constants of
    "weighted" are wrong, and its gradient is usable: with all N examples TC is too high by (d - 1) log N.

    Args:
      z: one draw of each q(z | x), `[batch, d]`.
      mean: means of q(z | x), `[batch, d]`.
      log_variance: logarithms of the variances, `[batch, d]`.
      dataset_size: N, at least the size of the batch.
      weights: see the table.

    Returns:
      Both estimates, `[batch]`, differentiable in z, mean and log_variance.

    Raises:
      ValueError: the arrays are not `[batch, d]` of one shape, the batch has fewer than 2 rows, `dataset_size` is no
        integer of at least the batch, or `weights` is unknown.
    """
    batch = _check_rows(z=z, mean=mean, log_variance=log_variance)
    if weights not in get_args(Weights):
        raise ValueError(f"weights must be one of {get_args(Weights)}, got {weights!r}")
    check_count("dataset_size", dataset_size, at_least=batch)
    log_weights = jnp.asarray(np.log(_weights(batch, dataset_size, weights)), z.dtype)
    z, mean, log_variance = z.T[:, :, None], mean.T[:, None, :], log_variance.T[:, None, :]
    squares = (z - mean) ** 2 * jnp.exp(-log_variance)
    log_densities = -0.5 * (squares + log_variance + _LOG_2_PI)  # log q(z_ij | x_m), [j, i, m]
    joint = jax.nn.logsumexp(log_weights + jnp.sum(log_densities, axis=0), axis=1)
    marginals = jax.nn.logsumexp(log_weights[None] + log_densities, axis=2)
    return AggregateLogDensities(joint, jnp.sum(marginals, axis=0))


def permuted(key: PRNGKey, z: Array) -> Array:
    """Returns codes z `[n, d]` with a permutation of its own for each dimension: draws of prod_j q(z_j).

    One permutation for all dimensions would only exchange the rows, and draw from q(z) again (Kim and Mnih, 2018,
    Algorithm 1).

    Raises:
      ValueError: z is not `[n, d]` with at least 2 rows.
    """
    _check_rows(z=z)
    return jax.random.permutation(key, z, axis=0, independent=True)


class CovariancePenalty(NamedTuple):
    """Sums of squares: of the covariances `off_diagonal`, and of the differences of variances from 1, `diagonal`."""

    off_diagonal: Array
    diagonal: Array


def covariance_penalty(mean: Array, variance: Array | None = None) -> CovariancePenalty:
    """Returns the distance of a covariance from the identity, in the two parts of DIP-VAE (Kumar et al., 2018).

    The covariance is over the batch, divided by its size. Without `variance` it is of the means of q(z | x): DIP-VAE-I,
    Eq. (6). With `variance` it is of q(z), which adds the mean of the variances: DIP-VAE-II, Eq. (7).

    Args:
      mean: means of q(z | x), `[batch, d]`.
      variance: variances of a q(z | x) of independent dimensions, `[batch, d]`, or None.

    Returns:
      sum over i != j of C_ij^2, and sum over i of (C_ii - 1)^2, without their weights.

    Raises:
      ValueError: the arrays are not `[batch, d]` of one shape with at least 2 rows.
    """
    _check_rows(mean=mean, **({} if variance is None else {"variance": variance}))
    centred = mean - jnp.mean(mean, axis=0, keepdims=True)
    covariance = jnp.matmul(centred.T, centred, precision=_HIGHEST) / len(mean)
    variances = jnp.diagonal(covariance)
    if variance is not None:
        variances = variances + jnp.mean(variance, axis=0)
    off_diagonal = covariance * (1 - jnp.eye(len(covariance), dtype=covariance.dtype))
    return CovariancePenalty(jnp.sum(off_diagonal**2), jnp.sum((variances - 1) ** 2))


def gaussian_parameters(posterior: distrax.Distribution) -> tuple[Array, Array]:
    """Returns mean and log-variance, `[batch, d]`, of a q(z | x) of independent Gaussian numbers.

    Raises:
      ValueError: q is another distribution.
    """
    each: Any = getattr(posterior, "distribution", None)
    if not (isinstance(posterior, distrax.Independent) and isinstance(each, distrax.Normal)):
        raise ValueError(
            f"a penalty on q(z) needs a q(z | x) of independent Gaussian numbers, got {posterior.name}. Use"
            " diagonal_gaussian."
        )
    return each.loc, 2 * jnp.log(each.scale)


def _weights(batch: int, dataset_size: int, weights: Weights) -> np.ndarray:
    """Returns the weights of example m (columns) in the density at z_i (rows), `[batch, batch]`."""
    total, others = dataset_size, batch - 1
    if weights == "weighted":
        return np.full((batch, batch), 1 / (total * batch))
    own = np.eye(batch)
    if weights == "even":
        return own / total + (1 - own) * (total - 1) / (total * others)
    one_other = np.roll(own, 1, axis=1)
    return own / total + one_other * (total - others) / (total * others) + (1 - own - one_other) / others


def _check_rows(**arrays: Array) -> int:
    """Returns the number of rows. Raises ValueError unless all arrays are `[rows, d]`, of one shape and 2 rows."""
    shapes: list[Shape] = [jnp.shape(array) for array in arrays.values()]
    names = ", ".join(arrays)
    if len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ValueError(f"{names} must be [batch, d] of one shape, got {', '.join(map(str, shapes))}")
    if shapes[0][0] < 2:
        raise ValueError(f"{names} must have at least 2 rows, got {shapes[0][0]}")
    for name, array in arrays.items():
        check_floating(name, array)
    return shapes[0][0]
