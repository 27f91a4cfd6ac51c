"""The MMD-GAN: a GMMN whose kernel is learned, by an adversary (Li et al., 2017; Bińkowski et al., 2018)."""

from functools import partial

import jax
import jax.numpy as jnp

from genjax_models.estimators.adversarial import check_critic, wasserstein_gradient_penalty
from genjax_models.estimators.kernels import Kernel
from genjax_models.estimators.mmd import mmd_squared_unbiased, witness_function
from genjax_models.models.adversarial import AdversarialPair
from genjax_models.types import Array, Aux, Objective


def mmd_gan(pair: AdversarialPair, kernel: Kernel, *, penalty_weight: float | Array = 1.0) -> Objective:
    """The game min_g max_f MMD^2 of f(x) and f(g(z)), estimated without bias: f moves first, and g answers it.

    What f lacks is a scale: it could raise MMD^2 by larger features alone. Bińkowski et al. keep it in bounds by the
    penalty of WGAN-GP on the witness function of the two batches, w(t) = E k(f(x), f(t)) - E k(f(g(z)), f(t)), whose
    slope between real and fake examples is to be 1. The MMD is that of whole batches, wherever their shards lie.

    Args:
      pair: generator, and a discriminator that gives features `[batch, ...]` in place of logits. Its last layer has no
        bias: kernels of distances do not see one, and Adam makes a random walk of the rounding in its gradient.
        `nn.Sequential([MLPEncoder(shape, (400,), ()), nn.leaky_relu, nn.Dense(16, use_bias=False)])`, say.
      kernel: of features.
      penalty_weight: lambda, 1 in Bińkowski et al.

    Returns:
      An `Objective` whose players "discriminator" and "generator" report "mmd_squared_unbiased", and the discriminator
      "penalty", before its weight. The penalty refuses batch normalisation in the discriminator.
    """

    def compare(variables, key, batch):
        """Features of both, the fake examples, and the players with their batch statistics moved on."""
        noise_key, real_key, fake_key = jax.random.split(key, 3)
        fake, variables = pair.generate(variables, noise_key, batch)
        of_real, variables = pair.discriminate(variables, real_key, batch)
        of_fake, variables = pair.discriminate(variables, fake_key, batch._replace(x=fake))
        return of_real, of_fake, fake, variables

    def discriminator(variables, key, batch, step):
        compare_key, penalty_key = jax.random.split(key)
        of_real, of_fake, fake, variables = compare(variables, compare_key, batch)
        squared = mmd_squared_unbiased(of_real, of_fake, kernel)
        penalty = jnp.mean(slope_penalty(variables, penalty_key, batch, fake, of_real, of_fake))
        metrics = {"mmd_squared_unbiased": squared, "penalty": penalty}
        return penalty_weight * penalty - squared, Aux(metrics, variables)

    def generator(variables, key, batch, step):
        of_real, of_fake, _, variables = compare(variables, key, batch)
        squared = mmd_squared_unbiased(of_real, of_fake, kernel)
        return squared, Aux({"mmd_squared_unbiased": squared}, variables)

    def slope_penalty(variables, key, batch, fake, of_real, of_fake):
        point_key, judge_key = jax.random.split(key)

        def features(x):
            return pair.discriminate(variables, judge_key, batch._replace(x=x))[0]

        check_critic(lambda x: jnp.sum(features(x).reshape(len(x), -1), axis=1), batch.x)
        witness = partial(witness_function, x=of_real, y=of_fake, kernel=kernel)
        return wasserstein_gradient_penalty(point_key, lambda x: witness(features(x)), batch.x, fake)

    return Objective(pair.init, {"discriminator": discriminator, "generator": generator}, pair.sample, pair.range, ("discriminator",))
