"""What a generator learns that is shown moments alone (20.10.5): eight modes on a circle, by few moments and by an MMD.

python -m experiments.studies.moment_matching

              moments 1 and 2 off by   modes   good samples   p-value
1 moment                       2.829       0           0.00     0.001
2 moments                      0.130       0           0.00     0.001
4 moments                      0.458       0           0.01     0.001
MMD                            0.109       8           0.78     0.432
data                           0.121       8           0.99     0.687

5,000 steps of 512 each, 42 s of processors for all four, 2 min beside much other work; 2 cores of AMD EPYC (jax 0.10.2,
CPU), 2026-11-21. Of 5,000 samples; p-values are of 500 and as many draws of the data. The picture is
pictures/moment_matching.png.

The ring turns into itself by an eighth of a circle, and so its moments below the eighth do not know where on the circle
the modes are. One moment is its middle, where nothing is. With two, samples fill the disc: their mean and covariance
are the data's as nearly as another draw's are, and not one sample is right. Four would leave the radius no variance,
since E r^4 = (E r^2)^2 of the ring; this generator has made room in the middle and no more, and is further off in the
first two, beside the larger differences of the fourth. A Gaussian kernel sees all orders at once, and finds the modes.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.estimators.kernels import Kernel
    from genjax_models.models.implicit import ImplicitModel
    from genjax_models.types import Array, Objective, PRNGKey

_JUDGED = 5_000  # samples of each generator
_TESTED = 500  # of them, in the permutation test
_SHOWN = 1_000


@dataclasses.dataclass(frozen=True)
class MomentMatching:
    """Train one generator on explicit moments up to several orders, and one on the MMD; count what each has learned."""

    orders: tuple[int, ...] = (1, 2, 4)
    """Moments up to each of these, at most the sixth: moment j of the plane has 2^j entries."""
    bandwidths: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0)
    """Of the Gaussian kernels whose sum the MMD is of."""
    steps: int = 5_000
    """Of each generator."""
    batch_size: int = 512
    """Examples in a step, and as many samples; at least 2."""
    latent: int = 8
    """Dimensions of z."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the generator's layers."""
    learning_rate: float = 2e-3
    """Of Adam at first; it falls to 0 by a cosine."""
    seed: int = 0
    """Of everything random, in [0, 2^32)."""
    out: Path = Path("runs/moment_matching.png")
    """The picture."""

    def __post_init__(self):
        whole(1, orders=self.orders, number_of_orders=len(self.orders), steps=self.steps)
        whole(1, latent=self.latent, hidden=self.hidden, number_of_bandwidths=len(self.bandwidths))
        whole(2, batch_size=self.batch_size)
        positive(learning_rate=self.learning_rate)
        for bandwidth in self.bandwidths:
            positive(bandwidth=bandwidth)
        seed_in_range(self.seed)
        if max(self.orders) > 6:
            raise InputError(f"orders must be at most 6, got {self.orders}")


class Learned(NamedTuple):
    """Samples `[n, 2]` of a generator, and what is seen of them beside data.

    `moments` is the length of the difference of the first two moments, `modes` how many of 8 have a tenth of their
    share, `good` the share within three standard deviations of a mode, `p_value` that of a permutation test.
    """

    samples: np.ndarray
    moments: float
    modes: int
    good: float
    p_value: float


def model_of(options: MomentMatching) -> ImplicitModel:
    """z -> the plane."""
    from genjax_models.models.implicit import implicit_model

    return implicit_model(gx.MLPGenerator((2,), options.hidden), options.latent)


def kernel_of(options: MomentMatching) -> Kernel:
    """The sum of Gaussian kernels."""
    return gx.gaussian_kernel(options.bandwidths)


def objectives(options: MomentMatching) -> dict[str, Objective]:
    """One for each generator, by what it is shown; the network is the same."""
    from genjax_models.objectives.gmmn import gmmn
    from genjax_models.objectives.moment_matching import moment_matching

    model = model_of(options)
    shown = {
        f"{order} moment{'s' if order > 1 else ''}": moment_matching(model, order=order) for order in options.orders
    }
    return {**shown, "MMD": gmmn(model, kernel_of(options), distance="unbiased_squared")}


def ring(key: PRNGKey, n: int) -> Array:
    """Draws of the data, `[n, 2]`."""
    import jax
    import jax.numpy as jnp

    from genjax_models.data.synthetic import RING8

    of_mode, of_noise = jax.random.split(key)
    centres = jnp.asarray(RING8.centres, jnp.float32)
    which = jax.random.randint(of_mode, (n,), 0, len(centres))
    return centres[which] + RING8.scale * jax.random.normal(of_noise, (n, 2))


def learn(options: MomentMatching, objective: Objective) -> np.ndarray:
    """Samples `[5,000, 2]` of what is learned of batches that are all new."""
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
        return objective.sample(state.variables, sample_key, _JUDGED)

    return np.asarray(run(jax.random.key(options.seed)))


def judge(options: MomentMatching, samples: np.ndarray) -> Learned:
    """Counts, and compares with as many draws of the data that no generator saw."""
    import jax
    import jax.numpy as jnp

    from genjax_models.data.synthetic import RING8
    from genjax_models.estimators.moments import moment_difference
    from genjax_models.evaluation.modes import mode_coverage

    data_key, test_key = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), 1))
    x = ring(data_key, len(samples))
    found = mode_coverage(samples, RING8.centres, RING8.scale, at_least=len(samples) // 80)
    test = gx.two_sample_test(test_key, samples[:_TESTED], x[:_TESTED], kernel_of(options))
    return Learned(
        samples,
        float(jnp.sqrt(moment_difference(x, samples, 2))),
        int(found["modes_covered"]),
        float(found["high_quality"].mean()),
        float(test.p_value),
    )


def measure(options: MomentMatching) -> dict[str, Learned]:
    """By what the generator was shown; at the end "data": other draws, judged like samples."""
    import jax
    import numpy as np

    learned = {name: judge(options, learn(options, objective)) for name, objective in objectives(options).items()}
    again = np.asarray(ring(jax.random.fold_in(jax.random.key(options.seed), 2), _JUDGED))
    return {**learned, "data": judge(options, again)}


def table(learned: Mapping[str, Learned]) -> str:
    """A line for each."""
    lines = [f"{'':12}{'moments 1 and 2 off by':>24}{'modes':>8}{'good samples':>15}{'p-value':>10}"]
    lines += [
        f"{name:12}{one.moments:24.3f}{one.modes:8d}{one.good:15.2f}{one.p_value:10.3f}"
        for name, one in learned.items()
    ]
    return "\n".join(lines)


def picture(learned: Mapping[str, Learned]) -> Figure:
    """Samples of each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(learned), 2.9), layout="constrained")
    for axes, (name, one) in zip(figure.subplots(1, len(learned), squeeze=False)[0], learned.items(), strict=True):
        colour = "#1f2933" if name == "data" else "#2364aa"
        axes.plot(*one.samples[:_SHOWN].T, ".", markersize=1.6, color=colour)
        axes.set_title(name, fontsize=10)
        axes.set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), xticks=[], yticks=[], aspect="equal")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        options = parse(MomentMatching, arguments, "python -m experiments.studies.moment_matching", MomentMatching.__doc__)
        learned = measure(options)
        from genjax_models.runs import figures

        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_bytes(figures.png(picture(learned)))
        print(table(learned))
        print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
