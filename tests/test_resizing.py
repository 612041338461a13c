"""How images come to image_shape: what is cut away, padded and stretched."""

import warnings

import numpy as np
import pytest
from PIL import Image

from sklearn_byol import CollapseWarning, ImagesWarning
from tests.conftest import quick

LONG = np.tile(np.arange(120, dtype=np.uint8), (10, 1))  # 10x120, dark on the left
N_IMAGES = 4


def files(images, folder):
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def containers(image, folder):
    """The same image as files, pictures, bytes and floats, four times."""
    images = [np.roll(image, index, axis=0) for index in range(N_IMAGES)]
    yield files(images, folder)
    yield [Image.fromarray(image) for image in images]
    yield images
    yield [image / np.float32(255) for image in images]


def read(X, **parameters):
    byol = quick(image_shape=(12, 12), **parameters).fit(X)
    return byol.read_images(X).numpy()[:, 0]


def test_what_is_cut_away_is_said_for_every_container(tmp_path):
    for X in containers(LONG, tmp_path):
        with pytest.warns(ImagesWarning, match="4 of 4 images lose more than half"):
            read(X)


@pytest.mark.parametrize("mode", ["pad", "stretch"])
def test_nothing_is_cut_away_where_that_is_asked_for(mode, tmp_path):
    for X in containers(LONG, tmp_path):
        images = read(X, resize_mode=mode)
        assert images.shape == (N_IMAGES, 12, 12)
        # Both ends are there: dark on the left, bright on the right.
        assert images[0, 6, 0] < 0.1 * images[0, 6, -1]


def test_stretched_images_are_the_resized_ones(tmp_path):
    expected = Image.fromarray(LONG).resize((12, 12), Image.Resampling.BICUBIC)
    for X in containers(LONG, tmp_path):
        images = read(X, resize_mode="stretch")
        scale = images[0].max() / np.asarray(expected).max()
        np.testing.assert_allclose(
            images[0], scale * np.asarray(expected), atol=1.5 * scale
        )


def test_padded_images_repeat_their_edges(tmp_path):
    image = np.full((6, 12), 50, np.uint8)
    image[0], image[-1] = 200, 100
    for X in containers(image, tmp_path):
        found = read(X, resize_mode="pad")[0]
        assert (found[:4] == found[0]).all()
        assert (found[-4:] == found[-1]).all()
        assert found[0].mean() > found[-1].mean() > found[6].mean()


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (1, 1), (3, 5), (12, 12)])
@pytest.mark.parametrize("mode", ["crop", "pad", "stretch"])
def test_images_of_any_size_come_to_the_shape(size, mode, tmp_path):
    image = np.arange(np.prod(size), dtype=np.int64).reshape(size) % 256
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImagesWarning)
        warnings.simplefilter("ignore", CollapseWarning)  # one pixel
        for X in containers(image.astype(np.uint8), tmp_path):
            assert read(X, resize_mode=mode).shape == (N_IMAGES, 12, 12)


def test_photographs_of_common_shapes_are_not_warned_of(tmp_path):
    pictures = [Image.new("RGB", size) for size in [(64, 48), (64, 36), (36, 64)]]
    quick(image_shape=(12, 12)).fit(
        [*pictures, Image.effect_noise((64, 48), 9).convert("RGB")]
    )


def test_what_was_cut_away_is_said_where_a_cache_has_it(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    files([LONG] * N_IMAGES, folder)
    for _ in range(2):
        with pytest.warns(ImagesWarning, match="4 of 4 images lose more than half"):
            quick(image_shape=(12, 12), cache=tmp_path / "cache").fit(folder)


def test_a_cache_knows_how_images_were_resized(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    files([np.random.default_rng(0).integers(0, 255, (30, 60), np.uint8)] * 4, folder)
    found = [
        read(folder, resize_mode=mode, cache=tmp_path / "cache")
        for mode in ("pad", "stretch", "pad")
    ]
    assert not np.array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_transform_resizes_as_fit_and_says_what_it_cuts_away(tmp_path):
    square = [np.roll(LONG[:, 50:60], index, axis=1) for index in range(N_IMAGES)]
    byol = quick(image_shape=(10, 10)).fit(square)
    with pytest.warns(ImagesWarning, match="4 of 4 images"):
        byol.transform(files([LONG] * N_IMAGES, tmp_path))


def test_another_mode_is_refused():
    with pytest.raises(ValueError, match="resize_mode"):
        quick(resize_mode="squash").fit([LONG] * N_IMAGES)
