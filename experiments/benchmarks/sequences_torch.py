"""PyTorch's sides of `experiments.benchmarks.sequences`: losses of DRAW and MADE, of parameters copied from ours.

A loss takes a tree of parameters (kernels `[inputs, outputs]`, as flax has them) and a batch, and returns a scalar. It
is written for speed in PyTorch: one product for all gates of an LSTM, no module calls, and no work inside the loop over
steps that could be done once for all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Tree = Mapping[str, Any]  # names -> tensors or trees
SMALLEST_SCALE = 1e-4


def as_parameters(variables: Tree) -> Tree:
    """Returns the params of flax variables as a tree of PyTorch's parameters."""
    import torch

    def convert(tree: Any) -> Any:
        if isinstance(tree, Mapping):
            return {name: convert(part) for name, part in tree.items()}
        return torch.nn.Parameter(torch.tensor(np.asarray(tree)))

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


def made_loss(p: Tree, hidden: int, size: int) -> Callable:
    """Returns the loss of a MADE of one hidden layer on bits `[batch, size]`."""
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
        batch, hidden = len(x), p["encoder"]["recurrent"]["kernel"].shape[0]
        gates = {name: torch.cat([p[name]["inputs"]["kernel"], p[name]["recurrent"]["kernel"]]) for name in LSTMS}
        biases = {name: p[name]["recurrent"]["bias"] for name in LSTMS}
        eps = torch.randn(steps, batch, latent)
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


LSTMS = ("encoder", "decoder")
