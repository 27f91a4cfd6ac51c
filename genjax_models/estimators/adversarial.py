"""Payoffs of the game between a discriminator and a generator, and penalties on the discriminator's slope.

With d(x) = sigmoid(logit) the probability that x is real, the game is of

    v = E_data[log d(x)] + E_model[log(1 - d(x))]           Eq. (20.81)

which the discriminator raises. Its best is d = p / (p + q) for data p and model q. There v = -log 4 + 2 JSD(p, q), and
the generator's payoffs, whose values differ, have these gradients in the parameters of q:

    =====================  =====================  ==========================
    minimax                E_q[log(1 - d)]        of 2 JSD(p, q)
    non-saturating         -E_q[log d]            of KL(q || p) - 2 JSD(p, q)
    maximum likelihood     -E_q[d / (1 - d)]      of KL(p || q)
    =====================  =====================  ==========================

(Goodfellow et al., 2014; Arjovsky and Bottou, 2017; Goodfellow, 2014.) All take logits `[batch]`, never probabilities:
log(1 - sigmoid(17)) is -inf in float32. All losses are minimised, one value for each example; means over the batch are
the objective's.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from genjax_models.types import Array, PRNGKey

Critic = Callable[[Array], Array]  # x [batch, ...] -> [batch]


def discriminator_loss(real_logits: Array, fake_logits: Array, *, label_smoothing: float | Array = 0.0) -> Array:
    """-log d(x) - log(1 - d(g(z))) for each pair of a real and a fake example, in nats: the negative of v, Eq. (20.81).

    The two terms are added, not averaged, so that a discriminator that always says 1/2 has log 4.

    Args:
      real_logits: of data, `[batch]`.
      fake_logits: of as many samples, `[batch]`.
      label_smoothing: what the target of real examples lies below 1, in [0, 1); that of fake ones stays 0 (one-sided:
        Salimans et al., 2016). The best d is then (1 - label_smoothing) p / (p + q), and the table above does not hold.

    Returns:
      `[batch]`.

    Raises:
      ValueError: logits that are not `[batch]` both, or a smoothing outside [0, 1).
    """
    _check_logits(real_logits=real_logits, fake_logits=fake_logits)
    if isinstance(label_smoothing, int | float) and not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
    of_real = jax.nn.softplus(-real_logits) + label_smoothing * real_logits
    return of_real + jax.nn.softplus(fake_logits)


def minimax_generator_loss(fake_logits: Array) -> Array:
    """log(1 - d(g(z))), `[batch]` in nats: v itself, whose gradient vanishes where the discriminator is sure."""
    _check_logits(fake_logits=fake_logits)
    return -jax.nn.softplus(fake_logits)


def non_saturating_generator_loss(fake_logits: Array) -> Array:
    """-log d(g(z)), `[batch]` in nats: its gradient is largest where the discriminator is sure (20.10.4)."""
    _check_logits(fake_logits=fake_logits)
    return jax.nn.softplus(-fake_logits)


def maximum_likelihood_generator_loss(fake_logits: Array) -> Array:
    """-d(g(z)) / (1 - d(g(z))) = -exp(logit), `[batch]`: maximum likelihood where the discriminator is best.

    In float32 value and gradient are -inf for logits above 88.7: training then stops as not finite. Nothing is clipped,
    for a clipped payoff would be another one. Few examples have nearly all of the gradient (Goodfellow, 2014).
    """
    _check_logits(fake_logits=fake_logits)
    return -jnp.exp(fake_logits)


def least_squares_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """(f(x) - 1)^2 / 2 + f(g(z))^2 / 2, `[batch]` (Mao et al., 2017, Eq. 9).

    f is the network's output itself, no logit: best at p / (p + q).

    Raises:
      ValueError: outputs that are not `[batch]` both.
    """
    _check_logits(real_logits=real_logits, fake_logits=fake_logits)
    return ((real_logits - 1) ** 2 + fake_logits**2) / 2


def least_squares_generator_loss(fake_logits: Array) -> Array:
    """(f(g(z)) - 1)^2 / 2, `[batch]` (Mao et al., 2017, Eq. 9)."""
    _check_logits(fake_logits=fake_logits)
    return (fake_logits - 1) ** 2 / 2


def hinge_discriminator_loss(real_logits: Array, fake_logits: Array) -> Array:
    """max(0, 1 - f(x)) + max(0, 1 + f(g(z))), `[batch]` (Lim and Ye, 2017; Miyato et al., 2018).

    Best at f = sign(p - q), where its mean is 2 - 2 TV(p, q), TV the total variation distance.

    Raises:
      ValueError: outputs that are not `[batch]` both.
    """
    _check_logits(real_logits=real_logits, fake_logits=fake_logits)
    return jax.nn.relu(1 - real_logits) + jax.nn.relu(1 + fake_logits)


def hinge_generator_loss(fake_logits: Array) -> Array:
    """-f(g(z)), `[batch]`: the gradient is that of 2 TV(p, q) where the discriminator is best."""
    _check_logits(fake_logits=fake_logits)
    return -fake_logits


def wasserstein_critic_loss(real_logits: Array, fake_logits: Array) -> Array:
    """f(g(z)) - f(x), `[batch]` (Arjovsky et al., 2017).

    Least, over all f that are 1-Lipschitz, at -W(p, q), the Wasserstein distance. Nothing here keeps f to those: add
    `wasserstein_gradient_penalty`.

    Raises:
      ValueError: outputs that are not `[batch]` both.
    """
    _check_logits(real_logits=real_logits, fake_logits=fake_logits)
    return fake_logits - real_logits


def wasserstein_generator_loss(fake_logits: Array) -> Array:
    """-f(g(z)), `[batch]`: the gradient is that of W(p, q) where the critic is best."""
    _check_logits(fake_logits=fake_logits)
    return -fake_logits


def wasserstein_gradient_penalty(key: PRNGKey, critic: Critic, real: Array, fake: Array) -> Array:
    """(|grad f(x)| - 1)^2 at x = u real + (1 - u) fake, u ~ U(0, 1): one u and one norm for each example.

    WGAN-GP (Gulrajani et al., 2017, Eq. 3), without its weight lambda, there 10. Where grad f is exactly zero the
    penalty is 1 and has no gradient.

    Args:
      key: of u.
      critic: f, x `[batch, ...]` -> `[batch]`, each output a function of its own example alone.
      real: data, `[batch, ...]`.
      fake: as many samples; no gradient reaches them unless the caller asks for it.

    Returns:
      `[batch]`, differentiable in what the critic closes over.

    Raises:
      ValueError: while tracing, shapes of real and fake that differ, or a critic that does not answer `[batch]`, or
        answers for one example by the others (see `check_critic`).
    """
    if real.shape != fake.shape:
        raise ValueError(f"real and fake must be of one shape, got {real.shape} and {fake.shape}")
    u = jax.random.uniform(key, (len(real), *(1,) * (real.ndim - 1)), real.dtype)
    square = _squared_slope(critic, u * real + (1 - u) * fake)
    flat = square == 0  # where the root has no derivative
    norm = jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, square)))
    return (norm - 1) ** 2


def r1_penalty(critic: Critic, real: Array) -> Array:
    """|grad f(x)|^2 / 2 at data: R1 (Mescheder et al., 2018, Eq. 9), without its weight gamma, there 10.

    Args:
      critic: f, x `[batch, ...]` -> `[batch]`, logits; each output a function of its own example alone.
      real: data, `[batch, ...]`.

    Returns:
      `[batch]`, differentiable in what the critic closes over.

    Raises:
      ValueError: while tracing, a critic that does not answer `[batch]`, or answers for one example by the others (see
        `check_critic`).
    """
    return _squared_slope(critic, real) / 2


def check_critic(critic: Critic, x: Array) -> None:
    """Refuses a critic whose outputs are not each a function of one example: then there is no slope of one example.

    Batch normalisation by the batch's own statistics is such a critic, and so is minibatch discrimination; batch
    normalisation by running averages is none. The critic runs once more, while tracing, on made-up numbers in the place
    of x and of all that it closes over, and the first output must be the same whatever the other examples are. Of a
    batch of one nothing can be told.

    Raises:
      ValueError: there is such a dependence, or outputs are not `[batch]`.
    """
    traced = jax.make_jaxpr(critic)(x)
    shapes = [output.shape for output in traced.out_avals]
    if shapes != [(len(x),)]:
        raise ValueError(f"the critic must answer {len(x)} examples with one array [{len(x)}], got shapes {shapes}")
    with jax.ensure_compile_time_eval():
        run = jax.jit(jaxpr_as_fun(ClosedJaxpr(traced.jaxpr, [_made_up(value) for value in traced.consts])))
        one = jax.random.normal(jax.random.key(0), x.shape, x.dtype)
        other = one.at[1:].set(1 - 3 * one[1:])
        (first, *_), (again, *_) = run(one)[0], run(other)[0]
        depends = bool(jnp.abs(first - again) > 1e-4 * (jnp.abs(first) + jnp.abs(again)))
    if depends:
        raise ValueError(
            "the critic's output for one example depends on the others: a gradient penalty takes no batch normalisation"
            " by the batch's own statistics"
        )


def _squared_slope(critic: Critic, x: Array) -> Array:
    """|grad f(x)|^2 of each example, `[batch]`."""
    check_critic(critic, x)
    slope = jax.grad(lambda x: jnp.sum(critic(x)))(x)  # of the sum: each example is in one term alone
    return jnp.sum(slope**2, axis=range(1, x.ndim))


def _made_up(value: Array) -> Array:
    """Numbers of the same shape and kind: positive (some are variances), the smaller the more of them are added up."""
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        return jnp.zeros_like(value)
    fan_in = max(1, value.size // max(1, value.shape[-1])) if value.ndim else 1
    return jax.random.uniform(jax.random.key(value.size), value.shape, value.dtype, 0.5, 1.5) / fan_in


def _check_logits(**logits: Array) -> None:
    """Refuses logits that are not `[batch]`, all of one size: [batch, 1] against [batch] would be [batch, batch]."""
    shapes = [jnp.shape(values) for values in logits.values()]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise ValueError(f"{' and '.join(logits)} must be [batch], got {' and '.join(map(str, shapes))}")
