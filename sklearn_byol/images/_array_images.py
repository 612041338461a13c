"""One image in an array: its channels found, its values checked, brought to a shape."""

import io
import os
from typing import Any, NamedTuple

import numpy as np

from sklearn_byol.images._causes import NoImageError, NoNumbersError, NotReadError
from sklearn_byol.images._layout import CHANNELS, Pixels, Shape
from sklearn_byol.images._resizing import kept_share, resize_array

KEPT_TYPES = frozenset({"?", "B", "h", "H"})  # numpy's characters: bool to 16 bits
OF_LIGHT = np.array([0.299, 0.587, 0.114])  # shares of colours in gray, as of Pillow


class Decoded(NamedTuple):
    """An image (n_channels, height, width), and what of it is not in there.

    `kept` is the share of its pixels that is; `lost_bits` counts the bits that its
    channels had, where they have 8 now.
    """

    pixels: Pixels
    kept: float
    lost_bits: int = 0


def decode_array(array: Pixels, shape: Shape | None, mode: str) -> Decoded:
    """Find the channels of an image and bring it to a shape (n_channels, h, w)."""
    if np.ma.is_masked(array):
        raise NotReadError("some of its values are masked; pass its filled(value)")
    return fit_array(_channels_first(array, shape), shape, mode)


def load_array(file: str | os.PathLike[str] | io.BytesIO) -> Pixels:
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


def fit_array(array: Pixels, shape: Shape | None, mode: str) -> Decoded:
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
            f"it has {channels(len(array))} where {n_channels} are expected; where all "
            f"have {len(array)}, pass image_shape=({size[0]}, {size[1]}, {len(array)}) "
            "in fit"
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


def channels(n: int) -> str:
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
        raise NotReadError(_two_readings(h, w, c, shape))
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


def _two_readings(h: int, w: int, c: int, shape: Shape | None) -> str:
    """Say how an array of three axes may be read, and how to tell."""
    if h == w == c:
        return (
            f"its shape is ({h}, {w}, {c}), whose channels may come first or last; "
            f"move them to the last axis and pass image_shape=({h}, {w})"
        )
    first, second = (shape[1:], shape[1:]) if shape else ((h, w), (w, c))
    return (
        f"its shape is ({h}, {w}, {c}), which may be {c} channels of {h}x{w} pixels or "
        f"{h} of {w}x{c}; pass image_shape=({c}, {first[0]}, {first[1]}) for the "
        f"first, or ({second[0]}, {second[1]}, {h}) for the second"
    )
