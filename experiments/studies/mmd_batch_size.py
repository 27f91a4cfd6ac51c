"""What small batches do to the MMD, and to what is learned by it (20.10.5).

python -m experiments.studies.mmd_batch_size

       1,000 MMD^2, which is 14.35                 variance learned, of 1                   1,000 MMD^2 learned   step
 batch           biased   exact         unbiased          biased    exact        unbiased     biased  unbiased       ms
     8  158.97 +- 74.71  167.86    4.70 +- 77.65  0.831 +- 0.063    0.818  1.020 +- 0.070      3.634     0.894     0.08
    16   89.13 +- 47.65   91.11   12.37 +- 48.81  0.912 +- 0.052    0.908  1.007 +- 0.055      1.128     0.496     0.13
    32   52.60 +- 27.69   52.73   14.31 +- 27.71  0.962 +- 0.042    0.953  1.009 +- 0.043      0.446     0.318     0.11
    64   35.49 +- 17.88   33.54   16.27 +- 18.02  0.978 +- 0.029    0.977  1.002 +- 0.029      0.216     0.175     0.13
   128   24.57 +- 11.10   23.95   15.01 +- 11.11  0.989 +- 0.022    0.988  1.001 +- 0.022      0.140     0.129     0.18
   256   19.79 +-  6.82   19.15   15.00 +-  6.82  0.994 +- 0.011    0.994  0.999 +- 0.011      0.065     0.062     0.43
   512   17.19 +-  4.81   16.75   14.79 +-  4.81  0.996 +- 0.006    0.997  0.999 +- 0.006      0.028     0.027     1.06
 1,024   15.50 +-  3.40   15.55   14.30 +-  3.40  0.998 +- 0.005    0.999  1.000 +- 0.005      0.011     0.011     5.92
 2,048   14.98 +-  2.22   14.95   14.39 +-  2.22                    0.999                                         21.09
 4,096   14.54 +-  1.58   14.65   14.24 +-  1.58                    1.000                                         78.03

Means and standard deviations, of 200 estimates and of 8 generators after 500 steps of Adam; "exact" is what is expected
of the biased estimator, and the variance by which its expectation is least. A step is timed in ms of processors. 139 s
of them in all, 7.5 min beside much other work; 2 cores of AMD EPYC (jax 0.10.2, CPU), 2026-11-21. The picture is
pictures/mmd_batch_size.png.

So the book is right of the biased estimator: of 8 examples it teaches 83% of the variance, of 64 98%, of 1,024 all of
it, and it is known beforehand how much. Of the unbiased one it is wrong: that one teaches the variance of the data at
any batch size, within its noise. The noise is the same for both, and falls with the batch size; from 256 examples on a
step costs four times as much for twice as many.

Data are x ~ N(0, I) of two dimensions, the generator is affine in z ~ N(0, I), and the kernel Gaussian: so the MMD
between data and what any such generator makes is known, and so is the expectation of both estimators. That of the
biased one has (1 - E k(y, y')) / n too much for n samples y, and a generator lowers this by making its samples alike:
"when the batch size is too small, moment matching underestimates the true amount of variation". How much it is to lower
it, in expectation, is the line in the picture. The unbiased estimator has no such term at any batch size; it has the
noise.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.models.implicit import ImplicitModel
    from genjax_models.types import Objective, Trainer

Estimator = Literal["biased", "unbiased"]
DIMENSIONS = 2
RATE = 0.05  # of Adam at first; it falls to 0 by a cosine
TIMED = 20  # steps, each timed by what it takes of processors, which other work beside it hardly changes
_COLOURS = {"biased": "#e07a1f", "unbiased": "#2364aa"}


@dataclasses.dataclass(frozen=True)
class MMDBatchSize:
    """Bias and spread of both MMDs, what a generator learns by them, and the time of a step, against the batch size."""

    batch_sizes: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    """Examples in a batch, and as many samples; at least 2."""
    bandwidth: float = 1.0
    """Of the Gaussian kernel."""
    scale: float = 0.8
    """Standard deviation of the samples whose MMD from the data is estimated; that of the data is 1."""
    repeats: int = 200
    """Pairs of samples of which each estimate is made, at least 2."""
    seeds: int = 8
    """Generators that learn by each estimator at each batch size, at least 2."""
    steps: int = 500
    """Of learning."""
    largest_learned: int = 1024
    """The largest batch that a generator learns with; beyond it a step is timed, and estimates are made."""
    seed: int = 0
    """Of everything random, in [0, 2^32)."""
    out: Path = Path("runs/mmd_batch_size.png")
    """The picture."""

    def __post_init__(self):
        whole(2, batch_sizes=self.batch_sizes, repeats=self.repeats, seeds=self.seeds)
        whole(1, number_of_batch_sizes=len(self.batch_sizes), steps=self.steps)
        positive(bandwidth=self.bandwidth, scale=self.scale)
        seed_in_range(self.seed)
        if list(self.batch_sizes) != sorted(set(self.batch_sizes)):
            raise InputError(f"batch_sizes must rise, got {self.batch_sizes}")
        whole(min(self.batch_sizes), largest_learned=self.largest_learned)


class Seen(NamedTuple):
    """At one batch size, by estimator: estimates `[repeats]`, learned generators (shift `[seeds, 2]` and covariance
    `[seeds, 2, 2]`; nothing where none learned), and seconds of processors per step."""

    estimates: dict[Estimator, np.ndarray]
    learned: dict[Estimator, tuple[np.ndarray, np.ndarray]]
    seconds: float


# What is known


def mean_kernel(options: MMDBatchSize, shift: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """E k(x, y) where x - y ~ N(shift `[..., 2]`, covariance `[..., 2, 2]`): a Gaussian integral."""
    import numpy as np

    wide = options.bandwidth**2 * np.eye(DIMENSIONS) + covariance
    distance = np.einsum("...i,...ij,...j", shift, np.linalg.inv(wide), shift)
    return options.bandwidth**DIMENSIONS / np.sqrt(np.linalg.det(wide)) * np.exp(-distance / 2)


def exact(options: MMDBatchSize, shift: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """MMD^2 of N(0, I) and N(shift, covariance), `[...]`."""
    import numpy as np

    data, nowhere = np.eye(DIMENSIONS), np.zeros(DIMENSIONS)
    within = mean_kernel(options, nowhere, 2 * data) + mean_kernel(options, nowhere, 2 * covariance)
    return within - 2 * mean_kernel(options, shift, data + covariance)


def expected_bias(options: MMDBatchSize, n: int, covariance: np.ndarray) -> np.ndarray:
    """What the biased estimator of n + n points has too much: (1 - E k(x, x') + 1 - E k(y, y')) / n."""
    import numpy as np

    nowhere = np.zeros(DIMENSIONS)
    return sum(1 - mean_kernel(options, nowhere, 2 * c) for c in (np.eye(DIMENSIONS), covariance)) / n


def variation_preferred(options: MMDBatchSize, n: int) -> float:
    """The variance of samples whose biased MMD^2 is least in expectation, where the data's is 1."""
    import numpy as np
    from scipy.optimize import minimize_scalar

    def expectation(variance):
        covariance = variance * np.eye(DIMENSIONS)
        return exact(options, np.zeros(DIMENSIONS), covariance) + expected_bias(options, n, covariance)

    return float(minimize_scalar(expectation, bounds=(0, 1), method="bounded").x)


# What is seen


def model_of() -> ImplicitModel:
    """x = A z + shift."""
    import flax.linen as nn

    from genjax_models.models.implicit import implicit_model

    return implicit_model(nn.Dense(DIMENSIONS), DIMENSIONS)


def objective_of(options: MMDBatchSize, estimator: Estimator) -> Objective:
    """One player, "generator", that lowers the squared MMD by this estimator."""
    import genjax_models as gx
    from genjax_models.objectives.matching import matching

    distance, kernel = of_name(estimator), gx.gaussian_kernel(options.bandwidth)
    return matching(model_of(), lambda x, samples: (distance(x, samples, kernel), {}))


def of_name(estimator: Estimator):
    """`mmd_squared_biased` or `mmd_squared_unbiased`."""
    import genjax_models as gx

    return {"biased": gx.mmd_squared_biased, "unbiased": gx.mmd_squared_unbiased}[estimator]


def trainer_of(options: MMDBatchSize, estimator: Estimator) -> Trainer:
    """By Adam."""
    import optax

    import genjax_models as gx

    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, options.steps))
    return gx.trainer(objective_of(options, estimator), {"generator": optimizer})


def estimates(options: MMDBatchSize, n: int) -> dict[Estimator, np.ndarray]:
    """Of `repeats` pairs of samples, n from N(0, I) and n from N(0, scale^2 I)."""
    import jax
    import numpy as np

    import genjax_models as gx

    kernel = gx.gaussian_kernel(options.bandwidth)

    @jax.jit
    def all_of(key):
        def one(key):
            x, z = jax.random.normal(key, (2, n, DIMENSIONS))
            return {name: of_name(name)(x, options.scale * z, kernel) for name in get_args(Estimator)}

        return jax.lax.map(one, jax.random.split(key, options.repeats))

    return jax.tree.map(np.asarray, all_of(jax.random.fold_in(jax.random.key(options.seed), n)))


def learn(options: MMDBatchSize, estimator: Estimator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Shift and covariance of what each seed's generator makes after training, every batch of it new."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import genjax_models as gx

    train, model = trainer_of(options, estimator), model_of()

    def of_seed(key):
        init_key, data_key = jax.random.split(key)

        def step(state, i):
            batch = gx.Batch(jax.random.normal(jax.random.fold_in(data_key, i), (n, DIMENSIONS)))
            return train.step(state, batch)[0], None

        state = train.init(init_key, gx.Batch(jnp.zeros((1, DIMENSIONS))))
        state, _ = jax.lax.scan(step, state, jnp.arange(options.steps))
        shift, *at = model.generate(
            state.variables["generator"], jnp.concatenate([jnp.zeros((1, DIMENSIONS)), jnp.eye(DIMENSIONS)])
        )
        a = jnp.stack(at) - shift
        return shift, a.T @ a

    keys = jax.random.split(jax.random.key(options.seed), options.seeds)
    return tuple(np.asarray(value, np.float64) for value in jax.jit(jax.vmap(of_seed))(keys))


def seconds_of_a_step(options: MMDBatchSize, n: int) -> float:
    """Of processors: the median of a few steps of the unbiased estimator, compiled."""
    import jax

    import genjax_models as gx

    train, batch = trainer_of(options, "unbiased"), gx.Batch(jax.random.normal(jax.random.key(0), (n, DIMENSIONS)))
    state, step = train.init(jax.random.key(0), batch), jax.jit(train.step)
    jax.block_until_ready(step(state, batch))
    times = []
    for _ in range(TIMED):
        started = time.process_time()
        jax.block_until_ready(step(state, batch))
        times.append(time.process_time() - started)
    return statistics.median(times)


def measure(options: MMDBatchSize) -> dict[int, Seen]:
    """`Seen` at each batch size."""
    return {
        n: Seen(
            estimates(options, n),
            {name: learn(options, name, n) for name in get_args(Estimator) if n <= options.largest_learned},
            seconds_of_a_step(options, n),
        )
        for n in options.batch_sizes
    }


def variation(covariance: np.ndarray) -> np.ndarray:
    """The mean variance of a coordinate, `[...]`: 1 is that of the data."""
    import numpy as np

    return np.trace(covariance, axis1=-2, axis2=-1) / DIMENSIONS


# Telling


def table(options: MMDBatchSize, seen: dict[int, Seen]) -> str:
    """A line for each batch size, means and standard deviations; MMD^2 times 1,000."""
    import numpy as np

    covariance = options.scale**2 * np.eye(DIMENSIONS)
    truth = float(exact(options, np.zeros(DIMENSIONS), covariance))
    lines = [
        f"{'':7}1,000 MMD^2, which is {1e3 * truth:.2f}{'':16} variance learned, of 1{'':19}1,000 MMD^2 learned   step",
        f"{'batch':>6} {'biased':>16} {'exact':>7} {'unbiased':>16} {'biased':>15} {'exact':>8} {'unbiased':>15}"
        f" {'biased':>10} {'unbiased':>9} {'ms':>8}",
    ]
    for n, row in seen.items():
        of = {name: f"{1e3 * v.mean():7.2f} +- {1e3 * v.std(ddof=1):5.2f}" for name, v in row.estimates.items()}
        learned, left = dict.fromkeys(of, ""), dict.fromkeys(of, "")
        for name, (shift, c) in row.learned.items():
            learned[name] = f"{variation(c).mean():6.3f} +- {variation(c).std(ddof=1):5.3f}"
            left[name] = f"{1e3 * exact(options, shift, c).mean():.3f}"
        bias = 1e3 * (truth + float(expected_bias(options, n, covariance)))
        lines.append(
            f"{n:6,} {of['biased']} {bias:7.2f} {of['unbiased']} {learned['biased']:>15}"
            f" {variation_preferred(options, n):8.3f} {learned['unbiased']:>15}"
            f" {left['biased']:>10} {left['unbiased']:>9} {1e3 * row.seconds:8.2f}"
        )
    return "\n".join(lines)


def picture(options: MMDBatchSize, seen: dict[int, Seen]) -> Figure:
    """Estimates, what is learned, and the time of a step, against the batch size."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    of_estimates, of_learning, of_time = figure.subplots(1, 3)
    sizes = np.array(list(seen))
    covariance = options.scale**2 * np.eye(DIMENSIONS)
    truth = float(exact(options, np.zeros(DIMENSIONS), covariance))
    for sign, (name, colour) in zip((-1, 1), _COLOURS.items(), strict=True):
        aside = sizes * 1.06**sign
        values = np.stack([row.estimates[name] for row in seen.values()])
        error = values.std(axis=1, ddof=1)
        of_estimates.errorbar(aside, values.mean(1), error, color=colour, fmt="o", markersize=4, label=name)
        for i, row in enumerate(seen.values()):
            if name not in row.learned:
                continue
            learned = variation(row.learned[name][1])
            label = f"{name}, each seed" if i == 0 else None
            of_learning.plot(np.full(len(learned), aside[i]), learned, ".", color=colour, markersize=5, label=label)
    biased = [truth + float(expected_bias(options, n, covariance)) for n in sizes]
    of_estimates.plot(sizes, biased, color=_COLOURS["biased"], linewidth=1, label="its expectation")
    of_estimates.axhline(truth, color="#1f2933", linewidth=1, linestyle=":", label="exact")
    of_estimates.set_ylabel("MMD², mean and standard deviation")
    of_estimates.set_title(f"samples of standard deviation {options.scale:g}", fontsize=10)
    preferred = [variation_preferred(options, n) for n in sizes]
    of_learning.plot(sizes, preferred, color=_COLOURS["biased"], linewidth=1, label="least biased MMD² expected")
    of_learning.axhline(1, color="#1f2933", linewidth=1, linestyle=":", label="data")
    of_learning.set_ylim(0.6)
    of_learning.set_ylabel("variance of what is generated")
    of_learning.set_title(f"learned in {options.steps} steps", fontsize=10)
    times = np.array([1e3 * row.seconds for row in seen.values()])
    of_time.plot(sizes, times, "o-", color="#1f2933", markersize=4, linewidth=1, label="a step")
    of_time.plot(sizes, times[-1] * (sizes / sizes[-1]) ** 2, ":", color="#7b8794", linewidth=1, label="as batch²")
    of_time.set_yscale("log")
    of_time.set_ylim(times.min() / 2)
    of_time.set_ylabel("ms of processors")
    of_time.set_title("time of a step", fontsize=10)
    for axes in figure.axes:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{n:,}" for n in sizes], fontsize=8)
        axes.minorticks_off()
        axes.set_xlabel("batch size")
        axes.set_axisbelow(True)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8, loc="lower right" if axes is of_learning else "best")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        options = parse(MMDBatchSize, arguments, "python -m experiments.studies.mmd_batch_size", MMDBatchSize.__doc__)
        seen = measure(options)
        from genjax_models.runs import figures

        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_bytes(figures.png(picture(options, seen)))
        print(table(options, seen))
        print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
