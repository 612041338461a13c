"""What values pixels have had in fit, and whether later ones are on that scale."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_byol.exceptions import PixelRangeWarning, warn
from sklearn_byol.images._layout import Layout, Pixels

Bound = float | tuple[float, ...]  # of all channels, or one for each
Range = tuple[Bound, Bound]  # the values that count as 0 and as 1
Ends = tuple[float, float]  # of one channel

KNOWN: tuple[Ends, ...] = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))
FAR = 12.0  # lengths of the range: what lies beyond is on another scale
MANY = 0.1  # of the pixels of an image that lie there
HARDLY = 1 / 16  # of a length: negative values that resizing may leave


@dataclass(frozen=True)
class Fitted:
    """What later images are compared with; counted pixels are integers."""

    layout: Layout
    pixel_range: Range
    was_counted: bool
    dtype: str = ""  # of fit; models that were saved before it was kept lack it,
    extremes: Ends | None = None  # and the values that fit has seen, though clipped
    is_items: bool = False  # whether X was a column of images, and no array of pixels

    @property
    def channel_ranges(self) -> NDArray[np.float64]:
        """What counts as 0 and as 1 in each channel (n_channels, 2)."""
        bounds = for_each(self.pixel_range, self.layout.n_channels)
        return np.stack([*bounds], axis=1)

    @property
    def n_features(self) -> int:
        """Count what scikit-learn takes for features: values, or the one column."""
        return 1 if self.is_items else self.layout.n_values

    def range_of(self, dtype: np.dtype[Any]) -> Range:
        """Choose the range of images that are decoded after fit, to a type.

        Bytes of photographs go from 0 to 255 where fit has seen bits, floats in [0, 1]
        or 16 bits, and 16 bits to 65535 where it has seen floats in [0, 1]. Where it
        has counted, as in digits from 0 to 16 or masks of 0 and 1, they count alike.
        Bits go from 0 to 1 where fit has seen photographs.
        """
        if dtype == np.bool_:
            return KNOWN[0] if self.pixel_range in KNOWN else self.pixel_range
        is_16_bits = self.pixel_range == KNOWN[3]
        is_scaled = self.pixel_range in KNOWN and not self.was_counted
        is_of_bits = self.dtype == "|b1" and self.pixel_range == KNOWN[0]
        if dtype == np.uint16 and is_scaled:
            return KNOWN[3]
        is_other = dtype == np.uint8 and (is_16_bits or is_scaled or is_of_bits)
        return KNOWN[2] if is_other else self.pixel_range


def for_each(chosen: Range, n_channels: int) -> Iterator[NDArray[Any]]:
    """Give the low and the high bounds of each channel."""
    for bound in chosen:
        yield np.broadcast_to(np.asarray(bound, np.float64), (n_channels,))


def low_and_length(chosen: Range) -> tuple[Bound, Bound]:
    """Return what counts as 0, and how much more counts as 1.

    Of ends in float32, as pixels are: the same for arrays of any precision.
    """
    low, high = (np.asarray(bound, np.float32).tolist() for bound in chosen)
    if isinstance(low, list):
        return tuple(low), tuple(b - a for a, b in zip(low, high, strict=True))
    return low, high - low


def check_pixel_range(
    images: Pixels, fitted: Fitted, name: Callable[[int], str] = "X[{}]".format
) -> None:
    """Raise if images (n_images, n_channels, height, width) are on another scale.

    What fit has seen itself is on its scale. Of a type like that of fit, other than
    bytes, some may lie beyond the range, and are clipped: numbers are on another scale
    where many of an image are far beyond it, and integers of the type of fit never are.
    """
    dtype, chosen = images.dtype, fitted.pixel_range
    if dtype == np.uint8 and chosen == KNOWN[2]:
        return
    low, high = float(images.min()), float(images.max())
    start, end = (np.asarray(bound, np.float64) for bound in chosen)
    seen = fitted.extremes or (np.inf, -np.inf)
    place: int | None = None
    if dtype == np.uint8 or _kind(dtype) != _kind(np.dtype(fitted.dtype or dtype)):
        length = (end - start).max()
        is_below = low < min(start.min() - length, seen[0])
        is_other = is_below or high > max(end.max() + length, seen[1])
    elif dtype.str != fitted.dtype or dtype.kind == "f":
        place = _first_beyond(images, fitted)
        is_other = place is not None
    else:
        is_other = False
    if is_other or _is_narrower(images, low, high, fitted):
        named = "" if place is None else f" The first such image is {name(place)}."
        raise ValueError(
            f"X has values from {low:g} to {high:g}, but this BYOLTransformer was "
            f"fitted on pixels from {start.min():g} to {end.max():g}. Scale X as in "
            f"fit, or fit again.{named}"
        )
    if low < min(start.min(), seen[0]) or high > max(end.max(), seen[1]):
        _tell_of_clipped(images, fitted)


def _tell_of_clipped(images: Pixels, fitted: Fitted) -> None:
    """Warn where more than a tenth of all pixels lie well beyond the range."""
    bounds = for_each(fitted.pixel_range, fitted.layout.n_channels)
    start, end = (bound.reshape(-1, 1, 1) for bound in bounds)
    spare = (end - start) / 2
    share = float(((images < start - spare) | (images > end + spare)).mean())
    if share > MANY:
        warn(
            f"{share:.0%} of the values of X lie well beyond the range of fit, from "
            f"{start.min():g} to {end.max():g}, and are clipped to it: X may be on "
            "another scale. Silence this by filtering "
            "sklearn_byol.exceptions.PixelRangeWarning.",
            PixelRangeWarning,
        )


def _kind(dtype: np.dtype[Any]) -> str:
    """Name a kind of numbers within which a larger one need be no other scale."""
    return "bytes" if dtype == np.uint8 else dtype.kind.replace("i", "u")


def _is_narrower(images: Pixels, low: float, high: float, fitted: Fitted) -> bool:
    """Tell whether images have bytes for 16 bits, or were divided, or lie around 0."""
    start, end = (np.asarray(bound, np.float64) for bound in fitted.pixel_range)
    if images.dtype == np.uint8:
        is_wider = fitted.dtype != "" and np.dtype(fitted.dtype).itemsize > 1
        is_counted = is_wider and fitted.was_counted and end.max() > 255
        return bool(is_counted or fitted.pixel_range == KNOWN[3])
    length = (end - start).max()
    is_signed = low < -HARDLY * length or (low < 0 and high <= end.max() / 16)
    is_new = fitted.extremes is None or low < fitted.extremes[0]
    if fitted.pixel_range in KNOWN[2:] and is_signed and is_new:
        return True
    # Divided by 255, while the images of fit were not. Asked of images of 64 values or
    # more: a row of a table may well be that small.
    is_small = low >= 0 and 0 < high <= 1 and start.min() >= 0 and end.max() >= 8
    is_asked = is_small and images.dtype.kind == "f" and images[0].size >= 64
    return bool(is_asked and (images.round() != images).any())


def _first_beyond(images: Pixels, fitted: Fitted) -> int | None:
    """Find the first image many pixels of which lie far beyond a range.

    One value that repeats is a mark for missing or saturated pixels, and no scale.
    """
    bounds = for_each(fitted.pixel_range, fitted.layout.n_channels)
    start, end = (bound.reshape(-1, 1, 1) for bound in bounds)
    seen = fitted.extremes or (np.inf, -np.inf)
    lowest = np.minimum(start - FAR * (end - start), seen[0])
    highest = np.maximum(end + FAR * (end - start), seen[1])
    if images.min() >= lowest.min() and images.max() <= highest.max():
        return None
    for place, image in enumerate(images):
        is_far = (image < lowest) | (image > highest)
        if is_far.mean() > MANY and len(np.unique(image[is_far])) > 1:
            return place
    return None
