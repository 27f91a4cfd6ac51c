"""Systems around a `SequentialModel`: judged by bounds on log p(x), shown by draws, continuations and terms by step."""

import math
from functools import partial
from typing import Any, get_args

import jax
import numpy as np

import genjax_models as gx
from genjax_models.data import Prepared
from genjax_models.data.chorales import KEYS, LOWEST
from genjax_models.errors import InputError
from genjax_models.evaluation.estimates import Estimate, estimate
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.sequence_baselines import sequence_baselines
from genjax_models.evaluation.sequential_bounds import HeldOutFiltering, check_weights, held_out_filtering
from genjax_models.figures import sequence_plots
from genjax_models.figures.midi import midi
from genjax_models.figures.pictures import Picture
from genjax_models.models.sequential import SequentialModel
from genjax_models.objectives.sequential_vae import Bound
from genjax_models.runs.protocol import System
from genjax_models.types import Objective, Variables

_SHOWN, _ROWS_SHOWN = 3, 8  # sequences in a picture; draws that are images
_CONTINUATIONS = 2  # of each
_LONGEST, _SEEN = 64, 24  # most steps in a picture, and most of them that a continuation is given
_FILTERED = 64  # particles behind a continuation


def sequential_system(config: Any, objective: Objective, model: SequentialModel) -> System:
    """Wires `objectives.sequential_vae`.

    Args:
      config: with the groups data (`SequenceData`), likelihood, training and optimizer, and the fields bound and
        particles.
      objective: has one player.
      model: of that player.
    """
    (player,) = objective.losses

    def bounds(players, key, batch, names):
        options = {"length": batch.length, "num_particles": config.particles, "bounds": names}
        return held_out_filtering(model, players[player], key, batch.x, **options)

    def evaluate(players, key, batch):
        terms = bounds(players, key, batch, (config.bound,))[config.bound]
        per_step, error = terms.per_step
        return {"bound": terms.bound, "kl": terms.kl.sum(axis=1), "per_step": per_step, "per_step_se": error}

    def draw(players, key, n, label=None):
        return model.sample(players[player], key, n)

    def figures(players, data):
        filter_all = jax.jit(partial(bounds, names=get_args(Bound)))
        _check("validation", filter_all(players, jax.random.key(0), data.validation))
        filtered = filter_all(players, jax.random.key(0), data.test)
        _check("test", filtered)
        trained = filtered[config.bound]
        facts = Facts(
            bernoulli=config.likelihood.family == "bernoulli",
            density=config.likelihood.family == "gaussian",
            values=data.validation.x,
            further=figures_of_bounds(filtered) | _baselines(config, data),
            particles=None if config.bound == "elbo" else float(trained.mean_effective_sample_size),
            num_particles=config.particles,
        )
        shown = [*_sequences(config, model, players[player], data), sequence_plots.by_step(filtered)]
        return facts, shown + ([sequence_plots.ancestors(filtered["fivo"])] if config.particles > 1 else [])

    trainer = gx.trainer(objective, {player: config.optimizer.build(config.training.steps)})
    system = System(objective, trainer, config.likelihood.prepare, evaluate, draw, figures, model=model)
    group = config.likelihood
    return system._replace(likelihood=group.family, binarise=group.binarise, density_range=group.density_range)


def _check(split: str, filtered: dict[Bound, HeldOutFiltering]) -> None:
    """Raises InputError if no particle explains a step; the error names the split, the step and the example."""
    try:
        check_weights(filtered)
    except ValueError as error:
        raise InputError(f"{split} split: {error}") from error


def figures_of_bounds(filtered: dict[Bound, HeldOutFiltering]) -> dict[str, Estimate]:
    """Returns each bound in nats per sequence and in nats per step, and the mean effective number of particles."""
    figures = {}
    for name, terms in filtered.items():
        n, (per_step, error) = len(terms.bound), terms.per_step
        figures |= {name: estimate(terms.bound), f"{name}_per_step": Estimate(float(per_step), float(error), n)}
        if name != "elbo":  # its particles are those of iwae
            size = float(terms.mean_effective_sample_size)
            figures[f"effective_particles_of_{name}"] = Estimate(size, math.nan, n)
    return figures


def _baselines(config: Any, data: Prepared) -> dict[str, Estimate]:
    """Returns densities without latents, in nats per step of the test split."""
    if config.likelihood.family not in ("bernoulli", "gaussian"):
        return {}
    train, test = (
        batch if batch.length is not None else batch._replace(length=np.full(len(batch.x), batch.x.shape[1]))
        for batch in (data.training_examples(slice(None)), data.test)
    )
    figures = sequence_baselines(train, test, binary=config.likelihood.family == "bernoulli")
    return {
        f"baseline_{name.replace(' ', '_')}": Estimate(nats, math.nan, len(test.x)) for name, nats in figures.items()
    }


def _sequences(config: Any, model: SequentialModel, variables: Variables, data: Prepared) -> list[Picture]:
    """Returns draws beside test sequences, and continuations of test sequences."""
    rows, test = config.data.has_rows, data.test
    n = min(_ROWS_SHOWN if rows else _SHOWN, len(test.x))
    x, length = np.asarray(test.x[:n]), np.full(n, test.x.shape[1])
    if test.length is not None:
        length = np.minimum(np.asarray(test.length[:n]), _LONGEST)
    truth = [sequence[:steps] for sequence, steps in zip(x, length, strict=True)]
    look = sequence_plots.look_of(truth, rows=rows, binary=config.likelihood.family == "bernoulli")

    sample = jax.jit(lambda variables, key: model.sample(variables, key, n, length=length))
    drawn = np.asarray(sample(variables, jax.random.key(0)))
    draws = [sequence[:steps] for sequence, steps in zip(drawn, length, strict=True)]
    shown = [sequence_plots.draws({"data": truth, "draws": draws}, look)]

    x, length, truth = x[:_SHOWN], length[:_SHOWN], truth[:_SHOWN]
    seen = np.minimum((length + 1) // 2, _SEEN)
    steps = int((length - seen).max())
    if steps < 1:
        return shown
    each = lambda a: np.repeat(a, _CONTINUATIONS, axis=0)
    forecast = partial(model.forecast, steps=steps, num_particles=_FILTERED)
    made = jax.jit(forecast)(variables, jax.random.key(1), each(x), each(seen))
    made = np.asarray(made).reshape(len(x), _CONTINUATIONS, steps, -1)
    continued = [
        [np.concatenate([sequence[:begin], more[: end - begin]]) for more in others]
        for sequence, others, begin, end in zip(x, made, seen, length, strict=True)
    ]
    picture = sequence_plots.continuations(truth, continued, seen, look)
    if look.binary and x.shape[2] == KEYS:
        caption = f"{picture.caption} {picture.name}.mid plays the first continuation."
        picture = picture._replace(caption=caption, midi=midi(continued[0][0], lowest=LOWEST))
    return [*shown, picture]
