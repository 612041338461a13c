"""Images of one shape, handed out as float batches in [0, 1]."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sklearn_byol._on_device import on_device
from sklearn_byol.images._decoder import Decoder
from sklearn_byol.images._pixels import check_pixel_range

__all__ = ["Images", "JoinedImages", "StreamedImages", "channel_statistics"]

N_FOR_STATISTICS = 4096  # images, evenly spaced: enough for a mean to three digits
N_IN_DOUBLE = 64  # images that statistics take at a time
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

    is_streamed = False

    def __init__(self, pixels: NDArray[Any], pixel_range: tuple[float, float]) -> None:
        self.pixels = pixels
        self.pixel_range = pixel_range
        self._resident: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_channels, height, width)."""
        n_channels, height, width = self.pixels.shape[1:]
        return n_channels, height, width

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def __getitem__(self, index: Any) -> Tensor:
        """Return images (n, n_channels, height, width) in [0, 1] as float32.

        The index is a slice or an array of indices; what it picks is copied, so the
        user's array is never written to.
        """
        if self._resident is not None:
            if isinstance(index, np.ndarray):
                index = on_device(index, self._resident.device)
            return _scaled(self._resident[index], self.pixel_range)
        # In C order, so that rows and images of the same pixels give the same bits.
        picked = self.pixels[index].astype(np.float32, order="C")
        return _scaled(torch.from_numpy(picked), self.pixel_range, is_copy=True)

    def take(self, chosen: NDArray[np.intp]) -> "Images":
        """Copy some of the images; all of them are not copied."""
        if len(chosen) == len(self):
            return self
        return Images(self.pixels[chosen], self.pixel_range)

    def to(self, device: torch.device) -> "Images":
        """Keep the images on a CUDA GPU if they take less than half of its free memory.

        Else batches are made for it one ahead, while it computes.
        """
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.pixels.nbytes < free / 2:
                self.keep_on(device)
            self.is_streamed = self._resident is None
        return self

    def keep_on(self, device: torch.device) -> None:
        """Copy all images to a device; bytes stay bytes."""
        dtype = np.uint8 if self.pixels.dtype == np.uint8 else np.float32
        self._resident = torch.from_numpy(self.pixels.astype(dtype)).to(device)

    def batches(self) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through all images in order: their indices, and the images."""
        for chunk in chunks_of(len(self), self.shape):
            yield np.arange(chunk.start, chunk.stop), self[chunk]


class StreamedImages(Dataset[Tensor]):
    """Images that are decoded whenever they are asked for.

    Parameters
    ----------
    decoder : Decoder
        What decodes them.
    kept : ndarray of int
        Indices of the images that can be decoded.
    pixel_range : (float, float)
        The values that become 0 and 1.
    """

    is_streamed = True

    def __init__(
        self,
        decoder: Decoder,
        kept: NDArray[np.intp],
        pixel_range: tuple[float, float],
    ) -> None:
        self.decoder = decoder
        self.kept = kept
        self.pixel_range = pixel_range
        self.shape = decoder.shape

    def __len__(self) -> int:
        """Count the images that can be decoded."""
        return len(self.kept)

    def __getitem__(self, index: Any) -> Tensor:
        """Return images (n, n_channels, height, width) in [0, 1] as float32."""
        pixels = np.concatenate(list(self.decoder.chunks(self.kept[index])))
        self.decoder.check_again(self.kept[index])
        return self._as_batch(pixels)

    def to(self, device: torch.device) -> "StreamedImages":
        """Stay where the images come from."""
        return self

    def batches(self) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through the images in order: indices of those that can be decoded.

        Numbers other than bytes must be on the scale of fit. After the first image that
        cannot be decoded, unless it is to be skipped, the others are only looked
        through, so that one error names them all.
        """
        failures = self.decoder.failures
        for chunk in chunks_of(len(self.kept), self.shape):
            indices = self.kept[chunk]
            pixels = np.concatenate(list(self.decoder.chunks(indices)))
            if not self.decoder.is_bytes and len(pixels):
                check_pixel_range(pixels, self.pixel_range)
            if not failures or self.decoder.on_error == "skip":
                decoded = np.array([i for i in indices if i not in failures], int)
                yield decoded, self._as_batch(pixels)
        self.decoder.check()

    def _as_batch(self, pixels: NDArray[Any]) -> Tensor:
        """Scale a copy to [0, 1]."""
        tensor = torch.from_numpy(pixels.astype(np.float32))
        return _scaled(tensor, self.pixel_range, is_copy=True)


class JoinedImages(Dataset[Tensor]):
    """Images of one shape from several sources, one source after another.

    Parameters
    ----------
    parts : sequence of Images or StreamedImages
        The sources.
    """

    def __init__(self, parts: Sequence[Images | StreamedImages]) -> None:
        self.parts = list(parts)
        self.shape = self.parts[0].shape
        self.is_streamed = any(part.is_streamed for part in self.parts)
        self.ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        """Count the images of all sources."""
        return int(self.ends[-1])

    def __getitem__(self, index: NDArray[np.intp]) -> Tensor:
        """Return images (n, n_channels, height, width); indices must be sorted."""
        cuts = np.searchsorted(index, self.ends)
        starts, batches, start = np.r_[0, self.ends], [], 0
        for part, offset, cut in zip(self.parts, starts, cuts, strict=False):
            if cut > start:
                batches.append(part[index[start:cut] - offset])
            start = cut
        return torch.cat([batch.to(batches[0].device) for batch in batches])

    def to(self, device: torch.device) -> "JoinedImages":
        """Keep each source on a GPU if there is room for it."""
        return JoinedImages([part.to(device) for part in self.parts])


def _scaled(
    pixels: Tensor, pixel_range: tuple[float, float], *, is_copy: bool = False
) -> Tensor:
    """Scale a copy of pixels to [0, 1]."""
    low, high = pixel_range
    batch = pixels.to(torch.float32, copy=not is_copy)
    return batch.sub_(low).div_(high - low)


def chunks_of(n_images: int, shape: tuple[int, int, int]) -> Iterator[slice]:
    """Cut a number of images into chunks that depend on their size alone."""
    _, height, width = shape
    n = max(1, min(N_AT_ONCE, PIXELS_AT_ONCE // (height * width)))
    for start in range(0, n_images, n):
        yield slice(start, min(start + n, n_images))


def channel_statistics(
    images: Images | StreamedImages | JoinedImages,
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, over up to 4,096 images.

    Parameters
    ----------
    images : Images, StreamedImages or JoinedImages
        The images of fit.

    Returns
    -------
    mean, std : list of float of length n_channels
        Statistics of images in [0, 1].
    """
    indices = np.arange(0, len(images), -(-len(images) // N_FOR_STATISTICS))
    n_pixels = 0
    total = squares = torch.zeros(images.shape[0], dtype=torch.float64)
    for chunk in np.array_split(indices, -(-len(indices) // N_IN_DOUBLE)):
        batch = images[chunk].double()
        n_pixels += batch[:, 0].numel()
        total = total + batch.sum(dim=(0, 2, 3))
        squares = squares + batch.square().sum(dim=(0, 2, 3))
    mean = total / n_pixels
    variance = squares / n_pixels - mean**2
    return mean.tolist(), variance.clamp_min(0).sqrt().tolist()
