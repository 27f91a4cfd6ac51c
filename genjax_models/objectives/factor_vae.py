"""The FactorVAE: a VAE whose total correlation is judged by a discriminator of codes (Kim and Mnih, 2018)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.adversarial import discriminator_loss
from genjax_models.estimators.elbo import Form, elbo_terms
from genjax_models.estimators.total_correlation import permuted
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.learning import apply_in_learning, learning_mode
from genjax_models.types import Array, Aux, Batch, Objective, Players, PRNGKey


def factor_vae(
    model: LatentVariableModel,
    discriminator: nn.Module,
    *,
    total_correlation_weight: float | Array = 10.0,
    form: Form = "kl",
) -> Objective:
    """Returns the game of two players, "vae" and "discriminator", in the order of Algorithm 2 of Kim and Mnih.

    The discriminator tells codes z ~ q(z) from codes with a permutation per dimension, z ~ prod_j q(z_j). The optimal
    logit is log q(z) - sum_j log q(z_j), whose mean over q(z) is the total correlation TC. The VAE raises the bound -
    total_correlation_weight TC, Eq. (2), with the mean logit of its own codes, unpermuted, for TC, Eq. (3).

    The batch is cut into two halves. The VAE learns from the first, and its codes are the unpermuted ones. The permuted
    codes are of the second half. So the VAE sees half of the batch: 64 examples of 128, say. Halves are interleaved,
    and permutations are over the whole half, on any number of devices. All networks learn in learning mode.

    Args:
      model: a model of one stochastic layer, so that z is one array.
      discriminator: z `[n, latent]` -> logits `[n]`; 6 layers of 1,000 units in the paper.
      total_correlation_weight: gamma of Kim and Mnih. The KL of the bound holds one more TC: the `vae` has 0 here.
      form: estimator of the KL; see `estimators.elbo`.

    Returns:
      An `Objective` whose "vae" reports "bound", "reconstruction", "kl" and "total_correlation", the mean logit (nats).
      The bound is the bound whatever the weight. The discriminator's loss is log 4 if it knows nothing, twice the
      paper's; it reports "accuracy", the share of codes classified correctly. `sample` draws from p(x).

    Raises:
      ValueError: a z of several arrays; from the losses, while tracing, a batch that is odd or has fewer than 4.
    """

    def init(key: PRNGKey, batch: Batch) -> Players:
        vae_key, discriminator_key = jax.random.split(key)
        variables = model.init(vae_key, batch)
        example = jax.tree.map(lambda a: a[:1], batch)
        z = jax.eval_shape(lambda v: learning_mode(model, v, key, example).posterior.sample(seed=key), variables)
        if not isinstance(z, jax.ShapeDtypeStruct):
            raise ValueError(f"the discriminator needs one array z, got a {type(z).__name__}")
        return {"vae": variables, "discriminator": dict(discriminator.init(discriminator_key, jnp.zeros(z.shape)))}

    def discriminate(players: Players, key: PRNGKey, z: Array) -> tuple[Array, Players]:
        logits, moved = apply_in_learning(discriminator, players["discriminator"], key, z)
        return logits, {**players, "discriminator": moved}

    def vae(variables, key, batch, step):
        _check_halves(batch)
        half = jax.tree.map(lambda a: a[::2], batch)
        bound_key, logit_key = jax.random.split(key)
        learned = learning_mode(model, variables["vae"], bound_key, half)
        terms = elbo_terms(bound_key, half.x, learned.posterior, learned.prior, learned.likelihood, form=form)
        reconstruction, kl = jnp.mean(terms.reconstruction), jnp.mean(terms.kl)
        z = learned.posterior.sample(seed=bound_key, sample_shape=1)
        logits, variables = discriminate(variables, logit_key, z[0])
        metrics = {"bound": reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        metrics["total_correlation"] = jnp.mean(logits)
        charged = total_correlation_weight * metrics["total_correlation"]
        return charged - metrics["bound"], Aux(metrics, {**variables, "vae": learned.moved(z)})

    def adversary(variables, key, batch, step):
        _check_halves(batch)
        code_key, permutation_key, first_key, second_key = jax.random.split(key, 4)
        z = learning_mode(model, variables["vae"], code_key, batch).posterior.sample(seed=code_key)
        logits, variables = discriminate(variables, first_key, z[::2])
        permuted_logits, variables = discriminate(variables, second_key, permuted(permutation_key, z[1::2]))
        accuracy = jnp.mean(jnp.concatenate([logits > 0, permuted_logits < 0]))
        return jnp.mean(discriminator_loss(logits, permuted_logits)), Aux({"accuracy": accuracy}, variables)

    return Objective(
        init=init,
        losses={"vae": vae, "discriminator": adversary},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["vae"], key, n, label=label),
        range=model.support,
    )


def _check_halves(batch: Batch) -> None:
    """Raises ValueError unless the batch has two equal halves of at least 2 examples, which can be permuted."""
    if len(batch.x) < 4 or len(batch.x) % 2:
        raise ValueError(f"a batch must have an even number of examples, at least 4, got {len(batch.x)}")
