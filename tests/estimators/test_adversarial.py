"""Payoffs, their gradients and the penalties on slopes, against the exact values of known densities."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.adversarial import (
    check_critic,
    discriminator_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    maximum_likelihood_generator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
    r1_penalty,
    wasserstein_critic_loss,
    wasserstein_generator_loss,
    wasserstein_gradient_penalty,
)
from tests.statistics import assert_mean

KEY = jax.random.key(0)
PAYOFFS = {
    "minimax": minimax_generator_loss,
    "non_saturating": non_saturating_generator_loss,
    "maximum_likelihood": maximum_likelihood_generator_loss,
}

# Values and derivatives of the generator's losses by logit.
LOGITS = [-100.0, -10.0, -5.0, -1.0, 0.0, 1.0, 5.0, 10.0, 100.0]
VALUES = {
    "minimax": [
        0.0, -4.539889921686465e-05, -0.006715348489118068, -0.31326168751822286, -0.6931471805599453,
        -1.3132616875182228, -5.006715348489118, -10.000045398899218, -100.0,
    ],
    "non_saturating": [
        100.0, 10.000045398899218, 5.006715348489118, 1.3132616875182228, 0.6931471805599453,
        0.31326168751822286, 0.006715348489118068, 4.539889921686465e-05, 0.0,
    ],
    "maximum_likelihood": [
        0.0, -4.5399929762484854e-05, -0.006737946999085467, -0.36787944117144233, -1.0,
        -2.718281828459045, -148.4131591025766, -22026.465794806718, -np.inf,
    ],
}  # fmt: skip
DERIVATIVES = {
    "minimax": [
        0.0, -4.5397868702434354e-05, -0.006692850924284855, -0.2689414213699951, -0.5,
        -0.7310585786300049, -0.9933071490757152, -0.9999546021312976, -1.0,
    ],
    "non_saturating": [
        -1.0, -0.9999546021312976, -0.9933071490757152, -0.7310585786300049, -0.5,
        -0.2689414213699951, -0.006692850924284843, -4.5397868702390376e-05, 0.0,
    ],
    "maximum_likelihood": VALUES["maximum_likelihood"],
}  # fmt: skip

# A batch of logits, and the mean of each loss over it.
REAL, FAKE = jnp.array([-5.0, 1.4, 12.5, 2.7]), jnp.array([10.0, 4.4, -5.5, 3.6])
OF_BOTH = {
    "minimax": (discriminator_loss, 5.83386589165402),
    "real labels of 0.9": (partial(discriminator_loss, label_smoothing=0.1), 6.12386589165402),
    "real labels of 0.875": (partial(discriminator_loss, label_smoothing=0.125), 6.19636589165402),
    "least squares": (least_squares_discriminator_loss, 41.73375),
    "hinge": (hinge_discriminator_loss, 6.75),
    "wasserstein": (wasserstein_critic_loss, 0.22499999999999964),
}
OF_FAKE = {
    "minimax": (minimax_generator_loss, -4.510820879946423),
    "non_saturating": (non_saturating_generator_loss, 1.385820879946423),
    "maximum_likelihood": (maximum_likelihood_generator_loss, -5536.1297461717),
    "least squares": (least_squares_generator_loss, 17.69625),
    "hinge": (hinge_generator_loss, -3.125),
    "wasserstein": (wasserstein_generator_loss, -3.125),
}

# Two densities on four points. Pairs of a point of each, `[16]`, have the weights p_i q_j.
P, Q = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1])
PAIRS = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
JSD = 0.10644013528622318
TOTAL_VARIATION = 0.4

# p = N(0, 1), q = N(theta, 1) at theta = 1: the best logit is 1/2 - x. Means over either are sums over nodes.
NODES, SPACING = jnp.linspace(-12, 12, 4_001), 24 / 4_000
COSTS = {
    "minimax": -0.581725698375145,
    "non_saturating": 1.08172569837509,
    "maximum_likelihood": -0.9999999999998898,
}
GRADIENTS = {
    "minimax": 0.397972867183206,
    "non_saturating": 0.6020271328166837,
    "maximum_likelihood": 0.9999999999998898,
}


def best_logit(x):
    return 0.5 - x


def gaussian_mean(values):
    """Of a function of N(0, 1), given at `NODES`."""
    return jnp.sum(values * jnp.exp(-(NODES**2) / 2)) * SPACING / np.sqrt(2 * np.pi)


def mean_over_pairs(loss, output, real_weights=P, fake_weights=Q):
    i, j = PAIRS
    return jnp.sum(real_weights[i] * fake_weights[j] * loss(jnp.asarray(output)[i], jnp.asarray(output)[j]))


def derivative(loss):
    return jax.jit(jax.vmap(jax.grad(lambda logit: loss(logit[None])[0])))


@pytest.mark.parametrize("name", PAYOFFS)
def test_values_and_derivatives_by_logit(name):
    logits = jnp.array(LOGITS)
    np.testing.assert_allclose(PAYOFFS[name](logits), VALUES[name], rtol=2e-6, atol=1e-37)
    np.testing.assert_allclose(derivative(PAYOFFS[name])(logits), DERIVATIVES[name], rtol=2e-6, atol=1e-37)


def test_fault_20_the_discriminator_has_finite_values_and_derivatives_at_any_logit():
    """-log d(x) of data is the non-saturating payoff, -log(1 - d) of samples minus the minimax one."""
    logits, zeros = jnp.array(LOGITS), jnp.zeros(len(LOGITS))
    of_real = lambda logits: discriminator_loss(logits, jnp.zeros_like(logits)) - np.log(2)
    of_fake = lambda logits: discriminator_loss(jnp.zeros_like(logits), logits) - np.log(2)
    np.testing.assert_allclose(of_real(logits), VALUES["non_saturating"], rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(of_fake(logits), -np.array(VALUES["minimax"]), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(derivative(of_real)(logits), DERIVATIVES["non_saturating"], rtol=2e-6, atol=1e-37)
    np.testing.assert_allclose(derivative(of_fake)(logits), -np.array(DERIVATIVES["minimax"]), rtol=2e-6, atol=1e-37)
    assert np.isfinite(discriminator_loss(logits, zeros, label_smoothing=0.1)).all()
    naive = jnp.log(1 - jax.nn.sigmoid(logits))  # what the logits are for
    assert not np.isfinite(naive).all()


def test_fault_21_the_maximum_likelihood_payoff_overflows_where_it_says():
    logits = jnp.array([88.0, 89.0])
    value, slope = maximum_likelihood_generator_loss(logits), derivative(maximum_likelihood_generator_loss)(logits)
    np.testing.assert_allclose([value[0], slope[0]], -np.exp(88.0), rtol=1e-5)
    np.testing.assert_array_equal([value[1], slope[1]], -np.inf)  # not finite, so that training stops


@pytest.mark.parametrize("name", OF_BOTH)
def test_losses_of_a_batch_of_both(name):
    loss, mean = OF_BOTH[name]
    assert loss(REAL, FAKE).shape == (4,)
    np.testing.assert_allclose(jnp.mean(loss(REAL, FAKE)), mean, rtol=1e-6)


@pytest.mark.parametrize("name", OF_FAKE)
def test_losses_of_a_batch_of_samples(name):
    loss, mean = OF_FAKE[name]
    assert loss(FAKE).shape == (4,)
    np.testing.assert_allclose(jnp.mean(loss(FAKE)), mean, rtol=1e-6)


def test_at_the_best_discriminator_v_is_twice_the_jsd_less_log_4():
    v = -mean_over_pairs(discriminator_loss, np.log(P / Q))
    np.testing.assert_allclose(v, -1.1734140905474444, rtol=1e-6)
    np.testing.assert_allclose(v, 2 * JSD - np.log(4), rtol=1e-6)
    np.testing.assert_allclose(-mean_over_pairs(discriminator_loss, np.zeros(4)), -np.log(4), rtol=1e-6)


def test_v_of_gaussians_of_different_scale():
    """p = N(0, 1), q = N(1, 4)."""
    logit = lambda x: jnp.log(2.0) + (x - 1) ** 2 / 8 - x**2 / 2
    v = -gaussian_mean(discriminator_loss(logit(NODES), logit(1 + 2 * NODES)))
    np.testing.assert_allclose(v, -1.12994441501097, rtol=1e-5)
    np.testing.assert_allclose(v, 2 * 0.1281749730543839 - np.log(4), rtol=1e-5)


# What the discriminator's mean loss is where it is best, and where that is.
BEST = {
    "minimax": (discriminator_loss, np.log(P / Q), np.log(4) - 2 * JSD),
    "real labels of 0.9": (partial(discriminator_loss, label_smoothing=0.1), np.log(0.9 * P / (0.1 * P + Q)), None),
    "least squares": (least_squares_discriminator_loss, P / (P + Q), np.sum(P * Q / (P + Q)) / 2),
    "hinge": (hinge_discriminator_loss, np.sign(P - Q), 2 - 2 * TOTAL_VARIATION),
}


@pytest.mark.parametrize("name", BEST)
def test_the_best_discriminator_is_where_it_should_be(name):
    loss, best, least = BEST[name]
    mean = jax.jit(partial(mean_over_pairs, loss))
    if least is not None:
        np.testing.assert_allclose(mean(best), least, rtol=1e-6)
    for i in range(4):
        for step in (-0.05, 0.05):
            assert mean(best + step * np.eye(4)[i]) > mean(best) + 1e-5
    if name != "hinge":  # which has a kink there
        np.testing.assert_allclose(jax.jit(jax.grad(mean))(jnp.asarray(best)), 0, atol=1e-6)


def test_the_best_linear_discriminator_of_two_gaussians():
    mean = lambda slope, bias: gaussian_mean(discriminator_loss(slope * NODES + bias, slope * (1 + NODES) + bias))
    np.testing.assert_allclose(mean(-1.0, 0.5), 1.1634513967504427, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(mean, (0, 1))(-1.0, 0.5), 0, atol=1e-5)


def kl(p, q):
    return jnp.sum(p * jnp.log(p / q))


def jsd(p, q):
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


# Payoff, the discriminator that is best, and the divergence whose gradient in q the generator then has.
DIVERGENCES = {
    "minimax": (minimax_generator_loss, np.log(P / Q), lambda q: 2 * jsd(P, q)),
    "non_saturating": (non_saturating_generator_loss, np.log(P / Q), lambda q: kl(q, P) - 2 * jsd(P, q)),
    "maximum_likelihood": (maximum_likelihood_generator_loss, np.log(P / Q), lambda q: kl(P, q)),
    "hinge": (hinge_generator_loss, np.sign(P - Q), lambda q: jnp.sum(jnp.abs(P - q))),
}


def generator_gradient(loss, output):
    """Of the mean cost of q = softmax(theta) under a discriminator that stands still."""
    cost = lambda theta: jnp.sum(jax.nn.softmax(theta) * loss(jnp.asarray(output)))
    return jax.jit(jax.grad(cost))(jnp.log(jnp.asarray(Q)))


def divergence_gradient(divergence):
    return jax.jit(jax.grad(lambda theta: divergence(jax.nn.softmax(theta))))(jnp.log(jnp.asarray(Q)))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_each_payoff_has_the_gradient_of_its_divergence(name):
    loss, output, divergence = DIVERGENCES[name]
    exact = divergence_gradient(divergence)
    assert np.abs(exact).max() > 0.01
    np.testing.assert_allclose(generator_gradient(loss, output), exact, atol=1e-6)


@pytest.mark.parametrize("name", PAYOFFS)
def test_cost_and_gradient_of_a_generator_of_gaussians(name):
    cost = lambda theta: gaussian_mean(PAYOFFS[name](best_logit(theta + NODES)))
    np.testing.assert_allclose(cost(1.0), COSTS[name], rtol=1e-5)
    np.testing.assert_allclose(jax.grad(cost)(1.0), GRADIENTS[name], rtol=1e-5)


@pytest.mark.parametrize("name", PAYOFFS)
def test_gradients_of_samples_are_unbiased(name):
    noise = jax.random.normal(KEY, (100_000,))
    slopes = derivative(lambda shift: PAYOFFS[name](best_logit(1.0 + shift)))(noise)
    assert_mean(slopes, GRADIENTS[name])


def test_the_wasserstein_losses_of_the_best_critic():
    """W(N(0, 1), N(theta, 1)) = theta, by the critic -x."""
    distance = lambda theta: -gaussian_mean(wasserstein_critic_loss(-NODES, -(theta + NODES)))
    np.testing.assert_allclose(distance(0.7), 0.7, rtol=1e-5)
    cost = lambda theta: gaussian_mean(wasserstein_generator_loss(-(theta + NODES)))
    np.testing.assert_allclose(jax.grad(cost)(0.7), 1.0, rtol=1e-5)


# Plausible mistakes: the discriminator's loss with halves, and payoffs that are another's or nobody's.
MISTAKES = {
    "halves": lambda real, fake: discriminator_loss(real, fake) / 2,
    "the sign of real logits": lambda real, fake: discriminator_loss(-real, fake),
    "smoothing on both sides": lambda real, fake: discriminator_loss(real, fake, label_smoothing=0.1) - 0.1 * fake,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_the_discriminators_loss_are_seen(mistake):
    wrong = mean_over_pairs(MISTAKES[mistake], np.log(P / Q))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(-wrong, 2 * JSD - np.log(4), rtol=1e-3)


@pytest.mark.parametrize("right", PAYOFFS)
@pytest.mark.parametrize("wrong", [*PAYOFFS, "sign"])
def test_another_payoff_has_another_gradient(right, wrong):
    if right == wrong:
        return
    loss = (lambda logits: -PAYOFFS[right](logits)) if wrong == "sign" else PAYOFFS[wrong]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(
            generator_gradient(loss, np.log(P / Q)), divergence_gradient(DIVERGENCES[right][2]), atol=1e-3
        )


POINTS = jnp.array([[3.0, 0.0, 4.0], [0.0, 0.5, 0.0], [1.0, -2.0, 2.0], [0.0, 0.0, 0.0]])
LENGTHS = np.array([5.0, 0.5, 3.0, 0.0])


def bowl(scale, x):
    """Its slope at x is scale * x."""
    return scale * jnp.sum(x**2, axis=range(1, x.ndim)) / 2


def test_penalties_have_a_norm_for_each_example():
    r1, between = (
        jax.jit(partial(r1_penalty, partial(bowl, 2.0))),
        jax.jit(wasserstein_gradient_penalty, static_argnums=1),
    )
    np.testing.assert_allclose(r1(POINTS), 2 * LENGTHS**2, rtol=1e-6)
    mean = jax.jit(jax.grad(lambda scale: jnp.mean(r1_penalty(partial(bowl, scale), POINTS))))
    np.testing.assert_allclose(mean(2.0), np.mean(2 * LENGTHS**2), rtol=1e-6)
    alike = between(KEY, partial(bowl, 2.0), POINTS, POINTS)
    np.testing.assert_allclose(alike, (2 * LENGTHS - 1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(between(KEY, lambda x: x @ POINTS[0], POINTS, -POINTS), 16)


def penalties(scale, draws=20_000, penalty=wasserstein_gradient_penalty):
    """Of images whose pixels are 3, 0, 4 against black ones: at u x the slope is scale * u * 5."""
    real = jnp.broadcast_to(POINTS[0].reshape(1, 3, 1), (draws, 1, 3, 1))
    return penalty(KEY, partial(bowl, scale), real, jnp.zeros_like(real))


MEAN_PENALTY = 25 / 3 - 5 + 1  # E (5 u - 1)^2
MEAN_SLOPE = 2 * (25 / 3 - 5 / 2)  # of E (5 u scale - 1)^2 at scale 1


def test_the_point_of_the_penalty_is_anywhere_between_real_and_fake():
    values, slopes = jax.jit(lambda scale: jax.jvp(penalties, (scale,), (1.0,)))(1.0)
    assert_mean(values, MEAN_PENALTY)
    assert_mean(slopes, MEAN_SLOPE)
    mean_slope = jax.jit(jax.grad(lambda scale: penalties(scale).mean()))(1.0)
    np.testing.assert_allclose(mean_slope, slopes.mean(), rtol=1e-4)


def wrong_penalty(key, critic, real, fake, *, u_shape, norm):
    """As the penalty is, with other u and another norm."""
    u = jax.random.uniform(key, u_shape(real.shape))
    slope = jax.grad(lambda x: critic(x).sum())(u * real + (1 - u) * fake)
    return (norm(slope) - 1) ** 2


def by_example(slope):
    return jnp.sqrt(jnp.sum(slope**2, axis=(1, 2, 3)))


WRONG_PENALTIES = {
    "u for each pixel": {"u_shape": lambda shape: shape, "norm": by_example},
    "one u for all": {"u_shape": lambda shape: (1, 1, 1, 1), "norm": by_example},
    "the norm squared": {"u_shape": lambda shape: (shape[0], 1, 1, 1), "norm": lambda slope: by_example(slope) ** 2},
    "one norm for all": {
        "u_shape": lambda shape: (shape[0], 1, 1, 1),
        "norm": lambda slope: jnp.sqrt(jnp.sum(slope**2)) * jnp.ones(len(slope)),
    },
}


@pytest.mark.parametrize("mistake", WRONG_PENALTIES)
def test_mistakes_in_the_penalty_are_seen(mistake):
    wrong = jax.jit(partial(penalties, penalty=partial(wrong_penalty, **WRONG_PENALTIES[mistake])))(1.0)
    with pytest.raises(AssertionError):
        assert_mean(wrong, MEAN_PENALTY)


def test_a_flat_critic_has_a_penalty_of_1_and_no_gradient():
    flat = lambda scale: jnp.mean(wasserstein_gradient_penalty(KEY, partial(bowl, scale), 0 * POINTS, 0 * POINTS))
    assert jax.jit(jax.value_and_grad(flat))(1.0) == (1, 0)


class Critic(nn.Module):
    """`layer` stands between two linear ones."""

    layer: nn.Module

    @nn.compact
    def __call__(self, x):
        h = nn.Dense(8)(x.reshape(len(x), -1))
        return nn.Dense(1)(nn.leaky_relu(self.layer(h), 0.2))[:, 0]


class MinibatchSpread(nn.Module):
    """The standard deviation over the batch beside the features."""

    @nn.compact
    def __call__(self, h):
        spread = jnp.std(h, axis=0, keepdims=True).mean(axis=1, keepdims=True)
        return jnp.concatenate([h, jnp.broadcast_to(spread, (len(h), 1))], axis=1)


LAYERS = {
    "batch normalisation by running averages": (nn.BatchNorm(use_running_average=True), True),
    "batch normalisation": (nn.BatchNorm(use_running_average=False), False),
    "minibatch discrimination": (MinibatchSpread(), False),
    "layer normalisation": (nn.LayerNorm(), True),
    "dropout": (nn.Dropout(0.5, deterministic=False), True),
}


def use_critic(layer):
    """A gradient of both penalties in the critic's parameters, as a player's loss takes it."""
    network = Critic(layer)
    real, fake = jax.random.normal(KEY, (2, 6, 2, 3))
    variables = network.init({"params": KEY, "dropout": KEY}, real)

    def loss(params, key):
        def critic(x):
            moved = {**variables, "params": params}
            return network.apply(moved, x, mutable=["batch_stats"], rngs={"dropout": key})[0]

        return jnp.mean(wasserstein_gradient_penalty(key, critic, real, fake) + r1_penalty(critic, real))

    return loss, variables["params"]


@pytest.mark.parametrize("name", LAYERS)
def test_critics_that_look_across_the_batch_are_refused(name):
    layer, accepted = LAYERS[name]
    loss, params = use_critic(layer)
    step = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))  # within all that a step is within
    keys = jax.random.split(KEY, 2)
    if accepted:
        gradients = step(params, keys)
        assert all(np.isfinite(leaf).all() and leaf.shape[0] == 2 for leaf in jax.tree.leaves(gradients))
    else:
        with pytest.raises(ValueError, match=r"does not depend on the others.*batch normalisation"):
            step(params, keys)


MADE_UP = {
    "always NaN": (lambda x: jnp.log(-jnp.abs(x[:, 0]) - 1), "finite on arbitrary numbers"),
    "always infinite": (lambda x: x[:, 0] / 0.0, "finite on arbitrary numbers"),
    "NaN below 0, and across the batch": (lambda x: jnp.sqrt(x[:, 0]) + x.mean(), "depend on the others"),
    "NaN below 0": (lambda x: jnp.sqrt(x[:, 0]) + x[:, 1], None),
}


@pytest.mark.parametrize("name", MADE_UP)
def test_fault_88_a_critic_that_is_nan_on_made_up_input_is_refused(name):
    critic, message = MADE_UP[name]
    x = jnp.full((4, 2), 0.5)
    if message is None:
        return check_critic(critic, x)
    with pytest.raises(ValueError, match=message):
        check_critic(critic, x)
    return check_critic(critic, x[:1])  # of one example there are no others


def test_a_critic_is_tried_within_a_scan():
    layer, _ = LAYERS["batch normalisation"]
    loss, params = use_critic(layer)
    with pytest.raises(ValueError, match="does not depend on the others"):
        jax.lax.scan(lambda carry, key: (carry, loss(carry, key)), params, jax.random.split(KEY, 2))


@pytest.mark.parametrize("loss", [loss for loss, _ in OF_BOTH.values()])
@pytest.mark.parametrize(("real", "fake"), [((4,), (4, 1)), ((4, 1), (4, 1)), ((4,), (3,)), ((4,), ()), ((4,), (1,))])
def test_fault_04_logits_of_another_shape_are_refused(loss, real, fake):
    with pytest.raises(ValueError, match=r"^real_logits and fake_logits must be \[batch\], got \(4"):
        loss(jnp.zeros(real), jnp.zeros(fake))


@pytest.mark.parametrize("loss", [loss for loss, _ in OF_FAKE.values()])
@pytest.mark.parametrize("shape", [(), (4, 1)])
def test_fault_04_fake_logits_of_another_shape_are_refused(loss, shape):
    with pytest.raises(ValueError, match=r"^fake_logits must be \[batch\], got \("):
        loss(jnp.zeros(shape))


@pytest.mark.parametrize("smoothing", [-0.1, 1, 1.5, float("nan")])
def test_a_smoothing_that_is_none_is_refused(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\), got"):
        discriminator_loss(REAL, FAKE, label_smoothing=smoothing)


def test_a_smoothing_may_be_traced():
    means = jax.vmap(lambda s: discriminator_loss(REAL, FAKE, label_smoothing=s).mean())(jnp.array([0.0, 0.1]))
    np.testing.assert_allclose(means, [5.83386589165402, 6.12386589165402], rtol=1e-6)


def test_what_has_no_slope_of_an_example_is_refused():
    with pytest.raises(ValueError, match=r"the same shape, got \(4, 3\) and \(2, 3\)"):
        wasserstein_gradient_penalty(KEY, partial(bowl, 1.0), POINTS, POINTS[:2])
    with pytest.raises(ValueError, match=r"one array \[4\] for 4 examples, got shapes \[\(4, 1\)\]"):
        r1_penalty(lambda x: x[:, :1], POINTS)
    with pytest.raises(ValueError, match=r"one array \[4\] for 4 examples, got shapes \[\(4,\), \(\)\]"):
        r1_penalty(lambda x: (x[:, 0], x.sum()), POINTS)
