"""Emoji in colour: one code point each, in the nine groups of Unicode, drawn with the font Noto Color Emoji."""

import re
from pathlib import Path

import numpy as np

from genjax_models.data.arrays import from_arrays
from genjax_models.data.dataset import Dataset
from genjax_models.data.image import require_pillow
from genjax_models.errors import InputError

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
LIST = Path("/usr/share/unicode/emoji/emoji-test.txt")
_PIXELS = 109  # the one size of the font's bitmaps, which are 136 x 128
_SIDE = 136
_VARIATION = 0xFE0F  # asks for a picture in colour
_LINE = re.compile(r"([0-9A-F ]+?)\s*; fully-qualified\b")


def emoji(size: int = 32) -> Dataset:
    """Returns all emoji of one code point on white, uint8 `[size, size, 3]`, labelled by their group.

    Emoji 15.0 has 1,377 in nine groups, from "Smileys & Emotion" to "Flags" (5). They are split 8:1:1, by group.
    Pictures come from Debian's package fonts-noto-color-emoji (SIL Open Font License), groups from its package
    unicode-data.

    Raises:
      InputError: `size` is below 8, a package is not installed, or Pillow cannot draw the font.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 8:
        raise InputError(f"size of emoji must be an integer of at least 8, got {size!r}")
    for path in (FONT, LIST):
        if not path.is_file():
            raise InputError(f"emoji need {path}: apt-get install fonts-noto-color-emoji unicode-data")
    characters, groups = _listed(LIST.read_text(encoding="utf-8"))
    names = tuple(dict.fromkeys(groups))
    label = np.array([names.index(group) for group in groups])
    provenance = f"{len(characters):,} emoji of one code point by Noto Color Emoji, {size} x {size}, on white"
    return from_arrays(_drawn(characters, size), label, name="emoji", class_names=names, provenance=provenance)


def _listed(text: str) -> tuple[list[str], list[str]]:
    """Returns the emoji of one code point in Unicode's list, and the group of each."""
    characters, groups, group = [], [], ""
    for line in text.splitlines():
        if line.startswith("# group:"):
            group = line.partition(":")[2].strip()
        elif found := _LINE.match(line):
            points = [int(point, 16) for point in found[1].split()]
            if len([point for point in points if point != _VARIATION]) == 1:
                characters.append("".join(map(chr, points)))
                groups.append(group)
    return characters, groups


def _drawn(characters: list[str], size: int) -> np.ndarray:
    """Returns the pictures of characters, `[n, size, size, 3]`."""
    require_pillow()
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(FONT, _PIXELS)
    images = np.empty((len(characters), size, size, 3), np.uint8)
    for i, character in enumerate(characters):
        image = Image.new("RGB", (_SIDE, _SIDE), "white")
        ImageDraw.Draw(image).text((_SIDE / 2, _SIDE / 2), character, font=font, embedded_color=True, anchor="mm")
        images[i] = np.asarray(image.resize((size, size), Image.Resampling.BOX))
    return images
