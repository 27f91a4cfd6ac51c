"""PyTorch's sides of `experiments.benchmarks.sequences`: losses of parameters that are copied from ours.

A loss takes a tree of parameters (kernels `[inputs, outputs]`, as flax has them) and a batch, and returns a scalar. It
is written for speed in PyTorch: one product for all gates of an LSTM, no module calls, and no work inside the loop over
steps that could be done once for all steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Tree = Mapping[str, Any]  # names -> tensors or trees
SMALLEST_SCALE = 1e-4
_TO_OIHW = (3, 2, 0, 1)  # kernels of convolutions are [out, in, height, width] in PyTorch


def as_parameters(variables: Tree) -> Tree:
    """Returns the params of flax variables as a tree of PyTorch's parameters, kernels of convolutions in its order."""
    import torch

    def convert(tree: Any) -> Any:
        if isinstance(tree, Mapping):
            return {name: convert(part) for name, part in tree.items()}
        array = np.asarray(tree)
        return torch.nn.Parameter(torch.tensor(array.transpose(_TO_OIHW) if array.ndim == 4 else array))

    return convert(variables["params"])


def leaves(tree: Any) -> list:
    """Returns the tensors of a tree, sorted by name as jax sorts them."""
    if not isinstance(tree, Mapping):
        return [tree]
    return [leaf for name in sorted(tree) for leaf in leaves(tree[name])]


def dense(p: Tree, x):
    """Returns x `[..., inputs]` through a linear layer."""
    return x @ p["kernel"] + p["bias"]


def positive(raw):
    """Returns a scale as `models.families.positive` does."""
    import torch

    return torch.nn.functional.softplus(raw) + SMALLEST_SCALE


def normal_kl(mean, scale, prior_mean=0.0, prior_scale=None):
    """Returns KL(N(mean, scale^2) || N(prior_mean, prior_scale^2)) per number; the prior scale is 1 by default."""
    import torch

    if prior_scale is None:
        return 0.5 * (mean**2 + scale**2 - 1) - torch.log(scale)
    square = (scale**2 + (mean - prior_mean) ** 2) / prior_scale**2
    return torch.log(prior_scale) - torch.log(scale) + 0.5 * (square - 1)


def log_bernoulli(logits, x):
    """Returns the log-probability of bits per number."""
    import torch

    return x * logits - torch.nn.functional.softplus(logits)


def noise_of_steps(steps: int, *shape: int):
    """Returns normal numbers `[steps, *shape]` of all steps, drawn at once."""
    import torch

    return torch.randn(steps, *shape)


def uniform_of_steps(steps: int, *shape: int):
    """Returns uniform numbers `[steps, *shape]` of all steps, drawn at once."""
    import torch

    return torch.rand(steps, *shape)


def made_loss(p: Tree, hidden: int, size: int) -> Callable:
    """Returns the loss of a MADE of one hidden layer, of at least `size` - 1 units, on bits `[batch, size]`."""
    import torch

    places = torch.arange(1, size + 1)
    degrees = 1 + torch.arange(hidden) % (size - 1)
    into = (places[:, None] <= degrees[None]).float()
    out = (degrees[:, None] < places[None]).float()
    first, last = p["MaskedDense_0"], p["logits"]

    def loss(x):
        h = torch.relu(torch.addmm(first["bias"], x, first["kernel"] * into))
        logits = torch.addmm(last["bias"], h, last["kernel"] * out)
        return -log_bernoulli(logits, x).sum() / len(x)

    return loss


def lstm(gates, c):
    """Returns the state (c, h) of an LSTM after its gates `[batch, 4 hidden]`, in the order i, f, g, o."""
    import torch

    i, f, g, o = gates.chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return c, torch.sigmoid(o) * torch.tanh(c)


def filterbanks(parameters, size: int, side: int):
    """Returns the filters of rows and of columns, `[batch, size, side]`, and log gamma, of a square image."""
    import torch

    across, down = parameters[:, :2].clamp(-3, 3).unbind(-1)
    log_variance, log_stride, log_gamma = parameters[:, 2:].clamp(-10, 10).unbind(-1)
    offsets = torch.arange(1, size + 1) - size / 2 - 0.5
    pixels, stride = torch.arange(1, side + 1), (side - 1) / (size - 1) * torch.exp(log_stride)
    scale = -0.5 * torch.exp(-log_variance)[:, None, None]

    def filters(centre):
        means = ((side + 1) / 2 * (centre + 1))[:, None] + stride[:, None] * offsets
        return torch.softmax(scale * (pixels - means[..., None]) ** 2, -1)

    return filters(down), filters(across), log_gamma


def draw_loss(p: Tree, steps: int, latent: int, read_size: int, write_size: int, side: int = 28) -> Callable:
    """Returns the loss of DRAW with attention on bits `[batch, side^2]`: reconstruction, and the KL by step, closed."""
    import torch

    def loss(x):
        batch, hidden = len(x), p["encoder"]["of_hidden"].shape[0]
        gates = {name: torch.cat([p[name]["of_input"]["kernel"], p[name]["of_hidden"]]) for name in LSTMS}
        biases = {name: p[name]["of_input"]["bias"] for name in LSTMS}
        eps = noise_of_steps(steps, batch, latent)
        encoder_c = encoder_h = decoder_c = decoder_h = x.new_zeros(batch, hidden)
        canvas, kl = p["logits"].expand(batch, -1), 0.0
        for t in range(steps):
            both = torch.stack([x, x - torch.sigmoid(canvas)], 1).view(batch, 2, side, side)
            rows, columns, log_gamma = filterbanks(dense(p["read_window"], decoder_h), read_size, side)
            patches = rows[:, None] @ both @ columns[:, None].mT * torch.exp(log_gamma)[:, None, None, None]
            seen = torch.cat([patches.flatten(1), decoder_h, encoder_h], -1)
            encoder_c, encoder_h = lstm(torch.addmm(biases["encoder"], seen, gates["encoder"]), encoder_c)
            mean, raw = dense(p["posterior"], encoder_h).chunk(2, -1)
            scale = positive(raw)
            kl = kl + normal_kl(mean, scale).sum()
            z = mean + scale * eps[t]
            seen = torch.cat([z, decoder_h], -1)
            decoder_c, decoder_h = lstm(torch.addmm(biases["decoder"], seen, gates["decoder"]), decoder_c)
            rows, columns, log_gamma = filterbanks(dense(p["write_window"], decoder_h), write_size, side)
            patch = dense(p["patch"], decoder_h).view(batch, write_size, write_size)
            painted = rows.mT @ patch @ columns * torch.exp(-log_gamma)[:, None, None]
            canvas = canvas + painted.flatten(1)
        return -(log_bernoulli(canvas, x).sum() - kl) / batch

    return loss


def pixel_vae_loss(p: Tree, latent: int, channels: int, side: int = 28) -> Callable:
    """Returns the loss of a PixelVAE on bits `[batch, side^2]`; `channels` counts channels of the condition."""
    import torch
    from torch.nn import functional

    encoder, generator, decoder = p["encoder"], p["generator"], p["decoder"]
    layers = [decoder[f"gated_{i}"] for i in range(sum(name.startswith("gated_") for name in decoder))]

    def mlp(p, x):
        for i in range(len(p)):
            x = torch.relu(dense(p[f"Dense_{i}"], x))
        return x

    def pointwise(p, images):
        bias = p.get("bias")
        return functional.conv2d(images, p["kernel"].T[:, :, None, None], bias)

    def gate(h):
        first, second = h.chunk(2, 1)
        return torch.tanh(first) * torch.sigmoid(second)

    def loss(x):
        batch = len(x)
        h = mlp(encoder["MLP_0"], x)
        mean, scale = dense(encoder["mean"], h), positive(dense(encoder["raw_scale"], h))
        z = mean + scale * torch.randn(batch, latent)
        given = dense(generator["x"], mlp(generator["MLP_0"], z)).view(batch, side, side, channels).permute(0, 3, 1, 2)
        image = x.view(batch, 1, side, side)
        vertical = horizontal = image
        for i, layer in enumerate(layers):
            reach, end = layer["vertical"]["kernel"].shape[-1] // 2, -1 if i == 0 else None
            bias = pointwise(layer["condition"], given)
            above = functional.pad(vertical, (reach, reach, reach, 0))[:, :, :end]
            left = functional.pad(horizontal, (reach, 0))[..., :end]
            v = functional.conv2d(above, layer["vertical"]["kernel"], layer["vertical"]["bias"])
            h = functional.conv2d(left, layer["horizontal"]["kernel"], layer["horizontal"]["bias"])
            h = h + pointwise(layer["across"], v) + bias
            vertical, added = gate(v + bias), pointwise(layer["mixed"], gate(h))
            horizontal = added if i == 0 else horizontal + added
        logits = pointwise(decoder["last"]["logits"], torch.relu(horizontal))
        return -(log_bernoulli(logits, image).sum() - normal_kl(mean, scale).sum()) / batch

    return loss


def vrnn_loss(p: Tree, particles: int, hidden: int, latent: int) -> Callable:
    """Returns minus the filtering bound of a variational RNN of one layer, on `[batch, time, d + 1]`: bits and a mask.

    It resamples at an effective sample size below half of the particles, from independent uniform numbers.
    """
    import torch

    encode, consider = p["x_features"]["Dense_0"], p["z_features"]["Dense_0"]

    def log_normal(z, mean, scale):
        return (-0.5 * ((z - mean) / scale) ** 2 - torch.log(scale)).sum(-1)  # the constants of p and q cancel

    def loss(x):
        bits, mask = x[..., :-1].transpose(0, 1), x[..., -1].transpose(0, 1)
        time, batch, _ = bits.shape
        of_x = torch.relu(dense(encode, bits)) @ p["of_x"]["kernel"]
        eps = noise_of_steps(time, particles, batch, latent)
        points = uniform_of_steps(time, particles, batch)
        goes_on = torch.cat([mask[1:], torch.zeros_like(mask[:1])]) > 0
        h = c = x.new_zeros(particles, batch, hidden)
        log_w, total = x.new_zeros(particles, batch), x.new_zeros(batch)
        own = torch.arange(particles)[:, None].expand(particles, batch)
        for t in range(time):
            prior, encoder, decoder, gates = dense(p["of_hidden"], h).split([hidden] * 3 + [4 * hidden], -1)
            prior_mean, raw = dense(p["prior"], torch.relu(prior)).chunk(2, -1)
            prior_scale = positive(raw)
            mean, raw = dense(p["posterior"], torch.relu(encoder + of_x[t, :, :hidden])).chunk(2, -1)
            scale = positive(raw)
            z = mean + scale * eps[t]
            into_decoder, into_gates = (torch.relu(dense(consider, z)) @ p["of_z"]["kernel"]).split(
                [hidden, 4 * hidden], -1
            )
            logits = dense(p["generator"]["logits"], torch.relu(decoder + into_decoder))
            gain = log_bernoulli(logits, bits[t]).sum(-1) + log_normal(z, prior_mean, prior_scale)
            log_w = log_w + mask[t] * (gain - log_normal(z, mean, scale))
            new_c, new_h = lstm(of_x[t, :, hidden:] + into_gates + gates, c)
            on = mask[t][None, :, None] > 0
            h, c = torch.where(on, new_h, h), torch.where(on, new_c, c)
            weights = torch.softmax(log_w.detach(), 0)
            resampled = goes_on[t] & (1 / (weights**2).sum(0) < 0.5 * particles)
            upper = weights.cumsum(0)
            upper = (upper / upper[-1:]).T.contiguous()
            drawn = torch.searchsorted(upper, points[t].T.contiguous(), right=True).T.clamp(max=particles - 1)
            ancestors = torch.where(resampled, drawn, own)[..., None].expand(-1, -1, hidden)
            h, c = h.gather(0, ancestors), c.gather(0, ancestors)
            total = torch.where(resampled, total + torch.logsumexp(log_w, 0) - math.log(particles), total)
            log_w = torch.where(resampled, 0.0, log_w)
        return -(total + torch.logsumexp(log_w, 0) - math.log(particles)).sum() / batch

    return loss


LSTMS = ("encoder", "decoder")
