"""Models that generate one number after the other: p(x) = prod_d p(x_d | x_<d), and p(x | z) = prod_d p(x_d | x_<d, z).

With z, p(x) is an infinite mixture of autoregressive distributions (PixelVAE: Gulrajani et al., 2017). A decoder that
sees x_<d may learn to do without z. Few layers, or small kernels, leave it something to learn from z.
"""

from collections.abc import Callable, Sequence
from typing import Any

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_prepared
from genjax_models.models.density import DensityModel
from genjax_models.models.families import Family
from genjax_models.models.latent_variable import LatentVariableModel, latent_variable_model
from genjax_models.models.learning import Learning, dropout_key
from genjax_models.networks.drawing import draw_by_numbers, draw_by_pixels
from genjax_models.networks.masked import MADE
from genjax_models.networks.pixel_cnn import GatedPixelCNN
from genjax_models.types import Array, Batch, PRNGKey, Shape, Variables

FamilyOf = Callable[[Shape], Family]  # shape -> a family of independent numbers or pixels: `bernoulli`, say


class OneByOne(distrax.Distribution):
    """prod_d p(x_d | x_<d) over arrays of `event_shape`, where a network emits the parameters of all factors.

    `log_prob` is one pass of the network. A draw is one scan over the places d, one after the other. There is no closed
    mean: `mean` raises.
    """

    def __init__(
        self,
        factors: Callable[[Array], distrax.Distribution],
        draw: Callable[[PRNGKey, Shape], Array],
        batch_shape: Shape,
        event_shape: Shape,
        support: tuple[float, float] | None = None,
    ):
        """Takes the distribution of all x_d given x_<d, as a function of x, and a function that draws x.

        Args:
          factors: x `[*lead, *event_shape]` -> the product of p(x_d | x_<d), with x_<d from this x.
          draw: (key, lead) -> x `[*lead, *event_shape]`.
          batch_shape: batch axes; `lead` ends in them.
          event_shape: shape of x.
          support: lowest and highest value of x; None if unbounded.
        """
        super().__init__()
        self.factors = factors
        self.draw = draw
        self.batch = tuple(batch_shape)
        self.shape = tuple(event_shape)
        self.support = support

    @property
    def event_shape(self) -> Shape:
        """Returns the shape of x."""
        return self.shape

    @property
    def batch_shape(self) -> Shape:
        """Returns the batch axes."""
        return self.batch

    def log_prob(self, value: Array) -> Array:
        """Returns log p of `value` `[..., *event_shape]`, `[...]` in nats, in one pass of the network.

        Raises:
          ValueError: `value` is not floating point, or does not end in `event_shape`; on the host, a value is not
            finite or not in the support.
        """
        check_prepared("value", value, self.support)
        axes = jnp.ndim(value) - len(self.shape)
        if axes < 0 or jnp.shape(value)[axes:] != self.shape:
            raise ValueError(f"`value` must end in {self.shape}, got {jnp.shape(value)}")
        lead = jnp.broadcast_shapes(jnp.shape(value)[:axes], self.batch)
        return self.factors(jnp.broadcast_to(value, (*lead, *self.shape))).log_prob(value)

    def mean(self) -> Array:
        """Raises NotImplementedError: E[x] is a sum over all x."""
        raise NotImplementedError("an autoregressive distribution has no closed mean E[x]: use draws of x")

    def _sample_n(self, key: PRNGKey, n: int) -> Array:
        return self.draw(key, (n, *self.batch))


def made_model(
    shape: Shape,
    family: FamilyOf,
    hidden: Sequence[int] = (500,),
    *,
    order: Sequence[int] | None = None,
    activation: Callable[[Array], Array] = jax.nn.relu,
    dropout: float = 0.0,
) -> DensityModel:
    """Returns a MADE (Germain, Gregor, Murray and Larochelle, 2015) as a model of p(x), for data of any shape.

    A draw takes D passes of the network for D numbers.

    Args:
      shape: shape of one example.
      family: shape -> family of independent numbers: `bernoulli`, say.
      hidden: widths of the hidden layers.
      order: place of each number in the factorisation, a permutation of 1 to D; None is row by row.
      activation: activation between layers.
      dropout: dropout rate of hidden units while learning.
    """
    network = MADE(shape, family(shape).outputs, tuple(hidden), order, activation, dropout)
    return _density_model(network, shape, family)


def pixel_cnn_model(
    shape: Shape,
    family: FamilyOf,
    *,
    features: int = 32,
    layers: int = 5,
    kernel_size: int = 3,
    first_kernel_size: int = 7,
    dropout: float = 0.0,
) -> DensityModel:
    """Returns a gated PixelCNN (van den Oord et al., 2016) as a model of p(x), for images.

    A draw takes as many multiplications as one pass of the network, in height x width steps of one scan.

    Args:
      shape: shape of one image, `(height, width, channels)`.
      family: shape -> family of independent pixels, whose channels are independent given the pixels before.
      features: features of each stack.
      layers: number of gated layers.
      kernel_size: odd width of the kernels.
      first_kernel_size: odd width of the kernels of the first layer.
      dropout: dropout rate of the features that a layer adds, while learning.
    """
    network = GatedPixelCNN(shape, family(shape).outputs, features, layers, kernel_size, first_kernel_size, dropout)
    return _density_model(network, shape, family)


def autoregressive_model(
    encoder: nn.Module,
    posterior: Family,
    generator: nn.Module,
    decoder: MADE | GatedPixelCNN,
    family: FamilyOf,
) -> LatentVariableModel:
    """Wires a model with p(x | z) = prod_d p(x_d | x_<d, z), under a standard normal prior.

    The decoder sees g(z) in all its layers. E[x | z] has no closed form: what asks for it raises one line. A draw costs
    what `made_model` and `pixel_cnn_model` say.

    Args:
      encoder: x `[..., *shape]` -> `posterior.outputs`.
      posterior: family of q(z | x), over vectors.
      generator: z `[..., latent]` -> g(z), the condition of the decoder: a vector, or for a PixelCNN an image of the
        same height and width.
      decoder: a network that emits `family(shape).outputs`.
      family: shape -> family of independent numbers or pixels.

    Returns:
      A model whose variables have the params of an "encoder", a "generator" and a "decoder".
    """
    shape = tuple(decoder.shape)
    of_numbers = family(shape)
    conditions = Family(shape, {}, lambda emitted: emitted, of_numbers.support)  # the "distribution" is g(z) itself
    base = latent_variable_model(encoder, posterior, generator, conditions)
    learn: Any = base.learning

    def init(key: PRNGKey, batch: Batch) -> Variables:
        key, decoder_key = jax.random.split(key)
        variables = base.init(key, batch)
        given = jax.eval_shape(lambda: base.likelihood(variables, jnp.zeros((1, *posterior.event_shape))))
        params = decoder.init(decoder_key, batch.x[:1], jnp.zeros(given.shape, given.dtype))["params"]
        return {**variables, "params": {**variables["params"], "decoder": params}}

    def likelihood(variables: Variables, z: Array, label: Array | None = None) -> distrax.Distribution:
        given = base.likelihood(variables, z)
        return _one_by_one(decoder, _decoder(variables), family, given, jnp.shape(z)[:-1])

    def learning(variables: Variables, key: PRNGKey, batch: Batch) -> Learning:
        learned, rngs = learn(variables, key, batch), {"dropout": dropout_key(key)}

        def likelihood_in_learning(z: Array) -> distrax.Distribution:
            given, lead = learned.likelihood(z), jnp.shape(z)[:-1]
            return _one_by_one(decoder, _decoder(variables), family, given, lead, rngs)

        return learned._replace(likelihood=likelihood_in_learning)

    return base._replace(init=init, likelihood=likelihood, learning=learning, has_mean=False)


def _density_model(network: MADE | GatedPixelCNN, shape: Shape, family: FamilyOf) -> DensityModel:
    return DensityModel(
        init=lambda key, batch: network.init(key, batch.x[:1]),
        distribution=lambda variables: _one_by_one(network, variables, family, None, ()),
        learning=lambda variables, key: _one_by_one(network, variables, family, None, (), {"dropout": key}),
        support=family(shape).support,
        shape=tuple(shape),
    )


def _one_by_one(
    network: MADE | GatedPixelCNN,
    variables: Variables,
    family: FamilyOf,
    condition: Array | None,
    batch_shape: Shape,
    rngs: dict[str, PRNGKey] | None = None,
) -> OneByOne:
    """Returns the distribution of a network, given a condition `[*batch_shape, ...]`."""
    whole = family(network.shape)
    of_place = family((1, 1, *network.shape[2:]) if isinstance(network, GatedPixelCNN) else (1,))

    def factors(x: Array) -> distrax.Distribution:
        return whole.distribution(network.apply(variables, x, condition, rngs=rngs))

    def choose(key: PRNGKey, emitted: dict[str, Array]) -> Array:
        shaped = {name: a.reshape(len(a), *of_place.outputs[name].shape) for name, a in emitted.items()}
        x = of_place.distribution(shaped).sample(seed=key)
        return x.reshape(len(x), -1)

    def draw(key: PRNGKey, lead: Shape) -> Array:
        if isinstance(network, GatedPixelCNN):
            return draw_by_pixels(network, variables, key, choose, lead, condition)
        return draw_by_numbers(network, variables, key, choose, lead, condition)

    return OneByOne(factors, draw, batch_shape, network.shape, whole.support)


def _decoder(variables: Variables) -> Variables:
    params: Any = variables["params"]
    return {"params": params["decoder"]}
