"""From a file, a PIL image or an array to pixels of a shape."""

import functools
import io
import os
import stat
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sklearn_byol.images._arrays import tensor_as_array
from sklearn_byol.images._causes import (
    NoImageError,
    NoNumbersError,
    NotReadError,
)
from sklearn_byol.images._deep_files import (
    DEEP_MODES,
    deep_pixels,
    lost_bits,
    whole_pixels,
)
from sklearn_byol.images._layout import CHANNELS, Pixels, Shape
from sklearn_byol.images._resizing import (
    CROP,
    kept_share,
    padded,
    resize_array,
    resize_picture,
)
from sklearn_byol.images._tiff import is_tiff, load_unmapped
from sklearn_byol.images._tiff_planes import read_tiff

# What Pillow names but does not decode by itself: EPS is a program that it runs, and
# others are films, weather and data.
NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
ARRAY_ENDING = ".npy"  # of numpy
LIES_ON_ITS_SIDE = 5  # the EXIF orientations from which width and height change places
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GRAY_MODES = frozenset({"1", "L", "LA"})
OF_LIGHT = np.array([0.299, 0.587, 0.114])  # shares of colours in gray, as of Pillow
KEPT_TYPES = frozenset({"?", "B", "h", "H"})  # numpy's characters: bool to 16 bits
NUMPY = b"\x93NUMPY"  # how a file of numpy begins
DICOM, DICOM_AT = b"DICM", 128  # how a file of DICOM begins, and where

Item = str | os.PathLike[str] | io.BytesIO | Image.Image | Pixels | torch.Tensor


class Look(NamedTuple):
    """What is known of an image before it is decoded."""

    is_colour: bool
    depth: str
    size: tuple[int, ...]


class Decoded(NamedTuple):
    """An image (n_channels, height, width), and what of it is not in there.

    `kept` is the share of its pixels that is; `lost_bits` counts the bits that its
    channels had, where they have 8 now.
    """

    pixels: Pixels
    kept: float
    lost_bits: int = 0


def decode(item: Item, shape: Shape | None, mode: str = CROP) -> Decoded:
    """Decode one image to a shape (n_channels, height, width), or to its own.

    0 channels mean as many as it has. By "crop" the shorter side is resized and the
    middle cut out, by "pad" the longer one and pixels of the edge are repeated, by
    "stretch" both are.
    Pixels keep their type up to 16 bits; 32 bits and more become float32.
    """
    if isinstance(item, torch.Tensor):
        item = _array_of(item)
    if isinstance(item, np.ndarray):
        if np.ma.is_masked(item):
            raise NotReadError("some of its values are masked; pass its filled(value)")
        return _fitted(_channels_first(item, shape), shape, mode)
    if isinstance(item, Image.Image):
        return _decode_picture(item, shape, mode)
    return _decode_file(item, shape, mode)


def look(item: Item) -> Look:
    """See what an image is like without decoding it."""
    if isinstance(item, (np.ndarray, torch.Tensor)):
        is_colour = 3 in {item.shape[0], item.shape[-1]} and item.ndim == 3
        return Look(is_colour, str(item.dtype), tuple(item.shape))
    if isinstance(item, Image.Image):
        return Look(item.mode not in {*GRAY_MODES, *DEEP_MODES}, item.mode, item.size)
    if _is_array_file(item):
        return look(_load_array(item))
    with Image.open(item, formats=_formats()) as picture:
        return look(picture)


def _array_of(tensor: torch.Tensor) -> Pixels:
    """View a tensor as an array."""
    try:
        return tensor_as_array(tensor)
    except TypeError as error:
        raise NotReadError(str(error).removesuffix(".")) from error


def _is_array_file(file: str | os.PathLike[str] | io.BytesIO) -> bool:
    """Tell whether a file is one of numpy; raise if it cannot be a file of images."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()[: len(NUMPY)] == NUMPY
    path = os.fspath(file)
    if "\0" in path:
        raise NoImageError("its path has a null character")
    # Of "" there is no Path; a pipe never ends.
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
        raise NoImageError("it is no regular file")
    return path.lower().endswith(ARRAY_ENDING)


def _decode_file(
    file: str | os.PathLike[str] | io.BytesIO, shape: Shape | None, mode: str
) -> Decoded:
    """Decode a file, or what was read of one."""
    if _is_array_file(file):
        array = _load_array(file)
        return _fitted(_channels_first(array, shape), shape, mode)
    n_told = shape[0] if shape else 0
    if isinstance(file, io.BytesIO):
        file = io.BytesIO(file.getvalue())  # others may read it at the same time
    try:
        picture = Image.open(file, formats=_formats())
    except UnidentifiedImageError:
        if not is_tiff(file):
            _tell_of_others(file)
            raise
        return _fitted(read_tiff(file, n_told, "values"), shape, mode)
    with picture:
        pixels = whole_pixels(picture, file, n_told)
        if pixels is not None:
            return _fitted(pixels, shape, mode)
        bits = lost_bits(picture, file)
        if shape is not None:
            _draft(picture, shape)
        return _decode_picture(picture, shape, mode)._replace(lost_bits=bits)


def _draft(picture: Image.Image, shape: Shape) -> None:
    """Let JPEG skip detail that the resizing would throw away.

    So a file and the PIL image that is opened from it may differ by a few values.
    """
    _, height, width = shape
    if picture.getexif().get(ExifTags.Base.Orientation, 1) >= LIES_ON_ITS_SIDE:
        width, height = height, width
    picture.draft(None, (2 * width, 2 * height))


def _tell_of_others(file: str | os.PathLike[str] | io.BytesIO) -> None:
    """Name what else a file is, where there is another way to read it."""
    if isinstance(file, io.BytesIO):
        beginning = file.getvalue()[: DICOM_AT + len(DICOM)]
    else:
        with open(file, "rb") as opened:  # noqa: PTH123  it may be any path
            beginning = opened.read(DICOM_AT + len(DICOM))
    if not beginning:
        raise NoImageError("it is empty")
    if beginning[DICOM_AT:] == DICOM:
        raise NotReadError(
            "it is a DICOM file; pass a Dataset whose __getitem__ returns "
            "pydicom.dcmread(path).pixel_array"
        )


@functools.cache
def endings() -> frozenset[str]:
    """Name the endings of files that are images: a folder is searched for them."""
    formats = Image.registered_extensions().items()
    known = {*_formats(), "MPO"}  # which is opened as JPEG
    read = {ending for ending, name in formats if name in known}
    return frozenset({*read, ARRAY_ENDING})


@functools.cache
def _formats() -> tuple[str, ...]:
    """Name the formats that Pillow decodes by itself."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_DECODED)


def _load_array(file: str | os.PathLike[str] | io.BytesIO) -> Pixels:
    """Read an array of numpy, and nothing that would have to be unpickled."""
    try:
        if isinstance(file, io.BytesIO):
            array = np.load(io.BytesIO(file.getvalue()), allow_pickle=False)
        else:
            array = np.load(file, "r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise NoImageError("it is no array of numbers that numpy can read") from error
    if not isinstance(array, np.ndarray):
        raise NoImageError("it is an archive of numpy, no single array")
    return array


def _decode_picture(picture: Image.Image, shape: Shape | None, mode: str) -> Decoded:
    """Turn, convert and resize a PIL image."""
    if 0 in picture.size:
        raise NoImageError("it has no pixels")
    load_unmapped(picture)
    form, picture = picture.format, ImageOps.exif_transpose(picture)
    n_told = shape[0] if shape else 0
    is_inked = picture.mode == "CMYK" and n_told == len(picture.getbands())
    if picture.mode in DEEP_MODES or is_inked or n_told not in {0, *MODES}:
        pixels = deep_pixels(picture, form)
        pixels = pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return _fitted(pixels, shape, mode)
    n_channels = n_told or (1 if picture.mode in GRAY_MODES else 3)
    picture = _convert(picture, MODES[n_channels])
    kept = kept_share((picture.height, picture.width), shape, mode)
    if shape is not None:
        picture = resize_picture(picture, shape, mode)
    pixels = np.asarray(picture)
    pixels = pixels[np.newaxis] if n_channels == 1 else pixels.transpose(2, 0, 1)
    return Decoded(pixels if shape is None else padded(pixels, shape), kept)


def _convert(picture: Image.Image, mode: str) -> Image.Image:
    """Convert to L, RGB or RGBA."""
    if picture.mode == "La":
        picture = picture.convert("LA")
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    if not has_alpha or mode == "RGBA":
        return picture.convert(mode)
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert(mode)


def _fitted(array: Pixels, shape: Shape | None, mode: str) -> Decoded:
    """Check the values of an image (n_channels, height, width), and resize it."""
    if array.dtype.kind not in "biuf":
        raise NoImageError(f"its values are {array.dtype}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        array = array.astype(kept_type(array.dtype), copy=False)
    if not np.isfinite(array).all():
        raise NoNumbersError(
            "it has values that are not a number, infinite or too large for float32"
        )
    if shape is not None:
        array = _gray_or_colour(array, shape[0])
    if shape is None or array.shape == shape:
        return Decoded(array, 1.0)
    n_channels, *size = shape
    if len(array) != (n_channels or len(array)):
        raise NotReadError(
            f"it has {_channels(len(array))} where {n_channels} are expected; pass "
            f"image_shape=({size[0]}, {size[1]}, {len(array)}) in fit to have them all"
        )
    if [*array.shape[1:]] == size:
        return Decoded(array, 1.0)
    kept = kept_share(array.shape[1:], shape, mode)
    return Decoded(resize_array(array, shape, mode), kept)


def kept_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of pixels that are decoded: up to 16 bits their own."""
    native = dtype.newbyteorder("=")
    return native if dtype.char in KEPT_TYPES else np.dtype(np.float32)


def _gray_or_colour(array: Pixels, n_channels: int) -> Pixels:
    """Give gray images three equal channels, or make those in colour gray, as asked."""
    if len(array) == 1 and n_channels == 3:
        return np.repeat(array, 3, axis=0)
    if len(array) == 3 and n_channels == 1:
        gray = np.tensordot(OF_LIGHT, array, axes=1)[np.newaxis]
        return (gray if array.dtype.kind == "f" else gray.round()).astype(array.dtype)
    return array


def _channels(n: int) -> str:
    """Say how many channels there are."""
    return "1 channel" if n == 1 else f"{n} channels"


def _channels_first(array: Pixels, shape: Shape | None) -> Pixels:
    """Find the axis of the channels of an array, and move it to the front."""
    if array.ndim == 2 and array.size:
        return array[np.newaxis]
    if array.ndim > 3:
        raise NotReadError(
            f"its shape is {array.shape}, of a batch; pass single images, or the array"
        )
    if array.ndim != 3 or 0 in array.shape:
        raise NoImageError(f"its shape is {array.shape}, of no image")
    h, w, c = array.shape
    is_first = _are_first(h, w, c, shape or (0, 0, 0))
    if is_first is None:
        raise NotReadError(_two_readings(h, w, c))
    return array if is_first else array.transpose(2, 0, 1)


def _are_first(h: int, w: int, c: int, shape: Shape) -> bool | None:
    """Tell whether channels come first of three axes: by their number, or by the size.

    Where both ends fit, or none does, that which leaves a square; None where both do.
    """
    if h == c == 1:
        return True
    n_told, *size = shape
    for is_first, is_last in (
        (h == n_told, c == n_told),
        (h in CHANNELS, c in CHANNELS),
        ([w, c] == size, [h, w] == size),
        (w == c, h == w),
    ):
        if is_first != is_last:
            return is_first
        if is_first and (w == c) != (h == w):
            return w == c
        if is_first and h == w == c and [h, w] == size:
            return False  # as arrays of many such cubes are read
    return None


def _two_readings(h: int, w: int, c: int) -> str:
    """Say how an array of three axes may be read, and how to tell."""
    if h == w == c:
        return (
            f"its shape is ({h}, {w}, {c}), whose channels may come first or last; "
            f"move them to the last axis and pass image_shape=({h}, {w})"
        )
    return (
        f"its shape is ({h}, {w}, {c}), which may be {c} channels of {h}x{w} pixels or "
        f"{h} of {w}x{c}; pass image_shape=({h}, {w}) for the first, or ({w}, {c}) for "
        "the second"
    )
