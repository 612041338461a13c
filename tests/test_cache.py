"""Decoded once: in memory, in a cache, or as images are asked for."""

import gc
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from PIL import Image

from sklearn_byol import UnreadableImagesError
from sklearn_byol.images import _cache, _decode, _streamed
from tests.conftest import N_FILES, Pairs, quick


def test_threads_decode_in_order(paths, rows, monkeypatch):
    monkeypatch.setattr(_streamed, "N_DECODED", 3)
    for backend in ("loky", "multiprocessing", "threading"):
        with parallel_config(backend=backend):
            np.testing.assert_array_equal(quick(n_jobs=2).fit_transform(paths), rows)


def test_cache_is_found_again_until_a_file_changes(tmp_path, paths, rows, monkeypatch):
    n_decoded = []
    original = _decode.decode
    monkeypatch.setattr(
        _decode, "decode", lambda *given: n_decoded.append(1) or original(*given)
    )
    cache = tmp_path / "cache"
    for expected in (N_FILES, 1):  # the first is always looked at
        byol = quick(cache=cache).fit(paths)
        assert sum(n_decoded) == expected
        n_decoded.clear()
    np.testing.assert_array_equal(byol.transform(paths), rows)
    n_decoded.clear()
    assert len(list(cache.glob("*.npy"))) == 1
    os.utime(paths[0])
    quick(cache=cache).fit(paths)
    assert sum(n_decoded) == N_FILES
    assert len(list(cache.glob("*.npy"))) == 2


def test_cache_remembers_what_was_skipped(tmp_path, broken):
    first, again = (
        quick(on_error="skip", cache=tmp_path / "cache").fit(broken) for _ in range(2)
    )
    assert again.skipped_ == first.skipped_ == [broken[i] for i in (1, 3, 4, 5)]
    np.testing.assert_array_equal(
        first.transform(broken[6:]), again.transform(broken[6:])
    )
    with pytest.raises(UnreadableImagesError, match="4 of 10 images"):
        quick(cache=tmp_path / "cache").fit(broken)


@pytest.mark.posix
def test_cache_is_as_readable_as_the_user_wants(tmp_path, paths):
    old = os.umask(0o027)
    try:
        quick(cache=tmp_path / "cache").fit(paths)
    finally:
        os.umask(old)
    modes = {
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").iterdir()
    }
    assert modes == {0o640}


def test_failed_fit_leaves_no_cache(tmp_path, broken):
    with pytest.raises(UnreadableImagesError):
        quick(cache=tmp_path / "cache").fit(broken)
    assert not (tmp_path / "cache").exists()


def test_cache_of_what_is_no_file_goes_with_the_fit(tmp_path, pixels, rows):
    byol = quick(cache=tmp_path).fit(Pairs(pixels))
    np.testing.assert_array_equal(byol.transform(pixels), rows)
    gc.collect()  # Windows shows the file until its map goes
    assert list(tmp_path.iterdir()) == []


def test_cache_that_cannot_be_written_is_an_error(tmp_path, paths):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="must be a folder that can be written"):
        quick(cache=tmp_path / "file").fit(paths)


def test_what_does_not_fit_into_memory_is_streamed(paths, rows, broken, monkeypatch):
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0.0)
    np.testing.assert_array_equal(quick().fit_transform(paths), rows)
    byol = quick(on_error="skip").fit(broken)
    assert len(byol.files_) == 6


def test_file_that_vanishes_while_streaming_is_an_error(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0.0)
    for index in range(4):
        Image.fromarray(pixels[index]).save(tmp_path / f"{index}.png")

    def vanishing(images):
        (tmp_path / "3.png").unlink(missing_ok=True)
        return images

    with pytest.raises(UnreadableImagesError, match=r"1 of 4.*3\.png"):
        quick(views=vanishing, max_epochs=2).fit(tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_damaged_cache_is_written_again(tmp_path, paths, rows, suffix):
    quick(cache=tmp_path).fit(paths)
    gc.collect()  # Windows does not change a file that is mapped
    (file,) = tmp_path.glob(f"*{suffix}")
    file.write_bytes(file.read_bytes()[:20])
    np.testing.assert_array_equal(quick(cache=tmp_path).fit_transform(paths), rows)
    assert len(file.read_bytes()) > 20


LOAD = """
import sys
from pathlib import Path
import numpy as np
from sklearn_byol.images._cache import decode_once
from sklearn_byol.images._streamed import StreamedImages
from sklearn_byol.images._datasets import as_items
folder, cache, n_rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for index in range(n_rounds):
    how = {"shape": (3, 16, 20), "dtype": np.dtype(np.uint8), "told": None}
    images = StreamedImages(**vars(as_items(folder)), **how, known={})
    pixels, *_ = decode_once(images, cache / str(index))
    assert pixels.shape == (10, 3, 16, 20)
    assert pixels.any(axis=(1, 2, 3)).all()
"""


@pytest.mark.slow
def test_processes_may_share_a_cache(tmp_path, folder):
    command = [sys.executable, "-c", LOAD, str(folder), str(tmp_path), "40"]
    running = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in running:
        _, told = process.communicate()
        assert process.returncode == 0, told
    assert {len(list(cache.iterdir())) for cache in tmp_path.iterdir()} == {2}


@pytest.mark.parametrize("is_files", [True, False])
def test_disk_without_room_is_an_error(tmp_path, paths, pixels, monkeypatch, is_files):
    def full(file, offset, n_bytes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(ValueError, match=r"with room for the decoded.*No space"):
        quick(cache=tmp_path).fit(paths if is_files else Pairs(pixels))
    assert list(tmp_path.glob("*.*")) == []


@pytest.mark.parametrize("is_files", [True, False])
def test_cache_is_written_where_no_room_can_be_reserved(
    tmp_path, paths, pixels, rows, monkeypatch, is_files
):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    byol = quick(cache=tmp_path).fit(paths if is_files else Pairs(pixels))
    np.testing.assert_array_equal(byol.transform(paths), rows)


def test_cache_that_another_process_keeps_open_is_taken_as_it_is(
    tmp_path, paths, rows, monkeypatch
):
    quick(cache=tmp_path / "theirs").fit(paths)

    def refuse(path, target):
        for file in (tmp_path / "theirs").iterdir():  # they are done meanwhile
            shutil.copy(file, target.parent)
        raise PermissionError(13, "Access is denied", str(path))

    monkeypatch.setattr(Path, "replace", refuse)
    cache = tmp_path / "ours"
    np.testing.assert_array_equal(quick(cache=cache).fit_transform(paths), rows)
    assert len(list(cache.iterdir())) == 2


def test_cache_that_can_be_neither_replaced_nor_read_is_an_error(
    tmp_path, paths, monkeypatch
):
    def refuse(path, target):
        raise PermissionError(13, "Access is denied", str(path))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ValueError, match=r"with room.*npy may not be replaced"):
        quick(cache=tmp_path).fit(paths)
    assert not list(tmp_path.iterdir())


def test_no_map_of_a_file_is_open_when_it_is_deleted(tmp_path, broken, monkeypatch):
    """Windows refuses to delete what is mapped, also by an error that is on its way."""
    deleted = []

    def unlink(path, real=Path.unlink, **options):
        maps = [it for it in gc.get_objects() if type(it) is np.memmap]
        assert all(str(it.filename) != str(path) for it in maps)
        deleted.append(path.suffix)
        real(path, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(UnreadableImagesError):
        quick(cache=tmp_path / "cache").fit(broken)
    assert deleted == [".part"]


def test_cache_may_be_named_from_home(tmp_path, paths, monkeypatch):
    for name in ("HOME", "USERPROFILE"):  # the latter on Windows
        monkeypatch.setenv(name, str(tmp_path))
    quick(cache="~/cache").fit(paths)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
