"""The last channel of an image where it is an alpha, or is said to be one."""

import numpy as np

from sklearn_byol.images._causes import NotReadError
from sklearn_byol.images._layout import Pixels


def white_of(array: Pixels, bits: int | None = None) -> float:
    """Return the value of white, and of what is opaque; whole numbers may have less."""
    if array.dtype.kind in "fb":
        return 1.0
    if bits is not None and array.dtype.kind == "u":
        return float(2**bits - 1)
    return float(np.iinfo(array.dtype).max)


def settle_alpha(
    array: Pixels, n_told: int, white: float, *, is_multiplied: bool
) -> Pixels:
    """Put an image (n_channels, height, width) over white, if its last is an alpha.

    A fourth band is often said to be one: where not all is opaque, it has to be told.
    """
    n, alpha = len(array), array[-1]
    if n_told == n:
        return array
    if (alpha == white).all():
        return array[:-1]
    h, w = alpha.shape
    if not n_told:
        raise NotReadError(
            f"its last channel, of {n}, may be an alpha or a band; pass image_shape="
            f"({h}, {w}, {n - 1}) to put it over white, or ({h}, {w}, {n}) to keep it"
        )
    if alpha.min() < 0 or alpha.max() > white:
        raise NotReadError(
            f"its last channel, of {n}, is no alpha from 0 to {white:g}; pass "
            f"image_shape=({h}, {w}, {n}) to keep it"
        )
    return over_white(array, white, is_multiplied=is_multiplied)


def over_white(array: Pixels, white: float, *, is_multiplied: bool = False) -> Pixels:
    """Put an image (n_channels, height, width) over white; its last is its alpha.

    The others may have been multiplied by it already.
    """
    share = array[-1:].astype(np.float64) / white
    colour = array[:-1] if is_multiplied else array[:-1] * share
    mixed = colour + white * (1 - share)
    whole = mixed if array.dtype.kind == "f" else mixed.round().clip(0, white)
    return whole.astype(array.dtype)
