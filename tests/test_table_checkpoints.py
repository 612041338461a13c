"""Hostile and damaged files in the folder of a checkpoint."""

import os
import stat

import numpy as np
import pytest
import torch

from tests.conftest import tiny

pytestmark = pytest.mark.usefixtures("limited")

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)


def read(path):
    """Read what a file holds."""
    return torch.load(path, weights_only=True)


def changed(**changes):
    """Change the state that a file holds; None drops a part of it."""

    def change(path):
        content = read(path)
        state = content["state"] | changes
        content["state"] = {k: v for k, v in state.items() if v is not None}
        torch.save(content, path)

    return change


def spoil_weights(path):
    content = read(path)
    network = content["state"]["network"]
    content["state"]["network"] = {
        name: tensor * torch.nan if tensor.is_floating_point() else tensor
        for name, tensor in network.items()
    }
    torch.save(content, path)


REFUSED = {
    "list": (lambda path: torch.save([1, 2], path), "No file in checkpoint="),
    "another_format": (
        lambda path: torch.save(read(path) | {"format": 99}, path),
        "No file in checkpoint=",
    ),
    "nothing": (lambda path: torch.save({}, path), "lacks what is written there"),
    "about_a_number": (
        lambda path: torch.save({"about": 3, "state": {}}, path),
        "lacks what is written there",
    ),
    "no_step": (changed(step=None), "lacks what is written there"),
    "step_that_is_a_word": (changed(step="many"), "lacks what is written there"),
    "no_optimizer": (changed(optimizer=None), "KeyError: 'optimizer'"),
    "no_network": (changed(network={}), "Missing key"),
    "other_network": (changed(network={"a": torch.zeros(3)}), "Missing key"),
    "history_of_numbers": (changed(history=[1]), "TypeError"),
    "weights_that_are_nan": (spoil_weights, "not a number"),
}


@pytest.fixture
def trained(tmp_path):
    """The one file of a training that is over."""
    tiny(checkpoint=tmp_path / "kept").fit(PIXELS)
    (path,) = (tmp_path / "kept").glob("*.checkpoint")
    return path


@pytest.mark.filterwarnings("ignore::sklearn_byol.exceptions.CheckpointWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_no_such_training_is_an_error(name, trained):
    change, words = REFUSED[name]
    change(trained)
    with pytest.raises(ValueError, match="checkpoint=") as caught:
        tiny(checkpoint=trained.parent).fit(PIXELS)
    assert words in str(caught.value)
    assert "the folder, or choose another" in str(caught.value)


NEWER = "step-000000009999.checkpoint"
STRANGE = {
    "pipe": lambda folder: os.mkfifo(folder / NEWER),
    "folder": lambda folder: (folder / NEWER).mkdir(),
    "link_to_a_device": lambda folder: (folder / NEWER).symlink_to("/dev/zero"),
    "link_to_nothing": lambda folder: (folder / NEWER).symlink_to("nothing"),
    "half_written_link": lambda folder: (folder / ".step-1.part").symlink_to("none"),
    "half_written_pipe": lambda folder: os.mkfifo(folder / ".step-1.part"),
}


@pytest.mark.posix
@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_file_is_passed_over(name, trained):
    STRANGE[name](trained.parent)
    byol = tiny(checkpoint=trained.parent).fit(PIXELS)
    assert byol.n_iter_ == 1


@pytest.mark.posix
def test_a_folder_that_is_a_link_is_not_written_to(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ValueError, match=r"is a link.*Pass the folder itself: '.*real"):
        tiny(checkpoint=tmp_path / "link").fit(PIXELS)
    assert not list((tmp_path / "real").iterdir())


@pytest.mark.posix
def test_a_link_that_waits_in_place_of_a_file_is_replaced(tmp_path):
    folder, precious = tmp_path / "kept", tmp_path / "precious"
    folder.mkdir()
    precious.write_bytes(b"precious")
    (folder / "step-000000000001.checkpoint").symlink_to(precious)
    tiny(checkpoint=folder).fit(PIXELS)
    assert precious.read_bytes() == b"precious"
    assert not (folder / "step-000000000001.checkpoint").is_symlink()


@pytest.mark.posix
@pytest.mark.parametrize("mask", [0o000, 0o027, 0o077])
def test_folders_and_files_have_the_permissions_of_the_user(mask, tmp_path):
    before = os.umask(mask)
    try:
        tiny(checkpoint=tmp_path / "new").fit(PIXELS)
    finally:
        os.umask(before)
    (path,) = (tmp_path / "new").glob("*.checkpoint")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o777 & ~mask
