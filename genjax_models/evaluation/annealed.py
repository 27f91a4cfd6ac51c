"""log p(x) by annealed importance sampling: a check on NLL(k) that depends less on the encoder.

Chains lead from the encoder's q(z | x) to the posterior (`estimators.annealing`). For real data they give a lower bound
on log p(x), as NLL(k) does; the larger of two lower bounds is better. Data drawn from the model come with an exact
sample of their posterior, and so with an upper bound too. The distance of the two bounds limits the error of each.

No key depends on the batch size. But the last bit of a float32 does, and can decide whether a proposal is accepted. So
figures of other batch sizes agree only within their Monte Carlo error.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from genjax_models.estimators import annealing
from genjax_models.estimators.annealing_path import linear_schedule
from genjax_models.estimators.importance_diagnostics import effective_sample_size
from genjax_models.estimators.step_size_adaptation import adapt_step_size
from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables


def annealed_log_likelihood(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    label: Array | None = None,
    num_temperatures: int = 1_000,
    num_chains: int = 16,
    num_leapfrog: int = 5,
    batch_size: int = 20,
) -> dict[str, Array]:
    """Returns a lower bound (in expectation) on log p(x) of each example, in nats; more temperatures make it tighter.

    A pilot run with its own key finds step sizes for each temperature and example, which are then fixed. The cost is
    about 2 x `num_temperatures` x `num_leapfrog` gradients of log p(x, z) for each chain.

    Args:
      model: the latent-variable model; z may be any pytree of floats.
      variables: variables of the model (of one player, not of all players).
      key: example i draws from `fold_in(key, i)`.
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`.
      num_temperatures: at least 2, on a linear schedule from q(z | x) to p(x, z).
      num_chains: number of chains for each example.
      num_leapfrog: leapfrog steps in a transition.
      batch_size: examples in memory at once, each with `num_chains` chains.

    Returns:
      "lower_bound", "effective_sample_size" (of the chains) and "acceptance" (near 0.65 if step sizes fit), `[n]`.

    Raises:
      ValueError: a count is not an integer of at least 1, there are no examples, or the batch size is below 1.
    """
    schedule = linear_schedule(num_temperatures)

    check_examples(model, x)

    def one(key: PRNGKey, example: Batch) -> dict[str, Array]:
        single = jax.tree.map(lambda a: a[None], example)
        x, label = single.x, single.label
        forward, _ = _directions(model, variables, x, label, schedule, num_chains, num_leapfrog)
        chains = forward(*jax.random.split(key))[0]
        return {
            "lower_bound": annealing.lower_bound(chains.log_weights)[0],
            "effective_sample_size": effective_sample_size(chains.log_weights)[0],
            "acceptance": chains.acceptance[0],
        }

    return map_examples(one, key, Batch(x, label), batch_size=batch_size)


def annealed_sandwich(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    n: int,
    *,
    label: Array | None = None,
    num_temperatures: int = 1_000,
    num_chains: int = 16,
    num_leapfrog: int = 5,
    batch_size: int = 20,
) -> dict[str, Array]:
    """Returns bounds on log p(x) from both sides, in nats, for n draws of the model (bidirectional Monte Carlo).

    Args:
      n: number of draws. The z of a drawn x is an exact sample of its posterior, and starts the reverse chains.
      model, variables, key, label, num_temperatures, num_chains, num_leapfrog, batch_size: as in
        `annealed_log_likelihood`.

    Returns:
      "lower_bound" and "upper_bound", `[n]`. They hold in expectation, not for each draw.

    Raises:
      ValueError: as in `annealed_log_likelihood`.
    """
    schedule = linear_schedule(num_temperatures)

    def one(key: PRNGKey, example: tuple[Array, Array | None]) -> dict[str, Array]:
        label = jax.tree.map(lambda a: a[None], example[1])
        latent_key, data_key, pilot_key, forward_key, reverse_key = jax.random.split(key, 5)
        z = model.prior(variables, label).sample(seed=latent_key, sample_shape=1)
        x = model.likelihood(variables, z, label).sample(seed=data_key)
        forward, reverse = _directions(model, variables, x, label, schedule, num_chains, num_leapfrog)
        ahead, step_size = forward(pilot_key, forward_key)
        back = reverse(reverse_key, jax.tree.map(lambda a: jnp.broadcast_to(a, (num_chains, *a.shape)), z), step_size)
        lower, upper = annealing.lower_bound(ahead.log_weights), annealing.upper_bound(back.log_weights)
        return {"lower_bound": lower[0], "upper_bound": upper[0]}

    return map_examples(one, key, (jnp.arange(n), label), batch_size=batch_size)


def _directions(
    model: LatentVariableModel, variables: Variables, x: Array, label, schedule, num_chains: int, num_leapfrog: int
) -> tuple[Callable, Callable]:
    """Returns `forward(pilot_key, key) -> (chains, step sizes)` and `reverse(key, z, step_size) -> chains` for `x`."""
    prior, initial = model.prior(variables, label), model.posterior(variables, x, label)
    likelihood = partial(model.likelihood, variables, label=label)
    path = {"schedule": schedule, "num_leapfrog": num_leapfrog, "initial": initial}
    updates = -(-1_000 // (len(schedule) - 1))  # of the pilot; with many temperatures, neighbours hardly differ

    def forward(pilot_key: PRNGKey, key: PRNGKey):
        step_size = adapt_step_size(pilot_key, x, prior, likelihood, num_chains=num_chains, num_updates=updates, **path)
        run = partial(annealing.annealed_importance_sampling, num_chains=num_chains, step_size=step_size, **path)
        return run(key, x, prior, likelihood), step_size

    def reverse(key: PRNGKey, z, step_size: Array):
        run = partial(annealing.reverse_annealed_importance_sampling, step_size=step_size, **path)
        return run(key, x, z, prior, likelihood)

    return forward, reverse
