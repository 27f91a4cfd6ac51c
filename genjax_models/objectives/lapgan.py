"""The Laplacian pyramid of adversarial networks (Denton et al., 2015): one game per level, all in one step."""

from typing import Any

import jax

from genjax_models.estimators.laplacian_pyramid import gaussian_pyramid
from genjax_models.models.laplacian_pyramid_gan import LaplacianPyramidGAN
from genjax_models.objectives.gan import gan
from genjax_models.types import Aux, Batch, Loss, Objective, Players, PRNGKey


def lapgan(model: LaplacianPyramidGAN, **options: Any) -> Objective:
    """Returns `gan` at every level, between "discriminator_k" and "generator_k", on the batch's images halved k times.

    A finer generator is conditioned on low-pass images. In training they come from real images, so that no level waits
    for another; in `sample` they come from the coarser level's generator. Discriminators report the metrics of `gan`,
    and are the adversaries.

    Args:
      model: one pair per level.
      options: options of `gan` (loss, label_smoothing, penalty, penalty_weight), for all levels.

    Raises:
      ValueError: as `gan`; while tracing, images that the levels cannot halve, or a missing label.
    """
    levels = len(model.pairs)
    games = [gan(pair, **options) for pair in model.pairs]

    def halved(batch: Batch, level: int) -> Batch:
        return batch._replace(x=gaussian_pyramid(batch.x, level + 1)[level])

    def init(key: PRNGKey, batch: Batch) -> Players:
        images, players = gaussian_pyramid(batch.x, levels), {}
        for level, game in enumerate(games):
            of_level = game.init(jax.random.fold_in(key, level), batch._replace(x=images[level]))
            players |= model.named(of_level, level)
        return players

    def at_level(level: int, loss: Loss) -> Loss:
        def loss_of_all_players(variables, key, batch, step):
            value, aux = loss(model.at(variables, level), key, halved(batch, level), step)
            return value, Aux(aux.metrics, aux.variables and model.named(aux.variables, level))

        return loss_of_all_players

    losses = {
        f"{role}_{level}": at_level(level, loss)
        for level, game in enumerate(games)
        for role, loss in game.losses.items()
    }
    adversaries = tuple(f"{role}_{level}" for level, game in enumerate(games) for role in game.adversaries)
    return Objective(init, losses, model.sample, adversaries=adversaries)
