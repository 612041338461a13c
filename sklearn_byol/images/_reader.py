"""From whatever a user passes as X to images that training and transform can take."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images._arrays import as_array
from sklearn_byol.images._collections import Items, as_items
from sklearn_byol.images._decode import (
    UNREADABLE,
    Decoder,
    decode,
    reason,
    target_shape,
    unreadable,
)
from sklearn_byol.images._layout import Layout, check_image_shape, fold, layout_of
from sklearn_byol.images._pixel_range import (
    check_extremes,
    check_pixel_range,
    pixel_range,
    range_between,
    range_of_bytes,
)
from sklearn_byol.images._store import Images, Loaded, StreamedImages, load

__all__ = ["Fitted", "Reader", "Source"]

Range = tuple[float, float]


@dataclass(frozen=True)
class Fitted:
    """What later images are compared with.

    Attributes
    ----------
    layout : Layout
        The shape of the images of fit.
    pixel_range : (float, float)
        The values that became 0 and 1.
    was_counted : bool
        Whether pixels were integers.
    """

    layout: Layout
    pixel_range: Range
    was_counted: bool


@dataclass(frozen=True)
class Source:
    """Images, and what is known of where they come from.

    Attributes
    ----------
    images : Images or StreamedImages
        The images.
    fitted : Fitted
        What others are compared with.
    files : list of str or None
        Paths of the images, where they are files.
    skipped : list of str
        Names of the images that could not be decoded.
    kept : ndarray of int or None
        Which of the images given could be decoded; None where all could.
    """

    images: Images | StreamedImages
    fitted: Fitted
    files: list[str] | None = None
    skipped: list[str] = field(default_factory=list)
    kept: NDArray[np.intp] | None = None

    @property
    def n_given(self) -> int:
        """Count the images, with those that could not be decoded."""
        return len(self.images) + len(self.skipped)


@dataclass(frozen=True)
class Reader:
    """How images are read: the parameters of `BYOLTransformer` of the same names."""

    estimator: BaseEstimator
    image_shape: tuple[int, ...] | None
    n_jobs: int | None
    cache: str | os.PathLike[str] | None
    on_error: str

    def first(self, X: Any) -> Source:
        """Read the images that say what others have to be like."""
        check_image_shape(self.image_shape)
        items = as_items(X, self.image_shape)
        if items is None:
            array = as_array(self.estimator, X, reset=True, min_samples=2)
            layout = layout_of(array, self.image_shape)
            chosen = pixel_range(array)
            fitted = Fitted(layout, chosen, was_counted=array.dtype.kind in "iub")
            images = Images(fold(array, layout), chosen)
            return Source(images, fitted)
        _check_number(len(items))
        image = self._first_image(items)
        shape = target_shape(image, self.image_shape)
        layout = Layout(*shape, is_channels_last=True)
        decoder = self._decoder(
            items, layout, image, resizes=self.image_shape is not None
        )
        loaded = load(decoder, self.cache)
        chosen = range_between(loaded.low, loaded.high, is_bytes=decoder.is_bytes)
        source = _source(decoder, loaded, Fitted(layout, chosen, decoder.is_bytes))
        _check_number(len(source.images))
        return source

    def more(
        self, X: Any, fitted: Fitted, places: NDArray[np.intp] | None = None
    ) -> Source:
        """Read further images for training, of the same shape, all or some of X."""
        items = as_items(X, fitted.layout.shape)
        if items is None:
            images = self._array(X, fitted)
            return Source(images if places is None else images.take(places), fitted)
        if places is not None:
            items = items.take(places.tolist())
        image = self._first_image(items)
        decoder = self._decoder(items, fitted.layout, image, resizes=True)
        chosen = _range_of(decoder, fitted)
        loaded = load(decoder, self.cache)
        if decoder.is_bytes or loaded.pixels is None:
            check_extremes(loaded.low, loaded.high, chosen)
        else:
            check_pixel_range(loaded.pixels, chosen)
        return _source(decoder, loaded, replace(fitted, pixel_range=chosen))

    def next(self, X: Any, fitted: Fitted) -> Source:
        """Read images to train on further, of the same shape; two or more."""
        source = self.more(X, fitted)
        _check_number(len(source.images))
        return source

    def stream(self, X: Any, fitted: Fitted) -> Images | StreamedImages:
        """Read images of the same shape once, a chunk at a time."""
        items = as_items(X, fitted.layout.shape)
        if items is None:
            return self._array(X, fitted)
        if not len(items):
            raise ValueError("Found array with 0 sample(s): X holds no images.")
        try:
            image = self._first_image(items)
        except UnreadableImagesError:
            if self.on_error == "raise":
                raise
            image = np.zeros(fitted.layout.shape, dtype=np.uint8)
        decoder = self._decoder(items, fitted.layout, image, resizes=True)
        chosen = _range_of(decoder, fitted)
        return StreamedImages(decoder, np.arange(len(items)), chosen)

    def readable(self, X: Any, chosen: NDArray[np.intp]) -> NDArray[np.intp]:
        """Find which of the images chosen can be decoded: places in `chosen`."""
        items = as_items(X, self.image_shape)
        if items is None:
            return np.arange(len(chosen))
        return np.array([n for n, i in enumerate(chosen) if _decodes(items, i)], int)

    def _array(self, X: Any, fitted: Fitted) -> Images:
        """Compare an array with what was fitted."""
        array = as_array(self.estimator, X, reset=False, min_samples=1)
        pixels = fold(array, fitted.layout)
        check_pixel_range(array, fitted.pixel_range)
        return Images(pixels, fitted.pixel_range)

    def _first_image(self, items: Items) -> NDArray[Any]:
        """Decode the first image that can be, as it is; one error if none can."""
        if not len(items):
            raise ValueError("X holds no images.")
        failures = {}
        for index in range(len(items)):
            try:
                return decode(items[index], None)
            except UNREADABLE as error:
                failures[index] = reason(error)
        raise unreadable(items, failures)

    def _decoder(
        self, items: Items, layout: Layout, image: NDArray[Any], *, resizes: bool
    ) -> Decoder:
        """Decode to the layout, to the type of the first image."""
        return Decoder(
            items,
            layout.shape,
            is_resizing=resizes,
            is_bytes=image.dtype == np.uint8,
            n_jobs=self.n_jobs,
            on_error=self.on_error,
        )


def _decodes(items: Items, index: int) -> bool:
    """Tell whether an image can be decoded."""
    try:
        decode(items[index], None)
    except UNREADABLE:
        return False
    return True


def _range_of(decoder: Decoder, fitted: Fitted) -> Range:
    """Choose the range of images that are decoded after fit."""
    if not decoder.is_bytes:
        return fitted.pixel_range
    return range_of_bytes(fitted.pixel_range, was_counted=fitted.was_counted)


def _source(decoder: Decoder, loaded: Loaded, fitted: Fitted) -> Source:
    """Take the images from memory or a file, or decode them again and again."""
    items = decoder.items
    images = (
        StreamedImages(decoder, loaded.kept, fitted.pixel_range)
        if loaded.pixels is None
        else Images(loaded.pixels, fitted.pixel_range)
    )
    names = [items.name(index) for index in loaded.kept]
    skipped = [items.name(index) for index in sorted(decoder.failures)]
    files = names if items.is_files else None
    return Source(images, fitted, files, skipped, loaded.kept)


def _check_number(n_images: int) -> None:
    """Refuse fewer than two images, as scikit-learn does."""
    if n_images < 2:
        raise ValueError(
            f"Found {n_images} sample(s) in X while a minimum of 2 is required to fit."
        )
