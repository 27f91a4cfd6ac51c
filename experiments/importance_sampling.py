"""Importance sampling in one picture (Trick 2 of the Torralba-Isola-Freeman chapter), on a VAE with two latents.

python -m experiments.vae --run-dir runs/vae
python -m experiments.importance_sampling runs/vae

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

from experiments import vae
from genjax_models.errors import InputError
from genjax_models.runs.command_line import explained, parse
from genjax_models.runs.configuration import seed_in_range, whole

if TYPE_CHECKING:
    import distrax
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from genjax_models.types import Array, PRNGKey

_BLOCK = 100  # draws in memory at once
_GROUPS = 100  # estimates, at least, that a variance is taken over
_REACH = 6.0  # of the grids, in standard deviations of the prior, of which 4e-9 lie beyond
_DROP = 20.0  # nats below its mode at which the posterior ends
_COLOURS = {"prior": "#7b8794", "encoder": "#e07a1f", "posterior": "#2364aa"}


@dataclasses.dataclass(frozen=True)
class ImportanceSampling:
    """Estimate p(x) of one test example from the prior, the encoder and the exact posterior."""

    run: tyro.conf.Positional[Path | None] = None
    """Directory of a run of experiments.vae with --latent 2."""
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


class Problem(NamedTuple):
    """p(z) and p(x | z) of one x, and q(z | x)."""

    x: Array
    prior: distrax.Distribution
    likelihood: Callable[[Array], distrax.Distribution]
    encoder: distrax.Distribution


class Grid(NamedTuple):
    """log p(x, z) `[nodes, nodes]` at the nodes (first[i], second[j])."""

    first: np.ndarray
    second: np.ndarray
    log_joint: np.ndarray

    @property
    def cell(self) -> tuple[float, float]:
        """Sides of the cell that belongs to a node."""
        return self.first[1] - self.first[0], self.second[1] - self.second[0]

    @property
    def log_likelihood(self) -> tuple[float, float]:
        """log p(x), and its distance from the same rule with twice the spacing."""
        from numpy import abs, log, prod
        from scipy.special import logsumexp

        fine, coarse = (
            float(logsumexp(self.log_joint[::every, ::every]) + log(prod(self.cell) * every**2)) for every in (1, 2)
        )
        return fine, abs(fine - coarse)


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
    """All that the picture shows; `on_plane` is log p(x) and its error by quadrature on the whole plane."""

    problem: Problem
    on_plane: tuple[float, float]
    grid: Grid
    prior_variance: float
    sampled: Mapping[str, Sampled]


def measure(options: ImportanceSampling) -> Study:
    """Quadrature, a grid about the posterior, and draws of the three proposals."""
    import jax
    import numpy as np

    from genjax_models.evaluation.quadrature import quadrature_log_likelihood

    model, variables, x = _trained(options)
    quadrature = jax.jit(
        lambda x: quadrature_log_likelihood(model, variables, x, nodes=options.nodes, reach=_REACH, batch_size=1)
    )(x[None])
    problem = Problem(
        x, model.prior(variables), lambda z: model.likelihood(variables, z), model.posterior(variables, x)
    )
    grid = grid_about_posterior(problem)
    proposals = {"prior": problem.prior, "encoder": problem.encoder, "posterior": posterior_on(grid)}
    keys = jax.random.split(jax.random.key(options.seed), len(proposals))
    sampled = {
        name: summarise(draw(key, problem, proposal, options.draws) - grid.log_likelihood[0])
        for key, (name, proposal) in zip(keys, proposals.items(), strict=True)
    }
    return Study(
        problem,
        (float(quadrature["log_likelihood"][0]), float(quadrature["quadrature_error"][0])),
        grid,
        prior_variance(grid, np.asarray(problem.prior.log_prob(_nodes(grid)), np.float64)),
        sampled,
    )


def grid_about_posterior(problem: Problem, *, nodes: int = 161) -> Grid:
    """The joint on a window that holds all of the posterior within `_DROP` nats of its mode.

    Three grids, each on the window that the one before has found. A posterior in several pieces has one window.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    @jax.jit
    def on(first: Array, second: Array) -> Array:
        def row(z_1):
            z = jnp.stack([jnp.full_like(second, z_1), second], axis=-1)
            return problem.prior.log_prob(z) + problem.likelihood(z).log_prob(problem.x)

        return jax.lax.map(row, first)

    window = [(-_REACH, _REACH)] * 2
    for _ in range(3):
        axes = [np.linspace(low, high, nodes, dtype=np.float32) for low, high in window]
        log_joint = np.asarray(on(*axes), np.float64)
        window = []
        for axis, others in zip(axes, (1, 0), strict=True):
            held = np.flatnonzero(log_joint.max(axis=others) > log_joint.max() - _DROP)
            window.append((axis[max(held[0] - 1, 0)], axis[min(held[-1] + 1, nodes - 1)]))
    return Grid(*(axis.astype(np.float64) for axis in axes), log_joint)


def posterior_on(grid: Grid) -> distrax.Distribution:
    """p(z | x) as a density that is constant in the cell about each node.

    A cell is drawn by the inverse CDF, and a point within it uniformly: this is an exact proposal with a density of its
    own, whose weights differ from p(x) by what the posterior varies within a cell.
    """
    import distrax
    import jax
    import jax.numpy as jnp
    import numpy as np

    probabilities = np.exp(grid.log_joint - grid.log_joint.max())
    probabilities = probabilities / probabilities.sum()
    shape, sides = probabilities.shape, np.asarray(grid.cell, np.float32)
    corner = np.asarray([grid.first[0], grid.second[0]], np.float32) - sides / 2
    log_density = jnp.asarray(np.log(np.maximum(probabilities, 1e-300)) - np.log(sides).sum(), jnp.float32)
    cumulative = np.cumsum(probabilities)

    class PiecewiseConstant(distrax.Distribution):
        event_shape = (2,)

        def _sample_n(self, key: PRNGKey, n: int) -> Array:
            cell_key, within_key = jax.random.split(key)
            u = jax.random.uniform(cell_key, (n,))
            cells = jnp.searchsorted(jnp.asarray(cumulative, jnp.float32), u, side="right")
            cells = jnp.stack(jnp.unravel_index(jnp.minimum(cells, probabilities.size - 1), shape), axis=-1)
            return corner + (cells + jax.random.uniform(within_key, (n, 2))) * sides

        def log_prob(self, value: Array) -> Array:
            cells = jnp.floor((value - corner) / sides).astype(int)
            inside = jnp.all((cells >= 0) & (cells < jnp.asarray(shape)), axis=-1)
            return jnp.where(inside, log_density[cells[..., 0], cells[..., 1]], -jnp.inf)

    return PiecewiseConstant()


def draw(key: PRNGKey, problem: Problem, proposal: distrax.Distribution, draws: int) -> np.ndarray:
    """log w of `draws` draws, `[draws]`."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from genjax_models.estimators.importance import log_weights

    def block(j):
        z = proposal.sample(seed=jax.random.fold_in(key, j), sample_shape=(_BLOCK, 1))
        return log_weights(z, problem.x[None], proposal, problem.prior, problem.likelihood)

    blocks = jax.jit(lambda js: jax.lax.map(block, js))(jnp.arange(-(-draws // _BLOCK)))
    return np.asarray(blocks, np.float64).reshape(-1)[:draws]


def summarise(log_weights: np.ndarray) -> Sampled:
    """What estimates from disjoint groups of k of the weights come to, for k = 1, 10, ...

    Args:
      log_weights: log w - log p(x), `[draws]`.
    """
    import numpy as np
    from scipy.special import logsumexp

    from genjax_models.estimators.importance import pareto_k_hat

    samples = 10 ** np.arange(1 + int(np.log10(len(log_weights) / _GROUPS)))
    estimates = [
        logsumexp(log_weights[: len(log_weights) // k * k].reshape(-1, k), axis=1) - np.log(k) for k in samples
    ]
    return Sampled(
        log_weights,
        float(pareto_k_hat(log_weights[:, None])[0]),
        samples,
        np.array([np.mean(np.expm1(e) ** 2) for e in estimates]),  # about p(x), which is known
        np.array([np.quantile(e, (0.1, 0.5, 0.9)) for e in estimates]),
        np.array([np.std(e, ddof=1) for e in estimates]),
    )


def prior_variance(grid: Grid, log_prior: np.ndarray) -> float:
    """R of the prior, by quadrature: integral p(z) p(x | z)^2 dz / p(x)^2 - 1.

    Args:
      grid: about the posterior.
      log_prior: at its nodes, `[nodes, nodes]`.
    """
    import numpy as np
    from scipy.special import logsumexp

    log_second_moment = logsumexp(2 * grid.log_joint - log_prior) + np.log(grid.cell).sum()
    return float(np.expm1(log_second_moment - 2 * grid.log_likelihood[0]))


def table(study: Study) -> str:
    """log p(x), then for each proposal R / k as measured, the spread of the logarithm, and how far to trust them."""
    from genjax_models.estimators.importance import pareto_k_threshold

    exact = [
        f"log p(x) = {value:.4f} nats by quadrature {where}; at twice the spacing {error:.1e} away"
        for where, (value, error) in (
            ("about the posterior", study.grid.log_likelihood),
            ("on the plane", study.on_plane),
        )
    ]
    lines = [
        *exact,
        "",
        f"{'proposal':12s}{'k':>7s}{'relative variance':>20s}{'log p(x): sd':>15s}{'median error':>15s}",
    ]
    for name, s in study.sampled.items():
        for i, k in enumerate(s.samples):
            lines.append(
                f"{name if i == 0 else '':12s}{k:>7,d}{s.relative_variance[i]:>20.2e}{s.log_spread[i]:>15.4f}"
                f"{s.log_quantiles[i, 1]:>15.4f}"
            )
    lines += ["", f"R of the prior by quadrature: {study.prior_variance:.4g}"]
    for name, s in study.sampled.items():
        threshold = pareto_k_threshold(len(s.log_weights))
        verdict = "trust it" if s.k_hat < threshold else f"not below {threshold:.1f}: its variance is not to be trusted"
        lines.append(f"Pareto k-hat of the {name}: {s.k_hat:.2f}, {verdict}")
    return "\n".join(lines)


def picture(study: Study) -> Figure:
    """Where the draws fall, above; what their weights are, and what comes of k of them, below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplot_mosaic("aaabbb;ccddee", height_ratios=(1.25, 1))
    _plane(axes["a"], study)
    _window(axes["b"], study)
    _sorted_weights(axes["c"], study)
    _relative_variance(axes["d"], study)
    _log_estimates(axes["e"], study)
    for panel in axes.values():
        panel.set_axisbelow(True)
        panel.grid(alpha=0.25)
    return figure


def _plane(axes: Axes, study: Study) -> None:
    import jax
    import numpy as np

    from genjax_models.runs import pictures

    problem, grid = study.problem, study.grid
    z = np.asarray(problem.prior.sample(seed=jax.random.key(0), sample_shape=1_000))
    terms = np.asarray(problem.likelihood(z).log_prob(problem.x), np.float64)
    highest = (grid.log_joint - np.asarray(problem.prior.log_prob(_nodes(grid)))).max()
    counts = terms > highest + np.log(0.01)
    axes.scatter(*z[~counts].T, s=8, color="#b8c1cc", linewidths=0, label="terms below 1% of the largest p(x | z)")
    axes.scatter(*z[counts].T, s=22, color="#c1121f", linewidths=0, label="terms that count", zorder=3)
    axes.contour(grid.first, grid.second, *_regions(grid, grid.log_joint), colors=_COLOURS["posterior"], linewidths=1)
    axes.indicate_inset([grid.first[0], grid.second[0], np.ptp(grid.first), np.ptp(grid.second)], edgecolor="#1f2933")
    axes.set_title(f"Draws of the prior: {counts.sum()} of {len(z):,} have terms p(x | z) that count")
    axes.set_xlim(-4, 4)
    axes.set_ylim(-4, 4)
    axes.set_xlabel("z[0]")
    axes.set_ylabel("z[1]")
    axes.legend(frameon=True, loc="lower left", fontsize=8)
    if pictures.drawable(problem.x.shape):
        inset = axes.inset_axes([0.83, 0.79, 0.16, 0.2])
        inset.imshow(np.asarray(problem.x), cmap="gray", vmin=0, vmax=1)
        inset.set_xticks([])
        inset.set_yticks([])
        inset.set_xlabel("x", labelpad=1)


def _window(axes: Axes, study: Study) -> None:
    import jax
    import numpy as np
    from matplotlib.lines import Line2D

    problem, grid = study.problem, study.grid
    density = np.exp(grid.log_joint - grid.log_joint.max()).T
    axes.pcolormesh(grid.first, grid.second, density, cmap="Blues", shading="nearest", rasterized=True)
    log_q = np.asarray(problem.encoder.log_prob(_nodes(grid)), np.float64)
    axes.contour(grid.first, grid.second, *_regions(grid, grid.log_joint), colors=_COLOURS["posterior"], linewidths=1.5)
    axes.contour(grid.first, grid.second, *_regions(grid, log_q), colors=_COLOURS["encoder"], linewidths=1.5)
    z = np.asarray(problem.encoder.sample(seed=jax.random.key(1), sample_shape=200))
    axes.scatter(*z.T, s=8, color=_COLOURS["encoder"], linewidths=0)
    for limit, nodes, others in ((axes.set_xlim, grid.first, 1), (axes.set_ylim, grid.second, 0)):
        held = nodes[grid.log_joint.max(axis=others) > grid.log_joint.max() - _DROP / 2]
        limit(held[0], held[-1])
    axes.set_xlabel("z[0]")
    axes.set_ylabel("z[1]")
    axes.set_title("The proposals where the mass is: regions of 50% and 95%")
    names = {"posterior": "posterior p(z | x), exact", "encoder": "encoder q(z | x), and 200 of its draws"}
    handles = [Line2D([], [], color=_COLOURS[name], label=label) for name, label in names.items()]
    axes.legend(handles=handles, frameon=True, loc="upper right", fontsize=8)


def _sorted_weights(axes: Axes, study: Study) -> None:
    import numpy as np

    for name, s in study.sampled.items():
        share = (np.arange(len(s.log_weights)) + 0.5) / len(s.log_weights)
        axes.plot(share, np.sort(s.log_weights)[::-1] / np.log(10), color=_COLOURS[name], label=name)
    axes.set_xscale("log")
    axes.set_ylim(-20, 5)
    axes.set_xlabel("share of the draws that weigh more")
    axes.set_ylabel(r"$\log_{10}$ of the weight $w / p(x)$")
    axes.set_title("The weights, largest first", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def _relative_variance(axes: Axes, study: Study) -> None:
    for name, s in study.sampled.items():
        axes.plot(s.samples, s.relative_variance, "o-", markersize=4, color=_COLOURS[name])
    samples = study.sampled["prior"].samples
    axes.plot(samples, study.prior_variance / samples, "k--", linewidth=1, label="prior, R / k by quadrature")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("samples k")
    axes.set_title("Relative variance of the estimate of p(x)", fontsize=11)
    axes.set_ylim(top=50 * study.prior_variance)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def _log_estimates(axes: Axes, study: Study) -> None:
    for name, s in study.sampled.items():
        low, median, high = s.log_quantiles.T
        axes.plot(s.samples, median, "o-", markersize=4, color=_COLOURS[name])
        axes.fill_between(s.samples, low, high, color=_COLOURS[name], alpha=0.25, linewidth=0)
    axes.axhline(0, color="#1f2933", linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xlabel("samples k")
    axes.set_ylabel("nats")
    axes.set_title("Estimate of log p(x), less log p(x):\nmedian and 80% of the estimates", fontsize=11)


def _regions(grid: Grid, log_density: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """What `contour` draws: a density, and its levels around the smallest regions that hold 95% and 50%."""
    import numpy as np

    density = np.exp(log_density - log_density.max())
    ordered = np.sort(density.ravel())[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    return density.T, [ordered[np.searchsorted(held, share)] for share in (0.95, 0.5)]


def _nodes(grid: Grid) -> np.ndarray:
    """z at the nodes, `[nodes, nodes, 2]`."""
    import numpy as np

    return np.stack(np.meshgrid(grid.first, grid.second, indexing="ij"), axis=-1).astype(np.float32)


def _trained(options: ImportanceSampling):
    """The model of a run, its variables, and the test example."""
    from genjax_models.runs import directory

    if options.run is None:
        raise InputError(
            "a run is wanted: make one with `python -m experiments.vae --run-dir runs/vae`,"
            " then `python -m experiments.importance_sampling runs/vae`"
        )
    config = directory.read_config(options.run, vae.Config, "vae")
    if config.latent != 2 or config.conditional:
        kind = "conditional" if config.conditional else "not conditional"
        raise InputError(
            f"{options.run}: has {config.latent} latent dimensions and is {kind}; wanted are 2, not conditional"
        )
    variables = vae.load(options.run)[1]["vae"]
    config, loaded = vae.dataset(config)
    test = vae.prepare(config, loaded).test
    if options.example >= len(test.x):
        raise InputError(f"--example {options.example}: the test split has {len(test.x)}, from 0")
    return vae.build_model(config), variables, test.x[options.example]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with explained():
        options = parse(
            ImportanceSampling, arguments, "python -m experiments.importance_sampling", ImportanceSampling.__doc__
        )
        study = measure(options)
        from genjax_models.runs import figures

        out = options.out or options.run / "figures" / "importance_sampling.png"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(figures.png(picture(study)))
        print(table(study))
        print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
