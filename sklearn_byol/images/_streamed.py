"""Images that are decoded as they are asked for, to one shape and type."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor

from sklearn_byol.exceptions import ImagesWarning, warn
from sklearn_byol.images._array_images import Decoded, channels
from sklearn_byol.images._causes import Cause
from sklearn_byol.images._datasets import Failures, Items
from sklearn_byol.images._in_memory import Indices, batch_of, chunks_of
from sklearn_byol.images._layout import Pixels, Shape
from sklearn_byol.images._learned_range import N_IMAGES, some_of
from sklearn_byol.images._pixel_range import Fitted, Range, check_pixel_range
from sklearn_byol.images._resizing import CROP

HALF = 0.5  # of an image: that less is left is said
IN_COLOUR = 3  # equal channels that a gray image gets among images in colour
N_DECODED = 64  # images that a thread decodes at a time

Kind = tuple[Shape, np.dtype[Any]]  # of pixels: their shape and their type


class Unlike(Cause):
    """An image is of another kind than those that are read."""

    __slots__ = ("kind",)
    kind: Kind


class OutvotedError(Exception):
    """Another kind of images has colour, or is that of more images."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class Losses:
    """Places of images that have lost something, or were changed, on their way."""

    cut: set[int] = field(default_factory=set)  # most of their pixels
    narrowed: set[int] = field(default_factory=set)  # bits of their channels
    bits: set[int] = field(default_factory=set)  # that their channels had
    widened: set[int] = field(default_factory=set)  # from gray to equal channels


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamedImages(Items):
    """Images that are decoded whenever they are asked for, to one shape and type.

    Images of another size are resized, if the shape is told, or are unreadable. Threads
    are counted as joblib counts them: Pillow decodes outside Python's lock. `on_error`
    is "raise" or "skip".
    """

    shape: Shape
    dtype: np.dtype[Any]
    told: Shape | None  # what images are decoded to; 0 channels: as many as each has
    known: Mapping[int, Decoded]  # images that are decoded already, by their places
    n_jobs: int | None = None
    on_error: str = "raise"
    mode: str = CROP  # by which images are resized
    losses: Losses = field(default_factory=Losses)
    fitted: Fitted | None = None  # what images are compared with, where they are
    may_change: bool = False  # to another kind, if colour or most images are of it
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

    def _can_skip(self, failures: Failures) -> bool:
        """Tell whether it would help to skip images, where they are not skipped."""
        return self.on_error == "raise" and super()._can_skip(failures)

    def take(self, indices: Iterable[int]) -> Self:
        """Choose some of the images, of which nothing has been lost yet."""
        return replace(super().take(indices), losses=Losses())

    def of_kind(self, kind: Kind) -> Self:
        """Read the images as others of them are."""
        shape, dtype = kind
        return replace(self, shape=shape, dtype=dtype, known={}, losses=Losses())

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
            if isinstance(pixels, Cause):
                failures[index] = pixels
                self._give_way_to_colour(pixels)
            else:
                yield pixels

    def check(self, failures: Failures) -> None:
        """Raise one error for all images that could not be decoded, unless skipped.

        Warn of what others have lost.
        """
        if self.may_change:
            self._give_way_to_most(failures)
        if failures and self.on_error == "raise":
            raise self.unreadable(failures)
        for words in _in_words(self.losses, self.shape, len(self)):
            warn(
                f"{words}, or silence this by filtering "
                "sklearn_byol.exceptions.ImagesWarning.",
                ImagesWarning,
            )

    def _give_way_to_colour(self, cause: Cause) -> None:
        """Begin again with images in colour, where those so far were gray."""
        if not (self.may_change and isinstance(cause, Unlike)):
            return
        in_colour = (IN_COLOUR, *self.shape[1:]), self.dtype
        if self.shape[0] == 1 and cause.kind == in_colour:
            raise OutvotedError(cause.kind)

    def _give_way_to_most(self, failures: Failures) -> None:
        """Begin again with another kind of images, where there are more of them."""
        kinds = [cause.kind for cause in failures.values() if isinstance(cause, Unlike)]
        most, n = next(iter(Counter(kinds).most_common(1)), (None, 0))
        if most is not None and n > len(self) - len(failures):
            raise OutvotedError(most)

    def _decode(self, indices: Indices, failures: Failures) -> Pixels:
        """Decode those of some images (n, n_channels, height, width) that can be."""
        images = list(self.decoded(indices.tolist(), failures))
        return np.array(images, self.dtype).reshape(-1, *self.shape)

    def _decode_one(self, index: int) -> Pixels | Cause:
        """Decode one image that is as the others are, or say why it cannot be."""
        found: Decoded | Cause | None = self.known.get(self.chosen[index])
        if found is None:
            found = self.decode(index, self.told, self.mode)
        if isinstance(found, Cause):
            return found
        pixels, kept, lost_bits = found
        if kept < HALF:
            self.losses.cut.add(index)
        if lost_bits:
            self.losses.narrowed.add(index)
            self.losses.bits.add(lost_bits)
        kind: Kind = pixels.shape, pixels.dtype
        if kind == ((1, *self.shape[1:]), self.dtype) and self.shape[0] == IN_COLOUR:
            pixels = np.repeat(pixels, IN_COLOUR, axis=0)
            self.losses.widened.add(index)
            kind = self.shape, self.dtype
        if kind == (self.shape, self.dtype):
            return pixels
        cause = Unlike(*_difference(kind, (self.shape, self.dtype)))
        cause.kind = kind
        return cause


def _difference(kind: Kind, other: Kind) -> tuple[str, str]:
    """Say in what an image differs from others, and what to do about it."""
    (n_channels, *size), dtype = kind
    (n_expected, *expected), expected_dtype = other
    if size != expected:
        return (
            "it is {}x{} pixels where others are {}x{}; pass image_shape=(height, "
            "width) to resize".format(*size, *expected)
        ), ""
    if dtype != expected_dtype:
        return (
            f"its pixels are {dtype} where those of others are {expected_dtype}; bring "
            "all to one depth"
        ), ""
    words = f"it has {channels(n_channels)} where others have {n_expected}"
    return words, "Train on those of one kind"


def _in_words(losses: Losses, shape: Shape, n_images: int) -> Iterator[str]:
    """Say what images have lost on their way, and what to do instead."""
    _, height, width = shape
    if losses.cut:
        yield (
            f"{len(losses.cut)} of {n_images} images lose more than half of their "
            f"pixels: the middle is cut out of what {height}x{width} pixels do not "
            'hold. Pass resize_mode="pad" or "stretch" to keep the rest'
        )
    if losses.narrowed:
        yield (
            f"{len(losses.narrowed)} of {n_images} images have more than 8 bits a "
            f"channel, of which Pillow keeps 8: of {2 ** max(losses.bits):,} levels "
            "256 are left. To keep all, pass arrays, or paths of PNG, TIFF or JPEG "
            "2000 after pip install 'sklearn-byol[tiff]'"
        )
    if losses.widened:
        yield (
            f"{len(losses.widened)} of {n_images} images are gray and others are in "
            "colour: they get three equal channels. Pass "
            f"image_shape=({height}, {width}, 1) to make all gray"
        )
