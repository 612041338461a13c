"""What an estimator learns about its images when it reads them."""

import os
from typing import Any

from sklearn_byol._pool import UnlabeledPool
from sklearn_byol._warn import warn
from sklearn_byol.exceptions import PoolWarning
from sklearn_byol.images import (
    Fitted,
    Images,
    JoinedImages,
    Reader,
    Source,
    StreamedImages,
)

__all__ = ["AllImages", "ReadsImages"]

AllImages = Images | StreamedImages | JoinedImages


class ReadsImages:
    """Reads X by the parameters of the estimator and keeps what later X must be like.

    Sets `image_shape_`, `pixel_range_`, `n_features_in_`, `skipped_`, and `files_`
    where images are files.
    """

    image_shape: tuple[int, ...] | None
    n_jobs: int | None
    cache: str | os.PathLike[str] | None
    on_error: str
    _fitted: Fitted

    def _reader(self) -> Reader:
        """Take the parameters."""
        return Reader(self, self.image_shape, self.n_jobs, self.cache, self.on_error)

    def _read(self, X: Any, X_unlabeled: Any, *, goes_on: bool) -> AllImages:
        """Read the images of fit and the pool, like those before if fit goes on."""
        reader = self._reader()
        source = reader.next(X, self._fitted) if goes_on else reader.first(X)
        images: AllImages = source.images
        skipped = source.skipped
        if X_unlabeled is not None:
            pool = self._read_pool(X_unlabeled, source)
            images = JoinedImages([source.images, pool.images])
            skipped = source.skipped + pool.skipped
        if source.files is not None:
            self.files_ = source.files
        elif hasattr(self, "files_"):
            del self.files_
        if not goes_on:
            self._fitted = source.fitted
            self.n_features_in_ = source.fitted.layout.n_values
            self.image_shape_ = source.fitted.layout.shape
            self.pixel_range_ = source.fitted.pixel_range
        self.skipped_ = skipped
        return images

    def _read_pool(self, X_unlabeled: Any, source: Source) -> Source:
        """Read the pool, as X is read."""
        is_wrapped = isinstance(X_unlabeled, UnlabeledPool)
        given = X_unlabeled.X if is_wrapped else X_unlabeled
        try:
            pool = self._reader().more(given, source.fitted)
        except (ValueError, TypeError) as error:
            error.add_note("This is about X_unlabeled, which is read as X is.")
            raise
        if pool.n_given == source.n_given and not is_wrapped:
            _warn_of_equal_length(pool.n_given)
        return pool


def _warn_of_equal_length(n_images: int) -> None:
    """Warn of a pool that may have been cut along with X."""
    warn(
        f"X_unlabeled has {n_images} images, as many as X: if this is a fold of "
        "cross-validation, the pool has been cut like X. UnlabeledPool(X_unlabeled) "
        "keeps it whole, and silences this warning.",
        PoolWarning,
    )
