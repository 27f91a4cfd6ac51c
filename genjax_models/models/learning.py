"""Learning mode: networks with dropout or batch normalisation compute something else while they learn.

Every kind of model has functions for both modes, by one rule. Functions for judging take no key for the networks and
return no variables: no unit is dropped, and batch normalisation is by running averages. Functions for learning take a
key and return the variables as they moved: units are dropped by the key, and batch normalisation is by the moments of
the batch.

===================== ================================== ====================================================
model                 judging                            learning
===================== ================================== ====================================================
`LatentVariableModel` `posterior`, `prior`, `likelihood` `learning(variables, key, batch) -> Learning`
`GeneratorModel`      `prior`, `likelihood`              `learning(variables, key, batch) -> Learning`
`DensityModel`        `distribution`                     `learning(variables, key)` -> p(x)
`ImplicitModel`       `generate`, `sample`               `generate_in_learning`, `draw`: (x, variables)
`AutoencoderModel`    `encode`, `generate`               `reconstruct`: (reconstruction, variables)
`AdversarialPair`     `sample`, `density`                `generate`, `discriminate`: (x or logits, players)
===================== ================================== ====================================================

A network is in learning mode if it has a key "dropout", and if its collection "batch_stats" is mutable:

    nn.Dropout(rate, deterministic=not self.has_rng("dropout"))
    nn.BatchNorm(use_running_average=not self.is_mutable_collection("batch_stats"))

The moments of batch normalisation are over all axes but the last: if z has a sample axis, over all samples of all
examples as one batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import distrax
import flax.linen as nn
import jax
import numpy as np

from genjax_models.types import Batch, PRNGKey, Variables

MUTABLE = ["batch_stats"]  # the collections that a network may change while it learns

# No split of a key has this index, so dropout shares no key with what else is drawn.
_DROPOUT = np.uint32(2**32 - 2)


class Learning(NamedTuple):
    """A latent-variable model in learning mode, for one batch and one key.

    All parts drop the same units each time that they are evaluated at z of the same shape.

    Attributes:
      posterior: q(z | x), of batch shape `[batch]`; None for a model without an encoder.
      prior: p(z).
      likelihood: z, leaves `[..., batch, latent]` -> p(x | z).
      moved: z -> the variables with the batch statistics moved by x and by these z. Call it once per loss, with the z
        of the estimate. It evaluates the generator again; compiled code joins equal evaluations. Without variables
        other than "params" it evaluates nothing.
      chunked: whether samples of z may be evaluated a chunk at a time. False with batch statistics, and with dropout in
        an encoder that reads z: other chunks would then weigh z by another q than drew it.
    """

    posterior: Any
    prior: distrax.Distribution
    likelihood: Callable[[Any], distrax.Distribution]
    moved: Callable[[Any], Variables]
    chunked: bool = True


def learning_mode(model: Any, variables: Variables, key: PRNGKey, batch: Batch) -> Learning:
    """Returns a `LatentVariableModel` or a `GeneratorModel` in learning mode, as objectives use it.

    A model whose `learning` is None has no mode of its own: its functions for judging are used.

    Raises:
      ValueError: the model has no p(z), or the variables hold more than "params" and it has no `learning`.
    """
    if not hasattr(model, "prior"):
        raise ValueError(
            f"the objective needs a model with a prior p(z), got {type(model).__name__}. Use sequential_vae for"
            " sequences and maximum_likelihood for densities."
        )
    if model.learning is not None:
        return model.learning(variables, key, batch)
    if has_state(variables):
        state = sorted(set(variables) - {"params"})
        raise ValueError(f"a model with the state {state} needs `learning`, which moves it: see `models.learning`")
    posterior = getattr(model, "posterior", None)
    label = {} if batch.label is None else {"label": batch.label}  # a model by hand may have no such argument
    return Learning(
        posterior=None if posterior is None else posterior(variables, batch.x, **label),
        prior=model.prior(variables, **label),
        likelihood=lambda z: model.likelihood(variables, z, **label),
        moved=lambda z: variables,
    )


def apply_in_learning(
    network: nn.Module, variables: Variables, key: PRNGKey, *inputs: Any, method: str | None = None
) -> tuple[Any, Variables]:
    """Returns a network's outputs in learning mode, and its variables as they moved; `key` is the key of dropout."""
    outputs, moved = network.apply(variables, *inputs, method=method, rngs={"dropout": key}, mutable=MUTABLE)
    return outputs, {**variables, **moved}


def draws_dropout(
    network: nn.Module, variables: Variables, key: PRNGKey, *inputs: Any, method: str | None = None
) -> bool:
    """Returns whether a network in learning mode uses its key; the arguments are as in `apply_in_learning`."""
    traced = jax.make_jaxpr(lambda key: apply_in_learning(network, variables, key, *inputs, method=method))(key)
    (key_variable,) = traced.jaxpr.invars
    return any(variable is key_variable for equation in traced.jaxpr.eqns for variable in equation.invars)


def dropout_key(key: PRNGKey) -> PRNGKey:
    """Returns the key of dropout for a function whose `key` also draws z or noise."""
    return jax.random.fold_in(key, _DROPOUT)


def has_state(variables: Variables) -> bool:
    """Returns whether the variables hold more than "params": batch statistics, say."""
    return bool(set(variables) - {"params"})
