"""What is generated: a prior, a generator and what it needs, wired."""

from genjax_models.models.autoencoder import AutoencoderModel, autoencoder_model
from genjax_models.models.families import Family, positive
from genjax_models.models.latent_variable import LatentVariableModel, latent_variable_model
from genjax_models.models.likelihoods import bernoulli, discretised_logistic, gaussian
from genjax_models.models.posteriors import diagonal_gaussian, full_covariance_gaussian

__all__ = [
    "AutoencoderModel",
    "Family",
    "LatentVariableModel",
    "autoencoder_model",
    "bernoulli",
    "diagonal_gaussian",
    "discretised_logistic",
    "full_covariance_gaussian",
    "gaussian",
    "latent_variable_model",
    "positive",
]
