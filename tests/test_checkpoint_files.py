"""Files of checkpoints: damaged, in the way, on a disk that is full."""

import contextlib
import os
import shutil
import subprocess

import pytest
import torch
from skorch.callbacks import Callback

from sklearn_byol import CheckpointWarning
from sklearn_byol.training import _checkpoints as files
from sklearn_byol.training import _run
from sklearn_byol.training._checkpoints import Checkpoints
from tests.conftest import quick
from tests.test_checkpoints import PowerCut, assert_same


@pytest.fixture
def folder(digits, tmp_path):
    """Two files of a training of three epochs that was cut off."""
    with pytest.raises(ConnectionError):
        quick(
            max_epochs=3,
            batch_size=50,
            checkpoint=tmp_path,
            checkpoint_minutes=0,
            callbacks=[PowerCut(7)],
        ).fit(digits[0])
    return tmp_path


def newest(folder):
    return max(folder.glob("*.checkpoint"))


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other"])
def test_a_damaged_file_is_a_warning_and_the_one_before_is_taken(
    digits, folder, damage
):
    path = newest(folder)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    contents = {"empty": b"", "cut": raw[:-100], "flipped": raw, "other": b"other" * 99}
    path.write_bytes(bytes(contents[damage]))
    settings = {"max_epochs": 3, "batch_size": 50, "checkpoint_minutes": 0}
    with pytest.warns(CheckpointWarning, match=r"000007\.checkpoint is damaged"):
        resumed = quick(**settings, checkpoint=folder).fit(digits[0])
    assert_same(quick(**settings).fit(digits[0]), resumed)


def test_files_that_are_all_damaged_are_an_error(digits, folder):
    for path in folder.glob("*.checkpoint"):
        path.write_bytes(path.read_bytes()[:-1])
    with (
        pytest.warns(CheckpointWarning, match="damaged"),
        pytest.raises(ValueError, match=r"No file in checkpoint=.* is whole"),
    ):
        quick(max_epochs=3, batch_size=50, checkpoint=folder).fit(digits[0])


def test_nothing_is_unpickled(digits, folder, monkeypatch):
    options = []

    def load(*args, real=torch.load, **kwargs):
        options.append(kwargs["weights_only"])
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, "load", load)
    quick(max_epochs=3, batch_size=50, checkpoint=folder).fit(digits[0])
    assert options == [True]


@pytest.mark.posix
def test_links_are_not_followed(digits, folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("elsewhere") / "precious"
    target.write_bytes(b"precious")
    (folder / "step-000000999999.checkpoint").symlink_to(target)
    quick(max_epochs=3, batch_size=50, checkpoint=folder).fit(digits[0])
    assert target.read_bytes() == b"precious"


def test_a_folder_that_may_not_be_written_is_an_error(digits, tmp_path, monkeypatch):
    def refuse(path, *args, real=os.open):
        if str(path).endswith(".part"):  # root may write everywhere
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args)

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(ValueError, match="must be a folder that can be written"):
        quick(checkpoint=tmp_path).fit(digits[0])


def test_a_file_in_place_of_the_folder_is_an_error(digits, tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ValueError, match=r"checkpoint='.*file' must be a folder"):
        quick(checkpoint=path).fit(digits[0])


def test_a_disk_that_fills_up_is_one_warning(digits, tmp_path, monkeypatch):
    X, _ = digits
    settings = {"max_epochs": 3, "batch_size": 50}
    n_written = []

    def fsync(file, real=os.fsync):
        n_written.append(file)
        if len(n_written) > 6:
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.warns(CheckpointWarning, match="No space left on device") as caught:
        byol = quick(**settings, checkpoint=tmp_path, checkpoint_minutes=0).fit(X)
    assert len(caught) == 1
    monkeypatch.undo()
    assert_same(byol, quick(**settings).fit(X))
    assert not list(tmp_path.glob(".*"))
    assert_same(byol, quick(**settings, checkpoint=tmp_path).fit(X))


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 100 MB, where one can be had."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("cannot mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_small_disk_keeps_the_last_whole_file(digits, small_disk):
    X, _ = digits
    settings = {"max_epochs": 3, "batch_size": 50}
    filler = small_disk / "filler"

    class Fills(Callback):
        def on_batch_end(self, net, **kw):
            if net.step_ == 3:
                with contextlib.suppress(OSError), filler.open("wb") as file:
                    file.write(bytes(100 * 2**20))

    with pytest.warns(CheckpointWarning, match="No space left on device"):
        byol = quick(
            **settings, checkpoint=small_disk, checkpoint_minutes=0, callbacks=[Fills()]
        ).fit(X)
    filler.unlink()
    assert not list(small_disk.glob(".*"))
    n_steps = torch.load(newest(small_disk), weights_only=True)["state"]["step"]
    assert 1 <= n_steps <= 4
    assert_same(byol, quick(**settings, checkpoint=small_disk).fit(X))


def test_what_a_killed_process_left_half_written_is_cleared(digits, folder):
    left = folder / ".step-000000000008.checkpoint.abc.part"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    quick(max_epochs=3, batch_size=50, checkpoint=folder).fit(digits[0])
    assert not left.exists()


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_a_state_without_room_is_not_called_a_strange_one(error, tmp_path, monkeypatch):
    def starve(training, state):
        raise error("no room")

    monkeypatch.setattr(_run, "go_back", starve)
    with pytest.raises(error, match="no room"):
        _run._restore(object(), Checkpoints(tmp_path, 1.0, {}), {})
