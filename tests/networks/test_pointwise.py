"""A linear map of each pixel, and its derivatives, compared with `jnp.tensordot`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxlib.version import __version__ as jaxlib_version

from genjax_models.networks import onednn
from genjax_models.networks.pointwise import pointwise

SEEDS, LEAD, IN, OUT = 3, (2, 4, 5), 3, 6


def plain(x, kernel):
    return jnp.tensordot(x, kernel, 1)


def loss(product):
    return lambda x, kernel: jnp.sum(jnp.sin(product(x, kernel)))


def arrays(*lead):
    shapes = (*lead, *LEAD, IN), (*lead, IN, OUT)
    return [jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(shapes)]


def derivatives(product):
    gradient = jax.grad(loss(product), (0, 1))
    norm = lambda *args: sum(jnp.sum(g**2) for g in gradient(*args))
    return lambda *args: (product(*args), gradient(*args), jax.grad(norm, (0, 1))(*args))


def assert_equal(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, theirs)


def test_value_and_derivatives_of_two_orders_are_those_of_a_product():
    assert_equal(*(jax.jit(derivatives(product))(*arrays()) for product in (pointwise, plain)))


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)])
def test_many_seeds_have_the_same_derivatives(axes):
    given = [a if axis == 0 else a[0] for a, axis in zip(arrays(SEEDS), axes, strict=True)]
    assert_equal(*(jax.jit(jax.vmap(derivatives(product), axes))(*given) for product in (pointwise, plain)))


@pytest.mark.skipif(not jaxlib_version.startswith(onednn.RELEASES), reason="this jaxlib does not call oneDNN")
def test_the_derivative_in_the_kernel_is_by_onednn(monkeypatch):
    monkeypatch.setattr(onednn, "_stores_programs", lambda: False)
    text = jax.jit(jax.grad(loss(pointwise), 1)).lower(*arrays()).as_text()
    assert "__onednn$matmul" in text
