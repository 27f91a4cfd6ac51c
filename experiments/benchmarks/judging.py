"""Judging a finished model, compared with what users would take: the same figures, in turns.

python -m experiments.benchmarks.judging

On 2 cores of an AMD EPYC with AVX-512 (jax 0.10.2, CPU; torch 2.13.0, torch-fidelity 0.4.0, prdc 0.2, hyppo 0.5.2),
measured alone, 2026-11-29, in seconds:

                                              seconds   we are faster by (least and most of the turns)
    NLL(5,000) of 20 images, 784-200-200-50
    genjax_models                               0.180
    genjax_models, without k-hat                0.177
    torch eager                                 0.316    1.76 x  (1.75 to 1.78)
    torch.compile                               0.279    1.56 x  (1.55 to 1.58)
    its matrix products, in jax                 0.104    0.58 x
    Annealing of 50 images, 16 chains, 20 temperatures, 5 leapfrog steps
    genjax_models                               0.311
    torch eager                                 0.966    3.10 x  (3.05 to 3.15)
    torch.compile                               0.499    1.60 x  (1.56 to 1.64)
    Kernel distance, 10,000 + 10,000 x 128
    genjax_models, with error                   0.263
    torch-fidelity, all points                  2.517    9.33 x  (8.94 to 9.55)
    torch-fidelity, 100 subsets of 1,000        0.770    2.92 x  (2.66 to 3.73)
    Precision, recall, density and coverage, k = 5, 10,000 + 10,000 x 128
    genjax_models, with errors                  2.059
    prdc                                        3.695    1.81 x  (1.74 to 2.17)
    Permutation test of the MMD, 200 + 200 x 10, 499 permutations, --only test --turns 7
    genjax_models                               0.008
    hyppo                                       1.119  136.34 x  (110.62 to 152.33)
    torch eager, by hand                        0.005    0.62 x  (0.48 to 0.71)
    Frechet distance, 10,000 + 10,000 x 128, --only frechet --turns 7 --seconds 0.5
    genjax_models, with error                   0.014
    torch-fidelity                              0.009    0.63 x  (0.58 to 0.66)
    Frechet distance, 10,000 + 10,000 x 2,048, --only frechet --features 2048 --turns 3 --seconds 0.5
    genjax_models, with error                   4.125
    torch-fidelity                              3.021    0.74 x  (0.73 to 0.75)

Equality is checked before timing: NLL(100) of the same draws within 1e-3 nats (1.5e-5 measured), Frechet distances
within 1e-5, kernel distances within 1e-3 of torch-fidelity in float64, the four shares within 1e-3 (they were equal),
MMD^2 within 1e-3, and p-values and mean annealed bounds, whose draws differ, within 5 standard errors.

NLL(5,000) is 1.56 x as fast as torch.compile. Its products alone take 0.58 of its time. Of 10 images on another EPYC
(184 ms, timed in parts), products took 105 ms; tanh, biases and the cross-entropy of 39 million pixels 33, draws 9, the
densities of z 4, and weights that are arguments instead of constants about 15; the rest is not explained. Blocks of
1,000 to 10,000 rows, one logarithm for 2 to 16 pixels, x.logits as a product of its own, and a transposed layout gained
nothing, or at most 4%.

Torch-fidelity has no standard errors. Of our 4.0 s at 2,048 features (one call, profiled), the error takes half: 0.9 s
for products of all rows with I - T, 0.5 for eigenvectors beside eigenvalues (0.7 in place of 0.2), 0.6 for T and its
inverse. Covariances take 1.3. At 128 features covariances take 0.57 of the time, and the products of all rows 0.26.
Without scipy's triangular solve, and with rows in blocks (a new array of 160 MB takes 0.26 s to convert), the figure
takes 0.014 and 4.1 s in place of 0.048 and 4.8.

A test of 15 ms had relabellings that sort; to find the n-th least number bit by bit takes 1.2 ms in place of 3.3. hyppo
computes its statistic anew for each permutation.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from experiments.benchmarks import judging_likelihoods as likelihoods
from experiments.benchmarks import judging_samples as samples
from experiments.benchmarks.contests import COMPILED, EAGER, OURS, PEERS
from experiments.benchmarks.measure import Contestant, Timing, by_turns, contestant, machine, ratio
from experiments.benchmarks.sides import Run
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

Name = Literal["nll", "frechet", "kernel", "coverage", "test", "annealing"]
PACKAGES = ("torch", "torch_fidelity", "prdc", "hyppo")


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time likelihoods and figures of samples compared with PyTorch, torch-fidelity, prdc and hyppo, in turns."""

    only: tuple[Name, ...] = ()
    """Figures to measure. Default: all."""
    turns: int = 5
    """Rounds in which all contestants are timed."""
    seconds: float = 1.0
    """Time of each contestant per round; at least one evaluation."""
    points: int = 10_000
    """Number of samples, and of data."""
    features: int = 128
    """Number of features of each point. The shipped classifiers have 128; Inception has 2,048."""
    to: Path = Path("runs/judging.json")
    """Path of the results."""

    def __post_init__(self):
        whole(3, turns=self.turns)
        positive(seconds=self.seconds)
        whole(1_000, points=self.points)  # the size of torch-fidelity's subsets
        whole(1, features=self.features)


class Sides(NamedTuple):
    """The figure in words, its contestants by name (ours first), and a check that their results are equal."""

    what: str
    contestants: dict[str, Callable[[], Any]]
    check: Callable[[], str]


def nll(options: Benchmark) -> Sides:
    """NLL(5000): with diagnostics, alone, and only its matrix products."""
    setting = likelihoods.judged(likelihoods.NLL_IMAGES)
    contestants = {
        OURS: likelihoods.our_nll(setting),
        f"{OURS}, without k-hat": likelihoods.our_nll_alone(setting),
        **{side: likelihoods.torch_nll(setting, PEERS[side]) for side in (EAGER, COMPILED)},
        "its matrix products, in jax": likelihoods.products(setting),
    }
    what = f"NLL({likelihoods.NLL_SAMPLES:,}) of {likelihoods.NLL_IMAGES} images, 784-200-200-50"
    return Sides(what, contestants, partial(likelihoods.assert_same_nll, setting))


def frechet(options: Benchmark) -> Sides:
    """The Fréchet distance; ours has a standard error."""
    pair = samples.features(options.points, options.features)
    ours, theirs = partial(samples.our_frechet, *pair), samples.fidelity_frechet(*pair)
    check = lambda: samples.assert_same("Fréchet distance", ours()[0], theirs(), 1e-5)
    return Sides("Fréchet distance, " + size(options), {f"{OURS}, with error": ours, "torch-fidelity": theirs}, check)


def kernel(options: Benchmark) -> Sides:
    """The kernel distance; ours has a standard error."""
    pair = samples.features(options.points, options.features)
    ours, theirs = partial(samples.our_kernel, *pair), samples.fidelity_kernel(*pair, 1, options.points)
    contestants = {
        f"{OURS}, with error": ours,
        "torch-fidelity, all points": theirs,
        "torch-fidelity, 100 subsets of 1,000": samples.fidelity_kernel(*pair, 100, 1_000),
    }
    check = lambda: samples.assert_same_kernel_distance(*pair, ours()[0], theirs())
    return Sides("kernel distance, " + size(options), contestants, check)


def coverage(options: Benchmark) -> Sides:
    """Precision, recall, density and coverage; ours have standard errors."""
    pair = samples.features(options.points, options.features)
    ours, theirs = partial(samples.our_coverage, *pair), partial(samples.prdc, *pair)
    check = lambda: samples.assert_same_coverage(ours(), theirs())
    return Sides("PRDC, k = 5, " + size(options), {f"{OURS}, with errors": ours, "prdc": theirs}, check)


def test(options: Benchmark) -> Sides:
    """The permutation test of the MMD, with the median bandwidth."""
    pair = samples.pair_of_samples()
    contestants = {
        OURS: samples.our_test(*pair),
        "hyppo": partial(samples.hyppo_test, *pair),
        "torch eager, by hand": samples.torch_test(*pair),
    }
    ours, of_hyppo, by_hand = contestants.values()
    check = lambda: samples.assert_same_test(ours(), by_hand(), of_hyppo())
    what = f"MMD test of {samples.TESTED} + {samples.TESTED}, {samples.PERMUTATIONS} permutations"
    return Sides(what, contestants, check)


def annealing(options: Benchmark) -> Sides:
    """Annealed importance sampling from the encoder, with a fixed step size."""
    setting = likelihoods.judged(likelihoods.ANNEALED_IMAGES)
    contestants = {
        OURS: likelihoods.our_annealing(setting),
        **{side: likelihoods.torch_annealing(setting, PEERS[side]) for side in (EAGER, COMPILED)},
    }
    what = f"annealing of {likelihoods.ANNEALED_IMAGES} images, {likelihoods.CHAINS} chains, {likelihoods.TEMPERATURES}"
    sides = list(contestants.values())
    return Sides(f"{what} temperatures", contestants, partial(likelihoods.assert_same_bounds, setting, sides))


FIGURES: dict[str, Callable[[Benchmark], Sides]] = {
    "nll": nll, "frechet": frechet, "kernel": kernel, "coverage": coverage, "test": test, "annealing": annealing
}  # fmt: skip


def size(options: Benchmark) -> str:
    """Returns the numbers of points and features as text."""
    return f"{options.points:,} + {options.points:,} x {options.features:,}"


def repeated(evaluate: Callable[[], Any]) -> Run:
    """Returns a run of n evaluations."""

    def run(n: int) -> None:
        import jax

        for _ in range(n):
            jax.block_until_ready(evaluate())

    return run


def measure(sides: Sides, options: Benchmark) -> dict[str, Timing]:
    """Times all contestants in turns."""
    started: dict[str, Contestant] = {
        name: contestant(lambda evaluate=evaluate: repeated(evaluate)) for name, evaluate in sides.contestants.items()
    }
    return by_turns(started, turns=options.turns, seconds=options.seconds, warm=1)


def table(sides: Sides, timings: dict[str, Timing], same: str) -> str:
    """Returns a line per contestant: seconds per evaluation, and how many times as fast the first is."""
    ours, *_ = timings
    lines = [f"{sides.what:62} seconds   ready in   we are faster by", f"    {same}"]
    for name, timing in timings.items():
        by = "" if name == ours else "{:5.2f} x  ({:.2f} to {:.2f})".format(*ratio(timings[ours], timing))
        lines.append(f"    {name:58} {1 / timing.rate:7.3f}   {timing.compiling:6.1f} s   {by}")
    return "\n".join(lines)


def benchmark(options: Benchmark) -> Iterator[str]:
    """Yields a text per figure, as soon as it is measured, and writes all numbers.

    Raises:
      InputError: a package is not installed.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(f"the benchmark needs {', '.join(missing)}; pip install 'genjax_models[bench]'")
    about = machine("jax", "numpy", "torch", "torch-fidelity", "prdc", "hyppo")
    yield about
    results: dict[str, Any] = {"machine": about}
    for name in options.only or get_args(Name):
        sides = FIGURES[name](options)
        same = sides.check()
        timings = measure(sides, options)
        results[name] = {
            "what": sides.what,
            "equality": same,
            "seconds": {side: np.asarray(timing.seconds).tolist() for side, timing in timings.items()},
            "ready_in_seconds": {side: timing.compiling for side, timing in timings.items()},
        }
        options.to.parent.mkdir(parents=True, exist_ok=True)
        options.to.write_text(json.dumps(results, indent=1), "utf-8")
        yield table(sides, timings, same)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        options = parse(Benchmark, arguments, "python -m experiments.benchmarks.judging", Benchmark.__doc__)
        for part in benchmark(options):
            print(part, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
