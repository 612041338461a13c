"""Many images to one array: in memory, in a file, or decoded as they are asked for."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from sklearn_byol._writing import open_new, part_of, write_whole
from sklearn_byol.images._decoder import Decoder

__all__ = ["Loaded", "load"]

MEMORY_SHARE = 0.5  # of what is free: decoded images that take more are not kept there
CACHE_VERSION = 2  # of what `decode` makes of a file, and of the notes


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
        if not os.fspath(cache) or "\0" in os.fspath(cache):
            raise ValueError(f"cache must be None or name a folder. Got {cache!r}.")
        return _load_cached(decoder, Path(cache).expanduser(), shape)
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
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not decoder.items.is_files:
            with tempfile.TemporaryFile(dir=folder) as file:  # goes when its map goes
                _reserve(file.fileno(), shape, decoder.dtype)
                return _fill(decoder, np.memmap(file, decoder.dtype, "r+", shape=shape))
        path = folder / f"byol-{_fingerprint(decoder)}.npy"
        loaded = _found(decoder, path)
        if loaded is None:
            _write_cache(decoder, path, shape)
            loaded = _found(decoder, path)
        if loaded is None:
            raise OSError(f"{path} went while it was read")
        return loaded
    except OSError as error:
        raise ValueError(
            f"cache={str(folder)!r} must be a folder that can be written, with room "
            f"for the decoded images: {error}."
        ) from error
    finally:
        if is_new and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def _reserve(file: int, shape: tuple[int, ...], dtype: type, offset: int = 0) -> None:
    """Take the room of an array on the disk: a map of a full disk ends the process."""
    n_bytes = offset + int(np.prod(shape)) * np.dtype(dtype).itemsize
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, n_bytes)
    else:
        os.truncate(file, n_bytes)


def _found(decoder: Decoder, path: Path) -> Loaded | None:
    """Read what an earlier fit has decoded; None where it is not there, or damaged."""
    notes = path.with_suffix(".json")
    try:
        if not (_is_plain(path) and _is_plain(notes)):
            return None
        found = json.loads(notes.read_text())
        failures = {int(index): str(text) for index, text in found["failures"].items()}
        kept = np.setdiff1d(np.arange(len(decoder.items)), list(failures))
        pixels = np.load(path, "r", allow_pickle=False)
        shape, dtype = (len(decoder.items), *decoder.shape), np.dtype(decoder.dtype)
        low, high = float(found["low"]), float(found["high"])
        if pixels.shape != shape or pixels.dtype != dtype or not low <= high:
            return None
        if not set(failures) <= set(range(len(decoder.items))):
            return None
        loaded = Loaded(pixels[: len(kept)], kept, low, high)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    decoder.failures = failures
    decoder.check()
    return loaded


def _is_plain(path: Path) -> bool:
    """Tell files from links, pipes and what is not there."""
    return not path.is_symlink() and path.is_file()


def _write_cache(decoder: Decoder, path: Path, shape: tuple[int, ...]) -> None:
    """Decode into a file under another name, so that a broken write leaves no cache.

    Two processes that write the same at once replace each other's files whole.
    """
    part = part_of(path)
    try:
        os.close(open_new(part))
        pixels = np.lib.format.open_memmap(part, "w+", decoder.dtype, shape)
        with part.open("r+b") as file:
            _reserve(file.fileno(), shape, decoder.dtype, pixels.offset)
        loaded = _fill(decoder, pixels)
        pixels.flush()
        del pixels, loaded.pixels  # files that are mapped cannot be renamed everywhere
        found = {"failures": decoder.failures, "low": loaded.low, "high": loaded.high}
        write_whole(path.with_suffix(".json"), [json.dumps(found).encode()])
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
