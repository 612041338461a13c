"""From a file, a PIL image or an array to pixels of a shape."""

import functools
import io
import os
import stat
import struct
import zlib
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image, ImageOps

from sklearn_byol.images._arrays import tensor_as_array
from sklearn_byol.images._layout import Pixels, Shape

# What Pillow names but does not decode by itself: EPS is a program that it runs, and
# others are films, weather and data.
NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
ARRAY_ENDING = ".npy"  # of numpy
# What Pillow raises for files that are missing, empty, broken or too large, and what
# a Dataset may raise for one of its images.
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, RuntimeError, EOFError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
LIES_ON_ITS_SIDE = 5  # the EXIF orientations from which width and height change places
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GRAY_MODES = frozenset({"1", "L"})
DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})  # gray, > 8 bits
OF_16_BITS = frozenset({"PNG", "PPM"})  # which older Pillow opens as 32 bits
KEPT_TYPES = frozenset({"?", "B", "h", "H"})  # numpy's characters: bool to 16 bits

CROP, PAD, STRETCH = "crop", "pad", "stretch"  # how an image is brought to a shape

Item = str | os.PathLike[str] | io.BytesIO | Image.Image | Pixels | torch.Tensor


class Decoded(NamedTuple):
    """An image (n_channels, height, width), and which share of it is in there."""

    pixels: Pixels
    kept: float


def decode(item: Item, shape: Shape | None, mode: str = CROP) -> Decoded:
    """Decode one image to a shape (n_channels, height, width), or to its own.

    0 channels mean as many as it has. By "crop" the shorter side is resized and the
    middle cut out, by "pad" the longer one and pixels of the edge are repeated, by
    "stretch" both are.
    Pixels keep their type up to 16 bits; 32 bits and more become float32.
    """
    if isinstance(item, torch.Tensor):
        item = tensor_as_array(item)
    if isinstance(item, np.ndarray):
        return _decode_array(item, shape, mode)
    if isinstance(item, Image.Image):
        return _decode_picture(item, shape, mode)
    return _decode_file(item, shape, mode)


def _decode_file(
    file: str | os.PathLike[str] | io.BytesIO, shape: Shape | None, mode: str
) -> Decoded:
    """Decode a file, or what was read of one."""
    if not isinstance(file, io.BytesIO):
        # Of "" there is no Path; a pipe never ends.
        if not stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116
            raise ValueError("it is no regular file")
        if os.fspath(file).lower().endswith(ARRAY_ENDING):
            return _decode_array(_load_array(os.fspath(file)), shape, mode)
    with Image.open(file, formats=_formats()) as picture:
        if shape is not None:
            _, height, width = shape
            if picture.getexif().get(ExifTags.Base.Orientation, 1) >= LIES_ON_ITS_SIDE:
                width, height = height, width
            # JPEG can skip detail that the resizing would throw away, so that a file
            # and the PIL image that is opened from it may differ by a few values.
            picture.draft(None, (2 * width, 2 * height))
        return _decode_picture(picture, shape, mode)


def told_shape(image_shape: tuple[int, ...] | None) -> Shape | None:
    """Put the channels first of what images are to be decoded to; 0 if not told."""
    if image_shape is None or len(image_shape) == 2:
        return image_shape and (0, *image_shape)
    a, b, c = image_shape
    if c in MODES:
        return c, a, b
    if a in MODES:
        return a, b, c
    raise ValueError(
        f"image_shape={image_shape!r} has no 1, 3 or 4 channels, which images "
        "that are decoded one by one have."
    )


@functools.cache
def endings() -> frozenset[str]:
    """Name the endings of files that are images: a folder is searched for them."""
    formats = Image.registered_extensions().items()
    read = {ending for ending, name in formats if name in _formats()}
    return frozenset({*read, ARRAY_ENDING})


@functools.cache
def _formats() -> tuple[str, ...]:
    """Name the formats that Pillow decodes by itself."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_DECODED)


def _load_array(path: str) -> Pixels:
    """Read an array of numpy, and nothing that would have to be unpickled."""
    array = np.load(path, "r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("it is an archive of numpy, no single array")
    return array


def _decode_picture(picture: Image.Image, shape: Shape | None, mode: str) -> Decoded:
    """Turn, convert and resize a PIL image."""
    if 0 in picture.size:
        raise ValueError("it has no pixels")
    form, picture = picture.format, ImageOps.exif_transpose(picture)
    if picture.mode in DEEP_MODES:
        return _decode_array(_deep_pixels(picture, form), shape, mode)
    n_channels = (shape and shape[0]) or (1 if picture.mode in GRAY_MODES else 3)
    picture = _convert(picture, MODES[n_channels])
    kept = _kept((picture.height, picture.width), shape, mode)
    if shape is not None:
        picture = _resized(picture, shape, mode)
    pixels = np.asarray(picture)
    pixels = pixels[np.newaxis] if n_channels == 1 else pixels.transpose(2, 0, 1)
    return Decoded(pixels if shape is None else _padded(pixels, shape), kept)


def _resized(picture: Image.Image, shape: Shape, mode: str) -> Image.Image:
    """Resize a PIL image; by "pad" one side may be left shorter."""
    _, height, width = shape
    if mode == CROP:
        return ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    if mode == PAD:
        height, width = _inside((picture.height, picture.width), shape)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _convert(picture: Image.Image, mode: str) -> Image.Image:
    """Convert to L, RGB or RGBA."""
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    if not has_alpha or mode == "RGBA":
        return picture.convert(mode)
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert(mode)


def _deep_pixels(picture: Image.Image, form: str | None) -> Pixels:
    """Return the values of a gray picture of 16 bits or more, in the order of bytes."""
    values = np.asarray(picture)
    if form in OF_16_BITS and values.dtype.kind == "i":
        return values.astype(np.uint16)
    return values.astype(values.dtype.newbyteorder("="))


def _decode_array(array: Pixels, shape: Shape | None, mode: str) -> Decoded:
    """Move channels to the front and resize."""
    array = _channels_first(array, {*MODES, *(shape or ())[:1]} - {0})
    if array.dtype.kind not in "biuf":
        raise ValueError(f"its values are {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError("it has values that are infinite or not a number")
    if array.dtype.char not in KEPT_TYPES:
        array = array.astype(np.float32)
    if shape is not None and len(array) == 1 and shape[0] == 3:
        array = np.repeat(array, 3, axis=0)
    if shape is None or array.shape == shape:
        return Decoded(array, 1.0)
    if len(array) != (shape[0] or len(array)):
        raise ValueError(f"it has {len(array)} channels where {shape[0]} are expected")
    kept = _kept(array.shape[1:], shape, mode)
    image = torch.from_numpy(array.astype(np.float32, order="C"))
    if mode == CROP:
        image = _resize(image, shape)
    else:
        _, *size = shape
        size = [*_inside(array.shape[1:], shape)] if mode == PAD else size
        image = _interpolated(image, size)
    pixels = image.numpy() if array.dtype.kind == "f" else image.round().numpy()
    return Decoded(_padded(pixels.astype(array.dtype, copy=False), shape), kept)


def _channels_first(array: Pixels, known: set[int]) -> Pixels:
    """Find the channels of an array by their number."""
    if array.ndim == 2:
        array = array[np.newaxis]
    elif array.ndim == 3 and array.shape[0] not in known and array.shape[2] in known:
        array = array.transpose(2, 0, 1)
    if array.ndim != 3 or 0 in array.shape or len(array) not in known:
        numbers = " or ".join(map(str, sorted(known)))
        raise ValueError(f"its shape is {array.shape}, without {numbers} channels")
    return array


def _middle(image: torch.Tensor, n_rows: int, n_columns: int) -> torch.Tensor:
    """Cut the middle out of an image (n_channels, height, width)."""
    rows, columns = image.shape[1:]
    top, left = (rows - n_rows) // 2, (columns - n_columns) // 2
    return image[:, top : top + n_rows, left : left + n_columns]


def _resize(image: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Resize the shorter side and cut the middle out."""
    _, height, width = shape
    # Of the longer side of a strip four times as much is left as will be cut out.
    rows, columns = image.shape[1:]
    n_rows = 4 * max(1, -(-columns * height // width))
    n_columns = 4 * max(1, -(-rows * width // height))
    image = _middle(image, min(rows, n_rows), min(columns, n_columns))
    rows, columns = image.shape[1:]
    scale = max(height / rows, width / columns)
    size = [max(height, round(rows * scale)), max(width, round(columns * scale))]
    return _middle(_interpolated(image, size), height, width)


def _interpolated(image: torch.Tensor, size: list[int]) -> torch.Tensor:
    """Resize an image (n_channels, height, width), within its range of values."""
    low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
    resized = F.interpolate(image[None], size, mode="bicubic", antialias=True)
    return resized[0].clamp(low, high)


def _kept(size: tuple[int, ...], shape: Shape | None, mode: str) -> float:
    """Return the share of an image (height, width) that is left of it in a shape."""
    if shape is None or mode != CROP:
        return 1.0
    ratio = size[0] * shape[2] / (size[1] * shape[1])
    return min(ratio, 1 / ratio)


def _inside(size: tuple[int, ...], shape: Shape) -> tuple[int, int]:
    """Return the height and width of an image that fits into a shape as a whole."""
    _, height, width = shape
    scale = min(height / size[0], width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _padded(image: Pixels, shape: Shape) -> Pixels:
    """Repeat the pixels of the edges around an image that is smaller than a shape."""
    missing = [side - found for side, found in zip(shape, image.shape, strict=True)]
    if not any(missing[1:]):
        return image
    around = [(0, 0), *((n // 2, n - n // 2) for n in missing[1:])]
    return np.pad(image, around, mode="edge")
