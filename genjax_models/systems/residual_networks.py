"""The group of fields of BigGAN's two networks. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from genjax_models.errors import InputError
from genjax_models.runs.configuration import whole
from genjax_models.systems.precision import Precision, at_precision, warn_if_slower

if TYPE_CHECKING:
    import flax.linen as nn

    from genjax_models.systems.settings import Data


@dataclasses.dataclass(frozen=True)
class ResidualNetworks:
    """A generator and a discriminator of residual blocks (Brock et al., 2019)."""

    channels: tuple[int, ...] = (48, 24)
    """Channels of the generator's blocks; each block doubles the image."""
    discriminator_channels: tuple[int, ...] = (24, 48)
    """Channels of the discriminator's blocks. The first blocks halve the image, as many as the generator has."""
    shared: int = 64
    """Dimensions of the embedding of the class that all blocks share."""
    attention: Literal["half", "none"] | int = "half"
    """Height of the images that attend to themselves, in both networks: half of the data's height, or a number."""
    hierarchical: bool = True
    """Give each block its own chunk of z; otherwise the first layer gets all of z."""
    head: Literal["projection", "concat"] = "projection"
    """How the discriminator sees the class."""
    pooling: Literal["sum", "mean"] = "mean"
    """The discriminator's pooling over pixels; sum in the paper."""
    initial: Literal["orthogonal", "normal"] = "orthogonal"
    """Initial kernels: orthogonal, or N(0, 0.02^2)."""
    precision: Precision = "float32"
    """Precision of the networks; parameters are float32. For accelerators: slower on a CPU."""

    def __post_init__(self):
        whole(1, channels=self.channels, discriminator_channels=self.discriminator_channels, shared=self.shared)
        if not isinstance(self.attention, str):
            whole(1, attention=self.attention)
        if not self.channels:
            raise InputError("channels must name at least one block, got none")
        if len(self.discriminator_channels) < len(self.channels):
            raise InputError(
                f"discriminator_channels must name at least {len(self.channels)} blocks, as channels does, got"
                f" {len(self.discriminator_channels)}"
            )
        if self.attention != "none" and min(*self.channels, *self.discriminator_channels) < 8:
            raise InputError("attention needs at least 8 channels: use more, or --attention none")

    def check_latent(self, latent: int) -> None:
        """Refuses a latent that has no equal chunk per block and one for the first layer.

        Raises:
          InputError: names both numbers.
        """
        parts = len(self.channels) + 1
        if self.hierarchical and latent % parts:
            raise InputError(f"latent must be a multiple of {parts}, the blocks plus 1, got {latent}")

    def build(self, data: Data, latent: int) -> tuple[nn.Module, nn.Module]:
        """Returns the generator and the discriminator of these images and their classes.

        Raises:
          InputError: the blocks cannot make images of this shape, or none makes the images that attend to themselves.
        """
        from genjax_models.networks.biggan import BigGANDiscriminator, BigGANGenerator, check_heights
        from genjax_models.networks.initialisers import kernel_initialiser

        shape, classes, levels, attention = data.shape, data.classes, len(self.channels), self.attention
        if isinstance(attention, str):
            attention = {"half": shape[0] // 2, "none": None}[attention]
        try:
            check_heights(shape, levels, attention)
        except ValueError as error:
            raise InputError(f"{data}: {error}") from None
        warn_if_slower(self.precision)
        init = kernel_initialiser(self.initial)
        chunk = latent // (levels + 1) if self.hierarchical else None
        down = [level < levels for level in range(len(self.discriminator_channels))]
        generator, discriminator = at_precision(
            self.precision,
            BigGANGenerator(shape, self.channels, classes, self.shared, attention, chunk, init),
            BigGANDiscriminator(shape, self.discriminator_channels, down, attention, self.head, self.pooling, init),
        )
        return generator, discriminator
