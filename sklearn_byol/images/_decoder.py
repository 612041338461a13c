"""Many images decoded, a few at a time, in threads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images._decoding import UNREADABLE, Shape, decode, reason
from sklearn_byol.images._items import Items

__all__ = ["Decoder", "unreadable"]

N_AT_ONCE = 64  # images that a thread decodes at a time
N_NAMED = 5  # unreadable images that an error names

Indices = Sequence[int] | NDArray[np.intp]


@dataclass
class Decoder:
    """Decodes images of one shape and type, some at a time, in threads.

    Attributes
    ----------
    items : Items
        The images.
    shape : tuple of int (n_channels, height, width)
        What they are decoded to.
    is_resizing : bool
        Whether images of another size are resized; they are unreadable otherwise.
    is_bytes : bool
        Whether pixels are uint8; they are float32 otherwise.
    n_jobs : int or None
        Threads, as joblib counts them. Pillow decodes outside Python's lock.
    on_error : {"raise", "skip"}
        What happens to images that cannot be decoded.
    failures : dict of int to str
        Why an image could not be decoded, by its index.
    """

    items: Items
    shape: Shape
    is_resizing: bool
    is_bytes: bool
    n_jobs: int | None = None
    on_error: str = "raise"
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def dtype(self) -> type:
        """The type of the pixels."""
        return np.uint8 if self.is_bytes else np.float32

    def chunks(self, indices: Indices) -> Iterator[NDArray[Any]]:
        """Decode images in their order, a chunk at a time.

        What cannot be decoded is left out and kept in `failures`, by index.
        """
        parts = [
            indices[start : start + N_AT_ONCE]
            for start in range(0, len(indices), N_AT_ONCE)
        ]
        parallel = Parallel(self.n_jobs, "threading", return_as="generator")
        for pixels, failures in parallel(delayed(self._decode)(p) for p in parts):
            self.failures.update(failures)
            yield pixels

    def _decode(self, indices: Indices) -> tuple[NDArray[Any], dict[int, str]]:
        """Decode a chunk in one thread."""
        pixels: NDArray[Any] = np.empty((len(indices), *self.shape), self.dtype)
        n_decoded, failures = 0, {}
        for index in indices:
            try:
                pixels[n_decoded] = self._decode_one(index)
                n_decoded += 1
            except UNREADABLE as error:
                failures[int(index)] = reason(error)
        return pixels[:n_decoded], failures

    def _decode_one(self, index: int) -> NDArray[Any]:
        """Decode one image and check that it is as the others are."""
        pixels = decode(self.items[index], self.shape if self.is_resizing else None)
        if pixels.shape != self.shape:
            raise ValueError(
                "its size is {}x{}x{}, the first one's {}x{}x{}; pass image_shape="
                "(height, width) to resize".format(*pixels.shape, *self.shape)
            )
        if (pixels.dtype == np.uint8) != self.is_bytes:
            kinds = ("uint8", "not uint8") if self.is_bytes else ("not uint8", "uint8")
            raise ValueError("the first one's pixels are {}, its are {}".format(*kinds))
        return pixels

    def check(self) -> None:
        """Raise one error for all images that could not be decoded, unless skipped."""
        if self.failures and self.on_error == "raise":
            raise unreadable(self.items, self.failures)

    def check_again(self, indices: Indices) -> None:
        """Raise one error for images that could be decoded once and now cannot."""
        failures = {i: self.failures[i] for i in indices if i in self.failures}
        if failures:
            raise unreadable(self.items, failures)


def unreadable(items: Items, failures: dict[int, str]) -> UnreadableImagesError:
    """Make one error that names the first few images and says how many there are."""
    named = [
        f"{items.name(index)} ({failures[index]})"
        for index in sorted(failures)[:N_NAMED]
    ]
    n_more = len(failures) - len(named)
    more = f", and {n_more} more" if n_more else ""
    return UnreadableImagesError(
        f"{len(failures)} of {len(items)} images cannot be read: "
        f"{'; '.join(named)}{more}. Remove them, or pass on_error='skip'."
    )
