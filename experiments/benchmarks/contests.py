"""The contests of `experiments.benchmarks.objectives`: both sides of each objective, and the operations of a step."""

from __future__ import annotations

from functools import partial
from typing import Literal

from experiments.benchmarks import adversarial, convolutional_vae, dcgan, likelihoods, matching
from experiments.benchmarks.likelihoods import (
    AUTOENCODER_BATCH,
    IWAE_BATCH,
    IWAE_HIDDEN,
    IWAE_LATENT,
    VAE_BATCH,
    VAE_HIDDEN,
    VAE_LATENT,
    autoencoding,
)
from experiments.benchmarks.sides import PIXELS, CompileWith, Contest, Run, dense

OnCPUs = Literal[
    "autoencoder", "mixture", "infinite_mixture", "vae", "vae_dynamic", "info_vae", "convolutional_vae_28",
    "convolutional_vae_32", "convolutional_vae_64", "iwae_1", "iwae_5", "iwae_50", "dcgan", "lapgan", "mmd_gan",
    "moment_matching", "gmmn", "gmmn_autoencoder", "mmd",
]  # fmt: skip
OnAccelerators = Literal[
    "vae_batch_4096", "iwae_1_batch_100", "iwae_1_batch_1000", "iwae_5_batch_100", "iwae_5_batch_1000",
    "iwae_50_batch_100", "iwae_50_batch_1000", "dcgan_bfloat16", "dcgan_colours", "dcgan_colours_bfloat16", "mmd_50000",
]  # fmt: skip
Name = Literal[OnCPUs, OnAccelerators]

OURS, EAGER, COMPILED, GRAPHS = "genjax_models", "torch eager", "torch.compile", "torch.compile, CUDA graphs"
PEERS: dict[str, CompileWith] = {EAGER: None, COMPILED: {}, GRAPHS: {"mode": "reduce-overhead"}}

IWAES = tuple(
    (f"iwae_{k}" if batch == IWAE_BATCH else f"iwae_{k}_batch_{batch}", k, batch)
    for batch in (IWAE_BATCH, 100, 1_000)
    for k in (1, 5, 50)
)
CONTESTS: dict[str, Contest] = {
    "autoencoder": Contest(
        f"autoencoder, batch {AUTOENCODER_BATCH}",
        likelihoods.our_autoencoder,
        likelihoods.torch_autoencoder,
        dense(AUTOENCODER_BATCH, PIXELS, 500, 500, 16, of_data=True) + dense(AUTOENCODER_BATCH, 16, 500, 500, PIXELS),
    ),
    "mixture": Contest(
        "finite mixture, 8 components, batch 200",
        partial(likelihoods.our_mixture, "finite_mixture"),
        partial(likelihoods.torch_mixture, "finite_mixture"),
        2 * 200 * 8 * 2 * 2 * 3,
    ),
    "infinite_mixture": Contest(
        "infinite mixture, 1,000 draws, batch 200",
        partial(likelihoods.our_mixture, "prior_monte_carlo"),
        partial(likelihoods.torch_mixture, "prior_monte_carlo"),
        dense(1_000, 1, 64, 64, 3, of_data=True),
    ),
    "vae": Contest(
        f"VAE, batch {VAE_BATCH}",
        partial(likelihoods.our_vae, "fixed"),
        partial(likelihoods.torch_vae, "fixed"),
        autoencoding(VAE_BATCH, 1, (VAE_HIDDEN,), VAE_LATENT),
    ),
    "vae_batch_4096": Contest(
        "VAE, batch 4,096",
        partial(likelihoods.our_vae, "fixed", 4_096),
        partial(likelihoods.torch_vae, "fixed", batch_size=4_096),
        autoencoding(4_096, 1, (VAE_HIDDEN,), VAE_LATENT),
    ),
    "vae_dynamic": Contest(
        "VAE, binarised at every step",
        partial(likelihoods.our_vae, "dynamic"),
        partial(likelihoods.torch_vae, "dynamic"),
        autoencoding(VAE_BATCH, 1, (VAE_HIDDEN,), VAE_LATENT),
    ),
    "info_vae": Contest(
        f"InfoVAE, batch {VAE_BATCH}",
        likelihoods.our_info_vae,
        likelihoods.torch_info_vae,
        autoencoding(VAE_BATCH, 1, (VAE_HIDDEN,), VAE_LATENT) + matching.mmd_flops(VAE_BATCH, VAE_LATENT),
    ),
    **{
        f"convolutional_vae_{side}": Contest(
            f"convolutional VAE, {' x '.join(map(str, size.shape))}, batch {size.batch}",
            partial(convolutional_vae.our_vae, side),
            partial(convolutional_vae.torch_vae, side),
            convolutional_vae.flops(side),
        )
        for side, size in convolutional_vae.SIZES.items()
    },
    **{
        name: Contest(
            f"IWAE, k = {k}, batch {batch:,}",
            partial(likelihoods.our_iwae, k, batch),
            partial(likelihoods.torch_iwae, k, batch_size=batch),
            autoencoding(batch, k, (IWAE_HIDDEN, IWAE_HIDDEN), IWAE_LATENT),
        )
        for name, k, batch in IWAES
    },
    "dcgan": Contest(f"DCGAN, batch {dcgan.BATCH}", dcgan.our_dcgan, dcgan.torch_steps, adversarial.dcgan_flops()),
    "dcgan_bfloat16": Contest(
        f"DCGAN, batch {dcgan.BATCH}, bfloat16",
        partial(dcgan.our_dcgan, precision="bfloat16"),
        partial(dcgan.torch_steps, precision="bfloat16", channels_last=True),
        adversarial.dcgan_flops(),
        "bfloat16",
    ),
    "dcgan_colours": Contest(
        f"DCGAN, 64 x 64 x 3, batch {dcgan.BATCH}",
        partial(dcgan.our_dcgan, dcgan.COLOURS),
        partial(dcgan.torch_steps, size=dcgan.COLOURS),
        adversarial.dcgan_flops(dcgan.COLOURS),
    ),
    "dcgan_colours_bfloat16": Contest(
        f"DCGAN, 64 x 64 x 3, batch {dcgan.BATCH}, bfloat16",
        partial(dcgan.our_dcgan, dcgan.COLOURS, "bfloat16"),
        partial(dcgan.torch_steps, size=dcgan.COLOURS, precision="bfloat16", channels_last=True),
        adversarial.dcgan_flops(dcgan.COLOURS),
        "bfloat16",
    ),
    "lapgan": Contest(
        "LAPGAN, 3 levels, batch 64", adversarial.our_lapgan, adversarial.torch_lapgan, adversarial.lapgan_flops()
    ),
    "mmd_gan": Contest(
        f"MMD-GAN, batch {adversarial.MMD_GAN_BATCH}",
        adversarial.our_mmd_gan,
        adversarial.torch_mmd_gan,
        adversarial.mmd_gan_flops(),
    ),
    "moment_matching": Contest(
        f"{matching.MOMENTS} moments, batch {matching.MOMENTS_BATCH}",
        matching.our_moment_matching,
        matching.torch_moment_matching,
        matching.moments_flops(),
    ),
    "gmmn": Contest(
        f"GMMN, batch {matching.GMMN_BATCH:,}",
        matching.our_gmmn,
        matching.torch_gmmn,
        dense(matching.GMMN_BATCH, *matching.GMMN_SIZES, of_data=True)
        + matching.mmd_flops(matching.GMMN_BATCH, PIXELS),
    ),
    "gmmn_autoencoder": Contest(
        f"GMMN of codes, batch {matching.GMMN_BATCH:,}",
        matching.our_gmmn_autoencoder,
        matching.torch_gmmn_autoencoder,
        dense(matching.GMMN_BATCH, PIXELS, 1024, 32) / 3
        + dense(matching.GMMN_BATCH, *matching.GMMN_SIZES[:-1], 32, of_data=True)
        + matching.mmd_flops(matching.GMMN_BATCH, 32),
    ),
    "mmd": Contest(
        f"MMD and gradient, {matching.MMD_POINTS:,} + {matching.MMD_POINTS:,}",
        matching.our_mmd,
        matching.torch_mmd,
        matching.mmd_flops(matching.MMD_POINTS, matching.MMD_FEATURES),
        "float32",
    ),
    "mmd_50000": Contest(
        "MMD and gradient, 50,000 + 50,000",
        partial(matching.our_mmd, 50_000),
        None,
        matching.mmd_flops(50_000, matching.MMD_FEATURES),
        "float32",
    ),
}


def waiting(run: Run) -> Run:
    """Returns PyTorch's `run` with a wait until its steps are done; on a GPU `run` itself returns early."""
    import torch

    def run_and_wait(n: int) -> None:
        run(n)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run_and_wait
