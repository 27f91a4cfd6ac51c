"""Bars and stripes (MacKay, 2003): binary 4 x 4 images whose columns are all alike, or whose rows are."""

import numpy as np

from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.splits import Split

SIDE = 4
_COPIES = 40  # of each image in training


def bars_and_stripes() -> Dataset:
    """Returns all 30 images with equal probability, in every split; training holds 40 copies.

    So log p of the data is -log 30 = -3.401 nats, and the mean log-likelihood of a model is below it by KL(data ||
    model).
    """
    rows = (np.arange(2**SIDE)[:, None] >> np.arange(SIDE) & 1).astype(bool)
    stripes = np.broadcast_to(rows[:, :, None], (2**SIDE, SIDE, SIDE))
    images = np.unique(np.concatenate([stripes, stripes.transpose(0, 2, 1)]), axis=0)
    train, held_out = Split(np.tile(images, (_COPIES, 1, 1))[..., None]), Split(images[..., None])
    provenance = f"all {len(images)} images of bars and stripes, {SIDE} x {SIDE}, each {_COPIES} times in training"
    return from_splits(train, held_out, held_out, name="bars_and_stripes", provenance=provenance, overlap="report")
