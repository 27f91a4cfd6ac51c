"""Objectives: how a model is learned. Players, losses and sample; one file per system."""

from genjax_models.objectives.autoencoder import autoencoder
from genjax_models.objectives.beta_tcvae import beta_tcvae
from genjax_models.objectives.density import maximum_likelihood
from genjax_models.objectives.dip_vae import dip_vae
from genjax_models.objectives.factor_vae import factor_vae
from genjax_models.objectives.gan import gan
from genjax_models.objectives.gmmn import gmmn
from genjax_models.objectives.gmmn_autoencoder import gmmn_autoencoder
from genjax_models.objectives.infinite_mixture import infinite_mixture
from genjax_models.objectives.info_vae import info_vae
from genjax_models.objectives.iwae import iwae
from genjax_models.objectives.lapgan import lapgan
from genjax_models.objectives.latent_directions import latent_directions
from genjax_models.objectives.matching import matching
from genjax_models.objectives.mixture import mixture
from genjax_models.objectives.mmd_gan import mmd_gan
from genjax_models.objectives.moment_matching import moment_matching
from genjax_models.objectives.sequential_vae import sequential_vae
from genjax_models.objectives.supervised import supervised
from genjax_models.objectives.vae import vae

__all__ = [
    "autoencoder",
    "beta_tcvae",
    "dip_vae",
    "factor_vae",
    "gan",
    "gmmn",
    "gmmn_autoencoder",
    "infinite_mixture",
    "info_vae",
    "iwae",
    "lapgan",
    "latent_directions",
    "matching",
    "maximum_likelihood",
    "mixture",
    "mmd_gan",
    "moment_matching",
    "sequential_vae",
    "supervised",
    "vae",
]
