"""Both sides of every contest are one mathematics: carried parameters, fixed noise, one loss and one gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments import autoencoder, gmmn_autoencoder, infinite_mixture, lapgan, moment_matching
from experiments.benchmarks import dcgan, likelihoods, samplers, sides
from genjax_models.models import implicit

torch = pytest.importorskip("torch")

BATCH = 6


def fixed(*shape, seed=0):
    """The noise of both sides: a function of its shape alone."""
    return np.random.RandomState(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(autouse=True)
def no_chance(monkeypatch):
    """Normal, uniform and dropped numbers are the same ones, whoever draws them, whenever."""
    uniform = lambda *shape: np.random.RandomState(1).uniform(size=shape).astype(np.float32)
    normal = lambda key, shape=(), dtype=None: jnp.asarray(fixed(*shape))
    monkeypatch.setattr(jax.random, "normal", normal)
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape=(), *_: jnp.asarray(uniform(*shape)))
    monkeypatch.setattr(jax.random, "bernoulli", lambda key, p=0.5, shape=(): jnp.ones(shape, bool))
    of_noise = {"normal": normal, "uniform": lambda key, shape: 2 * jnp.asarray(uniform(*shape)) - 1}
    monkeypatch.setattr(implicit, "_NOISE", of_noise)
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: torch.tensor(fixed(*shape), **options))
    monkeypatch.setattr(torch, "randn_like", lambda like: torch.tensor(fixed(*like.shape)))
    monkeypatch.setattr(torch, "rand", lambda *shape: torch.tensor(uniform(*shape)))
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x / (1 - self.p))


def as_torch(tree):
    """Leaves as PyTorch has them, in the order of our names: outputs first, channels before height and width."""
    if not hasattr(tree, "items"):
        return [np.asarray(tree)]
    tree = dict(tree)
    if "Convolution_1" in tree and "logit" in tree:
        channels = tree["Convolution_1"]["bias"].size
        kernel = tree["logit"]["kernel"]
        side = int((kernel.size // channels) ** 0.5)
        kernel = kernel.reshape(side, side, channels, 1).transpose(2, 0, 1, 3).reshape(-1, 1)
        tree["logit"] = {**tree["logit"], "kernel": kernel}
    if "kernel" in tree:
        kernel = np.asarray(tree["kernel"])
        kernel = kernel.transpose((1, 0) if kernel.ndim == 2 else (3, 2, 0, 1))
        return [kernel, *([np.asarray(tree["bias"])] if "bias" in tree else [])]
    return [leaf for name in sorted(tree) for leaf in as_torch(tree[name])]


def compared(objective, x, theirs, of_torch, *, step=0, players=None, as_torch=as_torch):
    """Value and gradient of each player's loss; `theirs` are PyTorch's (loss, parameters) in the players' order."""
    batch, key = gx.Batch(jnp.asarray(x)), jax.random.key(0)
    variables = objective.init(key, batch)
    players = players or list(objective.losses)
    for player, (_, parameters) in zip(players, theirs, strict=True):
        carried(as_torch(variables[player]["params"]), parameters)
    for player, (loss, parameters) in zip(players, theirs, strict=True):

        def value_of(params, player=player):
            mine = {**variables[player], "params": params}
            return objective.losses[player]({**variables, player: mine}, key, batch, step)[0]

        value, slopes = jax.jit(jax.value_and_grad(value_of))(variables[player]["params"])
        for parameter in parameters:
            parameter.grad = None
        of_theirs = loss(of_torch)
        of_theirs.backward()
        assert float(of_theirs.detach()) == pytest.approx(float(value), rel=1e-4, abs=1e-5), player
        for ours, parameter in zip(as_torch(slopes), parameters, strict=True):
            scale = float(np.abs(ours).max())
            np.testing.assert_allclose(parameter.grad, ours, rtol=1e-3, atol=1e-3 * scale + 1e-7, err_msg=player)
    return variables


def carried(values, parameters):
    """Ours, put into PyTorch's."""
    for value, parameter in zip(values, parameters, strict=True):
        assert value.shape == tuple(parameter.shape)
        parameter.data = torch.tensor(value)


def images(*shape):
    return np.random.RandomState(7).uniform(size=shape or (BATCH, 28, 28, 1)).astype(np.float32)


def flat(x):
    return torch.tensor(x.reshape(len(x), -1))


def test_the_autoencoder():
    x = images()
    compared(autoencoder.build(autoencoder.Config()), x, [likelihoods.torch_reconstruction()], flat(x))


def test_info_vae():
    kernel = gx.rational_quadratic_kernel(likelihoods.VAE_LATENT**0.5)
    model = likelihoods.model_of_images(likelihoods.VAE_LATENT, (likelihoods.VAE_HIDDEN,))
    x = images().round()
    compared(gx.info_vae(model, kernel), x, [likelihoods.torch_info_vae_loss()], flat(x))


@pytest.mark.parametrize(
    ("fit", "theirs"),
    [
        ("finite_mixture", likelihoods.torch_finite_mixture),
        ("prior_monte_carlo", likelihoods.torch_infinite_mixture),
    ],
)
def test_the_mixtures(fit, theirs):
    x = fixed(BATCH, 2, seed=3)
    compared(infinite_mixture.build(infinite_mixture.Config(fit=fit)), x, [theirs()], torch.tensor(x))


def test_moments():
    options, x = moment_matching.MomentMatching(orders=(samplers.MOMENTS,)), fixed(BATCH, 2, seed=3)
    objective = moment_matching.objectives(options)[f"{samplers.MOMENTS} moments"]
    compared(objective, x, [samplers.torch_moments()], torch.tensor(x))


def test_the_mmd_of_codes():
    objective, x = gmmn_autoencoder.build(gmmn_autoencoder.Config(autoencoder_steps=1)), images()
    loss, parameters, of_encoder = samplers.torch_matching_of_codes()
    encoder = objective.init(jax.random.key(0), gx.Batch(jnp.asarray(x)))["autoencoder"]["params"]["encoder"]
    carried(as_torch(encoder), of_encoder)
    compared(objective, x, [(loss, parameters)], flat(x), step=1, players=["generator"])


def test_the_mmd_gan():
    x = images()
    compared(samplers.mmd_gan(), x, samplers.torch_critic_of_kernels(), flat(x))


def test_the_pyramid():
    x = 2 * images(BATCH, *samplers.LAPGAN_SIZES[:1] * 2, 1) - 1
    of_torch = torch.tensor(x.transpose(0, 3, 1, 2))
    compared(lapgan.build(lapgan.Config()), x, samplers.torch_pyramid(), of_torch)


def layers_of_dcgan(tree):
    """As `as_torch`, in the order of PyTorch's layers: a weight, and its bias or the normalisation behind it."""
    tree = jax.tree.map(np.asarray, tree)
    levels = sum("Convolution" in name for name in tree)
    normalised = lambda i: [tree[f"BatchNorm_{i}"]["scale"], tree[f"BatchNorm_{i}"]["bias"]]
    if "logit" in tree:
        side = int((tree["logit"]["kernel"].size // tree[f"Convolution_{levels - 1}"]["kernel"].shape[-1]) ** 0.5)
        kernels = [tree[f"Convolution_{i}"]["kernel"].transpose(3, 2, 0, 1) for i in range(levels)]
        inner = [leaf for i, kernel in enumerate(kernels[1:]) for leaf in (kernel, *normalised(i))]
        logit = tree["logit"]["kernel"].reshape(side, side, -1).transpose(2, 0, 1).reshape(1, -1)
        return [kernels[0], tree["Convolution_0"]["bias"], *inner, logit, tree["logit"]["bias"]]
    transposed = [tree[f"TransposedConvolution_{i}"] for i in range(levels)] + [tree["image"]]
    kernels = [layer["kernel"][::-1, ::-1].transpose(2, 3, 0, 1).copy() for layer in transposed]
    linear, channels = tree["Dense_0"]["kernel"], kernels[0].shape[0]
    side = int((linear.shape[1] // channels) ** 0.5)
    linear = linear.reshape(-1, side, side, channels).transpose(3, 1, 2, 0).reshape(linear.shape[::-1])
    inner = [leaf for i, kernel in enumerate(kernels[:-1], start=1) for leaf in (kernel, *normalised(i))]
    return [linear, *normalised(0), *inner, kernels[-1], tree["image"]["bias"]]


@pytest.mark.parametrize("size", [dcgan.DIGITS, dcgan.Size((16, 16, 3), (4, 5, 6))])
def test_the_deep_convolutional_game(size):
    x = 2 * images(BATCH, *size.shape) - 1
    of_torch = torch.tensor(x.transpose(0, 3, 1, 2))
    compared(dcgan.build(size), x, dcgan.torch_game(size), of_torch, as_torch=layers_of_dcgan)


def test_while_one_player_moves_the_others_rest():
    """Two play v(a, b) = a b, one down and one up: after a step, b has seen where a went, and its gradient is a's."""
    a, b = (torch.nn.Parameter(torch.ones(())) for _ in range(2))
    players = [(lambda x: a * b, [a]), (lambda x: -a * b, [b])]
    run = sides.torch_training(players, None, 2, torch.zeros(4, 1), lr=0.1)
    run(1)
    assert (float(a.detach()), float(b.detach())) == pytest.approx((0.9, 1.1), abs=1e-4)  # Adam's first step is lr
    assert (float(a.grad), float(b.grad)) == pytest.approx((1, -0.9), abs=1e-4)
