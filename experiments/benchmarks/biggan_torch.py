"""PyTorch's side of `experiments.benchmarks.biggan`: networks and losses by hand, on variables copied from ours.

A network takes its parameters and its state (singular vectors, batch statistics), trees with our names, and moves the
state. Images are `[batch, channels, height, width]`. PyTorch doubles an image before a 3 x 3 convolution, and takes
means after it; 1 x 1 convolutions see the smaller image, as ours do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.benchmarks.sequences_torch import Tree, as_parameters, leaves


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Images and their classes; `examples[rows]` is a batch of both."""

    x: Any
    label: Any

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> tuple[Any, Any]:
        return self.x[rows], self.label[rows]


class Player:
    """Parameters of a network and its state, copied from flax variables; kernels and images have a memory format."""

    def __init__(self, variables: Any, memory_format: Any):
        self.params, self.state = as_parameters(variables), as_tensors(variables["batch_stats"])
        self.memory_format = memory_format
        for leaf in self.leaves:
            if leaf.ndim == 4:
                leaf.data = leaf.data.contiguous(memory_format=memory_format)

    @property
    def leaves(self) -> list:
        """The parameters, sorted by name."""
        return leaves(self.params)


def as_tensors(tree: Any) -> Tree:
    """Returns a tree of tensors of the same numbers."""
    import torch

    return {
        name: as_tensors(part) if isinstance(part, Mapping) else torch.tensor(np.asarray(part))
        for name, part in tree.items()
    }


def normalised(p: Tree, s: Tree):
    """Returns a kernel divided by its largest singular value, after one power iteration, which moves the state."""
    import torch
    from torch.nn import functional

    kernel = p["kernel"]
    filters = kernel.flatten(1) if kernel.ndim == 4 else kernel.T
    with torch.no_grad():
        u = functional.normalize(filters @ (filters.T @ s["u"]), dim=0)
        s["u"].copy_(u)
    return kernel / (filters.T @ u).norm()


def convolution(p: Tree, s: Tree, x):
    """Returns images of the same height and width, by a spectrally normalised kernel of odd size."""
    from torch.nn import functional

    kernel = normalised(p, s)
    return functional.conv2d(x, kernel, p.get("bias"), padding=kernel.shape[-1] // 2)


def batch_norm(s: Tree, x, weight=None, bias=None):
    """Returns x normalised by the moments of the batch, which move the running averages."""
    from torch.nn import functional

    return functional.batch_norm(x, s["mean"], s["var"], weight, bias, training=True, momentum=0.1)


def conditional_norm(p: Tree, s: Tree, x, y):
    """Returns batch normalisation with gain 1 + gain(y) and bias(y)."""
    gain = y @ normalised(p["gain"], s["SpectralNormalisation_0"])
    bias = y @ normalised(p["bias"], s["SpectralNormalisation_1"])
    return batch_norm(s["BatchNorm_0"], x) * (1 + gain[..., None, None]) + bias[..., None, None]


def doubled(x):
    """Returns images of double height and width; each pixel is repeated."""
    from torch.nn import functional

    return functional.interpolate(x, scale_factor=2, mode="nearest")


def halved(x):
    """Returns means over blocks of 2 x 2 pixels."""
    from torch.nn import functional

    return functional.avg_pool2d(x, 2)


def up_block(p: Tree, s: Tree, x, y):
    """Returns the outputs of `networks.residual.UpBlock`."""
    import torch

    h = torch.relu(conditional_norm(p["ConditionalBatchNorm_0"], s["ConditionalBatchNorm_0"], x, y))
    h = convolution(p["Upsampled_0"], s["SpectralNormalisation_0"], doubled(h))
    h = torch.relu(conditional_norm(p["ConditionalBatchNorm_1"], s["ConditionalBatchNorm_1"], h, y))
    h = convolution(p["Convolution_0"], s["SpectralNormalisation_1"], h)
    return h + doubled(convolution(p["Convolution_1"], s["SpectralNormalisation_2"], x))


def down_block(p: Tree, s: Tree, x, first: bool):
    """Returns the outputs of `networks.residual.DownBlock`, which halves the image."""
    import torch

    h = x if first else torch.relu(x)
    h = torch.relu(convolution(p["Convolution_0"], s["SpectralNormalisation_0"], h))
    h = halved(convolution(p["ConvolutionOfMeans_0"], s["SpectralNormalisation_1"], h))
    return h + convolution(p["Convolution_1"], s["SpectralNormalisation_2"], halved(x))


def attend(p: Tree, s: Tree, x):
    """Returns the outputs of `networks.attention.SelfAttention`."""
    import torch
    from torch.nn import functional

    query, key, value = (
        convolution(p[name], s[f"SpectralNormalisation_{i}"], x) for i, name in enumerate(("query", "key", "value"))
    )
    key, value = (functional.max_pool2d(h, 2).flatten(2) for h in (key, value))
    weights = torch.softmax(query.flatten(2).mT @ key, -1)
    attended = (value @ weights.mT).view(len(x), -1, *x.shape[2:])
    return x + p["gain"] * convolution(p["out"], s["SpectralNormalisation_3"], attended)


def generate(player: Player, z, label, attention: int):
    """Returns images of latents z and classes, with attention after the block of this height."""
    import torch

    p, s = player.params, player.state
    blocks = [name for name in p if name.startswith("UpBlock")]
    first, *chunks = z.chunk(len(blocks) + 1, 1)
    embedding = p["embedding"]["kernel"][label]
    h = torch.addmm(p["first"]["bias"], first, normalised(p["first"], s["SpectralNormalisation_0"]))
    channels = p["UpBlock_0"]["ConditionalBatchNorm_0"]["gain"]["kernel"].shape[1]
    side = round((h.shape[1] / channels) ** 0.5)
    h = h.view(len(z), side, side, channels).permute(0, 3, 1, 2).contiguous(memory_format=player.memory_format)
    for block, chunk in zip(blocks, chunks, strict=True):
        h = up_block(p[block], s[block], h, torch.cat([embedding, chunk], 1))
        if h.shape[2] == attention:
            h = attend(p["SelfAttention_0"], s["SelfAttention_0"], h)
    norm = p["BatchNorm_0"]
    h = torch.relu(batch_norm(s["BatchNorm_0"], h, norm["scale"], norm["bias"]))
    return torch.tanh(convolution(p["image"], s["SpectralNormalisation_1"], h))


def discriminate(player: Player, x, label, attention: int):
    """Returns the logits of images and classes: means over pixels, a linear map, and the projection."""
    import torch

    p, s = player.params, player.state
    h = x
    for level, block in enumerate(name for name in p if name.startswith("DownBlock")):
        h = down_block(p[block], s[block], h, level == 0)
        if h.shape[2] == attention:
            h = attend(p["SelfAttention_0"], s["SelfAttention_0"], h)
    features = torch.relu(h).mean((2, 3))
    logit = torch.addmm(p["logit"]["bias"], features, normalised(p["logit"], s["SpectralNormalisation_0"]))
    projection = p["Projection_0"], s["Projection_0"]
    embedding = normalised(projection[0]["embedding"], projection[1]["SpectralNormalisation_0"])
    return logit[:, 0] + (embedding[label] * features).sum(1)


def shifted(x, most: int):
    """Returns images, each shifted by up to `most` pixels along both axes and padded by -1."""
    import torch
    from torch.nn import functional

    n, channels, height, width = x.shape
    offsets = torch.randint(0, 2 * most + 1, (n, 2))
    rows, columns = (offsets[:, axis, None] + torch.arange(size) for axis, size in enumerate((height, width)))
    examples, of_channels = torch.arange(n)[:, None, None, None], torch.arange(channels)[:, None, None]
    padded = functional.pad(x, (most,) * 4, value=-1.0)
    return padded[examples, of_channels, rows[:, None, :, None], columns[:, None, None, :]]


def orthogonal_penalty(p: Tree):
    """Returns the sum of squared products of different filters, over all kernels but the embedding."""
    total = 0.0
    for leaf in leaves({name: part for name, part in p.items() if name != "embedding"}):
        if leaf.ndim > 1:
            filters = leaf.flatten(1) if leaf.ndim == 4 else leaf.T
            products = filters @ filters.T
            products.diagonal().zero_()
            total = total + products.square().sum()
    return total


def game(config: Any, attention: int, discriminator: Player, generator: Player) -> list[tuple[Callable, list]]:
    """Returns the losses of discriminator and generator, each with its parameters."""
    import torch

    def draw(label):
        return generate(generator, torch.randn(len(label), config.latent), label, attention)

    def judge(x, label):
        return discriminate(discriminator, shifted(x, config.adversary.translation), label, attention)

    def discriminator_loss(batch):
        x, label = batch
        with torch.no_grad():
            fake = draw(label)
        real_logits = judge(x, label)
        return (torch.relu(1 - real_logits) + torch.relu(1 + judge(fake, label))).mean()

    def generator_loss(batch):
        _, label = batch
        value = -judge(draw(label), label).mean()
        return value + config.adversary.orthogonal * orthogonal_penalty(generator.params)

    return [(discriminator_loss, discriminator.leaves), (generator_loss, generator.leaves)]


def averaging(player: Player, decay: float) -> Callable:
    """Returns a function that moves averages of parameters and state by one step, and returns its argument."""
    import torch

    tensors = [*player.leaves, *leaves(player.state)]
    averages, steps = [tensor.detach().clone() for tensor in tensors], 0

    def move(batch):
        nonlocal steps
        kept = decay * (1 - decay**steps) / (1 - decay ** (steps + 1))
        steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(averages, tensors, 1 - kept)
        return batch

    return move
