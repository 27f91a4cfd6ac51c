"""Weights carried from torch to Flax give the same model; these tests do not need pythae."""

import importlib.util

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments.benchmarks import likelihoods, pythae
from experiments.benchmarks.pythae_sides import log_variance_model, to_flax, to_torch
from genjax_models.errors import InputError

SIZES = {"shape": (3, 2, 1), "latent": 4, "hidden": 5}


def state_dict():
    """Returns weights `[out, in]` and biases `[out]` with the names of torch; the square weights reveal a transpose."""
    random = np.random.RandomState(0)
    sizes = {
        "encoder.hidden.0": (5, 6),
        "encoder.hidden.2": (5, 5),
        "encoder.mean": (4, 5),
        "encoder.log_variance": (4, 5),
        "decoder.hidden.0": (5, 4),
        "decoder.hidden.2": (5, 5),
        "decoder.logits": (6, 5),
    }
    state = {}
    for name, (out, within) in sizes.items():
        state[f"{name}.weight"] = random.randn(out, within).astype(np.float32)
        state[f"{name}.bias"] = random.randn(out).astype(np.float32)
    return state


def linear(state, name, x):
    """Returns x W' + b, a torch Linear."""
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def two_layers(state, name, x):
    return np.tanh(linear(state, f"{name}.2", np.tanh(linear(state, f"{name}.0", x))))


def test_carried_weights_give_the_posterior_and_the_likelihood_of_torch():
    state, random = state_dict(), np.random.RandomState(1)
    x, z = random.rand(7, 6).astype(np.float32), random.randn(7, 4).astype(np.float32)
    h, g = two_layers(state, "encoder.hidden", x), two_layers(state, "decoder.hidden", z)
    probability = 1 / (1 + np.exp(-linear(state, "decoder.logits", g)))

    model, variables = log_variance_model(**SIZES), to_flax(state)
    posterior = model.posterior(variables, x.reshape(7, 3, 2, 1))
    np.testing.assert_allclose(posterior.mean(), linear(state, "encoder.mean", h), rtol=1e-4, atol=1e-5)
    variance = np.exp(linear(state, "encoder.log_variance", h))
    np.testing.assert_allclose(np.square(posterior.stddev()), variance, rtol=1e-4)
    likelihood = model.likelihood(variables, z)
    np.testing.assert_allclose(likelihood.mean(), probability.reshape(7, 3, 2, 1), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_first_weights_are_carried_there_and_back():
    model, x = log_variance_model(**SIZES), np.zeros((8, 3, 2, 1), np.float32)
    variables = model.init(jax.random.key(0), gx.Batch(x))
    carried = to_torch(variables)
    assert {name: array.shape for name, array in carried.items()} == {
        name: array.shape for name, array in state_dict().items()
    }
    back = to_flax(carried)
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, back, variables)


@pytest.mark.slow
def test_both_sides_start_with_the_same_weights_except_of_the_scale():
    batch = gx.Batch(np.random.RandomState(0).randint(0, 2, (8, 28, 28, 1)).astype(np.float32))
    models = (likelihoods.iwae_system(1).model, log_variance_model())
    own, other = (model.init(jax.random.key(3), batch) for model in models)
    own, other = (dict(jax.tree_util.tree_leaves_with_path(variables)) for variables in (own, other))
    shared = [path for path in own if "raw_scale" not in jax.tree_util.keystr(path)]
    assert len(shared) == len(own) - 2
    for path in shared:
        np.testing.assert_array_equal(own[path], other[path])


@pytest.mark.parametrize("wrong", ["a name too many", "a name missing"])
def test_a_state_dict_of_another_network_is_refused(wrong):
    state = state_dict()
    if wrong == "a name missing":
        del state["encoder.mean.bias"]
    else:
        state["encoder.covariance.bias"] = np.zeros(4)
    with pytest.raises(ValueError, match=r"differ from the layers' by \['encoder\.(mean|covariance)\.bias'\]"):
        to_flax(state)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"objective": "vae", "num_samples": 50}, "num_samples must be 1 for objective vae, got 50"),
        ({"num_samples": 0}, "num_samples must be an integer of at least 1, got 0"),
        ({"threads": -1}, "threads must be an integer of at least 1, got -1"),
        ({"seeds": ()}, "seeds must have at least one seed"),
    ],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        pythae.Benchmark(**wrong)


@pytest.mark.skipif(importlib.util.find_spec("pythae") is not None, reason="pythae is installed")
def test_without_pythae_one_line_says_how_to_install_it(capsys):
    with pytest.raises(SystemExit) as stop:
        pythae.main([])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "pip install --target FOLDER --no-deps pythae==0.1.2" in line
