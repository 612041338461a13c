"""What of a TIFF Pillow reads as it is, and what tifffile has to."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sklearn_byol.images._causes import UNREADABLE, NotReadError
from sklearn_byol.images._layout import Pixels
from sklearn_byol.images._tiff_planes import (
    CMYK,
    ORIENTATION,
    REDUCED_OR_MASK,
    WHITE_IS_ZERO,
    File,
    read_tiff,
)

BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two of BigTIFF
# Numbers of tags and what they hold, of TIFF 6.0.
KIND, BITS, PHOTOMETRIC, TEXT = 254, 258, 262, 270
N_SAMPLES, SAMPLE_FORMAT = 277, 339
UNSIGNED, SIGNED = 1, 2
LIES_ON_ITS_SIDE = 5  # the orientations from which width and height change places


def is_tiff(file: File) -> bool:
    """Tell whether a file begins as TIFF does."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()[:4] in BEGINNINGS
    with open(file, "rb") as opened:  # noqa: PTH123  it may be any path
        return opened.read(4) in BEGINNINGS


def load_unmapped(picture: Image.Image) -> None:
    """Load a TIFF that lies on its side, of which Pillow would map wrong rows."""
    tags: Any = getattr(picture, "tag_v2", {})
    if picture.format == "TIFF" and tags.get(ORIENTATION, 1) >= LIES_ON_ITS_SIDE:
        name, picture.filename = picture.filename, ""  # type: ignore[attr-defined]
        picture.load()
        picture.filename = name  # type: ignore[attr-defined]


def bits_of_tiff(picture: Image.Image) -> int:
    """Read the bits of a channel of what was opened as TIFF."""
    return max(getattr(picture, "tag_v2", {}).get(BITS, (1,)))


def refuse_lost_bands(picture: Image.Image, n_told: int) -> None:
    """Refuse a TIFF that was opened by Pillow, which does not give all its bands."""
    n_samples = getattr(picture, "tag_v2", {}).get(N_SAMPLES, 1)
    n_bands, n_pages = len(picture.getbands()), 1
    if picture.format == "TIFF" and n_told > 1 and n_told != n_bands:
        n_pages = getattr(picture, "n_frames", 1)
    if n_pages > 1:
        raise NotReadError(
            f"it has {n_pages} pages, of which Pillow gives one; pass its path"
        )
    if picture.format == "TIFF" and n_samples > n_bands != n_told:
        raise NotReadError(
            f"it has {n_samples} bands, of which Pillow gives {n_bands}; pass its path "
            "or its bytes, those of Hugging Face by datasets.Image(decode=False)"
        )


def pixels_of_tiff(picture: Image.Image, file: File, n_told: int) -> Pixels | None:
    """Read what Pillow would narrow, cut or misread; None where it reads all.

    `n_told` are the channels that are asked for, 0 if any number will do.
    """
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    n_samples, bits = tags.get(N_SAMPLES, 1), max(tags.get(BITS, (1,)))
    pages = _pages(picture)
    text, is_inked = str(tags.get(TEXT, "")), tags.get(PHOTOMETRIC) == CMYK
    is_stack = text.startswith("ImageJ=") and "\nimages=" in text
    if pages != [0] or is_stack:
        what = f"{len(pages)} pages" if len(pages) > 1 else "several pages"
        return read_tiff(file, n_told, what)
    if n_samples == 1:
        return _gray(picture, bits)
    is_known = n_samples == (4 if is_inked else 3)
    if is_known and bits <= 8:
        return None
    return read_tiff(file, n_told, f"{n_samples} channels of {bits} bits")


def _gray(picture: Image.Image, bits: int) -> Pixels | None:
    """Read gray values whose sign, or whose white, Pillow takes otherwise."""
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    sign = max(tags.get(SAMPLE_FORMAT, (UNSIGNED,)))
    is_inverted = bits == 16 and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    kind = {(8, SIGNED): "i1", (32, UNSIGNED): "u4"}.get((bits, sign))
    if kind is None and not (is_inverted and sign == UNSIGNED):
        return None
    load_unmapped(picture)
    values = np.asarray(ImageOps.exif_transpose(picture))[np.newaxis]
    if kind is not None:
        return values.view(kind)
    return np.uint16(2**16 - 1) - values.astype(np.uint16)


def _pages(picture: Image.Image) -> list[int]:
    """Find the pages that are no smaller copies or masks of others; [] if unknown."""
    try:
        n_frames = getattr(picture, "n_frames", 1)
        if n_frames == 1:
            return [0]
        pages = []
        for frame in range(n_frames):
            picture.seek(frame)
            kind = picture.tag_v2.get(KIND, 0)  # type: ignore[attr-defined]
            if not kind & REDUCED_OR_MASK:
                pages.append(frame)
        picture.seek(0)
    except UNREADABLE:  # pages that Pillow does not know, or damage
        return []
    return pages
