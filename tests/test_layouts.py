"""Rows, images, tensors and paths of the same pixels are represented alike.

Shapes, types and layouts are drawn by hypothesis, always the same ones.
"""

import contextlib
import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from sklearn_byol.images._in_memory import Images
from sklearn_byol.images._layout import fold, layout_of
from sklearn_byol.images._learned_range import pixel_range
from tests.conftest import Pairs, quick

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn_byol.exceptions.CollapseWarning",
    "ignore::sklearn_byol.exceptions.SmallImageWarning",
)
few = functools.partial(
    settings,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def network(n_channels):
    """A network of few weights for images of any size."""
    return nn.Sequential(nn.Conv2d(n_channels, 4, 1), nn.BatchNorm2d(4))


def untrained(n_channels, **parameters):
    """A transformer that keeps its first weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = network(n_channels)
    return quick(encoder=encoder, max_epochs=0, **parameters)


@st.composite
def pixels(draw):
    """Images of bytes, channels last, that no one takes for another layout."""
    n = draw(st.integers(5, 7))
    height, width = draw(st.integers(5, 12)), draw(st.integers(5, 12))
    n_channels = draw(st.sampled_from([1, 3]))
    seed = draw(st.integers(0, 2**32 - 1))
    shape = (n, height, width, n_channels)
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    images.flat[:2] = 0, 255  # so that every type has the same range
    return images


def as_rows(images):
    return images.reshape(len(images), -1)


def as_planes(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def as_tensor(images):
    return torch.from_numpy(as_planes(images)).requires_grad_(False)


def strided(images):
    """The same images as every second of more, backwards in memory."""
    doubled = np.repeat(images, 2, axis=0)[::-1].copy()
    return doubled[::-1][::2]


LAYOUTS = {
    "planes": as_planes,
    "tensor": as_tensor,
    "rows": as_rows,
    "row_tensor": lambda images: torch.from_numpy(as_rows(images)),
    "fortran": np.asfortranarray,
    "strided": strided,
    "lists": lambda images: images.tolist(),
    "read_only": lambda images: np.frombuffer(images.tobytes(), np.uint8).reshape(
        images.shape
    ),
    "mask_without_masked_values": np.ma.array,
    "dataset": lambda images: Pairs(list(images)),
    "array_of_objects": lambda images: images.astype(object),
}
DTYPES = ["u1", "i2", "<u2", ">u2", "i4", ">i8", "f2", "f4", ">f4", "f8", "g"]


@few(max_examples=22)
@given(images=pixels(), layout=st.sampled_from(sorted(LAYOUTS)))
def test_every_layout_has_the_representation_of_the_images(images, layout):
    shape = images.shape[1:]
    byol = untrained(shape[2], image_shape=shape).fit(images)
    expected = byol.transform(images)
    X = LAYOUTS[layout](images)
    np.testing.assert_array_equal(byol.transform(X), expected)
    is_rows = "row" in layout
    refitted = untrained(shape[2], image_shape=shape if is_rows else shape[:2]).fit(X)
    np.testing.assert_array_equal(refitted.transform(X), expected)


@few(max_examples=15)
@given(images=pixels(), dtype=st.sampled_from(DTYPES))
def test_every_type_of_number_has_the_same_representation(images, dtype):
    shape = images.shape[1:]
    expected = untrained(shape[2], image_shape=shape).fit_transform(images)
    X = images.astype(dtype)
    byol = untrained(shape[2], image_shape=shape).fit(X)
    np.testing.assert_allclose(byol.transform(X), expected, rtol=1e-5, atol=1e-6)
    assert byol.pixel_range_ == (0, 255)


@few(max_examples=5)
@given(images=pixels())
def test_files_and_pictures_have_the_representation_of_the_array(images):
    shape = images.shape[1:]
    expected = untrained(shape[2], image_shape=shape).fit_transform(images)
    pictures = [Image.fromarray(image.squeeze()) for image in images]
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{index}.png" for index in range(len(pictures))]
        for picture, path in zip(pictures, paths, strict=True):
            picture.save(path)
        for X in (pictures, paths, [str(path) for path in paths], place):
            byol = untrained(shape[2]).fit(X)
            np.testing.assert_array_equal(byol.transform(X), expected)


@few(max_examples=60)
@given(images=pixels(), dtype=st.sampled_from(DTYPES))
def test_pixels_are_scaled_to_the_unit_interval(images, dtype):
    X = images.astype(dtype)
    layout = layout_of(X, images.shape[1:])
    folded = fold(X, layout)
    batch = Images(folded, pixel_range(folded, X))[:]
    assert batch.dtype == torch.float32
    expected = as_planes(images).astype(np.float64) / 255
    np.testing.assert_allclose(batch.numpy(), expected, rtol=1e-6, atol=1e-7)


@few(max_examples=60)
@given(
    height=st.integers(3, 40), width=st.integers(3, 40), c=st.sampled_from([1, 3, 4])
)
def test_both_orders_of_axes_mean_the_same_or_are_an_error(height, width, c):
    """No image is read with its channels for rows, whatever its size."""
    shapes = (2, height, width, c), (2, c, height, width)
    for shape in shapes:
        told = layout_of(np.zeros(shape), (height, width))
        assert told.shape == (c, height, width), shape
        with contextlib.suppress(ValueError):  # ambiguous without image_shape
            assert layout_of(np.zeros(shape), None) == told, shape


@pytest.mark.parametrize("shape", [(3, 17, 2), (4, 16, 2), (2, 16, 3), (2, 9, 4)])
def test_images_of_two_channels_or_two_pixels_are_an_error_that_names_both(shape):
    with pytest.raises(
        ValueError, match=f"with {shape[2]} channels or .* {shape[0]} c"
    ):
        layout_of(np.zeros((2, *shape)), None)
