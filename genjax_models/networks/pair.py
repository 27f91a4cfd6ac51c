"""Several networks as one module with one tree of variables, which one player trains."""

import flax.linen as nn

from genjax_models.networks.outputs import Emitted
from genjax_models.types import Array


class EncoderGenerator(nn.Module):
    """An encoder and a generator; their variables are under "encoder" and "generator".

    Apply it with `method="encode"` or `method="generate"`. Both pass further arguments (a condition) on.
    """

    encoder: nn.Module
    generator: nn.Module

    def encode(self, x: Array, *condition: Array) -> Emitted:
        """Returns the encoder's outputs for x `[..., *shape]`."""
        return self.encoder(x, *condition)

    def generate(self, z: Array, *condition: Array) -> Emitted:
        """Returns the generator's outputs for z `[..., latent]`."""
        return self.generator(z, *condition)

    def __call__(self, x: Array, z: Array, *condition: Array) -> tuple[Emitted, Emitted]:
        """Calls both networks, as `init` needs."""
        return self.encode(x, *condition), self.generate(z, *condition)


class Layers(nn.Module):
    """The networks of a model with several stochastic layers, from the data up: "encoders_0", "generators_0", ...

    `encoders[l]` reads z_l (the data for l = 0), and `generators[l]` reads z_{l+1}.
    """

    encoders: tuple[nn.Module, ...]
    generators: tuple[nn.Module, ...]

    def encode(self, layer: int, below: Array, *condition: Array) -> Emitted:
        """Returns the outputs of `encoders[layer]` for z_layer."""
        return self.encoders[layer](below, *condition)

    def generate(self, layer: int, above: Array, *condition: Array) -> Emitted:
        """Returns the outputs of `generators[layer]` for z_{layer + 1}."""
        return self.generators[layer](above, *condition)

    def __call__(self, x: Array, z: tuple[Array, ...], *condition: Array) -> None:
        """Calls all networks, as `init` needs."""
        for layer, (below, above) in enumerate(zip((x, *z), z, strict=False)):
            self.encode(layer, below, *condition)
            self.generate(layer, above, *condition)
