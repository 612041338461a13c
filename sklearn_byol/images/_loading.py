"""Many images to one array: in memory, in a file, or decoded as they are asked for."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from joblib import Parallel, delayed
from numpy.typing import NDArray

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images._decoding import UNREADABLE, Shape, decode
from sklearn_byol.images._items import Items

__all__ = ["Decoder", "Loaded", "load", "unreadable"]

MEMORY_SHARE = 0.5  # of what is free: decoded images that take more are not kept there
N_AT_ONCE = 64  # images that a thread decodes at a time
N_NAMED = 5  # unreadable images that an error names
CACHE_VERSION = 1  # of what `decode` makes of a file

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
        parallel = Parallel(self.n_jobs, prefer="threads", return_as="generator")
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
                failures[int(index)] = str(error)
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
            raise ValueError(f"its pixels are {pixels.dtype}, the first one's are not")
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


@dataclass
class Loaded:
    """Decoded images.

    Attributes
    ----------
    pixels : ndarray of shape (n_images, n_channels, height, width) or None
        In memory or in a file; None where images are to be decoded again and again.
    kept : ndarray of int
        Which images could be decoded.
    low, high : float
        The smallest and the largest value.
    """

    pixels: NDArray[Any] | None
    kept: NDArray[np.intp]
    low: float
    high: float


def load(decoder: Decoder, cache: str | os.PathLike[str] | None) -> Loaded:
    """Decode all images once.

    Into a file where a folder for it is given; else into memory, if they take half of
    what is free at most; else nowhere, and they are decoded to see that they can be.

    Parameters
    ----------
    decoder : Decoder
        What to decode. Its failures are set.
    cache : path or None
        A folder. Images that come from files are found there again while path, size and
        time of change of each file are the same.

    Returns
    -------
    Loaded
        The images.

    Raises
    ------
    ValueError
        If the folder cannot be written, or images cannot be decoded.
    """
    shape = (len(decoder.items), *decoder.shape)
    if cache is not None:
        return _load_cached(decoder, Path(cache), shape)
    n_bytes = float(np.prod(shape)) * np.dtype(decoder.dtype).itemsize
    if n_bytes <= MEMORY_SHARE * psutil.virtual_memory().available:
        return _fill(decoder, np.empty(shape, dtype=decoder.dtype))
    return _fill(decoder, None)


def _fill(decoder: Decoder, pixels: NDArray[Any] | None) -> Loaded:
    """Decode into an array, if there is one, and note what was decoded."""
    n_kept, low, high = 0, np.inf, -np.inf
    for chunk in decoder.chunks(range(len(decoder.items))):
        if not len(chunk):
            continue
        if pixels is not None:
            pixels[n_kept : n_kept + len(chunk)] = chunk
        n_kept += len(chunk)
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
    decoder.check()
    kept = np.setdiff1d(np.arange(len(decoder.items)), list(decoder.failures))
    return Loaded(None if pixels is None else pixels[:n_kept], kept, low, high)


def _load_cached(decoder: Decoder, folder: Path, shape: tuple[int, ...]) -> Loaded:
    """Take images from a file that is there, or decode into one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"cache={str(folder)!r} must be a folder that can be written: {error}."
        ) from error
    if not decoder.items.is_files:
        with tempfile.TemporaryFile(dir=folder) as file:  # goes when its map goes
            return _fill(decoder, np.memmap(file, decoder.dtype, "w+", shape=shape))
    name = _fingerprint(decoder)
    path, notes = folder / f"byol-{name}.npy", folder / f"byol-{name}.json"
    if not (path.exists() and notes.exists()):
        _write_cache(decoder, path, notes, shape)
    found = json.loads(notes.read_text())
    decoder.failures = {int(index): text for index, text in found["failures"].items()}
    kept = np.setdiff1d(np.arange(len(decoder.items)), list(decoder.failures))
    pixels = np.load(path, mmap_mode="r")[: len(kept)]
    return Loaded(pixels, kept, found["low"], found["high"])


def _write_cache(
    decoder: Decoder, path: Path, notes: Path, shape: tuple[int, ...]
) -> None:
    """Write under another name first, so that a broken write leaves no cache."""
    handle, temporary = tempfile.mkstemp(suffix=".npy", dir=path.parent)
    os.close(handle)
    try:
        pixels = np.lib.format.open_memmap(temporary, "w+", decoder.dtype, shape)
        loaded = _fill(decoder, pixels)
        pixels.flush()
        del pixels, loaded.pixels
        found = {"failures": decoder.failures, "low": loaded.low, "high": loaded.high}
        notes.write_text(json.dumps(found))
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _fingerprint(decoder: Decoder) -> str:
    """Name the files as they are now, and what they are decoded to."""
    digest = hashlib.sha256(
        repr((CACHE_VERSION, decoder.shape, decoder.is_resizing)).encode()
    )
    for index in range(len(decoder.items)):
        name = decoder.items.name(index)
        try:
            status = Path(name).stat()
            stamp = f"{Path(name).resolve()} {status.st_size} {status.st_mtime_ns}"
        except OSError:
            stamp = name
        digest.update(f"{stamp}\n".encode())
    return digest.hexdigest()[:32]
