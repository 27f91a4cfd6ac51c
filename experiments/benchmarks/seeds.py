"""Eight seeds in one program (`--seeds 0:8`) beside one: how many times as many steps of members in a second.

python -m experiments.benchmarks.seeds

On 2 cores of an AMD EPYC, measured alone (jax 0.10.2, CPU), 2026-11-22; medians of five turns of 0.7 s, of steps of
members in a second:

                                alone   of 8 together   throughput
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

Where one run keeps both cores busy there is nothing to gain, and eight states leave the caches that one stays in; the
smallest gains half as much again. What is gained beside is one compilation in place of eight, and a page that compares
them. Convolutions of many members are made one after the other (`networks.convolution`): as the grouped convolution
that jax makes of them they had 0.17 and 0.14 x. Accelerators, which one small run does not fill, have not been
measured.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import genjax_models as gx
from experiments.benchmarks.measure import by_turns, contestant, machine, ratio
from experiments.benchmarks.sides import Run
from genjax_models.runs.command_line import Experiment, exit_on_error, parse
from genjax_models.runs.configuration import positive, replaced, whole


class Case(NamedTuple):
    """An experiment with what its config has beside the defaults; sizes are those of its own command."""

    experiment: str
    fields: Mapping[str, Any] = {}


CASES: dict[str, Case] = {
    "VAE, 784-400-20": Case("vae", {"latent": 20, "hidden": (400,), "training.batch_size": 100}),
    "VAE, 784-100-8, batch 32": Case("vae", {"latent": 8, "hidden": (100,), "training.batch_size": 32}),
    "VAE, 784-16-2, batch 16": Case("vae", {"latent": 2, "hidden": (16,), "training.batch_size": 16}),
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
    """Time the steps of many members in one program beside those of one alone, by turns."""

    members: int = 8
    """Seeds in one program."""
    only: tuple[str, ...] = ()
    """Experiments, by the names of their commands; by default all."""
    turns: int = 5
    """Rounds in which both are timed."""
    seconds: float = 1.0
    """Of each in each round."""

    def __post_init__(self):
        whole(2, members=self.members)
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)


def steps(experiment: Experiment, config: Any, members: int) -> Run:
    """What `fit` runs for so many seeds: each with a state, keys and batches of its own, all in one compiled loop."""
    import jax
    import jax.numpy as jnp

    from genjax_models.runs.experiment import trainer_for
    from genjax_models.runs.feed import longest_chunk

    config, loaded = experiment.dataset(config)
    data, train = experiment.prepare(config, loaded), trainer_for(experiment, config)
    keys = jax.random.key(0)
    if members > 1:
        alone, keys = train, jax.vmap(jax.random.key)(jnp.arange(members))
        train = gx.together(lambda values: alone, {})
    chunk = longest_chunk(config.training, len(data.train.x))  # shorter ones would permute the data for a few steps
    loop = gx.loop_over_data(train, batch_size=config.training.batch_size, prepare=data.each_step, chunk=chunk)
    state = jax.jit(train.init)(keys, data.example)

    def run(n: int) -> None:
        nonlocal state
        wanted = int(jnp.max(state.step)) + n
        while n:
            state, _ = loop(state, data.train, min(n, chunk))
            n -= min(n, chunk)
        if int(jnp.min(state.step)) != wanted:  # what stopped because it was not finite is not fast
            raise ArithmeticError(f"{experiment.name} made {int(jnp.min(state.step))} steps of {wanted}")

    return run


def benchmark(options: Benchmark) -> str:
    """Measures, by turns.

    Returns:
      The table.
    """
    lines = [machine("jax"), f"{'':28} steps/s alone   of {options.members} together   throughput"]
    for name, case in CASES.items():
        if options.only and case.experiment not in options.only:
            continue
        experiment = importlib.import_module(f"experiments.{case.experiment}").EXPERIMENT
        config = replaced(experiment.config(), case.fields)
        ready = {n: contestant(partial(steps, experiment, config, n)) for n in (1, options.members)}
        timings = by_turns(ready, turns=options.turns, seconds=options.seconds, warm=1)
        alone, together = (timings[n] for n in (1, options.members))
        middle, least, most = (options.members * found for found in ratio(together, alone))
        rates = f"{alone.rate:13.1f}   {options.members * together.rate:13.1f}"
        lines.append(f"{name:28} {rates}   {middle:7.2f} x  ({least:.2f} to {most:.2f})")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.seeds", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
