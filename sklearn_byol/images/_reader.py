"""From whatever a user passes as X to images that training and transform can take."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_byol.exceptions import ImagesWarning, UnreadableImagesError, warn
from sklearn_byol.images._array_images import Decoded, kept_type
from sklearn_byol.images._arrays import (
    as_array,
    check_column,
    finite_images,
    learn_column,
)
from sklearn_byol.images._cache import decode_once
from sklearn_byol.images._containers import Part
from sklearn_byol.images._datasets import Items, as_items, column_name
from sklearn_byol.images._decode import ARRAY_ENDING
from sklearn_byol.images._in_memory import Images, Indices, SkippingImages
from sklearn_byol.images._layout import (
    Layout,
    Pixels,
    Shape,
    checked_shape,
    fold,
    layout_of,
    shapes_told,
)
from sklearn_byol.images._learned_range import (
    check_stated,
    pixel_range,
    some_of,
    stated_range,
)
from sklearn_byol.images._pixel_range import Fitted, check_pixel_range
from sklearn_byol.images._streamed import OutvotedError, StreamedImages

MOST_BANDS = 16  # of a camera; what has more may be a file of many images
N_TRIED = 16  # images, for one of the depth of fit, or that fits one image_shape


@dataclass(frozen=True)
class Source:
    """Images, and what is known of where they come from.

    `kept` says which of those given could be decoded; `files` has their paths, if they
    are files; `skipped` the names of the others.
    """

    images: Part
    fitted: Fitted
    kept: Indices
    files: list[str] | None = None
    skipped: list[str] = field(default_factory=list)

    @property
    def n_given(self) -> int:
        """Count the images, with those that could not be decoded."""
        return len(self.images) + len(self.skipped)

    def take(self, chosen: Indices) -> tuple[Part, Indices]:
        """Take some of the images given, which ascend, without reading them again.

        Returns those that could be decoded, and which of `chosen` they are. Where all
        images are more than memory holds, some may still fit.
        """
        present = np.flatnonzero(np.isin(chosen, self.kept))
        images = self.images.take(np.searchsorted(self.kept, chosen[present]))
        if isinstance(images, StreamedImages) and len(images):
            # What could be decoded once has to be there still.
            pixels, *_ = decode_once(replace(images, on_error="raise"), None)
            images = images if pixels is None else Images(pixels, images.pixel_range)
        return images, present


@dataclass(frozen=True)
class Reader:
    """How images are read: the parameters of `BYOLTransformer` of the same names.

    After a fit those that are read have to be like those that were `fitted`.
    """

    estimator: BaseEstimator
    image_shape: tuple[int, ...] | None
    resize_mode: str
    pixel_range: Any
    n_jobs: int | None
    cache: str | os.PathLike[str] | None
    on_error: str
    fitted: Fitted | None = None

    def open(self, X: object) -> object:
        """Search X for its images; all that follows takes what is found in its place.

        A folder is walked here, and not again: what is found has a length.
        """
        fitted = self.fitted
        told = fitted.layout.shape if fitted else checked_shape(self.image_shape)
        items = as_items(X, told)
        if items is None or items is X:
            return X
        return replace(items, column=column_name(X))

    def read(self, X: object, places: Indices | None = None, least: int = 1) -> Source:
        """Read images for training: all of X, or those at some places."""
        items = self.open(X)
        if isinstance(items, Items):
            if self.fitted is None:
                learn_column(self.estimator, items.column)
            source = self._decoded(items if places is None else items.take(places))
        else:
            source = self._array(X, places)
        if len(source.images) < least:
            raise ValueError(
                f"Found {len(source.images)} sample(s) in X while a minimum of "
                f"{least} is required to fit."
            )
        return source

    def stream(self, X: object) -> Part:
        """Read images of the same shape once, a chunk at a time."""
        items = self.open(X)
        if isinstance(items, Items):
            if self.fitted is not None and self.fitted.is_items:
                check_column(self.estimator, items.column)
            return self._streamed(items)
        pixels, fitted, kept = self._folded(X)
        if len(kept) == len(pixels):
            return Images(pixels, fitted.pixel_range)
        return SkippingImages(pixels, fitted.pixel_range, kept)

    def _array(self, X: object, places: Indices | None = None) -> Source:
        """Fold an array into images, and learn what they are or compare them."""
        pixels, fitted, kept = self._folded(X)
        images, n_given = Images(pixels, fitted.pixel_range), len(pixels)
        if places is not None:
            n_given = len(places)
            kept = kept[np.isin(kept, places)]
        images = images.take(kept)
        if places is not None:
            kept = np.flatnonzero(np.isin(places, kept))
        skipped = np.setdiff1d(np.arange(n_given), kept)
        if places is not None:
            skipped = places[skipped]
        return Source(images, fitted, kept, skipped=[f"X[{n}]" for n in skipped])

    def _folded(self, X: object) -> tuple[Pixels, Fitted, Indices]:
        """Fold an array into images, and say which of them have only numbers."""
        fitted, skips = self.fitted, self.on_error == "skip"
        known = None if fitted is None else fitted.layout
        has_features = fitted is None or not fitted.is_items
        how = {"reset": known is None, "skips": skips, "has_features": has_features}
        array = as_array(self.estimator, X, layout=known, **how)
        finite = finite_images(array) if skips else None
        kept = np.arange(len(array)) if finite is None else finite
        seen = array if finite is None else array[finite]
        if fitted is None:
            layout = layout_of(array, self.image_shape)
            if not len(seen):
                raise UnreadableImagesError("No image of X has only numbers.")
            extremes = np.array([seen.min(), seen.max()])
            return (
                fold(array, layout),
                self._learned(layout, fold(seen, layout), extremes),
                kept,
            )
        if array.dtype == np.bool_:
            fitted = replace(fitted, pixel_range=fitted.range_of(array.dtype))
        if len(seen):
            folded = fold(seen, fitted.layout)
            check_pixel_range(folded, fitted, lambda place: f"X[{kept[place]}]")
        return fold(array, fitted.layout), fitted, kept

    def _decoded(self, items: Items) -> Source:
        """Decode images once, and learn what they are or compare them.

        They come from memory or a file then, or are decoded again and again.
        """
        fitted = self.fitted
        images = self._streamed(items)
        loaded = None
        while loaded is None:
            try:
                loaded = decode_once(images, self.cache)
            except OutvotedError as vote:
                images = images.of_kind(vote.kind)
        pixels, extremes, failures = loaded
        seen = _seen(images, pixels, extremes)
        if fitted is None:
            learned = self._learned(Layout(*images.shape, True), seen, extremes)
            fitted = replace(learned, is_items=True)
            _tell_of_many_channels(images)
        else:
            fitted = replace(fitted, pixel_range=images.pixel_range)
            check_pixel_range(seen, fitted)
        chosen = fitted.pixel_range
        kept = np.setdiff1d(np.arange(len(items)), list(failures))
        left = replace(images.take(kept), pixel_range=chosen, may_change=False)
        return Source(
            left if pixels is None else Images(pixels, chosen),
            fitted,
            kept,
            left.names if items.is_files else None,
            items.take(sorted(failures)).names,
        )

    def _learned(self, layout: Layout, pixels: Pixels, extremes: Pixels) -> Fitted:
        """Learn the range of values of images, unless it is stated."""
        if isinstance(self.pixel_range, str):
            chosen = pixel_range(pixels, extremes)
        else:
            chosen = stated_range(self.pixel_range, layout.n_channels)
            check_stated(chosen, extremes)
        dtype, seen = extremes.dtype, (float(extremes.min()), float(extremes.max()))
        return Fitted(layout, chosen, dtype.kind in "iub", dtype.str, seen)

    def _streamed(self, items: Items) -> StreamedImages:
        """Decode as those that were fitted, or as told; else as most images are."""
        fitted = self.fitted
        told = fitted.layout.shape if fitted else self._told(items)
        try:
            place, first = self._first(items, told)
        except UnreadableImagesError:
            if fitted is None or self.on_error == "raise":
                raise
            black = np.zeros(fitted.layout.shape, np.uint8)
            place, first = -1, Decoded(black, 1.0)  # all skipped
        dtype = first.pixels.dtype
        fitted = fitted and replace(fitted, pixel_range=fitted.range_of(dtype))
        return StreamedImages(
            **vars(items),
            shape=fitted.layout.shape if fitted else first.pixels.shape,
            dtype=dtype,
            fitted=fitted,
            may_change=fitted is None,
            pixel_range=fitted.pixel_range if fitted else (0.0, 1.0),
            told=told,
            mode=self.resize_mode,
            known={place: first},
            n_jobs=self.n_jobs,
            on_error=self.on_error,
        )

    def _first(self, items: Items, told: Shape | None) -> tuple[int, Decoded]:
        """Decode an image that others are like: like most, or of the depth of fit."""
        if self.fitted is None:
            return items.first(told, self.resize_mode, items.typical())
        first = items.first(told, self.resize_mode)
        found = first[1].pixels.dtype
        expected = kept_type(np.dtype(self.fitted.dtype or found))
        if found != expected and len(items) > 1:
            for index in some_of(len(items), N_TRIED).tolist():
                other = items.decode(index, told, self.resize_mode)
                if isinstance(other, Decoded) and other.pixels.dtype == expected:
                    return items.chosen[index], other
        return first

    def _told(self, items: Items) -> Shape | None:
        """Find what images are to be decoded to: the reading that fits the first."""
        readings = shapes_told(checked_shape(self.image_shape))
        if len(readings) == 1:
            return readings[0]
        for index in some_of(len(items), N_TRIED).tolist():
            found = [items.decode(index, shape, self.resize_mode) for shape in readings]
            fitting = [
                shape
                for shape, one in zip(readings, found, strict=True)
                if isinstance(one, Decoded)
            ]
            if len(fitting) == 1:
                return fitting[0]
        a, b, c = self.image_shape or ()
        raise ValueError(
            f"image_shape={self.image_shape!r} may be {a}x{b} pixels with {c} channels "
            f"or {b}x{c} pixels with {a} channels. Pass image_shape=({c}, {a}, {b}) "
            f"for the first or image_shape=({b}, {c}, {a}) for the second."
        )


def _tell_of_many_channels(images: StreamedImages) -> None:
    """Warn where what was read as one image may be an array of many.

    TIFF says what its planes are, or is asked.
    """
    n_channels, height, width = images.shape
    is_told = images.told is not None and images.told[0] != 0
    if not images.is_files or is_told or n_channels <= MOST_BANDS:
        return
    if images.take(np.arange(1)).names[0].lower().endswith(ARRAY_ENDING):
        warn(
            f"Each file is read as one image of {n_channels} channels, "
            f"{height}x{width} pixels. If it holds many images, pass them as one "
            "array: np.concatenate([np.load(path) for path in paths]). Else "
            f"silence this by image_shape=({height}, {width}, {n_channels}).",
            ImagesWarning,
        )


def _seen(images: StreamedImages, pixels: Pixels | None, extremes: Pixels) -> Pixels:
    """Return decoded images that tell of the range of all; of bytes extremes may do."""
    if pixels is not None and images.dtype != np.uint8:
        return pixels
    if images.dtype == np.uint8 and (images.fitted or extremes[1] > 16):
        return extremes.reshape(2, 1, 1, 1)
    return images.some() if pixels is None else pixels
