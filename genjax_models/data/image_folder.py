"""A folder of images as a data set: classes from its subfolders, splits from the folder or from one fixed shuffle."""

import math
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from genjax_models.data import host_memory, image, image_cache
from genjax_models.data.dataset import Dataset, Range, from_splits
from genjax_models.data.image_cache import Entry, shown
from genjax_models.data.image_layout import ONE, Listing, first, left_out_in_words, listing
from genjax_models.data.labels import count_classes
from genjax_models.data.records import Records
from genjax_models.data.splits import Split, hold_out_tenth, in_common, split_in_ten
from genjax_models.errors import InputError

_SPLITS = "train", "validation", "test"
_ONE_CHANNEL = "Use channels=1 (--image-channels 1) for one channel"
_LARGEST = 178_956_970  # pixels; Pillow itself refuses more


def load_folder(
    folder: str | Path,
    *,
    size: image.Size | None = 32,
    fit: image.Fit = "crop",
    channels: Literal[1, 3] | None = None,
    skip_unreadable: bool = False,
    range: Range | None = None,
    max_pixels: int = image.MAX_PIXELS,
    cache: str | Path | None = None,
    stream: bool = False,
) -> Dataset:
    """Returns images of any size as one data set, uint8 `[size, size, 1 or 3]`.

    Files end in .png, .jpg, .jpeg, .jpe, .jfif, .bmp, .gif, .webp, .tif, .tiff, .ppm, .pgm, .pbm or .pnm, in small or
    capital letters. Other files are left out, with a warning that counts them. Links are followed.

    Each image is turned upright by its EXIF data and put on a white background. It is brought to the proportions of
    `size` by a centred crop (`fit="crop"`), by resizing ("resize") or by a black margin ("pad"). Pixels are resized by
    the mean over each area, or bicubically if a side grows. All images have one channel if all are
    stored as grey, else three; `channels` decides otherwise.

    Subfolders are classes, in the order of their bytes; images at the top have no labels. Or the labels are in a file,
    `labels.csv` or `dataset.json` (see `data.label_files`). Subfolders `train`,
    `test` and `validation`, each of this layout, are the splits, also by other names such as `training`, `test_images`
    and `val` (see `data.split_names`). Other subfolders beside them are refused. If `validation` is missing, it is a
    tenth of training. If `test` is missing, `validation` is used as `test`, and a tenth of training as `validation`.
    Two splits of the folder may not share an image. Without such subfolders one fixed shuffle makes
    splits of 80, 10 and 10 percent; equal decoded images stay in one split.

    Args:
      folder: folder of images in one of these layouts.
      size: pixels of a side, or (height, width); None keeps the images unchanged, if they all have one size.
      fit: "crop", "resize" or "pad".
      channels: 1 makes colours grey (ITU-R 601 luma), 3 repeats grey. A warning says if coloured files are all grey.
      skip_unreadable: whether to leave out images that cannot be decoded, up to 1% of the files, or one. A warning
        counts them, and the provenance names them.
      range: range of the stored values, (0, 255) by default.
      max_pixels: largest number of pixels of an image; larger images are refused before they are decoded.
      cache: folder of decoded images; by default `genjax_models/images` in `$XDG_CACHE_HOME`, or in `~/.cache`.
      stream: whether training images stay in that folder, as `data.records.Records` (see `data.load`).

    Raises:
      InputError: another layout, an unreadable or too large image (the error names it), images of different sizes with
        `size=None`, more than fits into memory, or held-out images that are training images too.
    """
    check_image_options(size, fit, channels, max_pixels)
    image.require_pillow()
    root, (entries, left_out, label_files) = _listed(folder)
    if size is not None:
        pixels = math.prod(image.sides(size)) * (1 if stream else len(entries))
        host_memory.check_fits(pixels, f"image_size {size}: memory of the images")
    decoded = image_cache.decoded_to_disk if stream else image_cache.decoded_once
    x, skipped = decoded(
        entries,
        {"size": size, "fit": fit, "channels": channels, "max_pixels": max_pixels},
        skip_unreadable=skip_unreadable,
        cache=image_cache.default_folder() if cache is None else Path(cache).expanduser(),
    )
    entries, of_skipped = _readable(shown(root), entries, skipped)
    provenance = f"{len(x)} images in {shown(root)}, {image_options_in_words(size, fit, channels)}{of_skipped}"
    provenance += _left_out(shown(root), left_out, len(entries))
    if channels is None and is_grey(x):
        warn_of_grey(shown(root))
    classes, of_labels = _classes(entries, label_files)
    provenance += of_labels
    splits, note = _split(shown(root), entries, x, classes)
    return from_splits(
        *splits,
        name=shown(os.path.basename(os.path.abspath(root))),
        range=range,
        class_names=[shown(name) for name in classes] or None,
        provenance=provenance + note,
    )


def _listed(folder: str | Path) -> tuple[bytes, Listing]:
    try:
        root = os.fsencode(Path(folder).expanduser())
        return root, listing(root)
    except InputError:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # no such folder, no permission, a user without a home, a null byte
        raise InputError(f"{shown(os.fsencode(folder))}: the folder cannot be read ({error})") from error


def _split(where: str, entries: list[Entry], x: np.ndarray | Records, classes: list[bytes]) -> tuple[list[Split], str]:
    rows = {split: [i for i, entry in enumerate(entries) if entry.split == split] for split in (ONE, *_SPLITS)}
    given = {s: Split(x[r], _labels([entries[i] for i in r], classes)) for s, r in rows.items() if r}
    if ONE in given:
        return split_in_ten(where, given[ONE])
    given = {split: given[split] for split in _SPLITS if split in given}
    for split, shared in in_common({split: given[split].x for split in given}).items():
        held_out, train = entries[rows[split][shared[0][0]]], entries[rows["train"][shared[0][1]]]
        raise InputError(
            f"{where}: {len(shared)} of {len(rows[split])} {split} images equal training images after decoding"
            f" ({held_out.shown} and {train.shown}); held-out images must be new: remove them"
        )
    if len(given) == 3:
        return list(given.values()), "; the splits are the folder's own"
    splits, note = hold_out_tenth(f"{where}, train", given["train"])
    if "test" not in given:
        return [*splits, given["validation"]], f"; train is the folder's own, test is its own validation split{note}"
    return [*splits, given["test"]], f"; train and test are the folder's own{note}"


def _labels(entries: list[Entry], classes: list[bytes]) -> np.ndarray | None:
    if not any(entry.label for entry in entries):
        return None
    numbers = {name: number for number, name in enumerate(classes)}
    for entry in entries:
        if entry.label not in numbers:
            raise InputError(
                f"{entry.shown}: training has no class {shown(entry.label)}; it has {len(classes)} classes"
            )
    return np.array([numbers[entry.label] for entry in entries], np.int32)


def _readable(where: str, entries: list[Entry], skipped: np.ndarray) -> tuple[list[Entry], str]:
    """Returns the entries that were read, and a note on the others for the provenance; warns of them."""
    if not len(skipped):
        return entries, ""
    count = f"{len(skipped)} of {len(entries)} images cannot be read and are skipped"
    warnings.warn(f"{where}: {count}, the first is {entries[skipped[0]].shown}", stacklevel=3)
    unreadable = set(skipped.tolist())
    read = [entry for i, entry in enumerate(entries) if i not in unreadable]
    return read, f"; {count}: {first(entries[i].shown for i in skipped)}"


def _left_out(where: str, left_out: Counter[str], images: int) -> str:
    """Returns a note for the provenance on files that are no images, and warns of those that are not hidden."""
    if not left_out:
        return ""
    visible = left_out.total() - left_out["hidden"]
    if visible:
        warnings.warn(
            f"{where}: {visible:,} of {images + visible:,} files are left out, because they do not end in"
            f" {', '.join(image.SUFFIXES)}: {left_out_in_words(left_out)}",
            stacklevel=3,
        )
    return f"; left out are {left_out_in_words(left_out)}"


def _classes(entries: list[Entry], label_files: list[str]) -> tuple[list[bytes], str]:
    """Returns the names of the classes of training, and a note for the provenance.

    Numbers are in their order, other names in the order of their bytes.

    Raises:
      InputError: the labels of a file seem to be ids.
    """
    of_training = [entry.label for entry in entries if entry.split in (ONE, "train") and entry.label]
    if not of_training:
        return [], ""
    names = set(of_training)
    numbers = all(name.isdigit() for name in names)
    classes = sorted(names, key=lambda name: (int(name), name) if numbers else (0, name))
    if label_files:
        count_classes(first(label_files), np.array([classes.index(label) for label in of_training]))
    source = f" of {first(label_files)}" if label_files else ""
    return classes, f"; labels count the classes{source}: {first(map(shown, classes))}"


def is_grey(x: np.ndarray | Records) -> bool:
    """Returns whether the three channels of all images are equal; of images on disk, of the first hundred."""
    x = np.asarray(x[:100]) if isinstance(x, Records) else x
    return x.shape[3] == 3 and bool((x[..., :1] == x).all())


def warn_of_grey(where: str) -> None:
    """Warns that grey images are stored in colour."""
    warnings.warn(f"{where}: all images are grey, but stored in colour. {_ONE_CHANNEL}", stacklevel=3)


def check_image_options(size: Any, fit: Any, channels: Any, max_pixels: Any) -> None:
    """Refuses options of `load_folder` that are not what it takes.

    Raises:
      InputError: names the option.
    """
    if fit not in get_args(image.Fit):
        raise InputError(f"`fit` must be one of {', '.join(get_args(image.Fit))}, got {fit!r}")
    sides = size if isinstance(size, tuple) else (size, size)
    if size is not None and not (len(sides) == 2 and all(type(side) is int and 1 <= side <= 4096 for side in sides)):
        raise InputError(f"`size` must be an integer from 1 to 4096, two such (height, width), or None, got {size!r}")
    if channels not in (None, 1, 3):
        raise InputError(f"`channels` must be 1, 3 or None, got {channels!r}")
    if type(max_pixels) is not int or not 1 <= max_pixels <= _LARGEST:
        raise InputError(f"`max_pixels` must be an integer from 1 to {_LARGEST}, got {max_pixels!r}")


def image_options_in_words(size: image.Size | None, fit: image.Fit, channels: int | None) -> str:
    """Returns what the options of `load_folder` do to an image, as in "resized to 32 x 32, grey"."""
    colour = "" if channels is None else f", {'grey' if channels == 1 else 'in colour'}"
    if size is None:
        return f"as they are{colour}"
    height, width = image.sides(size)
    how = {"crop": "centre-cropped and resized", "resize": "resized", "pad": "resized in a black margin"}[fit]
    return f"{how} to {height} x {width}{colour}"
