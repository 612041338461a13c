"""Files that hold the state of a training: whole, or not there at all."""

import contextlib
import hashlib
import io
import os
import pickle
import stat
import time
from pathlib import Path
from typing import Any

import torch

from sklearn_byol._warn import warn
from sklearn_byol._writing import open_new, part_of, write_whole
from sklearn_byol.exceptions import CheckpointWarning

__all__ = ["newest_checkpoint", "prepare_folder", "write_checkpoint"]

MAGIC = b"sklearn_byol checkpoint, format 1\n"
N_DIGEST = hashlib.sha256().digest_size
N_KEPT = 2
OLD = 3600  # seconds
# What became a link or a pipe since it was listed is not followed or waited for.
READ = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


def prepare_folder(folder: Path) -> None:
    """Make the folder, clear what a killed process left half written, try to write.

    Parameters
    ----------
    folder : Path
        Where checkpoints are kept.

    Raises
    ------
    ValueError
        If it cannot be made or written to, or is a link.
    """
    if os.path.islink(folder):  # noqa: PTH114  Path's raises for long names
        raise ValueError(
            f"checkpoint={str(folder)!r} is a link, and what others may have linked is "
            f"not written to. Pass the folder itself: {os.path.realpath(folder)!r}."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".step-*.part"):
            if left.lstat().st_mtime < time.time() - OLD:  # else another may write it
                left.unlink(missing_ok=True)
        trial = part_of(folder / "step-trial")
        os.close(open_new(trial))
        trial.unlink()
    except (OSError, ValueError) as error:  # of a null byte
        raise ValueError(
            f"checkpoint={str(folder)!r} must be a folder that can be written: {error}."
        ) from error


def write_checkpoint(folder: Path, step: int, content: dict[str, Any]) -> None:
    """Write a file that is there as a whole or not at all, and keep the last two.

    Parameters
    ----------
    folder : Path
        A folder that is there.
    step : int
        Steps of the training so far; names the file.
    content : dict
        Tensors, numbers and strings, in dicts and lists.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is still there.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getbuffer()
    path = folder / f"step-{step:012d}.checkpoint"
    write_whole(path, [MAGIC, hashlib.sha256(payload).digest(), payload])
    _sync(folder)
    for old in _files(folder)[N_KEPT:]:
        old.unlink(missing_ok=True)


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read the newest file that is whole.

    Parameters
    ----------
    folder : Path
        Where checkpoints are kept.

    Returns
    -------
    dict or None
        What was written, tensors on the CPU; None where there is no file.

    Raises
    ------
    ValueError
        If there are files and none is whole.

    Warns
    -----
    CheckpointWarning
        For each damaged file that is newer than the one taken.
    """
    files = _files(folder)
    for path in files:
        try:
            return _read(path)
        except _DamagedError as error:
            warn(
                f"{error} The one before it is taken, if there is one.",
                CheckpointWarning,
            )
    if files:
        raise ValueError(
            f"No file in checkpoint={str(folder)!r} is whole. Delete the folder, or "
            "choose another, to begin a new training."
        )
    return None


class _DamagedError(Exception):
    """A file is not what was written."""


def _read(path: Path) -> dict[str, Any]:
    """Read one file; nothing in it is unpickled but tensors and plain values."""
    try:
        with os.fdopen(os.open(path, READ), "rb") as file:
            raw = file.read()
    except OSError as error:
        raise _DamagedError(f"{path} cannot be read: {error}.") from error
    start = len(MAGIC) + N_DIGEST
    digest, payload = raw[len(MAGIC) : start], raw[start:]
    if not raw.startswith(MAGIC) or hashlib.sha256(payload).digest() != digest:
        raise _DamagedError(f"{path} is damaged, or was written by another version.")
    try:
        content: dict[str, Any] = torch.load(
            io.BytesIO(payload), map_location="cpu", weights_only=True
        )
    except pickle.UnpicklingError as error:
        raise _DamagedError(f"{path} holds more than tensors and numbers.") from error
    except Exception as error:
        raise _DamagedError(f"{path} is not what torch writes: {error}.") from error
    if not isinstance(content, dict):
        raise _DamagedError(f"{path} holds no state of a training.")
    return content


def _files(folder: Path) -> list[Path]:
    """List checkpoints, newest first; links, pipes and folders are none."""
    found = folder.glob("step-*.checkpoint")
    return sorted(
        (path for path in found if stat.S_ISREG(path.lstat().st_mode)), reverse=True
    )


def _sync(folder: Path) -> None:
    """Make a rename last, where folders can be synchronised (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
