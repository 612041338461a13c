"""From whatever a user passes as X to images that training and transform can take."""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images._decoding import UNREADABLE, decode, target_shape
from sklearn_byol.images._images import Images, StreamedImages
from sklearn_byol.images._items import Items, as_items
from sklearn_byol.images._layout import Layout, check_image_shape, fold, layout_of
from sklearn_byol.images._loading import Decoder, load, unreadable
from sklearn_byol.images._pixels import (
    check_pixel_range,
    pixel_range,
    range_between,
    range_of_decoded,
)
from sklearn_byol.images._reading import as_array

__all__ = ["Reader", "Source"]

Range = tuple[float, float]


@dataclass(frozen=True)
class Source:
    """Images, and what is known of where they come from.

    Attributes
    ----------
    images : Images or StreamedImages
        The images.
    layout : Layout
        Their shape.
    files : list of str or None
        Paths of the images, where they are files.
    skipped : list of str
        Names of the images that could not be decoded.
    has_rows : bool
        Whether X has two axes, whose columns may have names.
    """

    images: Images | StreamedImages
    layout: Layout
    files: list[str] | None = None
    skipped: list[str] = field(default_factory=list)
    has_rows: bool = False


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
        items = as_items(X)
        if items is None:
            array = as_array(self.estimator, X, reset=True, min_samples=2)
            layout = layout_of(array, self.image_shape)
            images = Images(fold(array, layout), pixel_range(array))
            return Source(images, layout, has_rows=array.ndim == 2)
        check_image_shape(self.image_shape)
        _check_number(len(items))
        image = self._first_image(items)
        shape = target_shape(image, self.image_shape)
        layout = Layout(*shape, is_channels_last=True)
        resizes = self.image_shape is not None
        source = self._load(items, layout, image, resizes=resizes)
        _check_number(len(source.images))
        return source

    def more(self, X: Any, layout: Layout, fitted_range: Range) -> Source:
        """Read further images for training, of the same shape."""
        items = as_items(X)
        if items is None:
            return Source(self._array(X, layout, fitted_range), layout)
        image = self._first_image(items)
        return self._load(items, layout, image, fitted_range, resizes=True)

    def stream(
        self, X: Any, layout: Layout, fitted_range: Range
    ) -> Images | StreamedImages:
        """Read images of the same shape once, a chunk at a time."""
        items = as_items(X)
        if items is None:
            return self._array(X, layout, fitted_range)
        if not len(items):
            raise ValueError("Found array with 0 sample(s): X holds no images.")
        try:
            image = self._first_image(items)
        except UnreadableImagesError:
            if self.on_error == "raise":
                raise
            image = np.zeros(layout.shape, dtype=np.uint8)
        decoder = self._decoder(items, layout, image, resizes=True)
        chosen = range_of_decoded(image, fitted_range)
        return StreamedImages(decoder, np.arange(len(items)), chosen)

    def _array(self, X: Any, layout: Layout, fitted_range: Range) -> Images:
        """Compare an array with what was fitted."""
        array = as_array(self.estimator, X, reset=False, min_samples=1)
        pixels = fold(array, layout)
        check_pixel_range(array, fitted_range)
        return Images(pixels, fitted_range)

    def _first_image(self, items: Items) -> NDArray[Any]:
        """Decode the first image that can be, as it is; one error if none can."""
        failures = {}
        for index in range(len(items)):
            try:
                return decode(items[index], None)
            except UNREADABLE as error:
                failures[index] = str(error)
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

    def _load(
        self,
        items: Items,
        layout: Layout,
        image: NDArray[Any],
        fitted_range: Range | None = None,
        *,
        resizes: bool,
    ) -> Source:
        """Decode all images once."""
        decoder = self._decoder(items, layout, image, resizes=resizes)
        if fitted_range is not None:
            fitted_range = range_of_decoded(image, fitted_range)
        loaded = load(decoder, self.cache)
        if fitted_range is None:
            fitted_range = range_between(
                loaded.low, loaded.high, is_bytes=decoder.is_bytes
            )
        images = (
            StreamedImages(decoder, loaded.kept, fitted_range)
            if loaded.pixels is None
            else Images(loaded.pixels, fitted_range)
        )
        names = [items.name(index) for index in loaded.kept]
        skipped = [items.name(index) for index in sorted(decoder.failures)]
        return Source(images, layout, names if items.is_files else None, skipped)


def _check_number(n_images: int) -> None:
    """Refuse fewer than two images, as scikit-learn does."""
    if n_images < 2:
        raise ValueError(
            f"Found {n_images} sample(s) in X while a minimum of 2 is required to fit."
        )
