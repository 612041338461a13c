"""A folder is walked once and its images are decoded once, whoever takes them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images import _cache, _decode
from sklearn_byol.images._containers import JoinedImages
from sklearn_byol.images._reader import Reader
from tests.conftest import Pairs


def reader(**parameters):
    given = {
        "image_shape": None,
        "resize_mode": "crop",
        "pixel_range": "auto",
        "n_jobs": None,
        "cache": None,
        "on_error": "raise",
    }
    return Reader(BaseEstimator(), **{**given, **parameters})


@pytest.fixture
def counted(monkeypatch):
    """Count the walks, and how often each file is decoded to be an image."""
    walks, files = [], []
    walk, decode = os.walk, _decode.decode
    monkeypatch.setattr(os, "walk", lambda *a, **k: walks.append(a) or walk(*a, **k))
    monkeypatch.setattr(
        _decode, "decode", lambda *given: files.append(given[0]) or decode(*given)
    )
    return walks, files


@pytest.mark.parametrize("image_shape", [None, (5, 6), (5, 6, 3)])
def test_open_read_and_take_walk_once_and_decode_once(folder, counted, image_shape):
    walks, files = counted
    once = reader(image_shape=image_shape)
    X = once.open(folder)
    assert len(X) == 10
    source = once.read(X)
    images, present = source.take(np.array([1, 4, 7]))
    np.testing.assert_array_equal(images[:], source.images[[1, 4, 7]])
    np.testing.assert_array_equal(present, [0, 1, 2])
    assert len(walks) == 1
    assert files == source.files


def test_read_and_stream_take_what_was_opened(folder, counted):
    fitted = reader().read(folder).fitted
    walks, _ = counted
    walks.clear()
    again = reader(fitted=fitted)
    X = again.open(folder)
    expected = again.stream(X)[:]
    for places in (None, np.arange(10)):
        images = again.read(X, places).images
        np.testing.assert_array_equal(images[:], expected)
    assert len(walks) == 1


def test_the_first_image_is_decoded_once_after_fit_too(folder, counted):
    again = reader(fitted=reader().read(folder).fitted)
    _, files = counted
    for decode in (again.read, lambda X: list(again.stream(X).batches())):
        files.clear()
        decode(folder)
        assert len(files) == len(set(files)) == 10


def test_the_first_image_of_a_stream_is_its_own_wherever_it_is_taken(folder):
    images = reader(fitted=reader().read(folder).fitted).stream(folder)
    for places in ([0, 3], [3, 0], [7], [0]):
        taken = images.take(places)
        np.testing.assert_array_equal(taken[:], images[np.array(places)])
        alone = [
            taken.decode(place, taken.shape, taken.mode).pixels
            for place in range(len(places))
        ]
        np.testing.assert_array_equal(taken[:], np.stack(alone) / np.float32(255))


def test_an_array_is_opened_as_it_is(pixels):
    assert reader().open(pixels) is pixels


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_skipped_images_are_not_taken(broken, monkeypatch, share):
    monkeypatch.setattr(_cache, "MEMORY_SHARE", share)
    source = reader(on_error="skip").read(broken)
    assert source.images.is_streamed == (share == 0)
    assert source.kept.tolist() == [0, 2, 6, 7, 8, 9]
    images, present = source.take(np.array([1, 2, 3, 7]))
    assert present.tolist() == [1, 3]
    np.testing.assert_array_equal(images[:], source.images[np.array([1, 3])])


def test_an_image_that_vanishes_before_it_is_taken_is_an_error(
    tmp_path, folder, monkeypatch
):
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0.0)
    copy = shutil.copytree(folder, tmp_path / "copy")
    source = reader(on_error="skip").read(copy)
    Path(source.files[4]).unlink()
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0.5)
    with pytest.raises(UnreadableImagesError, match="1 of 3 images cannot be read"):
        source.take(np.array([1, 4, 7]))


def test_nothing_is_taken_where_all_that_is_asked_for_was_skipped(broken, monkeypatch):
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0.0)
    images, present = reader(on_error="skip").read(broken).take(np.array([1, 3]))
    assert len(images) == len(present) == 0


def test_take_of_streamed_images_decodes_nothing(folder, counted, monkeypatch):
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0.0)
    images = reader().read(folder).images
    _, files = counted
    files.clear()
    assert len(images.take(np.array([2, 5]))) == 2
    assert files == []


def test_take_of_an_array_copies_what_is_taken_only(pixels):
    images = reader().read(pixels).images
    assert not np.shares_memory(images.take(np.array([2, 5])).pixels, pixels)
    assert images.take(np.arange(len(pixels))) is images


@pytest.mark.parametrize("indices", [[1, 3], [1, 11], [10, 12]])
def test_joined_images_have_the_pixels_of_their_parts(pixels, indices):
    source = reader().read(pixels)
    pool = reader(fitted=source.fitted).read(Pairs(pixels[::-1]))
    joined = JoinedImages([source.images, pool.images])
    assert len(joined) == 20
    both = np.concatenate([source.images[:], pool.images[:]])
    np.testing.assert_array_equal(joined[np.array(indices)], both[indices])
