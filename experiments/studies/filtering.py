"""How far ELBO, IWAE and FIVO are below log p(x), where Kalman's filter knows it, for three proposals.

python -m experiments.studies.filtering

The model is z_t = a z_t-1 + noise, x_t = z_t + noise, so that log p(x) is exact (Kalman, 1960). With q = p(z_t | z_t-1,
x), every weight of a whole sequence is p(x): ELBO and IWAE are exact. FIVO resamples by the weights of a part of the
sequence, which differ. If it resamples after every step, it is below the ELBO.

log p(x) - bound in nats per sequence of 20 steps, mean over 1,000 sequences, standard errors in parentheses:

           p(z_t | z_t-1)                    p(z_t | z_t-1, x_t)                     p(z_t | z_t-1, x)
    N    IWAE    FIVO  always       IWAE          FIVO          always      IWAE     FIVO           always
    1   324.5   324.5   324.5   1.32 (0.06)   1.32 (0.06)   1.32 (0.06)     0.000  0.000          0.000
    4   134.4    23.6    21.4   0.50 (0.03)   0.43 (0.03)   0.55 (0.04)     0.000  0.032 (0.008)  0.211 (0.021)
   16    74.0     3.4     3.2   0.16 (0.02)   0.11 (0.02)   0.14 (0.02)     0.000  0.012 (0.005)  0.064 (0.012)
   64    44.2     0.6     0.6   0.05 (0.01)   0.03 (0.01)   0.05 (0.01)     0.000  0.006 (0.003)  0.023 (0.006)

36 seconds of processor time, AMD EPYC (jax 0.10.2, CPU), 2026-11-29.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from genjax_models.figures.palette import BLUE, GREEN, ORANGE
from genjax_models.runs.command_line import run_study
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.models.linear_gaussian import Proposal
    from genjax_models.types import Array

PROPOSALS: dict[Proposal, str] = {  # of `linear_gaussian_model`, with their names in the table
    "prior": "p(z_t | z_t-1)",
    "filter": "p(z_t | z_t-1, x_t)",
    "smoothing": "p(z_t | z_t-1, x)",
}
BOUNDS = {"IWAE": "never", "FIVO": "ess", "FIVO, always": "always"}  # with their criteria; with N = 1 each is the ELBO
_LEGEND = {
    "IWAE": "IWAE",
    "FIVO": "FIVO, below half of N",
    "FIVO, always": "FIVO, after every step",
}  # when it resamples
_COLOURS = dict(zip(BOUNDS, (BLUE, ORANGE, GREEN), strict=True))


@dataclasses.dataclass(frozen=True)
class Filtering:
    """Measure ELBO, IWAE and FIVO of a linear-Gaussian model against its exact log-likelihood, for three proposals."""

    particles: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of particles N."""
    steps: int = 20
    """Steps of a sequence."""
    sequences: int = 1_000
    """Number of sequences, drawn from the model; at least 2."""
    transition: float = 0.9
    """a in z_t = a z_t-1 + noise of standard deviation 1."""
    emission_scale: float = 0.5
    """Standard deviation of x_t = z_t + noise."""
    resampling: Literal["multinomial", "stratified", "systematic"] = "multinomial"
    """How FIVO draws ancestors."""
    seed: int = 0
    """Random seed, in [0, 2^32)."""
    to: Path = Path("runs/filtering.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(1, particles=self.particles, number_of_particles=len(self.particles), steps=self.steps)
        whole(2, sequences=self.sequences)
        positive(emission_scale=self.emission_scale)
        seed_in_range(self.seed)


class Gap(NamedTuple):
    """log p(x) minus a bound, in nats per sequence, at each N: mean over sequences, and its standard error."""

    mean: np.ndarray
    error: np.ndarray


def measure(options: Filtering) -> dict[str, dict[str, Gap]]:
    """Returns the gap of each bound, by proposal. All have the same sequences and keys."""
    import jax
    import jax.numpy as jnp

    from genjax_models.estimators.filtering import filtering_bound
    from genjax_models.estimators.importance import log_mean_exp
    from genjax_models.models.linear_gaussian import kalman_log_likelihood, linear_gaussian_model
    from genjax_models.models.sequential import time_first
    from genjax_models.types import Batch

    model_of = partial(
        linear_gaussian_model,
        steps=options.steps,
        transition=options.transition,
        emission_scale=options.emission_scale,
    )
    models = {proposal: model_of(proposal=proposal) for proposal in PROPOSALS}
    step = models["prior"].step  # of all proposals: they differ in what `start` tells of x
    data_key, key = jax.random.split(jax.random.key(options.seed))
    variables = models["prior"].init(key, Batch(jnp.zeros((1, options.steps, 1))))
    x = models["prior"].sample(variables, data_key, options.sequences)
    exact = kalman_log_likelihood(variables, x)[:, -1]
    x, mask = time_first(x)

    @partial(jax.jit, static_argnames=("n", "criterion"))
    def terms(start, context, n, criterion):
        run = partial(filtering_bound, key, x, mask, start, partial(step, variables), context)
        return run(num_particles=n, criterion=criterion, resampling=options.resampling)

    gaps = {}
    for proposal, model in models.items():
        start, context = model.start(variables, x, mask)
        log_weights = terms(start, context, max(options.particles), "never").log_weights[-1]

        def bound(n, criterion, start=start, context=context, log_weights=log_weights):
            if n == 1 or criterion == "never":
                return log_mean_exp(log_weights[:n])  # particles that are never resampled are independent
            return terms(start, context, n, criterion).bound

        gaps[proposal] = {
            name: _gap([exact - bound(n, criterion) for n in options.particles]) for name, criterion in BOUNDS.items()
        }
    return gaps


def _gap(differences: Sequence[Array]) -> Gap:
    import numpy as np

    of_each = np.array(differences, np.float64)
    return Gap(of_each.mean(axis=1), of_each.std(axis=1, ddof=1) / np.sqrt(of_each.shape[1]))


def table(options: Filtering, gaps: Mapping[str, Mapping[str, Gap]]) -> str:
    """Returns a line per N: the gap of each bound, in nats per sequence, with its standard error."""
    lines = [" " * 4 + "".join(f"{words:^45}" for words in PROPOSALS.values()).rstrip()]
    lines.append(f"{'N':>4}" + "".join(f"{name:>15}" for name in BOUNDS) * len(PROPOSALS))
    for i, n in enumerate(options.particles):
        cells = [f"{gap.mean[i]:.3f}({gap.error[i]:.3f})" for bounds in gaps.values() for gap in bounds.values()]
        lines.append(f"{n:4d}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def picture(options: Filtering, gaps: Mapping[str, Mapping[str, Gap]]) -> Figure:
    """Draws the gaps against N, a panel per proposal; zero is the exact log-likelihood."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, len(gaps), sharey=True)
    for axes, (proposal, bounds) in zip(panels, gaps.items(), strict=True):
        for name, gap in bounds.items():
            style = {"marker": "o", "markersize": 3, "linewidth": 1.2, "capsize": 2}
            axes.errorbar(
                options.particles, gap.mean, 2 * gap.error, label=_LEGEND[name], color=_COLOURS[name], **style
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("symlog", linthresh=0.1)
        axes.set_ylim(bottom=-0.02)
        axes.set_xticks(options.particles, list(map(str, options.particles)))
        axes.minorticks_off()
        axes.set_title(f"q = ${PROPOSALS[proposal].replace('t-1', '{t-1}')}$", fontsize=10)
        axes.set_xlabel("number of particles N")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("log p(x) - bound, nats per sequence")
    panels[0].legend(fontsize=8)
    return figure


def report(options: Filtering) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    gaps = measure(options)
    return picture(options, gaps), table(options, gaps)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.filtering", Filtering, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
