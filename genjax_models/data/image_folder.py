"""A folder of images as a data set: classes from its subfolders, splits from the folder or from one fixed shuffle."""

import os
import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np

from genjax_models.data import host_memory, image, image_cache
from genjax_models.data.dataset import Dataset, Range, from_arrays
from genjax_models.data.image_cache import Entry, shown
from genjax_models.data.records import Records
from genjax_models.data.split_names import seem_splits, splits_of
from genjax_models.data.splits import Split, hold_out_tenth, in_common, split_in_ten
from genjax_models.errors import InputError

_SPLITS = "train", "validation", "test"
_LAYOUTS = (
    "images; or a folder of images for each class; or train/ with test/ or validation/ or both, each with one of these"
)
_ONE = ""  # the split of all images, if the folder has no splits
_LARGEST = 178_956_970  # pixels; Pillow itself refuses more


def load_folder(
    folder: str | Path,
    *,
    size: int | None = 32,
    fit: image.Fit = "crop",
    skip_unreadable: bool = False,
    range: Range | None = None,
    max_pixels: int = image.MAX_PIXELS,
    cache: str | Path | None = None,
    stream: bool = False,
) -> Dataset:
    """Returns images of any size as one data set, uint8 `[size, size, 1 or 3]`.

    Files end in .png, .jpg, .jpeg, .bmp, .gif, .webp, .tif, .tiff, .ppm, .pgm, .pbm or .pnm, in small or capital
    letters. Other files and hidden files are ignored and counted. Links are followed.

    Each image is turned upright by its EXIF data and put on a white background. It is cropped to the largest centred
    square (`fit="crop"`), or changes its proportions ("resize"). Then it is resized to `size` x `size`: by the mean
    over each area, or bicubically if a side grows. All images have one channel if all are stored as grey, else three.

    Subfolders are classes, numbered in the order of their bytes; images at the top have no labels. Subfolders `train`,
    `test` and `validation`, each of this layout, are the splits, also by other names such as `training`, `test_images`
    and `val` (see `data.split_names`). Other subfolders beside them are refused. If `validation` is missing, it is a
    tenth of training. If `test` is missing, `validation` is used as `test`, and a tenth of training as `validation`.
    Two splits of the folder may not share an image. Without such subfolders one fixed shuffle makes
    splits of 80, 10 and 10 percent; equal decoded images stay in one split.

    Args:
      folder: folder of images in one of these layouts.
      size: pixels of a side; None keeps the images unchanged, if they all have one size.
      fit: "crop" or "resize".
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
    _check_options(size, fit, max_pixels)
    image.require_pillow()
    root, entries, ignored = _listed(folder)
    if size is not None:
        host_memory.check_fits(size**2 * (1 if stream else len(entries)), f"image_size {size}: memory of the images")
    decoded = image_cache.decoded_to_disk if stream else image_cache.decoded_once
    x, skipped = decoded(
        entries,
        {"size": size, "fit": fit, "max_pixels": max_pixels},
        skip_unreadable=skip_unreadable,
        cache=image_cache.default_folder() if cache is None else Path(cache).expanduser(),
    )
    provenance = f"{len(x)} images in {shown(root)}, {_in_words(size, fit)}"
    if len(skipped):
        count = f"{len(skipped)} of {len(entries)} images cannot be read and are skipped"
        warnings.warn(f"{shown(root)}: {count}, the first is {entries[skipped[0]].shown}", stacklevel=2)
        provenance += f"; {count}: {_first(entries[i].shown for i in skipped)}"
        left_out = set(skipped.tolist())
        entries = [entry for i, entry in enumerate(entries) if i not in left_out]
    if ignored:
        provenance += f"; {ignored} other files ignored"
    classes = sorted({entry.label for entry in entries if entry.split in (_ONE, "train")} - {b""})
    if classes:
        provenance += f"; labels count the classes {_first(map(shown, classes))}"
    splits, note = _split(shown(root), entries, x, classes)
    return from_arrays(
        *splits,
        name=shown(os.path.basename(os.path.abspath(root))),
        range=range,
        num_classes=len(classes) or None,
        provenance=provenance + note,
    )


def _listed(folder: str | Path) -> tuple[bytes, list[Entry], int]:
    try:
        root = os.fsencode(Path(folder).expanduser())
        return root, *listing(root)
    except InputError:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # no such folder, no permission, a user without a home, a null byte
        raise InputError(f"{shown(os.fsencode(folder))}: the folder cannot be read ({error})") from error


def listing(root: bytes) -> tuple[list[Entry], int]:
    """Returns the images under `root`, sorted by the bytes of split, class and name, and the number of other files.

    Raises:
      InputError: `load_folder` does not accept the layout.
    """
    images, folders, others = _scan(root)
    splits = _splits(shown(root), images, folders)
    parts = [_classes(os.path.join(root, folder), split) for folder, split in splits.items()]
    parts = [([], others), *parts] if splits else [_classes(root, _ONE)]
    return sorted(entry for entries, _ in parts for entry in entries), sum(ignored for _, ignored in parts)


def _splits(where: str, images: list[bytes], folders: list[bytes]) -> dict[bytes, str]:
    """Returns the split of each folder; empty if no folder is a split."""
    names, splits = _first(map(shown, folders)), splits_of(folders)
    if not splits and seem_splits(folders):
        raise InputError(
            f"{where}: {names} seem to be splits, and may be classes. Rename splits to train, test and validation,"
            f" or classes to other words; accepted are {_LAYOUTS}"
        )
    others = images + [folder for folder in folders if folder not in splits]
    if splits and others:
        split, other = shown(min(splits)), shown(others[0])
        raise InputError(
            f"{where}: {split} is the name of a split, but {other} is not. Rename {split} if it is a class, or move"
            f" {other} away; accepted are {_LAYOUTS}"
        )
    given = list(splits.values())
    if twice := [folder for folder, split in splits.items() if given.count(split) > 1]:
        raise InputError(
            f"{where}: {_first(map(shown, twice))} are several names of one split. Keep one; accepted are {_LAYOUTS}"
        )
    if given and ("train" not in given or len(given) == 1):
        raise InputError(f"{where}: must hold train/ and test/ or validation/, or no split, got only {names}")
    return splits


def _classes(root: bytes, split: Any) -> tuple[list[Entry], int]:
    images, folders, ignored = _scan(root)
    if images and folders:
        raise InputError(
            f"{shown(root)}: holds images ({_first(map(shown, images))}) and folders ({_first(map(shown, folders))});"
            f" accepted are {_LAYOUTS}"
        )
    entries = [Entry(split, b"", name, os.path.join(root, name)) for name in images]
    for folder in folders:
        path = os.path.join(root, folder)
        images, deeper, others = _scan(path)
        if deeper or not images:
            content = f"holds the folder {shown(deeper[0])}" if deeper else "holds no images"
            raise InputError(f"{shown(path)}: {content}; accepted are {_LAYOUTS}")
        entries += [Entry(split, folder, name, os.path.join(path, name)) for name in images]
        ignored += others
    if not entries:
        raise InputError(f"{shown(root)}: holds no images; accepted are files that end in {', '.join(image.SUFFIXES)}")
    return entries, ignored


def _scan(folder: bytes) -> tuple[list[bytes], list[bytes], int]:
    """Returns the names of images and of folders, sorted by bytes, and the number of other files; follows links."""
    images, folders, others = [], [], 0
    with os.scandir(folder) as scanned:
        for entry in scanned:
            hidden = entry.name.startswith(b".")
            if entry.is_dir():
                folders += [] if hidden else [entry.name]
            elif not hidden and entry.name.lower().endswith(tuple(s.encode() for s in image.SUFFIXES)):
                images.append(entry.name)
            else:
                others += 1
    return sorted(images), sorted(folders), others


def holds_images(folder: Path) -> bool:
    """Returns whether it may be a folder of images: it has an image, or a subfolder."""
    images, folders, _ = _scan(os.fsencode(folder))
    return bool(images or folders)


def _split(where: str, entries: list[Entry], x: np.ndarray | Records, classes: list[bytes]) -> tuple[list[Split], str]:
    rows = {split: [i for i, entry in enumerate(entries) if entry.split == split] for split in (_ONE, *_SPLITS)}
    given = {s: Split(x[r], _labels([entries[i] for i in r], classes)) for s, r in rows.items() if r}
    if _ONE in given:
        return split_in_ten(where, given[_ONE])
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


def _check_options(size, fit, max_pixels) -> None:
    if fit not in get_args(image.Fit):
        raise InputError(f"`fit` must be one of {', '.join(get_args(image.Fit))}, got {fit!r}")
    if size is not None and (type(size) is not int or not 1 <= size <= 4096):
        raise InputError(f"`size` must be an integer from 1 to 4096, or None, got {size!r}")
    if type(max_pixels) is not int or not 1 <= max_pixels <= _LARGEST:
        raise InputError(f"`max_pixels` must be an integer from 1 to {_LARGEST}, got {max_pixels!r}")


def _in_words(size: int | None, fit: image.Fit) -> str:
    if size is None:
        return "as they are"
    return f"{'centre-cropped and resized' if fit == 'crop' else 'resized'} to {size} x {size}"


def _first(names) -> str:
    names = list(names)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
