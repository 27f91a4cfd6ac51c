"""Figures of known factors for the final evaluation: which latent dimension knows which factor."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

import genjax_models as gx
from genjax_models.data import Prepared, Source
from genjax_models.errors import InputError
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.fixed_factor_scores import FixedFactorScore
from genjax_models.evaluation.known_factors import known_factors
from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
from genjax_models.evaluation.scikit_learn import scikit_learn
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import System
from genjax_models.systems.known_factors import with_known_factors
from genjax_models.types import Array, Variables

_BLOCK = 500  # examples encoded at once
_FEW = 2  # active dimensions that every figure needs


def with_disentanglement(
    system: System, player: str, names: tuple[str, ...], *, source: Source | None = None, batches: int = 0
) -> System:
    """Returns the system with all figures of known factors in its final evaluation, and the pictures of them.

    Beyond `with_known_factors`, it has `figures_of_codes` of the test split, and `figures_of_batches`.

    Args:
      system: its model has one stochastic layer; the data have factors.
      player: the player with the model's variables.
      names: of the factors.
      source: draws examples; None leaves out the figures of batches.
      batches: batches that train the scores, and again that judge them; 0 leaves out the figures of batches.

    Raises:
      InputError: scikit-learn is not installed; from `prepare`, a factor that is constant in the test split.
    """
    scikit_learn("base", "figures of known factors")  # before training, and not after it
    known = with_known_factors(system, player, names)

    def prepare(dataset):
        factors = dataset.test.factors
        try:
            known_factors(np.arange(2 * len(factors)).reshape(-1, 2), factors)
        except ValueError as error:
            raise InputError(f"{dataset.name}: {error}") from None
        return system.prepare(dataset)

    def figures(players, data):
        facts, pictures = known.figures(players, data)
        variables = players[player]
        codes = encoder(system.model, variables)(np.asarray(data.test.x))
        further = figures_of_codes(codes, data.test.factors)
        if further and source is not None and batches:
            encode = encoder_of_source(system.model, variables, source, data)
            fixed = [k for k, factor in enumerate(source.factors[: len(names)]) if not factor.derived]
            further |= figures_of_batches(source, encode, batches, fixed)
        return facts._replace(further=further), pictures

    return system._replace(figures=figures, prepare=prepare)


def figures_of_codes(codes: np.ndarray, factors: Array) -> dict[str, Estimate]:
    """Returns the figures of codes `[n, d]` and factors `[n, f]`: modularity, DCI, SAP, and a total correlation.

    The total correlation takes the codes for Gaussian, and is in nats. Inactive dimensions are left out; with fewer
    than 2 active dimensions there are no figures.
    """
    active = codes.var(axis=0) > ACTIVITY_THRESHOLD
    if active.sum() < _FEW:
        return {}
    known = {"codes": codes, "factors": factors, "active": active}
    importance = gx.importance(**known)
    read = importance.matrix.any()  # trees of a few examples may split by no code
    disentanglement, completeness = gx.dci(importance.matrix) if read else (math.nan, math.nan)
    covariance = np.cov(codes[:, active].T).astype(np.float32)
    alone = partial(Estimate, standard_error=math.nan, n=len(codes))
    figures = {
        "modularity": gx.modularity(**known),
        "dci_disentanglement": alone(disentanglement),
        "dci_completeness": alone(completeness),
        "dci_informativeness": alone(float(np.mean(importance.informativeness))),
        "sap": gx.separated_attribute_predictability(**known),
        "total_correlation_of_means": alone(float(gx.gaussian_total_correlation(covariance))),
    }
    return {name: figure for name, figure in figures.items() if math.isfinite(figure.value)}


def figures_of_batches(
    source: Source, encode: Callable[[np.ndarray], Array], batches: int, fixed: Sequence[int]
) -> dict[str, Estimate]:
    """Returns the scores of FactorVAE and beta-VAE, each from twice so many batches of 64 new examples.

    Args:
      source: draws the examples.
      encode: examples -> codes.
      batches: batches that train the scores, and again that judge them.
      fixed: columns of the factors that are fixed in turn.
    """
    draws: Any = source  # a type checker takes the fields of a NamedTuple for methods

    def score(function: Callable[..., FixedFactorScore]) -> Estimate:
        return function(draws, encode, num_train=batches, num_test=batches, fixed=fixed).estimate

    return {"factor_vae_score": score(gx.factor_vae_score), "beta_vae_score": score(gx.beta_vae_score)}


def encoder_of_source(
    model: LatentVariableModel, variables: Variables, source: Source, data: Prepared
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the function from what the source draws to posterior means `[n, latent]`."""
    (low, high), (lowest, highest), encode = source.range, data.range, encoder(model, variables)

    def encoded(images: np.ndarray) -> np.ndarray:
        share = (images.astype(np.float32) - low) / (high - low)
        return encode(lowest + (highest - lowest) * share)

    return encoded


def source_of(name: str) -> Source | None:
    """Returns the source of a data set; None if it has none."""
    try:
        return gx.load_source(name)
    except InputError:
        return None


def encoder(model: LatentVariableModel, variables: Variables) -> Callable[[np.ndarray], np.ndarray]:
    """Returns x `[n, *shape]` -> posterior means `[n, latent]`, a block at a time: blocks of one size compile once."""

    def encode(x: np.ndarray) -> np.ndarray:
        full = np.resize(x, (-(-len(x) // _BLOCK) * _BLOCK, *x.shape[1:]))  # repeats rows at the end
        parts = full.reshape(-1, _BLOCK, *x.shape[1:])
        return np.concatenate([np.asarray(_means(model, variables, part)) for part in parts])[: len(x)]

    return encode


@partial(jax.jit, static_argnums=0)  # compiled once for all members of a run
def _means(model: LatentVariableModel, variables: Variables, x: Array) -> Array:
    return model.posterior(variables, x).mean()
