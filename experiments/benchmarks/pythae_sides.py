"""Both sides of the benchmark of pythae: its models, our models, and weights carried between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import genjax_models as gx
from experiments.benchmarks.likelihoods import IWAE_HIDDEN, IWAE_LATENT, iwae_system
from experiments.benchmarks.measure import machine
from experiments.benchmarks.sides import in_chunks
from genjax_models.errors import InputError

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Shape, Variables

RATE, EPS, CHUNK = 1e-3, 5e-6, 500
SHAPE = (28, 28, 1)

# A linear layer of pythae's model -> its path in our params.
LAYERS = {
    "encoder.hidden.0": ("encoder", "MLP_0", "Dense_0"),
    "encoder.hidden.2": ("encoder", "MLP_0", "Dense_1"),
    "encoder.mean": ("encoder", "mean"),
    "encoder.log_variance": ("encoder", "log_variance"),
    "decoder.hidden.0": ("generator", "MLP_0", "Dense_0"),
    "decoder.hidden.2": ("generator", "MLP_0", "Dense_1"),
    "decoder.logits": ("generator", "logits"),
}


class Setting(NamedTuple):
    """Training of both sides: objective "vae" or "iwae", k, examples per step, and updates."""

    objective: str
    num_samples: int
    batch_size: int
    updates: int


class Contender(NamedTuple):
    """`steps(n)` makes n updates; `variables()` returns the current variables of `model`, which gx can evaluate."""

    steps: Callable[[int], None]
    model: LatentVariableModel
    variables: Callable[[], Variables]


def ours(setting: Setting, data: Prepared, seed: int) -> Contender:
    """Returns the compiled loop that `fit` runs."""
    import jax
    import optax

    model = iwae_system(setting.num_samples).model
    objective = gx.vae(model) if setting.objective == "vae" else gx.iwae(model, num_samples=setting.num_samples)
    trainer = gx.trainer(objective, {setting.objective: optax.adam(RATE, eps=EPS)})
    run = gx.loop_over_data(trainer, batch_size=setting.batch_size, prepare=data.each_step, chunk=CHUNK)
    state = jax.jit(trainer.init)(jax.random.key(seed), data.example)

    steps, latest = in_chunks(run, state, data.train, CHUNK)
    return Contender(steps, model, lambda: latest().variables[setting.objective])


def theirs(setting: Setting, data: Prepared, seed: int, *, compiled: bool = False) -> Contender:
    """Returns pythae's model and its trainer's step, with our first weights and our batches."""
    import jax
    import torch

    from genjax_models.training.epochs import batch_rows

    torch.manual_seed(seed)
    model, (init_key, key) = log_variance_model(), jax.random.split(jax.random.key(seed))
    peer = pythae_model(setting)
    first = jax.jit(model.init)(init_key, data.example)
    peer.load_state_dict({name: torch.tensor(array) for name, array in to_torch(first).items()})
    peer.train()
    if compiled:  # in parts, because Dynamo loses the attributes of pythae's ModelOutput
        peer.loss_function = torch.compile(peer.loss_function)
        for network in (peer.encoder, peer.decoder):
            network.emit = torch.compile(network.emit)
    optimizer = torch.optim.Adam(peer.parameters(), lr=RATE, eps=EPS, fused=True)

    x = torch.tensor(np.asarray(data.train.x, np.float32).reshape(len(data.train.x), -1))
    order = np.asarray(batch_rows(key, 0, setting.updates, len(x), setting.batch_size))
    rows, count = torch.tensor(order, dtype=torch.int64), 0

    def steps(n: int) -> None:
        nonlocal count
        for _ in range(n):
            loss = peer({"data": x[rows[count % len(rows)]]}).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            count += 1

    state = lambda: {name: value.detach().numpy() for name, value in peer.state_dict().items()}
    return Contender(steps, model, lambda: to_flax(state()))


def pythae_model(setting: Setting):
    """Returns pythae's `VAE` or `IWAE` with the networks of `experiments.iwae`."""
    from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig

    pixels = int(np.prod(SHAPE))
    networks = pythae_networks(pixels, IWAE_LATENT, IWAE_HIDDEN)
    common = {"input_dim": (pixels,), "latent_dim": IWAE_LATENT, "reconstruction_loss": "bce"}
    if setting.objective == "vae":
        return VAE(VAEConfig(**common), *networks)
    return IWAE(IWAEConfig(**common, number_samples=setting.num_samples), *networks)


def pythae_networks(pixels: int, latent: int, hidden: int):
    """Returns an encoder and a decoder for pythae, with the layers `LAYERS` of `log_variance_model`."""
    import torch
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from torch import nn

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

    return Encoder(), Decoder()


def log_variance_model(
    shape: Shape = SHAPE, latent: int = IWAE_LATENT, hidden: int = IWAE_HIDDEN
) -> LatentVariableModel:
    """Returns the model of `experiments.iwae` with one stochastic layer, and with an encoder of log-variances."""
    import jax.numpy as jnp

    from genjax_models.estimators.distributions import diagonal_normal
    from genjax_models.models.families import Family
    from genjax_models.networks.outputs import Output

    widths, likelihood = (hidden, hidden), gx.bernoulli(shape)
    posterior = Family(
        event_shape=(latent,),
        outputs={"mean": Output((latent,)), "log_variance": Output((latent,))},
        distribution=lambda p: diagonal_normal(p["mean"], jnp.exp(p["log_variance"] / 2)),
    )
    encoder = gx.MLPEncoder(shape, posterior.outputs, widths, jnp.tanh)
    generator = gx.MLPGenerator(likelihood.outputs, widths, jnp.tanh)
    return gx.starting_at_data_mean(gx.latent_variable_model(encoder, posterior, generator, likelihood))


def to_flax(state: Mapping[str, np.ndarray]) -> Variables:
    """Returns variables of `log_variance_model` from a state dict of pythae's model.

    A kernel is `[in, out]`; the weight of a torch Linear is `[out, in]`.

    Raises:
      ValueError: the state dict has other names than the weights and biases of these layers.
    """
    expected = {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}
    if set(state) != expected:
        raise ValueError(f"the names in the state dict differ from the layers' by {sorted(set(state) ^ expected)}")
    params = {}
    for layer, (*path, last) in LAYERS.items():
        place = params
        for name in path:
            place = place.setdefault(name, {})
        place[last] = {"kernel": np.array(state[f"{layer}.weight"].T), "bias": np.array(state[f"{layer}.bias"])}
    return {"params": params}


def to_torch(variables: Variables) -> dict[str, np.ndarray]:
    """Returns the state dict of these variables; inverts `to_flax`."""
    state = {}
    for layer, path in LAYERS.items():
        place = variables["params"]
        for name in path:
            place = place[name]
        state |= {f"{layer}.weight": np.array(place["kernel"]).T, f"{layer}.bias": np.array(place["bias"])}
    return state


def about_peers(threads: int | None) -> str:
    """Returns the machine, the versions of both sides, and PyTorch's threads: `threads`, or its own choice.

    Raises:
      InputError: torch or pythae is not installed.
    """
    try:
        import pythae.models  # noqa: F401 - imports the requirements of pythae
        import torch
    except ImportError as error:
        raise InputError(
            f"the benchmark needs torch, and pythae in a folder of PYTHONPATH ({error}): pip install --target"
            " FOLDER pydantic && pip install --target FOLDER --no-deps pythae==0.1.2"
        ) from error
    if threads:
        torch.set_num_threads(threads)
    return machine("jax", "torch", "pythae") + f"; PyTorch with {torch.get_num_threads()} threads"
