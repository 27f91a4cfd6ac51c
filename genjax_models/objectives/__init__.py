"""How a model is learned: players, losses, sample; one file for each system."""

from genjax_models.objectives.autoencoder import autoencoder
from genjax_models.objectives.gan import gan
from genjax_models.objectives.infinite_mixture import infinite_mixture
from genjax_models.objectives.iwae import iwae
from genjax_models.objectives.mixture import mixture
from genjax_models.objectives.vae import vae

__all__ = ["autoencoder", "gan", "infinite_mixture", "iwae", "mixture", "vae"]
