"""What values pixels can have: learned in fit, compared in transform."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_byol.images._layout import Layout, Pixels

Range = tuple[float, float]  # the values that count as 0 and as 1

LARGEST = 2.0**125  # of float32, so that differences are finite too
KNOWN = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))


@dataclass(frozen=True)
class Fitted:
    """What later images are compared with; counted pixels are integers."""

    layout: Layout
    pixel_range: Range
    was_counted: bool

    def range_of(self, dtype: np.dtype[Any]) -> Range:
        """Choose the range of images that are decoded after fit, to a type.

        Bytes of photographs go from 0 to 255 where fit has seen floats in [0, 1] or 16
        bits. Where it has counted, as in digits from 0 to 16 or masks of 0 and 1, they
        count alike.
        """
        is_16_bits = self.pixel_range == KNOWN[3]
        is_scaled = self.pixel_range in KNOWN and not self.was_counted
        is_other = dtype == np.uint8 and (is_16_bits or is_scaled)
        return KNOWN[2] if is_other else self.pixel_range


def pixel_range(X: Pixels) -> Range:
    """Choose the range of images of any layout, or of the extremes of all.

    The first of those known that holds both extremes and more than a quarter of which
    is reached, for bytes [0, 255] if one exceeds 16; else the smallest and the largest
    value, as for digits counted from 0 to 16.
    """
    low, high = float(X.min()), float(X.max())
    if max(-low, high) > LARGEST:
        raise ValueError(
            f"X has values from {low:g} to {high:g}, too large for float32, in which "
            "all is computed. Divide X by a number, so that pixels lie in [0, 1] or so."
        )
    if X.dtype == np.uint8 and high > 16:
        return KNOWN[2]
    for known_low, known_high in KNOWN:
        if known_low <= low and known_high / 4 < high <= known_high:
            return known_low, known_high
    return (low, high) if high - low > 1 / LARGEST else (low, low + 1.0)


def check_pixel_range(X: Pixels, fitted: Range) -> None:
    """Raise if images, or the extremes of all, are on another scale than in fit."""
    low, high = float(X.min()), float(X.max())
    length = fitted[1] - fitted[0]
    is_beyond = low < fitted[0] - length or high > fitted[1] + length
    is_signed = fitted in KNOWN[2:] and low < 0
    is_bytes = fitted == KNOWN[3] and X.dtype == np.uint8
    # Divided by 255, while the images of fit were not. Asked of images of 64 values or
    # more: a row of a table may well be that small.
    is_small = low >= 0 and 0 < high <= 1 and fitted[0] >= 0 and fitted[1] >= 8
    is_asked = is_small and X.dtype.kind == "f" and X[0].size >= 64
    is_fraction = is_asked and (X.round() != X).any()
    if is_beyond or is_signed or is_bytes or is_fraction:
        raise ValueError(
            f"X has values from {low:g} to {high:g}, but this BYOLTransformer was "
            f"fitted on pixels from {fitted[0]:g} to {fitted[1]:g}. Scale X as in fit, "
            "or fit again."
        )
