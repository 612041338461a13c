"""The state of a training, and files of it that are whole or not there."""

import io
import os
import pickle
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, serialization

from sklearn_byol._files import open_new, part_of, write_whole
from sklearn_byol.exceptions import CheckpointWarning, warn
from sklearn_byol.training._callbacks import save_stopping
from sklearn_byol.training._device import global_state
from sklearn_byol.training._history import LOG, plain
from sklearn_byol.training._optimizers import load_optimizer

if TYPE_CHECKING:
    from sklearn_byol.training._training import Training

State = dict[str, Any]  # tensors, numbers and strings, in dicts and lists

FORMAT = 2  # of what a file holds
LENGTH = "max_epochs"
N_KEPT = 2
OLD = 3600  # seconds
# What became a link or a pipe since it was listed is not followed or waited for.
FLAGS = ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK")  # as far as the system has them
READ = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in FLAGS)


def state_of(training: "Training") -> State:
    """Return all that the rest of a training depends on, in all processes.

    Tensors are those that the training goes on with, not copies.
    """
    net, plan = training.net, training.plan
    if training.is_inside:
        training.global_state = global_state(plan.device)
    own = {
        "batches": training.batches.state(),
        "torch": training.global_state,
        "figures": training.figures.state(),
    }
    first, *others = plan.processes.every(own)
    return {
        **first,
        "others": others,
        "network": net.module_.state_dict(),
        "optimizer": net.optimizer_.state_dict(),
        "scaler": training.scaler.state_dict(),
        "step": net.step_,
        "momentum": net.momentum_,
        "history": [plain(row) for row in net.history if "train_loss" in row],
        "stopping": save_stopping(net.callbacks_),
        "start": training.start,
        "began": training.began,
        "is_over": training.is_over,
        "is_between": training.is_between,
    }


def go_back(training: "Training", state: State) -> None:
    """Go back to a state of a training with the same networks and optimizer.

    With another number of processes than it was made with, batches and learning rates
    are the same, but some images are shown in other views.
    """
    net, batches, rank = training.net, training.batches, training.plan.processes.rank
    net.module_.load_state_dict(state["network"])
    load_optimizer(net.optimizer_, state["optimizer"])
    if state.get("scaler"):  # which a training in another precision has not
        training.scaler.load_state_dict(state["scaler"])
    net.step_, net.momentum_ = state["step"], state["momentum"]
    owns = [state, *state["others"]]
    if rank < len(owns):
        batches.load(owns[rank]["batches"])
        training.global_state = owns[rank]["torch"]
    else:
        views = batches.view_generator.get_state()
        batches.load({**state["batches"], "views": views})
    training.figures.load(owns[min(rank, len(owns) - 1)]["figures"])
    net.history[:] = [{**row, "batches": []} for row in state["history"]]
    training.stopping = state["stopping"]
    training.start, training.is_over = state["start"], state["is_over"]
    training.began = state["began"] or training.began
    training.is_between = state.get("is_between", False)
    LOG.info("Going on after step %d, %d epochs", net.step_, len(net.history))


def as_arrays(state: State) -> State:
    """Put arrays in place of tensors, of whose memory they may be views."""
    return _mapped(state, Tensor, lambda tensor: tensor.detach().cpu().numpy())


def as_tensors(state: State) -> State:
    """Put tensors in place of arrays, copied: a memory map may be read-only."""
    return _mapped(state, np.ndarray, torch.tensor)


def copied(state: State) -> State:
    """Copy all tensors, to the CPU."""
    return _mapped(state, Tensor, lambda t: t.detach().to("cpu", copy=True))


def _mapped(tree: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """Apply a function to all values of a kind in nested dicts and lists."""
    if isinstance(tree, kind):
        return function(tree)
    if isinstance(tree, dict):
        return {key: _mapped(value, kind, function) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_mapped(value, kind, function) for value in tree]
    return tree


@dataclass
class Checkpoints:
    """Where the state of a training is kept, how often, and what training it is."""

    folder: Path
    minutes: float  # least time between two files
    about: dict[str, str]  # what the training depends on
    may_be_longer: bool = False  # than the one in the folder, or shorter
    written: float = field(default_factory=time.monotonic)
    is_failing: bool = False
    step: int = -1  # of the newest file

    @contextmanager
    def opened(self) -> Iterator[State | None]:
        """Keep the folder from other trainings, and give the newest state in it.

        The lock goes with this process.
        """
        _prepare(self.folder)
        # As the folder is, but for the user: Windows calls some folders read-only.
        mode = stat.S_IMODE(self.folder.stat().st_mode) & 0o666 | 0o600
        try:
            lock = FileLock(self.folder / "lock", timeout=0, mode=mode).acquire()
        except Timeout as error:
            raise ValueError(
                f"checkpoint={str(self.folder)!r} is used by another training that is "
                "still running. Wait for it, or choose another folder."
            ) from error
        with lock:
            yield self._newest()

    def _newest(self) -> State | None:
        """Return the state of the newest whole file, None if there is no file."""
        files = _files(self.folder)
        for path in files:
            try:
                return self._checked(_read(path))
            except _DamagedError as error:
                warn(
                    f"{error} The one before it is taken, if there is one.",
                    CheckpointWarning,
                )
        if files:
            raise ValueError(
                f"No file in checkpoint={str(self.folder)!r} is whole. Delete the "
                "folder, or choose another, to begin a new training."
            )
        return None

    def _checked(self, content: dict[str, Any]) -> State:
        """Return the state in a file, if it is one of this training."""
        match content:
            case {"about": dict(about), "state": {"step": int(step)} as state}:
                self.step = step
            case _:
                raise self.strange("it lacks what is written there")
        differing = {
            name
            for name in {*self.about, *about}
            if self.about.get(name) != about.get(name)
        }
        if differing - ({LENGTH} if self.may_be_longer else set()):
            raise self._another(about, sorted(differing))
        return state

    def _another(self, about: dict[str, str], differing: list[str]) -> ValueError:
        """Say that a file is of another training, and what to do."""
        differences = [
            f"{name} is {self.about.get(name)} here and {about.get(name)} there"
            for name in differing
        ]
        way_out = "Choose another folder, or go back to what it was made with."
        if differing == [LENGTH]:
            way_out = (
                "Pass warm_start=True to train it for longer, go back to what it was "
                "made with, or choose another folder."
            )
        return ValueError(
            f"checkpoint={str(self.folder)!r} holds another training: "
            f"{'; '.join(differences)}. {way_out}"
        )

    def strange(self, reason: str) -> ValueError:
        """Say that a file is whole and still no state of this training."""
        return ValueError(
            f"checkpoint={str(self.folder)!r} holds a file that is not one of this "
            f"training ({reason}). Delete the folder, or choose another, to begin anew."
        )

    def is_due(self) -> bool:
        """Tell whether enough time has passed since the state was written."""
        return time.monotonic() - self.written >= 60 * self.minutes

    def write(self, state: State) -> None:
        """Write a file and keep the last two; one that cannot be written is a warning.

        That is said once, and what was there before is still there.
        """
        buffer = io.BytesIO()
        content = {"format": FORMAT, "about": self.about, "state": state}
        with _sums():
            torch.save(content, buffer)
        path = self.folder / f"step-{state['step']:012d}.checkpoint"
        try:
            write_whole(path, buffer.getbuffer())
            self.step = state["step"]
            self.is_failing = False
        except OSError as error:
            if not self.is_failing:
                warn(
                    f"A checkpoint could not be written: {error}. Training continues, "
                    "and the last one that was written is still there.",
                    CheckpointWarning,
                )
            self.is_failing = True
        self._tidy()
        self.written = time.monotonic()

    def _tidy(self) -> None:
        """Make what was written last, and delete old files as far as is allowed."""
        with suppress(OSError):
            _sync(self.folder)
            for old in _files(self.folder)[N_KEPT:]:
                old.unlink(missing_ok=True)


@contextmanager
def _sums() -> Iterator[None]:
    """Have torch write a sum of each part, by which damage is seen."""
    if not hasattr(serialization, "set_crc32_options"):  # before torch 2.6
        yield
        return
    before = serialization.get_crc32_options()
    serialization.set_crc32_options(compute_crc32=True)
    try:
        yield
    finally:
        serialization.set_crc32_options(compute_crc32=before)


def _prepare(folder: Path) -> None:
    """Make the folder, clear what a killed process left half written, try to write."""
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


class _DamagedError(Exception):
    """A file is not what was written."""


def _read(path: Path) -> dict[str, Any]:
    """Read one file; nothing in it is unpickled but tensors and plain values."""
    try:
        with os.fdopen(os.open(path, READ), "rb") as file:
            raw = io.BytesIO(file.read())
        # torch writes a digest of each part, and does not look at it when it reads.
        part = zipfile.ZipFile(raw).testzip()
        if part is not None:
            raise zipfile.BadZipFile(f"{part} is not what was written")
        raw.seek(0)
        content = torch.load(raw, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _DamagedError(f"{path} cannot be read: {error}.") from error
    except pickle.UnpicklingError as error:
        raise _DamagedError(f"{path} holds more than tensors and numbers.") from error
    except Exception as error:
        raise _DamagedError(f"{path} is damaged, or no checkpoint: {error}.") from error
    if not isinstance(content, dict) or content.get("format", FORMAT) != FORMAT:
        raise _DamagedError(f"{path} holds no state of a training of this version.")
    return content


def _files(folder: Path) -> list[Path]:
    """List checkpoints, newest first; links, pipes and folders are none."""
    found = folder.glob("step-*.checkpoint")
    return sorted(
        (path for path in found if stat.S_ISREG(path.lstat().st_mode)), reverse=True
    )


def _sync(folder: Path) -> None:
    """Make a rename last, where folders can be synchronised (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
