"""From what a user passes as X to images of one shape."""

from sklearn_byol.images._arrays import as_array
from sklearn_byol.images._containers import (
    AllImages,
    JoinedImages,
    channel_statistics,
    digest,
)
from sklearn_byol.images._datasets import as_items
from sklearn_byol.images._layout import Layout
from sklearn_byol.images._pixel_range import Fitted, check_pixel_range
from sklearn_byol.images._reader import Reader, Source

__all__ = [
    "AllImages",
    "Fitted",
    "JoinedImages",
    "Layout",
    "Reader",
    "Source",
    "as_array",
    "as_items",
    "channel_statistics",
    "check_pixel_range",
    "digest",
]
