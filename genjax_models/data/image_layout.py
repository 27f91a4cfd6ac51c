"""The layout of a folder of images: its splits, its classes, and the files that are left out."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from genjax_models.data import image, label_files
from genjax_models.data.image_cache import Entry, shown
from genjax_models.data.label_files import LabelFile
from genjax_models.data.split_names import seem_splits, splits_of
from genjax_models.errors import InputError

LAYOUTS = (
    "images; or a folder of images for each class; or images with labels.csv or dataset.json; or train/ with test/ or"
    " validation/ or both, each with one of these"
)
ONE = ""  # the split of all images, if the folder has no splits


class Listing(NamedTuple):
    """The images of a folder.

    Attributes:
      entries: images, sorted by the bytes of split, class and name.
      left_out: number of other files by suffix; "hidden" counts hidden files.
      label_files: files that hold the labels; empty if subfolders are the classes, or there are no labels.
    """

    entries: list[Entry]
    left_out: Counter[str]
    label_files: list[str]


def listing(root: bytes) -> Listing:
    """Returns the images under `root`.

    Raises:
      InputError: `image_folder.load_folder` does not accept the layout.
    """
    images, folders, others = _scan(root)
    splits = _splits(shown(root), images, folders)
    labels = label_files.read(root)
    if not splits:
        return _join([_part(root, ONE, labels)])
    parts = [
        _part(os.path.join(root, folder), split, labels and labels.under(folder)) for folder, split in splits.items()
    ]
    return _join([Listing([], _left_out(others, labels), (labels and [labels.shown]) or []), *parts])


def _join(parts: list[Listing]) -> Listing:
    return Listing(
        sorted(entry for part in parts for entry in part.entries),
        sum((part.left_out for part in parts), Counter()),
        list(dict.fromkeys(file for part in parts for file in part.label_files)),
    )


def _splits(where: str, images: list[bytes], folders: list[bytes]) -> dict[bytes, str]:
    """Returns the split of each folder; empty if no folder is a split."""
    names, splits = first(map(shown, folders)), splits_of(folders)
    if not splits and seem_splits(folders):
        raise InputError(
            f"{where}: {names} seem to be splits, and may be classes. Rename splits to train, test and validation,"
            f" or classes to other words; accepted are {LAYOUTS}"
        )
    others = images + [folder for folder in folders if folder not in splits]
    if splits and others:
        split, other = shown(min(splits)), shown(others[0])
        raise InputError(
            f"{where}: {split} is the name of a split, but {other} is not. Rename {split} if it is a class, or move"
            f" {other} away; accepted are {LAYOUTS}"
        )
    given = list(splits.values())
    if twice := [folder for folder, split in splits.items() if given.count(split) > 1]:
        raise InputError(
            f"{where}: {first(map(shown, twice))} are several names of one split. Keep one; accepted are {LAYOUTS}"
        )
    if given and ("train" not in given or len(given) == 1):
        raise InputError(f"{where}: must hold train/ and test/ or validation/, or no split, got only {names}")
    return splits


def _part(root: bytes, split: str, labels: LabelFile | None) -> Listing:
    """Returns the images of one split. Their classes are the subfolders, or stand in a file of labels."""
    labels = labels or label_files.read(root)
    if labels:
        return _labelled(root, split, labels)
    images, folders, others = _scan(root)
    if images and folders:
        raise InputError(
            f"{shown(root)}: holds images ({first(map(shown, images))}) and folders ({first(map(shown, folders))});"
            f" accepted are {LAYOUTS}"
        )
    entries, left_out = [Entry(split, b"", name, os.path.join(root, name)) for name in images], _left_out(others)
    for folder in folders:
        path = os.path.join(root, folder)
        images, deeper, others = _scan(path)
        if deeper or not images:
            content = f"holds the folder {shown(deeper[0])}" if deeper else f"holds no images{_in_place(others)}"
            raise InputError(f"{shown(path)}: {content}; accepted are {LAYOUTS}")
        entries += [Entry(split, folder, name, os.path.join(path, name)) for name in images]
        left_out += _left_out(others)
    if not entries:
        raise InputError(
            f"{shown(root)}: holds no images{_in_place(others)}; accepted are files that end in"
            f" {', '.join(image.SUFFIXES)}"
        )
    return Listing(entries, left_out, [])


def _labelled(root: bytes, split: str, labels: LabelFile) -> Listing:
    """Returns the images under `root` at any depth, with the labels of a file."""
    entries, left_out = [], Counter()
    for folder, folders, _ in os.walk(root, followlinks=True):
        images, deeper, others = _scan(folder)
        folders[:] = deeper
        left_out += _left_out(others, labels if folder == labels.folder else None)
        for name in images:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            entries.append(Entry(split, labels.label_of(relative), relative, path))
    labels.check_used({entry.name for entry in entries})
    return Listing(entries, left_out, [labels.shown])


def _left_out(names: list[bytes], labels: LabelFile | None = None) -> Counter[str]:
    """Returns the number of files by suffix, without the file of labels."""
    read = labels.name if labels else None
    return Counter(_suffix(name) for name in names if name != read)


def _suffix(name: bytes) -> str:
    if name.startswith(b"."):
        return "hidden"
    return shown(os.path.splitext(name)[1].lower()) or "without a suffix"


def _in_place(others: list[bytes]) -> str:
    return f" ({left_out_in_words(_left_out(others))} instead)" if others else ""


def left_out_in_words(left_out: Counter[str]) -> str:
    """Returns the number of files by suffix, as in "12 .heic, 3 .txt"; the most frequent first."""
    return first(f"{count:,} {suffix}" for suffix, count in sorted(left_out.items(), key=lambda one: (-one[1], one[0])))


def _scan(folder: bytes) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Returns the names of images, folders and other files, sorted by bytes; follows links."""
    images, folders, others = [], [], []
    with os.scandir(folder) as scanned:
        for entry in scanned:
            hidden = entry.name.startswith(b".")
            if entry.is_dir():
                folders += [] if hidden else [entry.name]
            elif not hidden and entry.name.lower().endswith(tuple(s.encode() for s in image.SUFFIXES)):
                images.append(entry.name)
            else:
                others.append(entry.name)
    return sorted(images), sorted(folders), sorted(others)


def holds_images(folder: Path) -> bool:
    """Returns whether it may be a folder of images: it has an image, or a subfolder."""
    images, folders, _ = _scan(os.fsencode(folder))
    return bool(images or folders)


def first(names: Iterable[str]) -> str:
    """Returns the first ten names, and the number of the others."""
    names = list(names)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
