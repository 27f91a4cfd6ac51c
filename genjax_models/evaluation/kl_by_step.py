"""The KL of a model that unfolds, by step: what each step tells about x."""

import jax

from genjax_models.estimators.autoregressive import Autoregressive
from genjax_models.estimators.checks import check_num_samples
from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables


def kl_by_step(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    label: Array | None = None,
    num_samples: int = 1,
    batch_size: int = 100,
) -> Array:
    """Returns KL(q(z_t | z_<t, x) || p(z_t | z_<t)) of each example and step `[n, steps]`, in nats.

    The sum over steps has the KL of the bound as its mean.

    Args:
      model: a model whose q is an `Autoregressive`.
      variables: variables of the model (of one player, not of all players).
      key: example i draws from `fold_in(key, i)`.
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`.
      num_samples: draws of z for each example, at least 1; the KL is their mean.
      batch_size: examples in memory at once; no figure depends on it.

    Raises:
      ValueError: q is no `Autoregressive`, `num_samples` is no integer of at least 1, there are no examples, or the
        batch size is below 1.
    """
    check_examples(model, x)
    check_num_samples(num_samples)

    def one(key: PRNGKey, example: Batch) -> Array:
        single = jax.tree.map(lambda a: a[None], example)
        posterior = model.posterior(variables, single.x, single.label)
        if not isinstance(posterior, Autoregressive):
            raise ValueError(f"q must have steps, as that of DRAW has, got {posterior.name}")
        return posterior.sample_and_kl_by_step(key, model.prior(variables, single.label), num_samples)[1][:, 0].mean(0)

    return map_examples(one, key, Batch(x, label), batch_size=batch_size)
