"""Usage of the latent dimensions: posterior means, active units, and KL by dimension."""

from collections.abc import Callable
from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.autoregressive import Autoregressive
from genjax_models.estimators.checks import check_num_samples
from genjax_models.estimators.distributions import Chain
from genjax_models.estimators.elbo import kl_by_dimension
from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables

# A unit is active if its posterior mean has a larger variance over data (Burda et al., 2015, section 5.1).
ACTIVITY_THRESHOLD = 0.01


class LatentUsage(NamedTuple):
    """Usage of the latent dimensions of one stochastic layer, over n examples.

    z is `[*event]`: `[latent]`, or `[steps, latent]` of a model that unfolds.

    Attributes:
      means: posterior means E_q[z | x], `[n, *event]`.
      activity: variance of the means over data, `[*event]`.
      active: whether each dimension is active, `[*event]`.
      kl_by_dimension: mean KL over data, `[latent]` nats; None if q or p does not factorise.
    """

    means: Array
    activity: Array
    active: Array
    kl_by_dimension: Array | None


def latent_usage(
    model: LatentVariableModel, variables: Variables, x: Array, *, label: Array | None = None, batch_size: int = 500
) -> LatentUsage:
    """Returns posterior means, active units and KL by dimension over `x`, without random draws.

    Args:
      model: a model with one stochastic layer; use `latent_usage_by_layer` for several layers.
      variables: variables of the model (of one player, not of all players).
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`.
      batch_size: examples in memory at once; no figure depends on it.

    Raises:
      ValueError: the mean of q has no closed form (several stochastic layers, or a flow), there are no examples, or the
        batch size is below 1.
    """

    check_examples(model, x)

    def one(_, example: Batch) -> tuple[Array, Array | None]:
        single = jax.tree.map(lambda a: a[None], example)
        x, label = single.x, single.label
        posterior = model.posterior(variables, x, label)
        if not _has_mean(posterior):
            raise ValueError(
                f"q must have a mean in closed form, got {posterior.name}. Draw samples: use latent_usage_by_layer"
            )
        return posterior.mean()[0], _kl_by_dimension(posterior, model.prior(variables, label))

    means, kl = map_examples(one, jax.random.key(0), Batch(x, label), batch_size=batch_size)
    return _usage(means, jnp.var(means, axis=0), None if kl is None else jnp.mean(kl, axis=0))


def latent_usage_by_layer(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    label: Array | None = None,
    num_samples: int = 100,
    batch_size: int = 50,
) -> tuple[LatentUsage, ...]:
    """Returns posterior means and active units of z_1, ..., z_L, by samples of q; there is no KL by dimension.

    The mean of the first vector of q's chain is exact. The mean of a later vector averages its conditional mean over
    `num_samples` draws of the vector before, E_q[z_l | x] = E_q[E[z_l | z_{l-1}] | x]. So it varies over data by chance
    too, by the variance within an example / `num_samples`. This variance is estimated from the same draws and
    subtracted (one-way analysis of variance). So `activity` is unbiased, and may be negative for an unused unit.

    Args:
      model: a model whose posterior is a `Chain`, or any distribution over one array. The layer of the latter is the
        result of `latent_usage` if the mean has a closed form; if not, draws are averaged and corrected in the same
        way. Of an `Autoregressive`, the averages are of the conditional means of its steps.
      variables: variables of the model (of one player, not of all players).
      key: example i draws from `fold_in(key, i)`.
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`.
      num_samples: draws for each example, at least 2.
      batch_size: examples in memory at once, each with `num_samples` draws; no figure depends on it.

    Returns:
      A `LatentUsage` for each layer, from the layer nearest to the data up.

    Raises:
      ValueError: fewer than two samples, no examples, or a batch size below 1.
    """
    check_examples(model, x)
    check_num_samples(num_samples)
    if num_samples < 2:
        raise ValueError(f"`num_samples` must be at least 2, got {num_samples}")
    if _has_mean(model.posterior(variables, x[:1], None if label is None else label[:1])):
        return (latent_usage(model, variables, x, label=label, batch_size=batch_size),)

    def one(key: PRNGKey, example: Batch) -> tuple[tuple[Array, Array], ...]:
        single = jax.tree.map(lambda a: a[None], example)
        x, label = single.x, single.label
        means = _conditional_means(model.posterior(variables, x, label), key, num_samples)
        return tuple((jnp.mean(mean, axis=0), jnp.var(mean, axis=0, ddof=1)) for mean in means)

    layers = map_examples(one, key, Batch(x, label), batch_size=batch_size)
    by_chance = (1 - 1 / len(x)) / num_samples  # of the variance within examples, which the variance over data has too
    return tuple(
        _usage(means, jnp.var(means, axis=0) - by_chance * jnp.mean(within, axis=0)) for means, within in layers
    )


class Code(NamedTuple):
    """Mean and standard deviation of q(z | x) of one stochastic layer, both `[n, *event]`."""

    mean: Array
    deviation: Array


def codes_by_layer(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    label: Array | None = None,
    first: int | Array = 0,
    num_samples: int = 100,
    batch_size: int = 50,
) -> tuple[Code, ...]:
    """Returns mean and standard deviation of q(z_l | x) of each layer, from the layer nearest to the data up.

    The means are the same as in `latent_usage_by_layer`. The same draws estimate a moment without a closed form. The
    relative error of such a standard deviation is about 1 / sqrt(2 num_samples), 7% for 100 draws.

    Args:
      model: as in `latent_usage_by_layer`.
      variables: variables of the model.
      key: example i draws from `fold_in(key, first + i)`.
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`.
      first: index of the first example, so that a set can be encoded in blocks.
      num_samples: draws for each example, at least 2, for moments without a closed form.
      batch_size: examples in memory at once; no figure depends on it.

    Raises:
      ValueError: fewer than two samples, no examples, or a batch size below 1.
    """
    check_examples(model, x)
    check_num_samples(num_samples)
    if num_samples < 2:
        raise ValueError(f"`num_samples` must be at least 2, got {num_samples}")

    def one(_, example: tuple[Array, Batch]) -> tuple[Code, ...]:
        index, batch = example
        single = jax.tree.map(lambda a: a[None], batch)
        posterior = model.posterior(variables, single.x, single.label)
        if _has(posterior.mean) and _has(posterior.stddev):
            return (Code(posterior.mean()[0], posterior.stddev()[0]),)
        z, means = _draws(posterior, jax.random.fold_in(key, index), num_samples)
        if _has(posterior.mean):
            means = [posterior.mean()]
        return tuple(
            Code(jnp.mean(mean, axis=0), jnp.std(draws, axis=0, ddof=1)) for mean, draws in zip(means, z, strict=True)
        )

    examples = jnp.arange(len(x)) + first, Batch(x, label)
    return map_examples(one, key, examples, batch_size=batch_size)


def _usage(means: Array, activity: Array, kl_by_dimension: Array | None = None) -> LatentUsage:
    return LatentUsage(means, activity, activity > ACTIVITY_THRESHOLD, kl_by_dimension)


def _has_mean(posterior: distrax.Distribution) -> bool:
    return _has(posterior.mean)


def _has(moment: Callable[[], Array]) -> bool:
    try:
        moment()
    except NotImplementedError:
        return False
    return True


def _conditional_means(posterior: distrax.Distribution, key: PRNGKey, num_samples: int) -> list[Array]:
    """Returns E[z_l | the vector before] `[num_samples, *event]` of one example, from z_1 up.

    Without a chain it is E[z_t | z_<t] of a model that unfolds, or z itself.
    """
    return _draws(posterior, key, num_samples)[1]


def _draws(posterior: distrax.Distribution, key: PRNGKey, num_samples: int) -> tuple[list[Array], list[Array]]:
    """Returns draws of z and their conditional means, as `_conditional_means` does."""
    if isinstance(posterior, Autoregressive):
        draws, means = posterior.sample_and_means(key, num_samples)
        return [draws[:, 0]], [means[:, 0]]
    z = posterior.sample(seed=key, sample_shape=num_samples)
    if not isinstance(posterior, Chain):
        return [z[:, 0]], [z[:, 0]]
    before = z[::-1] if posterior.downwards else z
    first = jnp.broadcast_to(posterior.first.mean(), before[0].shape)
    means = [first, *(given(vector).mean() for given, vector in zip(posterior.conditionals, before, strict=False))]
    means = means[::-1] if posterior.downwards else means
    return [draws[:, 0] for draws in z], [mean[:, 0] for mean in means]


def _kl_by_dimension(posterior: distrax.Distribution, prior: distrax.Distribution) -> Array | None:
    """Returns the KL of each dimension `[latent]` of one example; None if q or p does not factorise."""
    try:
        return kl_by_dimension(posterior, prior)[0]
    except ValueError:
        return None
