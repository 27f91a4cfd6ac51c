"""A generator trained on moments only (20.10.5): eight modes on a circle, learned by few moments and by an MMD.

python -m experiments.studies.moment_matching

            error of moments 1 and 2   modes   good samples   p-value
1 moment                       2.829       0           0.00     0.001
2 moments                      0.130       0           0.00     0.001
4 moments                      0.458       0           0.01     0.001
MMD                            0.109       8           0.78     0.432
data                           0.121       8           0.99     0.687

5,000 steps of 512 each, 42 s of processor time for all four, 2 min next to much other work; 2 cores of AMD EPYC (jax
0.10.2, CPU), 2026-11-21. The table is from 5,000 samples; p-values compare 500 samples with 500 draws of the data. The
picture is pictures/moment_matching.png.

A rotation by an eighth of a circle maps the ring onto itself. So moments below the eighth do not determine where on the
circle the modes are. One moment determines the centre, which has no data. With two moments, samples fill the disc:
their mean and covariance match the data as well as other draws of the data do, and no sample is good. Four moments
would force the variance of the radius to zero, since E r^4 = (E r^2)^2 on the ring. This generator only leaves the
centre empty. Its error in the first two moments is larger, and errors of the fourth moment are larger still. A Gaussian
kernel compares all orders at once, and its generator finds the modes.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.figures.palette import BLUE, INK
from genjax_models.runs.command_line import run_study
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.estimators.kernels import Kernel
    from genjax_models.models.implicit import ImplicitModel
    from genjax_models.types import Array, Objective, PRNGKey

_SAMPLES = 5_000  # per generator
_TESTED = 500  # samples in the permutation test
_SHOWN = 1_000  # samples in the picture


@dataclasses.dataclass(frozen=True)
class MomentMatching:
    """Train generators on moments up to several orders and on the MMD, and count the modes that they find."""

    orders: tuple[int, ...] = (1, 2, 4)
    """Highest order of the moments of each generator, at most 6: moment j of the plane has 2^j entries."""
    bandwidths: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0)
    """Bandwidths of the MMD's kernel, a sum of Gaussian kernels."""
    steps: int = 5_000
    """Training steps of each generator."""
    batch_size: int = 512
    """Examples per step, at least 2; a step draws as many samples."""
    latent: int = 8
    """Dimensions of z."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the generator's layers."""
    learning_rate: float = 2e-3
    """Initial learning rate of Adam; a cosine takes it to 0."""
    seed: int = 0
    """Random seed, in [0, 2^32)."""
    to: Path = Path("runs/moment_matching.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(1, orders=self.orders, number_of_orders=len(self.orders), steps=self.steps)
        whole(1, latent=self.latent, hidden=self.hidden, number_of_bandwidths=len(self.bandwidths))
        whole(2, batch_size=self.batch_size)
        positive(learning_rate=self.learning_rate)
        for bandwidth in self.bandwidths:
            positive(bandwidth=bandwidth)
        seed_in_range(self.seed)
        if max(self.orders) > 6:
            raise InputError(f"orders must be at most 6, got {self.orders}")


class Comparison(NamedTuple):
    """Samples of a generator compared with data.

    samples: `[n, 2]`.
    moments: norm of the difference of the first two moments.
    modes: number of covered modes, of 8; a covered mode has at least a tenth of its share of samples.
    good: share of samples within three standard deviations of a mode.
    p_value: p-value of a permutation test against data.
    """

    samples: np.ndarray
    moments: float
    modes: int
    good: float
    p_value: float


def model_of(options: MomentMatching) -> ImplicitModel:
    """Returns the generator from z to the plane."""
    from genjax_models.models.implicit import implicit_model

    return implicit_model(gx.MLPGenerator((2,), options.hidden), options.latent)


def kernel_of(options: MomentMatching) -> Kernel:
    """Returns the sum of Gaussian kernels."""
    return gx.gaussian_kernel(options.bandwidths)


def objectives(options: MomentMatching) -> dict[str, Objective]:
    """Returns the objectives by name; all have the same network."""
    from genjax_models.objectives.gmmn import gmmn
    from genjax_models.objectives.moment_matching import moment_matching

    model = model_of(options)
    by_moments = {
        f"{order} moment{'s' if order > 1 else ''}": moment_matching(model, order=order) for order in options.orders
    }
    return {**by_moments, "MMD": gmmn(model, kernel_of(options), distance="unbiased_squared")}


def ring(key: PRNGKey, n: int) -> Array:
    """Returns draws of the data, `[n, 2]`."""
    import jax
    import jax.numpy as jnp

    from genjax_models.data.synthetic import RING8

    mode_key, noise_key = jax.random.split(key)
    centres = jnp.asarray(RING8.centres, jnp.float32)
    mode = jax.random.randint(mode_key, (n,), 0, len(centres))
    return centres[mode] + RING8.scale * jax.random.normal(noise_key, (n, 2))


def learn(options: MomentMatching, objective: Objective) -> np.ndarray:
    """Returns samples `[5,000, 2]` of a generator after training; every batch is new."""
    import jax
    import numpy as np
    import optax

    rate = optax.cosine_decay_schedule(options.learning_rate, options.steps)
    train = gx.trainer(objective, {"generator": optax.adam(rate)})

    @jax.jit
    def run(key):
        init_key, data_key, sample_key = jax.random.split(key, 3)

        def step(state, i):
            batch = gx.Batch(ring(jax.random.fold_in(data_key, i), options.batch_size))
            return train.step(state, batch)[0], None

        state = train.init(init_key, gx.Batch(ring(data_key, 1)))
        state, _ = jax.lax.scan(step, state, jax.numpy.arange(options.steps))
        return objective.sample(state.variables, sample_key, _SAMPLES)

    return np.asarray(run(jax.random.key(options.seed)))


def compare(options: MomentMatching, samples: np.ndarray) -> Comparison:
    """Counts modes, and compares the samples with as many fresh draws of the data."""
    import jax
    import jax.numpy as jnp

    from genjax_models.data.synthetic import RING8
    from genjax_models.estimators.moments import moment_difference
    from genjax_models.evaluation.modes import mode_coverage

    data_key, test_key = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), 1))
    x = ring(data_key, len(samples))
    coverage = mode_coverage(samples, RING8.centres, RING8.scale, at_least=len(samples) // 80)
    test = gx.two_sample_test(test_key, samples[:_TESTED], x[:_TESTED], kernel_of(options))
    return Comparison(
        samples,
        float(jnp.sqrt(moment_difference(x, samples, 2))),
        int(coverage["modes_covered"]),
        float(coverage["high_quality"].mean()),
        float(test.p_value),
    )


def measure(options: MomentMatching) -> dict[str, Comparison]:
    """Returns the comparison of each generator, and last "data": other draws of the data."""
    import jax
    import numpy as np

    generators = {name: compare(options, learn(options, objective)) for name, objective in objectives(options).items()}
    draws = np.asarray(ring(jax.random.fold_in(jax.random.key(options.seed), 2), _SAMPLES))
    return {**generators, "data": compare(options, draws)}


def table(compared: Mapping[str, Comparison]) -> str:
    """Returns a line per generator."""
    lines = [f"{'':12}{'error of moments 1 and 2':>24}{'modes':>8}{'good samples':>15}{'p-value':>10}"]
    lines += [
        f"{name:12}{one.moments:24.3f}{one.modes:8d}{one.good:15.2f}{one.p_value:10.3f}"
        for name, one in compared.items()
    ]
    return "\n".join(lines)


def picture(compared: Mapping[str, Comparison]) -> Figure:
    """Draws samples of each generator, and of the data."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(compared), 2.9), layout="constrained")
    for axes, (name, one) in zip(figure.subplots(1, len(compared), squeeze=False)[0], compared.items(), strict=True):
        colour = INK if name == "data" else BLUE
        axes.plot(*one.samples[:_SHOWN].T, ".", markersize=1.6, color=colour)
        axes.set_title(name, fontsize=10)
        axes.set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), xticks=[], yticks=[], aspect="equal")
    return figure


def report(options: MomentMatching) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    compared = measure(options)
    return picture(compared), table(compared)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.moment_matching", MomentMatching, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
