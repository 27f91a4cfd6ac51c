"""Compares beta-TCVAE and FactorVAE with pythae (Chadebec et al., 2022): time of a step, disentanglement.

    PYTHONPATH=~/pythae python -m experiments.benchmarks.pythae_disentangling --objective factor_vae

`experiments.benchmarks.pythae` says how to install pythae. Both sides have the same networks (pixels-256-256-10, tanh;
a discriminator of five layers of 1,000), sprites of 32 x 32, the same batches, first weights of encoder and generator,
and optimizers. pythae is timed at its best, as there: its own models compute the losses, its own order of backward and
step, PyTorch's fused Adam, batches from one tensor in memory. Trained weights are carried into this package's
variables, and the same functions judge both.

Steps per second, both with two threads, measured alone (2 cores of an AMD EPYC with AVX-512, jax 0.10.2, torch 2.13.0,
pythae 0.1.2, 2026-11-29; least and greatest of the turns):

                               genjax_models     pythae
    beta-TCVAE, batch 64                 741        319      2.34 x (2.24 to 2.38)
    FactorVAE, batch 2 x 64             50.6       27.5      1.88 x (1.81 to 1.94)

A step of the FactorVAE is mostly matrix products of the discriminator: 32 of 64 x 1,000 x 1,000 on both sides, 4 GFLOP.
Ours computes the logits of the VAE's codes twice, because the discriminator sees the encoder after its move. pythae
computes the discriminator's gradient for the VAE's loss and deletes it. On a machine without AVX-512, whose products
are as fast in jax as in torch, one thread had 1.3 to 1.5 x and 1.05 to 1.07 x in processor time, next to other work.
Next to other work PyTorch's two threads fell to 0.4 steps/s there: such a ratio means nothing.

One seed of beta-TCVAE after 1,000 updates: bound -32.99 (pythae: -34.78), MIG 0.005 (0.005): neither has found the
factors by then.

The losses differ in two places. pythae's stratified weights of the beta-TCVAE are the published ones: two columns in
place of two diagonals. In its FactorVAE the gradient of the discriminator's loss also reaches the encoder, which then
helps the discriminator: `z` is not detached, and both gradients are in the encoder when its optimizer moves.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

import genjax_models as gx
from experiments.benchmarks.measure import by_turns, contestant, table
from experiments.benchmarks.pythae_sides import (
    CHUNK,
    Contender,
    about_peers,
    log_variance_model,
    pythae_networks,
    to_flax,
    to_torch,
)
from experiments.benchmarks.sides import in_chunks
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.models import LatentVariableModel

LATENT, HIDDEN, DISCRIMINATOR = 10, 256, (1_000,) * 5
RATE, EPS = 1e-3, 1e-8
DISCRIMINATOR_RATE, DISCRIMINATOR_BETAS = 1e-4, (0.5, 0.9)


class Setting(NamedTuple):
    """Training of both sides: objective "beta_tcvae" or "factor_vae", its weight, examples per step, and updates."""

    objective: str
    strength: float
    batch_size: int
    updates: int


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Compare beta-TCVAE and FactorVAE with pythae's: steps per second, or disentanglement after the same updates."""

    compare: Literal["speed", "disentanglement"] = "speed"
    """Steps per second in turns (speed), or figures of the test split after the same updates (disentanglement)."""
    objective: Literal["beta_tcvae", "factor_vae"] = "beta_tcvae"
    """Objective of both sides."""
    strength: float = 6.0
    """Weight of the total correlation."""
    batch_size: int = 64
    """Examples per step; for factor_vae in each half of the batch."""
    data: str = "sprites:32"
    """Data set with known factors."""
    turns: int = 7
    """Rounds in which both sides are timed."""
    seconds: float = 2.0
    """Time of each side per round."""
    updates: int = 5_000
    """Updates before the figures are compared."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of weights, batches and samples, one run each, for the figures."""
    threads: int | None = None
    """Threads of PyTorch. Default: PyTorch's own choice."""

    def __post_init__(self):
        whole(2, batch_size=self.batch_size)
        whole(1, updates=self.updates, turns=self.turns, threads=self.threads or 1)
        positive(seconds=self.seconds, strength=self.strength)
        for seed in self.seeds:
            seed_in_range(seed)
        if not self.seeds:
            raise InputError("seeds must have at least one seed, got none")

    @property
    def setting(self) -> Setting:
        """Options that both sides need; a FactorVAE cuts each batch into two halves."""
        halves = 2 if self.objective == "factor_vae" else 1
        return Setting(self.objective, self.strength, halves * self.batch_size, self.updates)


def model_of(data: Prepared) -> LatentVariableModel:
    """Returns the model of both sides."""
    return log_variance_model(data.example.x.shape[1:], LATENT, HIDDEN)


def ours(setting: Setting, data: Prepared, seed: int) -> Contender:
    """Returns the compiled loop that `fit` runs."""
    import jax
    import optax

    model, weight = model_of(data), setting.strength
    optimizers = {setting.objective: optax.adam(RATE, eps=EPS)}
    if setting.objective == "beta_tcvae":
        size = len(data.train.x)
        objective = gx.beta_tcvae(model, dataset_size=size, total_correlation_weight=weight, weights="stratified")
    else:
        discriminator = gx.MLPDiscriminator((LATENT,), DISCRIMINATOR)
        objective = gx.factor_vae(model, discriminator, total_correlation_weight=weight)
        adversary = optax.adam(DISCRIMINATOR_RATE, *DISCRIMINATOR_BETAS)
        optimizers = {"vae": optimizers["factor_vae"], "discriminator": adversary}
    trainer = gx.trainer(objective, optimizers, gradient_norm=False)
    run = gx.loop_over_data(trainer, batch_size=setting.batch_size, prepare=data.each_step, chunk=CHUNK)
    state = jax.jit(trainer.init)(jax.random.key(seed), data.example)
    player, *_ = objective.losses

    steps, latest = in_chunks(run, state, data.train, CHUNK)
    return Contender(steps, model, lambda: latest().variables[player])


def theirs(setting: Setting, data: Prepared, seed: int) -> Contender:
    """Returns pythae's model and the step of its trainer, with our first weights and our batches."""
    import jax
    import torch

    from genjax_models.training.epochs import batch_rows

    torch.manual_seed(seed)
    model, (init_key, key) = model_of(data), jax.random.split(jax.random.key(seed))
    peer = pythae_model(setting, int(np.prod(data.example.x.shape[1:])))
    first_key = init_key if setting.objective == "beta_tcvae" else jax.random.split(init_key)[0]
    first = to_torch(jax.jit(model.init)(first_key, data.example))
    peer.load_state_dict({name: torch.tensor(array) for name, array in first.items()}, strict=False)
    peer.train()
    networks = [*peer.encoder.parameters(), *peer.decoder.parameters()]
    optimizer = torch.optim.Adam(networks, lr=RATE, eps=EPS, fused=True)
    x = torch.tensor(np.asarray(data.train.x, np.float32).reshape(len(data.train.x), -1))
    order = np.asarray(batch_rows(key, 0, setting.updates, len(x), setting.batch_size))
    rows, count = torch.tensor(order, dtype=torch.int64), 0

    if setting.objective == "beta_tcvae":

        def move(output):  # BaseTrainer._optimizers_step
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
    else:
        adversary = torch.optim.Adam(
            peer.discriminator.parameters(), lr=DISCRIMINATOR_RATE, betas=DISCRIMINATOR_BETAS, fused=True
        )

        def move(output):  # AdversarialTrainer._optimizers_step
            optimizer.zero_grad()
            output.autoencoder_loss.backward(retain_graph=True)
            adversary.zero_grad()
            output.discriminator_loss.backward()
            optimizer.step()
            adversary.step()

    def steps(n: int) -> None:
        nonlocal count
        for _ in range(n):
            move(peer({"data": x[rows[count % len(rows)]]}, dataset_size=len(x)))
            count += 1

    def variables():
        state = {name: value.detach().numpy() for name, value in peer.state_dict().items()}
        return to_flax({name: value for name, value in state.items() if not name.startswith("discriminator.")})

    return Contender(steps, model, variables)


def pythae_model(setting: Setting, pixels: int):
    """Returns pythae's `BetaTCVAE` or `FactorVAE` with the networks of `log_variance_model`."""
    from pythae.models import BetaTCVAE, BetaTCVAEConfig, FactorVAE, FactorVAEConfig

    common = {"input_dim": (pixels,), "latent_dim": LATENT, "reconstruction_loss": "bce"}
    networks = pythae_networks(pixels, LATENT, HIDDEN)
    if setting.objective == "beta_tcvae":
        return BetaTCVAE(BetaTCVAEConfig(**common, beta=setting.strength), *networks)
    return FactorVAE(FactorVAEConfig(**common, gamma=setting.strength), *networks)


def speed(options: Benchmark, data: Prepared) -> str:
    """Measures steps per second in turns, and returns the table."""
    contestants = {
        "genjax_models": lambda: ours(options.setting, data, 0).steps,
        "pythae": lambda: theirs(options.setting, data, 0).steps,
    }
    started = {name: contestant(make) for name, make in contestants.items()}
    return table(by_turns(started, turns=options.turns, seconds=options.seconds), ours="genjax_models")


def disentanglement(options: Benchmark, data: Prepared) -> str:
    """Returns a table of figures of the test split after the same updates: a line per seed and side."""
    import jax

    from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
    from genjax_models.systems.disentanglement import encoder, figures_of_codes

    names = ("mig", "modularity", "dci_disentanglement", "sap")
    lines = [f"{'seed':>6}   {'':14}{'bound':>16}{'active':>8}{''.join(f'{name:>21}' for name in names)}"]
    for seed in options.seeds:
        for side in (ours, theirs):
            contender = side(options.setting, data, seed)
            contender.steps(options.updates)
            variables, test = contender.variables(), data.test
            bound = jax.jit(lambda v, x, m=contender.model: gx.held_out_bound(m, v, jax.random.key(0), x)["bound"])
            codes = encoder(contender.model, variables)(np.asarray(test.x))
            active = codes.var(axis=0) > ACTIVITY_THRESHOLD
            figures = figures_of_codes(codes, test.factors)
            if active.any():
                figures["mig"] = gx.mutual_information_gap(codes, test.factors, active=active).estimate
            cells = "".join(f"{figures[name].value:21.3f}" if name in figures else f"{'':21}" for name in names)
            name = "genjax_models" if side is ours else "pythae"
            mean = float(bound(variables, test.x).mean())
            lines.append(f"{seed:6}   {name:14}{mean:16.2f}{active.sum():8}{cells}")
    return "\n".join(lines)


def benchmark(options: Benchmark) -> str:
    """Compares both sides, and returns the machine, the setting and the table."""
    about = about_peers(options.threads)
    data = gx.prepare(gx.load(options.data), range=(0, 1))
    setting = options.setting
    about += f"\n{setting.objective}, weight {setting.strength:g}, {options.data}, batches of {setting.batch_size}"
    if options.compare == "speed":
        return f"{about}\n{speed(options, data)}"
    return f"{about}: {len(data.test.x):,} test images after {setting.updates:,} updates\n" + disentanglement(
        options, data
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares and prints. Returns the exit status."""
    with exit_on_error():
        program = "python -m experiments.benchmarks.pythae_disentangling"
        print(benchmark(parse(Benchmark, arguments, program, Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
