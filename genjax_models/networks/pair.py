"""An encoder and a generator as one module, so that they are one player with one tree of variables."""

import flax.linen as nn

from genjax_models.networks.outputs import Emitted
from genjax_models.types import Array


class EncoderGenerator(nn.Module):
    """Variables have an "encoder" and a "generator"; apply with `method="encode"` or `method="generate"`."""

    encoder: nn.Module
    generator: nn.Module

    def encode(self, x: Array) -> Emitted:
        """What the encoder emits for x `[..., *shape]`."""
        return self.encoder(x)

    def generate(self, z: Array) -> Emitted:
        """What the generator emits for z `[..., latent]`."""
        return self.generator(z)

    def __call__(self, x: Array, z: Array) -> tuple[Emitted, Emitted]:
        """Both, which is what `init` needs."""
        return self.encode(x), self.generate(z)
