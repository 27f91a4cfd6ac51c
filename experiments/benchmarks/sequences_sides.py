"""Both sides of `experiments.benchmarks.sequences`: our objectives, their data, and PyTorch's losses of the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import numpy as np

import genjax_models as gx
from experiments.benchmarks import sequences_pyro, sequences_torch
from experiments.benchmarks.sequences_torch import Tree, as_parameters, leaves
from experiments.benchmarks.sides import PIXELS, RATE, CompileWith, Ours, Run, digits, in_chunks, torch_training
from genjax_models.types import Batch, Objective

if TYPE_CHECKING:
    import jax

SHAPE = (28, 28, 1)
DRAW_LATENT, DRAW_HIDDEN, READ, WRITE = 16, 128, 2, 5
MADE_HIDDEN = 800
PIXEL_LATENT, PIXEL_HIDDEN, PIXEL_CHANNELS, PIXEL_FEATURES, PIXEL_LAYERS = 16, 300, 8, 16, 2
TIME, KEYS, PARTICLES, VRNN_LATENT, VRNN_HIDDEN = 96, 88, 4, 32, 64
DMM_LATENT, DMM_HIDDEN = 32, 64
CHUNK = 20  # steps of one call of the compiled loop


class Pair(NamedTuple):
    """One model on both sides.

    what: name in the table.
    objective: our objective, of one player.
    data: training data.
    batch_size: examples per step.
    theirs: parameters -> PyTorch's loss of a batch; None if the pair is ours on both sides.
    """

    what: str
    objective: Callable[[], Objective]
    data: Callable[[], Batch]
    batch_size: int
    theirs: Callable[[Tree], Callable[[Any], Any]] | None = None


def bits() -> Batch:
    """Returns mnist10k, binarised once."""
    return Batch(digits().train.x.astype(np.float32))


def rolls() -> Batch:
    """Returns 128 random piano rolls of 88 keys, with 48 to 96 true steps."""
    random = np.random.RandomState(0)
    length = random.randint(TIME // 2, TIME + 1, 128).astype(np.int32)
    x = (random.rand(128, TIME, KEYS) < 0.05) * (np.arange(TIME) < length[:, None])[..., None]
    return Batch(x.astype(np.float32), length=length)


def draw(steps: int) -> Objective:
    """Returns DRAW with attention, with the KL in closed form at every step."""
    likelihood = gx.bernoulli(SHAPE)
    return gx.vae(gx.draw_model(SHAPE, steps, DRAW_LATENT, DRAW_HIDDEN, likelihood, read_size=READ, write_size=WRITE))


def made() -> Objective:
    """Returns a MADE of one hidden layer."""
    return gx.maximum_likelihood(gx.made_model(SHAPE, gx.bernoulli, (MADE_HIDDEN,)))


def pixel_vae() -> Objective:
    """Returns a VAE whose decoder is a PixelCNN."""
    posterior = gx.diagonal_gaussian(PIXEL_LATENT)
    encoder = gx.MLPEncoder(SHAPE, posterior.outputs, (PIXEL_HIDDEN, PIXEL_HIDDEN))
    generator = gx.MLPGenerator((*SHAPE[:2], PIXEL_CHANNELS), (PIXEL_HIDDEN, PIXEL_HIDDEN))
    decoder = gx.GatedPixelCNN(SHAPE, gx.bernoulli(SHAPE).outputs, PIXEL_FEATURES, PIXEL_LAYERS)
    return gx.vae(gx.autoregressive_model(encoder, posterior, generator, decoder, gx.bernoulli))


def vrnn(bound: str = "fivo") -> Objective:
    """Returns a variational RNN on piano rolls."""
    model = gx.variational_rnn(gx.bernoulli((KEYS,)), steps=TIME, latent=VRNN_LATENT, hidden=VRNN_HIDDEN)
    return gx.sequential_vae(model, bound=bound, num_particles=PARTICLES)  # pyright: ignore[reportArgumentType]


def dmm() -> Objective:
    """Returns a deep Markov model on piano rolls."""
    model = gx.deep_markov_model(gx.bernoulli((KEYS,)), steps=TIME, latent=DMM_LATENT, hidden=DMM_HIDDEN)
    return gx.sequential_vae(model, bound="elbo")


def fused_draw(steps: int) -> Objective:
    """Returns DRAW as one hand-written scan over the same network: no distributions, and nothing but the bound."""
    import jax
    import jax.numpy as jnp

    from genjax_models.estimators.attention import attention_window, read, write
    from genjax_models.estimators.distributions import Bernoulli
    from genjax_models.models import positive
    from genjax_models.networks.draw import Attention, DrawNetwork, DrawState

    outputs = gx.bernoulli(SHAPE).outputs
    mean_of = lambda parameters: jax.nn.sigmoid(parameters["logits"])

    def attention(apply: Callable, size: int) -> Attention:
        window = partial(attention_window, size=size, height=SHAPE[0], width=SHAPE[1])
        return Attention(size, lambda numbers, x: apply(window(numbers), x), (0.0,) * 5)  # `init` is the model's own

    windows = attention(read, READ), attention(write, WRITE)
    network = DrawNetwork(SHAPE, DRAW_LATENT, DRAW_HIDDEN, dict(outputs), mean_of, *windows)
    base = draw(steps)

    def loss(players, key, batch, step):
        variables, x = players["vae"], batch.x.reshape(len(batch.x), -1)
        of = partial(network.apply, variables)

        def one(state: Any, eps: jax.Array) -> tuple[Any, jax.Array]:
            encoder, mean, raw = of(state, x, None, method="look")
            scale = positive(raw)
            decoder = of(state.decoder, mean + scale * eps, method="decode")
            canvas = state.canvas + of(decoder[0], method="paint")
            return DrawState(encoder, decoder, canvas), 0.5 * (mean**2 + scale**2 - 1) - jnp.log(scale)

        eps = jax.random.normal(key, (steps, len(x), DRAW_LATENT))
        state, kl = jax.lax.scan(one, of((len(x),), method="start"), eps)
        bound = (jnp.sum(Bernoulli(state.canvas).log_prob(x)) - jnp.sum(kl)) / len(x)
        return -bound, gx.Aux({"bound": bound})

    return base._replace(losses={"vae": loss})


def unrolled(objective: Objective, count: int) -> Objective:
    """Returns the objective with the scans of its loss unrolled: `count` steps in a body."""
    import jax

    ((player, loss),) = objective.losses.items()

    def with_unrolled_scans(*arguments):
        with mock.patch.object(jax.lax, "scan", partial(jax.lax.scan, unroll=count)):
            return loss(*arguments)

    return objective._replace(losses={player: with_unrolled_scans})


PAIRS = {
    **{
        f"draw_{steps}": Pair(
            f"DRAW, {steps} glimpses, attention {READ} and {WRITE}, batch 50",
            partial(draw, steps),
            bits,
            50,
            lambda p, steps=steps: sequences_torch.draw_loss(p, steps, DRAW_LATENT, READ, WRITE),
        )
        for steps in (10, 64)
    },
    "vrnn": Pair(
        f"VRNN, FIVO, batch 16, {TIME} steps, {PARTICLES} particles",
        vrnn,
        rolls,
        16,
        lambda p: sequences_torch.vrnn_loss(p, PARTICLES, VRNN_HIDDEN, VRNN_LATENT),
    ),
    "dmm": Pair(f"deep Markov model, ELBO, batch 16, {TIME} steps", dmm, rolls, 16, sequences_pyro.dmm_loss),
    "pixel_vae": Pair(
        "PixelVAE, 2 gated layers, batch 50",
        pixel_vae,
        bits,
        50,
        lambda p: sequences_torch.pixel_vae_loss(p, PIXEL_LATENT, PIXEL_CHANNELS),
    ),
    "made": Pair(
        f"MADE, {MADE_HIDDEN} units, batch 100",
        made,
        bits,
        100,
        lambda p: sequences_torch.made_loss(p, MADE_HIDDEN, PIXELS),
    ),
}


def ours(pair: Pair, objective: Objective | None = None) -> Ours:
    """Returns our compiled training loop with Adam."""
    import jax
    import optax

    objective, data = objective or pair.objective(), jax.device_put(pair.data())
    (player,) = objective.losses
    trainer = gx.trainer(objective, {player: optax.adam(RATE)}, gradient_norm=False)
    loop = gx.loop_over_data(trainer, batch_size=pair.batch_size, chunk=CHUNK)
    batch = jax.tree.map(lambda a: a[: pair.batch_size], data)
    state = jax.jit(trainer.init)(jax.random.key(0), batch)
    run, latest = in_chunks(loop, state, data, CHUNK)
    return Ours(run, lambda: jax.jit(trainer.step, donate_argnums=0).lower(state, batch).compile(), state=latest)


def our_run(pair: Pair, objective: Objective | None = None) -> Run:
    """Returns the run of `ours`."""
    return ours(pair, objective).run


def torch_run(pair: Pair, compile_with: CompileWith) -> Run:
    """Returns PyTorch's training loop with fused Adam, from our first parameters."""
    import torch

    assert pair.theirs is not None
    p = as_parameters(first_variables(pair))
    x = torch.tensor(torch_data(pair.data()))
    return torch_training([(pair.theirs(p), leaves(p))], compile_with, pair.batch_size, x)


def pyro_compiled_run(pair: Pair) -> Run:
    """Returns PyTorch's training loop of Pyro's compiled loss, after the three steps in which it compiles."""
    run = torch_run(pair._replace(theirs=partial(sequences_pyro.dmm_loss, compiled=True)), None)
    run(3)
    return run


def first_variables(pair: Pair) -> Any:
    """Returns the variables of our player before training."""
    import jax

    objective, data = pair.objective(), pair.data()
    example = jax.tree.map(lambda a: a[: pair.batch_size], data)
    (variables,) = jax.jit(objective.init)(jax.random.key(0), example).values()
    return variables


def torch_data(data: Batch) -> np.ndarray:
    """Returns vectors of pixels, or sequences whose last number of each step says whether the step is true."""
    x = np.asarray(data.x, np.float32)
    if data.length is None:
        return x.reshape(len(x), -1)
    mask = np.arange(x.shape[1])[None] < np.asarray(data.length)[:, None]
    return np.concatenate([x, mask[..., None].astype(np.float32)], axis=-1)


@contextlib.contextmanager
def same_noise() -> Iterator[None]:
    """Makes random numbers a function of their shape on both sides, the same at every step.

    Ours depend on the key, by a zero. As constants, the uniform numbers of a differentiated scan were the transposed
    ones (seen with jaxlib 0.10.2 on a CPU; the cause is not known).
    """
    import jax
    import jax.numpy as jnp
    import torch

    def normal(*shape):
        return np.random.RandomState(0).normal(size=shape).astype(np.float32)

    def uniform(*shape):
        return np.random.RandomState(1).uniform(size=shape).astype(np.float32)

    drawn = jax.random.uniform

    def ours(draw, key, shape=(), *_, **__):
        return jnp.asarray(draw(*shape)) + jnp.floor(drawn(key, shape))

    def all_steps(draw, steps, *shape):
        return torch.tensor(draw(*shape)).expand(steps, *shape)

    with contextlib.ExitStack() as patches:
        patch = lambda owner, name, new: patches.enter_context(mock.patch.object(owner, name, new))
        patch(jax.random, "normal", partial(ours, normal))
        patch(jax.random, "uniform", partial(ours, uniform))
        patch(torch, "randn", lambda *shape: torch.tensor(normal(*shape)))
        patch(torch.distributions.normal, "_standard_normal", lambda shape, **_: torch.tensor(normal(*shape)))  # Pyro's
        patch(sequences_torch, "noise_of_steps", partial(all_steps, normal))
        patch(sequences_torch, "uniform_of_steps", partial(all_steps, uniform))
        yield


def difference(pair: Pair) -> tuple[float, float, int]:
    """Compares both sides on the same parameters, examples and noise.

    Returns:
      Our loss, the largest difference of loss or gradient relative to the largest gradient of its array (of the loss:
      relative to it), and the number of parameters, all of which have a gradient on PyTorch's side.
    """
    import jax

    assert pair.theirs is not None
    objective, variables = pair.objective(), first_variables(pair)
    (player,) = objective.losses
    batch = jax.tree.map(lambda a: a[: pair.batch_size], pair.data())
    with same_noise():
        loss = lambda params: objective.losses[player]({player: {"params": params}}, jax.random.key(0), batch, 0)[0]
        value, gradient = jax.jit(jax.value_and_grad(loss))(variables["params"])
        p = as_parameters(variables)
        import torch

        torch_value = pair.theirs(p)(torch.tensor(torch_data(batch)))
        torch_value.backward()
        torch_value = torch_value.item()
    ours = leaves(as_parameters({"params": gradient}))
    apart = [abs(torch_value / float(value) - 1)]
    for mine, parameter in zip(ours, leaves(p), strict=True):
        if parameter.grad is None:
            raise AssertionError(f"{pair.what}: PyTorch's side does not use all parameters")
        mine = mine.detach()
        apart.append(((mine - parameter.grad).abs().max() / mine.abs().max().clamp(min=1e-6)).item())
    return float(value), max(apart), sum(a.numel() for a in ours)
