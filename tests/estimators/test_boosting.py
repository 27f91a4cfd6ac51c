"""The coefficient of a feature against oracle o16: eight states, with p and q as counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.boosting import best_coefficient, gain
from genjax_models.evaluation.boosting_stages import least_loss
from tests import energies as exact

O = exact.BOOSTING  # noqa: E741
P, Q = np.array(O["inputs"]["p"]), np.array(O["inputs"]["q0"])
F = np.array(O["inputs"]["feature_values"], np.float32)
ON_DATA, ON_NEGATIVES = np.repeat(F, np.round(100 * P).astype(int)), np.repeat(F, 1)
coefficient = jax.jit(best_coefficient, static_argnames="least_effective")
KL = float(np.sum(P * np.log(P / Q)))


def test_the_coefficient_and_its_gain_are_exact():
    """The other sign would give a KL of 0.2887, and twice the step 0.2516; without log Z it is 0.5314."""
    a, effective = coefficient(ON_DATA, ON_NEGATIVES)
    np.testing.assert_allclose(a, O["best_coefficient"], rtol=1e-4)
    np.testing.assert_allclose(KL - gain(a, ON_DATA, ON_NEGATIVES), O["kl_after"], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(gain)(0.0, ON_DATA, ON_NEGATIVES), -O["d_kl_d_a_at_0"], rtol=1e-5)
    of_classifier = O["discriminator"]["a"]
    assert abs(a - of_classifier) > 0.04  # a classifier is fitted to a mixture of p and q
    np.testing.assert_allclose(
        KL - gain(of_classifier, ON_DATA, ON_NEGATIVES), O["discriminator"]["kl_with_its_coefficient"], rtol=1e-6
    )
    log_partition_ratio = gain(a, ON_DATA, ON_NEGATIVES) - a * O["E_p_feature"]
    np.testing.assert_allclose(log_partition_ratio, O["discriminator"]["log_partition_ratio"], rtol=1e-4)
    assert 0.9 < effective < 1


def loss(ab, weights_of_q):
    """Returns the loss of a logistic regression on the feature, with negatives of these weights."""
    logits = ab[0] * F + ab[1]
    return P @ jnp.logaddexp(0, -logits) + weights_of_q @ jnp.logaddexp(0, logits)


def test_the_refitted_discriminator_knows_nothing():
    a, _ = coefficient(ON_DATA, ON_NEGATIVES)
    q = np.array(jax.nn.softmax(a * F))
    np.testing.assert_allclose(q, O["q1"], atol=1e-5)
    np.testing.assert_allclose(jax.grad(loss)(jnp.zeros(2), q), 0, atol=1e-6)  # convex: a = b = 0 is the best
    assert np.abs(jax.grad(loss)(jnp.zeros(2), Q)).max() > 0.01
    np.testing.assert_allclose(least_loss(ON_DATA, F, q), O["discriminator"]["loss_at_zero"], rtol=1e-6)
    np.testing.assert_allclose(least_loss(ON_DATA, F, Q), O["discriminator"]["loss"], rtol=1e-6)


def test_greedy_stages_lower_the_exact_kl_as_the_oracle_says():
    """The oracle's features find one state each: sigmoid(4 s.x - 4 n + 2), with n the number of ones in s in {-1, 1}^3.

    Negatives are in proportion to the model. Each stage takes the feature of the largest gain.
    """
    states = np.arange(8)[:, None] >> np.arange(3)[::-1] & 1
    signs, n = 2 * states - 1, 100_000
    features = 1 / (1 + np.exp(-(4 * signs @ states.T - 4 * states.sum(1, keepdims=True) + 2)))
    on_data = jnp.float32(np.repeat(features, np.round(100 * P).astype(int), axis=1))
    log_q, kl, gains = np.zeros(8), [KL], []
    for _ in range(6):
        share = np.cumsum(np.exp(log_q)) / np.sum(np.exp(log_q))
        on_negatives = jnp.float32(np.repeat(features, np.diff(np.round(n * share).astype(int), prepend=0), axis=1))
        coefficients, _ = jax.vmap(coefficient)(on_data, on_negatives)
        found = jax.vmap(gain)(coefficients, on_data, on_negatives)
        best = int(jnp.argmax(found))
        log_q += float(coefficients[best]) * features[best]
        kl.append(P @ np.log(P) - P @ log_q + np.log(np.sum(np.exp(log_q))))
        gains.append(float(found[best]))
    np.testing.assert_allclose(kl, O["kl_by_stage_greedy"], atol=2e-5)
    np.testing.assert_allclose(-np.diff(kl), gains, atol=2e-5)
    assert np.diff(kl).max() < 0


def test_a_feature_that_is_constant_on_the_negatives_has_the_coefficient_zero():
    for on_data in (ON_DATA[:5], jnp.full(5, 0.3)):
        a, effective = coefficient(on_data, jnp.full(5, 0.3))
        assert a == 0
        np.testing.assert_allclose(effective, 1, rtol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_tells_all_apart_keeps_a_third_of_the_negatives(sign):
    on_negatives = sign * jnp.linspace(0, 0.6, 100)
    a, effective = coefficient(sign * jnp.array([0.9, 1.0]), on_negatives)
    assert np.sign(a) == sign
    np.testing.assert_allclose(effective, 1 / 3, rtol=1e-3)
    half = coefficient(sign * jnp.array([0.9, 1.0]), on_negatives, least_effective=0.5)
    np.testing.assert_allclose(half[1], 0.5, rtol=1e-3)
    assert abs(half[0]) < abs(a)


def test_an_infinite_optimum_is_finite():
    """Half of the negatives have the feature of the data: their effective share is never below a half."""
    a, effective = coefficient(jnp.ones(3), jnp.array([0.0, 0.0, 1.0, 1.0]))
    assert 10 < a < 31
    np.testing.assert_allclose(effective, 0.5, rtol=1e-5)


def test_a_feature_that_spans_more_has_a_smaller_largest_coefficient():
    """Densities change by e^30 at most, also of data that no negative comes near."""
    a, _ = coefficient(jnp.array([10.0, 10.0]), jnp.array([0.0, 1e-4]))
    np.testing.assert_allclose(a, 3, rtol=1e-4)


@pytest.mark.parametrize("share", [0, 1.5])
def test_the_effective_share_is_a_share(share):
    with pytest.raises(ValueError, match="least_effective must be in"):
        best_coefficient(ON_DATA, ON_NEGATIVES, least_effective=share)


@pytest.mark.parametrize("on_data", [0.0, 0.9])
def test_a_feature_that_is_nearly_constant_on_the_negatives_has_no_huge_coefficient(on_data):
    a, _ = coefficient(on_data + jnp.array([0, 1e-8]), 1e-9 * jnp.arange(100.0))
    assert abs(a) <= 30.01
