"""The evidence lower bound on log p(x).

    L(q) = E_q[log p(z, x)] + H(q(z | x))                   Eq. (20.76)
         = E_q[log p(x | z)] - KL(q(z | x) || p(z))         Eq. (20.77)
         = E_q[log p(x | z) + log p(z) - log q(z | x)]      Eq. (1.28)

All three forms estimate the reconstruction term E_q[log p(x | z)] with samples of q. They differ in the divergence that
is subtracted: a closed KL, a closed entropy, or only samples.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import chex
import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.autoregressive import Autoregressive
from genjax_models.estimators.checks import ONE_ROW_EACH, check_num_samples
from genjax_models.estimators.distributions import draws_with_log_prob
from genjax_models.types import Array, PRNGKey

Form = Literal["entropy", "kl", "monte_carlo"]


class ElboTerms(NamedTuple):
    """`reconstruction` E_q[log p(x | z)] and `kl` KL(q(z | x) || p(z)), each `[batch]`, in nats."""

    reconstruction: Array
    kl: Array


def elbo(
    key: PRNGKey,
    x: Array,
    posterior: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Array], distrax.Distribution],
    *,
    num_samples: int = 1,
    form: Form = "kl",
) -> Array:
    """Returns an unbiased estimate of the bound per example, in nats.

    Args:
      key: randomness of the samples of q.
      x: data, `[batch, ...]`.
      posterior: q(z | x), reparameterized, with batch shape `[batch]`; z may be any pytree.
      prior: p(z).
      likelihood: z with leaves `[num_samples, batch, ...]` -> p(x | z).
      num_samples: samples of q per example, at least 1. More samples lower the variance, not the expectation.
      form: "kl" (20.77) needs a closed KL(q || p), "entropy" (20.76) a closed entropy of q, "monte_carlo" (1.28)
        neither. For an `Autoregressive` q, "kl" needs one per step and sums them along each draw. All are equal in
        expectation. At q = p(z | x), "monte_carlo" has no variance. It evaluates q once to draw z and to compute
        log q(z | x): by the `sample_and_log_prob` of q, or else compiled code merges two evaluations.

    Returns:
      The bound, `[batch]`. Its gradient is unbiased in the parameters of q, of the prior and of the likelihood.

    Raises:
      AssertionError: while tracing, log-probabilities are not `[num_samples, batch]`.
      ValueError: `num_samples` is no integer of at least 1, `form` is unknown, or the distributions lack the closed
        expression that `form` needs.
    """
    terms = elbo_terms(key, x, posterior, prior, likelihood, num_samples=num_samples, form=form)
    return terms.reconstruction - terms.kl


def elbo_terms(
    key: PRNGKey,
    x: Array,
    posterior: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Array], distrax.Distribution],
    *,
    num_samples: int = 1,
    form: Form = "kl",
) -> ElboTerms:
    """Returns the two terms whose difference is the `elbo`; arguments and errors are the same."""
    check_num_samples(num_samples)
    if form not in get_args(Form):
        raise ValueError(f"form must be one of {get_args(Form)}, got {form!r}")
    log_posterior = kl_by_step = None
    if form == "kl" and isinstance(posterior, Autoregressive):
        z, kl_by_step = _closed_form(posterior, "sample_and_kl_by_step", (key, prior, num_samples), form)
    elif form == "monte_carlo" and draws_with_log_prob(posterior):
        z, log_posterior = posterior.sample_and_log_prob(seed=key, sample_shape=num_samples)
    else:
        z = posterior.sample(seed=key, sample_shape=num_samples)
    log_likelihood = likelihood(z).log_prob(x)
    chex.assert_shape(log_likelihood, (num_samples, x.shape[0]), custom_message=ONE_ROW_EACH)
    match form:
        case "kl" if kl_by_step is not None:
            kl = jnp.mean(jnp.sum(kl_by_step, axis=-1), axis=0)
        case "kl":
            kl = _closed_form(posterior, "kl_divergence", (prior,), form)
        case "entropy":
            kl = -_closed_form(posterior, "entropy", (), form) - jnp.mean(prior.log_prob(z), axis=0)
        case "monte_carlo":
            log_posterior = posterior.log_prob(z) if log_posterior is None else log_posterior
            kl = jnp.mean(log_posterior - prior.log_prob(z), axis=0)
    chex.assert_shape(kl, (x.shape[0],))
    return ElboTerms(jnp.mean(log_likelihood, axis=0), kl)


def kl_by_dimension(posterior: distrax.Distribution, prior: distrax.Distribution) -> Array:
    """Returns KL(q(z_j | x) || p(z_j)) per dimension, `[batch, latent]` in nats, for a q and a p that factorise.

    Raises:
      ValueError: q or p does not factorise, or they have no closed KL.
    """
    for distribution in (posterior, prior):
        if not isinstance(distribution, distrax.Independent) or len(distribution.event_shape) != 1:
            raise ValueError(f"the KL per dimension needs vectors of independent numbers, got {distribution.name}")
    return _closed_form(posterior.distribution, "kl_divergence", (prior.distribution,), "kl")


def _closed_form(posterior: distrax.Distribution, name: str, arguments: tuple, form: Form) -> Any:
    cause = None
    if hasattr(posterior, name):
        try:
            with jax.numpy_rank_promotion("allow"):  # distrax promotes ranks
                return getattr(posterior, name)(*arguments)
        except NotImplementedError as error:
            cause = error
    expression, fallback = _CLOSED[form]
    raise ValueError(f'form="{form}" needs a closed {expression}, but there is none: use form={fallback}') from cause


_CLOSED = {"kl": ("KL(q || p)", '"entropy" or "monte_carlo"'), "entropy": ("entropy of q", '"monte_carlo"')}
