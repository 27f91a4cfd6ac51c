"""Which data a Bernoulli likelihood takes, and how they become binary: nothing but grey images unless asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genjax_models.errors import InputError

if TYPE_CHECKING:
    from genjax_models.data import Dataset
    from genjax_models.data.prepare import Binarisation

Binarise = Literal["auto", "dynamic", "fixed", "threshold", "none"]


def fits_bernoulli(dataset: Dataset) -> bool:
    """Returns whether the data are binary, or grey images in [0, 1]."""
    return dataset.is_binary or dataset.is_grey


def binarisation_of(dataset: Dataset, asked: Binarise) -> Binarisation:
    """Returns how the data become binary for a Bernoulli likelihood: as asked, or for "auto" as they allow.

    Grey images in [0, 1] are drawn anew at every step (Burda et al., 2015); binary data stay.

    Raises:
      InputError: `asked` is "auto", and the data are neither binary nor grey images in [0, 1].
    """
    if asked != "auto":
        return asked
    if not fits_bernoulli(dataset):
        raise InputError(
            f"a Bernoulli likelihood needs binary data, or grey images in [0, 1], got {dataset.in_words} from"
            f" {dataset.name}. Use another likelihood (experiments.vae --likelihood gaussian), or make them binary:"
            " --binarise dynamic, fixed or threshold"
        )
    return "none" if dataset.is_binary else "dynamic"
