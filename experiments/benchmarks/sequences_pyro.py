"""Pyro's side of `experiments.benchmarks.sequences`: model and guide of `gx.deep_markov_model` with a GRU.

Both sides have the same layers, the same parameters and the same estimator: one draw of z, and each KL in closed form.
Pyro's own example (pyro.ai/examples/dmm.html) has the same transition, emitter and combiner, with four differences:

- It reads backwards with an RNN of rectifiers and a learned first state. Ours is a GRU that starts at zero.
- Model and guide have a learned z_0 each. Ours share one.
- It emits x_t inside the loop. Here all steps are emitted after the loop, which is faster.
- It draws the KL too (`Trace_ELBO`).

Pyro's validation is off. The optimizer is PyTorch's fused Adam, as on the other sides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from experiments.benchmarks.sequences_torch import Tree, dense, positive
from genjax_models.errors import InputError

_number = itertools.count()  # of a model, because Pyro has one store of parameters


def check_installed() -> None:
    """Checks that Pyro is here.

    Raises:
      InputError: it is not.
    """
    try:
        import pyro  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the deep Markov model is compared with Pyro, which is absent: pip install pyro-ppl"
        ) from error


def dmm_loss(p: Tree, *, compiled: bool = False) -> Callable:
    """Returns minus the ELBO of a deep Markov model on `[batch, time, d + 1]`: bits and a mask.

    The first three calls of a compiled loss trace and compile.
    """
    import pyro
    from pyro.infer import JitTraceMeanField_ELBO, TraceMeanField_ELBO

    elbo = JitTraceMeanField_ELBO(ignore_jit_warnings=True) if compiled else TraceMeanField_ELBO()
    sides = DeepMarkovModel(p)
    model, guide = sides.model, sides.guide  # the compiled ELBO knows them by id: they must not be made at each call

    def loss(x):
        bits, mask = x[..., :-1].transpose(0, 1), x[..., -1].transpose(0, 1) > 0
        with pyro.validation_enabled(False):
            value = elbo.differentiable_loss(model, guide, bits, mask)
        vars(elbo)["_loss_and_surrogate_loss"] = True  # Pyro 1.9.2 never sets it, and would trace anew at each call
        return value / len(x)

    return loss


class DeepMarkovModel:
    """Model and guide over a tree of our parameters. Bits are `[time, batch, d]`, the mask `[time, batch]`."""

    def __init__(self, p: Tree):
        """Keeps the parameters, and names them for Pyro's store."""
        self.p, self.name = p, f"dmm_{next(_number)}"
        self.hidden, self.features = len(p["backwards"]["of_hidden"]), len(p["gate"]["kernel"])
        self.latent = len(p["z_0"])
        self.moving = 2 * self.features + self.latent  # outputs of the product with z that move z; the rest is q's

    def model(self, bits, mask) -> None:
        """Draws z_t given z_{t-1} by the gated transition, and x given z."""
        import pyro
        import torch
        from pyro.distributions import Bernoulli, Normal  # pyright: ignore[reportAttributeAccessIssue]

        p = _stored(self.p, self.name)
        kernel, bias = (p["of_z"][part][..., : self.moving] for part in ("kernel", "bias"))
        sizes, latents = [self.features, self.features, self.latent], []
        with pyro.plate("sequences", mask.shape[1]):
            z = p["z_0"].expand(mask.shape[1], -1)
            for t in range(len(mask)):
                gate, proposed, linear = torch.addmm(bias, z, kernel).split(sizes, -1)
                g, h = torch.sigmoid(dense(p["gate"], torch.relu(gate))), dense(p["proposed"], torch.relu(proposed))
                prior = Normal((1 - g) * linear + g * h, positive(dense(p["scale"], torch.relu(h))))
                with pyro.poutine.mask(mask=mask[t]):
                    z = pyro.sample(f"z_{t}", prior.to_event(1))
                latents.append(z)
            h = torch.stack(latents)
            for layer in ("Dense_0", "Dense_1"):
                h = torch.relu(dense(p["generator"]["MLP_0"][layer], h))
            likelihood = Bernoulli(logits=dense(p["generator"]["logits"], h))
            with pyro.plate("steps", len(mask)), pyro.poutine.mask(mask=mask):
                pyro.sample("x", likelihood.to_event(1), obs=bits)

    def guide(self, bits, mask) -> None:
        """Draws z_t given z_{t-1} and what a GRU has read of x from the end of its sequence down to t."""
        import pyro
        import torch
        from pyro.distributions import Normal

        p = _stored(self.p, self.name)
        kernel, bias = (p["of_z"][part][..., self.moving :] for part in ("kernel", "bias"))
        read = self.read(p["backwards"], bits, mask)
        with pyro.plate("sequences", mask.shape[1]):
            z = p["z_0"].expand(mask.shape[1], -1)
            for t in range(len(mask)):
                combined = (torch.tanh(torch.addmm(bias, z, kernel)) + read[t]) / 2
                mean, raw = dense(p["posterior"], combined).chunk(2, -1)
                with pyro.poutine.mask(mask=mask[t]):
                    z = pyro.sample(f"z_{t}", Normal(mean, positive(raw)).to_event(1))

    def read(self, p: Tree, bits, mask):
        """Returns what PyTorch's GRU has read, `[time, batch, hidden]`; each sequence is turned within its length."""
        import torch

        steps = torch.arange(len(mask))[:, None]
        turned = torch.where(mask, mask.sum(0) - 1 - steps, steps)[..., None]
        weights = [p["of_input"]["kernel"].T, p["of_hidden"].T, p["of_input"]["bias"], bits.new_zeros(3 * self.hidden)]
        backwards, start = bits.gather(0, turned.expand_as(bits)), bits.new_zeros(1, mask.shape[1], self.hidden)
        # biases, one layer, no dropout, training, one direction, time first
        outputs, _ = torch.gru(backwards, start, weights, True, 1, 0.0, True, False, False)
        return outputs.gather(0, turned.expand_as(outputs))


def _stored(tree: Any, name: str) -> Any:
    """Returns a tree of parameters as Pyro's store has them; at the first call it takes them in."""
    import pyro

    if isinstance(tree, Mapping):
        return {part: _stored(value, f"{name}.{part}") for part, value in tree.items()}
    return pyro.param(name, tree)
