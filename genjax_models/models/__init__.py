"""Models: a prior, a generator and its encoder or discriminator, wired."""

from genjax_models.models.adversarial import AdversarialPair, adversarial_pair
from genjax_models.models.autoencoder import AutoencoderModel, autoencoder_model
from genjax_models.models.autoregressive import autoregressive_model, made_model, pixel_cnn_model
from genjax_models.models.condition import Condition
from genjax_models.models.data_mean import starting_at_data_mean
from genjax_models.models.deep_markov import deep_markov_model
from genjax_models.models.density import DensityModel
from genjax_models.models.draw import draw_model
from genjax_models.models.families import Family, positive
from genjax_models.models.gaussian_noise import with_gaussian_noise
from genjax_models.models.generator import GeneratorModel, generator_model
from genjax_models.models.hierarchical import hierarchical_model
from genjax_models.models.implicit import ImplicitModel, implicit_model
from genjax_models.models.laplacian_pyramid_gan import LaplacianPyramidGAN, laplacian_pyramid_gan, refining_pair
from genjax_models.models.latent_variable import LatentVariableModel, latent_variable_model
from genjax_models.models.learning import Learning, learning_mode
from genjax_models.models.likelihoods import bernoulli, discretised_logistic, gaussian, logistic_mixture
from genjax_models.models.linear_gaussian import kalman_log_likelihood, linear_gaussian_model
from genjax_models.models.mixture import family_model, gaussian_mixture, mixture_model
from genjax_models.models.posteriors import coupling_flow, diagonal_gaussian, full_covariance_gaussian
from genjax_models.models.sequential import SequentialModel, time_first
from genjax_models.models.stochastic_rnn import stochastic_rnn
from genjax_models.models.supervised import SupervisedModel, supervised_model
from genjax_models.models.variational_rnn import variational_rnn

__all__ = [
    "AdversarialPair",
    "AutoencoderModel",
    "Condition",
    "DensityModel",
    "Family",
    "GeneratorModel",
    "ImplicitModel",
    "LaplacianPyramidGAN",
    "LatentVariableModel",
    "Learning",
    "SequentialModel",
    "SupervisedModel",
    "adversarial_pair",
    "autoencoder_model",
    "autoregressive_model",
    "bernoulli",
    "coupling_flow",
    "deep_markov_model",
    "diagonal_gaussian",
    "discretised_logistic",
    "draw_model",
    "family_model",
    "full_covariance_gaussian",
    "gaussian",
    "gaussian_mixture",
    "generator_model",
    "hierarchical_model",
    "implicit_model",
    "kalman_log_likelihood",
    "laplacian_pyramid_gan",
    "latent_variable_model",
    "learning_mode",
    "linear_gaussian_model",
    "logistic_mixture",
    "made_model",
    "mixture_model",
    "pixel_cnn_model",
    "positive",
    "refining_pair",
    "starting_at_data_mean",
    "stochastic_rnn",
    "supervised_model",
    "time_first",
    "variational_rnn",
    "with_gaussian_noise",
]
