"""Losses of a discriminator and a generator, and gradient penalties on the discriminator.

d(x) = sigmoid(logit) is the probability that x is real. The discriminator maximises

    v = E_data[log d(x)] + E_model[log(1 - d(x))]           Eq. (20.81)

The optimal discriminator is d = p / (p + q) for data p and model q. There v = -log 4 + 2 JSD(p, q). The generator has
three payoffs. At the optimal discriminator, their gradients in the parameters of q are the gradients of divergences:

    =====================  =====================  ==========================
    payoff                 value                  gradient of
    =====================  =====================  ==========================
    minimax                E_q[log(1 - d)]        2 JSD(p, q)
    non-saturating         -E_q[log d]            KL(q || p) - 2 JSD(p, q)
    maximum likelihood     -E_q[d / (1 - d)]      KL(p || q)
    =====================  =====================  ==========================

(Goodfellow et al., 2014; Arjovsky and Bottou, 2017; Goodfellow, 2014.) All functions take logits `[batch]`, never
probabilities: log(1 - sigmoid(17)) is -inf in float32. All losses are minimised. They return one value per example; the
objective takes the mean over the batch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from genjax_models.types import Array, PRNGKey

Critic = Callable[[Array], Array]  # x [batch, ...] -> [batch]


def discriminator_loss(real_logits: Array, fake_logits: Array, *, label_smoothing: float | Array = 0.0) -> Array:
    """Returns -log d(x) - log(1 - d(g(z))) per pair of a real and a fake example, in nats: -v of Eq. (20.81).

    The two terms are added, not averaged: a discriminator that always outputs 1/2 has the loss log 4.

    Args:
      real_logits: logits of data, `[batch]`.
      fake_logits: logits of the same number of samples, `[batch]`.
      label_smoothing: smoothing of the real labels, in [0, 1). The target of real examples is 1 - label_smoothing; the
        target of fake examples stays 0 (one-sided; Salimans et al., 2016). The optimal d is then
        (1 - label_smoothing) p / (p + q), and the gradients in the table of this module do not hold.

    Returns:
      The loss, `[batch]`.

    Raises:
      ValueError: the logits are not both `[batch]`, or `label_smoothing` is outside [0, 1).
    """
    _check_logits(real_logits=real_logits, fake_logits=fake_logits)
    if isinstance(label_smoothing, int | float) and not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
    real_loss = jax.nn.softplus(-real_logits) + label_smoothing * real_logits
    return real_loss + jax.nn.softplus(fake_logits)


def minimax_generator_loss(fake_logits: Array) -> Array:
    """Returns log(1 - d(g(z))), `[batch]` in nats. Its gradient vanishes if the discriminator is certain."""
    _check_logits(fake_logits=fake_logits)
    return -jax.nn.softplus(fake_logits)


def non_saturating_generator_loss(fake_logits: Array) -> Array:
    """Returns -log d(g(z)), `[batch]` in nats. Its gradient is largest if the discriminator is certain (20.10.4)."""
    _check_logits(fake_logits=fake_logits)
    return jax.nn.softplus(-fake_logits)


def maximum_likelihood_generator_loss(fake_logits: Array) -> Array:
    """Returns -d(g(z)) / (1 - d(g(z))) = -exp(logit), `[batch]`: maximum likelihood at the optimal discriminator.

    In float32, value and gradient are -inf for logits above 88.7: training then stops as not finite. The payoff is not
    clipped, since clipping would change it. A few examples carry nearly all of the gradient (Goodfellow, 2014).
    """
    _check_logits(fake_logits=fake_logits)
    return -jnp.exp(fake_logits)


def least_squares_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """Returns (f(x) - 1)^2 / 2 + f(g(z))^2 / 2, `[batch]` (Mao et al., 2017, Eq. 9).

    f is the output of the network, not a logit. The optimal f is p / (p + q).

    Raises:
      ValueError: the outputs are not both `[batch]`.
    """
    _check_logits(real_logits=real_logits, fake_logits=fake_logits)
    return ((real_logits - 1) ** 2 + fake_logits**2) / 2


def least_squares_generator_loss(fake_logits: Array) -> Array:
    """Returns (f(g(z)) - 1)^2 / 2, `[batch]` (Mao et al., 2017, Eq. 9)."""
    _check_logits(fake_logits=fake_logits)
    return (fake_logits - 1) ** 2 / 2


def hinge_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """Returns max(0, 1 - f(x)) + max(0, 1 + f(g(z))), `[batch]` (Lim and Ye, 2017; Miyato et al., 2018).

    The optimal f is sign(p - q). There the mean loss is 2 - 2 TV(p, q), with TV the total variation distance.

    Raises:
      ValueError: the outputs are not both `[batch]`.
    """
    _check_logits(real_logits=real_logits, fake_logits=fake_logits)
    return jax.nn.relu(1 - real_logits) + jax.nn.relu(1 + fake_logits)


def hinge_generator_loss(fake_logits: Array) -> Array:
    """Returns -f(g(z)), `[batch]`. At the optimal discriminator its gradient is the gradient of 2 TV(p, q)."""
    _check_logits(fake_logits=fake_logits)
    return -fake_logits


def wasserstein_critic_loss(real_logits: Array, fake_logits: Array) -> Array:
    """Returns f(g(z)) - f(x), `[batch]` (Arjovsky et al., 2017).

    Its minimum over all 1-Lipschitz f is -W(p, q), with W the Wasserstein distance. The loss does not constrain f: add
    `wasserstein_gradient_penalty`.

    Raises:
      ValueError: the outputs are not both `[batch]`.
    """
    _check_logits(real_logits=real_logits, fake_logits=fake_logits)
    return fake_logits - real_logits


def wasserstein_generator_loss(fake_logits: Array) -> Array:
    """Returns -f(g(z)), `[batch]`. At the optimal critic its gradient is the gradient of W(p, q)."""
    _check_logits(fake_logits=fake_logits)
    return -fake_logits


def wasserstein_gradient_penalty(key: PRNGKey, critic: Critic, real: Array, fake: Array) -> Array:
    """Returns (|grad f(x)| - 1)^2 at x = u real + (1 - u) fake, u ~ U(0, 1): one u and one norm per example.

    This is the penalty of WGAN-GP (Gulrajani et al., 2017, Eq. 3) without its weight lambda, which is 10 in the paper.
    If grad f is exactly zero, the penalty is 1 and has no gradient.

    Args:
      key: randomness of u.
      critic: f, x `[batch, ...]` -> `[batch]`. Each output depends only on its own example.
      real: data, `[batch, ...]`.
      fake: the same number of samples.

    Returns:
      The penalty, `[batch]`, differentiable in the parameters that the critic closes over.

    Raises:
      ValueError: while tracing, `real` and `fake` have different shapes, the critic does not return `[batch]`, or its
        output for one example depends on the others (see `check_critic`).
    """
    if real.shape != fake.shape:
        raise ValueError(f"real and fake must have the same shape, got {real.shape} and {fake.shape}")
    u = jax.random.uniform(key, (len(real), *(1,) * (real.ndim - 1)), real.dtype)
    squared_norm = _squared_gradient_norm(critic, u * real + (1 - u) * fake)
    zero = squared_norm == 0  # the square root has no derivative at zero
    norm = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squared_norm)))
    return (norm - 1) ** 2


def r1_penalty(critic: Critic, real: Array) -> Array:
    """Returns |grad f(x)|^2 / 2 at the data.

    This is the penalty R1 (Mescheder et al., 2018, Eq. 9) without its weight gamma, which is 10 in the paper.

    Args:
      critic: f, x `[batch, ...]` -> logits `[batch]`. Each output depends only on its own example.
      real: data, `[batch, ...]`.

    Returns:
      The penalty, `[batch]`, differentiable in the parameters that the critic closes over.

    Raises:
      ValueError: while tracing, the critic does not return `[batch]`, or its output for one example depends on the
        others (see `check_critic`).
    """
    return _squared_gradient_norm(critic, real) / 2


def check_critic(critic: Critic, x: Array) -> None:
    """Raises ValueError unless each output of the critic depends only on its own example.

    Otherwise the gradient of one example is not defined. Batch normalisation by batch statistics and minibatch
    discrimination are refused; batch normalisation by running averages is accepted. While tracing, the critic runs once
    more, on arbitrary numbers in place of x and of the arrays that it closes over. Its first output must not change if
    the other examples change. A batch of one example is always accepted.

    Raises:
      ValueError: an output depends on other examples, the outputs are not `[batch]`, or the first output is not finite
        on any of the arbitrary numbers.
    """
    traced = jax.make_jaxpr(critic)(x)
    shapes = [output.shape for output in traced.out_avals]
    if shapes != [(len(x),)]:
        raise ValueError(f"the critic must return one array [{len(x)}] for {len(x)} examples, got shapes {shapes}")
    with jax.ensure_compile_time_eval():
        constants = [_arbitrary_values(value) for value in traced.consts]
        run = jax.jit(jaxpr_as_fun(ClosedJaxpr(traced.jaxpr, constants)))
        normal = jax.random.normal(jax.random.key(0), x.shape, x.dtype)
        uniform = jax.random.uniform(jax.random.key(1), x.shape, x.dtype, 0.05, 0.95)  # for critics of data in [0, 1]
        pairs = [(normal, 1 - 3 * normal), (uniform, 1 - uniform)]
        outputs = [(float(run(x)[0][0]), float(run(x.at[1:].set(others[1:]))[0][0])) for x, others in pairs]
    finite = [pair for pair in outputs if np.isfinite(pair).all()]
    if len(x) > 1 and not finite:
        raise ValueError(
            "a gradient penalty needs a critic that is finite on arbitrary numbers, to see that its output for one"
            f" example does not depend on the others: got {outputs[0][0]} for normal x, {outputs[1][0]} for x in (0, 1)"
        )
    if any(abs(before - after) > 1e-4 * (abs(before) + abs(after)) for before, after in finite):
        raise ValueError(
            "a gradient penalty needs a critic whose output for one example does not depend on the others: remove batch"
            " normalisation by batch statistics"
        )


def _squared_gradient_norm(critic: Critic, x: Array) -> Array:
    """Returns |grad f(x)|^2 per example, `[batch]`."""
    check_critic(critic, x)
    gradient = jax.grad(lambda x: jnp.sum(critic(x)))(x)  # each example is in only one term of the sum
    return jnp.sum(gradient**2, axis=range(1, x.ndim))


def _arbitrary_values(value: Array) -> Array:
    """Returns numbers of the same shape and type: positive, since some are variances, and divided by the fan-in."""
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        return jnp.zeros_like(value)
    fan_in = max(1, value.size // max(1, value.shape[-1])) if value.ndim else 1
    return jax.random.uniform(jax.random.key(value.size), value.shape, value.dtype, 0.5, 1.5) / fan_in


def _check_logits(**logits: Array) -> None:
    """Raises ValueError unless all logits are `[batch]`: [batch, 1] and [batch] would broadcast to [batch, batch]."""
    shapes = [jnp.shape(values) for values in logits.values()]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise ValueError(f"{' and '.join(logits)} must be [batch], got {' and '.join(map(str, shapes))}")
