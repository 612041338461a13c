"""Images that are decoded once: into memory, or into a file that is found again."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from sklearn_byol._files import open_new, part_of, write_whole
from sklearn_byol.images._causes import Cause
from sklearn_byol.images._datasets import Failures
from sklearn_byol.images._layout import Pixels
from sklearn_byol.images._memory import available_memory
from sklearn_byol.images._streamed import StreamedImages

MEMORY_SHARE = 0.5  # of what is free: decoded images that take more are not kept there
CACHE_VERSION = 4  # of what `decode` makes of a file, and of the notes

# Pixels (n_images, n_channels, height, width) of the images that could be decoded, None
# where they are to be decoded again and again; their smallest and largest value, in an
# array; why the others could not be.
Loaded = tuple[Pixels | None, Pixels, Failures]


def decode_once(images: StreamedImages, cache: str | os.PathLike[str] | None) -> Loaded:
    """Decode all images once.

    Into a file where a folder for it is given, and images that come from files are
    found there again while path, size and time of change of each are the same; else
    into memory, if they take half of what is free at most; else nowhere, and they are
    decoded to see that they can be.
    """
    if cache is not None:
        if not os.fspath(cache) or "\0" in os.fspath(cache):
            raise ValueError(f"cache must be None or name a folder. Got {cache!r}.")
        return _load_cached(images, Path(cache).expanduser())
    fits = _n_bytes(images) <= MEMORY_SHARE * available_memory()
    if not fits:
        return None, *_decode(images, None)
    pixels = np.empty(_shape(images), images.dtype)
    extremes, failures = _decode(images, pixels.__setitem__)
    return pixels[: len(images) - len(failures)], extremes, failures


def _shape(images: StreamedImages) -> tuple[int, ...]:
    """(n_images, n_channels, height, width) of all images, if all can be decoded."""
    return len(images), *images.shape


def _n_bytes(images: StreamedImages) -> int:
    """Count the bytes of all images."""
    return int(np.prod(_shape(images))) * images.dtype.itemsize


def _decode(
    images: StreamedImages, keep: Callable[[int, Pixels], object] | None
) -> tuple[Pixels, Failures]:
    """Decode all images, hand on those that can be, by number; extremes and failures.

    Memory maps that are open keep Windows from deleting a file, and a map of a full
    disk ends the process: what is decoded into a file is written, not mapped.
    """
    failures: Failures = {}
    low, high = np.inf, -np.inf
    for number, image in enumerate(images.decoded(range(len(images)), failures)):
        if keep is not None:
            keep(number, image)
        low, high = min(low, float(image.min())), max(high, float(image.max()))
    images.check(failures)
    if len(failures) == len(images):
        raise images.unreadable(failures)
    return np.array([low, high], images.dtype), failures


def _load_cached(images: StreamedImages, folder: Path) -> Loaded:
    """Take images from a file that is there, or decode into one."""
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not images.is_files:
            with tempfile.TemporaryFile(dir=folder) as file:  # goes when its map goes
                extremes, failures = _write(images, file)
                shape = len(images) - len(failures), *images.shape
                pixels = np.memmap(file, images.dtype, "r+", shape=shape)
                return pixels, extremes, failures
        path = folder / f"byol-{_fingerprint(images)}.npy"
        return _found(images, path) or _written(images, path)
    except OSError as error:
        raise ValueError(
            f"cache={str(folder)!r} must be a folder that can be written, with room "
            f"for the decoded images: {error}."
        ) from error
    finally:
        if is_new and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def _write(images: StreamedImages, file: IO[bytes]) -> tuple[Pixels, Failures]:
    """Decode into a file, from where it is now on; extremes and failures.

    Its room is taken first, so that a disk without is told before images are decoded.
    """
    n_bytes = file.tell() + _n_bytes(images)
    file.truncate(n_bytes)  # which takes the room on Windows only
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)

    def keep(_: int, image: Pixels) -> None:
        file.write(np.ascontiguousarray(image).data)

    found = _decode(images, keep)
    file.flush()
    return found


def _found(images: StreamedImages, path: Path) -> Loaded | None:
    """Read what an earlier fit has decoded; None where it is not there, or damaged."""
    notes = path.with_suffix(".json")
    try:
        if any(file.is_symlink() or not file.is_file() for file in (path, notes)):
            return None
        found = json.loads(notes.read_text(encoding="utf-8"))
        failures = {
            int(index): Cause(str(words), str(remedy))
            for index, (words, remedy) in found["failures"].items()
        }
        ends = [float(found[end]) for end in ("low", "high")]
        extremes = np.array(ends, images.dtype)
        losses = {name: set(map(int, found[name])) for name in vars(images.losses)}
        pixels = np.load(path, "r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    is_same = pixels.shape == _shape(images) and pixels.dtype == images.dtype
    is_known = set(failures) <= set(range(len(images)))
    if not (is_same and is_known and extremes[0] <= extremes[1]):
        return None
    for name, places in losses.items():
        getattr(images.losses, name).update(places)
    images.check(failures)
    return pixels[: len(pixels) - len(failures)], extremes, failures


def _written(images: StreamedImages, path: Path) -> Loaded:
    """Decode into a file under another name, so that a broken write leaves no cache.

    Two processes that write the same at once replace each other's files whole.
    """
    part = part_of(path)
    try:
        with os.fdopen(open_new(part), "wb") as file:
            descr = np.lib.format.dtype_to_descr(images.dtype)
            header = {"descr": descr, "fortran_order": False, "shape": _shape(images)}
            np.lib.format.write_array_header_1_0(file, header)
            extremes, failures = _write(images, file)
            os.fsync(file.fileno())
        low, high = extremes.tolist()
        causes = {index: (cause, cause.remedy) for index, cause in failures.items()}
        notes = {"failures": causes, "low": low, "high": high}
        notes |= {name: sorted(places) for name, places in vars(images.losses).items()}
        # Windows does not replace a file that another process reads or maps.
        with suppress(PermissionError):
            write_whole(path.with_suffix(".json"), json.dumps(notes).encode())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    loaded = _found(images, path)
    if loaded is None:
        raise OSError(f"{path} may not be replaced, or went while it was read")
    return loaded


def _fingerprint(images: StreamedImages) -> str:
    """Name the files as they are now, and what they are decoded to."""
    how = images.shape, images.dtype.str, images.told, images.mode, images.within
    readers = [find_spec(name) is not None for name in ("tifffile", "imagecodecs")]
    about = CACHE_VERSION, Image.MAX_IMAGE_PIXELS, readers, *how
    found = hashlib.sha256(repr(about).encode())
    for name in images.names:
        try:
            status = Path(name).stat()
            stamp = f"{Path(name).resolve()} {status.st_size} {status.st_mtime_ns}"
        except OSError:
            stamp = name
        found.update(os.fsencode(f"{stamp}\n"))
    return found.hexdigest()[:32]
