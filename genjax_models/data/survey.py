"""What the files of a data set are, before and apart from loading them: names, sizes and modes of images."""

import os
from collections import Counter
from pathlib import Path

import numpy as np

from genjax_models.data import image
from genjax_models.data.dataset import Dataset
from genjax_models.data.image_cache import shown
from genjax_models.data.image_layout import first
from genjax_models.data.records import Records
from genjax_models.data.splits import Split, copies, in_common
from genjax_models.data.steps import has_data


def survey_of_folder(folder: Path) -> list[tuple[str, str]]:
    """Returns rows of name and text: files by suffix, folders, sizes and modes of images. Decodes only headers."""
    suffixes, folders, sizes, modes = Counter(), Counter(), Counter(), Counter()
    root = os.fsencode(folder)
    for place, _, names in os.walk(root, followlinks=True):
        for name in names:
            suffix = shown(os.path.splitext(name)[1].lower()) or "without a suffix"
            suffixes[suffix] += 1
            if suffix in image.SUFFIXES:
                folders[shown(os.path.relpath(place, root))] += 1
                size, mode = image.header(os.path.join(place, name))
                sizes[size] += 1
                modes[mode] += 1
    left_out = Counter({suffix: count for suffix, count in suffixes.items() if suffix not in image.SUFFIXES})
    rows = [
        ("files", _in_words(Counter({s: count for s, count in suffixes.items() if s in image.SUFFIXES}))),
        ("left out", _in_words(left_out)),
        ("folders", _in_words(folders)),
        ("sizes", _in_words(sizes)),
        ("modes", _in_words(modes)),
    ]
    return [(name, text) for name, text in rows if text]


def survey_of_values(dataset: Dataset) -> list[tuple[str, str]]:
    """Returns rows of name and text: range and mean of each split, and copies within and between splits."""
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    values, within = [], []
    for name, split in splits.items():
        mean = "" if isinstance(split.x, Records) else f", mean {_without_padding(split).mean():.4g}"
        values.append(f"{name} in [{split.x.min():.6g}, {split.x.max():.6g}]{mean}")
        within.append(f"{copies(split.x):,} in {name}")
    shared = in_common({name: split.x for name, split in splits.items()})
    between = [f"{len(shared.get(name, [])):,} of {name} in training" for name in ("validation", "test")]
    return [("values", "; ".join(values)), ("copies", ", ".join([*within, *between]))]


def _without_padding(split: Split) -> np.ndarray:
    return split.x if split.length is None else split.x[has_data(split.length, split.x.shape[1])]


def _in_words(counts: Counter[str]) -> str:
    """Returns names with their counts, as in ".png (12), .jpg (3)"; the most frequent first."""
    return first(f"{name} ({count:,})" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
