"""Images as matplotlib shows them, side by side on one pair of axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_byol.inspection._display import WIDTH, Display
from sklearn_byol.metrics import Array

CHANNELS = (1, 3, 4)
GAP = 0.06  # between pictures, in widths of a picture
MARGIN = 0.3  # inches, without which labels leave the figure
ASIDE = 0.6  # inches for the names of rows

Row = tuple[str, float, Array, dict[str, Any]]  # name, top, pictures, style of imshow


class PicturesDisplay(Display):
    """Pictures on axes that are measured in widths of a picture, from the top."""

    def _lay_out(
        self,
        ax: object,
        width: float,
        height: float,
        aside: float = 0,  # inches for labels
        below: float = 0,  # inches for a colour bar
    ) -> None:
        """Prepare axes for so many pictures, as high as these need if they are new."""
        inches = (WIDTH - aside) * height / width + below + MARGIN
        ax = self._draw_on(ax, inches)
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))

    def _draw_rows(self, ax: object, rows: Sequence[Row], below: float = 0) -> None:
        """Draw rows of pictures, each with its name to the left, from the top."""
        names, tops, pictures, styles = zip(*rows, strict=True)
        width, height = len(pictures[0]) * (1 + GAP) - GAP, ratio(pictures[0][0])
        self._lay_out(ax, width, tops[-1] + height, ASIDE, below)
        for top, row, style in zip(tops, pictures, styles, strict=True):
            for column, picture in enumerate(row):
                self._place(picture, column * (1 + GAP), top, **style)
        self.ax_.set_yticks([top + height / 2 for top in tops], names)
        self.ax_.tick_params(axis="y", length=0)

    def _place(self, picture: Array, left: float, top: float, **kwargs: Any) -> None:
        """Draw a picture one unit wide with its upper left corner here."""
        extent = (left, left + 1, top + ratio(picture), top)
        self._show(picture, extent, **{"interpolation": "nearest", **kwargs})


def ratio(picture: Array) -> float:
    """Height of a picture in widths of it."""
    return float(picture.shape[0] / picture.shape[1])


def pictures_of(images: object) -> Array:
    """Turn images (n, n_channels, height, width) in [0, 1] into what imshow takes."""
    arrays = _as_array(images)
    if arrays.shape[1] == 3:
        return arrays.transpose(0, 2, 3, 1)
    return arrays.mean(axis=1)  # of one channel itself


def as_pictures(images: object) -> Array:
    """Turn a user's images, with channels first, last or none, into pictures."""
    arrays = _as_array(images)
    shape = arrays.shape
    if arrays.ndim == 3:
        arrays = arrays[..., np.newaxis]
    elif arrays.ndim == 4 and arrays.shape[3] not in CHANNELS:
        arrays = arrays.transpose(0, 2, 3, 1)
    if arrays.ndim != 4 or arrays.shape[3] not in CHANNELS:
        raise ValueError(
            "images must have shape (n, height, width), (n, height, width, n_channels) "
            "or (n, n_channels, height, width) with 1, 3 or 4 channels. Got shape "
            f"{shape!r}."
        )
    pictures = _scaled(arrays)
    return pictures[..., 0] if pictures.shape[3] == 1 else pictures


def _as_array(images: object) -> Array:
    """Take a tensor of any device, or an array, to an array."""
    return np.asarray(images.cpu() if hasattr(images, "cpu") else images)


def _scaled(arrays: Array) -> Array:
    """Bring values to [0, 1]: bytes by 255, others by their range if they are not."""
    if arrays.dtype == np.uint8:
        return arrays / 255
    low, high = arrays.min(), arrays.max()
    if low >= 0 and high <= 1:
        return arrays.astype(float)
    return (arrays - low) / max(high - low, 1e-12)
