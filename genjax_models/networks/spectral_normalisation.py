"""Spectral normalisation: divides a matrix by its largest singular value, which becomes 1 (Miyato et al., 2018)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.types import Array


class SpectralNormalisation(nn.Module):
    """A layer whose "kernel" W is divided by |W u|, where u `[out]` approximates its first right singular vector.

    W is `[in, out]`, for a convolution `[height x width x in, out]`. |W u| is at most the largest singular value, with
    equality at the singular vector. "batch_stats" holds u, whose numbers start equal. If the collection is mutable,
    each call first makes power iterations u <- W' W u / |W' W u|. The gradient treats u as a constant: at the singular
    vector |W u| is maximal, so the gradient in u is zero.

    Attributes:
      layer: a layer with a parameter "kernel" whose last axis is the outputs; its stored parameters stay undivided.
      iterations: number of power iterations per call that may move u.
      epsilon: least divisor. A kernel of zeros stays zero, has a finite gradient, and does not move u.
    """

    layer: nn.Module
    iterations: int = 1
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns the layer's outputs at x.

        Raises:
          ValueError: `iterations` is no integer of at least 1.
        """
        if isinstance(self.iterations, bool) or not isinstance(self.iterations, int) or self.iterations < 1:
            raise ValueError(f"iterations must be an integer of at least 1, got {self.iterations!r}")
        if self.is_initializing():
            self.layer(x)
        params = self.layer.variables["params"]
        matrix = params["kernel"].reshape(-1, params["kernel"].shape[-1])
        # Random numbers for each u would be a third of the time to compile the start of a BigGAN.
        state = self.variable("batch_stats", "u", jnp.ones, matrix.shape[1:], matrix.dtype)
        moving = self.is_mutable_collection("batch_stats")
        fixed = jax.lax.stop_gradient(matrix)
        u = _unit(state.value, state.value)
        for _ in range(self.iterations if moving else 0):
            u = _unit(fixed.T @ (fixed @ u), u)
        if moving:
            state.value = u
        image = matrix @ jax.lax.stop_gradient(u)
        squared = jnp.maximum(jnp.sum(image**2), self.epsilon**2)  # the root has no derivative at zero
        kernel = params["kernel"] / jnp.sqrt(squared).astype(params["kernel"].dtype)
        return self.layer.clone(parent=None).apply({"params": {**params, "kernel": kernel}}, x)


def _unit(vector: Array, otherwise: Array) -> Array:
    """Returns the vector divided by its length; `otherwise` if its length is zero."""
    length = jnp.linalg.norm(vector)
    return jnp.where(length > 0, vector / jnp.where(length > 0, length, 1), otherwise)
