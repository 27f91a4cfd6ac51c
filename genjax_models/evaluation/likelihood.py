"""The negative log-likelihood of held-out data by importance sampling, and how far to trust it.

Draws of q cannot show a mode of the posterior that q misses. `evaluation.annealed` from the prior can.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.random import fold_in

from genjax_models.estimators.checks import check_num_samples
from genjax_models.estimators.importance import log_mean_exp, log_weights
from genjax_models.estimators.importance_diagnostics import effective_sample_size, pareto_k_hat
from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables

_BLOCK = 100  # samples in memory at once for each example; draws depend on it, so it is not an argument


def negative_log_likelihood(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    label: Array | None = None,
    num_samples: int = 5_000,
    batch_size: int = 10,
) -> dict[str, Array]:
    """Returns -log 1/k sum_i w_i of each example, in nats, with z_i from the encoder's q(z | x): NLL(k).

    Its expectation is -L_k, an upper bound on -log p(x) that falls with k (Burda et al., 2015). Networks see
    `batch_size` times 100 latent samples at a time, for any k. Memory also holds k log-weights for each of `batch_size`
    examples.

    Args:
      model: the latent-variable model.
      variables: variables of the model (of one player, not of all players).
      key: block j of 100 samples of example i draws from `fold_in(fold_in(key, i), j)`.
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`.
      num_samples: k, at least 1.
      batch_size: examples in memory at once; no figure depends on it beyond float32 rounding.

    Returns:
      "negative_log_likelihood", "effective_sample_size" (of k), and for k of 25 or more "pareto_k_hat", each `[n]`.
      Trust the estimate of an example whose k-hat is below 0.7, if the encoder misses no mode. Below 2,155 samples the
      limit is lower: `estimators.importance_diagnostics.pareto_k_threshold(k)`.

    Raises:
      ValueError: k is not an integer of at least 1, there are no examples, or the batch size is below 1.
    """
    check_examples(model, x)
    check_num_samples(num_samples)

    def one(key: PRNGKey, example: Batch) -> dict[str, Array]:
        single = jax.tree.map(lambda a: a[None], example)
        x, label = single.x, single.label
        posterior, prior = model.posterior(variables, x, label), model.prior(variables, label)
        likelihood = partial(model.likelihood, variables, label=label)

        def block(key: PRNGKey) -> Array:
            z = posterior.sample(seed=key, sample_shape=_BLOCK)
            return log_weights(z, x, posterior, prior, likelihood)

        keys = jax.vmap(partial(fold_in, key))(jnp.arange(-(-num_samples // _BLOCK)))
        weights = jax.lax.map(block, keys).reshape(-1, 1)[:num_samples]
        figures = {
            "negative_log_likelihood": -log_mean_exp(weights),
            "effective_sample_size": effective_sample_size(weights),
        }
        if num_samples >= 25:
            figures["pareto_k_hat"] = pareto_k_hat(weights)
        return {name: value[0] for name, value in figures.items()}

    return map_examples(one, key, Batch(x, label), batch_size=batch_size)
