"""From what a user passes as X to images of one shape."""

from sklearn_byol.images._digest import digest
from sklearn_byol.images._images import (
    Images,
    JoinedImages,
    StreamedImages,
    channel_statistics,
)
from sklearn_byol.images._items import as_items
from sklearn_byol.images._layout import Layout, axes_of, fold, layout_of
from sklearn_byol.images._pixels import check_pixel_range, pixel_range
from sklearn_byol.images._reading import as_array
from sklearn_byol.images._source import Fitted, Reader, Source

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
