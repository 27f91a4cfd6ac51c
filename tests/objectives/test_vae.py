"""The loss of the VAE and its remedies for unused latents, against the terms that they are made of."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators.elbo import elbo_terms, kl_by_dimension
from genjax_models.types import Batch

KEY, STEP = jax.random.key(0), jnp.int32(0)
X = np.random.RandomState(0).normal(size=(6, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    q, p = gx.diagonal_gaussian(3), gx.gaussian((4,), 1.0)
    return gx.latent_variable_model(gx.MLPEncoder((4,), q.outputs, ()), q, gx.MLPGenerator(p.outputs, ()), p)


@pytest.fixture(scope="module")
def variables(model):
    return model.init(KEY, Batch(X))


@pytest.fixture(scope="module")
def terms(model, variables):
    q, likelihood = model.posterior(variables, X), partial(model.likelihood, variables)
    terms = elbo_terms(KEY, X, q, model.prior(variables), likelihood)
    return np.mean(terms.reconstruction), np.mean(terms.kl), np.mean(kl_of(q), axis=0)


def kl_of(q):
    """KL(N(m, s^2) || N(0, 1)) of each dimension, by its formula."""
    mean, scale = (np.asarray(a, np.float64) for a in (q.mean(), q.stddev()))
    return 0.5 * (mean**2 + scale**2 - 1 - 2 * np.log(scale))


def loss_of(model, variables, **options):
    return gx.vae(model, **options).losses["vae"]({"vae": variables}, KEY, Batch(X), STEP)


def test_the_kl_of_each_dimension_is_that_of_the_formula(model, variables):
    q = model.posterior(variables, X)
    np.testing.assert_allclose(kl_by_dimension(q, model.prior(variables)), kl_of(q), rtol=1e-5)


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_free_bits_charge_each_dimension_at_least_so_much(model, variables, terms, weight):
    """A dimension of KL below lambda costs lambda; max(lambda, total KL), a usual mistake, is another number."""
    reconstruction, kl, each = terms
    free = float(np.median(each))
    loss, aux = loss_of(model, variables, free_bits=free, kl_weight=weight)
    charged = np.sum(np.maximum(each, free))
    np.testing.assert_allclose(loss, -(reconstruction - weight * charged), rtol=1e-5)
    assert not np.isclose(charged, max(kl, free), rtol=1e-2)
    np.testing.assert_allclose(aux.metrics["bound"], reconstruction - kl, rtol=1e-5)  # whatever is charged
    np.testing.assert_allclose(aux.metrics["kl"], kl, rtol=1e-5)


def test_a_dimension_below_its_free_bits_feels_no_pull(model, variables):
    """With every KL below lambda, the gradient is that of the reconstruction alone."""

    def gradient(**options):
        return jax.jit(jax.grad(lambda v: loss_of(model, v, **options)[0]))(variables)

    free, unweighted, full = gradient(free_bits=100.0), gradient(kl_weight=0.0), gradient()
    for a, b in zip(jax.tree.leaves(free), jax.tree.leaves(unweighted), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert any(not np.allclose(a, b) for a, b in zip(jax.tree.leaves(free), jax.tree.leaves(full), strict=True))


def test_no_free_bits_are_the_plain_loss(model, variables, terms):
    reconstruction, kl, _ = terms
    loss, _ = loss_of(model, variables, free_bits=jnp.float32(0))  # traced, in a sweep
    np.testing.assert_allclose(loss, kl - reconstruction, rtol=1e-5)
    np.testing.assert_allclose(loss_of(model, variables)[0], loss, rtol=1e-5)


def test_free_bits_want_a_kl_of_each_dimension(model, variables):
    with pytest.raises(ValueError, match='free_bits needs a closed KL per dimension: use form="kl"'):
        gx.vae(model, form="entropy", free_bits=0.5)
    q, p = gx.full_covariance_gaussian(3), gx.gaussian((4,), 1.0)
    full = gx.latent_variable_model(gx.MLPEncoder((4,), q.outputs, ()), q, gx.MLPGenerator(p.outputs, ()), p)
    with pytest.raises(ValueError, match="vectors of independent numbers, got FullCovarianceNormal"):
        loss_of(full, full.init(KEY, Batch(X)), free_bits=0.5)
