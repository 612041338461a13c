"""Images as matplotlib shows them, side by side on one pair of axes."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sklearn_byol.inspection._axes import WIDTH, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GAP", "as_pictures", "board", "frame", "pictures_of", "place"]

CHANNELS = (1, 3, 4)
GAP = 0.06  # between pictures, in widths of a picture
MARGIN = 0.3  # inches, without which labels leave the figure


def pictures_of(images: Any) -> NDArray[Any]:
    """Turn images (n, n_channels, height, width) in [0, 1] into what imshow takes.

    One channel is gray, three are RGB; of another number the mean is shown.
    """
    arrays = np.asarray(images.cpu() if hasattr(images, "cpu") else images)
    if arrays.shape[1] == 3:
        return arrays.transpose(0, 2, 3, 1)
    return arrays.mean(axis=1)


def as_pictures(images: Any) -> NDArray[Any]:
    """Turn a user's images into what imshow takes.

    Parameters
    ----------
    images : array-like or Tensor
        Gray images (n, height, width), or images with channels first or last, which are
        told by 1, 3 or 4 of them. Values outside [0, 1] are scaled: bytes by 255,
        others by their range.

    Returns
    -------
    ndarray of shape (n, height, width) or (n, height, width, n_channels)
        Pictures in [0, 1].

    Raises
    ------
    ValueError
        If there are other axes.
    """
    arrays = np.asarray(images.cpu() if hasattr(images, "cpu") else images)
    if arrays.ndim == 3:
        arrays = arrays[..., np.newaxis]
    elif arrays.ndim == 4 and arrays.shape[3] not in CHANNELS:
        arrays = arrays.transpose(0, 2, 3, 1)
    if arrays.ndim != 4 or arrays.shape[3] not in CHANNELS:
        raise ValueError(
            "images must have shape (n, height, width), (n, height, width, n_channels) "
            "or (n, n_channels, height, width) with 1, 3 or 4 channels. Got shape "
            f"{np.shape(images)!r}."
        )
    pictures = _scaled(arrays)
    return pictures[..., 0] if pictures.shape[3] == 1 else pictures


def _scaled(arrays: NDArray[Any]) -> NDArray[Any]:
    """Bring values to [0, 1]."""
    if arrays.dtype == np.uint8:
        return arrays / 255
    low, high = arrays.min(), arrays.max()
    if low >= 0 and high <= 1:
        return arrays.astype(float)
    return (arrays - low) / max(high - low, 1e-12)


def ratio(picture: NDArray[Any]) -> float:
    """Height of a picture in widths of it."""
    return float(picture.shape[0] / picture.shape[1])


def board(
    ax: Any, width: float, height: float, *, aside: float = 0, below: float = 0
) -> "Axes":
    """Return axes to place pictures on, measured in widths of a picture from the top.

    They are those given or, in a new figure, as high as the pictures need, with room
    for labels aside and a colour bar below, in inches.
    """
    ax = axes_or_new(ax, (WIDTH - aside) * height / width + below + MARGIN)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_autoscale_on(False)
    ax.set(xlim=(0, width), ylim=(height, 0))
    return ax


def place(
    ax: "Axes", picture: NDArray[Any], left: float, top: float, **kwargs: Any
) -> None:
    """Draw a picture one unit wide with its upper left corner here."""
    options = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
    extent = (left, left + 1, top + ratio(picture), top)
    ax.imshow(np.clip(picture, 0, 1), extent=extent, **{**options, **kwargs})


def frame(ax: "Axes", left: float, top: float, height: float, **kwargs: Any) -> None:
    """Draw a frame around a picture one unit wide."""
    right, bottom = left + 1, top + height
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    ax.plot(*zip(*corners, strict=True), clip_on=False, **kwargs)
