"""VAE and IWAE compared with pythae's (Chadebec, Vincent and Allassonniere, 2022, PyTorch): time of a step, NLL(5000).

On 2 cores of an AMD EPYC (jax 0.10.2, torch 2.13.0, pythae 0.1.2, pydantic 2.14.3, 2 threads of PyTorch), 2026-11-21,
medians of seven turns, with the least and the greatest ratio in brackets:

                                         steps/s of
                           genjax_models   pythae   its parts compiled    the loop is faster by
    VAE, k = 1, batch 20            2295      943     960    2.43 x (2.37 to 2.49), 2.39 x (2.34 to 2.72)
    VAE, k = 1, batch 100            505      345     385    1.45 x (1.43 to 1.50), 1.31 x (1.29 to 1.37)
    IWAE, k = 50, batch 20           204       79     109    2.53 x (2.11 to 2.58), 1.83 x (1.56 to 1.88)

With batches of 100 the VAE is not twice as fast. With one thread PyTorch made 779 and 793 steps/s (k = 1) and 46
(k = 50). The machine is shared; in these runs a check every 2 s found no other active process. Next to a test suite we
made 1233 and pythae 673 steps/s, 1.85 x. A run without checks, with one thread, had 1240 and 800, 1.55 x. With other
load on both cores pythae fell to 0.5 to 82 steps/s; the resulting ratios of 16 and more mean nothing.

NLL(5000) of 1,000 test images after 5,000 updates with batches of 20, in nats, +- the standard error over images; the
difference is over paired images:

                         genjax_models     pythae            pythae is higher by
    VAE, k = 1, seed 0   108.32 +- 0.93    108.18 +- 0.92    -0.14 +- 0.11
                seed 1   108.42 +- 0.92    108.37 +- 0.92    -0.05 +- 0.12
                seed 2   108.49 +- 0.93    108.03 +- 0.92    -0.46 +- 0.12
    IWAE, k = 50, seed 0 106.42 +- 0.93    106.17 +- 0.92    -0.25 +- 0.13
                seed 1   106.32 +- 0.93    106.56 +- 0.93     0.24 +- 0.13
                seed 2   106.47 +- 0.92    106.49 +- 0.93     0.02 +- 0.13

Runs differ by more than the errors over images, so the mean over seeds counts: -0.22 +- 0.12 (k = 1, all three in
favour of pythae) and 0.00 +- 0.14 (k = 50). Three seeds show no difference. At k = 1 they do not exclude that pythae is
some tenths of a nat better. Its different scale of q may be a reason; this was not tried.

pythae is in no extra of this package, because it requires `dataclasses`, whose module would hide Python's own. pythae's
models only use pydantic and packages of the extra `bench`. A separate folder leaves the environment unchanged:

    pip install --target ~/pythae pydantic
    pip install --target ~/pythae --no-deps pythae==0.1.2
    PYTHONPATH=~/pythae python -m experiments.benchmarks.pythae --objective iwae --num-samples 50

Both sides have the networks of `experiments.iwae` (784-200-200-50, tanh), mnist10k with pixels binarised once, the same
batches in the same order, Adam with one learning rate and one eps, and the same initial weights except in one layer.
pythae's encoder emits log-variances, ours emits scales by softplus(.) + 1e-4. This layer has different initial weights,
so the scale of q starts at about 1 in pythae and at 0.7 here.

pythae is timed at its best. Its own `VAE` and `IWAE` compute the loss. Its step is `BaseTrainer._optimizers_step`:
zero_grad, backward, step, with PyTorch's fused Adam, on batches gathered from one tensor in memory. The rest of its
trainer is left out: a DataLoader that collates example by example, `loss.item()`, a check for NaN and callbacks at
every step.

pythae's VAE draws one sample and has the closed KL, as `gx.vae` does by default. Its IWAE returns
-sum_i w~_i log w_i, with self-normalised and detached w~: -(L_k + log k - H(w~)) with the entropy H(w~). This is up to
log k below -L_k, and no bound on -log p(x). But it has the gradient of -L_k: it learns the same, and only the reported
number differs. So the trained weights are carried into this package's variables, and one function evaluates both.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

import genjax_models as gx
from experiments.benchmarks.measure import by_turns, contestant, table
from experiments.benchmarks.pythae_sides import Contender, Setting, about_peers, ours, theirs
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Prepared


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Compare a VAE or an IWAE with pythae's: steps per second in turns, or NLL(k) after the same number of updates."""

    compare: Literal["speed", "likelihood"] = "speed"
    """Quantity: time of a step (speed), or NLL(k) of the test split after the same updates (likelihood)."""
    objective: Literal["vae", "iwae"] = "iwae"
    """Objective of both sides. pythae's VAE draws one sample per example: use --num-samples 1."""
    num_samples: int = 50
    """k, samples of q per example in training."""
    batch_size: int = 20
    """Examples per step."""
    turns: int = 7
    """Rounds in which all contestants are timed."""
    seconds: float = 2.0
    """Time of each contestant per round."""
    updates: int = 5_000
    """Updates before the likelihood is compared."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of weights, batches and samples, one run each, for the likelihood."""
    judge_samples: int = 5_000
    """k of NLL(k)."""
    threads: int | None = None
    """Threads of PyTorch. Default: PyTorch's own choice."""

    def __post_init__(self):
        whole(1, num_samples=self.num_samples, batch_size=self.batch_size, updates=self.updates)
        whole(1, turns=self.turns, judge_samples=self.judge_samples, threads=self.threads or 1)
        positive(seconds=self.seconds)
        for seed in self.seeds:
            seed_in_range(seed)
        if not self.seeds:
            raise InputError("seeds must have at least one seed, got none")
        if self.objective == "vae" and self.num_samples != 1:
            raise InputError(f"num_samples must be 1 for objective vae, got {self.num_samples}")

    @property
    def setting(self) -> Setting:
        """Options that both sides need."""
        return Setting(self.objective, self.num_samples, self.batch_size, self.updates)


def speed(options: Benchmark, data: Prepared) -> str:
    """Measures steps per second in turns, and returns the table."""
    contestants = {
        "genjax_models": lambda: ours(options.setting, data, 0).steps,
        "pythae": lambda: theirs(options.setting, data, 0).steps,
        "pythae, parts by torch.compile": lambda: theirs(options.setting, data, 0, compiled=True).steps,
    }
    started = {name: contestant(make) for name, make in contestants.items()}
    return table(by_turns(started, turns=options.turns, seconds=options.seconds), ours="genjax_models")


def likelihood(options: Benchmark, data: Prepared) -> str:
    """Measures NLL(k) of the test split, in nats, after the same updates.

    Returns:
      The table. Each line has a seed and standard errors over examples; the difference is over paired examples. The
      last line has the mean difference, with its standard error over seeds.
    """
    import jax

    from genjax_models.evaluation.estimates import estimate

    def nll_after_updates(contender: Contender) -> np.ndarray:
        contender.steps(options.updates)
        nll = jax.jit(
            lambda variables, x: gx.negative_log_likelihood(
                contender.model, variables, jax.random.key(0), x, num_samples=options.judge_samples
            )
        )
        return np.asarray(nll(contender.variables(), data.test.x)["negative_log_likelihood"], np.float64)

    lines = [f"{'seed':>6}   {'genjax_models':18}{'pythae':18}pythae is higher by (nats)"]
    differences = []
    for seed in options.seeds:
        our_nll, their_nll = (nll_after_updates(side(options.setting, data, seed)) for side in (ours, theirs))
        difference = estimate(their_nll - our_nll)
        lines.append(f"{seed:6}   {estimate(our_nll)!s:18}{estimate(their_nll)!s:18}{difference}")
        differences.append(difference.mean)
    return "\n".join([*lines, f"{'mean':>6}   {'':36}{estimate(differences)}"])


def benchmark(options: Benchmark) -> str:
    """Compares both sides, and returns the machine, the setting and the table."""
    about = about_peers(options.threads)
    data = gx.prepare(gx.load("mnist10k"), binarise="fixed")
    setting = f"{options.objective}, k = {options.num_samples}, batches of {options.batch_size}"
    if options.compare == "speed":
        return f"{about}\n{setting}\n{speed(options, data)}"
    after = f"NLL({options.judge_samples}) of {len(data.test.x)} test images after {options.updates:,} updates"
    return f"{about}\n{setting}: {after}\n{likelihood(options, data)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.pythae", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
