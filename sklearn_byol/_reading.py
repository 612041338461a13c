"""What an estimator learns about its images when it reads them."""

import os
import warnings
from typing import Any

from sklearn_byol._pool import UnlabeledPool
from sklearn_byol.exceptions import PoolWarning
from sklearn_byol.images import Images, JoinedImages, Layout, Reader, StreamedImages

__all__ = ["ReadsImages"]


class ReadsImages:
    """Reads X by the parameters of the estimator and keeps what later X must be like.

    Sets `image_shape_`, `pixel_range_`, `n_features_in_`, `skipped_`, and `files_`
    where images are files.
    """

    image_shape: tuple[int, ...] | None
    n_jobs: int | None
    cache: str | os.PathLike[str] | None
    on_error: str
    _layout: Layout

    def _reader(self) -> Reader:
        """Take the parameters."""
        return Reader(self, self.image_shape, self.n_jobs, self.cache, self.on_error)

    def _read(self, X: Any, X_unlabeled: Any) -> Images | StreamedImages | JoinedImages:
        """Read the images of fit and the pool."""
        source = self._reader().first(X)
        layout, images = source.layout, source.images
        if not source.has_rows:  # rows have said whether features have names
            self.__dict__.pop("feature_names_in_", None)
        if source.files is not None:
            self.files_ = source.files
        self._layout = layout
        self.n_features_in_ = layout.n_values
        self.image_shape_ = layout.shape
        self.pixel_range_ = images.pixel_range
        self.skipped_ = source.skipped
        if X_unlabeled is None:
            return images
        is_wrapped = isinstance(X_unlabeled, UnlabeledPool)
        pool = self._reader().more(
            X_unlabeled.X if is_wrapped else X_unlabeled, layout, images.pixel_range
        )
        if len(pool.images) == len(images) and not is_wrapped:
            _warn_of_equal_length(len(images))
        self.skipped_ = source.skipped + pool.skipped
        return JoinedImages([images, pool.images])


def _warn_of_equal_length(n_images: int) -> None:
    """Warn of a pool that may have been cut along with X."""
    warnings.warn(
        f"X_unlabeled has {n_images} images, as many as X: if this is a fold of "
        "cross-validation, the pool has been cut like X. UnlabeledPool(X_unlabeled) "
        "keeps it whole, and silences this warning.",
        PoolWarning,
        stacklevel=4,
    )
