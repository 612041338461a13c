"""One file, PIL image or array to pixels of one shape.

Pillow decodes and resizes 8-bit images; floats and other integers are resized by torch,
which keeps their values.
"""

import os
import struct
import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as tv

__all__ = ["UNREADABLE", "decode", "target_shape"]

Shape = tuple[int, int, int]

# What Pillow raises for files that are missing, empty, broken or too large.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GRAY_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def decode(item: Any, shape: Shape | None) -> NDArray[Any]:
    """Decode one image to a shape.

    Images are turned as their EXIF orientation says. The shorter side is resized to the
    shape, with antialiasing, and the middle is cut out. Palettes and CMYK become RGB;
    what is transparent lies on white, unless four channels are asked for; 16 bits
    become 8.

    Parameters
    ----------
    item : str, PathLike, PIL.Image.Image, ndarray or Tensor
        The image. Arrays are (height, width), (height, width, n_channels) or
        (n_channels, height, width).
    shape : tuple of int (n_channels, height, width) or None
        What to return; None keeps the image's own.

    Returns
    -------
    ndarray of shape (n_channels, height, width)
        Pixels: uint8 from files, PIL images and arrays of uint8, else float32.

    Raises
    ------
    ValueError
        If the image cannot have the shape.
    OSError
        Or another of `UNREADABLE`, if a file cannot be decoded.
    """
    if isinstance(item, (np.ndarray, torch.Tensor)):
        return _decode_array(np.asarray(item), shape)
    if isinstance(item, Image.Image):
        return _decode_picture(item, shape)
    with Image.open(os.fspath(item)) as picture:
        if shape is not None:
            _, height, width = shape
            # JPEG can skip detail that the resizing would throw away.
            picture.draft(None, (2 * width, 2 * height))
        return _decode_picture(picture, shape)


def target_shape(first: NDArray[Any], image_shape: Any) -> Shape:
    """Choose the shape that all images are decoded to.

    Parameters
    ----------
    first : ndarray of shape (n_channels, height, width)
        The first image as it is.
    image_shape : tuple of int or None
        What the user says. (height, width) takes the channels of the first image, of
        three numbers the first or the last is the channels: 1, 3 or 4.

    Returns
    -------
    tuple of int (n_channels, height, width)
        The shape.

    Raises
    ------
    ValueError
        If neither the first nor the last of three numbers is 1, 3 or 4.
    """
    if image_shape is None:
        return first.shape[0], first.shape[1], first.shape[2]
    if len(image_shape) == 2:
        return first.shape[0], int(image_shape[0]), int(image_shape[1])
    a, b, c = map(int, image_shape)
    if c in MODES:
        return c, a, b
    if a in MODES:
        return a, b, c
    raise ValueError(
        f"image_shape={tuple(image_shape)!r} has no 1, 3 or 4 channels, which images "
        "that are decoded one by one have."
    )


def _decode_picture(picture: Image.Image, shape: Shape | None) -> NDArray[np.uint8]:
    """Turn, convert and resize a PIL image."""
    picture = ImageOps.exif_transpose(picture)
    n_channels = shape[0] if shape else 1 if picture.mode in GRAY_MODES else 3
    picture = _convert(picture, MODES[n_channels])
    if shape is not None and picture.size != (shape[2], shape[1]):
        picture = ImageOps.fit(
            picture, (shape[2], shape[1]), method=Image.Resampling.BICUBIC
        )
    pixels = np.asarray(picture)
    return pixels[np.newaxis] if n_channels == 1 else pixels.transpose(2, 0, 1)


def _convert(picture: Image.Image, mode: str) -> Image.Image:
    """Convert to L, RGB or RGBA."""
    if picture.mode in {"I", "F"} or picture.mode.startswith("I;"):
        picture = _to_8_bits(picture)
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    if not has_alpha or mode == "RGBA":
        return picture.convert(mode)
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert(mode)


def _to_8_bits(picture: Image.Image) -> Image.Image:
    """Divide 16-bit pixels by 257; floats are in [0, 1] or are refused."""
    values = np.asarray(picture, dtype=np.float64)
    if picture.mode == "F":
        if values.min() < 0 or values.max() > 1:
            raise ValueError("its pixels are floats outside [0, 1]")
        values = values * 65535
    return Image.fromarray((values.clip(0, 65535) / 257).round().astype(np.uint8))


def _decode_array(array: NDArray[Any], shape: Shape | None) -> NDArray[Any]:
    """Move channels to the front and resize."""
    if array.ndim == 2:
        array = array[np.newaxis]
    elif array.ndim == 3 and array.shape[0] not in MODES and array.shape[2] in MODES:
        array = array.transpose(2, 0, 1)
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"its shape is {array.shape}")
    if array.dtype != np.uint8:
        array = array.astype(np.float32)
    if shape is None or array.shape == shape:
        return array
    if len(array) != shape[0]:
        raise ValueError(f"it has {len(array)} channels where {shape[0]} are expected")
    return _resize(torch.from_numpy(np.ascontiguousarray(array)), shape).numpy()


def _resize(image: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Resize the shorter side and cut the middle out."""
    _, height, width = shape
    scale = max(height / image.shape[1], width / image.shape[2])
    size = [
        max(height, round(image.shape[1] * scale)),
        max(width, round(image.shape[2] * scale)),
    ]
    resized = tv.resize(image, size, tv.InterpolationMode.BICUBIC, antialias=True)
    low, high = image.min().item(), image.max().item()
    return tv.center_crop(resized, [height, width]).clamp(low, high)
