"""When the state of a training is written, and whose training a file belongs to."""

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

from sklearn_byol._warn import warn
from sklearn_byol.exceptions import CheckpointWarning
from sklearn_byol.training._checkpoint_files import (
    newest_checkpoint,
    prepare_folder,
    write_checkpoint,
)
from sklearn_byol.training._outcome import check_finite
from sklearn_byol.training._processes import Processes

__all__ = ["CheckpointWriter", "Checkpoints"]


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
