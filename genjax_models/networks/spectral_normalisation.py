"""Spectral normalisation: a layer whose matrix has no singular value above 1 (Miyato et al., 2018)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.types import Array


class SpectralNormalisation(nn.Module):
    """A layer with its "kernel" W divided by |W u|, where u `[out]` comes nearer to W's first right singular vector.

    W is `[in, out]`, or `[height x width x in, out]` of a convolution. At the singular vector |W u| is the largest
    singular value, and never is it more. u is kept in "batch_stats": where that is mutable, each call makes one power
    iteration u <- W' W u / |W' W u| first. The gradient holds u fixed, as it may: there |W u| is at its maximum.

    Attributes:
      layer: with a parameter "kernel", whose last axis is the outputs; it keeps its parameters, undivided.
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """The layer's outputs at x."""
        if self.is_initializing():
            self.layer(x)
        params = self.layer.variables["params"]
        matrix = params["kernel"].reshape(-1, params["kernel"].shape[-1])
        state = self.variable("batch_stats", "u", lambda: jax.random.normal(self.make_rng("params"), matrix.shape[1:]))
        moving = self.is_mutable_collection("batch_stats")
        u = jax.lax.stop_gradient(_unit(matrix.T @ (matrix @ state.value) if moving else state.value))
        if moving:
            state.value = u
        kernel = params["kernel"] / jnp.linalg.norm(matrix @ u)
        return self.layer.clone(parent=None).apply({"params": {**params, "kernel": kernel}}, x)


def _unit(vector: Array) -> Array:
    return vector / jnp.linalg.norm(vector)
