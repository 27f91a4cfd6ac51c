"""VAE and IWAE beside pythae's (Chadebec, Vincent and Allassonniere, 2022, PyTorch): time of a step, and NLL(5000).

On 2 cores of an AMD EPYC (jax 0.10.2, torch 2.13.0, pythae 0.1.2, pydantic 2.14.3, 2 threads of PyTorch), 2026-11-21,
medians of seven turns, in brackets the least and the greatest ratio:

                                         steps/s of
                           genjax_models   pythae   its parts compiled    the loop is faster by
    VAE, k = 1, batch 20            2295      943     960    2.43 x (2.37 to 2.49), 2.39 x (2.34 to 2.72)
    VAE, k = 1, batch 100            505      345     385    1.45 x (1.43 to 1.50), 1.31 x (1.29 to 1.37)
    IWAE, k = 50, batch 20           204       79     109    2.53 x (2.11 to 2.58), 1.83 x (1.56 to 1.88)

With batches of 100 the VAE is not twice as fast. With one thread PyTorch made 779 and 793 steps/s (k = 1) and 46
(k = 50). The machine is shared: these are of runs beside which a look every 2 s saw no other process at work. A run
beside a test suite had us at 1233 and pythae at 673 steps/s, 1.85 x; one that nobody watched, with one thread, at 1240
and 800, 1.55 x; while others worked on both cores pythae fell to 0.5 to 82 steps/s, and ratios of 16 and more came out,
which say nothing.

NLL(5000) of 1,000 test images after 5,000 updates with batches of 20, nats, +- the standard error over images, of the
difference over paired images:

                         genjax_models     pythae            pythae is higher by
    VAE, k = 1, seed 0   108.32 +- 0.93    108.18 +- 0.92    -0.14 +- 0.11
                seed 1   108.42 +- 0.92    108.37 +- 0.92    -0.05 +- 0.12
                seed 2   108.49 +- 0.93    108.03 +- 0.92    -0.46 +- 0.12
    IWAE, k = 50, seed 0 106.42 +- 0.93    106.17 +- 0.92    -0.25 +- 0.13
                seed 1   106.32 +- 0.93    106.56 +- 0.93     0.24 +- 0.13
                seed 2   106.47 +- 0.92    106.49 +- 0.93     0.02 +- 0.13

Runs differ by more than the images' errors tell, so the seeds decide: -0.22 +- 0.12 (k = 1, all three in
favour of pythae) and 0.00 +- 0.14 (k = 50). Three seeds show no difference; at k = 1 they do not rule out that pythae
is some tenths of a nat better, which its other scale of q may do: that was not tried.

pythae is in no extra of this package: it asks for `dataclasses`, whose module would hide Python's own. Of what it asks
for, its models use pydantic alone beside what the extra `bench` brings; a folder apart leaves the environment as it is:

    pip install --target ~/pythae pydantic
    pip install --target ~/pythae --no-deps pythae==0.1.2
    PYTHONPATH=~/pythae python -m experiments.benchmarks.pythae --objective iwae --num-samples 50

Both sides have the networks of `experiments.iwae` (784-200-200-50, tanh), mnist10k with pixels binarised once, the same
batches in the same order, Adam with one rate and one eps, and the same initial weights but for one layer: pythae wants
log-variances of the encoder, this package softplus(.) + 1e-4 for a scale, and the layer that emits either starts with
draws of its own (so that q starts about 1 wide there and 0.7 here).

pythae is timed at its best. Its own `VAE` and `IWAE` compute the loss; its step is what `BaseTrainer._optimizers_step`
does: zero_grad, backward, step, with PyTorch's fused Adam, on batches gathered from one tensor in memory. Left out is
what its trainer does beside: a DataLoader that collates example by example, `loss.item()`, a test for NaN and callbacks
at every step.

pythae's VAE draws one sample and has the closed KL, as `gx.vae` does by default. Its IWAE returns
-sum_i w~_i log w_i, the w~ self-normalised and detached: -(L_k + log k - H(w~)) with the entropy H(w~), which is up to
log k below -L_k and no bound on -log p(x), but has the gradient of -L_k: it learns the same, and reports another
number. So the trained weights are carried into this package's variables, and one evaluator judges both.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

import genjax_models as gx
from experiments import iwae
from experiments.benchmarks.measure import by_turns, contestant, machine, table
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Variables

RATE, EPS, CHUNK = 1e-3, 5e-6, 500

# A linear layer of pythae's model, and where the same one stands in our params.
LAYERS = {
    "encoder.hidden.0": ("encoder", "MLP_0", "Dense_0"),
    "encoder.hidden.2": ("encoder", "MLP_0", "Dense_1"),
    "encoder.mean": ("encoder", "mean"),
    "encoder.log_variance": ("encoder", "log_variance"),
    "decoder.hidden.0": ("generator", "MLP_0", "Dense_0"),
    "decoder.hidden.2": ("generator", "MLP_0", "Dense_1"),
    "decoder.logits": ("generator", "logits"),
}


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Set a VAE or an IWAE beside pythae's: steps per second by turns, or NLL(k) after as many updates."""

    compare: Literal["speed", "likelihood"] = "speed"
    """speed: time of a step. likelihood: of the test split, by one evaluator, after the same updates."""
    objective: Literal["vae", "iwae"] = "iwae"
    """pythae's VAE draws one sample for each example: --num-samples 1."""
    num_samples: int = 50
    """k of training."""
    batch_size: int = 20
    """Examples in a step."""
    turns: int = 7
    """Rounds in which all contestants are timed."""
    seconds: float = 2.0
    """Of each contestant in each round."""
    updates: int = 5_000
    """Before the likelihood is compared."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of each pair of runs whose likelihood is compared: weights, batches and samples."""
    judge_samples: int = 5_000
    """k of the NLL(k)."""
    threads: int | None = None
    """Of PyTorch; by default its own choice."""

    def __post_init__(self):
        whole(1, num_samples=self.num_samples, batch_size=self.batch_size, updates=self.updates)
        whole(1, turns=self.turns, judge_samples=self.judge_samples, threads=self.threads or 1)
        positive(seconds=self.seconds)
        for seed in self.seeds:
            seed_in_range(seed)
        if not self.seeds:
            raise InputError("seeds must name one at least")
        if self.objective == "vae" and self.num_samples != 1:
            raise InputError(f"pythae's VAE draws one sample: num_samples must be 1, got {self.num_samples}")


class Contender(NamedTuple):
    """`steps(n)` makes n updates; `variables()`, as they are then, are of `model`, which this package can evaluate."""

    steps: Callable[[int], None]
    model: LatentVariableModel
    variables: Callable[[], Variables]


def ours(options: Benchmark, data: Prepared, seed: int) -> Contender:
    """The compiled loop that `fit` runs."""
    import jax
    import optax

    model = iwae.build_model(iwae.Config())
    objective = gx.vae(model) if options.objective == "vae" else gx.iwae(model, num_samples=options.num_samples)
    trainer = gx.trainer(objective, {options.objective: optax.adam(RATE, eps=EPS)})
    run = gx.loop_over_data(trainer, batch_size=options.batch_size, prepare=data.each_step, chunk=CHUNK)
    state = jax.jit(trainer.init)(jax.random.key(seed), data.example)

    def steps(n: int) -> None:
        nonlocal state
        wanted = int(state.step) + n
        while n:
            state, _ = run(state, data.train, min(n, CHUNK))
            n -= min(n, CHUNK)
        if int(state.step) != wanted:  # the loop stops where something is not finite: what it skipped is not fast
            raise ArithmeticError(f"the loop made {int(state.step)} steps of {wanted}")
        jax.block_until_ready(state)

    return Contender(steps, model, lambda: state.variables[options.objective])


def theirs(options: Benchmark, data: Prepared, seed: int, *, compiled: bool = False) -> Contender:
    """pythae's model and its trainer's step, from our first weights, on our batches."""
    import jax
    import torch

    from genjax_models.training.loop import batch_rows

    torch.manual_seed(seed)
    model, (init_key, key) = log_variance_model(iwae.Config()), jax.random.split(jax.random.key(seed))
    peer = pythae_model(options, iwae.Config())
    first = jax.jit(model.init)(init_key, data.example)
    peer.load_state_dict({name: torch.tensor(array) for name, array in to_torch(first).items()})
    peer.train()
    if compiled:  # the whole does not compile, since Dynamo loses the attributes of pythae's ModelOutput
        peer.loss_function = torch.compile(peer.loss_function)
        for network in (peer.encoder, peer.decoder):
            network.emit = torch.compile(network.emit)
    optimizer = torch.optim.Adam(peer.parameters(), lr=RATE, eps=EPS, fused=True)

    x = torch.tensor(np.asarray(data.train.x, np.float32).reshape(len(data.train.x), -1))
    order = np.asarray(batch_rows(key, 0, options.updates, len(x), options.batch_size))
    rows, made = torch.tensor(order, dtype=torch.int64), 0

    def steps(n: int) -> None:
        nonlocal made
        for _ in range(n):
            loss = peer({"data": x[rows[made % len(rows)]]}).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            made += 1

    state = lambda: {name: value.detach().numpy() for name, value in peer.state_dict().items()}
    return Contender(steps, model, lambda: to_flax(state()))


def pythae_model(options: Benchmark, config: iwae.Config):
    """pythae's `VAE` or `IWAE` around the networks of `experiments.iwae`."""
    import torch
    from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from torch import nn

    pixels, latent, hidden = int(np.prod(config.shape)), config.latent[1], config.hidden[0]

    def two_layers(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.hidden = two_layers(pixels)
            self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

        def emit(self, x):
            h = self.hidden(x)
            return self.mean(h), self.log_variance(h)

        def forward(self, x):
            mean, log_variance = self.emit(x)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.hidden, self.logits = two_layers(latent), nn.Linear(hidden, pixels)

        def emit(self, z):
            return torch.sigmoid(self.logits(self.hidden(z)))

        def forward(self, z):
            return ModelOutput(reconstruction=self.emit(z))

    common = {"input_dim": (pixels,), "latent_dim": latent, "reconstruction_loss": "bce"}
    if options.objective == "vae":
        return VAE(VAEConfig(**common), Encoder(), Decoder())
    return IWAE(IWAEConfig(**common, number_samples=options.num_samples), Encoder(), Decoder())


def log_variance_model(config: iwae.Config) -> LatentVariableModel:
    """The model of `experiments.iwae` with one stochastic layer, but for an encoder that emits log-variances."""
    import jax.numpy as jnp

    from genjax_models.estimators.distributions import diagonal_normal
    from genjax_models.models.families import Family
    from genjax_models.networks.outputs import Output

    latent, widths, likelihood = config.latent[1], (config.hidden[0],) * 2, gx.bernoulli(config.shape)
    posterior = Family(
        event_shape=(latent,),
        outputs={"mean": Output((latent,)), "log_variance": Output((latent,))},
        distribution=lambda p: diagonal_normal(p["mean"], jnp.exp(p["log_variance"] / 2)),
    )
    encoder = gx.MLPEncoder(config.shape, posterior.outputs, widths, jnp.tanh)
    generator = gx.MLPGenerator(likelihood.outputs, widths, jnp.tanh)
    return gx.starting_at_data_mean(gx.latent_variable_model(encoder, posterior, generator, likelihood))


def to_flax(state: Mapping[str, np.ndarray]) -> Variables:
    """Variables of `log_variance_model` with the numbers of a state dict of pythae's model.

    A kernel is `[in, out]`, the weight of a torch Linear `[out, in]`.

    Raises:
      ValueError: the state dict has other names than these layers' weights and biases.
    """
    expected = {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}
    if set(state) != expected:
        raise ValueError(f"the state dict and the layers differ by {sorted(set(state) ^ expected)}")
    params = {}
    for layer, (*path, last) in LAYERS.items():
        place = params
        for name in path:
            place = place.setdefault(name, {})
        place[last] = {"kernel": np.array(state[f"{layer}.weight"].T), "bias": np.array(state[f"{layer}.bias"])}
    return {"params": params}


def to_torch(variables: Variables) -> dict[str, np.ndarray]:
    """What `to_flax` undoes."""
    state = {}
    for layer, path in LAYERS.items():
        place = variables["params"]
        for name in path:
            place = place[name]
        state |= {f"{layer}.weight": np.array(place["kernel"]).T, f"{layer}.bias": np.array(place["bias"])}
    return state


def speed(options: Benchmark, data: Prepared) -> str:
    """Steps per second, by turns.

    Returns:
      The table.
    """
    contestants = {
        "genjax_models": lambda: ours(options, data, 0).steps,
        "pythae": lambda: theirs(options, data, 0).steps,
        "pythae, parts by torch.compile": lambda: theirs(options, data, 0, compiled=True).steps,
    }
    ready = {name: contestant(make) for name, make in contestants.items()}
    return table(by_turns(ready, turns=options.turns, seconds=options.seconds), ours="genjax_models")


def likelihood(options: Benchmark, data: Prepared) -> str:
    """NLL(k) of the test split, in nats, after the same updates.

    Returns:
      The table: a line for each seed, with standard errors over the examples, of the difference over paired ones; and
      the mean difference, with its standard error over the seeds.
    """
    import jax

    from genjax_models.evaluation.estimates import estimate

    def judged(contender: Contender) -> np.ndarray:
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
        we, they = judged(ours(options, data, seed)), judged(theirs(options, data, seed))
        difference = estimate(they - we)
        lines.append(f"{seed:6}   {estimate(we)!s:18}{estimate(they)!s:18}{difference}")
        differences.append(difference.mean)
    return "\n".join([*lines, f"{'mean':>6}   {'':36}{estimate(differences)}"])


def benchmark(options: Benchmark) -> str:
    """Compares.

    Returns:
      The machine, the setting and the table.
    """
    try:
        import pythae.models  # noqa: F401 - it brings what pythae asks for
        import torch
    except ImportError as error:
        raise InputError(
            f"the benchmark needs torch and, in a folder of PYTHONPATH, pythae ({error}): pip install --target"
            " FOLDER pydantic && pip install --target FOLDER --no-deps pythae==0.1.2"
        ) from error
    if options.threads:
        torch.set_num_threads(options.threads)
    data = gx.prepare(gx.load("mnist10k"), binarise="fixed")
    about = machine("jax", "torch", "pythae") + f"; PyTorch with {torch.get_num_threads()} threads"
    setting = f"{options.objective}, k = {options.num_samples}, batches of {options.batch_size}"
    if options.compare == "speed":
        return f"{about}\n{setting}\n{speed(options, data)}"
    after = f"NLL({options.judge_samples}) of {len(data.test.x)} test images after {options.updates:,} updates"
    return f"{about}\n{setting}: {after}\n{likelihood(options, data)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.pythae", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
