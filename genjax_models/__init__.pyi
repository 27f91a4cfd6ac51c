# The package's front door: `lazy_loader` reads this file, and so do type checkers.
from . import (
    data,
    errors,
    estimators,
    evaluation,
    figures,
    models,
    networks,
    objectives,
    runs,
    systems,
    training,
    types,
)
from .data import from_arrays, from_splits, load, prepare
from .data.features import load_classifier, load_features
from .estimators.adversarial import (
    discriminator_loss,
    maximum_likelihood_generator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
)
from .estimators.annealing import annealed_importance_sampling
from .estimators.elbo import elbo
from .estimators.importance import importance_weights, iwae_bound
from .estimators.importance_diagnostics import effective_sample_size, pareto_k_hat
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
from .evaluation.classifier_test import classifier_two_sample_test
from .evaluation.features import Features
from .evaluation.gaps import bound_gaps
from .evaluation.information import latent_information
from .evaluation.interpolation import spherical_interpolation
from .evaluation.labels import class_accuracy, classifier_score
from .evaluation.latents import latent_usage, latent_usage_by_layer
from .evaluation.likelihood import negative_log_likelihood
from .evaluation.manifold_coverage import manifold_coverage
from .evaluation.modes import mode_coverage
from .evaluation.neighbours import data_copying, nearest_neighbours
from .evaluation.parzen_window import parzen_window
from .evaluation.posterior_grid import posterior_grid
from .evaluation.quadrature import quadrature_log_likelihood
from .evaluation.reconstruction import held_out_error
from .evaluation.representations import compare_representations, probe
from .evaluation.samples import sample_metrics, sample_quality
from .models import (
    Condition,
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
    implicit_model,
    laplacian_pyramid_gan,
    latent_variable_model,
    refining_pair,
    starting_at_data_mean,
    supervised_model,
    with_gaussian_noise,
)
from .networks import (
    Convolution,
    ConvolutionalEncoder,
    ConvolutionalGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
    RefiningGenerator,
    SpectralNormalisation,
    SupervisedGenerator,
    TranslatingGenerator,
    TransposedConvolution,
    Upsampled,
    unpool,
)
from .objectives import (
    autoencoder,
    gan,
    gmmn,
    gmmn_autoencoder,
    infinite_mixture,
    info_vae,
    iwae,
    lapgan,
    mixture,
    mmd_gan,
    moment_matching,
    supervised,
    vae,
)
from .runs.configuration import Training
from .runs.evaluation import players_for_sampling
from .runs.fit import fit
from .runs.loading import load_run
from .runs.protocol import Experiment, Metric, System
from .training import data_mesh, data_parallel, loop_over_chunk, loop_over_data, pmapped, trainer, vmapped
from .types import Aux, Batch, Objective, Trainer, TrainState

__all__ = [
    "Aux",
    "Batch",
    "Condition",
    "Convolution",
    "ConvolutionalEncoder",
    "ConvolutionalGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Experiment",
    "Features",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "Metric",
    "Objective",
    "RefiningGenerator",
    "SpectralNormalisation",
    "SupervisedGenerator",
    "System",
    "TrainState",
    "Trainer",
    "Training",
    "TranslatingGenerator",
    "TransposedConvolution",
    "Upsampled",
    "adversarial_pair",
    "annealed_importance_sampling",
    "annealed_log_likelihood",
    "annealed_sandwich",
    "autoencoder",
    "autoencoder_model",
    "bernoulli",
    "bound_gaps",
    "central_moments",
    "class_accuracy",
    "classifier_score",
    "classifier_two_sample_test",
    "compare_representations",
    "coupling_flow",
    "data",
    "data_copying",
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
    "figures",
    "fit",
    "from_arrays",
    "from_splits",
    "full_covariance_gaussian",
    "gan",
    "gaussian",
    "gaussian_kernel",
    "gaussian_mixture",
    "generator_model",
    "gmmn",
    "gmmn_autoencoder",
    "held_out_bound",
    "held_out_error",
    "held_out_two_sample_test",
    "hierarchical_model",
    "implicit_model",
    "importance_weights",
    "infinite_mixture",
    "info_vae",
    "iwae",
    "iwae_bound",
    "kernel_on_features",
    "lapgan",
    "laplace_kernel",
    "laplacian_pyramid_gan",
    "latent_information",
    "latent_usage",
    "latent_usage_by_layer",
    "latent_variable_model",
    "load",
    "load_classifier",
    "load_features",
    "load_run",
    "loop_over_chunk",
    "loop_over_data",
    "manifold_coverage",
    "maximum_likelihood_generator_loss",
    "median_bandwidth",
    "minimax_generator_loss",
    "mixture",
    "mmd_gan",
    "mmd_squared_biased",
    "mmd_squared_linear",
    "mmd_squared_unbiased",
    "mode_coverage",
    "models",
    "moment_difference",
    "moment_matching",
    "nearest_neighbours",
    "negative_log_likelihood",
    "networks",
    "non_saturating_generator_loss",
    "objectives",
    "pareto_k_hat",
    "parzen_window",
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
    "refining_pair",
    "runs",
    "sample_metrics",
    "sample_quality",
    "spherical_interpolation",
    "starting_at_data_mean",
    "sum_of_kernels",
    "supervised",
    "supervised_model",
    "systems",
    "trainer",
    "training",
    "two_sample_test",
    "types",
    "unpool",
    "vae",
    "vmapped",
    "with_gaussian_noise",
    "witness_function",
]
