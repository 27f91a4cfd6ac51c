"""Throughput of eight seeds in one program (`--seeds 0:8`), relative to one seed.

python -m experiments.benchmarks.seeds

On 2 cores of an AMD EPYC, measured alone (jax 0.10.2, CPU), 2026-11-22; medians of five turns of 0.7 s, in steps per
second, summed over members:

                             one seed     eight seeds   throughput
    VAE, 784-400-20             652.8           473.4   0.73 x  (0.68 to 1.03)
    VAE, 784-100-8, batch 32   2930.3          3166.8   1.07 x  (1.07 to 1.10)
    VAE, 784-16-2, batch 16    6430.0          9257.6   1.47 x  (1.42 to 1.51)
    IWAE, k = 5, batch 20      1054.0           920.6   0.87 x  (0.86 to 0.88)
    IWAE, k = 50, batch 20      153.2           137.8   0.88 x  (0.75 to 0.91)
    autoencoder                 279.3           249.1   0.90 x  (0.86 to 0.92)
    finite mixture, points    11865.2         11551.4   0.96 x  (0.89 to 1.01)
    infinite mixture, points    861.3          1029.4   1.09 x  (0.84 to 1.20)
    GAN, points                 749.7           738.7   0.99 x  (0.98 to 1.01)
    DCGAN, batch 64              23.8            17.1   0.72 x  (0.69 to 0.74)
    LAPGAN, batch 64             29.6            19.3   0.65 x  (0.64 to 0.67)
    GMMN, batch 1,000            20.9            15.2   0.73 x  (0.70 to 0.74)
    GMMN on codes, batch 1,000   32.7            19.6   0.60 x  (0.58 to 0.61)

If one run keeps both cores busy, eight seeds gain nothing, and eight states do not fit into the caches that hold one
state. The smallest VAE gains 47%. Other gains are one compilation instead of eight, and a report that compares the
members. Convolutions of many members run one after the other (`networks.convolution`): jax's grouped convolution had
0.17 and 0.14 x. Accelerators, which one small run does not fill, have not been measured.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import genjax_models as gx
from experiments.benchmarks.measure import Timing, by_turns, contestant, machine, ratio
from experiments.benchmarks.sides import Run
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole
from genjax_models.runs.fields import replaced
from genjax_models.runs.protocol import Experiment


class Case(NamedTuple):
    """An experiment, and the non-default fields of its config, by dotted name."""

    experiment: str
    fields: Mapping[str, Any] = {}


CASES: dict[str, Case] = {
    "VAE, 784-400-20": Case("vae", {"latent": 20, "networks.hidden": (400,), "training.batch_size": 100}),
    "VAE, 784-100-8, batch 32": Case("vae", {"latent": 8, "networks.hidden": (100,), "training.batch_size": 32}),
    "VAE, 784-16-2, batch 16": Case("vae", {"latent": 2, "networks.hidden": (16,), "training.batch_size": 16}),
    "IWAE, k = 5, batch 20": Case("iwae", {"num_samples": 5}),
    "IWAE, k = 50, batch 20": Case("iwae", {"num_samples": 50}),
    "autoencoder": Case("autoencoder"),
    "finite mixture, points": Case("infinite_mixture", {"fit": "finite_mixture"}),
    "infinite mixture, points": Case("infinite_mixture"),
    "GAN, points": Case("gan_mixture"),
    "DCGAN, batch 64": Case("dcgan"),
    "LAPGAN, batch 64": Case("lapgan"),
    "GMMN, batch 1,000": Case("gmmn"),
    "GMMN on codes, batch 1,000": Case("gmmn_autoencoder"),
}


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time the steps of many members in one program compared with one run, in turns."""

    members: int = 8
    """Number of seeds in one program."""
    only: tuple[str, ...] = ()
    """Names of the experiments to measure. Default: all."""
    turns: int = 5
    """Rounds in which both programs are timed."""
    seconds: float = 1.0
    """Time of each contestant per round."""

    def __post_init__(self):
        whole(2, members=self.members)
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)


def steps(experiment: Experiment, config: Any, members: int) -> Run:
    """Returns the loop that `fit_members` runs for `members` seeds, each with its own state, keys and batches."""
    import jax
    import jax.numpy as jnp

    from genjax_models.runs.feed import longest_chunk

    config, dataset = config.load()
    system = experiment.build(config)
    data, train = system.prepare(dataset), system.trainer
    keys = jax.random.key(0)
    if members > 1:
        keys = jax.vmap(jax.random.key)(jnp.arange(members))
        train = gx.vmapped(lambda values: system.trainer, {})
    chunk = longest_chunk(config.training, len(data.train.x))  # shorter chunks would permute the data more often
    loop = gx.loop_over_data(train, batch_size=config.training.batch_size, prepare=data.each_step, chunk=chunk)
    state = jax.jit(train.init)(keys, data.example)

    def run(n: int) -> None:
        nonlocal state
        last = int(jnp.max(state.step)) + n
        while n:
            state, _ = loop(state, data.train, min(n, chunk))
            n -= min(n, chunk)
        if int(jnp.min(state.step)) != last:  # a loss was not finite; skipped steps must not count as fast
            raise ArithmeticError(f"{experiment.name} stopped at step {int(jnp.min(state.step))}, before step {last}")

    return run


def measure(case: Case, options: Benchmark) -> dict[int, Timing]:
    """Times one run and many members in turns; returns the times of a step of all, by the number of members."""
    experiment = importlib.import_module(f"experiments.{case.experiment}").EXPERIMENT
    config = replaced(experiment.config(), case.fields)
    contestants = {n: contestant(partial(steps, experiment, config, n)) for n in (1, options.members)}
    return by_turns(contestants, turns=options.turns, seconds=options.seconds, warm=1)


def benchmark(options: Benchmark) -> str:
    """Measures in turns, and returns the table."""
    lines = [machine("jax"), f"{'':28} steps/s of one   of {options.members} members   throughput"]
    for name, case in CASES.items():
        if options.only and case.experiment not in options.only:
            continue
        timings = measure(case, options)
        one, all_members = (timings[n] for n in (1, options.members))
        middle, least, most = (options.members * value for value in ratio(all_members, one))
        rates = f"{one.rate:14.1f}   {options.members * all_members.rate:12.1f}"
        lines.append(f"{name:28} {rates}   {middle:7.2f} x  ({least:.2f} to {most:.2f})")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.seeds", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
