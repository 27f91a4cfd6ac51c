"""An encoder and a generator as one module, so that they are one player with one tree of variables."""

import flax.linen as nn

from genjax_models.networks.outputs import Emitted
from genjax_models.types import Array


class EncoderGenerator(nn.Module):
    """Variables have an "encoder" and a "generator"; apply with `method="encode"` or `method="generate"`.

    Further arguments (a condition) are passed on to both.
    """

    encoder: nn.Module
    generator: nn.Module

    def encode(self, x: Array, *condition: Array) -> Emitted:
        """What the encoder emits for x `[..., *shape]`."""
        return self.encoder(x, *condition)

    def generate(self, z: Array, *condition: Array) -> Emitted:
        """What the generator emits for z `[..., latent]`."""
        return self.generator(z, *condition)

    def __call__(self, x: Array, z: Array, *condition: Array) -> tuple[Emitted, Emitted]:
        """Calls both networks, as `init` needs."""
        return self.encode(x, *condition), self.generate(z, *condition)


class Layers(nn.Module):
    """The networks of a model with several stochastic layers, from the data up: "encoders_0", "generators_0", ...

    `encoders[l]` reads z_l (the data for l = 0) and `generators[l]` reads z_{l+1}.
    """

    encoders: tuple[nn.Module, ...]
    generators: tuple[nn.Module, ...]

    def encode(self, layer: int, below: Array, *condition: Array) -> Emitted:
        """What `encoders[layer]` emits for z_layer."""
        return self.encoders[layer](below, *condition)

    def generate(self, layer: int, above: Array, *condition: Array) -> Emitted:
        """What `generators[layer]` emits for z_{layer + 1}."""
        return self.generators[layer](above, *condition)

    def __call__(self, x: Array, z: tuple[Array, ...], *condition: Array) -> None:
        """Calls all networks, as `init` needs."""
        for layer, (below, above) in enumerate(zip((x, *z), z, strict=False)):
            self.encode(layer, below, *condition)
            self.generate(layer, above, *condition)
