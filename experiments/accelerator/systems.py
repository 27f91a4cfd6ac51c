"""Contests of the systems whose benchmarks stand apart: models that unfold, energies, and BigGAN.

Their operations are not counted by hand, so that their steps have no fraction of the ceiling. The peer of the deep
Markov model is Pyro.
"""

from __future__ import annotations

from functools import partial

from experiments.benchmarks import biggan_sides, energies
from experiments.benchmarks import sequences_sides as sequences
from experiments.benchmarks.sides import Contest

UNCOUNTED = 0.0
SYSTEMS: dict[str, Contest] = {
    **{
        name: Contest(pair.what, partial(sequences.ours, pair), partial(sequences.torch_run, pair), UNCOUNTED)
        for name, pair in sequences.PAIRS.items()
    },
    "pcd": Contest("PCD, 500 hidden units, batch 100", energies.our_pcd, energies.torch_pcd, UNCOUNTED),
    "multi_prediction": Contest(
        "multi-prediction, 500 and 1,000 units, batch 100",
        energies.our_multi_prediction,
        energies.torch_multi_prediction,
        UNCOUNTED,
    ),
    "biggan": Contest("BigGAN, 28 x 28, batch 64", biggan_sides.ours, biggan_sides.torch_run, UNCOUNTED),
}
