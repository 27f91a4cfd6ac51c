"""Decodes one image to uint8 `[height, width, 1 or 3]`, by a stated rule; or raises an error with the reason."""

import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import IO, Literal

import numpy as np

from genjax_models.errors import InputError

Fit = Literal["crop", "resize", "pad"]
Size = int | tuple[int, int]  # of a square; or height and width

MAX_PIXELS = 64_000_000
SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
)
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # without EPS, which runs a program
_BITS_PER_SAMPLE = 258  # a tag of TIFF
_BITMAP = "BGR;16"
_GREY = ("1", "L", "LA")
_COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


class UnreadableError(ValueError):
    """Bytes that do not decode to one image of 8 bits; the message has the reason."""


class TooLargeError(ValueError):
    """An image of too many pixels; the message has their number."""


def require_pillow() -> None:
    """Checks that Pillow is installed.

    Raises:
      InputError: Pillow is missing. The error says how to install it.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise InputError("images need Pillow, which is not installed: pip install pillow") from error


def sides(size: Size) -> tuple[int, int]:
    """Returns height and width."""
    return size if isinstance(size, tuple) else (size, size)


def decode(
    file: IO[bytes], *, size: Size | None, fit: Fit = "crop", channels: Literal[1, 3] | None = None, max_pixels: int
) -> np.ndarray:
    """Returns the image, turned upright by its EXIF data, on a white background, fitted to `size`.

    Without `channels` it has one channel if it is stored as grey (1 or 8 bits, with or without alpha), else red, green
    and blue; a palette is colour. With `fit="crop"` the largest centred part of the proportions of `size` is cut out
    first; with "resize" the proportions change; with "pad" a black margin fills the rest. Pixels are averaged over
    their area if neither side grows, and interpolated bicubically otherwise. `size=None` keeps every pixel.

    Raises:
      TooLargeError: the header says more than `max_pixels`; nothing is decoded.
      UnreadableError: not an image, a damaged one, several frames (animations, pages), or more than 8 bits per channel.
    """
    from PIL import Image, ImageOps

    with _opened(file, max_pixels) as image:
        grey = channels == 1 or (channels is None and image.mode in _GREY)
        ImageOps.exif_transpose(image, in_place=True)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return _array(_fitted(image.convert("L" if grey else "RGB"), size, fit))


def opened(path: bytes) -> BufferedReader:
    """Opens the file of an image.

    Raises:
      UnreadableError: not a regular file.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its other end
        raise UnreadableError("not a regular file")
    return open(path, "rb")


def header(path: bytes) -> tuple[str, str]:
    """Returns the stored size, as in "640 x 480", and the mode of an image; "unreadable" for both if it has none."""
    from PIL import Image

    try:
        with (
            opened(path) as file,
            warnings.catch_warnings(action="ignore"),
            Image.open(file, formats=_FORMATS) as image,
        ):
            return f"{image.width} x {image.height}", image.mode
    except Exception:  # Pillow raises a dozen kinds of errors on damaged bytes
        return "unreadable", "unreadable"


def decode_as(file: IO[bytes], mode: str, *, max_pixels: int) -> np.ndarray:
    """Returns every pixel as stored, in Pillow's `mode`. The errors are the errors of `decode`."""
    with _opened(file, max_pixels) as image:
        return _array(image.convert(mode))


@contextmanager
def _opened(file: IO[bytes], max_pixels: int) -> Iterator:
    """Yields the decoded image. Pillow may warn of repairs: callers silence the warnings around their threads."""
    from PIL import Image

    try:
        with Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise TooLargeError(f"{image.width} x {image.height} pixels")
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":  # a camera stores a preview after the photograph
                raise UnreadableError(f"{frames} frames, not one")
            if image.mode not in _GREY + _COLOUR:
                raise UnreadableError(f"mode {image.mode}, more than 8 bits per channel or an unknown kind of colour")
            if _is_deep(image):
                raise UnreadableError(f"mode {image.mode}, but stored in more than 8 bits per channel. Convert it to 8")
            image.load()
            yield image
    except (TooLargeError, UnreadableError, MemoryError):
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, without width and height
        pixels = re.search(r"\d+ pixels", str(error))
        raise TooLargeError(pixels[0] if pixels else str(error)) from error
    except Image.UnidentifiedImageError as error:
        raise UnreadableError(f"not an image of a known format, {', '.join(_FORMATS)}") from error
    except Exception as error:  # Pillow raises a dozen kinds of errors on damaged bytes
        raise UnreadableError(f"{type(error).__name__}: {error}".replace("\n", " ")) from error


def _is_deep(image) -> bool:
    """Returns whether a file has more than 8 bits per channel, of which Pillow would keep 8, or read the wrong ones.

    A bitmap of 16 bits per pixel ("BGR;16") has 5 or 6 bits per channel, and Pillow scales them to 0..255.
    """
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))) > 8
    for codec, _, _, arguments in image.tile:
        if codec in ("ppm", "ppm_plain"):  # the mode, and the value of white
            if arguments[1] > 255:
                return True
        elif ";16" in str(arguments) and _BITMAP not in str(arguments):
            return True
    return False


def _fitted(image, size: Size | None, fit: Fit):
    from PIL import Image, ImageOps

    if size is None:
        return image
    height, width = sides(size)
    if fit == "crop":
        image = _cropped(image, height, width)
    scale = min(width / image.width, height / image.height)
    shrinks = scale <= 1 if fit == "pad" else width <= image.width and height <= image.height
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    if fit == "pad":
        return ImageOps.pad(image, (width, height), method)
    return image.resize((width, height), method)


def _cropped(image, height: int, width: int):
    """Returns the largest centred part of these proportions."""
    wide = min(image.width, image.height * width // height) or 1
    high = min(image.height, image.width * height // width) or 1
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    return image.crop((left, top, left + wide, top + high))


def _array(image) -> np.ndarray:
    x = np.asarray(image, np.uint8)
    return x[..., None] if x.ndim == 2 else x
