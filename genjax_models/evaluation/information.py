"""The aggregate posterior q(z): its distance from the prior, and the information that z has about x."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_num_samples
from genjax_models.evaluation.examples import check_examples, map_examples
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
    """Returns the two parts of the bound's KL term under the aggregate posterior q(z) = 1/n sum_m q(z | x_m), in nats:

        E_x KL(q(z | x) || p(z)) = I(x; z) + KL(q(z) || p(z))         Hoffman and Johnson, 2016

    The mutual information is what z says about x. The marginal KL is the distance of the codes from the prior, and adds
    nothing to it. q(z) is the mixture over all n examples, including the example itself, not over a minibatch.

    No draw of I is above log n, for any model, because log n nats identify one of n examples. An I close to log n says
    that the posteriors hardly overlap. It would grow with n, and the marginal KL would fall by the same amount.

    The estimate is the mean over examples; `estimates.estimate` gives its standard error over draws of x and z. All
    examples share one mixture, which has no effect to first order.

    Args:
      model: the latent-variable model; z may be any pytree.
      variables: variables of the model (of one player, not of all players).
      key: example i draws from `fold_in(key, i)`.
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`: q(z) is then a mixture over examples with their labels.
      num_samples: draws of z for each example, at least 1.
      batch_size: `num_samples` x `batch_size` draws meet `batch_size` examples at once; all densities are n^2 times
        `num_samples`. No figure depends on it beyond float32 rounding.

    Returns:
      "kl" = log q(z | x) - log p(z), "mutual_information" = log q(z | x) - log q(z) and "marginal_kl" =
      log q(z) - log p(z), each `[n]`, means over an example's draws; kl = mutual_information + marginal_kl.

    Raises:
      ValueError: `num_samples` is not an integer of at least 1, there are no examples, or the batch size is below 1.
    """
    check_examples(model, x)
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
        """Returns `log_sum` `[n, num_samples]` of q(z | x_m), with the terms of some more examples m."""
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
    """Scans `add` over chunks of `size` examples; the last chunk may be smaller."""
    whole = len(examples.x) // size * size
    chunks = jax.tree.map(lambda a: a[:whole].reshape(-1, size, *a.shape[1:]), examples)
    carry, _ = jax.lax.scan(add, carry, chunks)
    if whole < len(examples.x):
        carry, _ = add(carry, jax.tree.map(lambda a: a[whole:], examples))
    return carry
