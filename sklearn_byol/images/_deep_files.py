"""Files of more than 8 bits a channel, which Pillow narrows or scales."""

import io
import math
import re
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from sklearn_byol.images._alpha import over_white, white_of
from sklearn_byol.images._causes import NoImageError, NotReadError
from sklearn_byol.images._layout import Pixels
from sklearn_byol.images._tiff import bits_of_tiff, pixels_of_tiff
from sklearn_byol.images._tiff_planes import File, upright

DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})  # gray, > 8 bits
OF_16_BITS = frozenset({"PNG", "PPM"})  # which older Pillow opens as 32 bits
OF_BYTES = frozenset({"JPEG", "MPO"})  # of one image, though with a preview
DECODERS = {"PNG": "png_decode", "JPEG2000": "jpeg2k_decode"}  # of imagecodecs
SOUGHT = 4096  # bytes of a file in which its depth is told


def whole_pixels(picture: Image.Image, file: File, n_told: int) -> Pixels | None:
    """Read an image (n_channels, height, width) that Pillow would narrow or scale.

    None where Pillow reads it as it is, or nothing else can read it. `n_told` are the
    channels that are asked for, 0 if any number will do.
    """
    if picture.format in OF_BYTES:
        return None
    if picture.format == "TIFF":
        return pixels_of_tiff(picture, file, n_told)
    _refuse_frames(picture)
    if picture.format == "PPM":
        return _ppm(picture, file)
    if picture.format == "JPEG2000" and picture.mode in DEEP_MODES:
        values = np.asarray(picture).astype(np.uint16)  # which Pillow has scaled up
        return values[np.newaxis] >> (16 - _bits(picture, file))
    is_decoded = picture.format in DECODERS and lost_bits(picture, file)
    return _in_colour(picture, file, n_told) if is_decoded else None


def lost_bits(picture: Image.Image, file: File | None = None) -> int:
    """Count the bits of a channel of which Pillow keeps 8; 0 where it keeps all.

    Of a picture that was opened elsewhere, as far as it tells.
    """
    if picture.format in OF_BYTES or picture.mode in DEEP_MODES:
        return 0
    bits = _bits(picture, file)
    return bits if bits > 8 else 0


def deep_pixels(picture: Image.Image, form: str | None) -> Pixels:
    """Return the values of a gray picture of 16 bits or more, in the order of bytes."""
    values = np.asarray(picture)
    if form == "FITS" and values.dtype.itemsize == 2:
        values = values.view(">i2")  # which Pillow takes for little and unsigned
    if form in OF_16_BITS and values.dtype.kind == "i":
        return values.astype(np.uint16)
    return values.astype(values.dtype.newbyteorder("="))


def _refuse_frames(picture: Image.Image) -> None:
    """Refuse an animation, which may be one image or many."""
    if getattr(picture, "is_animated", False) and picture.format != "PSD":  # layers
        raise NotReadError(
            f"it has {picture.n_frames} frames, which may be one image or many; pass a "  # type: ignore[attr-defined]
            "list of PIL images: the one that PIL.Image.open(path) opens, or those of "
            "PIL.ImageSequence.all_frames"
        )


def _bits(picture: Image.Image, file: File | None) -> int:
    """Count the bits of a channel in a file that has not been read yet."""
    if picture.format in BITS_OF and file is not None:
        return BITS_OF[picture.format](_bytes_of(file, SOUGHT))
    if picture.format == "TIFF":
        return bits_of_tiff(picture)
    args = [repr(tile[3]) for tile in getattr(picture, "tile", [])]
    return 16 if any(";16" in words for words in args) else 8


def _bits_of_jpeg2000(beginning: bytes) -> int:
    """Read the precision after sizes; more than 16 bits are more than Pillow knows."""
    at = beginning.find(b"\xff\x51") + 40
    # The first bit is the sign.
    return min(16, (beginning[at] & 0x7F) + 1) if len(beginning) > at else 8


def _bits_of_avif(beginning: bytes) -> int:
    """Read two flags of the configuration of AV1."""
    at = beginning.find(b"av1C") + 6
    flags = beginning[at] if 6 <= at < len(beginning) else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _bits_of_sgi(beginning: bytes) -> int:
    """Read the bytes of a channel."""
    return 8 * beginning[3]


BITS_OF = {"JPEG2000": _bits_of_jpeg2000, "AVIF": _bits_of_avif, "SGI": _bits_of_sgi}


def _bytes_of(file: File, n: int = -1) -> bytes:
    """Read a file from its beginning."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()[: None if n < 0 else n]
    with open(file, "rb") as opened:  # noqa: PTH123  it may be any path
        return opened.read(n)


def _in_colour(picture: Image.Image, file: File, n_told: int) -> Pixels | None:
    """Read channels of 16 bits; an alpha lies over white, where it is not asked for.

    None where imagecodecs, which can, is not installed.
    """
    try:
        import imagecodecs  # noqa: PLC0415  optional
    except ImportError:
        return None
    decode = getattr(imagecodecs, DECODERS[picture.format or ""])
    array = decode(_bytes_of(file)).transpose(2, 0, 1)
    if len(array) in {2, 4} and n_told != len(array):
        array = over_white(array, white_of(array, _bits(picture, file)))
    return upright(array, picture.getexif().get(ExifTags.Base.Orientation, 1))


def _ppm(picture: Image.Image, file: File) -> Pixels | None:
    """Read PGM and PPM whose largest value is not that of a byte, unscaled."""
    codec, _, offset, args = picture.tile[0]  # type: ignore[attr-defined]
    most: Any = args[-1] if isinstance(args, tuple) else 255
    if codec == "raw" or not isinstance(most, int) or most == 255:
        return None
    dtype = np.dtype(np.uint8 if most < 256 else ">u2")
    shape = picture.height, picture.width, len(picture.getbands())
    content, n_values = _bytes_of(file)[offset:], math.prod(shape)
    if codec == "ppm_plain":
        words = re.sub(rb"#.*", b"", content).split()[:n_values]
        values = np.array(words, np.int64).clip(0, most)
    else:
        values = np.frombuffer(
            content, dtype, min(n_values, len(content) // dtype.itemsize)
        )
    if len(values) < n_values:
        raise NoImageError("it is damaged or cut off")
    return values.astype(dtype.newbyteorder("=")).reshape(shape).transpose(2, 0, 1)
