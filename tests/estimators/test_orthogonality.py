"""The orthogonal penalty, value and gradient, against exact numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.orthogonality import orthogonal_penalty

CASES = [
    ([[1.0, 2.0], [3.0, 4.0]], 392.0, [[112.0, 56.0], [224.0, 168.0]]),
    ([[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]], 1.0, [[1.0, -1.0, 2.0], [-1.0, 1.0, -2.0]]),
]


@pytest.mark.parametrize(("kernel", "value", "gradient"), CASES)
def test_value_and_gradient_of_filters_in_columns(kernel, value, gradient):
    got, slope = jax.value_and_grad(lambda W: orthogonal_penalty({"kernel": W}))(jnp.array(kernel))
    assert got == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(slope, gradient, rtol=1e-6, atol=1e-6)


def test_kernels_are_added_convolutions_are_matrices_and_names_are_left_out():
    square, wide = (jnp.array(kernel) for kernel, *_ in CASES)
    params = {"a": {"kernel": square, "bias": jnp.ones(2)}, "b": {"kernel": wide[None, None]}, "gain": jnp.ones(())}
    assert orthogonal_penalty(params) == pytest.approx(393, rel=1e-6)
    assert orthogonal_penalty(params, skip=("a",)) == pytest.approx(1, rel=1e-6)
    with pytest.raises(ValueError, match=r"needs a kernel, and none is left after skip=\['kernel'\]"):
        orthogonal_penalty(params, skip=("kernel",))
