"""A step of the VAE compared with PyTorch: MLP 784-400-20, batch 100, Adam, float32, data on the device.

python -m experiments.benchmarks.vae

On 2 cores of an AMD EPYC (jax 0.10.2, torch 2.13.0, 2 threads and their own allocators), measured alone, 2026-11-21,
eleven turns of 1.5 s (a day later, nine turns gave 2.34, 1.94, 1.85 and 1.84 x):

                                     steps/s    the loop is faster by
    genjax_models, compiled loop         764
    genjax_models, Python loop           671    1.09 x  (0.99 to 1.17)
    torch eager, its default Adam        300    2.42 x  (1.83 to 2.60)
    torch eager, fused Adam              363    1.98 x  (1.53 to 2.21)
    torch.compile, fused Adam            368    1.93 x  (1.39 to 2.17)
    the same, max-autotune               385    1.91 x  (1.32 to 2.06)

The contestants that run in the same turn matter, because PyTorch's threads wait by spinning.
`experiments.benchmarks.objectives`, without the Python loop and max-autotune, had 1.89 x and 1.76 x over fused Adam on
the same evening. Next to other processes the medians varied from 1.5 x to 5 x between runs, and the order of the loops
varied too: such figures mean nothing.

Time of such a step on two cores: the five large matrix products take some 70% (timed by themselves), in PyTorch too.
Leaving out other parts in turn gives: Adam 10% (compared with SGD), the value of the loss (its gradient needs no
logarithm) and the other metrics 9%, gathering 2%, permutations of the epochs 2 to 4%, keys and noise 2%.

Two costs were removed. Sums over (28, 28, 1) took a quarter of the step; sums over 784 take little
(`estimators.distributions.Shaped`). A check of the state within every step copies the state in every step;
`training.loop` checks afterwards, and goes back. These changes gained nothing, within 2%: a move without its scan of
length 1, a batch without its interleaving, a gather of packed bytes, a barrier between gradient and update,
`optax.flatten` (5% slower), and updates that wait for the whole gradient, so that the loop copies no weights (5%
slower; IWAE with k = 5 5% faster).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Literal

import genjax_models as gx
from experiments.benchmarks import likelihoods, sides
from experiments.benchmarks.measure import by_turns, contestant, machine, table, torch_with
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time a step of the VAE compared with PyTorch eager and torch.compile, in turns."""

    binarise: Literal["fixed", "dynamic"] = "fixed"
    """Binarisation of pixels: once (fixed), or anew at every step by all contestants (dynamic)."""
    turns: int = 7
    """Rounds in which all contestants are timed."""
    seconds: float = 3.0
    """Time of each contestant per round."""
    threads: int | None = None
    """Threads of PyTorch. Default: PyTorch's own choice."""

    def __post_init__(self):
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)


def jax_loop(binarise: str) -> Callable[[int], None]:
    """Returns a Python loop over the same jitted step, as a notebook would have."""
    import jax
    import numpy as np
    import optax

    data = gx.prepare(gx.load("mnist10k"), binarise=binarise)
    model = likelihoods.model_of_images(likelihoods.VAE_LATENT, (likelihoods.VAE_HIDDEN,))
    train = gx.trainer(gx.vae(model), {"vae": optax.adam(sides.RATE)})
    prepare = data.each_step or (lambda key, batch: batch)

    def step(state, data, rows):
        batch = prepare(jax.random.fold_in(state.key, state.step), jax.tree.map(lambda a: a[rows], data))
        return train.step(state, batch)

    compiled = jax.jit(step, donate_argnums=0)
    state = jax.jit(train.init)(jax.random.key(0), data.example)
    random, size = np.random.default_rng(0), len(data.train.x)

    def steps(n: int) -> None:
        nonlocal state
        for _ in range(n):
            state, _ = compiled(state, data.train, random.integers(0, size, likelihoods.VAE_BATCH))
        jax.block_until_ready(state)

    return steps


def benchmark(options: Benchmark) -> str:
    """Measures in turns, and returns the table."""
    torch = torch_with(options.threads)
    binarise = options.binarise
    contestants = {
        "genjax_models, compiled loop": lambda: likelihoods.our_vae(binarise).run,
        "genjax_models, Python loop": lambda: jax_loop(binarise),
        "torch eager, its default Adam": lambda: likelihoods.torch_vae(binarise, None, fused=None),
        "torch eager, fused Adam": lambda: likelihoods.torch_vae(binarise, None),
        "torch.compile, fused Adam": lambda: likelihoods.torch_vae(binarise, {}),
        "the same, max-autotune": lambda: likelihoods.torch_vae(binarise, {"mode": "max-autotune"}),
    }
    started = {name: contestant(make) for name, make in contestants.items()}
    timings = by_turns(started, turns=options.turns, seconds=options.seconds)
    about = machine("jax", "torch") + f"; PyTorch with {torch.get_num_threads()} threads and its own allocator"
    return f"{about}\n{table(timings, ours='genjax_models, compiled loop')}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.vae", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
