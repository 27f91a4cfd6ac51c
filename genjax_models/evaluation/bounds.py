"""The bound on held-out data, for each example."""

from functools import partial

import jax

from genjax_models.estimators.elbo import Form, elbo_terms
from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables


def held_out_bound(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    label: Array | None = None,
    num_samples: int = 1,
    form: Form = "kl",
    batch_size: int = 500,
) -> dict[str, Array]:
    """Returns L(q) and its two terms for each example, in nats, with `num_samples` samples of q each.

    Args:
      model: the latent-variable model.
      variables: variables of the model (of one player, not of all players).
      key: example i draws from `fold_in(key, i)`.
      x: examples, `[n, *shape]`.
      label: classes for a conditional model, `[n]`.
      num_samples: samples of q for each example.
      form: expression of the bound; see `estimators.elbo`.
      batch_size: examples in memory at once; no figure depends on it.

    Returns:
      "bound", "reconstruction" and "kl", each `[n]`, with bound = reconstruction - kl.
    """

    check_examples(model, x)

    def one(key: PRNGKey, example: Batch) -> dict[str, Array]:
        single = jax.tree.map(lambda a: a[None], example)
        x, label = single.x, single.label
        posterior, prior = model.posterior(variables, x, label), model.prior(variables, label)
        likelihood = partial(model.likelihood, variables, label=label)
        terms = elbo_terms(key, x, posterior, prior, likelihood, num_samples=num_samples, form=form)
        terms = {"bound": terms.reconstruction - terms.kl, **terms._asdict()}
        return {name: value[0] for name, value in terms.items()}

    return map_examples(one, key, Batch(x, label), batch_size=batch_size)
