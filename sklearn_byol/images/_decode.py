"""From a file, a PIL image or an array to pixels of a shape."""

import functools
import io
import os
import stat
from typing import NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sklearn_byol.images._array_images import (
    Decoded,
    decode_array,
    fit_array,
    load_array,
)
from sklearn_byol.images._arrays import tensor_as_array
from sklearn_byol.images._causes import (
    NoImageError,
    NotReadError,
)
from sklearn_byol.images._deep_files import (
    DEEP_MODES,
    deep_pixels,
    lost_bits,
    whole_pixels,
)
from sklearn_byol.images._layout import Pixels, Shape
from sklearn_byol.images._resizing import (
    CROP,
    kept_share,
    padded,
    resize_picture,
)
from sklearn_byol.images._tiff import is_tiff, load_unmapped, refuse_lost_bands
from sklearn_byol.images._tiff_planes import read_tiff

# What Pillow names but does not decode by itself: EPS is a program that it runs, and
# others are films, weather and data.
NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
ARRAY_ENDING = ".npy"  # of numpy
LIES_ON_ITS_SIDE = 5  # the EXIF orientations from which width and height change places
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GRAY_MODES = frozenset({"1", "L", "LA"})
NUMPY = b"\x93NUMPY"  # how a file of numpy begins
DICOM, DICOM_AT = b"DICM", 128  # how a file of DICOM begins, and where

Item = str | os.PathLike[str] | io.BytesIO | Image.Image | Pixels | torch.Tensor


class Look(NamedTuple):
    """What is known of an image before it is decoded."""

    is_colour: bool
    depth: str
    size: tuple[int, ...]


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
        return decode_array(item, shape, mode)
    if isinstance(item, Image.Image):
        refuse_lost_bands(item, shape[0] if shape else 0)
        bits = lost_bits(item)  # which is not known any more when it is loaded
        return _decode_picture(item, shape, mode)._replace(lost_bits=bits)
    return _decode_file(item, shape, mode)


def look(item: Item) -> Look:
    """See what an image is like without decoding it."""
    if isinstance(item, (np.ndarray, torch.Tensor)):
        is_colour = 3 in {item.shape[0], item.shape[-1]} and item.ndim == 3
        return Look(is_colour, str(item.dtype), tuple(item.shape))
    if isinstance(item, Image.Image):
        return Look(item.mode not in {*GRAY_MODES, *DEEP_MODES}, item.mode, item.size)
    if _is_array_file(item):
        return look(load_array(item))
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
    mode = os.stat(path).st_mode  # noqa: PTH116  of "" there is no Path
    if stat.S_ISDIR(mode) and os.path.islink(path):  # noqa: PTH114
        raise NotReadError(
            "it is a link to a folder; to follow it, pass "
            "list_images(folder, follow_links=True)"
        )
    if not stat.S_ISREG(mode):  # a pipe never ends
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise NoImageError(f"it is {what}")
    return path.lower().endswith(ARRAY_ENDING)


def _decode_file(
    file: str | os.PathLike[str] | io.BytesIO, shape: Shape | None, mode: str
) -> Decoded:
    """Decode a file, or what was read of one."""
    if _is_array_file(file):
        return decode_array(load_array(file), shape, mode)
    n_told = shape[0] if shape else 0
    if isinstance(file, io.BytesIO):
        file = io.BytesIO(file.getvalue())  # others may read it at the same time
    try:
        picture = Image.open(file, formats=_formats())
    except UnidentifiedImageError:
        if not is_tiff(file):
            _tell_of_others(file)
            raise
        return fit_array(read_tiff(file, n_told, "values"), shape, mode)
    with picture:
        pixels = whole_pixels(picture, file, n_told)
        if pixels is not None:
            return fit_array(pixels, shape, mode)
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
        return fit_array(pixels, shape, mode)
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
