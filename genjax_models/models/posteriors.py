"""Families for q(z | x)."""

import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.distributions import FullCovarianceNormal, diagonal_normal
from genjax_models.models.families import Family, positive
from genjax_models.networks.outputs import Output


def diagonal_gaussian(latent: int) -> Family:
    """N(mean, diag(scale^2)) over z `[latent]`, the usual choice (Kingma and Welling, 2014)."""
    return Family(
        event_shape=(latent,),
        outputs={"mean": Output((latent,)), "raw_scale": Output((latent,))},
        distribution=lambda p: diagonal_normal(p["mean"], positive(p["raw_scale"])),
    )


def full_covariance_gaussian(latent: int) -> Family:
    """N(mean, L L') over z `[latent]`: sees correlations that a diagonal q cannot, at latent^2 / 2 more outputs."""
    rows, columns = np.tril_indices(latent)
    on_diagonal = rows == columns

    def distribution(p):
        entries = jnp.where(on_diagonal, positive(p["raw_factor"]), p["raw_factor"])
        factor = jnp.zeros((*entries.shape[:-1], latent, latent)).at[..., rows, columns].set(entries)
        return FullCovarianceNormal(p["mean"], factor)

    outputs = {"mean": Output((latent,)), "raw_factor": Output((len(rows),))}
    return Family((latent,), outputs, distribution)
