"""Films: grids of images that change, as animated GIFs of a bounded size."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from genjax_models.figures.plots import mosaic
from genjax_models.figures.style import INK
from genjax_models.types import Array

MOST_BYTES = 2**20
_SIDE = 400  # pixels that a frame is scaled up to
_MOST_IMAGES = 36  # in a frame
_COLOURS = 64  # of a frame; few colours make small files
_TITLE = 20  # height of the title, in pixels
_FRAME, _LAST = 250, 2_000  # milliseconds


def eight_bits(images: Array, range: tuple[float, float]) -> np.ndarray:
    """Returns images as numbers from 0 to 255, uint8; values that are not finite become 0."""
    unit = (np.asarray(images, np.float32) - range[0]) / (range[1] - range[0])
    return np.round(255 * np.clip(np.nan_to_num(unit, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)).astype(np.uint8)


def film(
    frames: Sequence[tuple[str, Array]], *, columns: int | None = None, most_bytes: int = MOST_BYTES, back: bool = False
) -> bytes:
    """Returns a GIF of at most 1 MiB.

    Args:
      frames: title and images `[n, height, width, channels]` in [0, 1] of each frame; all of one shape.
      columns: of the grid. Default: a square grid of at most 36 of the images.
      most_bytes: largest size. A film that is larger loses frames and, from eight frames on, images.
      back: whether the film runs back to its beginning. Else its last frame stays for two seconds.

    Raises:
      ValueError: two frames in two colours are larger than `most_bytes`.
    """
    n, height, width, _ = np.shape(frames[0][1])
    shown = n if columns else min(_MOST_IMAGES, n, max(1, _SIDE // (max(height, width) + 1)) ** 2)
    colours = _COLOURS
    while True:
        content = _gif([_frame(title, images[:shown], columns, colours) for title, images in frames], back=back)
        if len(content) <= most_bytes:
            return content
        if len(frames) > 8:
            frames = [*frames[:-1:2], frames[-1]]
        elif shown > 4 and not columns:
            shown = (math.isqrt(shown) - 1) ** 2
        elif colours > 2:
            colours //= 2
        elif len(frames) > 2:
            frames = [*frames[:-1:2], frames[-1]]
        else:
            raise ValueError(f"`most_bytes` must be at least {len(content)} for these images, got {most_bytes}")


def _frame(title: str, images: Array, columns: int | None, colours: int) -> Image.Image:
    """Returns a grid of images below its title, with few colours."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    grid = Image.fromarray(np.round(255 * mosaic(images, rows, columns, (0, 1))).astype(np.uint8))
    scale = _SIDE / max(grid.size)
    scale = max(1, int(scale)) if scale >= 1 else scale
    grid = grid.resize([max(1, round(side * scale)) for side in grid.size], Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (max(grid.width, 7 * len(title) + 8), grid.height + _TITLE), "white")
    canvas.paste(grid, (0, _TITLE))
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 12)
    ImageDraw.Draw(canvas).text((4, 2), title, fill=INK, font=font)
    return canvas.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _gif(frames: Sequence[Image.Image], *, back: bool) -> bytes:
    durations = [_FRAME] * len(frames)
    if back:
        frames = [*frames, *frames[-2:0:-1]]
        durations = [_FRAME // 2] * len(frames)
    else:
        durations[-1] = _LAST
    content = io.BytesIO()
    (first, *others) = frames
    first.save(content, format="GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=False)
    return content.getvalue()
