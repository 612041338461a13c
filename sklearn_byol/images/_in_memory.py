"""Images in an array, in memory or in a file, converted batch by batch."""

import functools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images._layout import Pixels, Shape
from sklearn_byol.images._pixel_range import KNOWN, Bound, Range, low_and_length

N_AT_ONCE = 256  # images that transform takes at a time, at most
PIXELS_AT_ONCE = 2**22  # pixels that transform takes at a time, about

Indices = NDArray[np.intp]


class Images:
    """An array of images, left as it is and converted batch by batch.

    Its pixels (n_images, n_channels, height, width) are in memory or in a file.
    """

    is_streamed = False

    def __init__(self, pixels: Pixels, pixel_range: Range) -> None:
        self.pixels = pixels
        self.pixel_range = pixel_range
        self.shape: Shape = pixels.shape[1], pixels.shape[2], pixels.shape[3]
        # On a GPU bytes stay bytes.
        self._kept_dtype = pixels.dtype if pixels.dtype == np.uint8 else np.dtype("f4")
        self._resident: Tensor | None = None

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def __getitem__(self, index: Any) -> Tensor:  # a slice, or indices
        """Copy images (n, n_channels, height, width) in [0, 1] as float32."""
        if self._resident is None:
            return batch_of(self.pixels[index], self.pixel_range)
        if isinstance(index, np.ndarray):
            place = self._resident.device
            index = torch.from_numpy(index).to(place, non_blocking=True)
        batch = self._resident[index].to(torch.float32, copy=True)
        return _scaled(batch, self.pixel_range, self.pixels.dtype)

    def take(self, indices: Indices) -> "Images":
        """Copy some of the images, by indices that ascend; all are not copied."""
        if len(indices) == len(self):
            return self
        return Images(self.pixels[indices], self.pixel_range)

    def to(self, device: torch.device) -> "Images":
        """Keep the images on a CUDA GPU if they take less than half of its free memory.

        Else batches are made for it one ahead, while it computes.
        """
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.pixels.size * self._kept_dtype.itemsize < free / 2:
                # Less may be allowed to a process than is free.
                with suppress(torch.OutOfMemoryError):
                    self.keep_on(device)
            self.is_streamed = self._resident is None
        return self

    def keep_on(self, device: torch.device) -> None:
        """Copy all images to a device; bytes stay bytes."""
        # In C order, as batches are that are made in memory.
        kept = self.pixels.astype(self._kept_dtype, order="C")
        self._resident = torch.from_numpy(kept).to(device)

    def batches(self, largest: Shape | None = None) -> Iterator[tuple[Indices, Tensor]]:
        """Go through all images in order: their indices, and the images.

        As many at a time as their shape allows, or a larger one that they will have.
        """
        for chunk in chunks_of(len(self), largest or self.shape):
            yield np.arange(chunk.start, chunk.stop), self[chunk]


class SkippingImages(Images):
    """An array of images of which only some are kept: others hold what is no number."""

    def __init__(self, pixels: Pixels, pixel_range: Range, kept: Indices) -> None:
        super().__init__(pixels, pixel_range)
        self.kept = kept

    def __getitem__(self, index: Any) -> Tensor:
        """Copy images in [0, 1], if all of them are kept."""
        if not np.isin(np.arange(len(self))[index], self.kept).all():
            raise UnreadableImagesError(
                "Some of the images asked for have values that are no numbers."
            )
        return super().__getitem__(index)

    def batches(self, largest: Shape | None = None) -> Iterator[tuple[Indices, Tensor]]:
        """Go through the images in order, but for those that are skipped."""
        for chunk in chunks_of(len(self), largest or self.shape):
            first, last = np.searchsorted(self.kept, [chunk.start, chunk.stop])
            if last > first:
                yield self.kept[first:last], self[self.kept[first:last]]


def batch_of(pixels: Pixels, pixel_range: Range) -> Tensor:
    """Copy pixels to float32 in [0, 1].

    In C order, so that rows and images of the same pixels give the same bits.
    """
    batch = torch.from_numpy(pixels.astype(np.float32, order="C"))
    return _scaled(batch, pixel_range, pixels.dtype)


def _scaled(batch: Tensor, pixel_range: Range, dtype: np.dtype[Any]) -> Tensor:
    """Scale pixels to [0, 1], in place; what lies beyond the range is clipped."""
    low, length = (_bound(part, batch.device) for part in low_and_length(pixel_range))
    batch = batch.sub_(low).div_(length)
    is_within = dtype == np.uint8 and pixel_range == KNOWN[2]
    return batch if is_within else batch.clamp_(0, 1)


@functools.lru_cache(maxsize=8)
def _bound(bound: Bound, device: torch.device) -> float | Tensor:
    """Put the bounds of channels where images are, for (n_images, n_channels, h, w)."""
    if isinstance(bound, float):
        return bound
    return torch.tensor(bound, device=device).reshape(-1, 1, 1)


def chunks_of(n_images: int, shape: Shape) -> Iterator[slice]:
    """Cut a number of images into chunks that depend on their size alone."""
    _, height, width = shape
    n = max(1, min(N_AT_ONCE, PIXELS_AT_ONCE // (height * width)))
    return gen_batches(n_images, n)
