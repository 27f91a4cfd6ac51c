"""Both sides of every contest have the same loss and gradient, with the same parameters and noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from experiments import autoencoder, gmmn_autoencoder, infinite_mixture
from experiments.benchmarks import adversarial, dcgan, likelihoods, matching, sides
from experiments.studies import moment_matching
from genjax_models.models import implicit

torch = pytest.importorskip("torch")

BATCH = 6


def fixed(*shape, seed=0):
    """Returns the noise of both sides, a function of its shape only."""
    return np.random.RandomState(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(autouse=True)
def fixed_noise(monkeypatch):
    """Makes normal, uniform and dropped numbers the same on both sides and in every call."""
    uniform = lambda *shape: np.random.RandomState(1).uniform(size=shape).astype(np.float32)
    normal = lambda key, shape=(), dtype=None: jnp.asarray(fixed(*shape))
    monkeypatch.setattr(jax.random, "normal", normal)
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape=(), *_: jnp.asarray(uniform(*shape)))
    monkeypatch.setattr(jax.random, "bernoulli", lambda key, p=0.5, shape=(): jnp.ones(shape, bool))
    noise = {"normal": normal, "uniform": lambda key, shape: 2 * jnp.asarray(uniform(*shape)) - 1}
    monkeypatch.setattr(implicit, "_NOISE", noise)
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: torch.tensor(fixed(*shape), **options))
    monkeypatch.setattr(torch, "randn_like", lambda like: torch.tensor(fixed(*like.shape)))
    monkeypatch.setattr(torch, "rand", lambda *shape: torch.tensor(uniform(*shape)))
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x / (1 - self.p))


def as_torch(tree):
    """Returns leaves in PyTorch's layout, in the order of our names: outputs first, then channels, height and width."""
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


def assert_same_losses(objective, x, theirs, torch_x, *, step=0, players=None, as_torch=as_torch):
    """Compares value and gradient of each player's loss.

    `theirs` has PyTorch's (loss, parameters) in the order of the players.
    """
    batch, key = gx.Batch(jnp.asarray(x)), jax.random.key(0)
    variables = objective.init(key, batch)
    players = players or list(objective.losses)
    for player, (_, parameters) in zip(players, theirs, strict=True):
        copy_parameters(as_torch(variables[player]["params"]), parameters)
    for player, (loss, parameters) in zip(players, theirs, strict=True):

        def value_of(params, player=player):
            own = {**variables[player], "params": params}
            return objective.losses[player]({**variables, player: own}, key, batch, step)[0]

        value, slopes = jax.jit(jax.value_and_grad(value_of))(variables[player]["params"])
        for parameter in parameters:
            parameter.grad = None
        torch_value = loss(torch_x)
        torch_value.backward()
        assert float(torch_value.detach()) == pytest.approx(float(value), rel=1e-4, abs=1e-5), player
        for ours, parameter in zip(as_torch(slopes), parameters, strict=True):
            scale = float(np.abs(ours).max())
            np.testing.assert_allclose(parameter.grad, ours, rtol=1e-3, atol=1e-3 * scale + 1e-7, err_msg=player)


def copy_parameters(values, parameters):
    """Copies our values into PyTorch's parameters."""
    for value, parameter in zip(values, parameters, strict=True):
        assert value.shape == tuple(parameter.shape)
        parameter.data = torch.tensor(value)


def images(*shape):
    return np.random.RandomState(7).uniform(size=shape or (BATCH, 28, 28, 1)).astype(np.float32)


def flat(x):
    return torch.tensor(x.reshape(len(x), -1))


@pytest.mark.slow
def test_the_autoencoder():
    x = images()
    assert_same_losses(
        autoencoder.EXPERIMENT.build(autoencoder.Config()).objective, x, [likelihoods.torch_reconstruction()], flat(x)
    )


@pytest.mark.slow
def test_info_vae():
    kernel = gx.rational_quadratic_kernel(likelihoods.VAE_LATENT**0.5)
    model = likelihoods.model_of_images(likelihoods.VAE_LATENT, (likelihoods.VAE_HIDDEN,))
    x = images().round()
    assert_same_losses(gx.info_vae(model, kernel), x, [likelihoods.torch_info_vae_loss()], flat(x))


@pytest.mark.parametrize(
    ("fit", "theirs"),
    [
        ("finite_mixture", likelihoods.torch_finite_mixture),
        ("prior_monte_carlo", likelihoods.torch_infinite_mixture),
    ],
)
def test_the_mixtures(fit, theirs):
    x = fixed(BATCH, 2, seed=3)
    objective = infinite_mixture.EXPERIMENT.build(infinite_mixture.Config(fit=fit)).objective
    assert_same_losses(objective, x, [theirs()], torch.tensor(x))


def test_moments():
    options, x = moment_matching.MomentMatching(orders=(matching.MOMENTS,)), fixed(BATCH, 2, seed=3)
    objective = moment_matching.objectives(options)[f"{matching.MOMENTS} moments"]
    assert_same_losses(objective, x, [matching.torch_moments()], torch.tensor(x))


@pytest.mark.slow
def test_the_mmd_of_codes():
    config, x = gmmn_autoencoder.Config(autoencoder_steps=1), images()
    objective = gmmn_autoencoder.EXPERIMENT.build(config).objective
    loss, parameters, encoder_parameters = matching.torch_matching_of_codes()
    encoder = objective.init(jax.random.key(0), gx.Batch(jnp.asarray(x)))["autoencoder"]["params"]["encoder"]
    copy_parameters(as_torch(encoder), encoder_parameters)
    assert_same_losses(objective, x, [(loss, parameters)], flat(x), step=1, players=["generator"])


@pytest.mark.slow
def test_the_mmd_gan():
    x = images()
    assert_same_losses(adversarial.mmd_gan(), x, adversarial.torch_critic_of_kernels(), flat(x))


@pytest.mark.slow
def test_the_pyramid():
    x = 2 * images(BATCH, *adversarial.LAPGAN_SIZES[:1] * 2, 1) - 1
    torch_x = torch.tensor(x.transpose(0, 3, 1, 2))
    assert_same_losses(adversarial.pyramid(), x, adversarial.torch_pyramid(), torch_x)


def layers_of_dcgan(tree):
    """Does as `as_torch`, in the order of PyTorch's layers: a weight, then its bias or the normalisation after it."""
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


@pytest.mark.slow
@pytest.mark.parametrize("size", [dcgan.DIGITS, dcgan.Size((16, 16, 3), (4, 5, 6))])
def test_the_deep_convolutional_game(size):
    x = 2 * images(BATCH, *size.shape) - 1
    torch_x = torch.tensor(x.transpose(0, 3, 1, 2))
    assert_same_losses(dcgan.game(size), x, dcgan.torch_game(size), torch_x, as_torch=layers_of_dcgan)


def test_while_one_player_moves_the_others_rest():
    """Two players of v(a, b) = a b: b moves after a, so its gradient is the new a."""
    a, b = (torch.nn.Parameter(torch.ones(())) for _ in range(2))
    players = [(lambda x: a * b, [a]), (lambda x: -a * b, [b])]
    run = sides.torch_training(players, None, 2, torch.zeros(4, 1), lr=0.1)
    run(1)
    assert (float(a.detach()), float(b.detach())) == pytest.approx((0.9, 1.1), abs=1e-4)  # Adam's first step is lr
    assert (float(a.grad), float(b.grad)) == pytest.approx((1, -0.9), abs=1e-4)
