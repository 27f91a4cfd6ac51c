"""The overhead of the library: its compiled loop compared with a loop written by hand, and with a lower bound.

python -m experiments.benchmarks.by_hand

On 2 cores of an AMD EPYC (jax 0.10.2), measured alone, 2026-11-22, in steps/s, with the library's relative speed:

                         the library   by hand                       products of matrices, and Adam
VAE, batch 100                 773.4     766.2  1.00 x (0.72 to 1.13)     841.0  0.94 x (0.64 to 1.17)
IWAE, k = 1, batch 20         2237.2    2220.4  1.01 x (0.96 to 1.61)    2608.8  0.88 x (0.81 to 1.58)
IWAE, k = 5, batch 20         1068.0     985.7  1.12 x (0.93 to 1.15)    1381.5  0.76 x (0.72 to 0.81)
IWAE, k = 50, batch 20         193.9     182.3  1.08 x (0.98 to 1.20)     244.7  0.78 x (0.72 to 0.87)

The library's loop also permutes the data, checks that losses and gradients are finite, and keeps metrics. The last
column is a step without draws, activations and densities. If all of these were free, the gain would be 12% at k = 1 and
24% at k = 5. XLA's matrix products take the rest. These attempts gained nothing there: XLA's flags (fusions of YNN,
oneDNN or none, schedulers, vectors of 512 bits: 0 to 15% slower; fast mathematics: 5% faster, but it hides NaN),
unrolled loops, and one flat vector of parameters (20% slower). XLA's fusions of several outputs (the backend's extra
option xla_cpu_use_multi_output_fusion) make Adam cheaper by 2 to 6% of a step, but binarisation at every step 35%
slower.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import genjax_models as gx
from experiments.benchmarks import likelihoods, sides
from experiments.benchmarks.measure import by_turns, contestant, machine, table
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    from genjax_models.types import Array, PRNGKey

    Layers = list[tuple[Array, Array]]  # (weights, bias), in the order of `loss`


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time the steps of the VAE and the IWAE compared with loops written by hand, in turns."""

    turns: int = 7
    """Rounds in which all contestants are timed."""
    seconds: float = 2.0
    """Time of each contestant per round."""

    def __post_init__(self):
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)


Loss = Callable[..., "Array"]  # layers, key, x, k -> a scalar


def loss(layers: Layers, key: PRNGKey, x: Array, k: int | None) -> Array:
    """Returns -L_k (20.79) of x `[batch, 784]` with tanh; for `k=None` -ELBO (20.76) with closed KL and ReLU."""
    import jax
    import jax.numpy as jnp

    def linear(h: Array) -> Array:
        weights, bias = next(layer)
        return h @ weights + bias

    activation, hidden, layer = jax.nn.relu if k is None else jnp.tanh, (len(layers) - 3) // 2, iter(layers)
    h = x
    for _ in range(hidden):
        h = activation(linear(h))
    mean, scale = linear(h), jax.nn.softplus(linear(h)) + 1e-4
    noise = jax.random.normal(key, (k or 1, *mean.shape))
    z = mean + scale * noise
    h = z.reshape(-1, z.shape[-1])
    for _ in range(hidden):
        h = activation(linear(h))
    logits = linear(h).reshape(*z.shape[:-1], -1)
    reconstruction = jnp.sum(x * logits - jax.nn.softplus(logits), axis=-1)
    if k is None:
        kl = jnp.sum((mean**2 + scale**2 - 1) / 2 - jnp.log(scale), axis=-1)
        return jnp.mean(kl - reconstruction[0])
    log_weights = reconstruction + jnp.sum((noise**2 - z**2) / 2 + jnp.log(scale), axis=-1)
    return jnp.mean(jnp.log(k) - jax.nn.logsumexp(log_weights, axis=0))


def lower_bound(layers: Layers, key: PRNGKey, x: Array, k: int | None) -> Array:
    """Returns a scalar from the matrix products of `loss` only: no draws, activations or densities."""
    import jax.numpy as jnp

    linear = lambda h, layer: h @ layer[0] + layer[1]
    half = (len(layers) - 3) // 2
    encoder, (mean, scale), generator = layers[:half], layers[half : half + 2], layers[half + 2 :]
    h = functools.reduce(linear, encoder, x)
    z = jnp.repeat(linear(h, mean) * linear(h, scale), k or 1, axis=0)
    return jnp.mean(functools.reduce(linear, generator, z) ** 2)


def sizes(k: int | None) -> list[tuple[int, int]]:
    """Returns the sizes of the layers: 784-400-20 and back, or for an IWAE 784-200-200-50 and back."""
    hidden, latent = ([400], 20) if k is None else ([200, 200], 50)
    up, down = [784, *hidden], [latent, *hidden[::-1]]
    return [
        *itertools.pairwise(up),
        (up[-1], latent),
        (up[-1], latent),
        *zip(down, [*down[1:], 784], strict=True),
    ]


def by_hand(k: int | None, batch_size: int, loss: Loss = loss) -> Callable[[int], None]:
    """Returns a minimal loop: Adam on `loss` over shuffled batches of binary digits."""
    import jax
    import jax.numpy as jnp
    import optax

    images = gx.prepare(gx.load("mnist10k"), binarise="fixed").train.x
    images, chunk, adam = images.reshape(len(images), -1), sides.CHUNK, optax.adam(sides.RATE)

    def run(layers, moments, key, num_steps):
        rows = jnp.resize(jax.random.permutation(key, len(images)), (chunk, batch_size))

        def step(i, carry):
            layers, moments, losses = carry
            x = images[rows[i]].astype(jnp.float32)
            value, gradient = jax.value_and_grad(loss)(layers, jax.random.fold_in(key, i), x, k)
            change, moments = adam.update(gradient, moments)
            return optax.apply_updates(layers, change), moments, losses.at[i].set(value)

        return jax.lax.fori_loop(0, num_steps, step, (layers, moments, jnp.zeros(chunk)))

    compiled, root, calls = jax.jit(run, donate_argnums=(0, 1)), jax.random.key(0), itertools.count()
    draw = lambda i, size: jax.random.normal(jax.random.fold_in(root, i), size) / size[0] ** 0.5
    layers = [(draw(i, size), jnp.zeros(size[1])) for i, size in enumerate(sizes(k))]
    moments = adam.init(layers)

    def steps(n: int) -> None:
        nonlocal layers, moments
        while n:
            key = jax.random.fold_in(root, next(calls))
            layers, moments, _ = compiled(layers, moments, key, min(n, chunk))
            n -= min(n, chunk)
        jax.block_until_ready(layers)

    return steps


def benchmark(options: Benchmark) -> str:
    """Measures each objective in turns, and returns the tables."""
    lines = [machine("jax")]
    for k in (None, 1, 5, 50):
        name = "VAE, batch 100" if k is None else f"IWAE, k = {k}, batch 20"
        batch_size = likelihoods.VAE_BATCH if k is None else likelihoods.IWAE_BATCH
        ours = likelihoods.our_vae("fixed") if k is None else likelihoods.our_iwae(k)
        contestants = {
            "the library": contestant(lambda ours=ours: ours.run),
            "by hand": contestant(functools.partial(by_hand, k, batch_size)),
            "products of matrices, and Adam": contestant(functools.partial(by_hand, k, batch_size, lower_bound)),
        }
        lines += [
            "",
            name,
            table(by_turns(contestants, turns=options.turns, seconds=options.seconds), ours="the library"),
        ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.by_hand", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
