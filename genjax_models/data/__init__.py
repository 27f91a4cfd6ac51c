"""One way in: `load(name)` -> splits of checked arrays, `prepare` -> what training and evaluation see."""

from genjax_models.data.dataset import Dataset, Split, from_arrays
from genjax_models.data.load import load
from genjax_models.data.prepare import Prepared, prepare

__all__ = ["Dataset", "Prepared", "Split", "from_arrays", "load", "prepare"]
