"""Both sides of `experiments.benchmarks.biggan`, and their difference on the same variables, examples and noise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import numpy as np

import genjax_models as gx
from experiments import biggan as experiment
from experiments.benchmarks import biggan_torch
from experiments.benchmarks.sequences_torch import as_parameters, leaves
from experiments.benchmarks.sides import CompileWith, Ours, Run, in_chunks, torch_training

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.runs.protocol import System
    from genjax_models.types import Players

TOLERANCE = 1e-3  # of the largest number of an array: float32


CHUNK = 20  # steps of one call of the compiled loop


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
