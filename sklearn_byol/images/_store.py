"""Images of one shape: in memory, in a file, or decoded as they are asked for."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sklearn_byol._files import open_new, part_of, write_whole
from sklearn_byol.images._decode import Decoder
from sklearn_byol.images._pixel_range import check_pixel_range

__all__ = [
    "Images",
    "JoinedImages",
    "Loaded",
    "StreamedImages",
    "channel_statistics",
    "digest",
    "load",
]

N_FOR_STATISTICS = 4096  # images, evenly spaced: enough for a mean to three digits
N_IN_DOUBLE = 64  # images that statistics take at a time
N_AT_ONCE = 256  # images that transform takes at a time, at most
PIXELS_AT_ONCE = 2**22  # pixels that transform takes at a time, about


class Images(Dataset[Tensor]):
    """An array of images, left as it is and converted batch by batch.

    Parameters
    ----------
    pixels : ndarray of shape (n_images, n_channels, height, width)
        Images of any real dtype; a view of the user's array.
    pixel_range : (float, float)
        The values that become 0 and 1.
    """

    is_streamed = False

    def __init__(self, pixels: NDArray[Any], pixel_range: tuple[float, float]) -> None:
        self.pixels = pixels
        self.pixel_range = pixel_range
        self._resident: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_channels, height, width)."""
        n_channels, height, width = self.pixels.shape[1:]
        return n_channels, height, width

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def __getitem__(self, index: Any) -> Tensor:
        """Return images (n, n_channels, height, width) in [0, 1] as float32.

        The index is a slice or an array of indices; what it picks is copied, so the
        user's array is never written to.
        """
        if self._resident is not None:
            if isinstance(index, np.ndarray):
                place = self._resident.device
                index = torch.from_numpy(index).to(place, non_blocking=True)
            return _scaled(self._resident[index], self.pixel_range)
        # In C order, so that rows and images of the same pixels give the same bits.
        picked = self.pixels[index].astype(np.float32, order="C")
        return _scaled(torch.from_numpy(picked), self.pixel_range, is_copy=True)

    def take(self, chosen: NDArray[np.intp]) -> "Images":
        """Copy some of the images; all of them are not copied."""
        if len(chosen) == len(self):
            return self
        return Images(self.pixels[chosen], self.pixel_range)

    def to(self, device: torch.device) -> "Images":
        """Keep the images on a CUDA GPU if they take less than half of its free memory.

        Else batches are made for it one ahead, while it computes.
        """
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.pixels.nbytes < free / 2:
                self.keep_on(device)
            self.is_streamed = self._resident is None
        return self

    def keep_on(self, device: torch.device) -> None:
        """Copy all images to a device; bytes stay bytes."""
        dtype = np.uint8 if self.pixels.dtype == np.uint8 else np.float32
        self._resident = torch.from_numpy(self.pixels.astype(dtype)).to(device)

    def batches(self) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through all images in order: their indices, and the images."""
        for chunk in chunks_of(len(self), self.shape):
            yield np.arange(chunk.start, chunk.stop), self[chunk]


class StreamedImages(Dataset[Tensor]):
    """Images that are decoded whenever they are asked for.

    Parameters
    ----------
    decoder : Decoder
        What decodes them.
    kept : ndarray of int
        Indices of the images that can be decoded.
    pixel_range : (float, float)
        The values that become 0 and 1.
    """

    is_streamed = True

    def __init__(
        self,
        decoder: Decoder,
        kept: NDArray[np.intp],
        pixel_range: tuple[float, float],
    ) -> None:
        self.decoder = decoder
        self.kept = kept
        self.pixel_range = pixel_range
        self.shape = decoder.shape

    def __len__(self) -> int:
        """Count the images that can be decoded."""
        return len(self.kept)

    def __getitem__(self, index: Any) -> Tensor:
        """Return images (n, n_channels, height, width) in [0, 1] as float32."""
        pixels = np.concatenate(list(self.decoder.chunks(self.kept[index])))
        self.decoder.check_again(self.kept[index])
        return self._as_batch(pixels)

    def to(self, device: torch.device) -> "StreamedImages":
        """Stay where the images come from."""
        return self

    def batches(self) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through the images in order: indices of those that can be decoded.

        Numbers other than bytes must be on the scale of fit. After the first image that
        cannot be decoded, unless it is to be skipped, the others are only looked
        through, so that one error names them all.
        """
        failures = self.decoder.failures
        for chunk in chunks_of(len(self.kept), self.shape):
            indices = self.kept[chunk]
            pixels = np.concatenate(list(self.decoder.chunks(indices)))
            if not self.decoder.is_bytes and len(pixels):
                check_pixel_range(pixels, self.pixel_range)
            if not failures or self.decoder.on_error == "skip":
                decoded = np.array([i for i in indices if i not in failures], int)
                yield decoded, self._as_batch(pixels)
        self.decoder.check()

    def _as_batch(self, pixels: NDArray[Any]) -> Tensor:
        """Scale a copy to [0, 1]."""
        tensor = torch.from_numpy(pixels.astype(np.float32))
        return _scaled(tensor, self.pixel_range, is_copy=True)


class JoinedImages(Dataset[Tensor]):
    """Images of one shape from several sources, one source after another.

    Parameters
    ----------
    parts : sequence of Images or StreamedImages
        The sources.
    """

    def __init__(self, parts: Sequence[Images | StreamedImages]) -> None:
        self.parts = list(parts)
        self.shape = self.parts[0].shape
        self.is_streamed = any(part.is_streamed for part in self.parts)
        self.ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        """Count the images of all sources."""
        return int(self.ends[-1])

    def __getitem__(self, index: NDArray[np.intp]) -> Tensor:
        """Return images (n, n_channels, height, width); indices must be sorted."""
        cuts = np.searchsorted(index, self.ends)
        starts, batches, start = np.r_[0, self.ends], [], 0
        for part, offset, cut in zip(self.parts, starts, cuts, strict=False):
            if cut > start:
                batches.append(part[index[start:cut] - offset])
            start = cut
        return torch.cat([batch.to(batches[0].device) for batch in batches])

    def to(self, device: torch.device) -> "JoinedImages":
        """Keep each source on a GPU if there is room for it."""
        return JoinedImages([part.to(device) for part in self.parts])


def _scaled(
    pixels: Tensor, pixel_range: tuple[float, float], *, is_copy: bool = False
) -> Tensor:
    """Scale a copy of pixels to [0, 1]."""
    low, high = pixel_range
    batch = pixels.to(torch.float32, copy=not is_copy)
    return batch.sub_(low).div_(high - low)


def chunks_of(n_images: int, shape: tuple[int, int, int]) -> Iterator[slice]:
    """Cut a number of images into chunks that depend on their size alone."""
    _, height, width = shape
    n = max(1, min(N_AT_ONCE, PIXELS_AT_ONCE // (height * width)))
    for start in range(0, n_images, n):
        yield slice(start, min(start + n, n_images))


def channel_statistics(
    images: Images | StreamedImages | JoinedImages,
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, over up to 4,096 images.

    Parameters
    ----------
    images : Images, StreamedImages or JoinedImages
        The images of fit.

    Returns
    -------
    mean, std : list of float of length n_channels
        Statistics of images in [0, 1].
    """
    indices = np.arange(0, len(images), -(-len(images) // N_FOR_STATISTICS))
    n_pixels = 0
    total = squares = torch.zeros(images.shape[0], dtype=torch.float64)
    for chunk in np.array_split(indices, -(-len(indices) // N_IN_DOUBLE)):
        batch = images[chunk].double()
        n_pixels += batch[:, 0].numel()
        total = total + batch.sum(dim=(0, 2, 3))
        squares = squares + batch.square().sum(dim=(0, 2, 3))
    mean = total / n_pixels
    variance = squares / n_pixels - mean**2
    return mean.tolist(), variance.clamp_min(0).sqrt().tolist()


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


N_STREAMED = 256  # images that are decoded for it, evenly spaced


def digest(images: Images | StreamedImages | JoinedImages) -> str:
    """Return 16 hexadecimal digits that other images do not have.

    Of images that are decoded whenever they are asked for, the names and the pixels of
    256 are looked at; of others all pixels are.

    Parameters
    ----------
    images : Images, StreamedImages or JoinedImages
        The images of fit.

    Returns
    -------
    str
        The digits.
    """
    found = hashlib.sha256(repr((len(images), images.shape)).encode())
    if isinstance(images, JoinedImages):
        for part in images.parts:
            found.update(digest(part).encode())
    elif isinstance(images, StreamedImages):
        items = images.decoder.items
        found.update("\n".join(items.name(index) for index in images.kept).encode())
        step = -(-len(images) // N_STREAMED)
        chosen = np.arange(0, len(images), step)
        found.update(_bytes(images[chosen].numpy()))
    else:
        found.update(repr((images.pixels.dtype.str, images.pixel_range)).encode())
        for chunk in chunks_of(len(images), images.shape):
            found.update(_bytes(images.pixels[chunk]))
    return found.hexdigest()[:16]


def _bytes(pixels: Any) -> Any:
    """View pixels as bytes, in C order."""
    return np.ascontiguousarray(pixels).view(np.uint8)
