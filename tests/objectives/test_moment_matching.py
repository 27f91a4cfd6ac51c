"""What two moments see and what they do not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.estimators.moments import moment_difference
from genjax_models.models.implicit import implicit_model
from genjax_models.objectives.gmmn import gmmn
from genjax_models.objectives.moment_matching import moment_matching
from genjax_models.types import Batch

KEY = jax.random.key(0)


def learned(objective, data, steps=200):
    train = gx.trainer(objective, {"generator": optax.adam(optax.cosine_decay_schedule(0.05, steps))})
    run = gx.loop_over_data(train, batch_size=200, chunk=steps)
    state, metrics = run(train.init(jax.random.key(1), data), data, steps)
    return state.variables, metrics


@pytest.fixture(scope="module")
def coins():
    """10,000 tosses of +-1: mean 0 and variance 1, as a standard normal."""
    return Batch(2.0 * jax.random.bernoulli(KEY, 0.5, (10_000, 1)) - 1)


def test_the_loss_is_the_difference_of_moments_of_batch_and_samples():
    model = implicit_model(gx.MLPGenerator((3,), (4,)), 2)
    x = jax.random.normal(KEY, (7, 3))
    objective = moment_matching(model, order=3, central=True, weights=[1.0, 2.0, 0.5])
    variables = objective.init(KEY, Batch(x))
    loss, _ = objective.losses["generator"](variables, KEY, Batch(x), 0)
    samples = np.asarray(objective.sample(variables, KEY, 7), np.float64)
    assert float(loss) == pytest.approx(by_hand(np.asarray(x, np.float64), samples), rel=1e-4)


def by_hand(x, y):
    moments = []
    for z in (x, y):
        centred = z - z.mean(0)
        moments.append((z.mean(0), np.cov(z.T, ddof=0), np.einsum("ni,nj,nk->ijk", *[centred] * 3) / len(z)))
    differences = [np.sum((a - b) ** 2) for a, b in zip(*moments, strict=True)]
    return np.dot([1.0, 2.0, 0.5], differences)


@pytest.mark.slow
def test_it_cannot_tell_a_coin_from_a_normal_and_the_mmd_can(coins):
    """A linear generator of normal noise has no coin to offer. Two moments are content with it, a kernel is not."""
    model = implicit_model(gx.MLPGenerator((1,), ()), 1)
    objective = moment_matching(model)
    variables, metrics = learned(objective, coins)
    samples = objective.sample(variables, KEY, 10_000)
    # Of 200 points each, moments that are equal differ by (1 + 1 + 0 + 2) / 200 in the mean: what is left is noise.
    assert metrics["generator/loss"][-50:].mean() < 0.05
    np.testing.assert_allclose([samples.mean(), samples.std()], [0, 1], atol=0.05)
    assert float(moment_difference(coins.x, samples, 2)) < 0.01
    np.testing.assert_allclose(np.mean(samples**4), 3, atol=0.5)  # the coin has 1
    assert float(moment_difference(coins.x, samples, 4)) > 2
    test = gx.two_sample_test(KEY, coins.x[:500], samples[:500], gx.gaussian_kernel(0.5), num_permutations=199)
    assert float(test.p_value) <= 0.01


@pytest.mark.slow
def test_a_generator_that_has_a_coin_to_offer_learns_it_by_the_mmd_alone(coins):
    """The same network under both: two moments leave it where they are met first, the MMD goes on to +-1."""
    model = implicit_model(gx.MLPGenerator((1,), (32,), jnp.tanh), 1)
    apart = {}
    for name, objective in {
        "moments": moment_matching(model),
        "mmd": gmmn(model, gx.gaussian_kernel([0.25, 0.5, 1.0])),
    }.items():
        variables, _ = learned(objective, coins)
        samples = objective.sample(variables, KEY, 10_000)
        np.testing.assert_allclose([samples.mean(), samples.std()], [0, 1], atol=0.1)
        apart[name] = float(np.mean(np.abs(np.abs(samples) - 1)))
    assert apart["mmd"] < 0.2
    assert apart["moments"] > 0.3


def test_what_has_no_moments_to_match_is_refused():
    with pytest.raises(ValueError, match="conditional on 3 classes"):
        moment_matching(implicit_model(gx.MLPGenerator((1,), ()), 1, classes=3))
    objective = moment_matching(implicit_model(gx.MLPGenerator((1,), ()), 1), order=0)
    batch = Batch(jnp.zeros((4, 1)))
    train = gx.trainer(objective, {"generator": optax.sgd(0.1)})
    with pytest.raises(ValueError, match="order must be an integer of at least 1, got 0"):
        jax.jit(train.step)(train.init(KEY, batch), batch)
