"""The MMD-GAN: a GMMN whose kernel is learned by an adversary (Li et al., 2017; Bińkowski et al., 2018)."""

from functools import partial

import jax
import jax.numpy as jnp

from genjax_models.estimators.adversarial import check_critic, wasserstein_gradient_penalty
from genjax_models.estimators.kernels import Kernel
from genjax_models.estimators.mmd import mmd_squared_unbiased, witness_function
from genjax_models.models.adversarial import AdversarialPair
from genjax_models.types import Array, Aux, Objective


def mmd_gan(pair: AdversarialPair, kernel: Kernel, *, penalty_weight: float | Array = 1.0) -> Objective:
    """Returns the game min_g max_f MMD^2 of f(x) and f(g(z)), estimated without bias: f moves first, then g.

    The scale of f is free: f could raise MMD^2 merely by larger features. Bińkowski et al. bound it by the penalty of
    WGAN-GP on the witness function of the two batches, w(t) = E k(f(x), f(t)) - E k(f(g(z)), f(t)), whose slope between
    real and fake examples should be 1. The MMD compares whole batches, on any number of devices. Both networks learn in
    learning mode. The adversary is "discriminator".

    Args:
      pair: generator, and a discriminator that emits features `[batch, ...]` in place of logits. Its last layer has no
        bias: kernels of distances do not depend on it, and Adam turns the rounding of its gradient into a random walk.
        `nn.Sequential([MLPEncoder(shape, (400,), ()), nn.leaky_relu, nn.Dense(16, use_bias=False)])`, say.
      kernel: kernel on features.
      penalty_weight: weight of the penalty, lambda; 1 in Bińkowski et al.

    Returns:
      An `Objective` whose players "discriminator" and "generator" report "mmd_squared_unbiased". The discriminator also
      reports "penalty", before its weight. The penalty refuses batch normalisation in the discriminator.
    """

    def compare(variables, key, batch):
        """Returns the features of real and fake examples, the fake examples, and the players as they moved."""
        noise_key, real_key, fake_key = jax.random.split(key, 3)
        fake, variables = pair.generate(variables, noise_key, batch)
        real_features, variables = pair.discriminate(variables, real_key, batch)
        fake_features, variables = pair.discriminate(variables, fake_key, batch._replace(x=fake))
        return real_features, fake_features, fake, variables

    def discriminator(variables, key, batch, step):
        batch = pair.labelled(batch)
        compare_key, penalty_key = jax.random.split(key)
        real_features, fake_features, fake, variables = compare(variables, compare_key, batch)
        squared = mmd_squared_unbiased(real_features, fake_features, kernel)
        penalty = jnp.mean(slope_penalty(variables, penalty_key, batch, fake, real_features, fake_features))
        metrics = {"mmd_squared_unbiased": squared, "penalty": penalty}
        return penalty_weight * penalty - squared, Aux(metrics, variables)

    def generator(variables, key, batch, step):
        batch = pair.labelled(batch)
        real_features, fake_features, _, variables = compare(variables, key, batch)
        squared = mmd_squared_unbiased(real_features, fake_features, kernel)
        return squared, Aux({"mmd_squared_unbiased": squared}, variables)

    def slope_penalty(variables, key, batch, fake, real_features, fake_features):
        point_key, dropout_key = jax.random.split(key)

        def features(x):
            return pair.discriminate(variables, dropout_key, batch._replace(x=x))[0]

        check_critic(lambda x: jnp.sum(features(x).reshape(len(x), -1), axis=1), batch.x)
        witness = partial(witness_function, x=real_features, y=fake_features, kernel=kernel)
        return wasserstein_gradient_penalty(point_key, lambda x: witness(features(x)), batch.x, fake)

    losses = {"discriminator": discriminator, "generator": generator}
    return Objective(pair.init, losses, pair.sample, pair.range, adversaries=("discriminator",))
