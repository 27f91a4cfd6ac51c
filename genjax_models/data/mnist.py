"""Data sets that are loaded by name: MNIST, whole or by rows, and Fashion-MNIST."""

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np

from genjax_models.data import idx
from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.splits import Split, split_at_random
from genjax_models.errors import InputError

_DIGEST = "0217e13bd0668deb198aa7d305edbf0331eb89f8a6e7dd226e03d1aa3a9bd4ef"
_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)  # Xiao, Rasul and Vollgraf, 2017, table 2


def mnist10k() -> Dataset:
    """Returns the first 10,000 training images of MNIST, uint8 `[28, 28, 1]`, in splits of 8,000 / 1,000 / 1,000."""
    file = resources.files("genjax_models.data") / "files" / "mnist10k.npz"
    if hashlib.sha256(file.read_bytes()).hexdigest() != _DIGEST:
        raise InputError(f"{file}: is damaged (its sha256 is not {_DIGEST[:12]}...). Install the package again")
    with resources.as_file(file) as path, np.load(path, allow_pickle=False) as arrays:
        train, validation, test = split_at_random(Split(arrays["images"], arrays["labels"]), (8_000, 1_000, 1_000))
    provenance = (
        "MNIST (LeCun, Cortes and Burges), the first 10,000 of its 60,000 training images;"
        " shuffled by RandomState(0) into 8,000 training, 1,000 validation and 1,000 test images"
    )
    return from_splits(train, validation, test, name="mnist10k", num_classes=10, provenance=provenance)


def mnist10k_rows() -> Dataset:
    """Returns the images of `mnist10k` as sequences: 28 steps, each a row of 28 pixels, in the same splits."""
    images = mnist10k()

    def by_rows(split: Split) -> Split:
        return split._replace(x=split.x[..., 0], length=np.full(len(split.x), split.x.shape[1], np.int32))

    splits = map(by_rows, (images.train, images.validation, images.test))
    provenance = f"{images.provenance}; each row of an image is a step"
    return from_splits(*splits, name="mnist10k_rows", kind="sequences", num_classes=10, provenance=provenance)._replace(
        has_rows=True
    )


def fashion_mnist() -> Dataset:
    """Returns Fashion-MNIST, uint8 `[28, 28, 1]`, in splits of 55,000 / 5,000 / 10,000.

    Debian's package dataset-fashion-mnist has the files.
    """
    if not _FASHION_MNIST.is_dir():
        raise InputError(
            f"fashion_mnist is not at {_FASHION_MNIST}. Install Debian's package dataset-fashion-mnist,"
            " or give the path of a folder with its four idx files"
        )
    dataset = idx.load_folder(_FASHION_MNIST, overlap="report")
    return dataset._replace(name="fashion_mnist", class_names=_FASHION_CLASSES)
