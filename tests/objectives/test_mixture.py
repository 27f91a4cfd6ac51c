"""Maximum likelihood of a finite mixture: the closed answer of one component, and the maximum that EM finds."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

import genjax_models as gx
from genjax_models.data.synthetic import synthetic
from genjax_models.models.mixture import gaussian_mixture
from genjax_models.objectives.mixture import mixture
from genjax_models.types import Batch

POINTS = np.array([
    [0.0, 0.0, 1.0], [1.0, 2.0, 0.0], [2.0, 1.0, -1.0], [-1.0, 0.5, 2.0],
    [0.5, -1.5, 0.5], [3.0, 2.5, -2.0], [-2.0, -1.0, 1.5], [0.5, 0.5, 0.0],
])  # fmt: skip


def learned(model, x, steps):
    """The distribution after full-batch Adam, and the last log-likelihood that was reported."""
    train = gx.trainer(mixture(model), {"mixture": optax.adam(optax.cosine_decay_schedule(0.03, steps))})
    data = Batch(jnp.asarray(x, jnp.float32))
    run = gx.loop_over_data(train, batch_size=len(x), chunk=steps)
    state, metrics = run(jax.jit(train.init)(jax.random.key(0), data), data)
    return model.distribution(state.variables["mixture"]).vectors, float(metrics["mixture/log_likelihood"][-1])


def test_one_component_learns_the_mean_and_the_covariance_of_the_data():
    p, log_likelihood = learned(gaussian_mixture((3,), 1), POINTS, 3_000)
    covariance = np.cov(POINTS.T, bias=True)
    np.testing.assert_allclose(p.components_distribution.mean()[0], POINTS.mean(0), atol=1e-3)
    np.testing.assert_allclose(p.components_distribution.covariance()[0], covariance, atol=3e-3)
    best = -0.5 * (3 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + 3)
    np.testing.assert_allclose(log_likelihood, best, atol=1e-4)
    unbiased = np.cov(POINTS.T)
    assert np.abs(unbiased - covariance).max() > 0.1  # divided by n - 1, it would be seen


def em(x, means, iterations=500):
    """Expectation maximisation in float64, from unit covariances and equal weights."""
    weights, covariances = np.full(len(means), 1 / len(means)), np.tile(np.eye(2), (len(means), 1, 1))
    for _ in range(iterations):
        joint = np.stack(
            [w * stats.multivariate_normal.pdf(x, m, c) for w, m, c in zip(weights, means, covariances, strict=True)]
        )
        r = joint / joint.sum(0)
        counts = r.sum(1)
        weights, means = counts / len(x), r @ x / counts[:, None]
        centred = x - means[:, None]
        covariances = np.einsum("mn,mni,mnj->mij", r, centred, centred) / counts[:, None, None]
    return weights, means, covariances, np.log(joint.sum(0)).mean()


@pytest.mark.slow
def test_several_components_learn_what_em_learns_from_the_same_start():
    x = synthetic("moons").test.x[:500].astype(np.float64)
    start = np.array([[-1.0, 0.5], [0.0, 0.75], [1.0, -0.5]])
    *expected, best = em(x, start)
    p, log_likelihood = learned(gaussian_mixture((2,), 3, start=start), x, 2_000)
    gaussians = p.components_distribution
    seen = [p.mixture_distribution.probs, gaussians.mean(), gaussians.covariance()]
    np.testing.assert_allclose(log_likelihood, best, atol=1e-4)
    for one, two in zip(by_weight(seen), by_weight(expected), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-2)


def by_weight(components):
    """Which of them came to lie where is nothing that either is asked to agree on."""
    order = np.argsort(np.asarray(components[0]))
    return [np.asarray(values)[order] for values in components]
