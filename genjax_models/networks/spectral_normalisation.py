"""Spectral normalisation: divides a matrix by its largest singular value, which becomes 1 (Miyato et al., 2018)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.types import Array


class SpectralNormalisation(nn.Module):
    """A layer whose "kernel" W is divided by |W u|, where u `[out]` approximates its first right singular vector.

    W is `[in, out]`, for a convolution `[height x width x in, out]`. |W u| is at most the largest singular value, with
    equality at the singular vector. "batch_stats" holds u. If the collection is mutable, each call first makes one
    power iteration u <- W' W u / |W' W u|. The gradient treats u as a constant: at the singular vector |W u| is
    maximal, so the gradient in u is zero.

    Attributes:
      layer: a layer with a parameter "kernel" whose last axis is the outputs; its stored parameters stay undivided.
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns the layer's outputs at x."""
        if self.is_initializing():
            self.layer(x)
        params = self.layer.variables["params"]
        matrix = params["kernel"].reshape(-1, params["kernel"].shape[-1])
        draw = lambda: jax.random.normal(self.make_rng("params"), matrix.shape[1:], matrix.dtype)
        state = self.variable("batch_stats", "u", draw)
        moving = self.is_mutable_collection("batch_stats")
        u = jax.lax.stop_gradient(_unit(matrix.T @ (matrix @ state.value) if moving else state.value))
        if moving:
            state.value = u
        kernel = params["kernel"] / jnp.linalg.norm(matrix @ u)
        return self.layer.clone(parent=None).apply({"params": {**params, "kernel": kernel}}, x)


def _unit(vector: Array) -> Array:
    return vector / jnp.linalg.norm(vector)
