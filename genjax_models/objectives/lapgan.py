"""The Laplacian pyramid of adversarial networks (Denton et al., 2015): a game at each level, all in one step."""

from typing import Any

import jax

from genjax_models.estimators.laplacian_pyramid import gaussian_pyramid
from genjax_models.models.laplacian_pyramid_gan import LaplacianPyramidGAN
from genjax_models.objectives.gan import gan
from genjax_models.types import Aux, Batch, Loss, Objective, Players, PRNGKey


def lapgan(model: LaplacianPyramidGAN, **options: Any) -> Objective:
    """`gan` at every level, between "discriminator_k" and "generator_k", on the batch's images halved k times.

    What a finer generator is conditioned on comes from real images while it learns, so that no level waits for another;
    in `sample` it comes from the coarser level's generator. Discriminators report what those of `gan` do.

    Args:
      model: a pair for each level.
      options: those of `gan` (payoff, label_smoothing, penalty, penalty_weight), for all levels.

    Raises:
      ValueError: as `gan` does; while tracing, of images that the levels cannot halve, or labels that are missing.
    """
    levels = len(model.pairs)
    games = [gan(pair, **options) for pair in model.pairs]

    def halved(batch: Batch, level: int) -> Batch:
        return batch._replace(x=gaussian_pyramid(batch.x, level + 1)[level])

    def init(key: PRNGKey, batch: Batch) -> Players:
        images, players = gaussian_pyramid(batch.x, levels), {}
        for level, game in enumerate(games):
            drawn = game.init(jax.random.fold_in(key, level), batch._replace(x=images[level]))
            players |= model.named(drawn, level)
        return players

    def at_level(level: int, loss: Loss) -> Loss:
        def of_all(variables, key, batch, step):
            value, aux = loss(model.at(variables, level), key, halved(batch, level), step)
            return value, Aux(aux.metrics, model.named(aux.variables, level))

        return of_all

    losses = {
        f"{role}_{level}": at_level(level, loss)
        for level, game in enumerate(games)
        for role, loss in game.losses.items()
    }
    adversaries = tuple(f"{role}_{level}" for level, game in enumerate(games) for role in game.adversaries)
    return Objective(init, losses, model.sample, adversaries=adversaries)
