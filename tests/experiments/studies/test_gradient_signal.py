"""Noise does not bias the ratio, slopes match theory on a small model, and the command takes runs of vae and iwae."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import iwae, vae
from experiments.studies import gradient_signal
from experiments.studies.gradient_signal import Draws, log_signal_to_noise, moments, summarise
from genjax_models.commands.train import main
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.estimators.importance import iwae_bound
from genjax_models.models import LatentVariableModel
from genjax_models.types import Batch

# z ~ N(0, 1), x | z ~ N(z, 1), whose posterior is N(x / 2, 1 / 2).
UNIT = diagonal_normal(jnp.zeros(1), jnp.ones(1))
EXACT = {"weight": jnp.array(0.5), "log_scale": jnp.array(-0.5 * np.log(2))}
OFF = {"weight": jnp.array(0.3), "log_scale": jnp.array(-0.2)}
BATCH = Batch(jnp.array([[1.0], [-0.5]]))


def posterior(variables, x, label=None):
    encoder = variables["params"]["encoder"]
    return diagonal_normal(encoder["weight"] * x, jnp.exp(encoder["log_scale"]) * jnp.ones_like(x))


def likelihood(variables, z, label=None):
    return diagonal_normal(z, jnp.ones_like(z))


MODEL = LatentVariableModel(lambda key, batch: {}, posterior, lambda variables, label=None: UNIT, likelihood)


def toy_moments(encoder, k, gradient, repeats=200, batch=BATCH):
    return moments(MODEL, {"params": {"encoder": encoder}}, batch, jax.random.key(k), k, gradient, repeats)


def test_noise_is_no_signal():
    """2,000 parameters of mean 0.1 and variance 1: without the correction the ratio would be 0.14."""
    random = np.random.RandomState(0)
    g = 0.1 + random.normal(size=(20, 5, 2_000))
    mean, square = g.mean(1), (g**2).sum(2).mean(1)
    log_ratio = log_signal_to_noise(Draws(mean, square, square, 5))
    assert log_ratio.shape == (21,)
    assert np.exp(log_ratio[0]) == pytest.approx(0.1, rel=0.03)
    assert np.all(np.isnan(log_signal_to_noise(Draws(mean - mean.mean(0), square, square, 5))))  # noise only: no ratio


def test_the_error_matches_the_spread_of_repeated_measurements():
    random, ratios, errors = np.random.RandomState(0), [], []
    for _ in range(300):
        g = 0.3 + random.normal(size=(20, 5, 30))
        of_k = Draws(g.mean(1), (g**2).sum(2).mean(1), np.zeros(20), 5)
        signal = summarise((1, 2), [of_k, of_k])
        ratios.append(signal.ratio[0])
        errors.append(signal.ratio_error[0])
    assert np.mean(ratios) == pytest.approx(0.3, rel=0.02)
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.2)
    assert signal.slope == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_moments_match_the_gradients():
    def bound(encoder, key):
        q = posterior({"params": {"encoder": encoder}}, BATCH.x)
        return jnp.mean(iwae_bound(key, BATCH.x, q, UNIT, lambda z: likelihood({}, z), num_samples=3))

    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(3), i))(jnp.arange(40))
    values, g = jax.vmap(lambda key: jax.value_and_grad(bound)(OFF, key))(keys)
    g = np.stack([g["log_scale"], g["weight"]], axis=-1).reshape(20, 2, 2)  # groups, draws, parameters by name
    draws = toy_moments(OFF, 3, "standard", repeats=40)
    assert draws.size == 2
    np.testing.assert_allclose(draws.mean, g.mean(1), atol=1e-5)
    np.testing.assert_allclose(draws.square, (g**2).sum(2).mean(1), atol=1e-5)
    np.testing.assert_allclose(draws.bound, np.reshape(values, (20, 2)).mean(1), atol=1e-5)


@pytest.mark.slow
def test_at_the_posterior_two_gradients_have_no_noise():
    assert np.all(toy_moments(EXACT, 4, "standard").square > 0.01)
    for gradient in ("sticking_the_landing", "doubly_reparameterized"):
        np.testing.assert_allclose(toy_moments(EXACT, 4, gradient).square, 0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gradient", "slope", "samples"),
    [
        ("standard", -0.5, (8, 32, 128)),
        ("sticking_the_landing", 0.5, (16, 64, 256)),
        ("doubly_reparameterized", 0.5, (16, 64, 256)),
    ],
)
def test_slopes_match_theory(gradient, slope, samples):
    batch = Batch(jnp.linspace(-2, 2, 32)[:, None])
    signal = summarise(samples, [toy_moments(OFF, k, gradient, 4_000, batch) for k in samples])
    assert signal.slope_error < 0.05
    assert abs(signal.slope - slope) < 5 * signal.slope_error + 0.03  # 0.03: higher-order terms at the smallest k


TRAINING = "--steps 0 --batch-size 20"


LAYERS = "--layers 2 --latent 3 2 --hidden 8 8 --num-samples 2 --judge-samples 30"


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """Returns name -> the directory of an untrained run of that experiment."""
    folder = tmp_path_factory.mktemp("gradient_signal")

    @cache
    def run(name):
        experiment, flags = {"vae": (vae.EXPERIMENT, "--hidden 16"), "iwae": (iwae.EXPERIMENT, LAYERS)}[name]
        data = ["--data", str(files / "images.npz"), *TRAINING.split()]
        assert main(experiment, [*data, *flags.split(), "--run-dir", str(folder / name)]) == 0
        return folder / name

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "iwae"])
def test_the_command_draws_and_prints(trained, name, capsys):
    run = trained(name)
    capsys.readouterr()
    assert gradient_signal.main([str(run), "--num-samples", "1", "4", "--repeats", "40"]) == 0
    heading, one, four, slope, path = capsys.readouterr().out.strip().splitlines()
    assert heading.split()[4:] == ["standard", "sticking_the_landing", "doubly_reparameterized"]
    assert [row.split()[0] for row in (one, four, slope)] == ["1", "4", "slope"]
    sticking, doubly = one.split()[5:8], one.split()[8:]
    assert sticking == doubly  # at k = 1 they are equal
    with Image.open(path) as picture:
        assert min(picture.size) > 300


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--num-samples", "4", "4"], ["num_samples", "two different k"]),
        (["--num-samples", "0", "4"], ["num_samples", "at least 1"]),
        (["--repeats", "39"], ["repeats", "40", "39"]),
        (["--examples", "61"], ["examples must be at most", "the test split", "61"]),
    ],
)
def test_refused_options_give_one_line(trained, arguments, words, capsys):
    run = trained("vae")
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        gradient_signal.main([str(run), *arguments])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert all(word in message for word in words)
