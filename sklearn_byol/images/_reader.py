"""From whatever a user passes as X to images that training and transform can take."""

import os
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images._arrays import as_array
from sklearn_byol.images._cache import decode_once
from sklearn_byol.images._containers import Images, Indices, StreamedImages
from sklearn_byol.images._datasets import Items, as_items
from sklearn_byol.images._decode import target_shape
from sklearn_byol.images._layout import Layout, check_image_shape, fold, layout_of
from sklearn_byol.images._pixel_range import (
    Pixels,
    Range,
    check_extremes,
    check_pixel_range,
    pixel_range,
    range_between,
    range_of_bytes,
)


@dataclass(frozen=True)
class Fitted:
    """What later images are compared with; counted pixels are integers."""

    layout: Layout
    pixel_range: Range
    was_counted: bool


@dataclass(frozen=True)
class Source:
    """Images, and what is known of where they come from.

    `files` has their paths, if they are files; `skipped` the names of those that could
    not be decoded; `kept` which of those given could be, None where all could.
    """

    images: Images | StreamedImages
    fitted: Fitted
    files: list[str] | None = None
    skipped: list[str] = field(default_factory=list)
    kept: Indices | None = None

    @property
    def n_given(self) -> int:
        """Count the images, with those that could not be decoded."""
        return len(self.images) + len(self.skipped)

    def take(self, chosen: Indices) -> tuple[Images | StreamedImages, Indices]:
        """Take some of the images given, which ascend, without reading them again.

        Returns those that could be decoded, and which of `chosen` they are. Where all
        images are more than memory holds, some may still fit.
        """
        present = np.arange(len(chosen))
        if self.kept is not None:
            present = np.flatnonzero(np.isin(chosen, self.kept))
            chosen = np.searchsorted(self.kept, chosen[present])
        images = self.images.take(chosen)
        if isinstance(images, StreamedImages):
            pixels, *_ = decode_once(images.alone(), None)
            images = images if pixels is None else Images(pixels, images.pixel_range)
        return images, present


@dataclass(frozen=True)
class Reader:
    """How images are read: the parameters of `BYOLTransformer` of the same names."""

    estimator: BaseEstimator
    image_shape: tuple[int, ...] | None
    n_jobs: int | None
    cache: str | os.PathLike[str] | None
    on_error: str

    def open(self, X: object, fitted: Fitted | None = None) -> object:
        """Search X for its images; all that follows takes what is found in its place.

        A folder is walked here, and not again: what is found has a length.
        """
        told = fitted.layout.shape if fitted else check_image_shape(self.image_shape)
        items = as_items(X, told)
        return X if items is None else items

    def first(self, X: object) -> Source:
        """Read the images that say what others have to be like; two or more."""
        items = self.open(X)
        if not isinstance(items, Items):
            array = as_array(self.estimator, X, reset=True, min_samples=2)
            layout = layout_of(array, self.image_shape)
            fitted = Fitted(layout, pixel_range(array), array.dtype.kind in "iub")
            return Source(Images(fold(array, layout), fitted.pixel_range), fitted)
        image = items.first()
        layout = Layout(*target_shape(image, self.image_shape), is_channels_last=True)
        images = self._streamed(items, layout, image, self.image_shape is not None)
        pixels, low, high = decode_once(images, self.cache)
        chosen = range_between(low, high, is_bytes=images.is_bytes)
        source = _source(images, pixels, Fitted(layout, chosen, images.is_bytes))
        _check_number(len(source.images))
        return source

    def more(self, X: object, fitted: Fitted, places: Indices | None = None) -> Source:
        """Read further images for training, of the same shape, all or some of X."""
        items = self.open(X, fitted)
        if not isinstance(items, Items):
            array = self._array(X, fitted)
            return Source(array if places is None else array.take(places), fitted)
        if places is not None:
            items = items.take(places.tolist())
        image = items.first()
        images = self._streamed(items, fitted.layout, image)
        fitted = _as_decoded(fitted, images)
        pixels, low, high = decode_once(images, self.cache)
        if images.is_bytes or pixels is None:
            check_extremes(low, high, fitted.pixel_range)
        else:
            check_pixel_range(pixels, fitted.pixel_range)
        return _source(images, pixels, fitted)

    def next(self, X: object, fitted: Fitted) -> Source:
        """Read images to train on further, of the same shape; two or more."""
        source = self.more(X, fitted)
        _check_number(len(source.images))
        return source

    def stream(self, X: object, fitted: Fitted) -> Images | StreamedImages:
        """Read images of the same shape once, a chunk at a time."""
        items = self.open(X, fitted)
        if not isinstance(items, Items):
            return self._array(X, fitted)
        try:
            image = items.first()
        except UnreadableImagesError:  # told, or skipped, when all are decoded
            image = np.zeros(fitted.layout.shape, dtype=np.uint8)
        images = self._streamed(items, fitted.layout, image)
        return replace(images, pixel_range=_as_decoded(fitted, images).pixel_range)

    def _array(self, X: object, fitted: Fitted) -> Images:
        """Compare an array with what was fitted."""
        array = as_array(self.estimator, X, reset=False, min_samples=1)
        pixels = fold(array, fitted.layout)
        check_pixel_range(array, fitted.pixel_range)
        return Images(pixels, fitted.pixel_range)

    def _streamed(
        self, items: Items, layout: Layout, image: Pixels, is_resizing: bool = True
    ) -> StreamedImages:
        """Decode to the layout, to the type of the first image."""
        return StreamedImages(
            items,
            np.arange(len(items)),
            layout.shape,
            image.dtype,
            is_resizing=is_resizing,
            n_jobs=self.n_jobs,
            on_error=self.on_error,
        )


def _as_decoded(fitted: Fitted, images: StreamedImages) -> Fitted:
    """Choose the range of images that are decoded after fit."""
    if not images.is_bytes:
        return fitted
    chosen = range_of_bytes(fitted.pixel_range, was_counted=fitted.was_counted)
    return replace(fitted, pixel_range=chosen)


def _source(images: StreamedImages, pixels: Pixels | None, fitted: Fitted) -> Source:
    """Take the images from memory or a file, or decode them again and again."""
    items, chosen = images.items, fitted.pixel_range
    kept = np.setdiff1d(images.kept, list(images.failures))
    names = [items.name(index) for index in kept]
    skipped = [items.name(index) for index in sorted(images.failures)]
    return Source(
        replace(images, kept=kept, pixel_range=chosen)
        if pixels is None
        else Images(pixels, chosen),
        fitted,
        names if items.is_files else None,
        skipped,
        kept,
    )


def _check_number(n_images: int) -> None:
    """Refuse fewer than two images, as scikit-learn does."""
    if n_images < 2:
        raise ValueError(
            f"Found {n_images} sample(s) in X while a minimum of 2 is required to fit."
        )
