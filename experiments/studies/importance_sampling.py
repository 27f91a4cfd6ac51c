"""Importance sampling in one picture (Trick 2 of the Torralba-Isola-Freeman chapter), on a VAE with two latents.

python -m experiments.vae --run-dir runs/vae
python -m experiments.studies.importance_sampling runs/vae

For one test image x, p(x) = E[w], w = p(z) p(x | z) / q(z), z ~ q, with three proposals q:

  prior       (1.11): the terms are p(x | z), and nearly all of them are as good as zero;
  encoder     (1.16): q(z | x), as it was learned;
  posterior   (1.17): p(z | x), known here since two dimensions can be covered by a grid. Every weight is p(x).

A mean of k weights has the relative variance R / k, R = Var(w) / p(x)^2. p(x) itself is had by the trapezoidal rule on
a grid about the posterior, and once more on the whole plane, whose grid is too coarse for the last digits.

R of the first test image of mnist10k (10,000 steps, seed 0; log p(x) = -108.913 nats), from 100,000 draws of each:
prior 756 (737 by quadrature; 1,000 draws are 0.2 nats low and scatter by 1.7), encoder 1.17, posterior 0.0017, which is
what p(z | x) varies within a cell. 23 s, 2 cores of AMD EPYC shared with other work (jax 0.10.2, CPU), 2026-11-21
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tyro

from experiments.trained import trained
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import seed_in_range, whole

if TYPE_CHECKING:
    import distrax
    import numpy as np

    from genjax_models.evaluation.posterior_grid import PosteriorGrid
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Array, PRNGKey, Variables

_BLOCK = 100  # draws in memory at once
_GROUPS = 100  # estimates, at least, that a variance is taken over
_REACH = 6.0  # of the grids, in standard deviations of the prior, of which 4e-9 lie beyond


@dataclasses.dataclass(frozen=True)
class ImportanceSampling:
    """Estimate p(x) of one test example from the prior, the encoder and the exact posterior."""

    run: tyro.conf.Positional[Path | None] = None
    """Directory of a run of experiments.vae or experiments.iwae, with two latent dimensions."""
    example: int = 0
    """Which one of the test split."""
    draws: int = 100_000
    """Of each proposal, at least 1,000."""
    nodes: int = 301
    """Of the quadrature in each dimension, odd."""
    seed: int = 0
    """Of the draws, in [0, 2^32)."""
    out: Path | None = None
    """The PNG file; by default figures/importance_sampling.png in the run."""

    def __post_init__(self):
        whole(0, example=self.example)
        whole(1_000, draws=self.draws)
        whole(3, nodes=self.nodes)
        if self.nodes % 2 == 0:
            raise InputError(f"nodes must be odd, got {self.nodes}")
        seed_in_range(self.seed)


class Sampled(NamedTuple):
    """A proposal at work: log w - log p(x) `[draws]`, and what estimates of k weights came to.

    `samples` `[points]` are the k; `relative_variance` `[points]` is that of the estimate of p(x), and `log_quantiles`
    `[points, 3]` are the 10%, 50% and 90% quantiles, `log_spread` `[points]` the standard deviation, of its logarithm
    less log p(x).
    """

    log_weights: np.ndarray
    k_hat: float
    samples: np.ndarray
    relative_variance: np.ndarray
    log_quantiles: np.ndarray
    log_spread: np.ndarray


class Study(NamedTuple):
    """All that is shown; `on_plane` is log p(x) and its error by quadrature on the whole plane."""

    x: Array
    likelihood: Callable[[Array], distrax.Distribution]
    proposals: Mapping[str, distrax.Distribution]
    on_plane: Mapping[str, Array]
    grid: PosteriorGrid
    prior_variance: float
    sampled: Mapping[str, Sampled]


def measure(options: ImportanceSampling) -> Study:
    """Quadrature, a grid about the posterior, and draws of the three proposals."""
    import jax

    from genjax_models.evaluation.posterior_grid import posterior_grid
    from genjax_models.evaluation.quadrature import quadrature_log_likelihood

    model, variables, x = _trained(options)
    on_plane = jax.jit(
        lambda x: quadrature_log_likelihood(model, variables, x, nodes=options.nodes, reach=_REACH, batch_size=1)
    )(x[None])
    prior, likelihood = model.prior(variables), lambda z: model.likelihood(variables, z)
    grid = posterior_grid(model, variables, x, reach=_REACH)
    proposals = {"prior": prior, "encoder": model.posterior(variables, x), "posterior": grid.posterior}
    keys = jax.random.split(jax.random.key(options.seed), len(proposals))
    sampled = {
        name: summarise(draw(key, x, proposal, prior, likelihood, options.draws) - grid.log_likelihood)
        for key, (name, proposal) in zip(keys, proposals.items(), strict=True)
    }
    return Study(x, likelihood, proposals, on_plane, grid, prior_variance(grid, prior), sampled)


def draw(
    key: PRNGKey,
    x: Array,
    proposal: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Array], distrax.Distribution],
    draws: int,
) -> np.ndarray:
    """log w of `draws` draws, `[draws]`."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from genjax_models.estimators.importance import log_weights

    def block(j):
        z = proposal.sample(seed=jax.random.fold_in(key, j), sample_shape=(_BLOCK, 1))
        return log_weights(z, x[None], proposal, prior, likelihood)

    blocks = jax.jit(lambda js: jax.lax.map(block, js))(jnp.arange(-(-draws // _BLOCK)))
    return np.asarray(blocks, np.float64).reshape(-1)[:draws]


def summarise(log_weights: np.ndarray) -> Sampled:
    """What estimates from disjoint groups of k weights, log w - log p(x) `[draws]`, come to, for k = 1, 10, ..."""
    import numpy as np
    from scipy.special import logsumexp

    from genjax_models.estimators.importance import pareto_k_hat

    n = len(log_weights)
    samples = 10 ** np.arange(1 + int(np.log10(n / _GROUPS)))
    estimates = [logsumexp(log_weights[: n // k * k].reshape(-1, k), axis=1) - np.log(k) for k in samples]
    return Sampled(
        log_weights,
        float(pareto_k_hat(log_weights[:, None])[0]),
        samples,
        np.array([np.mean(np.expm1(e) ** 2) for e in estimates]),  # about p(x), which is known
        np.array([np.quantile(e, (0.1, 0.5, 0.9)) for e in estimates]),
        np.array([np.std(e, ddof=1) for e in estimates]),
    )


def prior_variance(grid: PosteriorGrid, prior: distrax.Distribution) -> float:
    """R of the prior, by quadrature: integral p(z | x)^2 / p(z) dz - 1."""
    import numpy as np

    from genjax_models.evaluation.quadrature import trapezoidal_rule

    log_posterior = grid.log_joint - grid.log_likelihood
    return float(np.expm1(trapezoidal_rule(2 * log_posterior - prior.log_prob(grid.z), grid.spacing)[0]))


def table(study: Study) -> str:
    """log p(x), then for each proposal R / k as measured, the spread of the logarithm, and how far to trust them."""
    from genjax_models.estimators.importance import pareto_k_threshold

    exact = "log p(x) = {:.4f} nats by quadrature {}; at twice the spacing {:.1e} away"
    grid, on_plane = study.grid, study.on_plane
    lines = [
        exact.format(grid.log_likelihood, "about the posterior", grid.quadrature_error),
        exact.format(on_plane["log_likelihood"].item(), "on the plane", on_plane["quadrature_error"].item()),
        "",
        f"{'proposal':12s}{'k':>7s}{'relative variance':>20s}{'log p(x): sd':>15s}{'median error':>15s}",
    ]
    for name, s in study.sampled.items():
        rows = zip(s.samples, s.relative_variance, s.log_spread, s.log_quantiles[:, 1], strict=True)
        for i, (k, variance, spread, median) in enumerate(rows):
            lines.append(f"{'' if i else name:12s}{k:>7,d}{variance:>20.2e}{spread:>15.4f}{median:>15.4f}")
    lines += ["", f"R of the prior by quadrature: {study.prior_variance:.4g}"]
    for name, s in study.sampled.items():
        threshold = pareto_k_threshold(len(s.log_weights))
        verdict = "trust it" if s.k_hat < threshold else f"not below {threshold:.1f}: its variance is not to be trusted"
        lines.append(f"Pareto k-hat of the {name}: {s.k_hat:.2f}, {verdict}")
    return "\n".join(lines)


def _trained(options: ImportanceSampling) -> tuple[LatentVariableModel, Variables, Array]:
    """The model of a run, its variables, and the test example."""
    if options.run is None:
        raise InputError(
            "a run is wanted: make one with `python -m experiments.vae --run-dir runs/vae`,"
            " then `python -m experiments.studies.importance_sampling runs/vae`"
        )
    run = trained(options.run)
    test, shape = run.data.test, run.model.prior(run.variables).event_shape
    classes = "without classes" if run.label(test) is None else "with classes"
    if (shape, classes) != ((2,), "without classes"):
        raise InputError(
            f"{options.run}: accepted is a model of z of shape (2,) without classes, got {shape} {classes}"
        )
    if options.example >= len(test.x):
        raise InputError(f"--example {options.example}: the test split has {len(test.x)}, from 0")
    return run.model, run.variables, test.x[options.example]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        command = "python -m experiments.studies.importance_sampling"
        options = parse(ImportanceSampling, arguments, command, ImportanceSampling.__doc__)
        study = measure(options)
        from experiments.studies.importance_sampling_figure import picture  # which imports jax, and `--help` does not
        from genjax_models.runs import figures

        out = options.out or options.run / "figures" / "importance_sampling.png"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(figures.png(picture(study)))
        print(table(study))
        print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
