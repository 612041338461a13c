"""From what a user passes as X to images of one shape."""

from sklearn_byol.images._arrays import as_array
from sklearn_byol.images._containers import (
    AllImages,
    Images,
    JoinedImages,
    StreamedImages,
    channel_statistics,
    digest,
)
from sklearn_byol.images._datasets import as_items
from sklearn_byol.images._layout import Layout, axes_of
from sklearn_byol.images._pixel_range import check_pixel_range
from sklearn_byol.images._reader import Fitted, Reader, Source

__all__ = [
    "AllImages",
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
]
