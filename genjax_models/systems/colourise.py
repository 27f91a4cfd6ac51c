"""Systems that colour a grey picture: g: x, z -> y of 1.1, where x is grey, y has colours, and z is what x lacks."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import genjax_models as gx
from genjax_models.data.transformations import LUMINANCE, hues
from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.evaluation.estimates import estimate
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.samples import SampleFigure
from genjax_models.figures import colours
from genjax_models.models import LatentVariableModel
from genjax_models.networks.translation import TranslatingGenerator
from genjax_models.runs.protocol import System
from genjax_models.types import Array, Aux, Batch, Objective, PRNGKey, Variables

_HELD_OUT = 11  # seed of the hues of held-out pictures
_DRAWS, _SHOWN, _TURNS = 24, 6, 24  # draws of z per picture, pictures and draws in the report, hues of the truth
_JUDGED = 60  # test pictures whose spread is measured
_KNOWN, _UNKNOWN = 0.005, 0.05  # true spreads of a pixel: below, the grey picture tells the colour; above, it does not


def grey(x: Array) -> Array:
    """Returns the luminance `[..., height, width, 1]` of red, green and blue `[..., height, width, 3]`."""
    return jnp.sum(x * jnp.array(LUMINANCE), axis=-1, keepdims=True)


def conditional_vae(config: Any) -> LatentVariableModel:
    """Returns the model p(y | x, z) of colours y for grey pictures x, with the encoder q(z | x, y)."""
    shape = config.data.shape
    q, p = gx.diagonal_gaussian(config.latent), gx.gaussian(shape, config.scale)
    encoder = gx.ConvolutionalEncoder(shape, q.outputs, config.channels, config.hidden)
    generator = TranslatingGenerator(p.outputs, config.channels)
    return gx.latent_variable_model(encoder, q, generator, p, condition=gx.Condition(_of_batch, (*shape[:2], 1)))


def _of_batch(batch: Batch) -> Array:
    return grey(batch.x)


def with_regression(objective: Objective, network: nn.Module) -> Objective:
    """Returns the objective with a further player, "regression", that lowers |y - network(grey)|^2.

    The error is a sum over numbers and a mean over the batch. Its optimum is E[y | x], the mean of all colours.
    """

    def init(key, batch):
        own, other = jax.random.split(key)
        return {**objective.init(own, batch), "regression": network.init(other, jnp.zeros((1, 0)), grey(batch.x[:1]))}

    def loss(variables, key, batch, step):
        error = jnp.sum((regressed(network, variables["regression"], grey(batch.x)) - batch.x) ** 2, axis=(1, 2, 3))
        return jnp.mean(error), Aux({"squared_error": jnp.mean(error)})

    return objective._replace(init=init, losses={**objective.losses, "regression": loss})


def regressed(network: nn.Module, variables: Variables, x: Array) -> Array:
    """Returns the regression's colours `[n, height, width, 3]` of grey pictures `[n, height, width, 1]`."""
    return network.apply(variables, jnp.zeros((len(x), 0)), x)


def colourise_system(config: Any) -> System:
    """Wires a conditional VAE and a regression on pictures whose hues turn at random.

    Args:
      config: with the groups data (`Coloured`), training and optimizer; fields latent, scale, channels, hidden, hue.
    """
    model = conditional_vae(config)
    network = TranslatingGenerator(config.data.shape, config.channels)
    objective = with_regression(gx.vae(model), network)
    optimizer: optax.GradientTransformation = config.optimizer.build(config.training.steps)
    trainer = gx.trainer(objective, dict.fromkeys(objective.losses, optimizer))

    def prepare(dataset):
        prepared = gx.prepare(dataset, range=(0, 1))
        once = lambda seed, batch: batch._replace(x=_with_hues(jax.random.key(seed), batch.x, config.hue))

        def each_step(key, batch):
            batch = prepared.each_step(key, batch)  # binarise "none" draws nothing from this key
            return batch._replace(x=_with_hues(key, batch.x, config.hue))

        held_out = once(_HELD_OUT, prepared.validation), once(_HELD_OUT + 1, prepared.test)
        return prepared._replace(validation=held_out[0], test=held_out[1], each_step=each_step)

    @functools.cache
    def greys():
        with jax.ensure_compile_time_eval():  # the first call may be under jit, and the result is kept
            return grey(prepare(config.data.load()[1]).validation.x[:64])

    def evaluate(players, key, batch):
        x = grey(batch.x)
        values = gx.held_out_bound(model, players["vae"], key, batch.x, label=x, batch_size=50)
        made = map_blocks(lambda rows: regressed(network, players["regression"], rows), x, 50)
        return {**values, "squared_error_of_regression": jnp.mean((made - batch.x) ** 2, axis=(1, 2, 3))}

    def draw(players, key, n, label=None):
        x = greys()
        return model.sample(players["vae"], key, n, label=x[jnp.arange(n) // 8 * 8 % len(x)], mean=True)

    def figures(players, data):
        regression = lambda x: regressed(network, players["regression"], x)
        return _figures(model, players["vae"], regression, data.test.x[:: max(1, len(data.test.x) // _JUDGED)], config)

    system = System(objective, trainer, prepare, evaluate, draw, figures, model=model)
    return system._replace(likelihood="gaussian", density_range=lambda dataset: (0, 1))


def _with_hues(key: PRNGKey, x: Array, most: float) -> Array:
    return hues(x, jax.random.uniform(key, (len(x),), minval=-most, maxval=most)) if most else x


class Spread(NamedTuple):
    """Standard deviations `[n, height, width]` over colours of each pixel: of draws of z, and of the truth."""

    drawn: Array
    true: Array


def spread_over(pictures: Array) -> Array:
    """Returns the root of the mean variance over channels, over pictures `[draws, n, h, w, 3]`: `[n, h, w]`."""
    return jnp.sqrt(jnp.mean(jnp.var(pictures, axis=0), axis=-1))


def _figures(model: LatentVariableModel, variables: Variables, regression: Any, y: Array, config: Any):
    """Several colourings of test pictures, and their spread at known and at unknown colours."""
    x = grey(y)

    def coloured(key):
        z = model.prior(variables).sample(seed=key, sample_shape=len(x))
        return jnp.clip(model.generate(variables, z, x), 0, 1)

    @jax.jit
    def measured():
        draws = jax.lax.map(coloured, jax.random.split(jax.random.key(0), _DRAWS))
        angles = jnp.linspace(-config.hue, config.hue, _TURNS, endpoint=False)
        truths = jax.lax.map(lambda angle: hues(y, jnp.full(len(y), angle)), angles)
        return draws[:_SHOWN], jnp.clip(regression(x), 0, 1), Spread(spread_over(draws), spread_over(truths))

    draws, mean, spread = measured()
    figures = {"spread": estimate(spread.drawn.mean((1, 2))), "true_spread": estimate(spread.true.mean((1, 2)))}
    for name, where in {"known": spread.true < _KNOWN, "unknown": spread.true > _UNKNOWN}.items():
        if not where.any():
            continue
        share = lambda a, where=where: estimate(_mean_where(a, where))
        figures[f"spread_where_colour_is_{name}"] = share(spread.drawn)
        figures[f"true_spread_where_colour_is_{name}"] = share(spread.true)
        for made, pictures in {"regression": mean, "draw": draws[0], "truth": y}.items():
            figures[f"colour_range_of_{made}_where_{name}"] = share(pictures.max(-1) - pictures.min(-1))
    some = np.linspace(0, len(y) - 1, _SHOWN).astype(int)
    shown = {"grey x": jnp.repeat(x, 3, axis=-1), "truth y": y, "regression": mean}
    shown |= {f"draw {i + 1}": draw for i, draw in enumerate(draws)}
    rows = {name: pictures[some] for name, pictures in shown.items()}
    maps = {"spread over z": spread.drawn[some], "spread of the truth": spread.true[some]}
    pictures = [colours.colourings(rows, maps)]
    return Facts(samples={name: SampleFigure(figure) for name, figure in figures.items()}), pictures


def _mean_where(values: Array, where: Array) -> np.ndarray:
    """Returns the mean of values `[n, h, w]` over the pixels `where`, of each picture that has such pixels."""
    counts = np.asarray(where.sum((1, 2)))
    return np.asarray((values * where).sum((1, 2)))[counts > 0] / counts[counts > 0]
