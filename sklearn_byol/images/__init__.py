"""From what a user passes as X to images of one shape."""

from sklearn_byol.images._arrays import as_array
from sklearn_byol.images._collections import as_items
from sklearn_byol.images._layout import Layout, axes_of, fold, layout_of
from sklearn_byol.images._pixel_range import check_pixel_range, pixel_range
from sklearn_byol.images._reader import Fitted, Reader, Source
from sklearn_byol.images._store import (
    Images,
    JoinedImages,
    StreamedImages,
    channel_statistics,
    digest,
)

__all__ = [
    "Fitted",
    "Images",
    "JoinedImages",
    "Layout",
    "Reader",
    "Source",
    "StreamedImages",
    "as_array",
    "as_items",
    "axes_of",
    "channel_statistics",
    "check_pixel_range",
    "digest",
    "fold",
    "layout_of",
    "pixel_range",
]
