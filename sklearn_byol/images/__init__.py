"""From what a user passes as X to images of one shape."""

from sklearn_byol.images._images import Images, channel_statistics, image_batches
from sklearn_byol.images._layout import Layout, fold, layout_of
from sklearn_byol.images._pixels import check_pixel_range, pixel_range
from sklearn_byol.images._reading import as_array

__all__ = [
    "Images",
    "Layout",
    "as_array",
    "channel_statistics",
    "check_pixel_range",
    "fold",
    "image_batches",
    "layout_of",
    "pixel_range",
]
