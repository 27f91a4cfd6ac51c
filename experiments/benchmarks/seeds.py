"""Throughput of eight seeds (`--seeds 0:8`), together in one program and in turn, relative to one seed.

python -m experiments.benchmarks.seeds --seconds 1.5

On 2 cores of an AMD EPYC, measured alone (jax 0.10.2, CPU), 2026-11-28; medians of five turns of 1.5 s, in steps per
second, summed over members, and throughput relative to one seed:

                             one seed  8 together   8 in turn   together             in turn
    VAE, 784-400-20             333.1       300.8       319.3    0.90 x (0.89 to 0.92)   0.97 x (0.94 to 0.98)
    VAE, 784-100-8, batch 32   1769.9      1791.0      1762.5    0.96 x (0.94 to 1.03)   0.96 x (0.95 to 1.07)
    VAE, 784-16-2, batch 16    3118.4      3907.9      3135.9    1.27 x (1.15 to 1.30)   0.92 x (0.84 to 1.02)
    IWAE, k = 5, batch 20       549.0       493.0       492.0    0.96 x (0.88 to 1.08)   0.95 x (0.89 to 1.16)
    infinite mixture, points    874.7       730.1       856.2    0.85 x (0.75 to 0.90)   0.95 x (0.91 to 1.07)
    DCGAN, batch 64              13.3         9.7        11.9    0.73 x (0.72 to 0.75)   0.90 x (0.83 to 1.12)

The other rows were measured together only (2026-11-22): IWAE with k = 50 0.88 x, autoencoder 0.90 x, finite mixture
0.96 x, GAN on points 0.99 x, LAPGAN 0.65 x, GMMN 0.73 x, GMMN on codes 0.60 x.

If one run keeps both cores busy, eight seeds together gain nothing, and eight states do not fit into the caches that
hold one state. The smallest VAE gains 27%. In turn, each call of the loop serves one member: it permutes the data and
copies the state, which costs 3 to 10% where a call has few steps. `--members auto` times both at the start of a run
(`runs.ways`), and runs members together if that is faster by 10%. Convolutions of many members run one after the other
(`networks.convolution`): jax's grouped convolution had 0.17 and 0.14 x. Accelerators, which one small run does not
fill, have not been measured.
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
    """Time the steps of many members, together and in turn, compared with one run; contestants alternate."""

    members: int = 8
    """Number of seeds."""
    only: tuple[str, ...] = ()
    """Names of the rows, or of their experiments, to measure. Default: all."""
    turns: int = 5
    """Rounds in which each contestant is timed."""
    seconds: float = 1.0
    """Time of each contestant per round."""

    def __post_init__(self):
        whole(2, members=self.members)
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)


def steps(experiment: Experiment, config: Any, members: int, together: bool = True) -> Run:
    """Returns the loop that `fit_members` runs for `members` seeds, each with its own state, keys and batches."""
    import jax
    import jax.numpy as jnp

    from genjax_models.runs.feed import longest_chunk
    from genjax_models.training import BatchRows, loop_in_turn, loop_over_rows

    config, dataset = config.load()
    system = experiment.build(config)
    data, train = system.prepare(dataset), system.trainer
    keys = jax.random.key(0)
    if members > 1:
        keys = jax.vmap(jax.random.key)(jnp.arange(members))
        train = gx.vmapped(lambda values: system.trainer, {})
    size, batch_size = len(data.train.x), config.training.batch_size
    chunk = longest_chunk(config.training, size)
    in_turn = members > 1 and not together
    loop = partial(loop_in_turn, lambda _: system.trainer, {}) if in_turn else partial(loop_over_rows, train)
    loop = loop(prepare=data.each_step)
    state = jax.jit(train.init)(keys, data.example)
    rows = BatchRows(state.key, size=size, batch_size=batch_size, chunk=chunk)

    def run(n: int) -> None:
        nonlocal state
        step = int(jnp.max(state.step))
        last = step + n
        while step < last:
            count = min(last - step, chunk)
            state, _ = loop(state, data.train, rows(step, count), count)
            step += count
        if int(jnp.min(state.step)) != last:  # a loss was not finite; skipped steps must not count as fast
            raise ArithmeticError(f"{experiment.name} stopped at step {int(jnp.min(state.step))}, before step {last}")

    return run


def measure(case: Case, options: Benchmark) -> dict[str, Timing]:
    """Times a step of one run, of many members together and of many in turn; returns the times of a step of all."""
    experiment = importlib.import_module(f"experiments.{case.experiment}").EXPERIMENT
    config = replaced(experiment.config(), case.fields)
    ways = {"one": (1, True), "together": (options.members, True), "in turn": (options.members, False)}
    contestants = {way: contestant(partial(steps, experiment, config, *ways[way])) for way in ways}
    return by_turns(contestants, turns=options.turns, seconds=options.seconds, warm=1)


def benchmark(options: Benchmark) -> str:
    """Measures by rounds, and returns the table: steps per second of all members, and the gain over one seed."""
    many = options.members
    lines = [machine("jax"), f"{'':28} one seed  {many} together   {many} in turn   together             in turn"]
    for name, case in CASES.items():
        if options.only and name not in options.only and case.experiment not in options.only:
            continue
        timings = measure(case, options)
        rates = [timings["one"].rate, many * timings["together"].rate, many * timings["in turn"].rate]
        gains = [[many * gain for gain in ratio(timings[way], timings["one"])] for way in ("together", "in turn")]
        figures = [f"{middle:5.2f} x ({least:.2f} to {most:.2f})" for middle, least, most in gains]
        lines.append(f"{name:28} {rates[0]:8.1f}  {rates[1]:10.1f}  {rates[2]:10.1f}   {figures[0]}  {figures[1]}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.seeds", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
