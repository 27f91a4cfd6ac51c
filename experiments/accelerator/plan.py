"""The parts in order of value: all of an accelerator, or small cases of a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import get_args

from experiments.accelerator import contract, device, estimators, members, presets, steps
from experiments.accelerator.part import Facts, Part
from experiments.accelerator.systems import SYSTEMS
from experiments.benchmarks.contests import Name
from experiments.benchmarks.seeds import CASES

# What the goals and the paper's schedule need comes first; contests that are not named here come last.
FIRST = (
    "vae", "dcgan_colours_bfloat16", "iwae_50", "iwae_50_batch_100", "iwae_50_batch_1000", "vae_batch_4096", "gmmn",
    "dcgan", "dcgan_colours", "dcgan_bfloat16", "mmd_50000", "iwae_1", "iwae_5",
    "iwae_1_batch_100", "iwae_5_batch_100", "iwae_1_batch_1000", "iwae_5_batch_1000",
)  # fmt: skip
PEERS_FIRST = ("vae", "iwae_50")  # small models: our speed beside PyTorch is a goal
LATER = (*SYSTEMS, *(name for name in get_args(Name) if name not in FIRST))
PRECISIONS = {
    "gpu": ("float32", "TF32_TF32_F32", "BF16_BF16_F32"),
    "tpu": ("float32", "bfloat16"),
    "cpu": ("float32",),
}
SMALL_SEEDS = "VAE, 784-16-2, batch 16"


def parts(about: Facts) -> list[Part]:
    """Returns the parts for the device that `device.describe` has described."""
    return list(_on_cpu() if about["platform"] == "cpu" else _on_accelerator(about))


def _on_cpu() -> Iterator[Part]:
    """Yields one small part of each kind, then all contests whose step is short enough."""
    yield Part("ceilings", "two ceilings", 20, device.ceilings)
    yield Part("estimators", "estimators", 25, partial(estimators.check, quick=True, draws=2_000))
    yield _ours("vae", 25)
    yield _forms("vae", 40)
    yield _members(SMALL_SEEDS, 25)
    yield _contract("cpu", "float32", 30, "a_linear_vae_learns or fault_81_a_loop")
    yield _beside_torch("vae", 40)
    yield Part("preset:cifar", "500 steps of BigGAN's preset cifar", 5, presets.cifar)
    for name in (*FIRST, *LATER):
        if name != "vae":
            yield _ours(name, 25)


def _on_accelerator(about: Facts) -> Iterator[Part]:
    on = "rocm" if about["rocm"] else {"gpu": "cuda"}.get(about["platform"], about["platform"])
    first, *others = PRECISIONS.get(about["platform"], ("float32",))
    seeds, *other_seeds = CASES
    yield Part("ceilings", "two ceilings", 40, device.ceilings)
    yield Part("estimators", "estimators", 120, estimators.check)
    for name in FIRST[:3]:
        yield _ours(name, 30)
    for name in PEERS_FIRST:
        yield _beside_torch(name, 90)
    for name in FIRST[3:]:
        yield _ours(name, 30)
    yield _forms("vae", 60)
    yield _contract(on, first, 120)
    yield _members(seeds, 45)
    yield Part("preset:cifar", "500 steps of BigGAN's preset cifar", 120, presets.cifar)
    for name in FIRST:
        if name not in PEERS_FIRST:
            yield _beside_torch(name, 90)
    for name in FIRST[1:3]:
        yield _forms(name, 60)
    for precision in others:
        yield _contract(on, precision, 120)
    for name in other_seeds:
        yield _members(name, 45)
    for name in LATER:
        yield _ours(name, 30)
        yield _beside_torch(name, 90)


def _ours(name: str, seconds: float) -> Part:
    return Part(f"steps:{name}", steps.ALL[name].what, seconds, partial(steps.ours_alone, name))


def _beside_torch(name: str, seconds: float) -> Part:
    what = f"{steps.ALL[name].what}, in turns with PyTorch"
    return Part(f"torch:{name}", what, seconds, partial(steps.beside_torch, name))


def _forms(name: str, seconds: float) -> Part:
    what = f"{steps.ALL[name].what}, forms of the loop"
    return Part(f"forms:{name}", what, seconds, partial(steps.forms_of_the_loop, name))


def _members(name: str, seconds: float) -> Part:
    return Part(f"seeds:{name}", f"{name}, eight seeds", seconds, partial(members.members, name))


def _contract(on: str, precision: str, seconds: float, only: str | None = None) -> Part:
    what = f"contract table, products in {precision}"
    return Part(f"contract:{precision}", what, seconds, partial(contract.contract, on, precision, only), apart=True)
