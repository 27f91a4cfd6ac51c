# The package's front door: `lazy_loader` reads this file, and so do type checkers.
from . import data, errors, estimators, evaluation, models, networks, objectives, runs, training, types
from .data import from_arrays, load, prepare
from .estimators.annealing import annealed_importance_sampling
from .estimators.elbo import elbo
from .estimators.importance import effective_sample_size, importance_weights, iwae_bound, pareto_k_hat
from .evaluation.annealed import annealed_log_likelihood, annealed_sandwich
from .evaluation.bounds import held_out_bound
from .evaluation.gaps import bound_gaps
from .evaluation.information import latent_information
from .evaluation.latents import latent_usage, latent_usage_by_layer
from .evaluation.likelihood import negative_log_likelihood
from .evaluation.posterior_grid import posterior_grid
from .evaluation.quadrature import quadrature_log_likelihood
from .evaluation.reconstruction import held_out_error
from .evaluation.representations import compare_representations, probe
from .models import (
    autoencoder_model,
    bernoulli,
    coupling_flow,
    diagonal_gaussian,
    discretised_logistic,
    full_covariance_gaussian,
    gaussian,
    gaussian_mixture,
    generator_model,
    hierarchical_model,
    latent_variable_model,
    starting_at_data_mean,
)
from .networks import ConvolutionalEncoder, ConvolutionalGenerator, MLPEncoder, MLPGenerator
from .objectives import autoencoder, infinite_mixture, iwae, mixture, vae
from .runs.configuration import Training
from .runs.fit import fit, players_for_sampling
from .training import loop_over_chunk, loop_over_data, trainer
from .types import Aux, Batch, Objective, Trainer, TrainState

__all__ = [
    "Aux",
    "Batch",
    "ConvolutionalEncoder",
    "ConvolutionalGenerator",
    "MLPEncoder",
    "MLPGenerator",
    "Objective",
    "TrainState",
    "Trainer",
    "Training",
    "annealed_importance_sampling",
    "annealed_log_likelihood",
    "annealed_sandwich",
    "autoencoder",
    "autoencoder_model",
    "bernoulli",
    "bound_gaps",
    "compare_representations",
    "coupling_flow",
    "data",
    "diagonal_gaussian",
    "discretised_logistic",
    "effective_sample_size",
    "elbo",
    "errors",
    "estimators",
    "evaluation",
    "fit",
    "from_arrays",
    "full_covariance_gaussian",
    "gaussian",
    "gaussian_mixture",
    "generator_model",
    "held_out_bound",
    "held_out_error",
    "hierarchical_model",
    "importance_weights",
    "infinite_mixture",
    "iwae",
    "iwae_bound",
    "latent_information",
    "latent_usage",
    "latent_usage_by_layer",
    "latent_variable_model",
    "load",
    "loop_over_chunk",
    "loop_over_data",
    "mixture",
    "models",
    "negative_log_likelihood",
    "networks",
    "objectives",
    "pareto_k_hat",
    "players_for_sampling",
    "posterior_grid",
    "prepare",
    "probe",
    "quadrature_log_likelihood",
    "runs",
    "starting_at_data_mean",
    "trainer",
    "training",
    "types",
    "vae",
]
