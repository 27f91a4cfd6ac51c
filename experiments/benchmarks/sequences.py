"""A training step of models that unfold, compared with hand-written PyTorch, and with other forms of our own step.

python -m experiments.benchmarks.sequences                         PyTorch eager and torch.compile
python -m experiments.benchmarks.sequences --only fused resampling unrolling
python -m experiments.benchmarks.sequences --only made --turns 1 --seconds 0.1 --no-compile        the smallest form

Both sides have the same parameters, batches of the same size and Adam. Before they are timed, loss and gradient of both
are compared on the same parameters, examples and noise; they must agree to 1e-3 of the largest gradient of an array.
PyTorch's threads wait by spinning: measure alone.

Alone on 2 cores of an AMD EPYC with AVX-512 (jax 0.10.2, torch 2.13.0, 2026-11-29), steps/s, and how many times
PyTorch's eager and compiled steps/s (range over turns):

draw_10      124.5    2.84 x (2.76 to 2.95)    1.44 x (1.43 to 1.49)
draw_64       18.5    2.88 x (2.53 to 3.20)    1.40 x (1.15 to 1.59)
pixel_vae     55.8    2.56 x (1.80 to 2.74)    1.35 x (1.33 to 1.36)    (`--only pixel_vae --seconds 1`)
made         384.4    1.96 x (1.86 to 2.35)    1.82 x (1.59 to 1.89)
vrnn          32.6    3.23 x (2.56 to 3.37)    not ready after 10 minutes (2026-11-30)

There FIVO took 1.01 x (1.00 to 1.06) the time of IWAE. DRAW by `vae` took 1.18 x (1.00 to 1.33) the time of one
hand-written scan, and takes 0.91 x (0.90 to 0.96) since its own scan stores less (2026-11-30, `--only fused --seconds
1`). Ready after 5.7, 5.4 and 1.9 s; torch.compile after 58.7, 17.6 and 5.4 s, and with 64 glimpses after 325 s.
draw_10, draw_64, pixel_vae and made meet the goal of 1.3 x. pixel_vae was at 0.95 x (0.79 to 0.98): one tanh for all
features of a gate then made its step 1.20 x as fast, derivatives of linear layers by oneDNN 1.12 x, and one convolution
for both stacks of the first layer 1.07 x, each beside the form before it, in turns.

The rows of DRAW are of 2026-11-30, as measured by `--only draw_10 draw_64 --seconds 1`. It was at 1.17 x and 1.21 x
torch.compile, and without any derivative in the kernels of its LSTMs its step was only 1.08 x as fast. Two changes came
since then. Beside the form before them, in turns:
- The scan's derivatives compute again what is cheap; only products, random bits, tanh and sigmoid are stored: 1.19 x
  (1.11 to 1.27). About 2,700 of the 9,500 small operations of a step had stored numbers.
- `attention.write` has products that XLA multiplies faster: 1.04, 1.07 and 1.08 x in three runs. A write of 50 patches
  of 5 x 5 takes 24 us in place of 74, and its derivatives 30 in place of 53.
Tried beside the second form, and not kept: noise drawn outside the scan 1.04 x (1.02 to 1.08), filters alone computed
again 1.08 x (1.01 to 1.12). Products with kernels are 652 MFLOP a step, at 180 to 260 GFLOP/s: about 3 of 8 ms.

dmm: a deep Markov model learned by the ELBO, and the same model and guide in Pyro, plain and traced by `torch.jit`
(`sequences_pyro`). Without Pyro (extra `bench`) only this row is refused. Alone on 2 cores of an AMD EPYC with AVX-512
(2026-11-30, `--only dmm --turns 5 --seconds 1`): 102.5 steps/s, 8.81 x (7.39 to 9.51) Pyro, and 5.96 x (5.21 to 6.17)
its form by `torch.jit`, which is ready after 17.1 s; ours after 4.4.

fused: DRAW by `vae`, and the same network in one hand-written scan.
resampling: a variational RNN learned by FIVO (resampled at half of the particles), and by IWAE, which never resamples.
evidence: our particle filter and TFP's, on a linear-Gaussian model; E[p^] = p(x) of both within 5 standard errors.
Mean of p^ / p(x) over 200 draws of 1,000 particles: 0.974 +- 0.028, and TFP's 1.000 +- 0.034.
unrolling: the scans of DRAW with 64 glimpses and of the variational RNN, and the same scans unrolled by 8.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from experiments.benchmarks.measure import Contestant, by_turns, contestant, machine, table, torch_with
from experiments.benchmarks.sides import Run
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

OURS, EAGER, COMPILED, PYRO, PYRO_COMPILED = "genjax_models", "torch eager", "torch.compile", "Pyro", "Pyro, jit"
Against = Literal["draw_10", "draw_64", "vrnn", "pixel_vae", "made", "dmm"]
Within = Literal["fused", "resampling", "unrolling", "evidence"]
TOLERANCE = 1e-3  # of the largest gradient of an array: float32 over 96 steps
_UNROLLED = 8


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time a training step of models that unfold, in turns with PyTorch or with other forms of the step."""

    only: tuple[Literal[Against, Within], ...] = (*get_args(Against), *get_args(Within))
    """What to measure. Default: everything."""
    turns: int = 5
    """Rounds in which all contestants are timed."""
    seconds: float = 2.0
    """Time of each contestant per round."""
    compile: bool = True
    """Measure compiled peers too. Their first steps take minutes where a loop has many steps."""
    threads: int | None = None
    """Threads of PyTorch. Default: PyTorch's own choice."""

    def __post_init__(self):
        whole(1, turns=self.turns, threads=self.threads or 1)
        positive(seconds=self.seconds)


def against_torch(name: str, options: Benchmark) -> dict[str, Callable[[], Run]]:
    """Checks that both sides compute the same, and returns what makes the contestants.

    Raises:
      AssertionError: loss or gradient differ.
      InputError: Pyro is needed and absent.
    """
    from experiments.benchmarks import sequences_pyro
    from experiments.benchmarks import sequences_sides as sides

    pair = sides.PAIRS[name]
    if name == "dmm":
        sequences_pyro.check_installed()
    loss, apart, parameters = sides.difference(pair)
    if not apart < TOLERANCE:
        raise AssertionError(f"{pair.what}: loss or gradient differ by {apart:.1e}")
    print(f"{pair.what}: {parameters:,} parameters; loss {loss:.3f}, alike to {apart:.0e} with its gradient")
    peers = {EAGER: lambda: sides.torch_run(pair, None), COMPILED: lambda: sides.torch_run(pair, {})}
    if name == "dmm":
        peers = {PYRO: peers[EAGER], PYRO_COMPILED: lambda: sides.pyro_compiled_run(pair)}
    eager, *_ = peers
    return {OURS: lambda: sides.our_run(pair)} | (peers if options.compile else {eager: peers[eager]})


def within(name: str) -> list[dict[str, Callable[[], Run]]]:
    """Returns what makes the contestants of a comparison within jax, one mapping per comparison."""
    from experiments.benchmarks import sequences_evidence as evidence
    from experiments.benchmarks import sequences_sides as sides

    if name == "evidence":
        x, makers = evidence.observations(), {}
        print(f"log p^ of {len(x)} steps, {evidence.PARTICLES:,} particles; log p(x) is {evidence.exact(x):.2f}")
        for side, estimate in ((OURS, evidence.ours(x)), ("TFP's particle_filter", evidence.theirs(x))):
            print("{}: mean of p^ / p(x) {:.3f} +- {:.3f}".format(side, *evidence.agrees(estimate, x)))
            makers[side] = functools.partial(evidence.run_of, estimate)
        return [makers]
    draw_10, draw_64, vrnn = (sides.PAIRS[name] for name in ("draw_10", "draw_64", "vrnn"))
    if name == "fused":
        print(f"{draw_10.what}: by vae, and one hand-written scan")
        fused = lambda: sides.our_run(draw_10, sides.fused_draw(10))
        return [{"one hand-written scan": fused, "vae": lambda: sides.our_run(draw_10)}]
    if name == "resampling":
        print(f"{vrnn.what}: by FIVO, and by IWAE, which never resamples")
        never = lambda: sides.our_run(vrnn, sides.vrnn("iwae"))
        return [{"never": never, "fivo": lambda: sides.our_run(vrnn)}]
    print(f"{draw_64.what}, then {vrnn.what}: scans, and scans unrolled by {_UNROLLED}")
    return [
        {
            f"{name}, scan": functools.partial(sides.our_run, pair),
            f"{name}, unrolled": lambda pair=pair: sides.our_run(pair, sides.unrolled(pair.objective(), _UNROLLED)),
        }
        for name, pair in (("DRAW", draw_64), ("VRNN", vrnn))
    ]


def measured(makers: Mapping[str, Callable[[], Run]], options: Benchmark) -> str:
    """Times the contestants in turns, and returns their table. The first is compared with the others."""
    contestants: dict[str, Contestant] = {name: contestant(make) for name, make in makers.items()}
    first, *_ = contestants
    return table(by_turns(contestants, turns=options.turns, seconds=options.seconds, warm=1), ours=first)


def benchmark(options: Benchmark) -> None:
    """Measures, and prints a table after each comparison.

    Raises:
      InputError: a peer is not installed; all else has been measured.
    """
    torch = torch_with(options.threads)
    print(f"{machine('jax', 'torch')}; PyTorch with {torch.get_num_threads()} threads")
    refused = []
    for name in options.only:
        print()
        try:
            makers = [against_torch(name, options)] if name in get_args(Against) else within(name)
        except InputError as error:
            refused.append(f"{name}: {error}")
            continue
        for each in makers:
            print(measured(each, options), flush=True)
    if refused:
        raise InputError("; ".join(refused))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.sequences", Benchmark.__doc__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
