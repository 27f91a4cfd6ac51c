"""PyTorch's convolutional VAE is ours, and the benchmark of forms compares equal results."""

import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments.benchmarks import convolutional_vae, convolutions
from experiments.benchmarks.convolutional_vae import Size
from experiments.benchmarks.convolutions import RULE, TORCH, Benchmark, Case
from genjax_models.networks import convolution_forms as forms

STRIDED, TRANSPOSED = Case(False, 8, 2, 9, 4, 2, 2), Case(True, 4, 9, 8, 4, 2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("colours", [1, 3])
def test_both_sides_have_the_same_loss_and_gradient(colours, monkeypatch):
    torch = pytest.importorskip("torch")
    size = Size((16, 16, colours), (4, 6), 5)
    objective = gx.vae(convolutional_vae.model_of(size))
    x = np.random.RandomState(0).randint(0, 2, (5, *size.shape)).astype(np.float32)
    if colours > 1:
        x = np.random.RandomState(0).randint(0, 256, x.shape).astype(np.float32) / 255
    key, players = jax.random.key(3), objective.init(jax.random.key(0), gx.Batch(x))
    value, slopes = jax.value_and_grad(lambda players: objective.losses["vae"](players, key, gx.Batch(x), 0)[0])(
        players
    )
    theirs, networks = convolutional_vae.torch_loss(size)

    channels_first = lambda kernel: kernel.reshape(4, 4, 6, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)

    def of_torch(tree):
        """Our numbers, in PyTorch's order and axes."""
        encoder, generator = tree["encoder"], tree["generator"]
        strided = lambda layer: [layer["kernel"].transpose(3, 2, 0, 1), layer["bias"]]
        transposed = lambda layer: [layer["kernel"][::-1, ::-1].transpose(2, 3, 0, 1), layer["bias"]]
        dense = lambda layer: [layer["kernel"].T, layer["bias"]]
        image = generator["logits" if colours == 1 else "mean"]
        first = {**encoder["MLP_0"]["Dense_0"]}
        first["kernel"] = channels_first(first["kernel"])
        last = generator["Dense_0"]
        last = {
            "kernel": channels_first(last["kernel"].T).T,
            "bias": last["bias"].reshape(4, 4, 6).transpose(2, 0, 1).ravel(),
        }
        arrays = [] if colours == 1 else [generator["raw_scale"].transpose(2, 0, 1)]
        for layer in (strided(encoder["Conv_0"]), strided(encoder["Conv_1"]), dense(first)):
            arrays += layer
        arrays += dense(encoder["mean"]) + dense(encoder["raw_scale"]) + dense(generator["MLP_0"]["Dense_0"])
        return arrays + dense(last) + transposed(generator["ConvTranspose_0"]) + transposed(image)

    to_numpy = lambda tree: jax.tree.map(np.asarray, tree["vae"]["params"])
    parameters = list(networks.parameters())
    for parameter, array in zip(parameters, of_torch(to_numpy(players)), strict=True):
        parameter.data = torch.tensor(np.ascontiguousarray(array))
    noise = torch.tensor(np.asarray(jax.random.normal(key, (1, 5, convolutional_vae.LATENT)))[0])
    monkeypatch.setattr(torch, "randn_like", lambda mean: noise)
    loss = theirs(torch.tensor(x).permute(0, 3, 1, 2))
    loss.backward()
    np.testing.assert_allclose(float(loss.detach()), value, rtol=1e-5)
    for parameter, slope in zip(parameters, of_torch(to_numpy(slopes)), strict=True):
        np.testing.assert_allclose(parameter.grad, slope, rtol=1e-3, atol=1e-4 * np.abs(slope).max())


def test_forms_are_measured_where_they_are_possible():
    axes = {
        "plain": (forms.Axis(1, 1, 1, 1, 1),) * 2,
        "strided": (forms.Axis(2, 1, 1, 1, 1),) * 2,
        "dilated": (forms.Axis(1, 2, 2, 2, 1),) * 2,
        "two factors": (forms.Axis(2, 2, 2, 2, 1),) * 2,
    }
    kernel = (4, 4, 3, 8)
    able = {
        name: {form.__name__ for form in convolutions.FORMS.values() if convolutions.possible(form, kernel, axis)}
        for name, axis in axes.items()
    }
    assert able == {
        "plain": {"by_eigen", "as_product", "by_onednn"},
        "strided": {"polyphase", "as_product", "by_onednn", "phases_by_onednn"},
        "dilated": {"polyphase", "phases_by_onednn"},
        "two factors": set(),
    }
    assert not convolutions.possible(forms.as_product, (16, 16, 3, 8), axes["plain"])  # too many patches
    derivative = [name for name in axes if convolutions.possible(forms.by_row_products, (16, 16, 3, 8), axes[name])]
    assert derivative == ["plain", "dilated"]
    derivative = [name for name in axes if convolutions.possible(forms.by_shift_products, (16, 16, 3, 8), axes[name])]
    assert derivative == ["plain"]


@pytest.mark.slow
@pytest.mark.parametrize("case", [STRIDED, TRANSPOSED])
@pytest.mark.parametrize("operation", ["forward", "image", "kernel"])
def test_contestants_agree_and_are_in_the_table(case, operation):
    times = convolutions.measure(case, operation, Benchmark(turns=1))
    assert {"as it is", RULE} < set(times)
    assert ("product" in times) == (operation == ("image" if case.transposed else "forward"))
    line = convolutions.row(case, operation, {**dict.fromkeys(times, 1.0), RULE: 2.0, TORCH: 3.0})
    assert "1.50 x" in line
    assert "2.00" in line


def test_other_results_are_refused():
    with pytest.raises(AssertionError, match="phases"):
        convolutions.check("phases", np.ones(3), np.array([1, 1, 1.001]))
