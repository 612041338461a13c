"""How X folds into images: which axis is what, and how rows become squares.

Rules that guess are stated here, and what two readings fit is an error that names both.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_byol.exceptions import SmallImageWarning, warn

CHANNELS = (1, 3, 4)  # counts by which a channel axis is told from height and width
SMALLEST = 64  # features; fewer than 8x8 pixels are hardly an image

Pixels = NDArray[Any]  # of any real dtype
Shape = tuple[int, int, int]  # (n_channels, height, width)
Axes = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The shape of an image, and whether the values of a pixel lie side by side."""

    n_channels: int
    height: int
    width: int
    is_channels_last: bool

    @property
    def shape(self) -> Shape:
        """(n_channels, height, width)."""
        return self.n_channels, self.height, self.width

    @property
    def n_values(self) -> int:
        """Values of one image."""
        return self.n_channels * self.height * self.width

    def is_one(self, shape: Axes) -> bool:
        """Tell whether a shape is that of one image, which no batch of images has."""
        c, h, w = self.shape
        shapes = {(c, h, w), (h, w, c), (self.n_values,)}
        if c == 1:
            shapes.add((h, w))
        return shape in shapes and shape[1:] not in shapes

    def axes_of(self, shape: Axes) -> tuple[Axes, Axes]:
        """Say what X of a shape is reshaped to, and how its axes are then ordered.

        Where both orders of axes fit, that of fit holds.
        """
        c, h, w = self.shape
        planes = {(c, h, w), (h, w)} if c == 1 else {(c, h, w)}
        fits_first = shape[1:] in {*planes, (self.n_values,)}
        fits_last = shape[1:] in {(h, w, c), (self.n_values,)}
        if fits_last and (self.is_channels_last or not fits_first):
            return (-1, h, w, c), (0, 3, 1, 2)
        if fits_first:
            return (-1, c, h, w), (0, 1, 2, 3)
        raise ValueError(self._unlike(shape))

    def _unlike(self, shape: Axes) -> str:
        """Say what X of a shape has that the images of fit have not."""
        c, h, w = self.shape
        got, hint = f"shape {shape}", ""
        if len(shape) == 4 and (h, w) in {shape[1:3], shape[2:]}:
            got = f"{shape[3] if shape[1:3] == (h, w) else shape[1]} channels"
        is_alike = len(shape) == 3 and (shape[2] == c or shape[0] == c > 1)
        if is_alike and not self.is_one(shape):
            hint = " If X is one image, pass [X], which is resized."
        return (
            f"X has {got}, but this BYOLTransformer was fitted on images with {c} "
            f"{'channel' if c == 1 else 'channels'} of {h}x{w} pixels. Pass images of "
            f"the same kind, or fit again.{hint}"
        )


def layout_of(X: Pixels, image_shape: Axes | None) -> Layout:
    """Find the layout of X in fit: rows, gray images or images, two to four axes."""
    told = checked_shape(image_shape)
    if X.ndim == 2:
        return _layout_of_rows(X.shape[1], told)
    if X.ndim == 3:
        return _layout_of_gray(X.shape, told)
    return _layout_of_images(X.shape[1:], told)


def fold(X: Pixels, layout: Layout) -> Pixels:
    """View X as images (n_samples, n_channels, height, width), without a copy."""
    shape, order = layout.axes_of(X.shape)
    return X.reshape(shape).transpose(order)


def checked_shape(image_shape: object) -> Axes | None:
    """Check that image_shape is None or two or three whole numbers above 0."""
    if image_shape is None:
        return None
    sides = image_shape if isinstance(image_shape, (tuple, list)) else ()
    are_sides = [isinstance(side, (int, np.integer)) and side > 0 for side in sides]
    if len(sides) not in {2, 3} or not all(are_sides):
        raise ValueError(
            "image_shape must be (height, width), (height, width, n_channels) or "
            f"(n_channels, height, width), whole numbers above 0. Got {image_shape!r}."
        )
    return tuple(sides)


def shapes_told(image_shape: Axes | None) -> list[Shape | None]:
    """Put the channels first of what images are to be decoded to; 0 if not told.

    Where channels may be the first or the last of three numbers, both readings.
    """
    if image_shape is None:
        return [None]
    if len(image_shape) == 2:
        return [(0, *image_shape)]
    a, b, c = image_shape
    first, last = (a, b, c), (c, a, b)
    is_last = c in CHANNELS or (a == b and a not in CHANNELS)
    is_first = a in CHANNELS or b == c
    if is_last or is_first:
        return [last if is_last and not (a == b == c) else first]
    return [first, last]


def _layout_of_rows(n_features: int, image_shape: Axes | None) -> Layout:
    """Fold rows as told, or into a gray square, or below 64 features into a strip."""
    if image_shape is not None:
        n_values = math.prod(image_shape)
        if n_values != n_features:
            product = " x ".join(map(str, image_shape))
            raise ValueError(
                f"image_shape={image_shape!r} needs {product} = {n_values} features, "
                f"but X has {n_features}."
            )
        if len(image_shape) == 2:
            return Layout(1, *image_shape, is_channels_last=False)
        return _layout_of_images(image_shape)
    if n_features < SMALLEST:
        warn(
            f"X has rows of {n_features} features, too few for an image: BYOL learns "
            "from views of images and is of no use for tabular data. Training "
            "continues; silence this by filtering "
            "sklearn_byol.exceptions.SmallImageWarning.",
            SmallImageWarning,
        )
    side = math.isqrt(n_features)
    if side * side == n_features:
        return Layout(1, side, side, is_channels_last=False)
    if n_features < SMALLEST:
        return Layout(1, 1, n_features, is_channels_last=False)
    side = math.isqrt(n_features // 3)
    if 3 * side * side == n_features:
        raise ValueError(
            f"X has rows of {n_features} = 3 x {side} x {side} features, which may be "
            f"RGB images pixel by pixel or plane by plane. Pass image_shape=({side}, "
            f"{side}, 3) for the first or image_shape=(3, {side}, {side}) for the "
            "second."
        )
    raise ValueError(
        f"X has rows of {n_features} features, which is not a square number. Pass "
        "image_shape=(height, width) or image_shape=(height, width, n_channels)."
    )


def _layout_of_gray(shape: Axes, image_shape: Axes | None) -> Layout:
    """Read three axes as gray images, unless they look like one colour image."""
    n_images, height, width = shape
    is_planes = n_images == 3 and min(height, width) >= 8
    if image_shape is not None:
        squeezed = tuple(side for side in image_shape if side != 1) or (1,)
        if (height, width) not in {image_shape, squeezed}:
            raise ValueError(
                f"image_shape={image_shape!r} does not fit X of shape {shape}, whose "
                f"images are {height}x{width} gray pixels."
            )
    elif is_planes or (width in {3, 4} and height >= 8):
        n_channels = n_images if is_planes else width
        raise ValueError(
            f"X of shape {shape} may be one image with {n_channels} channels or "
            f"{n_images} gray images {width} pixels wide. Pass X[np.newaxis] for the "
            f"first or image_shape=({height}, {width}) for the second."
        )
    return Layout(1, height, width, is_channels_last=False)


def _layout_of_images(shape: Axes, image_shape: Axes | None = None) -> Layout:
    """Find the axis of the channels among three, the first or the last.

    It has 1, 3 or 4 entries; where neither end has, it is the one that leaves a square.
    """
    a, b, c = shape
    first, last = a in CHANNELS, c in CHANNELS
    is_strip = 2 in {a, c} and bool({a, c} & {3, 4})  # few pixels high, or two channels
    if image_shape not in {None, shape}:
        first, last = image_shape == (b, c), image_shape == (a, b)
        if not (first or last):
            raise ValueError(
                f"image_shape={image_shape!r} does not fit X, whose images have shape "
                f"{shape}."
            )
        first = not last  # both fit a cube: its last axis is the channels then
    elif a == b == c > 1:
        raise ValueError(
            f"X has images of shape {shape}, which may have their channels first or "
            f"last. Move them to the last axis and pass image_shape=({a}, {a})."
        )
    elif first == last or is_strip:
        first, last = b == c, a == b
        if first == last and shape != (1, 1, 1):
            raise ValueError(
                f"X has images of shape {shape}, which may be {a}x{b} pixels with {c} "
                f"channels or {b}x{c} pixels with {a} channels. Pass X with four axes "
                f"and image_shape=({a}, {b}) for the first or image_shape=({b}, {c}) "
                "for the second."
            )
    c, h, w = (a, b, c) if first else (c, a, b)
    return Layout(c, h, w, is_channels_last=not first)
