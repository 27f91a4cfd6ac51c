"""Data: `load(name)` -> splits of checked arrays; `prepare` -> batches for training and evaluation."""

from genjax_models.data.arrays import from_arrays
from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.factors import Factor, Source
from genjax_models.data.load import load, load_source
from genjax_models.data.prepare import Prepared, prepare
from genjax_models.data.sequences import from_sequences
from genjax_models.data.splits import Split

__all__ = [
    "Dataset",
    "Factor",
    "Prepared",
    "Source",
    "Split",
    "from_arrays",
    "from_sequences",
    "from_splits",
    "load",
    "load_source",
    "prepare",
]
