"""log p(x) by annealed importance sampling: a check on NLL(k), from the encoder and from the prior.

Chains lead from q(z | x), or from the prior p(z), to the posterior (`estimators.annealing`). For real data each start
gives a lower bound on log p(x), as NLL(k) does; the greater of several lower bounds is the tighter one. Data drawn from
the model come with an exact sample of their posterior, and so with an upper bound too. The distance of the two bounds
limits the error of each.

A bound that starts from q cannot see a mode of the posterior that q misses: chains rarely cross to it. With half of the
posterior missed, NLL(k) and the annealed bound from q agree on a value that is log 2 nats too low, and their weights
look good. Chains from the prior do not depend on the encoder. They need more temperatures for the same tightness.

No key depends on the batch size. But the last bit of a float32 does, and can decide whether a proposal is accepted. So
figures of other batch sizes agree only within their Monte Carlo error.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from genjax_models.estimators import annealing
from genjax_models.estimators.annealing_path import linear_schedule
from genjax_models.estimators.importance_diagnostics import effective_sample_size
from genjax_models.estimators.step_size_adaptation import adapt_step_size
from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables

Start = Literal["encoder", "prior", "both"]


def annealed_log_likelihood(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    label: Array | None = None,
    start: Start = "both",
    num_temperatures: int = 1_000,
    num_chains: int = 16,
    num_leapfrog: int = 5,
    batch_size: int = 20,
) -> dict[str, Array]:
    """Returns a lower bound on log p(x) of each example, in nats; more temperatures make it tighter.

    A pilot run with its own key finds step sizes for each temperature and example, which are then fixed. The cost of a
    start is about 2 x `num_temperatures` x `num_leapfrog` gradients of log p(x, z) for each chain.

    The exponential of one start's bound is unbiased for p(x). So the bound's expectation is at most log p(x), and it
    exceeds log p(x) by b nats with probability at most exp(-b). The greater of two does so with probability at
    most 2 exp(-b). If both starts are equally good, the greater is higher by about 0.4 sqrt(1/s + 1/t) nats on average,
    with s and t their effective sample sizes: more chains lower that noise.

    Args:
      model: the latent-variable model; z may be any pytree of floats.
      variables: variables of the model (of one player, not of all players).
      key: example i draws from `fold_in(key, i)`.
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`.
      start: start of the chains. "encoder" is q(z | x): tight, but it cannot see a mode that the encoder misses.
        "prior" is p(z), which does not depend on the encoder. "both" takes the greater bound of each example, at the
        cost of two.
      num_temperatures: at least 2, on a linear schedule from the start to p(x, z).
      num_chains: number of chains for each example and start.
      num_leapfrog: leapfrog steps in a transition.
      batch_size: examples in memory at once, each with `num_chains` chains.

    Returns:
      "lower_bound", "effective_sample_size" (of the chains) and "acceptance" (near 0.65 if step sizes fit), `[n]`, of
      the start with the greater bound; with "both" also "lower_bound_from_encoder" and "lower_bound_from_prior".

    Raises:
      ValueError: an unknown start, a count is not an integer of at least 1, there are no examples, or the batch size is
        below 1.
    """
    schedule = linear_schedule(num_temperatures)
    if start not in get_args(Start):
        raise ValueError(f"start must be one of {get_args(Start)}, got {start!r}")
    starts = ("encoder", "prior") if start == "both" else (start,)

    check_examples(model, x)

    def one(key: PRNGKey, example: Batch) -> dict[str, Array]:
        single = jax.tree.map(lambda a: a[None], example)
        path = model, variables, single.x, single.label, schedule, num_chains, num_leapfrog
        keys = jax.random.split(key, (len(starts), 2))
        figures = {}
        for from_, (pilot_key, chain_key) in zip(starts, keys, strict=True):
            chains = _directions(*path, from_)[0](pilot_key, chain_key)[0]
            figures[from_] = {
                "lower_bound": annealing.lower_bound(chains.log_weights)[0],
                "effective_sample_size": effective_sample_size(chains.log_weights)[0],
                "acceptance": chains.acceptance[0],
            }
        if len(starts) == 1:
            return figures[start]
        bounds = {f"lower_bound_from_{from_}": figures[from_]["lower_bound"] for from_ in starts}
        better = bounds["lower_bound_from_encoder"] >= bounds["lower_bound_from_prior"]
        return jax.tree.map(partial(jnp.where, better), figures["encoder"], figures["prior"]) | bounds

    return map_examples(one, key, Batch(x, label), batch_size=batch_size)


def annealed_sandwich(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    n: int,
    *,
    label: Array | None = None,
    start: Literal["encoder", "prior"] = "encoder",
    num_temperatures: int = 1_000,
    num_chains: int = 16,
    num_leapfrog: int = 5,
    batch_size: int = 20,
) -> dict[str, Array]:
    """Returns bounds on log p(x) from both sides, in nats, for n draws of the model (bidirectional Monte Carlo).

    An encoder that misses a mode shows: reverse chains of draws from that mode give a far higher upper bound.

    Args:
      n: number of draws. The z of a drawn x is an exact sample of its posterior, and starts the reverse chains.
      start: start of the forward chains, and end of the reverse ones: q(z | x) or p(z).
      model, variables, key, label, num_temperatures, num_chains, num_leapfrog, batch_size: as in
        `annealed_log_likelihood`.

    Returns:
      "lower_bound" and "upper_bound", `[n]`. They hold in expectation, not for each draw.

    Raises:
      ValueError: as in `annealed_log_likelihood`.
    """
    schedule = linear_schedule(num_temperatures)
    if start not in ("encoder", "prior"):
        raise ValueError(f"start must be one of ('encoder', 'prior'), got {start!r}")

    def one(key: PRNGKey, example: tuple[Array, Array | None]) -> dict[str, Array]:
        label = jax.tree.map(lambda a: a[None], example[1])
        latent_key, data_key, pilot_key, forward_key, reverse_key = jax.random.split(key, 5)
        z = model.prior(variables, label).sample(seed=latent_key, sample_shape=1)
        x = model.likelihood(variables, z, label).sample(seed=data_key)
        forward, reverse = _directions(model, variables, x, label, schedule, num_chains, num_leapfrog, start)
        ahead, step_size = forward(pilot_key, forward_key)
        back = reverse(reverse_key, jax.tree.map(lambda a: jnp.broadcast_to(a, (num_chains, *a.shape)), z), step_size)
        lower, upper = annealing.lower_bound(ahead.log_weights), annealing.upper_bound(back.log_weights)
        return {"lower_bound": lower[0], "upper_bound": upper[0]}

    return map_examples(one, key, (jnp.arange(n), label), batch_size=batch_size)


def _directions(
    model: LatentVariableModel,
    variables: Variables,
    x: Array,
    label: Array | None,
    schedule: Array,
    num_chains: int,
    num_leapfrog: int,
    start: str,
) -> tuple[Callable, Callable]:
    """Returns `forward(pilot_key, key) -> (chains, step sizes)` and `reverse(key, z, step_size) -> chains` for `x`."""
    prior = model.prior(variables, label)
    initial = model.posterior(variables, x, label) if start == "encoder" else None
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
