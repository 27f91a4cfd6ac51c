# The package's front door: `lazy_loader` reads this file, and so do type checkers.
from . import data, errors, estimators, evaluation, models, networks, objectives, runs, training, types
from .data import from_arrays, load, prepare
from .estimators.elbo import elbo
from .evaluation.bounds import held_out_bound
from .evaluation.latents import latent_usage
from .evaluation.reconstruction import held_out_error
from .models import (
    autoencoder_model,
    bernoulli,
    diagonal_gaussian,
    discretised_logistic,
    full_covariance_gaussian,
    gaussian,
    latent_variable_model,
)
from .networks import ConvolutionalEncoder, ConvolutionalGenerator, MLPEncoder, MLPGenerator
from .objectives import autoencoder, vae
from .runs.configuration import Training
from .runs.fit import fit
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
    "autoencoder",
    "autoencoder_model",
    "bernoulli",
    "data",
    "diagonal_gaussian",
    "discretised_logistic",
    "elbo",
    "errors",
    "estimators",
    "evaluation",
    "fit",
    "from_arrays",
    "full_covariance_gaussian",
    "gaussian",
    "held_out_bound",
    "held_out_error",
    "latent_usage",
    "latent_variable_model",
    "load",
    "loop_over_chunk",
    "loop_over_data",
    "models",
    "networks",
    "objectives",
    "prepare",
    "runs",
    "trainer",
    "training",
    "types",
    "vae",
]
