"""The gap between the bound and log p(x), split into the part of q's family and the part of the encoder."""

from collections.abc import Callable, Mapping
from functools import partial

import distrax
import jax
import jax.numpy as jnp
import optax
from jax.random import fold_in

from genjax_models.estimators.checks import check_num_samples
from genjax_models.estimators.distributions import FullCovarianceNormal, diagonal_normal
from genjax_models.estimators.importance import log_weights
from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables

_BLOCK = 100  # samples in memory at once for each example; draws depend on it, so it is not an argument

Parameters = Mapping[str, Array]


def bound_gaps(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    log_likelihood: Array,
    *,
    label: Array | None = None,
    steps: int = 1_000,
    learning_rate: float = 0.01,
    step_samples: int = 8,
    num_samples: int = 1_000,
    batch_size: int = 50,
) -> dict[str, Array]:
    """Returns the two parts of the bound's gap for each example, in nats (Cremer, Li and Duvenaud, 2018):

        log p(x) - L(q) = [log p(x) - L(q*)] + [L(q*) - L(q)],      q* = argmax of L within q's family, for one x only
                           approximation        amortisation

    The approximation gap is the cost of the family, KL(q* || p(z | x)). The amortisation gap is the cost of one encoder
    for all x.

    Adam searches q* from the encoder's q, with a rate that falls to zero along a cosine. It follows the path gradient
    of L, which has no variance at the posterior. A search that stops too early makes L(q*) too low: a part of the
    amortisation gap then counts as approximation gap. Check that more `steps` change nothing. L(q) and L(q*) use the
    same fresh noise, not the noise of the search. An estimate of log p(x) by NLL(k) is too low: it makes the gap and
    the approximation gap too small by the same amount.

    Args:
      model: a model with a diagonal or a full-covariance Gaussian as q.
      variables: variables of the model (of one player, not of all players).
      key: example i draws from `fold_in(key, i)`.
      x: examples, `[n, *shape]`.
      log_likelihood: log p(x), `[n]` nats: exact, minus NLL(k), or by annealed importance sampling.
      label: classes for a conditional model, `[n]`.
      steps: steps of Adam, at least 0.
      learning_rate: first learning rate, for means in units of z and for logarithms of scales.
      step_samples: samples of q for each gradient.
      num_samples: samples of q and of q* for their bounds.
      batch_size: examples in memory at once; networks see batch_size times at most 100 (or `step_samples`) of z.

    Returns:
      "gap", "approximation_gap" and "amortisation_gap", each `[n]`; the gap is the sum of its parts. They are
      differences of estimates, so they may be negative.

    Raises:
      ValueError: q has another family, `log_likelihood` is not `[n]`, a number of samples is not an integer of at least
        1, `steps` is below 0, there are no examples, or the batch size is below 1.
    """
    for samples in (step_samples, num_samples):
        check_num_samples(samples)
    if steps < 0:
        raise ValueError(f"`steps` must be at least 0, got {steps}")
    if jnp.shape(log_likelihood) != (len(x),):
        raise ValueError(f"`log_likelihood` must have shape ({len(x)},), got {jnp.shape(log_likelihood)}")

    check_examples(model, x)

    def one(key: PRNGKey, example: Batch) -> tuple[Array, ...]:
        single = jax.tree.map(lambda a: a[None], example)
        x, label = single.x, single.label
        posterior, prior = model.posterior(variables, x, label), model.prior(variables, label)
        likelihood = partial(model.likelihood, variables, label=label)
        weights = lambda z, q: log_weights(z, x, q, prior, likelihood)
        start, distribution = local_family(posterior)
        search_key, bound_key = jax.random.split(key)

        def loss(parameters: Parameters, key: PRNGKey) -> Array:
            """Returns -L with the path gradient: without the score of q, whose mean is zero."""
            z = distribution(parameters).sample(seed=key, sample_shape=step_samples)
            fixed = distribution(jax.lax.stop_gradient(parameters))
            return -jnp.mean(weights(z, fixed))

        best = distribution(_minimise(loss, start, search_key, steps, learning_rate))
        return tuple(_bound(weights, q, bound_key, num_samples) for q in (distribution(start), best))

    of_encoder, of_best = map_examples(one, key, Batch(x, label), batch_size=batch_size)
    return {
        "gap": log_likelihood - of_encoder,
        "approximation_gap": log_likelihood - of_best,
        "amortisation_gap": of_best - of_encoder,
    }


def local_family(
    posterior: distrax.Distribution,
) -> tuple[Parameters, Callable[[Parameters], distrax.Distribution]]:
    """Returns the unconstrained parameters of a Gaussian, and the function from parameters to a Gaussian of its family.

    Raises:
      ValueError: `posterior` is neither a diagonal nor a full-covariance Gaussian over vectors.
    """
    match posterior:
        case distrax.Independent(distribution=distrax.Normal(loc=mean, scale=scale)) if len(posterior.event_shape) == 1:
            return {"mean": mean, "log_scale": jnp.log(scale)}, _diagonal
        case FullCovarianceNormal(mean_=mean, factor=factor):
            log_diagonal = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1))
            return {"mean": mean, "log_diagonal": log_diagonal, "below": jnp.tril(factor, -1)}, _full_covariance
    raise ValueError(f"q must be a diagonal or full-covariance Gaussian over vectors, got {type(posterior).__name__}")


def _diagonal(p: Parameters) -> distrax.Independent:
    return diagonal_normal(p["mean"], jnp.exp(p["log_scale"]))


def _full_covariance(p: Parameters) -> FullCovarianceNormal:
    diagonal = jnp.exp(p["log_diagonal"])[..., None] * jnp.eye(p["mean"].shape[-1])
    return FullCovarianceNormal(p["mean"], jnp.tril(p["below"], -1) + diagonal)


def _bound(weights: Callable, q: distrax.Distribution, key: PRNGKey, num_samples: int) -> Array:
    """Returns the mean of the log weights of `num_samples` samples; block j draws from `fold_in(key, j)`."""

    def block(j: Array) -> Array:
        z = q.sample(seed=fold_in(key, j), sample_shape=_BLOCK)
        return weights(z, q)

    return jnp.mean(jax.lax.map(block, jnp.arange(-(-num_samples // _BLOCK))).reshape(-1)[:num_samples])


def _minimise(
    loss: Callable[[Parameters, PRNGKey], Array], start: Parameters, key: PRNGKey, steps: int, learning_rate: float
) -> Parameters:
    """Minimises by Adam with a rate that falls to zero along a cosine; step t draws from `fold_in(key, t)`."""
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, max(steps, 1)))

    def step(state: tuple, t: Array) -> tuple[tuple, None]:
        parameters, opt_state = state
        gradient = jax.grad(loss)(parameters, fold_in(key, t))
        updates, opt_state = optimizer.update(gradient, opt_state)
        return (optax.apply_updates(parameters, updates), opt_state), None

    (parameters, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), jnp.arange(steps))
    return parameters
