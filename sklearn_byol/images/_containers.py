"""Images of one shape: in an array, decoded as they are asked for, or both, joined."""

import functools
import hashlib
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_byol.exceptions import (
    ImagesWarning,
    PixelRangeWarning,
    UnreadableImagesError,
    warn,
)
from sklearn_byol.images._datasets import Failures, Items
from sklearn_byol.images._decode import CROP, Decoded
from sklearn_byol.images._layout import Pixels, Shape
from sklearn_byol.images._learned_range import N_IMAGES, some_of
from sklearn_byol.images._pixel_range import (
    KNOWN,
    Bound,
    Fitted,
    Range,
    check_pixel_range,
    low_and_length,
)

N_FOR_STATISTICS = 4096  # images, evenly spaced: enough for a mean to three digits
CONSTANT = 1e-6  # of the range; less is no deviation, but what rounding leaves
N_IN_DOUBLE = 64  # images that statistics take at a time
N_AT_ONCE = 256  # images that transform takes at a time, at most
PIXELS_AT_ONCE = 2**22  # pixels that transform takes at a time, about
HALF = 0.5  # of an image: that less is left is said
N_DECODED = 64  # images that a thread decodes at a time
N_STREAMED = 256  # images that are decoded for a digest, evenly spaced

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


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamedImages(Items):
    """Images that are decoded whenever they are asked for, to one shape and type.

    Images of another size are resized, or are unreadable. Threads are counted as joblib
    counts them: Pillow decodes outside Python's lock. `on_error` is "raise" or "skip".
    """

    shape: Shape
    dtype: np.dtype[Any]
    is_resizing: bool
    known: Mapping[int, Decoded]  # images that are decoded already, by their places
    n_jobs: int | None = None
    on_error: str = "raise"
    mode: str = CROP  # by which images are resized
    cut: set[int] = field(default_factory=set)  # those of which most was cut away
    fitted: Fitted | None = None  # what images are compared with, where they are
    pixel_range: Range = (0.0, 1.0)
    is_streamed = True

    def __getitem__(self, index: slice | Indices) -> Tensor:
        """Return images (n, n_channels, height, width) in [0, 1] as float32."""
        failures: Failures = {}
        pixels = self._decode(np.arange(len(self))[index], failures)
        if failures:  # what could be decoded once
            raise self.unreadable(failures)
        return batch_of(pixels, self.pixel_range)

    def to(self, device: torch.device) -> "StreamedImages":
        """Stay where the images come from."""
        return self

    def batches(self, largest: Shape | None = None) -> Iterator[tuple[Indices, Tensor]]:
        """Go through the images in order: indices of those that can be decoded.

        As many at a time as their shape allows, or a larger one that they will have.
        Numbers other than bytes must be on the scale of fit. After the first image that
        cannot be decoded, unless it is to be skipped, the others are only looked
        through, so that one error names them all.
        """
        failures: Failures = {}
        for chunk in chunks_of(len(self), largest or self.shape):
            indices = np.arange(chunk.start, chunk.stop)
            pixels = self._decode(indices, failures)
            decoded = np.setdiff1d(indices, list(failures))
            if self.fitted is not None and len(pixels):
                check_pixel_range(pixels, self.fitted, self.take(decoded).name)
            if not failures or self.on_error == "skip":
                yield decoded, batch_of(pixels, self.pixel_range)
        self.check(failures)

    def take(self, indices: Iterable[int]) -> Self:
        """Choose some of the images, of which nothing has been cut away yet."""
        return replace(super().take(indices), cut=set())

    def some(self) -> Pixels:
        """Decode some images, of those that can be."""
        return self._decode(some_of(len(self), N_IMAGES), {})

    def decoded(self, indices: Collection[int], failures: Failures) -> Iterator[Pixels]:
        """Decode some images, one after another, and note those that cannot be."""
        parallel = Parallel(
            self.n_jobs, "threading", return_as="generator", batch_size=N_DECODED
        )
        found = parallel(delayed(self._decode_one)(index) for index in indices)
        for index, pixels in zip(indices, found, strict=True):
            if isinstance(pixels, str):
                failures[index] = pixels
            else:
                yield pixels

    def check(self, failures: Failures) -> None:
        """Raise one error for all images that could not be decoded, unless skipped.

        Warn of those of which most was cut away.
        """
        if failures and self.on_error == "raise":
            raise self.unreadable(failures)
        if self.cut:
            _, height, width = self.shape
            warn(
                f"{len(self.cut)} of {len(self)} images lose more than half of their "
                f"pixels: the middle is cut out of what {height}x{width} pixels do not "
                'hold. Pass resize_mode="pad" or "stretch" to keep the rest, or '
                "silence this by filtering sklearn_byol.exceptions.ImagesWarning.",
                ImagesWarning,
            )

    def _decode(self, indices: Indices, failures: Failures) -> Pixels:
        """Decode those of some images (n, n_channels, height, width) that can be."""
        images = list(self.decoded(indices.tolist(), failures))
        return np.array(images, self.dtype).reshape(-1, *self.shape)

    def _decode_one(self, index: int) -> Pixels | str:
        """Decode one image that is as the others are, or say why it cannot be."""
        found: Decoded | str | None = self.known.get(self.chosen[index])
        if found is None:
            shape = self.shape if self.is_resizing else None
            found = self.decode(index, shape, self.mode)
        if isinstance(found, str):
            return found
        pixels, kept = found
        if kept < HALF:
            self.cut.add(index)
        if pixels.shape != self.shape:
            return (
                "its size is {}x{}x{}, the first one's {}x{}x{}; pass image_shape="
                "(height, width) to resize".format(*pixels.shape, *self.shape)
            )
        if pixels.dtype != self.dtype:
            return (
                f"the first one's pixels are {self.dtype}, its are {pixels.dtype}: "
                "bring all to one depth"
            )
        return pixels


Part = Images | StreamedImages


class JoinedImages:
    """Images of one shape from several sources, one source after another."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)
        self.shape = self.parts[0].shape
        self.is_streamed = any(part.is_streamed for part in self.parts)

    def __len__(self) -> int:
        """Count the images of all sources."""
        return sum(map(len, self.parts))

    def __getitem__(self, indices: Indices) -> Tensor:
        """Return images (n, n_channels, height, width), by indices that ascend."""
        start, batches = 0, []
        for part in self.parts:
            first, last = np.searchsorted(indices, [start, start + len(part)])
            if last > first:
                batches.append(part[indices[first:last] - start])
            start += len(part)
        return torch.cat([batch.to(batches[0].device) for batch in batches])

    def to(self, device: torch.device) -> "JoinedImages":
        """Keep each source on a GPU if there is room for it."""
        return JoinedImages([part.to(device) for part in self.parts])


AllImages = Part | JoinedImages


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


def channel_statistics(images: AllImages) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, over up to 4,096 images.

    A channel that is constant has a deviation of 1, and is named.
    """
    indices = np.arange(0, len(images), -(-len(images) // N_FOR_STATISTICS))
    n_pixels = len(indices) * math.prod(images.shape[1:])
    total = squares = torch.zeros(images.shape[0], dtype=torch.float64)
    for chunk in np.array_split(indices, -(-len(indices) // N_IN_DOUBLE)):
        batch = images[chunk].double()
        total = total + batch.sum(dim=(0, 2, 3))
        squares = squares + batch.square().sum(dim=(0, 2, 3))
    mean = total / n_pixels
    variance = squares / n_pixels - mean**2
    std = variance.clamp_min(0).sqrt()
    _tell_of_constant((std <= CONSTANT).nonzero().ravel().tolist(), len(std))
    return mean.tolist(), torch.where(std > CONSTANT, std, 1.0).tolist()


def _tell_of_constant(channels: list[int], n_channels: int) -> None:
    """Name channels that are the same everywhere, where others are not."""
    if 0 < len(channels) < n_channels:
        named = " and ".join(map(str, channels))
        warn(
            f"All pixels of channel {named} of X are the same, of {n_channels} counted "
            "from 0: they tell nothing. Leave them out, or silence this by "
            "filtering sklearn_byol.exceptions.PixelRangeWarning.",
            PixelRangeWarning,
        )


def digest(images: AllImages) -> str:
    """Return 16 hexadecimal digits that other images do not have.

    Of images that are decoded whenever they are asked for, the names and the pixels of
    256 are looked at; of others all pixels are.
    """
    found = hashlib.sha256(repr((len(images), images.shape)).encode())
    if isinstance(images, JoinedImages):
        for part in images.parts:
            found.update(digest(part).encode())
    elif isinstance(images, StreamedImages):
        found.update(os.fsencode("\n".join(images.names)))
        chosen = np.arange(0, len(images), -(-len(images) // N_STREAMED))
        found.update(images[chosen].numpy().tobytes())
    else:
        found.update(repr((images.pixels.dtype.str, images.pixel_range)).encode())
        for chunk in chunks_of(len(images), images.shape):
            found.update(images.pixels[chunk].tobytes())
    return found.hexdigest()[:16]
