"""A step of `experiments.biggan` compared with PyTorch, and the time to compile it: 28 x 28, batch 64, float32.

python -m experiments.benchmarks.biggan
python -m experiments.benchmarks.biggan --turns 1 --seconds 0.1 --no-compile --no-compiling        the smallest form

                                steps/s    ready in    this library is faster by
this library                       3.1       70.5 s
PyTorch eager                      1.5        3.9 s    2.16 x  (1.83 to 2.20)
PyTorch eager, channels last       1.9        0.7 s    1.51 x  (1.44 to 1.71)
torch.compile                      2.6       65.3 s    1.18 x  (1.11 to 1.38)
torch.compile, channels last       2.4      156.6 s    1.30 x  (1.19 to 1.31)

Three turns of two seconds on 2 cores of an AMD EPYC, measured alone (jax 0.10.2, torch 2.13.0), 2026-11-29. On an AMD
EPYC with AVX-512, with derivatives in the kernel as products of rows: 9.5 steps/s, 1.26 x (1.24 to 1.32) torch.compile
and 1.53 x (1.50 to 1.61) the best eager; before, 1.18 x (1.16 to 1.19). In new processes the step compiles in 16.6 s,
where torch.compile takes 91.9 s. The goal of 1.2 x the best PyTorch holds there.

Both sides make the whole step of the experiment's defaults: hinge losses, projection, shifted images, the orthogonal
penalty, Adam (fused in PyTorch) and the moving average. They have the same parameters. Before they are timed, images,
losses, gradients and the moved singular vectors are compared on the same variables, examples and noise. They must agree
to 1e-3 of the largest number of an array; a gradient below a thousandth of its player's largest is compared with that.

Then new processes with empty caches of compiled programs report the seconds by which their first step exceeds a later
one, for BigGAN and DCGAN. PyTorch's threads wait by spinning: measure alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import numpy as np

import genjax_models as gx
from experiments import biggan as experiment
from experiments.benchmarks import biggan_torch, dcgan
from experiments.benchmarks.measure import by_turns, contestant, machine, table, torch_with
from experiments.benchmarks.processes import in_new_process
from experiments.benchmarks.sequences_torch import as_parameters, leaves
from experiments.benchmarks.sides import CompileWith, Ours, Run, in_chunks, torch_training
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.runs.protocol import System
    from genjax_models.types import Players

TOLERANCE = 1e-3  # of the largest number of an array: float32
CHUNK = 20  # steps of one call of the compiled loop


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time a step of BigGAN compared with PyTorch eager and torch.compile, in turns, and the time to compile it."""

    turns: int = 5
    """Rounds in which all contestants are timed."""
    seconds: float = 3.0
    """Time of each contestant per round."""
    compile: bool = True
    """Measure torch.compile too; its first step takes minutes."""
    compiling: bool = True
    """Also time the compilation of BigGAN's and DCGAN's step, in new processes."""
    threads: int | None = None
    """Threads of PyTorch. Default: PyTorch's own choice."""

    def __post_init__(self):
        whole(1, turns=self.turns, threads=self.threads or 1)
        positive(seconds=self.seconds)


class Setting(NamedTuple):
    """The experiment with its data, and the height of the images that attend to themselves."""

    config: experiment.Config
    system: System
    data: Prepared
    attention: int


@cache
def setting(config: experiment.Config | None = None) -> Setting:
    """Returns what both sides share; by default the experiment's defaults."""
    config, dataset = (config or experiment.Config()).load()
    system = experiment.build(config)
    return Setting(config, system, system.prepare(dataset), config.data.shape[0] // 2)


def first_players(shared: Setting) -> Players:
    """Returns the players before training."""
    import jax

    return jax.jit(shared.system.objective.init)(jax.random.key(0), shared.data.example)


def ours() -> Ours:
    """Returns the loop that `fit` runs, as one compiled program."""
    import jax

    config, system, data, _ = setting()
    batch_size = config.training.batch_size
    loop = gx.loop_over_data(system.trainer, batch_size=batch_size, prepare=data.each_step, chunk=CHUNK)
    state = jax.jit(system.trainer.init)(jax.random.key(0), data.example)
    run, latest = in_chunks(loop, state, data.train, CHUNK)

    def one() -> jax.stages.Compiled:
        batch = jax.eval_shape(
            lambda data: jax.tree.map(lambda a: a[:batch_size], data), data.each_step(None, data.train)
        )
        return jax.jit(system.trainer.step, donate_argnums=0).lower(state, batch).compile()

    return Ours(run, one, state=latest)


def our_run() -> Run:
    """Returns the run of `ours`."""
    return ours().run


def torch_run(compile_with: CompileWith, *, channels_last: bool = False) -> Run:
    """Returns PyTorch's loop from our first parameters, with fused Adam and compiled losses."""
    import torch

    shared = setting()
    config, data = shared.config, shared.data
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    discriminator, generator = torch_players(first_players(shared), memory_format)
    players = biggan_torch.game(config, shared.attention, discriminator, generator)
    x = np.asarray(data.each_step(None, data.train).x)
    examples = biggan_torch.Labelled(in_torch(x, memory_format), torch.tensor(np.asarray(data.train.label)).long())
    rate, moments = config.optimizer.learning_rate, (config.optimizer.b1, config.optimizer.b2)
    average = biggan_torch.averaging(generator, config.game.average)
    batch_size = config.training.batch_size
    return torch_training(players, compile_with, batch_size, examples, prepare=average, lr=rate, betas=moments)


def torch_players(players: Players, memory_format: Any = None) -> list[biggan_torch.Player]:
    """Returns PyTorch's discriminator and generator, copied from ours."""
    import torch

    memory_format = memory_format or torch.contiguous_format
    return [biggan_torch.Player(players[name], memory_format) for name in ("discriminator", "generator")]


def in_torch(x: np.ndarray, memory_format: Any = None):
    """Returns images `[n, height, width, channels]` as PyTorch has them."""
    import torch

    return torch.tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=memory_format or torch.contiguous_format)


@contextlib.contextmanager
def same_noise(most: int) -> Iterator[None]:
    """Makes latents and shifts up to `most` a function of their shape on both sides."""
    import jax
    import jax.numpy as jnp
    import torch

    from genjax_models.models import implicit

    normal = lambda shape: np.random.RandomState(0).normal(size=shape).astype(np.float32)
    offsets = lambda shape: np.random.RandomState(1).randint(0, 2 * most + 1, shape)
    with (
        mock.patch.dict(implicit._NOISE, normal=lambda key, shape: jnp.asarray(normal(shape))),
        mock.patch.object(jax.random, "randint", lambda key, shape, *_: jnp.asarray(offsets(shape))),
        mock.patch.object(torch, "randn", lambda *shape: torch.tensor(normal(shape))),
        mock.patch.object(torch, "randint", lambda low, high, shape: torch.tensor(offsets(shape))),
    ):
        yield


def difference(shared: Setting) -> tuple[dict[str, float], int]:
    """Compares both sides on the same variables, examples and noise.

    Returns:
      The largest relative difference of images, losses, gradients and moved singular vectors, and the number of
      parameters.

    Raises:
      AssertionError: the sides have other numbers of parameters that their losses depend on.
    """
    import jax
    import torch

    config, system, data, attention = shared
    batch = data.each_step(None, jax.tree.map(lambda a: a[: config.training.batch_size], data.train))
    random = np.random.RandomState(2)  # no number stays 0, the gain of attention above all
    shaken = lambda a: np.asarray(a) + 0.1 * random.normal(size=a.shape).astype(np.float32)
    variables, key = jax.tree.map(shaken, first_players(shared)), jax.random.key(0)

    @jax.jit
    def ours(players):
        z = system.model.noise(key, len(batch.x))
        images, _ = system.model.generate_in_learning(players["generator"], key, z, batch.label)
        results = []
        for player, loss in system.objective.losses.items():

            def of_params(params, loss=loss, player=player, players=players):
                return loss({**players, player: {**players[player], "params": params}}, key, batch, 0)

            (value, aux), gradient = jax.value_and_grad(of_params, has_aux=True)(players[player]["params"])
            players = aux.variables
            results.append((value, gradient))
        return images, results, {name: player["batch_stats"] for name, player in players.items()}

    with same_noise(config.adversary.translation):
        images, results, state = ours(variables)
        label = torch.tensor(np.asarray(batch.label)).long()
        *_, generator = torch_players(variables)
        drawn = biggan_torch.generate(generator, torch.randn(len(label), config.latent), label, attention)
        apart = {"images": relative(in_torch(np.asarray(images)), drawn)}
        pair = torch_players(variables)
        count, used = 0, 0
        for (player, parameters), (value, gradient), (loss, theirs) in zip(
            variables.items(), results, biggan_torch.game(config, attention, *pair), strict=True
        ):
            torch_value = loss((in_torch(np.asarray(batch.x)), label))
            slopes = torch.autograd.grad(torch_value, theirs, allow_unused=True)
            mine = leaves(as_parameters({"params": gradient}))
            least = 1e-3 * max(a.abs().max().item() for a in mine)
            pairs = [(a, b) for a, b in zip(mine, slopes, strict=True) if b is not None]
            count += sum(a.size for a in jax.tree.leaves(parameters["params"]))
            used += sum(b.numel() for _, b in pairs)
            apart[f"loss of the {player}"] = relative(torch.tensor(float(value)), torch_value)
            apart[f"gradient of the {player}"] = max(relative(a, b, least) for a, b in pairs)
    if count != used:
        raise AssertionError(f"ours has {count:,} parameters, and PyTorch's losses depend on {used:,}")
    for (player, moved), player_of_torch in zip(state.items(), pair, strict=True):
        mine, theirs = (singular_vectors(tree) for tree in (biggan_torch.as_tensors(moved), player_of_torch.state))
        vectors = zip(mine, theirs, strict=True)
        apart[f"singular vectors of the {player}"] = max(relative(a, b) for a, b in vectors)
    return apart, count


def singular_vectors(state: Any) -> list:
    """Returns the leaves of the name u, sorted by path."""
    if not isinstance(state, Mapping):
        return []
    return [
        leaf for name in sorted(state) for leaf in ([state[name]] if name == "u" else singular_vectors(state[name]))
    ]


def relative(ours, theirs, least: float = 1e-6) -> float:
    """Returns the largest difference of two tensors, relative to our largest number or to `least`."""
    ours, theirs = ours.detach(), theirs.detach()
    if ours.shape != theirs.shape:
        raise AssertionError(f"shapes differ: {tuple(ours.shape)} and {tuple(theirs.shape)}")
    return ((ours - theirs).abs().max() / ours.abs().max().clamp(min=least)).item()


def checked(shared: Setting) -> str:
    """Returns a line that says how far the sides are apart.

    Raises:
      AssertionError: they are not alike.
    """
    apart, count = difference(shared)
    words = ", ".join(f"{what} {by:.0e}" for what, by in apart.items())
    if not max(apart.values()) < TOLERANCE:
        raise AssertionError(f"the sides differ by more than {TOLERANCE:g}: {words}")
    return f"{count:,} parameters on both sides; largest differences: {words}"


CONTESTANTS: Mapping[str, Callable[[], Run]] = {
    "genjax_models": our_run,
    "torch eager": partial(torch_run, None),
    "torch eager, channels last": partial(torch_run, None, channels_last=True),
    "torch.compile": partial(torch_run, {}),
    "torch.compile, channels last": partial(torch_run, {}, channels_last=True),
}
COMPILED: Mapping[str, Callable[[], Run]] = {
    "BigGAN, genjax_models": our_run,
    "BigGAN, torch.compile": CONTESTANTS["torch.compile"],
    "DCGAN, genjax_models": lambda: dcgan.our_dcgan().run,
    "DCGAN, torch.compile": lambda: dcgan.torch_steps({}),
}


def compiling(name: str) -> float:
    """Returns the seconds by which the first step exceeds a later one; caches of compiled programs are empty."""
    with tempfile.TemporaryDirectory() as empty:
        os.environ |= {"TORCHINDUCTOR_CACHE_DIR": empty, "JAX_ENABLE_COMPILATION_CACHE": "false"}
        run, times = COMPILED[name](), []
        for _ in range(3):
            started = time.perf_counter()
            run(1)
            times.append(time.perf_counter() - started)
    return times[0] - min(times[1:])


def benchmark(options: Benchmark) -> None:
    """Checks and measures, and prints each part as it is done."""
    torch = torch_with(options.threads)
    print(f"{machine('jax', 'torch')}; PyTorch with {torch.get_num_threads()} threads and its own allocator")
    print(checked(setting()), flush=True)
    chosen = {name: make for name, make in CONTESTANTS.items() if options.compile or "compile" not in name}
    started = {name: contestant(make) for name, make in chosen.items()}
    timings = by_turns(started, turns=options.turns, seconds=options.seconds, warm=2)
    print(table(timings, ours="genjax_models"), flush=True)
    for name in COMPILED if options.compiling else ():
        print(f"{name:34} {in_new_process(compiling, name):7.1f} s to compile the step", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.biggan", Benchmark.__doc__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
