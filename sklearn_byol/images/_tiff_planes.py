"""A TIFF read by tifffile: its bands, or its pages, as the channels of one image."""

import io
import logging
import math
import os
from typing import Any

import numpy as np
from PIL import Image

from sklearn_byol.images._alpha import settle_alpha, white_of
from sklearn_byol.images._causes import NoImageError, NotReadError
from sklearn_byol.images._layout import Pixels

ORIENTATION = 274  # the number of its tag in TIFF 6.0
REDUCED_OR_MASK = 1 | 4
WHITE_IS_ZERO, RGB, PALETTE, CMYK = 0, 2, 3, 5
IN_OTHER_COLOURS = {PALETTE: "colours of a palette", CMYK: "inks"}
MULTIPLIED, ALPHAS = 1, frozenset({1, 2})
# How an image (..., height, width) is turned upright: transposed, and which axes are
# reversed then.
UPRIGHT: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (-1,)),
    3: (False, (-2, -1)),
    4: (False, (-2,)),
    5: (True, ()),
    6: (True, (-1,)),
    7: (True, (-2, -1)),
    8: (True, (-2,)),
}
EXTRA = "pip install 'sklearn-byol[tiff]'"

# What they find amiss is in our errors; without a handler it would be printed too.
for library in ("tifffile", "PIL.TiffImagePlugin"):
    logging.getLogger(library).addHandler(logging.NullHandler())

File = str | os.PathLike[str] | io.BytesIO


def read_tiff(file: File, n_told: int, what: str) -> Pixels:
    """Read the one image (n_channels, height, width) of a file by tifffile.

    `n_told` are the channels that are asked for, 0 if any number will do.
    """
    try:
        import tifffile  # noqa: PLC0415  optional
    except ImportError:
        raise NotReadError(
            f"it is a TIFF with {what}, which Pillow does not read whole; {EXTRA}"
        ) from None
    if isinstance(file, io.BytesIO):
        file = io.BytesIO(file.getvalue())  # read from its beginning
    try:
        with tifffile.TiffFile(file, _multifile=False) as opened:
            return _read(opened, n_told)
    except tifffile.TiffFileError as error:
        raise NoImageError("it is damaged or cut off") from error
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise NotReadError(
                f"it is a TIFF that tifffile cannot unpack alone; {EXTRA}"
            ) from error
        raise


def upright(array: Pixels, orientation: int) -> Pixels:
    """Turn an image as its orientation says."""
    is_turned, reversed_axes = UPRIGHT.get(orientation, (False, ()))
    return np.flip(array.swapaxes(-2, -1) if is_turned else array, reversed_axes)


def _read(opened: Any, n_told: int) -> Pixels:
    """Read the one image of a file that is open."""
    found = [one for one in opened.series if _is_of_its_own(one)] or opened.series[:1]
    if not found or 0 in found[0].shape:
        raise NoImageError("it has no pixels")
    _refuse_several(found)
    page = found[0].keyframe
    if page.photometric in IN_OTHER_COLOURS:
        colours = IN_OTHER_COLOURS[page.photometric]
        raise NotReadError(
            f"it holds {colours} in a form that is not read; make it RGB"
        )
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and page.imagelength * page.imagewidth > 2 * most:
        raise Image.DecompressionBombError
    array = _in_planes(found, n_told)
    white = white_of(array, page.bitspersample)
    if page.photometric == WHITE_IS_ZERO and array.dtype.kind in "ub":
        array = (int(white) - array).astype(array.dtype)
    extra = [int(one) for one in page.extrasamples]
    has_alpha = len(extra) == 1 and extra[0] in ALPHAS
    if page.photometric == RGB and n_told == 3 < len(array) and not has_alpha:
        array = array[:3]  # which are red, green and blue
    if has_alpha and len(array) == page.samplesperpixel:
        is_multiplied = extra[0] == MULTIPLIED
        array = settle_alpha(array, n_told, white, is_multiplied=is_multiplied)
    tag = page.tags.get(ORIENTATION)
    return upright(array, tag.value if tag else 1)


def _is_of_its_own(series: Any) -> bool:
    """Tell whether pages are no smaller copies or masks of others."""
    return not int(series.keyframe.subfiletype) & REDUCED_OR_MASK


def _refuse_several(found: list[Any]) -> None:
    """Refuse images of several sizes or types."""
    if len({(one.shape, one.axes, str(one.dtype)) for one in found}) > 1:
        sizes = ", ".join("x".join(map(str, one.shape)) for one in found[:5])
        raise NotReadError(
            f"it holds {len(found)} images, of {sizes}; pass a list of arrays of those "
            "you want: tifffile.imread(path, series=0) is the first"
        )


def _in_planes(found: list[Any], n_told: int) -> Pixels:
    """Order the axes of an image: pages and samples, height, width.

    What tifffile has written as one array may have its bands last.
    """
    axes, shape = found[0].axes, found[0].shape
    sides = dict(zip(axes, shape, strict=True))
    others = [axis for axis in axes if axis not in "SYX"]
    n_pages = len(found) * math.prod(sides[axis] for axis in others)
    n_channels = n_pages * sides.get("S", 1)
    is_plain = len(found) == 1 and "S" not in sides
    are_last = is_plain and len(shape) == 3 and shape[-1] == n_told != n_pages
    are_named = is_plain and [axis for axis in others if sides[axis] > 1] == ["C"]
    if n_pages > 1 and not (are_last or are_named or n_told == n_channels):
        _refuse_pages(sides, n_pages)
    array = np.stack([one.asarray(maxworkers=1) for one in found])
    if are_last:
        return np.moveaxis(array[0], -1, 0)
    order = [*others, *(axis for axis in "SYX" if axis in sides)]
    planes = array.transpose(0, *(1 + axes.index(axis) for axis in order))
    return planes.reshape(-1, sides["Y"], sides["X"])


def _refuse_pages(sides: dict[str, int], n_pages: int) -> None:
    """Refuse pages that may be one image or many."""
    h, w, n_samples = sides["Y"], sides["X"], sides.get("S", 1)
    size = f"{h}x{w}x{n_samples}" if n_samples > 1 else f"{h}x{w}"
    n = n_pages * n_samples
    raise NotReadError(
        f"it has {n_pages} pages of {size} pixels, which may be one image with {n} "
        f"channels or {n_pages} images; pass image_shape=({h}, {w}, {n}) for the "
        "first, or a list of arrays such as list(tifffile.imread(path)) for the second"
    )
