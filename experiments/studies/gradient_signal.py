"""Signal-to-noise ratio of the encoder's gradient: three gradients of L_k against k, on a trained model.

python -m experiments.studies.gradient_signal runs/iwae

The gradient g of L_k, a mean over a few test images, is drawn many times with fresh samples of q. With sums over all
parameters of the encoder,

    SNR^2 = sum |E g|^2 / sum Var(g),

where |E g|^2 is estimated as |mean of g|^2 - Var(g) / n. Without this correction, noise would look like a signal.
As k grows, SNR goes as k^(-1/2) for the standard gradient (Rainforth et al., 2018), and as k^(+1/2) for the doubly
reparameterized gradient (Tucker et al., 2019). The sticking-the-landing gradient is biased for k > 1: its mean tends to
the gradient of -KL(p(z | x) || q) (Finke and Thiery, 2019), which is not small, so its SNR goes as k^(+1/2) too.

SNR at k       L_k             standard  sticking_the_landing  doubly_reparameterized    (experiments.iwae, k = 50)
       1   -121.69     0.584 +- 0.023        0.727 +- 0.025          0.727 +- 0.025
       4   -112.82     0.435 +- 0.014        0.649 +- 0.018          0.601 +- 0.016
      16   -109.40     0.387 +- 0.017        0.688 +- 0.019          0.572 +- 0.018
      64   -107.27     0.359 +- 0.015        0.758 +- 0.018          0.575 +- 0.015
     256   -105.87     0.327 +- 0.010        0.833 +- 0.013          0.570 +- 0.013
slope                  -0.10 +- 0.01         +0.03 +- 0.01           -0.04 +- 0.01

4 test images of mnist10k, 200 draws, in 59 s, 2 cores of AMD EPYC shared with other work (jax 0.10.2, CPU), 2026-11-21.
For a trained model k = 256 is not large: L_k rises by 1.4 nats from k = 64 to 256, and neither slope is near theory.
Theory holds in small models (tests/experiments/studies/test_gradient_signal.py). The doubly reparameterized gradient
has 1.7 times the SNR of the standard gradient at k = 256, and 1.2 times at k = 1. The VAE with two latents
(experiments.vae) has slopes of -0.08 +- 0.02, -0.00 +- 0.01 and -0.10 +- 0.01, at an SNR of 1.5 to 3.6.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import run_study
from genjax_models.runs.configuration import seed_in_range, whole
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.estimators.importance import Gradient
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Batch, PRNGKey, Variables

_THEORY = {"standard": -0.5, "sticking_the_landing": 0.5, "doubly_reparameterized": 0.5}  # slopes of log SNR, log k
_GROUPS = 20  # groups of draws; the jackknife leaves out one at a time


@dataclasses.dataclass(frozen=True)
class GradientSignal:
    """Measure the signal-to-noise ratio of the encoder's gradients against k, on a finished run."""

    run: tyro.conf.Positional[Path]
    """Directory of a run of experiments.vae or experiments.iwae."""
    num_samples: tuple[int, ...] = (1, 4, 16, 64, 256)
    """Values of k in L_k, at least two."""
    repeats: int = 200
    """Number of draws of each gradient, at least 40; rounded up to a multiple of 20."""
    examples: int = 4
    """Number of test images over which a gradient is averaged."""
    seed: int = 0
    """Random seed of the draws, in [0, 2^32)."""
    to: Path | None = None
    """PNG file of the picture. Default: figures/gradient_signal.png in the run."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(1, num_samples=self.num_samples, examples=self.examples)
        whole(2 * _GROUPS, repeats=self.repeats)
        seed_in_range(self.seed)
        if len(set(self.num_samples)) < 2:
            raise InputError(f"num_samples must have at least two different k for a slope, got {self.num_samples}")


class Draws(NamedTuple):
    """Means over groups of `size` draws: gradient g `[groups, parameters]`, |g|^2 and L_k `[groups]`."""

    mean: np.ndarray
    square: np.ndarray
    bound: np.ndarray
    size: int


class Signal(NamedTuple):
    """SNR of a gradient at each k and its slope in log-log, each with a standard error; nan if noise hides the signal.

    `bound` is L_k, the same for all gradients. While L_k rises, k is not yet large.
    """

    ratio: np.ndarray
    ratio_error: np.ndarray
    slope: float
    slope_error: float
    bound: np.ndarray


def measure(options: GradientSignal) -> dict[str, Signal]:
    """Returns the signal of each gradient."""
    import jax

    from genjax_models.estimators.importance import Gradient

    model, variables, batch = _model_and_batch(options)
    key = jax.random.key(options.seed)
    signals = {}
    for gradient in get_args(Gradient):
        draws = [
            moments(model, variables, batch, jax.random.fold_in(key, k), k, gradient, options.repeats)
            for k in options.num_samples
        ]
        signals[gradient] = summarise(options.num_samples, draws)
    return signals


def moments(
    model: LatentVariableModel,
    variables: Variables,
    batch: Batch,
    key: PRNGKey,
    num_samples: int,
    gradient: Gradient,
    repeats: int,
) -> Draws:
    """Draws the gradient of L_k in the encoder's parameters, averaged over the batch.

    Draw i has the key `fold_in(key, i)` for every gradient.
    """
    from functools import partial

    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.flatten_util import ravel_pytree

    import genjax_models as gx

    params, x, label = variables["params"], batch.x, batch.label
    encoder = {name: values for name, values in params.items() if name.startswith("encoder")}
    size = -(-repeats // _GROUPS)

    def bound(encoder: Mapping[str, Any], key: PRNGKey):
        varied = {**variables, "params": {**params, **encoder}}
        posterior, prior = model.posterior(varied, x, label), model.prior(variables, label)
        likelihood = partial(model.likelihood, variables, label=label)
        options = {"num_samples": num_samples, "gradient": gradient, "zero_weights": False}
        return jnp.mean(gx.iwae_bound(key, x, posterior, prior, likelihood, **options))

    def group(j):
        def add(sums, i):
            value, gradient = jax.value_and_grad(bound)(encoder, jax.random.fold_in(key, j * size + i))
            g, _ = ravel_pytree(gradient)
            return jax.tree.map(jnp.add, sums, (g, jnp.vdot(g, g), value)), None

        zeros = jnp.zeros(sum(leaf.size for leaf in jax.tree.leaves(encoder))), jnp.zeros(()), jnp.zeros(())
        sums, _ = jax.lax.scan(add, zeros, jnp.arange(size))
        return jax.tree.map(lambda total: total / size, sums)

    means = jax.jit(lambda groups: jax.lax.map(group, groups))(jnp.arange(_GROUPS))
    return Draws(*(np.asarray(mean, np.float64) for mean in means), size)


def summarise(num_samples: Sequence[int], draws: Sequence[Draws]) -> Signal:
    """Returns SNR at each k, and the slope of log SNR over log k by least squares; errors by the jackknife over groups.

    Args:
      num_samples: k, `[points]`.
      draws: from `moments`, one per k.
    """
    import numpy as np

    log_ratios = np.stack([log_signal_to_noise(of_k) for of_k in draws])  # [points, 1 + groups]: all, then all but one
    slopes = (
        np.polyfit(np.log(num_samples), log_ratios, 1)[0] if np.isfinite(log_ratios).all() else log_ratios[0] * np.nan
    )

    def error(values):
        without = values[..., 1:]
        return np.sqrt((_GROUPS - 1) * np.var(without, axis=-1))

    ratio = np.exp(log_ratios[:, 0])
    return Signal(
        ratio,
        ratio * error(log_ratios),
        float(slopes[0]),
        float(error(slopes)),
        np.array([of_k.bound.mean() for of_k in draws]),
    )


def log_signal_to_noise(draws: Draws) -> np.ndarray:
    """Returns log SNR from all groups, then without each group: `[1 + groups]`, nan if noise hides the signal."""
    import numpy as np

    mean, square, groups = draws.mean, draws.square, len(draws.square)
    weights = np.concatenate([np.ones((1, groups)), 1 - np.eye(groups)])
    weights /= weights.sum(axis=1, keepdims=True)
    n = draws.size * np.count_nonzero(weights, axis=1)
    squared_mean = np.einsum("ij,jk,ik->i", weights, mean @ mean.T, weights)
    noise = (weights @ square - squared_mean) * n / (n - 1)  # sum of variances
    signal = squared_mean - noise / n
    positive = (signal > 0) & (noise > 0)
    return np.where(positive, np.log(np.where(positive, signal, 1) / np.where(positive, noise, 1)) / 2, np.nan)


def table(num_samples: Sequence[int], signals: Mapping[str, Signal]) -> str:
    """Returns a line per k with L_k and all SNR, and a line with the slopes."""
    (some, *_) = signals.values()
    lines = [f"{'SNR at k':>9s}{'L_k':>10s}" + "".join(f"{name:>27s}" for name in signals)]
    for i, k in enumerate(num_samples):
        cells = (f"{s.ratio[i]:.4f} +- {s.ratio_error[i]:.4f}" for s in signals.values())
        lines.append(f"{k:>9,d}{some.bound[i]:>10.2f}" + "".join(f"{cell:>27s}" for cell in cells))
    cells = (f"{s.slope:+.2f} +- {s.slope_error:.2f}" for s in signals.values())
    return "\n".join([*lines, f"{'slope':>19s}" + "".join(f"{cell:>27s}" for cell in cells)])


def picture(num_samples: Sequence[int], signals: Mapping[str, Signal]) -> Figure:
    """Draws SNR over k, both in logarithms, and through the last point of each gradient the slope of theory."""
    import numpy as np
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    from genjax_models.figures import curve_plots
    from genjax_models.figures.style import COLORS

    k = np.asarray(num_samples)
    lines = {
        f"{name.replace('_', ' ')}: slope {s.slope:+.2f} ± {s.slope_error:.2f}, theory {_THEORY[name]:+.1f}": (
            k,
            s.ratio,
            s.ratio_error,
        )
        for name, s in signals.items()
    }
    figure = curve_plots.over_samples(lines, label="signal-to-noise ratio", logarithmic=True)
    (axes,) = figure.axes
    for (name, signal), colour in zip(signals.items(), COLORS, strict=False):
        guide = signal.ratio[k.argmax()] * (k / k.max()) ** _THEORY[name]
        axes.plot(k, guide, ":", color=colour, linewidth=1.2)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(k, [str(each) for each in k])
    axes.set_xticks([], minor=True)
    measured = np.concatenate([signal.ratio for signal in signals.values()])
    axes.set_ylim(np.nanmin(measured) / 2.5, 2.5 * np.nanmax(measured))
    axes.set_title("measured, and dotted the slope that theory has for large k", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return figure


def _model_and_batch(options: GradientSignal) -> tuple[LatentVariableModel, Variables, Batch]:
    """Returns the model of the run, its variables, and the first test examples."""
    import jax

    from genjax_models.commands.encoders import label_of, load_encoder_run

    run = load_encoder_run(options.run)
    test, n = run.data.test, options.examples
    if n > len(test.x):
        raise InputError(f"examples must be at most {len(test.x)}, the size of the test split, got {n}")
    batch = jax.tree.map(lambda a: a[:n], test)
    return run.model, run.variables, batch._replace(label=label_of(run, batch))


def report(options: GradientSignal) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    signals = measure(options)
    return picture(options.num_samples, signals), table(options.num_samples, signals)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.gradient_signal", GradientSignal, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
