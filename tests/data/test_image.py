"""Images of more than 8 bits per channel are refused for that reason; of fewer, they are scaled to 0..255."""

import io
import struct
import zlib

import numpy as np
import pytest

from genjax_models.data.image import UnreadableError, decode, decode_as

DEEP = (np.arange(12) * 5_461).reshape(2, 2, 3).astype(np.uint16)


def read(content):
    return decode(io.BytesIO(content), size=None, max_pixels=100)


def ppm(x, white, *, plain=False):
    """A portable pixmap (3 channels) or graymap (1)."""
    kind = {(3, False): "P6", (1, False): "P5", (3, True): "P3", (1, True): "P2"}[x.shape[2], plain]
    values = " ".join(map(str, x.ravel())).encode() if plain else x.astype(">u2" if white > 255 else "u1").tobytes()
    return f"{kind}\n{x.shape[1]} {x.shape[0]}\n{white}\n".encode() + values


def bmp(pixels, masks, *, bits=16, header=40):
    """A bitmap of one row, with 16 or 32 bits per pixel; `masks` of the channels, none for 5-5-5."""
    row = b"".join(struct.pack("<H" if bits == 16 else "<I", pixel) for pixel in pixels)
    row += b"\0" * (-len(row) % 4)
    fields = (header, len(pixels), 1, 1, bits, 3 if masks else 0, len(row), 0, 0, 0, 0)
    info = struct.pack("<IiiHHIIiiII", *fields) + b"".join(struct.pack("<I", mask) for mask in masks)
    info += b"\0" * (header - len(info))
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(row), 0, 0, start) + info + row


def png(x, colour):
    """16 bits per channel, by hand: Pillow writes grey only."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in x)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", x.shape[1], x.shape[0], 16, colour, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
    }
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts.items()) + chunk(b"IEND", b"")


def tiff(x, bits, *, planar=False, photometric=2):
    """An uncompressed file with one strip, or one per channel (`planar`)."""
    height, width, channels = x.shape
    planes = [plane.tobytes() for plane in np.moveaxis(x, 2, 0)] if planar else [x.tobytes()]
    counts = [len(plane) for plane in planes]
    body = 8 + 2 + 10 * 12 + 4
    lists = {258: [bits] * channels, 273: [], 279: counts}
    data = body + 4 * (channels + 2 * len(planes))
    lists[273] = [data + sum(counts[:i]) for i in range(len(planes))]
    single = {256: width, 257: height, 259: 1, 262: photometric, 277: channels, 278: height, 284: 1 + planar}
    entries, extra = b"", b""
    for tag in sorted(single | lists):
        values = lists.get(tag) or [single[tag]]
        if len(values) == 1:
            entries += struct.pack("<HHII", tag, 4, 1, values[0])
        else:
            entries += struct.pack("<HHII", tag, 4, len(values), body + len(extra))
            extra += struct.pack(f"<{len(values)}I", *values)
    extra = extra.ljust(data - body, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, 10) + entries + b"\0\0\0\0" + extra + b"".join(planes)


@pytest.mark.parametrize(
    "content",
    [
        ppm(DEEP, 65535),
        ppm(DEEP, 65535, plain=True),
        ppm(DEEP // 64, 1023),
        ppm(DEEP // 64, 1023, plain=True),
        ppm(DEEP // 256, 256),
        ppm(DEEP[..., :1], 65535),
        ppm(DEEP[..., :1], 65535, plain=True),
        ppm(DEEP[..., :1] // 64, 1023),
        png(DEEP[..., :1], 0),
        png(DEEP, 2),
        png(DEEP[..., :2], 4),
        png(np.concatenate([DEEP, DEEP[..., :1]], axis=-1), 6),
        tiff(DEEP, 16),
        tiff(DEEP, 16, planar=True),
        tiff(DEEP[..., :1], 16, photometric=1),
        tiff(np.concatenate([DEEP, DEEP[..., :1]], axis=-1), 16, photometric=5),
    ],
)
def test_fault_78_more_than_8_bits_per_channel_are_refused_for_that_reason(content):
    with pytest.raises(UnreadableError, match="more than 8 bits per channel"):
        read(content)
    with pytest.raises(UnreadableError, match="more than 8 bits per channel"):
        decode_as(io.BytesIO(content), "RGB", max_pixels=100)


@pytest.mark.parametrize("header", [40, 108, 124])
def test_fault_78_bitmaps_of_5_6_5_bits_are_scaled(header):
    red, green, blue = np.arange(32), np.arange(0, 64, 2), np.arange(31, -1, -1)
    masks = (0xF800, 0x07E0, 0x001F) if header == 40 else (0xF800, 0x07E0, 0x001F, 0)
    x = read(bmp((red << 11 | green << 5 | blue).tolist(), masks, header=header))
    assert x.shape == (1, 32, 3)
    np.testing.assert_allclose(x[0], np.stack([red / 31, green / 63, blue / 31], axis=1) * 255, atol=1)
    white = read(bmp([0xFFFF, 0], masks, header=header))
    np.testing.assert_array_equal(white[0], [[255] * 3, [0] * 3])


@pytest.mark.parametrize("masks", [(), (0x7C00, 0x03E0, 0x001F)])
def test_fault_78_bitmaps_of_5_5_5_bits_are_scaled(masks):
    red, green, blue = np.arange(32), np.arange(32)[::-1], np.roll(np.arange(32), 7)
    x = read(bmp((red << 10 | green << 5 | blue).tolist(), masks))
    np.testing.assert_allclose(x[0], np.stack([red, green, blue], axis=1) * 255 / 31, atol=1)


@pytest.mark.parametrize(
    ("masks", "bits"), [((0x0F00, 0x00F0, 0x000F), 16), ((0x3FF00000, 0x000FFC00, 0x000003FF), 32)]
)
def test_fault_78_other_bitmaps_are_refused_for_their_masks(masks, bits):
    with pytest.raises(UnreadableError, match="Unsupported BMP bitfields layout"):
        read(bmp([0, 1, 2, 3], masks, bits=bits))


@pytest.mark.parametrize("white", [1, 3, 15, 100, 255])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("plain", [False, True])
def test_fault_78_pixmaps_of_fewer_values_are_scaled(white, channels, plain):
    x = np.random.RandomState(0).randint(0, white + 1, (4, 5, channels))
    np.testing.assert_allclose(read(ppm(x, white, plain=plain)), x * (255 / white), atol=1)


@pytest.mark.parametrize("planar", [False, True])
def test_fault_78_tiff_of_8_bits_is_read(planar):
    x = (DEEP // 256).astype(np.uint8)
    np.testing.assert_array_equal(read(tiff(x, 8, planar=planar)), x)
