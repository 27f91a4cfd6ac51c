# The package's front door: `lazy_loader` reads this file, and so do type checkers.
from . import data, errors, estimators, evaluation, models, networks, objectives, runs, training, types
from .data import from_arrays, load, prepare
from .estimators.adversarial import (
    discriminator_loss,
    maximum_likelihood_generator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
)
from .estimators.annealing import annealed_importance_sampling
from .estimators.elbo import elbo
from .estimators.importance import effective_sample_size, importance_weights, iwae_bound, pareto_k_hat
from .estimators.kernels import (
    gaussian_kernel,
    kernel_on_features,
    laplace_kernel,
    median_bandwidth,
    polynomial_kernel,
    product_of_kernels,
    rational_quadratic_kernel,
    sum_of_kernels,
)
from .estimators.mmd import mmd_squared_biased, mmd_squared_linear, mmd_squared_unbiased, witness_function
from .estimators.moments import central_moments, moment_difference, raw_moments
from .estimators.two_sample_test import held_out_two_sample_test, power_optimal_bandwidth, two_sample_test
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
    adversarial_pair,
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
from .networks import ConvolutionalEncoder, ConvolutionalGenerator, MLPDiscriminator, MLPEncoder, MLPGenerator
from .objectives import autoencoder, gan, infinite_mixture, iwae, mixture, vae
from .runs.configuration import Training
from .runs.fit import fit, players_for_sampling
from .training import data_mesh, data_parallel, loop_over_chunk, loop_over_data, pmapped, trainer
from .types import Aux, Batch, Objective, Trainer, TrainState

__all__ = [
    "Aux",
    "Batch",
    "ConvolutionalEncoder",
    "ConvolutionalGenerator",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "Objective",
    "TrainState",
    "Trainer",
    "Training",
    "adversarial_pair",
    "annealed_importance_sampling",
    "annealed_log_likelihood",
    "annealed_sandwich",
    "autoencoder",
    "autoencoder_model",
    "bernoulli",
    "bound_gaps",
    "central_moments",
    "compare_representations",
    "coupling_flow",
    "data",
    "data_mesh",
    "data_parallel",
    "diagonal_gaussian",
    "discretised_logistic",
    "discriminator_loss",
    "effective_sample_size",
    "elbo",
    "errors",
    "estimators",
    "evaluation",
    "fit",
    "from_arrays",
    "full_covariance_gaussian",
    "gan",
    "gaussian",
    "gaussian_kernel",
    "gaussian_mixture",
    "generator_model",
    "held_out_bound",
    "held_out_error",
    "held_out_two_sample_test",
    "hierarchical_model",
    "importance_weights",
    "infinite_mixture",
    "iwae",
    "iwae_bound",
    "kernel_on_features",
    "laplace_kernel",
    "latent_information",
    "latent_usage",
    "latent_usage_by_layer",
    "latent_variable_model",
    "load",
    "loop_over_chunk",
    "loop_over_data",
    "maximum_likelihood_generator_loss",
    "median_bandwidth",
    "minimax_generator_loss",
    "mixture",
    "mmd_squared_biased",
    "mmd_squared_linear",
    "mmd_squared_unbiased",
    "models",
    "moment_difference",
    "negative_log_likelihood",
    "networks",
    "non_saturating_generator_loss",
    "objectives",
    "pareto_k_hat",
    "players_for_sampling",
    "pmapped",
    "polynomial_kernel",
    "posterior_grid",
    "power_optimal_bandwidth",
    "prepare",
    "probe",
    "product_of_kernels",
    "quadrature_log_likelihood",
    "rational_quadratic_kernel",
    "raw_moments",
    "runs",
    "starting_at_data_mean",
    "sum_of_kernels",
    "trainer",
    "training",
    "two_sample_test",
    "types",
    "vae",
    "witness_function",
]
