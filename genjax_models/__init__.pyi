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
from .data import Factor, Source, from_arrays, from_splits, load, load_source, prepare
from .data.features import load_classifier, load_features
from .estimators.adversarial import (
    discriminator_loss,
    maximum_likelihood_generator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
)
from .estimators.annealing import annealed_importance_sampling
from .estimators.attention import attention_window
from .estimators.autoregressive import Autoregressive
from .estimators.elbo import elbo
from .estimators.filtering import Step, elbo_by_step, filtering_bound
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
from .estimators.orthogonality import orthogonal_penalty
from .estimators.total_correlation import (
    aggregate_log_densities,
    covariance_penalty,
    gaussian_total_correlation,
    permuted,
)
from .estimators.two_sample_test import held_out_two_sample_test, power_optimal_bandwidth, two_sample_test
from .evaluation.annealed import annealed_log_likelihood, annealed_sandwich
from .evaluation.bounds import held_out_bound
from .evaluation.classifier_test import classifier_two_sample_test
from .evaluation.directions import closed_form_directions, principal_directions
from .evaluation.disentanglement import modularity, mutual_information_gap, mutual_information_matrix
from .evaluation.factor_importance import dci, importance
from .evaluation.features import Features
from .evaluation.fixed_factor_scores import beta_vae_score, factor_vae_score
from .evaluation.gaps import bound_gaps
from .evaluation.information import latent_information
from .evaluation.interpolation import spherical_interpolation, walk_along
from .evaluation.labels import class_accuracy, classifier_score
from .evaluation.latents import latent_usage, latent_usage_by_layer
from .evaluation.likelihood import negative_log_likelihood
from .evaluation.manifold_coverage import manifold_coverage
from .evaluation.modes import mode_coverage
from .evaluation.neighbours import data_copying, nearest_neighbours
from .evaluation.parzen_window import parzen_window
from .evaluation.posterior_grid import posterior_grid
from .evaluation.predictability import linear_readings, separated_attribute_predictability, squared_correlations
from .evaluation.quadrature import quadrature_log_likelihood
from .evaluation.reconstruction import held_out_error
from .evaluation.representations import compare_representations, probe
from .evaluation.samples import sample_metrics, sample_quality
from .evaluation.standing_statistics import standing_statistics
from .evaluation.unsupervised_ranking import unsupervised_ranking
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
    MADE,
    BigGANDiscriminator,
    BigGANGenerator,
    Convolution,
    ConvolutionalEncoder,
    ConvolutionalGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    GatedPixelCNN,
    MaskedDense,
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
    beta_tcvae,
    dip_vae,
    factor_vae,
    gan,
    gmmn,
    gmmn_autoencoder,
    infinite_mixture,
    info_vae,
    iwae,
    lapgan,
    latent_directions,
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
    "MADE",
    "Autoregressive",
    "Aux",
    "Batch",
    "BigGANDiscriminator",
    "BigGANGenerator",
    "Condition",
    "Convolution",
    "ConvolutionalEncoder",
    "ConvolutionalGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Experiment",
    "Factor",
    "Features",
    "GatedPixelCNN",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "MaskedDense",
    "Metric",
    "Objective",
    "RefiningGenerator",
    "Source",
    "SpectralNormalisation",
    "Step",
    "SupervisedGenerator",
    "System",
    "TrainState",
    "Trainer",
    "Training",
    "TranslatingGenerator",
    "TransposedConvolution",
    "Upsampled",
    "adversarial_pair",
    "aggregate_log_densities",
    "annealed_importance_sampling",
    "annealed_log_likelihood",
    "annealed_sandwich",
    "attention_window",
    "autoencoder",
    "autoencoder_model",
    "bernoulli",
    "beta_tcvae",
    "beta_vae_score",
    "bound_gaps",
    "central_moments",
    "class_accuracy",
    "classifier_score",
    "classifier_two_sample_test",
    "closed_form_directions",
    "compare_representations",
    "coupling_flow",
    "covariance_penalty",
    "data",
    "data_copying",
    "data_mesh",
    "data_parallel",
    "dci",
    "diagonal_gaussian",
    "dip_vae",
    "discretised_logistic",
    "discriminator_loss",
    "effective_sample_size",
    "elbo",
    "elbo_by_step",
    "errors",
    "estimators",
    "evaluation",
    "factor_vae",
    "factor_vae_score",
    "figures",
    "filtering_bound",
    "fit",
    "from_arrays",
    "from_splits",
    "full_covariance_gaussian",
    "gan",
    "gaussian",
    "gaussian_kernel",
    "gaussian_mixture",
    "gaussian_total_correlation",
    "generator_model",
    "gmmn",
    "gmmn_autoencoder",
    "held_out_bound",
    "held_out_error",
    "held_out_two_sample_test",
    "hierarchical_model",
    "implicit_model",
    "importance",
    "importance_weights",
    "infinite_mixture",
    "info_vae",
    "iwae",
    "iwae_bound",
    "kernel_on_features",
    "lapgan",
    "laplace_kernel",
    "laplacian_pyramid_gan",
    "latent_directions",
    "latent_information",
    "latent_usage",
    "latent_usage_by_layer",
    "latent_variable_model",
    "linear_readings",
    "load",
    "load_classifier",
    "load_features",
    "load_run",
    "load_source",
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
    "modularity",
    "moment_difference",
    "moment_matching",
    "mutual_information_gap",
    "mutual_information_matrix",
    "nearest_neighbours",
    "negative_log_likelihood",
    "networks",
    "non_saturating_generator_loss",
    "objectives",
    "orthogonal_penalty",
    "pareto_k_hat",
    "parzen_window",
    "permuted",
    "players_for_sampling",
    "pmapped",
    "polynomial_kernel",
    "posterior_grid",
    "power_optimal_bandwidth",
    "prepare",
    "principal_directions",
    "probe",
    "product_of_kernels",
    "quadrature_log_likelihood",
    "rational_quadratic_kernel",
    "raw_moments",
    "refining_pair",
    "runs",
    "sample_metrics",
    "sample_quality",
    "separated_attribute_predictability",
    "spherical_interpolation",
    "squared_correlations",
    "standing_statistics",
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
    "unsupervised_ranking",
    "vae",
    "vmapped",
    "walk_along",
    "with_gaussian_noise",
    "witness_function",
]
