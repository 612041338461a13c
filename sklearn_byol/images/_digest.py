"""A short name for the pixels of many images, to tell them from others."""

import hashlib
from typing import Any

import numpy as np

from sklearn_byol.images._images import (
    Images,
    JoinedImages,
    StreamedImages,
    chunks_of,
)

__all__ = ["digest"]

N_STREAMED = 256  # images that are decoded for it, evenly spaced


def digest(images: Images | StreamedImages | JoinedImages) -> str:
    """Return 16 hexadecimal digits that other images do not have.

    Of images that are decoded whenever they are asked for, the names and the pixels of
    256 are looked at; of others all pixels are.

    Parameters
    ----------
    images : Images, StreamedImages or JoinedImages
        The images of fit.

    Returns
    -------
    str
        The digits.
    """
    found = hashlib.sha256(repr((len(images), images.shape)).encode())
    if isinstance(images, JoinedImages):
        for part in images.parts:
            found.update(digest(part).encode())
    elif isinstance(images, StreamedImages):
        items = images.decoder.items
        found.update("\n".join(items.name(index) for index in images.kept).encode())
        step = -(-len(images) // N_STREAMED)
        chosen = np.arange(0, len(images), step)
        found.update(_bytes(images[chosen].numpy()))
    else:
        found.update(repr((images.pixels.dtype.str, images.pixel_range)).encode())
        for chunk in chunks_of(len(images), images.shape):
            found.update(_bytes(images.pixels[chunk]))
    return found.hexdigest()[:16]


def _bytes(pixels: Any) -> Any:
    """View pixels as bytes, in C order."""
    return np.ascontiguousarray(pixels).view(np.uint8)
