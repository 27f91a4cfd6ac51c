"""Systems of generators from known factors: judged by the squared error of views that training lacks."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

import genjax_models as gx
from genjax_models.data import Prepared
from genjax_models.data.transformations import NAMES, Transformations, drawn, mirrored, placement, transformed
from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.evaluation.checkerboard import checkerboard
from genjax_models.evaluation.estimates import Estimate, estimate
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.samples import SampleFigure
from genjax_models.figures import known_factors
from genjax_models.figures.pictures import Picture
from genjax_models.models.supervised import SupervisedModel
from genjax_models.networks.turned import Pose
from genjax_models.objectives.supervised import COLOURS, squared_errors, supervised
from genjax_models.runs.protocol import System
from genjax_models.types import Array, Batch, Variables

SPLITS = "train", "interpolation", "transfer"
_BLOCK = 50  # pictures generated at once
_SHOWN, _ROWS = 10, 4  # pictures in a row, and rows of mixtures
_WALK = 1.5  # largest change of the walk, in largest changes of training


def supervised_system(config: Any, generator: nn.Module) -> System:
    """Wires a generator of cut-out pictures from style, factors and the parameters of random changes.

    Args:
      config: with the groups data (`CutOuts`), changes, training and optimizer, and fields mask_weight and average.
      generator: as `networks.supervised`; its last factors are the parameters of `data.transformations`.
    """
    changes, mirror = Transformations(**config.changes.largest), config.changes.mirror

    @functools.cache
    def splits() -> Mapping[str, Batch]:
        with jax.ensure_compile_time_eval():  # the first call may be under jit, and the result is kept
            return _still(gx.prepare(config.data.load()[1], range=(0, 1)), config.changes.count)

    def draw_factors(key, n):
        factors = jnp.asarray(splits()["interpolation"].factors)
        return factors[jax.random.randint(key, (n,), 0, len(factors))]

    factors = config.data.factors + config.changes.count
    model = gx.supervised_model(generator, config.data.classes, factors, draw_factors=draw_factors)
    objective = supervised(model, mask_weight=config.mask_weight)
    average = {"generator": config.average} if config.average else {}
    trainer = gx.trainer(objective, {"generator": config.optimizer.build(config.training.steps)}, average=average)

    def prepare(dataset):
        prepared = gx.prepare(dataset, range=(0, 1))
        still = _still(prepared, config.changes.count)
        odd = np.array([factor.name == "sin azimuth" for factor in dataset.factors])

        def each_step(key, batch):
            changes_key, mirror_key = jax.random.split(key)
            parameters = drawn(changes_key, len(batch.x), config.changes.still)
            batch = prepared.each_step(key, batch)  # binarise "none" draws nothing from this key
            if mirror:
                x, factors = mirrored(mirror_key, batch.x, batch.factors, odd)
                batch = batch._replace(x=x, factors=factors)
            batch = _unchanged(batch, parameters)
            return batch._replace(x=transformed(batch.x, parameters, changes))

        return prepared._replace(validation=still["interpolation"], test=still["transfer"], each_step=each_step)

    def evaluate(players, key, batch):
        errors = squared_errors(
            batch.x, generated(model, players["generator"], model.one_hot(batch.label), batch.factors)
        )
        pixels = batch.x[0, ..., 0].size
        of_mask = {"mask_error": errors["mask_error"] / pixels}
        return {"squared_error_per_number": errors["image_error"] / (COLOURS * pixels), **of_mask}

    def draw(players, key, n, label=None):
        return straight(objective.sample(players, key, n, label=label))

    def figures(players, data):
        return _figures(config, model, players["generator"], splits(), evaluate)

    return System(objective, trainer, prepare, evaluate, draw, figures, model=model)


def pose(factors: Array, changes: Transformations) -> Pose:
    """Returns how pictures show chairs: by sine and cosine of azimuth and of elevation, and by the changes, the last.

    Args:
      factors: `[n, f]`.
      changes: the largest ones.
    """
    return Pose(factors[:, :2], factors[:, 2:4], *placement(factors[:, -len(NAMES) :], changes))


def premultiplied(x: Array) -> Array:
    """Returns alpha * colour and alpha `[..., 4]`, of straight colour and alpha `[..., 4]` in [0, 1]."""
    return jnp.concatenate([x[..., :COLOURS] * x[..., COLOURS:], x[..., COLOURS:]], axis=-1)


def straight(x: Array) -> Array:
    """Returns straight colour and alpha `[..., 4]`, of `premultiplied` pictures. Where alpha is 0, colours are white.

    On white, the pictures look as 1 - alpha + alpha * colour.
    """
    alpha = x[..., COLOURS:]
    colour = jnp.where(alpha > 0, x[..., :COLOURS] / jnp.where(alpha > 0, alpha, 1.0), 1.0)
    return jnp.concatenate([jnp.clip(colour, 0, 1), alpha], axis=-1)


def generated(model: SupervisedModel, variables: Variables, style: Array, factors: Array) -> Array:
    """Returns the pictures of styles `[n, styles]` and factors `[n, f]`, a block at a time."""
    return map_blocks(lambda rows: model.generate(variables, *rows), (style, factors), _BLOCK)


def _unchanged(batch: Batch, parameters: Array) -> Batch:
    """Returns the batch as targets: premultiplied, and the factors followed by the parameters of changes."""
    factors = jnp.concatenate([jnp.asarray(batch.factors), parameters], axis=1)
    return batch._replace(x=premultiplied(batch.x), factors=factors)


def _still(prepared: Prepared, changes: int) -> dict[str, Batch]:
    """Returns the three splits without changes, whose `changes` parameters are 0."""
    train = prepared.each_step(jax.random.key(0), prepared.train)
    batches = zip(SPLITS, (train, prepared.validation, prepared.test), strict=True)
    return {name: _unchanged(batch, jnp.zeros((len(batch.x), changes))) for name, batch in batches}


def _figures(
    config: Any, model: SupervisedModel, variables: Variables, splits: Mapping[str, Batch], evaluate: Callable
) -> tuple[Facts, list[Picture]]:
    """Errors of the splits and of the mean picture; views, morphing, sums of styles, factors and checkerboards."""
    everything = jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *splits.values())
    errors = jax.jit(evaluate)({"generator": variables}, jax.random.key(0), everything)["squared_error_per_number"]
    mean = jnp.mean(splits["train"].x, axis=0)
    of_mean = squared_errors(everything.x, mean[None])["image_error"] / (COLOURS * mean[..., 0].size)
    ends = np.cumsum([len(batch.x) for batch in splits.values()])[:-1]
    figures = {}
    for name, own, others in zip(splits, np.split(errors, ends), np.split(of_mean, ends), strict=True):
        figures[f"squared_error_of_{name}"] = estimate(own)
        figures[f"squared_error_of_the_mean_picture_of_{name}"] = estimate(others)
    kernels = _upsampling_kernels(variables["params"])
    boards = {name: checkerboard(kernel, config.upsampling) for name, kernel in kernels.items()}
    amplitudes = {name: float(board.amplitude) for name, board in boards.items()}
    for name, amplitude in amplitudes.items():
        figures[f"checkerboard_of_{name.replace(' ', '_')}"] = Estimate(amplitude, math.nan, 1)
    some = {name: jax.tree.map(lambda a: a[_evenly(len(a))], batch) for name, batch in splits.items()}
    made = _generated_at_once(model, variables, _asked(model, some))
    shown = {name: (straight(batch.x), made[name]) for name, batch in some.items()}
    pictures = [
        known_factors.views(shown, {name: figures[f"squared_error_of_{name}"].value for name in splits}),
        known_factors.morphing(made["morphing"]),
        known_factors.sums_of_styles(made["sums"]),
        known_factors.walk_over_factors(dict(zip(NAMES, made["walk"], strict=True)), _WALK),
        known_factors.checkerboards({name: board.output[..., 0] for name, board in boards.items()}, amplitudes),
    ]
    return Facts(samples={name: SampleFigure(figure) for name, figure in figures.items()}), pictures


def _upsampling_kernels(parameters: Mapping[str, Any]) -> dict[str, Array]:
    """Returns the kernels `[h, w, in, out]` of `Upsampled` layers, by generator, if there are several, and layer."""
    kernels = {}
    for (*generator, layer, weights), array in flatten_dict(parameters).items():
        if weights == "kernel" and layer.startswith(("level_", "picture")):
            kernels[" ".join([*(name.removeprefix("generators_") for name in generator), layer])] = array
    return kernels


def _evenly(n: int) -> np.ndarray:
    return np.linspace(0, n - 1, _SHOWN).astype(int)


def _asked(model: SupervisedModel, some: Mapping[str, Batch]) -> dict[str, tuple[Array, Array]]:
    """Returns style `[..., styles]` and factors `[..., f]` of all pictures: views, mixtures, sums, and a walk."""
    styles, view = jnp.eye(model.styles), jnp.asarray(some["train"].factors)[0]
    number = 5 * jnp.arange(_ROWS)[:, None]
    first, second, third = (styles[(number + start) % model.styles] for start in (0, 7, 14))
    weight = jnp.linspace(0, 1, _SHOWN)[:, None]
    change = jnp.eye(len(view))[-len(NAMES) :, None] * jnp.linspace(-_WALK, _WALK, _SHOWN)[:, None]
    mixtures = {
        "morphing": ((1 - weight) * first + weight * second, view),
        "sums": (jnp.concatenate([first, second, third, first - second + third], axis=1), view),
        "walk": (styles[0], view + change),
    }
    views = {name: (model.one_hot(batch.label), batch.factors) for name, batch in some.items()}
    return {name: _alike(*pair) for name, pair in {**views, **mixtures}.items()}


def _alike(style: Array, factors: Array) -> tuple[Array, Array]:
    """Returns both with the same leading axes."""
    lead = jnp.broadcast_shapes(style.shape[:-1], factors.shape[:-1])
    style, factors = (jnp.broadcast_to(a, (*lead, a.shape[-1])) for a in (style, factors))
    return style, factors


def _generated_at_once(
    model: SupervisedModel, variables: Variables, asked: Mapping[str, tuple[Array, Array]]
) -> dict[str, Array]:
    """Returns all pictures that are asked for, `[..., height, width, 4]` of straight colours, by one program."""
    rows = [
        jnp.concatenate([a.reshape(-1, a.shape[-1]) for a in arrays]) for arrays in zip(*asked.values(), strict=True)
    ]
    made = straight(jax.jit(lambda *rows: generated(model, variables, *rows))(*rows))
    leads = {name: style.shape[:-1] for name, (style, _) in asked.items()}
    parts = np.split(made, np.cumsum([math.prod(lead) for lead in leads.values()])[:-1])
    return {name: part.reshape(*lead, *made.shape[1:]) for (name, lead), part in zip(leads.items(), parts, strict=True)}
