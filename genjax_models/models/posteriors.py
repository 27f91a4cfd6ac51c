"""Families for q(z | x)."""

import distrax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.distributions import FullCovarianceNormal, diagonal_normal
from genjax_models.models.families import Family, positive
from genjax_models.networks.outputs import Output
from genjax_models.types import Array


def diagonal_gaussian(latent: int) -> Family:
    """Returns N(mean, diag(scale^2)) over z `[latent]`, the usual choice (Kingma and Welling, 2014)."""
    return Family(
        event_shape=(latent,),
        outputs={"mean": Output((latent,)), "raw_scale": Output((latent,))},
        distribution=lambda p: diagonal_normal(p["mean"], positive(p["raw_scale"])),
    )


def gaussian_of(raw: Array) -> distrax.Distribution:
    """Returns N(mean, diag(scale^2)) of one array `[..., 2 latent]`, so that one product emits mean and scale."""
    mean, raw_scale = jnp.split(raw, 2, axis=-1)
    return diagonal_normal(mean, positive(raw_scale))


def full_covariance_gaussian(latent: int) -> Family:
    """Returns N(mean, L L') over z `[latent]`: models correlations, with latent^2 / 2 more outputs than a diagonal."""
    rows, columns = np.tril_indices(latent)
    on_diagonal = rows == columns

    def distribution(p):
        entries = jnp.where(on_diagonal, positive(p["raw_factor"]), p["raw_factor"])
        factor = jnp.zeros((*entries.shape[:-1], latent, latent)).at[..., rows, columns].set(entries)
        return FullCovarianceNormal(p["mean"], factor)

    outputs = {"mean": Output((latent,)), "raw_factor": Output((len(rows),))}
    return Family((latent,), outputs, distribution)


def coupling_flow(latent: int, layers: int = 2) -> Family:
    """Returns a diagonal Gaussian transformed by affine couplings (Dinh et al., 2017) that the encoder emits per x.

    Each layer keeps every other number of z and moves the rest: z_j <- z_j exp(s_j) + t_j, where s = tanh(S h) and
    t = T h are functions of h = tanh(z) of the kept numbers; in the next layer the two halves change roles. Nonlinear
    dependence between the numbers of z is possible. q has neither a closed KL nor a closed mean: the `elbo` needs
    form="monte_carlo".

    Args:
      latent: dimensions of z, at least 2: a single number could not be moved.
      layers: number of couplings; two move every number once.

    Raises:
      ValueError: fewer than 2 dimensions, or fewer than 1 layer.
    """
    if latent < 2 or layers < 1:
        raise ValueError(f"couplings need at least 2 dimensions and 1 layer, got {latent} and {layers}")

    def distribution(p):
        base = diagonal_normal(p["mean"], positive(p["raw_scale"]))
        couplings = [
            _coupling(
                np.arange(latent) % 2 == layer % 2, p["log_scales"][..., layer, :, :], p["shifts"][..., layer, :, :]
            )
            for layer in range(layers)
        ]
        return distrax.Transformed(base, distrax.Chain(couplings[::-1]))  # a chain applies its last first

    weights = Output((layers, latent, latent))
    vectors = {"mean": Output((latent,)), "raw_scale": Output((latent,))}
    return Family((latent,), {**vectors, "log_scales": weights, "shifts": weights}, distribution)


def _coupling(kept: np.ndarray, log_scales: Array, shifts: Array) -> distrax.MaskedCoupling:
    """Returns one layer: `kept` `[latent]`, weights `[..., latent, latent]`."""

    def move(z: Array) -> tuple[Array, Array]:
        h = jnp.tanh(z)  # distrax passes zeros for the numbers that move
        return jnp.einsum("...ij,...j->...i", shifts, h), jnp.tanh(jnp.einsum("...ij,...j->...i", log_scales, h))

    return distrax.MaskedCoupling(kept, move, lambda moves: distrax.ScalarAffine(moves[0], log_scale=moves[1]))
