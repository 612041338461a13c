"""Images of one shape, handed out as float batches in [0, 1]."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

__all__ = ["Images", "channel_statistics", "image_batches"]

N_FOR_STATISTICS = 4096  # images, evenly spaced: enough for a mean to three digits
N_AT_ONCE = 256  # images that transform takes at a time, at most
PIXELS_AT_ONCE = 2**22  # pixels that transform takes at a time, about


class Images(Dataset[Tensor]):
    """An array of images, left as it is and converted batch by batch.

    Parameters
    ----------
    pixels : ndarray of shape (n_images, n_channels, height, width)
        Images of any real dtype; a view of the user's array.
    pixel_range : (float, float)
        The values that become 0 and 1.
    """

    def __init__(self, pixels: NDArray[Any], pixel_range: tuple[float, float]) -> None:
        self.pixels = pixels
        self.pixel_range = pixel_range
        self._resident: Tensor | None = None

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def __getitem__(self, index: Any) -> Tensor:
        """Return images (n, n_channels, height, width) in [0, 1] as float32.

        The index is a slice or an array of indices; what it picks is copied, so the
        user's array is never written to.
        """
        if self._resident is not None:
            batch = self._resident[index].to(torch.float32, copy=True)
        else:
            # astype copies, so neither a read-only nor a user's array is written to.
            # In C order, so that rows and images of the same pixels give the same bits.
            picked = self.pixels[index].astype(np.float32, order="C")
            batch = torch.from_numpy(picked)
        low, high = self.pixel_range
        return batch.sub_(low).div_(high - low)

    def to(self, device: torch.device) -> "Images":
        """Keep the images on a GPU if they take less than half of its free memory."""
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.pixels.nbytes < free / 2:
                self.keep_on(device)
        return self

    def keep_on(self, device: torch.device) -> None:
        """Copy all images to a device; bytes stay bytes."""
        dtype = np.uint8 if self.pixels.dtype == np.uint8 else np.float32
        self._resident = torch.from_numpy(self.pixels.astype(dtype)).to(device)


def channel_statistics(images: Images) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, over up to 4,096 images.

    Parameters
    ----------
    images : Images
        The images of fit.

    Returns
    -------
    mean, std : list of float of length n_channels
        Statistics of images in [0, 1].
    """
    indices = np.arange(0, len(images), -(-len(images) // N_FOR_STATISTICS))
    n_pixels = 0
    total = squares = torch.zeros(images.pixels.shape[1], dtype=torch.float64)
    for chunk in np.array_split(indices, max(1, len(indices) // N_AT_ONCE)):
        batch = images[chunk].double()
        n_pixels += batch[:, 0].numel()
        total = total + batch.sum(dim=(0, 2, 3))
        squares = squares + batch.square().sum(dim=(0, 2, 3))
    mean = total / n_pixels
    variance = squares / n_pixels - mean**2
    return mean.tolist(), variance.clamp_min(0).sqrt().tolist()


def image_batches(images: Images) -> Iterator[Tensor]:
    """Go through all images in order, in chunks that depend on their size alone.

    Parameters
    ----------
    images : Images
        Images to go through.

    Yields
    ------
    Tensor of shape (n, n_channels, height, width)
        Images in [0, 1].
    """
    height, width = images.pixels.shape[-2:]
    n = max(1, min(N_AT_ONCE, PIXELS_AT_ONCE // (height * width)))
    for start in range(0, len(images), n):
        yield images[slice(start, start + n)]
