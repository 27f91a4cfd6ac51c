"""The aggregate posterior q(z), what of it the prior does not match, and what z says about x."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_num_samples
from genjax_models.evaluation.examples import map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables


def latent_information(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    label: Array | None = None,
    num_samples: int = 1,
    batch_size: int = 100,
) -> dict[str, Array]:
    """The two parts of the bound's KL term under the aggregate posterior q(z) = 1/n sum_m q(z | x_m), in nats:

        E_x KL(q(z | x) || p(z)) = I(x; z) + KL(q(z) || p(z))         Hoffman and Johnson, 2016

    The first part is what z says about x; the second is how far codes lie from where samples are drawn, and buys
    nothing. q(z) is the whole mixture over the n examples, its own included, and not that of a minibatch.

    No draw of I is above log n, whatever the model: n examples take no more to be told apart. Where I comes close to
    log n, it says that the examples' posteriors hardly overlap, and would grow with n; the mismatch falls by as much.

    The mean over examples is the estimate, and `estimates.estimate` gives its standard error over draws of x and z:
    that all examples share one mixture counts for nothing to first order.

    Args:
      model: the latent-variable model; z may be any pytree.
      variables: of the model (one player's, not the players').
      key: example i draws from `fold_in(key, i)`.
      x: `[n, *shape]`.
      label: `[n]`, of a conditional model: q(z) is then a mixture over examples with their labels, and p(z) stays p(z).
      num_samples: draws of z for each example, at least 1.
      batch_size: densities are of `num_samples` x `batch_size` draws under `batch_size` examples at once, n^2 times
        `num_samples` in all; no figure depends on it beyond float32 rounding.

    Returns:
      "kl" = log q(z | x) - log p(z), "mutual_information" = log q(z | x) - log q(z) and "marginal_kl" =
      log q(z) - log p(z), each `[n]`, means over an example's draws; kl = mutual_information + marginal_kl.

    Raises:
      ValueError: `num_samples` that is no integer of at least 1, no examples, or a batch size below 1.
    """
    check_num_samples(num_samples)
    examples = Batch(x, label)

    def draw(key: PRNGKey, example: Batch) -> tuple:
        single = jax.tree.map(lambda a: a[None], example)
        x, label = single.x, single.label
        posterior = model.posterior(variables, x, label)
        z = posterior.sample(seed=key, sample_shape=num_samples)
        return z, posterior.log_prob(z)[:, 0], model.prior(variables, label).log_prob(z)[:, 0]

    z, log_posterior, log_prior = map_examples(draw, key, examples, batch_size=batch_size)

    def add(log_sum: Array, some: Batch) -> tuple[Array, None]:
        """`log_sum` `[n, num_samples]` of q(z | x_m), with the terms of some further examples m."""
        count = len(some.x)
        posterior = model.posterior(variables, some.x, some.label)

        def terms(z) -> Array:
            z = jax.tree.map(lambda a: jnp.broadcast_to(a, (num_samples, count, *a.shape[2:])), z)
            return jax.nn.logsumexp(posterior.log_prob(z), axis=1)

        return jnp.logaddexp(log_sum, jax.lax.map(terms, z, batch_size=batch_size)), None

    log_sum = _scan_chunks(add, jnp.full(log_posterior.shape, -jnp.inf), examples, min(batch_size, len(x)))
    log_aggregate = log_sum - np.log(len(x))
    figures = {
        "kl": log_posterior - log_prior,
        "mutual_information": log_posterior - log_aggregate,
        "marginal_kl": log_aggregate - log_prior,
    }
    return {name: jnp.mean(value, axis=1) for name, value in figures.items()}


def _scan_chunks(add, carry: Array, examples: Batch, size: int) -> Array:
    """`jax.lax.scan` of `add` over chunks of `size` examples, the last one ragged."""
    whole = len(examples.x) // size * size
    chunks = jax.tree.map(lambda a: a[:whole].reshape(-1, size, *a.shape[1:]), examples)
    carry, _ = jax.lax.scan(add, carry, chunks)
    if whole < len(examples.x):
        carry, _ = add(carry, jax.tree.map(lambda a: a[whole:], examples))
    return carry
