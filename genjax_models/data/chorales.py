"""Bach's four-part chorales as piano rolls, read from the corpus of the package music21.

The package is not imported. Nothing of its corpus is shipped: its encodings are given "by permission".
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.drawn import drawn_once
from genjax_models.data.installed import folder_of
from genjax_models.data.scores import Voice, voices
from genjax_models.data.splits import Split
from genjax_models.errors import InputError

KEYS = 88  # of a piano
LOWEST = 21  # the piano's lowest key, A0, as a MIDI key
_HELD_OUT = 38 / 368  # share of validation, and of test
_SUFFIXES = ".mxl", ".xml", ".krn"


def chorales() -> Dataset:
    """Returns the scores of four voices as binary sequences, uint8 `[time, 88]`: which keys sound at a quarter note.

    Version 10 of music21 has 368, of 24 to 193 quarter notes. RandomState(0) splits them into 292, 38 and 38. Copies
    under another number are kept, and counted in the provenance. The scores are read once, and kept in the cache.

    Raises:
      InputError: music21 is not installed, or a score cannot be read.
    """
    files = [file for file in sorted(_folder().iterdir()) if file.suffix in _SUFFIXES]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size} ".encode() + file.read_bytes())
    stored = drawn_once(f"chorales 2 {digest.hexdigest()}", lambda: _with_ends(files))
    whole = Split(stored[..., :KEYS], length=stored[..., KEYS].sum(axis=1, dtype=np.int32))
    rows = np.random.RandomState(0).permutation(len(stored))
    size = max(1, round(_HELD_OUT * len(rows)))
    parts = np.split(rows, [-2 * size, -size])
    sizes = " / ".join(str(len(part)) for part in parts)
    provenance = (
        "chorales of J. S. Bach from the corpus of the package music21 (encodings by permission of their authors);"
        f" the keys that sound at each quarter note; shuffled by RandomState(0) into {sizes}"
    )
    splits = (whole.take(part) for part in parts)
    return from_splits(
        *splits, name="chorales", range=(0, 1), kind="sequences", provenance=provenance, overlap="report"
    )


def _with_ends(files: list[Path]) -> Iterator[np.ndarray]:
    """Yields uint8 `[time, 89]` of each score of four voices; the last column is 1 up to the end of the score."""
    scores = [score for score in map(voices, files) if len(score) == 4]
    lengths = [math.ceil(max(voice.end for voice in score)) for score in scores]
    for score, length in zip(scores, lengths, strict=True):
        x = np.zeros((max(lengths), KEYS + 1), np.uint8)
        x[:length, :KEYS] = piano_roll(score, length)
        x[:length, KEYS] = 1
        yield x


def piano_roll(score: list[Voice], length: int) -> np.ndarray:
    """Returns which keys sound at each quarter note, uint8 `[length, 88]`; a note sounds until just before its end."""
    x = np.zeros((length, KEYS), np.uint8)
    for note in (note for voice in score for note in voice.notes):
        if LOWEST <= note.key < LOWEST + KEYS:
            x[math.ceil(note.start) : math.ceil(note.end), note.key - LOWEST] = 1
    return x


def _folder() -> Path:
    """Returns the folder of Bach's scores."""
    folder = folder_of("music21", user="chorales", extra="music") / "corpus" / "bach"
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; chorales need a music21 with its corpus. Install it again by pip")
    return folder
