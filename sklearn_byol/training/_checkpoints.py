"""The state of a training in files that are whole or not there."""

import contextlib
import hashlib
import io
import os
import pickle
import stat
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from skorch.callbacks import Callback

from sklearn_byol._files import open_new, part_of, write_whole
from sklearn_byol.exceptions import CheckpointWarning, warn
from sklearn_byol.training._history import check_finite
from sklearn_byol.training._processes import Processes

__all__ = [
    "CheckpointWriter",
    "Checkpoints",
    "newest_checkpoint",
    "prepare_folder",
    "write_checkpoint",
]

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


@dataclass(frozen=True)
class Checkpoints:
    """Where the state of a training is kept, how often, and what training it is.

    Attributes
    ----------
    folder : Path
        Where files are kept.
    minutes : float
        Least time between two writes.
    about : dict of str to str
        What the training depends on.
    """

    folder: Path
    minutes: float
    about: dict[str, str]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder from other trainings; the lock goes with this process.

        Raises
        ------
        ValueError
            If another training uses the folder, or it cannot be used.
        """
        prepare_folder(self.folder)
        mode = stat.S_IMODE(self.folder.stat().st_mode) & 0o666  # as the folder is
        lock = FileLock(self.folder / "lock", mode=mode)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(
                f"checkpoint={str(self.folder)!r} is used by another training that is "
                "still running. Wait for it, or choose another folder."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def newest(self) -> dict[str, Any] | None:
        """Return the state of the newest whole file, None if there is no file.

        Raises
        ------
        ValueError
            If the file belongs to another training, or none is whole.
        """
        content = newest_checkpoint(self.folder)
        if content is None:
            return None
        about, state = content.get("about"), content.get("state")
        if not isinstance(about, dict) or not isinstance(state, dict):
            raise self._strange("it lacks what is written there")
        if not isinstance(state.get("step"), int):
            raise self._strange("it lacks what is written there")
        differences = [
            f"{name} is {self.about.get(name)} here and {about.get(name)} there"
            for name in sorted({*self.about, *about})
            if self.about.get(name) != about.get(name)
        ]
        if differences:
            raise ValueError(
                f"checkpoint={str(self.folder)!r} holds another training: "
                f"{'; '.join(differences)}. Choose another folder, or go back to what "
                "it was made with."
            )
        return dict(state)

    def restore(self, training: Any, state: dict[str, Any]) -> None:
        """Let a training go on from a state of a file.

        Raises
        ------
        ValueError
            If the state is not that of such a training, or holds what is no number.
        MemoryError, torch.OutOfMemoryError
            If there is no room for it.
        """
        try:
            training.load(state)
            check_finite(training.encoder)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise self._strange(f"{type(error).__name__}: {error}") from error

    def _strange(self, reason: str) -> ValueError:
        """Say that a file is whole and still no state of this training."""
        return ValueError(
            f"checkpoint={str(self.folder)!r} holds a file that is not one of this "
            f"training ({reason}). Delete the folder, or choose another, to begin anew."
        )


class CheckpointWriter(Callback):
    """Writes the state when enough time has passed since it was written.

    A file that cannot be written is a warning, once; training goes on.

    Parameters
    ----------
    state : method
        Returns the state; its object is not kept alive.
    checkpoints : Checkpoints
        Where and how often.
    processes : OneProcess or ManyProcesses
        Who trains. The state is that of all, the first process writes it, and its clock
        counts; many look at it every 100 steps and after each epoch.
    """

    def __init__(
        self,
        state: Callable[[], dict[str, Any]],
        checkpoints: Checkpoints,
        processes: Processes,
    ) -> None:
        self.state = weakref.WeakMethod(state)
        self.checkpoints = checkpoints
        self.processes = processes

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Start the clock."""
        self.written_ = time.monotonic()
        self.is_failing_ = False

    def on_batch_end(self, net: Any, **kw: Any) -> None:
        """Write if it is time."""
        if self.processes.is_meeting(net.step_):
            self.write_if_due()

    def write_if_due(self) -> None:
        """Write if it is time, as it is after an epoch that all callbacks have seen."""
        seconds = time.monotonic() - self.written_
        if self.processes.first(seconds >= 60 * self.checkpoints.minutes):
            self.write()

    def write(self) -> None:
        """Write the state now."""
        method = self.state()
        if method is None:
            raise RuntimeError("The training is gone.")
        state = method()
        self.written_ = time.monotonic()
        if self.processes.is_first:
            self._write(state)

    def _write(self, state: dict[str, Any]) -> None:
        """Write a state, or warn once."""
        content = {"about": self.checkpoints.about, "state": state}
        try:
            write_checkpoint(self.checkpoints.folder, state["step"], content)
            self.is_failing_ = False
        except OSError as error:
            if not self.is_failing_:
                warn(
                    f"A checkpoint could not be written: {error}. Training goes on, "
                    "and the last one that was written is still there.",
                    CheckpointWarning,
                )
            self.is_failing_ = True
        self.written_ = time.monotonic()
