"""Weights of three proposals, and the variance of their means. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.configuration import seed_in_range, whole
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import distrax
    import numpy as np

    from genjax_models.evaluation.posterior_grid import PosteriorGrid
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Array, PRNGKey, Variables

_BLOCK = 100  # draws in memory at a time
_GROUPS = 100  # least number of estimates for a variance
_REACH = 6.0  # half-width of the grids, in standard deviations of the prior; 4e-9 of its mass lies beyond


@dataclasses.dataclass(frozen=True)
class ImportanceSampling:
    """Estimate p(x) of one test example from the prior, the encoder and the exact posterior."""

    run: tyro.conf.Positional[Path | None] = None
    """Directory of a run of experiments.vae or experiments.iwae, with two latent dimensions."""
    example: int = 0
    """Index of the example in the test split."""
    draws: int = 100_000
    """Number of draws of each proposal, at least 1,000."""
    nodes: int = 301
    """Number of nodes of the quadrature in each dimension; must be odd."""
    seed: int = 0
    """Random seed of the draws, in [0, 2^32)."""
    to: Path | None = None
    """PNG file of the picture. Default: figures/importance_sampling.png in the run."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(0, example=self.example)
        whole(1_000, draws=self.draws)
        whole(3, nodes=self.nodes)
        if self.nodes % 2 == 0:
            raise InputError(f"nodes must be odd, got {self.nodes}")
        seed_in_range(self.seed)


class Weights(NamedTuple):
    """Draws of a proposal, and estimates from disjoint groups of k weights.

    log_weights: log w - log p(x), `[draws]`.
    k_hat: Pareto k-hat of the weights.
    samples: the numbers k, `[points]`.
    relative_variance: variance of the estimate of p(x), divided by p(x)^2, `[points]`.
    log_quantiles: 10%, 50% and 90% quantiles of log(estimate) - log p(x), `[points, 3]`.
    log_spread: standard deviation of log(estimate), `[points]`.
    """

    log_weights: np.ndarray
    k_hat: float
    samples: np.ndarray
    relative_variance: np.ndarray
    log_quantiles: np.ndarray
    log_spread: np.ndarray


class Study(NamedTuple):
    """Results of the study. `on_plane` has log p(x) and its error, by quadrature on the whole plane."""

    x: Array
    likelihood: Callable[[Array], distrax.Distribution]
    proposals: Mapping[str, distrax.Distribution]
    on_plane: Mapping[str, Array]
    grid: PosteriorGrid
    prior_variance: float
    weights: Mapping[str, Weights]


def measure(options: ImportanceSampling) -> Study:
    """Computes p(x) by quadrature and on a grid around the posterior, and draws from the three proposals."""
    import jax

    from genjax_models.evaluation.posterior_grid import posterior_grid
    from genjax_models.evaluation.quadrature import quadrature_log_likelihood

    model, variables, x = _example_of_run(options)
    on_plane = jax.jit(
        lambda x: quadrature_log_likelihood(model, variables, x, nodes=options.nodes, reach=_REACH, batch_size=1)
    )(x[None])
    prior, likelihood = model.prior(variables), lambda z: model.likelihood(variables, z)
    grid = posterior_grid(model, variables, x, reach=_REACH)
    proposals = {"prior": prior, "encoder": model.posterior(variables, x), "posterior": grid.posterior}
    keys = jax.random.split(jax.random.key(options.seed), len(proposals))
    weights = {
        name: summarise(draw(key, x, proposal, prior, likelihood, options.draws) - grid.log_likelihood)
        for key, (name, proposal) in zip(keys, proposals.items(), strict=True)
    }
    return Study(x, likelihood, proposals, on_plane, grid, prior_variance(grid, prior), weights)


def draw(
    key: PRNGKey,
    x: Array,
    proposal: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Array], distrax.Distribution],
    draws: int,
) -> np.ndarray:
    """Draws from the proposal, and returns log w `[draws]`."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from genjax_models.estimators.importance import log_weights

    def block(j):
        z = proposal.sample(seed=jax.random.fold_in(key, j), sample_shape=(_BLOCK, 1))
        return log_weights(z, x[None], proposal, prior, likelihood)

    blocks = jax.jit(lambda js: jax.lax.map(block, js))(jnp.arange(-(-draws // _BLOCK)))
    return np.asarray(blocks, np.float64).reshape(-1)[:draws]


def summarise(log_weights: np.ndarray) -> Weights:
    """Summarises estimates from disjoint groups of k weights, for k = 1, 10, ...

    Args:
      log_weights: log w - log p(x), `[draws]`.
    """
    import numpy as np
    from scipy.special import logsumexp

    from genjax_models.estimators.importance_diagnostics import pareto_k_hat

    n = len(log_weights)
    samples = 10 ** np.arange(1 + int(np.log10(n / _GROUPS)))
    estimates = [logsumexp(log_weights[: n // k * k].reshape(-1, k), axis=1) - np.log(k) for k in samples]
    return Weights(
        log_weights,
        float(pareto_k_hat(log_weights[:, None])[0]),
        samples,
        np.array([np.mean(np.expm1(e) ** 2) for e in estimates]),  # deviations from p(x), because it is known
        np.array([np.quantile(e, (0.1, 0.5, 0.9)) for e in estimates]),
        np.array([np.std(e, ddof=1) for e in estimates]),
    )


def prior_variance(grid: PosteriorGrid, prior: distrax.Distribution) -> float:
    """Returns R of the prior by quadrature: the integral of p(z | x)^2 / p(z) dz, less 1."""
    import numpy as np

    from genjax_models.evaluation.quadrature import trapezoidal_rule

    log_posterior = grid.log_joint - grid.log_likelihood
    return float(np.expm1(trapezoidal_rule(2 * log_posterior - prior.log_prob(grid.z), grid.spacing)[0]))


def _example_of_run(options: ImportanceSampling) -> tuple[LatentVariableModel, Variables, Array]:
    """Returns the model of the run, its variables, and the test example."""
    if options.run is None:
        raise InputError(
            "RUN is required: make a run with `python -m experiments.vae --run-dir runs/vae`,"
            " then `python -m experiments.studies.importance_sampling runs/vae`"
        )
    from genjax_models.commands.encoders import label_of, load_encoder_run

    run = load_encoder_run(options.run)
    test, shape = run.data.test, run.model.prior(run.variables).event_shape
    classes = "without classes" if label_of(run, test) is None else "with classes"
    if (shape, classes) != ((2,), "without classes"):
        raise InputError(f"{options.run}: the model must have z of shape (2,) without classes, got {shape} {classes}")
    if options.example >= len(test.x):
        raise InputError(f"example must be below {len(test.x)}, the size of the test split, got {options.example}")
    return run.model, run.variables, test.x[options.example]
