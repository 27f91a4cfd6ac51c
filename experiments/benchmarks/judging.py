"""Judging a finished model, compared with what users would take: the same figures, in turns.

python -m experiments.benchmarks.judging

On 2 cores of an AMD EPYC (jax 0.10.2, torch 2.13.0, torch-fidelity 0.4.0, prdc 0.2, hyppo 0.5.2), measured alone,
2026-11-28, in seconds. The machine is shared.

                                              seconds   we are faster by (least and most of the turns)
    NLL(5,000) of 20 images, 784-200-200-50, --turns 5 --seconds 1
    genjax_models                               0.386
    torch eager                                 0.468    1.22 x  (1.18 to 1.34)
    torch.compile                               0.447    1.20 x  (1.13 to 1.39)
    its matrix products, in jax                 0.221    0.57 x  (0.54 to 0.77)
    Annealing of 50 images, 16 chains, 20 temperatures, 5 leapfrog steps, --turns 5 --seconds 1
    genjax_models                               0.465
    torch eager                                 1.331    2.83 x  (2.75 to 2.87)
    torch.compile                               0.633    1.37 x  (1.33 to 1.47)
    Kernel distance, 10,000 + 10,000 x 128, --turns 3 --seconds 0.5 (so are all that follow)
    genjax_models, with error                   0.532
    torch-fidelity, all points                  3.567    7.51 x  (6.43 to 8.84)
    torch-fidelity, 100 subsets of 1,000        1.098    2.31 x  (1.92 to 2.37)
    Precision, recall, density and coverage, k = 5, 10,000 + 10,000 x 128
    genjax_models, with errors                  3.472
    prdc                                        7.203    2.52 x  (1.83 to 2.78)
    Permutation test of the MMD, 200 + 200 x 10, 499 permutations, --only test --turns 7, 2026-11-29
    genjax_models                               0.015
    hyppo                                       1.467   99.81 x  (88.65 to 107.18)
    torch eager, by hand                        0.007    0.50 x  (0.44 to 0.59)
    Frechet distance, 10,000 + 10,000 x 128
    genjax_models, with error                   0.101
    torch-fidelity                              0.029    0.29 x  (0.27 to 0.34)
    Frechet distance, 10,000 + 10,000 x 2,048, --features 2048 --only frechet
    genjax_models, with error                   7.139
    torch-fidelity                              4.596    0.62 x  (0.61 to 0.73)

Equality is checked before timing: NLL(100) of the same draws within 1e-3 nats (1.5e-5 measured), Frechet distances
within 1e-5, kernel distances within 1e-3 of torch-fidelity in float64, the four shares within 1e-3 (they were equal),
MMD^2 within 1e-3, and p-values and mean annealed bounds, whose draws differ, within 5 standard errors.

The products of NLL(5,000) alone take 0.57 of its time: with free draws, tanh and densities it would be 2.1 x as fast
as torch.compile. Of 10 images (184 ms, timed in parts), products take 105 ms; tanh, biases and the cross-entropy of
39 million pixels 33, draws 9, the densities of z 4, and weights that are arguments instead of constants about 15; the
rest is not explained. Blocks of 1,000 to 10,000 rows, one logarithm for 2 to 16 pixels,
x.logits as a product of its own, and a transposed layout gained nothing, or at most 4%.

Torch-fidelity has no standard errors. The error of the Frechet distance needs eigenvectors and two products of all
rows with them. Of a test of 7.4 ms, random relabellings take 5.5, which sort. hyppo computes its statistic anew for
each permutation.
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
