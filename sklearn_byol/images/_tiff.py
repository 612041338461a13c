"""TIFF files of many bands, pages or depths: read as they are, by tifffile."""

import io
import logging
import math
import os
from typing import Any

import numpy as np
from PIL import Image

from sklearn_byol.images._causes import UNREADABLE, NoImageError, NotReadError
from sklearn_byol.images._layout import Pixels

BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two of BigTIFF
# Numbers of tags and what they hold, of TIFF 6.0.
KIND, BITS, PHOTOMETRIC, TEXT, ORIENTATION = 254, 258, 262, 270, 274
N_SAMPLES, EXTRA, SAMPLE_FORMAT = 277, 338, 339
REDUCED_OR_MASK = 1 | 4
RGB, CMYK = 2, 5
ALPHAS = frozenset({1, 2})  # multiplied already, or not
SIGNED = 2
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

# Pillow writes it to the log for each file that is read by tifffile then.
logging.getLogger("PIL.TiffImagePlugin").addFilter(
    lambda record: not str(record.msg).startswith("More samples per pixel")
)

File = str | os.PathLike[str] | io.BytesIO


def is_tiff(file: File) -> bool:
    """Tell whether a file begins as TIFF does."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()[:4] in BEGINNINGS
    with open(file, "rb") as opened:  # noqa: PTH123  it may be any path
        return opened.read(4) in BEGINNINGS


def pixels_of_tiff(picture: Image.Image, file: File, n_told: int) -> Pixels | None:
    """Read what Pillow would narrow, cut or misread; None where it reads all.

    `n_told` are the channels that are asked for, 0 if any number will do.
    """
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    n_samples, bits = tags.get(N_SAMPLES, 1), max(tags.get(BITS, (1,)))
    try:
        n_pages = _count_pages(picture)
    except UNREADABLE:  # pages that Pillow does not know, or damage
        return read_tiff(file, n_told, "several pages")
    if n_pages > 1:
        return read_tiff(file, n_told, f"{n_pages} pages")
    if str(tags.get(TEXT, "")).startswith("ImageJ=") and "\nimages=" in tags[TEXT]:
        return read_tiff(file, n_told, "a stack of ImageJ")
    if n_samples > 1 and bits > 8:
        return read_tiff(file, n_told, f"{n_samples} channels of {bits} bits")
    if n_samples == 1:
        kind = _misread(bits, max(tags.get(SAMPLE_FORMAT, (1,))))
        return None if kind is None else np.asarray(picture).view(kind)[np.newaxis]
    if n_samples == 3 or tags.get(PHOTOMETRIC) == CMYK:
        return None
    return read_tiff(file, n_told, f"{n_samples} channels")


def read_tiff(file: File, n_told: int, what: str) -> Pixels:
    """Read the one image (n_channels, height, width) of a file by tifffile."""
    try:
        import tifffile  # noqa: PLC0415  optional
    except ImportError:
        raise NotReadError(
            f"it is a TIFF with {what}, which Pillow does not read whole; pip install "
            "'sklearn-byol[tiff]'"
        ) from None
    if isinstance(file, io.BytesIO):
        file = io.BytesIO(file.getvalue())  # read from its beginning
    try:
        with tifffile.TiffFile(file, _multifile=False) as opened:
            return _read(opened, n_told)
    except tifffile.TiffFileError as error:
        raise NoImageError("it is damaged or cut off") from error


def _misread(bits: int, sample_format: int) -> str | None:
    """Name the type of gray values whose sign Pillow takes otherwise."""
    if bits == 8 and sample_format == SIGNED:
        return "i1"
    return "u4" if bits == 32 and sample_format == 1 else None


def _count_pages(picture: Image.Image) -> int:
    """Count the pages that are no smaller copies or masks of others."""
    n_frames = getattr(picture, "n_frames", 1)
    if n_frames == 1:
        return 1
    n_pages = 0
    for frame in range(n_frames):
        picture.seek(frame)
        kind = picture.tag_v2.get(KIND, 0)  # type: ignore[attr-defined]
        n_pages += not kind & REDUCED_OR_MASK
    picture.seek(0)
    return n_pages


def _read(opened: Any, n_told: int) -> Pixels:
    """Read the one image of a file that is open."""
    found = [one for one in opened.series if _is_of_its_own(one)] or opened.series[:1]
    if not found or 0 in found[0].shape:
        raise NoImageError("it has no pixels")
    series, page = found[0], found[0].keyframe
    if len(found) > 1:
        sizes = ", ".join("x".join(map(str, one.shape)) for one in found[:5])
        raise NotReadError(
            f"it holds {len(found)} images, of {sizes}; pass a list of arrays, such as "
            "tifffile.imread(path, series=0)"
        )
    _refuse_bomb(series.shape)
    array = _in_planes(series, n_told)
    if page.photometric == RGB and n_told == 3 < len(array) and not _alpha(page):
        array = array[:3]  # which are red, green and blue
    if _alpha(page) and len(array) == page.samplesperpixel:
        array = settle_alpha(array, n_told)
    tag = page.tags.get(ORIENTATION)
    return upright(array, tag.value if tag else 1)


def _is_of_its_own(series: Any) -> bool:
    """Tell whether pages are no smaller copies or masks of others."""
    return not int(series.keyframe.subfiletype) & REDUCED_OR_MASK


def _refuse_bomb(shape: tuple[int, ...]) -> None:
    """Refuse what Pillow would refuse, before memory is taken for it."""
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and math.prod(shape) > 2 * 4 * most:
        raise Image.DecompressionBombError


def _in_planes(series: Any, n_told: int) -> Pixels:
    """Order the axes of an image: samples or pages, height, width."""
    axes, shape = series.axes, series.shape
    others = [n for n, axis in enumerate(axes) if axis not in "SYX"]
    n_others = math.prod(shape[n] for n in others)
    if n_others > 1 and not _are_channels(series, others, n_told):
        _refuse_pages(dict(zip(axes, shape, strict=True)), n_others)
    array = series.asarray(maxworkers=1)
    if n_others > 1 and array.shape[-1] == n_told != n_others:
        return np.moveaxis(array, -1, 0)
    order = [*others, *(axes.index(axis) for axis in "SYX" if axis in axes)]
    height, width = (array.shape[axes.index(axis)] for axis in "YX")
    return array.transpose(order).reshape(-1, height, width)


def _refuse_pages(sides: dict[str, int], n_pages: int) -> None:
    """Refuse pages that may be one image or many."""
    h, w, n_samples = sides["Y"], sides["X"], sides.get("S", 1)
    size = f"{h}x{w}x{n_samples}" if n_samples > 1 else f"{h}x{w}"
    n = n_pages * n_samples
    raise NotReadError(
        f"it has {n_pages} pages of {size} pixels, which may be one image with {n} "
        f"channels or {n_pages} images; pass image_shape=({h}, {w}, {n}) for the "
        "first, or a list of arrays such as tifffile.imread(path) for the second"
    )


def _are_channels(series: Any, others: list[int], n_told: int) -> bool:
    """Tell whether pages are the channels of one image: by the file, or as told.

    What tifffile has written as one array may have its channels last.
    """
    axes, shape = series.axes, series.shape
    are_named = [axes[n] for n in others if shape[n] > 1] == ["C"]
    n_values = math.prod(shape) // (shape[axes.index("Y")] * shape[axes.index("X")])
    is_last = len(shape) == 3 and "S" not in axes and shape[-1] == n_told
    return are_named or n_told == n_values or is_last


def _alpha(page: Any) -> bool:
    """Tell whether the only sample besides gray or red, green and blue is an alpha."""
    extra = [int(one) for one in page.extrasamples]
    return len(extra) == 1 and extra[0] in ALPHAS


def settle_alpha(array: Pixels, n_told: int) -> Pixels:
    """Put an image (n_channels, height, width) over white, if its last is an alpha.

    A fourth band is often said to be one: where not all is opaque, it has to be told.
    """
    *colour, alpha = array
    n, white = len(array), _white(array)
    if n_told == n:
        return array
    if (alpha == white).all():
        return np.stack(colour)
    if not n_told:
        h, w = alpha.shape
        raise NotReadError(
            f"its last channel, of {n}, may be an alpha or a band; pass image_shape="
            f"({h}, {w}, {n - 1}) to put it over white, or ({h}, {w}, {n}) to keep it"
        )
    return over_white(array)


def over_white(array: Pixels) -> Pixels:
    """Put an image (n_channels, height, width) over white; its last is its alpha."""
    white = _white(array)
    share = array[-1:].astype(np.float64) / white
    mixed = array[:-1] * share + white * (1 - share)
    whole = mixed if array.dtype.kind == "f" else mixed.round()
    return whole.astype(array.dtype)


def _white(array: Pixels) -> float:
    """Return the value of white, and of what is opaque."""
    return 1.0 if array.dtype.kind in "fb" else float(np.iinfo(array.dtype).max)


def upright(array: Pixels, orientation: int) -> Pixels:
    """Turn an image as its orientation says."""
    is_turned, reversed_axes = UPRIGHT.get(orientation, (False, ()))
    return np.flip(array.swapaxes(-2, -1) if is_turned else array, reversed_axes)
